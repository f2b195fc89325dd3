package play

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"expense/rehearsal/internal/change"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// order is the order of a destroy: everything that fits the first patterns is gone before the deletion of anything that fits the second
// begins. A pattern is a type or "type name", as of path.Match.
var order = []struct {
	first, then []string
	why         string
}{
	{
		[]string{
			"kubernetes:core/v1:Pod", "kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:Job", "kubernetes:core/v1:Service",
			"kubernetes:core/v1:PersistentVolumeClaim",
		},
		[]string{"kubernetes:core/v1:Namespace"},
		"a namespace that still has objects stays Terminating until their controllers let go " +
			"(https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/)",
	},
	{
		[]string{"kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Namespace"},
		[]string{"aws:eks/addon:Addon expense-pod-*", "aws:iam/rolePolicyAttachment:RolePolicyAttachment expense-pod-ebs-csi"},
		"the volume of a claim is deleted by the EBS CSI driver, with its role (https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html)",
	},
	{
		[]string{"kubernetes:core/v1:Service", "kubernetes:core/v1:Namespace", "aws:eks/addon:Addon expense-pod-*"},
		[]string{"aws:eks/nodeGroup:NodeGroup"},
		"load balancers of Services and the pods of add-ons go while nodes are there " +
			"(https://docs.aws.amazon.com/eks/latest/userguide/delete-cluster.html)",
	},
	{
		[]string{"aws:eks/nodeGroup:NodeGroup"},
		[]string{
			"aws:eks/addon:Addon expense-node-*", "aws:iam/rolePolicyAttachment:RolePolicyAttachment expense-node-*",
			"aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/route:Route *-nat",
		},
		"a node whose network plugin or role died first leaves its interfaces behind (https://github.com/aws/amazon-vpc-cni-k8s/issues/608), " +
			"and without a route it cannot drain",
	},
	{
		[]string{"kubernetes:*", "aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon", "aws:eks/podIdentityAssociation:PodIdentityAssociation"},
		[]string{"aws:eks/cluster:Cluster"},
		"what is in a cluster cannot be deleted without it",
	},
	{
		[]string{"aws:eks/cluster:Cluster"},
		[]string{
			"aws:cloudwatch/logGroup:LogGroup expense-control-plane", "aws:kms/key:Key", "aws:iam/role:Role expense-eksRole-role",
			"aws:ec2/subnet:Subnet",
		},
		"a control plane that runs writes its log group anew (https://github.com/terraform-aws-modules/terraform-aws-eks/issues/2486)",
	},
	{
		[]string{"aws:opensearch/domain:Domain"},
		[]string{
			"aws:cloudwatch/logGroup:LogGroup expense-application", "aws:ec2/securityGroup:SecurityGroup",
			"aws:iam/serviceLinkedRole:ServiceLinkedRole",
		},
		"a domain's interfaces hold its security group, and its logs are written to the end",
	},
}

// inOrder reads the event log of a destroy and checks the order. It returns how many pairs it compared. A rule without a pair is an
// error.
func inOrder(events io.Reader) (pairs int, err error) {
	began, done, err := change.Order(events)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, rule := range order {
		looked := 0
		for _, first := range slices.Sorted(maps.Keys(began)) {
			for _, then := range slices.Sorted(maps.Keys(began)) {
				if !fits(first, rule.first) || !fits(then, rule.then) {
					continue
				}
				looked++
				if end, ok := done[first]; !ok || end > began[then] {
					errs = append(errs, fmt.Errorf("%s was not gone when %s began to go: %s", name(first), name(then), rule.why))
				}
			}
		}
		if looked == 0 {
			errs = append(errs, fmt.Errorf("nothing fits %v before %v", rule.first, rule.then))
		}
		pairs += looked
	}
	return pairs, errors.Join(errs...)
}

func fits(urn string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		typ, named, _ := strings.Cut(pattern, " ")
		u := resource.URN(urn)
		ofType, _ := path.Match(strings.ReplaceAll(typ, "/", "|"), strings.ReplaceAll(string(u.Type()), "/", "|"))
		ofName, _ := path.Match(named, u.Name())
		return ofType && (named == "" || ofName)
	})
}

func name(urn string) string {
	return string(resource.URN(urn).Type()) + " " + resource.URN(urn).Name()
}
