package leftovers

import (
	"context"
	"maps"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const owned = "kubernetes.io/cluster/expense"

// planted is one thing that is left behind.
type planted struct {
	name, kind, typ, id, prefix string
	properties                  properties
	// inVPC puts a VPC of the stack's around it, which is left over too.
	inVPC bool
	why   string
}

const arn = "arn:aws:"

var plants = []planted{
	{name: "an interface that the network plugin leaked", kind: "network interface", typ: "aws:ec2/networkInterface:NetworkInterface",
		prefix: "eni-",
		properties: properties{"description": "aws-K8S-i-0123", "tags": properties{"cluster.k8s.amazonaws.com/name": "expense",
			"node.k8s.amazonaws.com/instance_id": "i-0123"}}, why: "tag cluster.k8s.amazonaws.com/name=expense"},
	{name: "an interface without a tag", kind: "network interface", typ: "aws:ec2/networkInterface:NetworkInterface", prefix: "eni-",
		inVPC: true, why: "in the stack's vpc-"},
	{name: "a Service's network load balancer", kind: "load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "a0web",
		properties: properties{"loadBalancerType": "network", "tags": properties{owned: "owned",
			"kubernetes.io/service-name": "project/web"}}, why: "made for project/web"},
	{name: "a controller's load balancer", kind: "load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "k8s-web",
		properties: properties{"loadBalancerType": "application", "tags": properties{"elbv2.k8s.aws/cluster": "expense"}}, why: "tag " +
			"elbv2.k8s.aws/cluster=expense"},
	{name: "a classic load balancer", kind: "classic load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "a0classic",
		properties: properties{"loadBalancerType": "classic", "tags": properties{owned: "owned"}}, why: "tag " + owned + "=owned"},
	{name: "a target group", kind: "target group", typ: "aws:lb/targetGroup:TargetGroup", id: "k8s-web",
		properties: properties{"tags": properties{"elbv2.k8s.aws/cluster": "expense"}}, why: "elbv2"},
	{name: "a claim's volume", kind: "volume", typ: "aws:ebs/volume:Volume", prefix: "vol-",
		properties: properties{"size": 8, "tags": stackTags(owned, "owned", "CSIVolumeName", "pvc-1", "kubernetes.io/created-for/pvc/name",
			"data")}, why: "made for data"},
	{name: "a claim's snapshot", kind: "snapshot", typ: "aws:ebs/snapshot:Snapshot", prefix: "snap-",
		properties: properties{"volumeSize": 8, "tags": properties{owned: "owned"}}, why: owned},
	{name: "an Auto Scaling group", kind: "Auto Scaling group", typ: "aws:autoscaling/group:Group", id: "eks-expense-1",
		properties: properties{"tags": properties{"eks:cluster-name": "expense"}}, why: "tag eks:cluster-name=expense"},
	{name: "a node", kind: "instance", typ: "aws:ec2/instance:Instance", prefix: "i-",
		properties: properties{"instanceType": "m5.large", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a launch template", kind: "launch template", typ: "aws:ec2/launchTemplate:LaunchTemplate", prefix: "lt-",
		properties: properties{"name": "expense-1", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "EKS's launch template", kind: "launch template", typ: "aws:ec2/launchTemplate:LaunchTemplate", prefix: "lt-",
		properties: properties{"name": "eks-1", "tags": properties{"eks:cluster-name": "expense"}}, why: "eks:cluster-name"},
	{name: "a NAT gateway", kind: "NAT gateway", typ: "aws:ec2/natGateway:NatGateway", prefix: "nat-",
		properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "an endpoint", kind: "VPC endpoint", typ: "aws:ec2/vpcEndpoint:VpcEndpoint", prefix: "vpce-", inVPC: true,
		properties: properties{"vpcEndpointType": "Interface", "subnetIds": []any{"subnet-1"}}, why: "in the stack's vpc-"},
	{name: "an address", kind: "Elastic IP address", typ: "aws:ec2/eip:Eip", prefix: "eipalloc-",
		properties: properties{"publicIp": "198.51.100.7", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "an internet gateway", kind: "internet gateway", typ: "aws:ec2/internetGateway:InternetGateway", prefix: "igw-", inVPC: true,
		why: "in the stack's vpc-"},
	{name: "EKS's security group", kind: "security group", typ: "aws:ec2/securityGroup:SecurityGroup", prefix: "sg-", inVPC: true,
		properties: properties{"name": "eks-cluster-sg-expense-1", "tags": properties{"aws:eks:cluster-name": "expense"}}, why: "tag " +
			"aws:eks:cluster-name=expense"},
	{name: "a subnet", kind: "subnet", typ: "aws:ec2/subnet:Subnet", prefix: "subnet-", inVPC: true, why: "in the stack's vpc-"},
	{name: "a route table", kind: "route table", typ: "aws:ec2/routeTable:RouteTable", prefix: "rtb-", inVPC: true,
		why: "in the stack's vpc-"},
	{name: "a VPC", kind: "VPC", typ: "aws:ec2/vpc:Vpc", prefix: "vpc-", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a log group with the stack's tags", kind: "log group", typ: "aws:cloudwatch/logGroup:LogGroup", id: "/aws/eks/expense/cluster",
		properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a log group of the domain", kind: "log group", typ: "aws:cloudwatch/logGroup:LogGroup",
		id: "/aws/OpenSearchService/domains/expense/application", why: "its name"},
	{name: "the domain's log policy", kind: "log resource policy", typ: "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
		id: "opensearch-expense",
		properties: properties{
			"policyDocument": `{"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/OpenSearchService/domains/expense/*:*"}`,
		}, why: "its name"},
	{name: "a cache rule", kind: "image cache rule", typ: "aws:ecr/pullThroughCacheRule:PullThroughCacheRule", id: "expense/kubernetes",
		properties: properties{"upstreamRegistryUrl": "registry.k8s.io"}, why: "its prefix"},
	{name: "a repository", kind: "image repository", typ: "aws:ecr/repository:Repository", id: "expense/backend",
		properties: properties{"name": "expense/backend", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a cached image's repository", kind: "image repository", typ: "aws:ecr/repository:Repository",
		id: "expense/ecr-public/docker/library/nginx", properties: properties{"name": "expense/ecr-public/docker/library/nginx"},
		why: "the prefix of the stack's cache rule expense/ecr-public"},
	{name: "an alarm", kind: "alarm", typ: "aws:cloudwatch/metricAlarm:MetricAlarm", id: "expense-alarms-cluster-red",
		properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a topic", kind: "SNS topic", typ: "aws:sns/topic:Topic", id: arn + "sns:us-east-1:111122223333:expense-alarms",
		properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a role", kind: "role", typ: "aws:iam/role:Role", id: "expense-node-1", properties: properties{"name": "expense-node-1",
		"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "an identity provider", kind: "OIDC provider", typ: "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
		id:         arn + "iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/0",
		properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a key's alias", kind: "KMS alias", typ: "aws:kms/alias:Alias", id: "alias/eks/expense",
		properties: properties{"targetKeyId": "gone"}, why: "its name"},
	{name: "a key", kind: "KMS key", typ: "aws:kms/key:Key", id: "0000-1111", properties: properties{"tags": stackTags()},
		why: "pulumi:stack=dev"},
	{name: "a cluster", kind: "EKS cluster", typ: "aws:eks/cluster:Cluster", id: "expense",
		properties: properties{"name": "expense", "tags": stackTags()}, why: "and its tags"},
	{name: "a domain", kind: "OpenSearch domain", typ: "aws:opensearch/domain:Domain", id: arn + "es:us-east-1:111122223333:domain/expense",
		properties: properties{"domainName": "expense", "tags": stackTags()}, why: "and its tags"},
}

// realID is what a planted thing's API calls it by.
func realID(p planted, id string) string {
	switch {
	case p.kind == "load balancer":
		short := map[any]string{"network": "net", "application": "app"}[p.properties["loadBalancerType"]]
		return arn + "elasticloadbalancing:us-east-1:111122223333:loadbalancer/" + short + "/" + id + "/0123456789abcdef"
	case p.kind == "target group":
		return arn + "elasticloadbalancing:us-east-1:111122223333:targetgroup/" + id + "/0123456789abcdef"
	case p.kind == "OpenSearch domain":
		return "expense"
	}
	return id
}

// What is left over is found, and only it, and the commands take it away.
func TestEveryKindOfLeftoverIsFoundAndItsCommandsRemoveIt(t *testing.T) {
	covered := map[string]bool{}
	for _, p := range plants {
		covered[p.kind] = true
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount()
			if p.properties = maps.Clone(p.properties); p.properties == nil {
				p.properties = properties{}
			}
			var want []string
			if p.inVPC {
				vpc := a.model.Plant("aws:ec2/vpc:Vpc", "", "vpc-", awsmodel.Program, properties{"tags": stackTags()})
				p.properties["vpcId"], want = vpc, []string{"VPC " + vpc}
			}
			id := realID(p, a.model.Plant(p.typ, p.id, p.prefix, awsmodel.InCluster, p.properties))
			want = append([]string{p.kind + " " + id}, want...)

			report := a.lost(t)
			assert.ElementsMatch(t, want, ids(report, Leftover))
			assert.Empty(t, report.Unchecked)
			assert.Equal(t, 3, report.Code())
			assert.Contains(t, report.Of(Leftover)[0].Why, p.why)

			assert.Empty(t, a.play(report))
			after := a.find(t)
			assert.Empty(t, ids(after, Leftover))
			assert.Equal(t, 0, after.Code(), "%v", after.Unchecked)
		})
	}
	for _, p := range orphans {
		covered[p.kind] = true
	}
	for _, k := range kinds {
		assert.True(t, covered[k.name], k.name)
	}
}

// orphans are what an `up` that was killed made in a cluster. The state has the first of each two.
var orphans = []planted{
	{kind: "node group", typ: "aws:eks/nodeGroup:NodeGroup", properties: properties{"nodeGroupName": "NAME"}},
	{kind: "EKS add-on", typ: "aws:eks/addon:Addon", properties: properties{"addonName": "NAME"}},
	{kind: "EKS access entry", typ: "aws:eks/accessEntry:AccessEntry",
		properties: properties{"principalArn": "arn:aws:iam::111122223333:role/NAME"}},
	{kind: "EKS pod identity association", typ: "aws:eks/podIdentityAssociation:PodIdentityAssociation",
		properties: properties{"namespace": "project", "serviceAccount": "NAME"}},
	{kind: "EKS identity provider", typ: "aws:eks/identityProviderConfig:IdentityProviderConfig", properties: properties{"name": "NAME"}},
}

// plant puts a member of the cluster into the account, and returns what its API calls it by and its ID in a state.
func (p planted) plant(a *account, name string, tags properties) (id, state string) {
	all := properties{"clusterName": "expense", "tags": tags}
	for key, value := range p.properties {
		all[key] = strings.ReplaceAll(value.(string), "NAME", name)
		id = all[key].(string)
	}
	state = "expense:" + id
	if p.kind == "EKS pod identity association" {
		all["namespace"] = "project" // its ID is the service's
		id, state = "a-"+name, "a-"+name
	}
	a.model.Plant(p.typ, state, "", awsmodel.Program, all)
	return id, state
}

// inCluster is an account with a cluster that the state has.
func inCluster(t *testing.T) (*account, Options) {
	a := newAccount()
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense", "tags": stackTags(),
		"vpcConfig": properties{"vpcId": "vpc-2"}})
	options := a.options()
	options.State = &State{refs: map[string]bool{arn + "eks:us-east-1:111122223333:cluster/expense": true}}
	return a, options
}

// A cluster that is owned does not hide what nobody owns in it: the next `up` makes it a second time, and both cost.
func TestWhatAKilledUpMadeInTheClusterIsLeftOver(t *testing.T) {
	for _, p := range orphans {
		t.Run(p.kind, func(t *testing.T) {
			t.Parallel()
			a, options := inCluster(t)
			kept, state := p.plant(a, "kept", stackTags())
			options.State.refs[state] = true
			byHand, _ := p.plant(a, "by-hand", properties{"Name": "by-hand"})
			orphan, _ := p.plant(a, "orphan", stackTags())

			report, err := Find(context.Background(), options)
			require.NoError(t, err)
			assert.Equal(t, []string{p.kind + " " + orphan}, ids(report, Leftover))
			assert.Subset(t, ids(report, Owned), []string{p.kind + " " + kept, p.kind + " " + byHand},
				"what EKS or a person made in the cluster goes with it")
			assert.Equal(t, 3, report.Code())

			assert.Empty(t, a.play(report))
			after, err := Find(context.Background(), options)
			require.NoError(t, err)
			assert.Empty(t, ids(after, Leftover))
			assert.Len(t, after.Of(Owned), len(report.Of(Owned)))
		})
	}
}

// Nodes go with their group, and with the group alone. A claim's volume goes with the cluster, wherever its pod runs.
func TestWhatANodeGroupMadeGoesWithIt(t *testing.T) {
	a, options := inCluster(t)
	nodeGroup := orphans[0]
	_, state := nodeGroup.plant(a, "kept", stackTags())
	options.State.refs[state] = true
	nodeGroup.plant(a, "orphan", stackTags())
	var leftover, owned []string
	for group, list := range map[string]*[]string{"kept": &owned, "orphan": &leftover} {
		tags := properties{"eks:cluster-name": "expense", "eks:nodegroup-name": group}
		scaling := a.model.Plant("aws:autoscaling/group:Group", "eks-"+group, "", awsmodel.AWS,
			properties{"owner": "expense:" + group, "tags": tags})
		node := a.model.Plant("aws:ec2/instance:Instance", "", "i-", awsmodel.AWS, properties{"owner": "expense:" + group, "vpcId": "vpc-2"})
		eni := a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "", "eni-", awsmodel.AWS, properties{"owner": node, "vpcId": "vpc-2"})
		volume := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster,
			properties{"instance": node, "tags": properties{"kubernetes.io/cluster/expense": "owned"}})
		*list = append(*list, "node group "+group, "Auto Scaling group "+scaling, "instance "+node, "network interface "+eni)
		owned = append(owned, "volume "+volume)
	}
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.ElementsMatch(t, leftover, ids(report, Leftover))
	assert.ElementsMatch(t, append(owned, "EKS cluster expense"), ids(report, Owned))

	// Whose the nodes are cannot be told when their group cannot be looked at.
	a.api.Inject("eks:DescribeNodegroup", awsapi.Denied)
	options.State.refs = map[string]bool{arn + "eks:us-east-1:111122223333:cluster/expense": true}
	report, err = Find(context.Background(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Len(t, report.Of(Unknown), 6)
	assert.Equal(t, 1, report.Code())
}
