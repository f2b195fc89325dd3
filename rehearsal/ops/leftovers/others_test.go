package leftovers

import (
	"maps"
	"slices"
	"testing"

	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// of are the tags of a stack of a project.
func of(project, stack string) properties {
	return properties{"pulumi:project": project, "pulumi:stack": stack, "Name": "expense"}
}

// tagged is a thing with tags, in a VPC or in none, with more properties.
func tagged(tags properties, vpc string, more ...any) properties {
	out := properties{"tags": tags}
	if vpc != "" {
		out["vpcId"] = vpc
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

var (
	prod   = of("expense", "prod")
	income = of("income", "dev")
	named  = properties{"Name": "expense"}
	team   = properties{"team": "search"}
	none   = properties{}
)

// others are things of others in the same account and region, each like the stack's in some way. What has no id gets one.
var others = []struct {
	kind, what, id string
	properties     properties
}{
	{"volume", "without tags", "", nil},
	{"volume", "of the same Name", "", tagged(named, "")},
	{"volume", "of another stack", "", tagged(prod, "")},
	{"volume", "of another project", "", tagged(income, "")},
	{"volume", "with the stack's name alone", "", tagged(properties{"pulumi:stack": "dev"}, "")},
	{"volume", "with the project's name alone", "", tagged(properties{"pulumi:project": "expense"}, "")},
	{"volume", "of a cluster with a longer name", "", tagged(properties{owned + "-prod": "owned"}, "")},
	{"volume", "of a cluster with a shorter name", "", tagged(properties{"kubernetes.io/cluster/expens": "owned"}, "")},
	{"volume", "made for the cluster and not by it", "", tagged(properties{owned: "shared"}, "")},
	{"volume", "of another stack's cluster of the same name", "", tagged(stackTags(owned, "owned", "pulumi:stack", "prod"), "")},
	{"volume", "of some cluster's claim", "", tagged(properties{"CSIVolumeName": "pvc-1", "ebs.csi.aws.com/cluster": "true",
		"kubernetes.io/created-for/pvc/name": "data"}, "")},
	{"snapshot", "of the same Name", "", tagged(named, "")},
	{"snapshot", "of another stack", "", tagged(prod, "")},
	{"snapshot", "of a cluster with a longer name", "", tagged(properties{owned + "-prod": "owned"}, "")},
	{"network interface", "of another cluster", "", tagged(properties{"cluster.k8s.amazonaws.com/name": "expense-prod"}, "vpc-1")},
	{"network interface", "without tags", "", tagged(none, "vpc-1", "description", "aws-K8S-i-0123")},
	{"network interface", "that names an instance", "", tagged(properties{"node.k8s.amazonaws.com/instance_id": "i-1"}, "vpc-1")},
	{"network interface", "of a domain of the same name in another VPC", "", tagged(none, "vpc-1", "description", "ES expense")},
	{"network interface", "of a cluster of the same name in another VPC", "", tagged(none, "vpc-1", "description", "Amazon EKS expense")},
	{"instance", "that is terminated", "", tagged(stackTags(), "", "state", "terminated")},
	{"instance", "of another stack", "", tagged(prod, "")},
	{"instance", "of another cluster", "", tagged(properties{"eks:cluster-name": "expense-prod", "eks:nodegroup-name": "expense"}, "")},
	{"Auto Scaling group", "of another cluster", "eks-expense-2", tagged(properties{"eks:cluster-name": "expense2"}, "")},
	{"Auto Scaling group", "that the autoscaler of a cluster of the name may size", "eks-expense-3",
		tagged(properties{"k8s.io/cluster-autoscaler/expense": "owned"}, "")},
	{"launch template", "of a similar name", "", tagged(none, "", "name", "expense-1")},
	{"launch template", "of another stack", "", tagged(prod, "", "name", "expense-2")},
	{"NAT gateway", "that is gone", "", tagged(stackTags(), "", "state", "deleted")},
	{"NAT gateway", "of another stack", "", tagged(prod, "vpc-1")},
	{"VPC endpoint", "of another stack", "", tagged(prod, "vpc-1")},
	{"VPC endpoint", "of GuardDuty in another VPC", "", tagged(properties{"GuardDutyManaged": "true"}, "vpc-1")},
	{"Elastic IP address", "without tags", "", tagged(none, "", "publicIp", "198.51.100.8")},
	{"Elastic IP address", "of another stack", "", tagged(prod, "", "publicIp", "198.51.100.9")},
	{"internet gateway", "of another stack", "", tagged(prod, "vpc-1")},
	{"internet gateway", "of the same Name", "", tagged(named, "vpc-1")},
	{"VPC", "of the same Name", "vpc-1", tagged(named, "")},
	{"VPC", "of another stack", "", tagged(prod, "")},
	{"subnet", "that a cluster of the name may use", "", tagged(properties{owned: "shared"}, "vpc-1")},
	{"subnet", "of another stack", "", tagged(prod, "vpc-1")},
	{"route table", "of another VPC", "", tagged(named, "vpc-1")},
	{"route table", "of another stack", "", tagged(prod, "vpc-1")},
	{"security group", "of another cluster", "", tagged(properties{"aws:eks:cluster-name": "expense-prod"}, "vpc-1", "name",
		"eks-cluster-sg-expense-prod-1")},
	{"security group", "of a similar name", "", tagged(none, "vpc-1", "name", "eks-cluster-sg-expense-1")},
	{"security group", "of another cluster's load balancer", "", tagged(properties{"elbv2.k8s.aws/cluster": "expense-prod"}, "vpc-1", "name",
		"k8s-web")},
	{"load balancer", "of the same name", "expense", tagged(none, "vpc-1", "loadBalancerType", "network")},
	{"load balancer", "of another cluster", "k8s-2", tagged(properties{"elbv2.k8s.aws/cluster": "expense-prod"}, "vpc-1", "loadBalancerType",
		"application")},
	{"load balancer", "made for the cluster and not by it", "a0other", tagged(properties{owned: "shared"}, "vpc-1", "loadBalancerType",
		"network")},
	{"load balancer", "of the first generation", "expense-classic", tagged(none, "vpc-1", "loadBalancerType", "classic")},
	{"target group", "of the same name", "expense", tagged(none, "vpc-1")},
	{"target group", "of another cluster", "k8s-3", tagged(properties{"elbv2.k8s.aws/cluster": "expense-prod"}, "vpc-1")},
	{"role", "of a similar name", "expense-reports", tagged(none, "", "name", "expense-reports")},
	{"role", "of another stack", "expense-node-2", tagged(prod, "", "name", "expense-node-2")},
	{"role", "of another project", "expense-node-3", tagged(income, "", "name", "expense-node-3")},
	{"OIDC provider", "of another stack", arn + "iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/1", tagged(prod, "")},
	{"OIDC provider", "of another region", arn + "iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/2",
		tagged(stackTags(), "")},
	{"log group", "of another cluster", "/aws/eks/expense-prod/cluster", nil},
	{"log group", "with a longer name", "/aws/eks/expense/cluster-old", nil},
	{"log group", "with a shorter name", "/aws/eks/expense/clust", nil},
	{"log group", "of the control plane's name with others' tags", "/aws/eks/expense/cluster", tagged(team, "")},
	{"log group", "of another domain", "/aws/OpenSearchService/domains/expense-prod/application", nil},
	{"log group", "in the domain's folder", "/aws/OpenSearchService/domains/expense/theirs", nil},
	{"log group", "in the domain's folder with tags", "/aws/OpenSearchService/domains/expense/yours", tagged(team, "")},
	{"log group", "whose name begins like one of the domain's", "/aws/OpenSearchService/domains/expense/application-logs", nil},
	{"log group", "below one of the domain's", "/aws/OpenSearchService/domains/expense/audit/2026", nil},
	{"log group", "of the domain's name with others' tags", "/aws/OpenSearchService/domains/expense/search-slow", tagged(team, "")},
	{"log group", "of the domain's name of another stack", "/aws/OpenSearchService/domains/expense/index-slow", tagged(prod, "")},
	{"log resource policy", "of another domain", "opensearch-expense-prod", nil},
	{"log resource policy", "of the name for other groups", "opensearch-expense",
		properties{"policyDocument": `{"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/other:*"}`}},
	{"log resource policy", "of another name for the domain's groups", "opensearch-expense-2",
		properties{"policyDocument": `{"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/OpenSearchService/domains/expense/*:*"}`}},
	{"image cache rule", "of another cluster", "expense-prod/kubernetes", nil},
	{"image cache rule", "with a prefix of its own", "expense/quay", nil},
	{"image repository", "without tags", "expense/theirs", nil},
	{"image repository", "of another cluster's cache", "expense-prod/ecr-public/docker/library/nginx", nil},
	{"image repository", "of the cache with others' tags", "expense/ecr-public/team/search", tagged(team, "")},
	{"image repository", "of another stack", "expense/worker", tagged(prod, "")},
	{"alarm", "of a similar name", "expense-alarms-cluster-red-2", nil},
	{"alarm", "of another stack", "expense-alarms-cluster-red-3", tagged(prod, "")},
	{"SNS topic", "of a similar name", arn + "sns:us-east-1:111122223333:expense-alarms-2", nil},
	{"SNS topic", "of another project", arn + "sns:us-east-1:111122223333:expense-alarms-3", tagged(income, "")},
	{"KMS alias", "of the name for another stack's key", "alias/eks/expense", properties{"targetKeyId": "2222"}},
	{"KMS alias", "of another cluster", "alias/eks/expense-prod", properties{"targetKeyId": "gone"}},
	{"KMS key", "of another stack", "2222", tagged(prod, "")},
	{"KMS key", "of the same Name", "3333", tagged(named, "")},
	{"EKS cluster", "of a longer name", "expense-prod", tagged(prod, "", "name", "expense-prod")},
	{"node group", "of another cluster", "expense-prod:expense", tagged(prod, "", "clusterName", "expense-prod", "nodeGroupName", "expense",
		"nodeRoleArn", arn+"iam::111122223333:role/expense-node-2")},
	{"OpenSearch domain", "of a longer name", arn + "es:us-east-1:111122223333:domain/expense-prod",
		tagged(prod, "", "domainName", "expense-prod")},
}

// plantOthers plants them all, and gives their types and IDs.
func plantOthers(t *testing.T, a *account) (planted []string) {
	types := map[string]string{}
	for _, p := range slices.Concat(plants, orphans) {
		types[p.kind] = p.typ
	}
	seen := map[string]bool{}
	for _, o := range others {
		require.NotEmpty(t, types[o.kind], "%s %s", o.kind, o.what)
		require.False(t, o.id != "" && seen[o.kind+o.id], "%s %s", o.kind, o.id)
		seen[o.kind+o.id] = true
		planted = append(planted, types[o.kind]+" "+a.model.Plant(types[o.kind], o.id, "other-", awsmodel.Program, maps.Clone(o.properties)))
	}
	return planted
}

// there are the types and IDs of everything in the account.
func there(a *account) (out []string) {
	for _, item := range a.model.Inventory() {
		out = append(out, item.Type+" "+item.ID)
	}
	return out
}

// Whoever shares the account must not find his things in the list, let alone among the commands: alone, and beside a whole stack.
func TestWhatIsOthersIsNotListed(t *testing.T) {
	a := newAccount()
	theirs := plantOthers(t, a)
	require.Len(t, there(a), len(others))
	report := a.find(t)
	assert.Empty(t, report.Items)
	assert.Empty(t, report.Notes)
	assert.Equal(t, 0, report.Code())

	// The stack's own things, but for the names that others have taken.
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	want := []string{"VPC vpc-2"}
	taken := func(p planted) bool {
		return p.id != "" && slices.ContainsFunc(a.model.Objects(p.typ), func(o awsmodel.Object) bool { return o.ID == p.id })
	}
	for _, p := range plants {
		if taken(p) {
			continue
		}
		all := properties{}
		if maps.Copy(all, p.properties); p.inVPC {
			all["vpcId"] = "vpc-2"
		}
		want = append(want, p.kind+" "+realID(p, a.model.Plant(p.typ, p.id, p.prefix, awsmodel.InCluster, all)))
	}
	for _, p := range orphans {
		id, _ := p.plant(a, "orphan", stackTags())
		want = append(want, p.kind+" "+id)
	}
	report = a.lost(t)
	assert.ElementsMatch(t, want, ids(report, Leftover))
	assert.Len(t, report.Items, len(want))
	assert.Len(t, there(a), len(others)+len(want))
	assert.GreaterOrEqual(t, len(there(a)), 110, "things")

	// The key is the cluster's for as long as it is there.
	assert.Empty(t, a.play(report))
	report = a.lost(t)
	assert.Equal(t, []string{"KMS key 0000-1111"}, ids(report, Leftover))
	assert.Empty(t, a.play(report))
	assert.Empty(t, ids(a.lost(t), Leftover))
	assert.Subset(t, there(a), theirs)
}
