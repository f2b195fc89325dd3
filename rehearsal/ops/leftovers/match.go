package leftovers

import (
	"context"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Project is the value of the tag that the program puts on everything, beside the stack's name.
const Project = "expense"

const (
	projectTag = "pulumi:project"
	stackTag   = "pulumi:stack"

	// guardDuty is a tag of the endpoint and the security group that GuardDuty's Runtime Monitoring puts into a VPC with EKS nodes. GuardDuty
	// removes them when it is turned off, and not with the VPC
	// (https://docs.aws.amazon.com/guardduty/latest/ug/using-iac-with-gdu-automated-agents-runtime-monitoring.html,
	// https://github.com/hashicorp/terraform-provider-aws/pull/46953).
	guardDuty = "GuardDutyManaged"
)

// stacks tells whether tags are the stack's.
func (f *finder) stacks(tags map[string]string) bool {
	return tags[projectTag] == Project && tags[stackTag] == f.Stack.Name
}

// match says why something is counted, "" if it is not, and what it belongs to. doubt is what it belongs to if nothing else is known.
//
// The tags of another Pulumi stack outweigh the rest. Tags with the cluster's name count if the name is the stack's, and with the value for
// what the cluster made. The value "shared" is on what others made for it.
func (f *finder) match(tags map[string]string, vpc string) (why string, with []string, doubt string) {
	var reasons []string
	switch {
	case f.stacks(tags):
		reasons = append(reasons, "tags "+projectTag+"="+Project+" and "+stackTag+"="+f.Stack.Name)
	case tags[projectTag] != "" || tags[stackTag] != "":
		return "", nil, ""
	}
	if f.ourCluster {
		for _, tag := range f.ownership() {
			if tags[tag.key] == tag.value {
				owner := f.cluster
				if group := tags["eks:nodegroup-name"]; group != "" {
					owner = f.member(group) // which goes with the cluster, or is left over in it
				}
				reasons, with = append(reasons, "tag "+tag.key+"="+tag.value), append(with, owner)
				break
			}
		}
	}
	if tags[guardDuty] != "" && f.vpcs[vpc] {
		// It belongs to nothing: nothing of the stack removes it.
		return "tag " + guardDuty + ", in the stack's " + vpc, nil, ""
	}
	if len(reasons) == 0 && f.vpcs[vpc] {
		// It may be something that the stack's own things need in their VPC. While the cluster exists, that is assumed.
		reasons, doubt = append(reasons, "in the stack's "+vpc), f.cluster
	}
	for _, key := range []string{"kubernetes.io/service-name", "kubernetes.io/created-for/pvc/name"} {
		if value := tags[key]; value != "" && len(reasons) > 0 {
			reasons = append(reasons, "made for "+value)
		}
	}
	return strings.Join(reasons, "; "), with, doubt
}

type tag struct{ key, value string }

// ownership are the tags by which EKS and what runs in a cluster mark what they make for it: EKS
// (https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html), the cloud provider and the EBS CSI driver
// (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md), the network plugin
// (https://github.com/aws/amazon-vpc-cni-k8s#cluster_name), and the load balancer controller
// (https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/).
func (f *finder) ownership() []tag {
	name := f.Stack.Cluster
	return []tag{
		{"kubernetes.io/cluster/" + name, "owned"}, {"eks:cluster-name", name}, {"aws:eks:cluster-name", name},
		{"cluster.k8s.amazonaws.com/name", name}, {"elbv2.k8s.aws/cluster", name},
	}
}

// item makes an item of what is counted by tags or VPC, nil of what is not.
func (f *finder) item(id *string, name string, tags map[string]string, vpc *string) *Item {
	i := &Item{ID: aws.ToString(id), Name: name, vpc: aws.ToString(vpc)}
	if i.Why, i.with, i.doubt = f.match(tags, i.vpc); i.Why == "" {
		return nil
	}
	if tags[guardDuty] != "" && f.State.has(f.cluster) {
		i.kept = "GuardDuty watches the nodes through it; `pulumi destroy` does not remove it, and stops at its subnets with " +
			"DependencyViolation"
	}
	return i
}

// at gives the item its ARN.
func (i *Item) at(arn *string) *Item {
	if i != nil {
		i.ARN = aws.ToString(arn)
	}
	return i
}

// part adds a part to those of one of the kind's commands.
func (i *Item) part(command int, part string) {
	for len(i.parts) <= command {
		i.parts = append(i.parts, nil)
	}
	i.parts[command] = append(i.parts[command], part)
}

// cost prices an item: so many units of what key names.
func (f *finder) cost(i *Item, key string, units float64) *Item {
	if monthly, ok := f.Price(key); ok && i != nil {
		i.Monthly, i.Priced = monthly*units, true
	}
	return i
}

// each makes items of the members of a list's pages; item gives nil for what is not counted.
func each[Page, Option, Member any](ctx context.Context, list interface {
	HasMorePages() bool
	NextPage(ctx context.Context, options ...Option) (Page, error)
}, members func(Page) []Member, item func(Member) *Item) ([]Item, error) {
	all, err := login.All(ctx, list, members)
	return counted(all, item), err
}

func counted[Member any](all []Member, item func(Member) *Item) (items []Item) {
	for _, m := range all {
		if i := item(m); i != nil {
			items = append(items, *i)
		}
	}
	return items
}
