package leftovers

import (
	"context"
	"maps"
	"testing"

	"expense/rehearsal/internal/awshttp"
	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// neighbours are things of others, each like the stack's in some way.
var neighbours = []planted{
	{name: "another cluster's interface", typ: "aws:ec2/networkInterface:NetworkInterface", prefix: "eni-", properties: properties{"vpcId": "vpc-1", "tags": properties{"cluster.k8s.amazonaws.com/name": "expense-prod"}}},
	{name: "an interface without tags", typ: "aws:ec2/networkInterface:NetworkInterface", prefix: "eni-", properties: properties{"vpcId": "vpc-1", "description": "aws-K8S-i-0123"}},
	{name: "an interface that names an instance", typ: "aws:ec2/networkInterface:NetworkInterface", prefix: "eni-", properties: properties{"vpcId": "vpc-1", "tags": properties{"node.k8s.amazonaws.com/instance_id": "i-1"}}},
	{name: "another cluster's volume", typ: "aws:ebs/volume:Volume", prefix: "vol-", properties: properties{"tags": properties{"kubernetes.io/cluster/expense-prod": "owned"}}},
	{name: "a volume without tags", typ: "aws:ebs/volume:Volume", prefix: "vol-"},
	{name: "a claim's volume of some cluster", typ: "aws:ebs/volume:Volume", prefix: "vol-", properties: properties{"tags": properties{"CSIVolumeName": "pvc-1", "ebs.csi.aws.com/cluster": "true", "kubernetes.io/created-for/pvc/name": "data"}}},
	{name: "a volume that was made for the cluster and not by it", typ: "aws:ebs/volume:Volume", prefix: "vol-", properties: properties{"tags": properties{owned: "shared"}}},
	{name: "a volume of another stack with a cluster of the same name", typ: "aws:ebs/volume:Volume", prefix: "vol-", properties: properties{"tags": properties{owned: "owned", "pulumi:project": "expense", "pulumi:stack": "prod"}}},
	{name: "a volume of another project", typ: "aws:ebs/volume:Volume", prefix: "vol-", properties: properties{"tags": properties{"pulumi:project": "income", "pulumi:stack": "dev"}}},
	{name: "another stack's snapshot", typ: "aws:ebs/snapshot:Snapshot", prefix: "snap-", properties: properties{"tags": properties{"pulumi:project": "expense", "pulumi:stack": "prod"}}},
	{name: "a terminated node", typ: "aws:ec2/instance:Instance", prefix: "i-", properties: properties{"state": "terminated", "tags": stackTags()}},
	{name: "a NAT gateway that is gone", typ: "aws:ec2/natGateway:NatGateway", prefix: "nat-", properties: properties{"state": "deleted", "tags": stackTags()}},
	{name: "another VPC", typ: "aws:ec2/vpc:Vpc", id: "vpc-1", properties: properties{"tags": properties{"Name": "expense"}}},
	{name: "a group in another VPC", typ: "aws:ec2/securityGroup:SecurityGroup", prefix: "sg-", properties: properties{"name": "eks-cluster-sg-expense-prod-1", "vpcId": "vpc-1", "tags": properties{"aws:eks:cluster-name": "expense-prod"}}},
	{name: "another load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "expense", properties: properties{"loadBalancerType": "network", "vpcId": "vpc-1"}},
	{name: "another classic load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "expense-classic", properties: properties{"loadBalancerType": "classic", "vpcId": "vpc-1"}},
	{name: "another target group", typ: "aws:lb/targetGroup:TargetGroup", id: "expense", properties: properties{"vpcId": "vpc-1"}},
	{name: "a role of a similar name", typ: "aws:iam/role:Role", id: "expense-reports", properties: properties{"name": "expense-reports"}},
	{name: "another stack's role", typ: "aws:iam/role:Role", id: "expense-node-2", properties: properties{"name": "expense-node-2", "tags": properties{"pulumi:project": "expense", "pulumi:stack": "prod"}}},
	{name: "another cluster's log group", typ: "aws:cloudwatch/logGroup:LogGroup", id: "/aws/eks/expense-prod/cluster"},
	{name: "a log group of a longer name", typ: "aws:cloudwatch/logGroup:LogGroup", id: "/aws/eks/expense/cluster-old"},
	{name: "another domain's log group", typ: "aws:cloudwatch/logGroup:LogGroup", id: "/aws/OpenSearchService/domains/expense-prod/application-logs"},
	{name: "another domain's log policy", typ: "aws:cloudwatch/logResourcePolicy:LogResourcePolicy", id: "opensearch-expense-prod"},
	{name: "an alias of the name for another stack's key", typ: "aws:kms/alias:Alias", id: "alias/eks/expense", properties: properties{"targetKeyId": "2222"}},
	{name: "a log policy of the name for other groups", typ: "aws:cloudwatch/logResourcePolicy:LogResourcePolicy", id: "opensearch-expense", properties: properties{"policyDocument": `{"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/other:*"}`}},
	{name: "another cluster's alias", typ: "aws:kms/alias:Alias", id: "alias/eks/expense-prod"},
	{name: "another stack's key", typ: "aws:kms/key:Key", id: "2222", properties: properties{"tags": properties{"pulumi:project": "expense", "pulumi:stack": "prod"}}},
	{name: "an identity provider of another stack", typ: "aws:iam/openIdConnectProvider:OpenIdConnectProvider", id: arn + "iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/1", properties: properties{"tags": properties{"pulumi:project": "expense", "pulumi:stack": "prod"}}},
	{name: "an identity provider of another region", typ: "aws:iam/openIdConnectProvider:OpenIdConnectProvider", id: arn + "iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/2", properties: properties{"tags": stackTags()}},
	{name: "another alarm", typ: "aws:cloudwatch/metricAlarm:MetricAlarm", id: "expense-alarms-cluster-red-2"},
}

func plantNeighbours(a *account) {
	for _, n := range neighbours {
		a.model.Plant(n.typ, n.id, n.prefix, awsmodel.Program, n.properties)
	}
}

// Whoever shares the account must not find his things in the list, let alone lose them.
func TestWhatIsOthersIsNeitherListedNorRemoved(t *testing.T) {
	a := newAccount(t)
	plantNeighbours(a)
	before := len(a.model.Inventory())
	require.Equal(t, len(neighbours), before)
	report := a.find(t)
	assert.Empty(t, report.Items)
	assert.Equal(t, 0, report.Code())

	volume := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	report = a.find(t)
	assert.Equal(t, []string{"volume " + volume}, ids(report, Leftover))
	after, err := Remove(context.Background(), a.options(), report)
	require.NoError(t, err)
	assert.Empty(t, after.Items)
	assert.Len(t, a.model.Inventory(), before)
}

// Names are taken once in an account: what has the cluster's name may be of a cluster that is not the stack's.
func TestANameThatIsOthersCountsNothing(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense", "vpcConfig": properties{"vpcId": "vpc-1"}})
	a.model.Plant("aws:opensearch/domain:Domain", arn+"es:us-east-1:111122223333:domain/expense", "", awsmodel.Program, properties{"domainName": "expense"})
	for _, p := range plants {
		tags, _ := p.properties["tags"].(properties)
		if tags["pulumi:stack"] == nil && !p.inVPC {
			a.model.Plant(p.typ, p.id, p.prefix, awsmodel.Program, p.properties)
		}
	}
	require.GreaterOrEqual(t, len(a.model.Inventory()), 10)
	report := a.find(t)
	assert.Empty(t, report.Items)
	assert.Len(t, report.Notes, 2)
}

// Between the list and the answer somebody may bring the stack up again, or take a thing over.
func TestWhatChangedHandsMeanwhileStays(t *testing.T) {
	a := newAccount(t)
	taken := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	up := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	left := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	report := a.find(t)
	require.Len(t, report.Of(Leftover), 3)

	late := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	a.model.Set("aws:ebs/volume:Volume", taken, "tags", properties{"pulumi:project": "expense", "pulumi:stack": "prod"})
	options := a.options()
	options.State = &State{refs: map[string]bool{up: true}}
	after, err := Remove(context.Background(), options, report)
	require.NoError(t, err)
	assert.Equal(t, []string{"volume " + up}, ids(after, Owned))
	assert.Equal(t, []string{"volume " + late}, ids(after, Leftover), "nobody agreed to this one")
	var there []string
	for _, item := range a.model.Inventory() {
		there = append(there, item.ID)
	}
	assert.ElementsMatch(t, []string{taken, up, late}, there)
	assert.NotContains(t, there, left)
}

// Without the state a stack that is up looks like one that was left behind.
func TestWithoutTheStateNothingIsCalledALeftoverOrRemoved(t *testing.T) {
	a := newAccount(t)
	volume := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	options := a.options()
	options.State = nil
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Equal(t, []string{"volume " + volume}, ids(report, Unknown))
	assert.Equal(t, 1, report.Code())
	_, err = Remove(context.Background(), options, report)
	assert.ErrorContains(t, err, "without the stack's state nothing is removed")
	assert.Len(t, a.model.Inventory(), 1)
}

// While the cluster is up, what it made and what is in its VPC is its own; once it is gone, that is left over.
func TestWhatTheClusterMadeIsOwnedForAsLongAsItIs(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	volume := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": properties{owned: "owned"}})
	node := a.model.Plant("aws:ec2/instance:Instance", "", "i-", awsmodel.AWS, properties{"vpcId": "vpc-2", "tags": properties{owned: "owned"}})
	eni := a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "", "eni-", awsmodel.AWS, properties{"vpcId": "vpc-2", "owner": node})
	nobodys := a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "", "eni-", awsmodel.AWS, properties{"vpcId": "vpc-2"})
	options := a.options()
	options.State = &State{refs: map[string]bool{"vpc-2": true, arn + "eks:us-east-1:111122223333:cluster/expense": true}}
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Len(t, report.Of(Owned), 5)

	options.State = &State{refs: map[string]bool{"vpc-2": true}}
	report, err = Find(context.Background(), options)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"volume " + volume, "instance " + node, "network interface " + eni, "network interface " + nobodys}, ids(report, Leftover))
	assert.Equal(t, []string{"VPC vpc-2"}, ids(report, Owned))
}

// An interface goes with the service that uses it, and that may be owned when the cluster is gone already.
func TestAnInterfaceBelongsToWhatUsesIt(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	for description, owner := range map[string]string{"Interface for NAT Gateway nat-1": "nat-1", "VPC Endpoint Interface vpce-1": "vpce-1", "ES expense": "domain"} {
		a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "", "eni-", awsmodel.AWS, properties{"vpcId": "vpc-2", "owner": owner, "description": description})
	}
	options := a.options()
	options.State = &State{refs: map[string]bool{"vpc-2": true, "nat-1": true, "vpce-1": true, arn + "es:us-east-1:111122223333:domain/expense": true}}
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Len(t, report.Of(Owned), 4)
}

func TestWhatAWSKeepsIsNoLeftover(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:kms/key:Key", "0000-1111", "", awsmodel.Program, properties{"deletionWindowInDays": 7, "tags": stackTags()})
	require.NoError(t, a.model.Delete(context.Background(), "aws:kms/key:Key", "0000-1111"))
	a.model.Plant("aws:cloudwatch/logGroup:LogGroup", "/aws/eks/expense/cluster", "", awsmodel.AWS, properties{})
	a.model.Plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "spot", "", awsmodel.AWS, properties{"name": "AWSServiceRoleForEC2Spot", "path": "/aws-service-role/spot.amazonaws.com/"})
	report := a.find(t)
	assert.ElementsMatch(t, []string{"KMS key 0000-1111", "log group /aws/eks/expense/cluster", "role AWSServiceRoleForEC2Spot"}, ids(report, Kept))
	assert.Equal(t, 0, report.Code())
	for _, i := range report.Items {
		assert.NotEmpty(t, i.Reason)
		assert.False(t, i.Kind == "KMS key" && i.Priced, "a key that waits for its deletion costs nothing")
	}
}

// forget leaves a whole stack behind: its network with two groups that name each other in their rules, as those of nodes and
// load balancers do, a cluster with nodes, and a role in use.
func (a *account) forget() {
	plant := func(typ, id string, p properties) {
		p["tags"] = stackTags()
		a.model.Plant(typ, id, "", awsmodel.Program, p)
	}
	plant("aws:ec2/vpc:Vpc", "vpc-2", properties{})
	plant("aws:ec2/subnet:Subnet", "subnet-1", properties{"vpcId": "vpc-2"})
	plant("aws:ec2/internetGateway:InternetGateway", "igw-1", properties{"vpcId": "vpc-2"})
	plant("aws:ec2/eip:Eip", "eipalloc-1", properties{"publicIp": "198.51.100.7"})
	plant("aws:ec2/natGateway:NatGateway", "nat-1", properties{"vpcId": "vpc-2", "subnetId": "subnet-1", "allocationId": "eipalloc-1"})
	plant("aws:ec2/networkInterface:NetworkInterface", "eni-1", properties{"vpcId": "vpc-2", "subnetId": "subnet-1", "owner": "nat-1", "description": "Interface for NAT Gateway nat-1", "publicIp": "198.51.100.7"})
	plant("aws:ec2/vpcEndpoint:VpcEndpoint", "vpce-1", properties{"vpcId": "vpc-2", "vpcEndpointType": "Gateway"})
	plant("aws:ec2/routeTable:RouteTable", "rtb-1", properties{"vpcId": "vpc-2"})
	plant("aws:ec2/routeTableAssociation:RouteTableAssociation", "rtbassoc-1", properties{"routeTableId": "rtb-1", "subnetId": "subnet-1"})
	plant("aws:ec2/instance:Instance", "i-1", properties{"vpcId": "vpc-2", "instanceType": "m5.large"})
	plant("aws:ec2/networkInterface:NetworkInterface", "eni-2", properties{"vpcId": "vpc-2", "subnetId": "subnet-1", "owner": "i-1", "securityGroups": []any{"sg-1"}})
	for _, pair := range [][2]string{{"sg-1", "sg-2"}, {"sg-2", "sg-1"}} {
		plant("aws:ec2/securityGroup:SecurityGroup", pair[0], properties{"vpcId": "vpc-2", "name": pair[0]})
		plant("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "sgr-in-"+pair[0], properties{"securityGroupId": pair[0], "referencedSecurityGroupId": pair[1]})
		plant("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "sgr-out-"+pair[0], properties{"securityGroupId": pair[0], "referencedSecurityGroupId": pair[1]})
	}
	plant("aws:iam/role:Role", "expense-node-1", properties{"name": "expense-node-1"})
	plant("aws:iam/rolePolicy:RolePolicy", "expense-node-1:inline", properties{"role": "expense-node-1", "name": "inline"})
	plant("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "attachment", properties{"role": "expense-node-1", "policyArn": arn + "iam::aws:policy/AmazonEKSWorkerNodePolicy"})
	plant("aws:iam/instanceProfile:InstanceProfile", "eks-1", properties{"role": "expense-node-1"})
	plant("aws:eks/cluster:Cluster", "expense", properties{"name": "expense", "vpcConfig": properties{"vpcId": "vpc-2"}})
	plant("aws:eks/nodeGroup:NodeGroup", "expense:expense-1", properties{"clusterName": "expense", "nodeGroupName": "expense-1"})
	plant("aws:eks/addon:Addon", "expense:coredns", properties{"clusterName": "expense", "addonName": "coredns"})
	plant("aws:eks/accessEntry:AccessEntry", "expense:role", properties{"clusterName": "expense", "principalArn": "role"})
}

// Each thing blocks another one's removal until it is gone itself.
func TestAWholeStackThatWasForgottenIsRemovedInOneGo(t *testing.T) {
	a := newAccount(t)
	a.forget()
	report := a.find(t)
	assert.Len(t, report.Of(Leftover), 17)
	assert.Contains(t, report.Notes[0], "another backend", "what runs may have its state elsewhere")
	var said []string
	options := a.options()
	options.Say = func(line string) { said = append(said, line) }
	after, err := Remove(context.Background(), options, report)
	require.NoError(t, err)
	assert.Equal(t, 0, after.Code())
	assert.Empty(t, after.Items)
	assert.Len(t, said, 17, "each is reported")
	for _, item := range a.model.Inventory() {
		assert.Equal(t, "i-1", item.ID, "EC2 shows a terminated instance for a while")
	}
}

// What somebody else still needs stays, is reported, and does not keep the rest.
func TestWhatCannotBeRemovedIsReportedAndTheRestGoes(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "eni-1", "", awsmodel.Program, properties{"vpcId": "vpc-2", "owner": "elsewhere", "tags": properties{"pulumi:project": "income", "pulumi:stack": "dev"}})
	a.model.Plant("aws:ebs/volume:Volume", "vol-1", "", awsmodel.Program, properties{"tags": stackTags()})
	var said []string
	options := a.options()
	options.Say = func(line string) { said = append(said, line) }
	after, err := Remove(context.Background(), options, a.find(t))
	require.NoError(t, err)
	assert.Equal(t, []string{"VPC vpc-2"}, ids(after, Leftover))
	require.Len(t, said, 2)
	assert.Contains(t, said[0], "volume vol-1 is removed")
	assert.Contains(t, said[1], "VPC vpc-2 is still there")
	assert.Contains(t, said[1], "DependencyViolation")
}

// Secrets of a cluster cannot be read without the key that they are encrypted with.
func TestAKeyStaysWhileTheClusterOfTheNameIsThere(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:kms/key:Key", "0000-1111", "", awsmodel.Program, properties{"tags": stackTags()})
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense"})
	var said []string
	options := a.options()
	options.Say = func(line string) { said = append(said, line) }
	after, err := Remove(context.Background(), options, a.find(t))
	require.NoError(t, err)
	assert.Equal(t, []string{"KMS key 0000-1111"}, ids(after, Leftover))
	require.Len(t, said, 1)
	assert.Contains(t, said[0], "KMS key 0000-1111 stays: the cluster expense is still there")
}

// full is an account with everything that is planted anywhere, so that every call of a search is made.
func full(t *testing.T) *account {
	a := newAccount(t)
	plantNeighbours(a)
	a.model.Uproot("aws:kms/alias:Alias", "alias/eks/expense")
	a.model.Uproot("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", "opensearch-expense")
	for _, p := range plants {
		a.model.Plant(p.typ, p.id, p.prefix, awsmodel.InCluster, maps.Clone(p.properties))
	}
	for _, p := range orphans {
		p.plant(a, "orphan", stackTags())
	}
	return a
}

// A permission that is missing must not look like an account that is clean.
func TestNoCallMayFailUnnoticed(t *testing.T) {
	a := full(t)
	a.find(t)
	calls := a.server.Calls()
	require.GreaterOrEqual(t, len(calls), 35)
	for action := range calls {
		b := behind(t, a.model)
		b.server.Inject(action, awshttp.Denied)
		report, err := Find(context.Background(), b.options())
		if action == "sts:GetCallerIdentity" {
			assert.ErrorContains(t, err, "not allowed")
			continue
		}
		require.NoError(t, err, action)
		require.NotEmpty(t, report.Unchecked, action)
		assert.Contains(t, report.Unchecked[0].Problem, "docs/leftovers.md", action)
		assert.NotEqual(t, 0, (&Report{Unchecked: report.Unchecked}).Code())
	}
}

// What belongs to a node may not be called a leftover because the node could not be looked at.
func TestWhatBelongsToSomethingUnseenIsUnknown(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "eni-1", "", awsmodel.AWS, properties{"owner": "i-1", "tags": stackTags()})
	a.model.Plant("aws:ec2/instance:Instance", "i-1", "", awsmodel.AWS, properties{"tags": properties{owned: "owned"}})
	a.server.Inject("ec2:DescribeInstances", awshttp.Denied)
	options := a.options()
	options.State = &State{refs: map[string]bool{arn + "eks:us-east-1:111122223333:cluster/expense": true}}
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Equal(t, []string{"network interface eni-1"}, ids(report, Unknown))
}

// Where nobody can tell whose the cluster is, its name proves nothing.
func TestANameThatCannotBeClaimedCountsNothing(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": properties{owned: "owned"}})
	a.model.Plant("aws:cloudwatch/logGroup:LogGroup", "/aws/OpenSearchService/domains/expense/audit-logs", "", awsmodel.Program, properties{})
	require.Len(t, a.find(t).Of(Leftover), 2)
	a.server.Inject("eks:DescribeCluster", awshttp.Denied)
	a.server.Inject("es:DescribeDomain", awshttp.Denied)
	report := a.find(t)
	assert.Empty(t, report.Items)
	assert.Equal(t, 1, report.Code())
}

func TestThrottlingIsOvercomeOrReported(t *testing.T) {
	a := newAccount(t)
	for action, fault := range map[string]awshttp.Fault{"ec2:DescribeVolumes": awshttp.Overloaded, "logs:DescribeLogGroups": awshttp.Throttled, "eks:DescribeCluster": awshttp.Throttled} {
		fault.Times = 3
		a.server.Inject(action, fault)
	}
	assert.Equal(t, 0, a.find(t).Code())

	a.server.Inject("ec2:DescribeVolumes", awshttp.Overloaded)
	report := a.find(t)
	assert.Equal(t, 1, report.Code())
	require.Len(t, report.Unchecked, 1)
	assert.Equal(t, "volume", report.Unchecked[0].What)
	assert.Contains(t, report.Unchecked[0].Problem, "asked too often")
}

func TestCredentialsThatDoNotWorkEndTheSearchWithARemedy(t *testing.T) {
	a := newAccount(t)
	a.server.Inject("*", awshttp.Expired)
	_, err := Find(context.Background(), a.options())
	assert.ErrorContains(t, err, "the credentials have expired")
	assert.ErrorContains(t, err, "aws sso login, or aws configure; then, because keys in the environment win over both: unset AWS_ACCESS_KEY_ID ")

	options := a.options()
	options.Config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, assert.AnError
	})
	_, err = Find(context.Background(), options)
	assert.ErrorContains(t, err, "without credentials sign in first: aws sso login, or aws configure; then")
}

func TestAnotherAccountOrRegionThanTheStacksIsRefused(t *testing.T) {
	a := newAccount(t)
	for export, want := range map[string]string{
		`{"deployment":{"resources":[{"type":"aws:ec2/vpc:Vpc","custom":true,"id":"vpc-1","outputs":{"arn":"arn:aws:ec2:us-east-1:999999999999:vpc/vpc-1"}}]}}`: "sign in to account 999999999999",
		`{"deployment":{"resources":[{"type":"aws:ec2/vpc:Vpc","custom":true,"id":"vpc-1","outputs":{"arn":"arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1"}}]}}`: "pulumi config set aws:region eu-west-1 --stack dev",
	} {
		options := a.options()
		var err error
		options.State, err = ParseState([]byte(export))
		require.NoError(t, err)
		_, err = Find(context.Background(), options)
		assert.ErrorContains(t, err, want)
	}
}

// Settings and environment that disagree are a usual reason for finding nothing.
func TestAClusterInTheEnvironmentsRegionIsPointedOut(t *testing.T) {
	a := newAccount(t)
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense", "tags": stackTags()})
	options := a.options()
	options.Region = "eu-west-1"
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	require.Len(t, report.Unchecked, 1)
	assert.Contains(t, report.Unchecked[0].Problem, "pulumi config set aws:region eu-west-1 --stack dev")
	assert.Contains(t, report.Notes[1], "AWS_REGION is eu-west-1")
}
