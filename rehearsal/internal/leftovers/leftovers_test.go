package leftovers

import (
	"context"
	"testing"

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
	{name: "an interface that the network plugin leaked", kind: "network interface", typ: "aws:ec2/networkInterface:NetworkInterface", prefix: "eni-",
		properties: properties{"description": "aws-K8S-i-0123", "tags": properties{"cluster.k8s.amazonaws.com/name": "expense", "node.k8s.amazonaws.com/instance_id": "i-0123"}}, why: "tag cluster.k8s.amazonaws.com/name=expense"},
	{name: "an interface without a tag", kind: "network interface", typ: "aws:ec2/networkInterface:NetworkInterface", prefix: "eni-", inVPC: true, why: "in the stack's vpc-"},
	{name: "a Service's network load balancer", kind: "load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "a0web",
		properties: properties{"loadBalancerType": "network", "tags": properties{owned: "owned", "kubernetes.io/service-name": "project/web"}}, why: "made for project/web"},
	{name: "a controller's load balancer", kind: "load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "k8s-web",
		properties: properties{"loadBalancerType": "application", "tags": properties{"elbv2.k8s.aws/cluster": "expense"}}, why: "tag elbv2.k8s.aws/cluster=expense"},
	{name: "a classic load balancer", kind: "classic load balancer", typ: "aws:lb/loadBalancer:LoadBalancer", id: "a0classic",
		properties: properties{"loadBalancerType": "classic", "tags": properties{owned: "owned"}}, why: "tag " + owned + "=owned"},
	{name: "a target group", kind: "target group", typ: "aws:lb/targetGroup:TargetGroup", id: "k8s-web", properties: properties{"tags": properties{"elbv2.k8s.aws/cluster": "expense"}}, why: "elbv2"},
	{name: "a claim's volume", kind: "volume", typ: "aws:ebs/volume:Volume", prefix: "vol-",
		properties: properties{"size": 8, "tags": stackTags(owned, "owned", "CSIVolumeName", "pvc-1", "kubernetes.io/created-for/pvc/name", "data")}, why: "made for data"},
	{name: "a claim's snapshot", kind: "snapshot", typ: "aws:ebs/snapshot:Snapshot", prefix: "snap-", properties: properties{"volumeSize": 8, "tags": properties{owned: "owned"}}, why: owned},
	{name: "an Auto Scaling group", kind: "Auto Scaling group", typ: "aws:autoscaling/group:Group", id: "eks-expense-1", properties: properties{"tags": properties{"eks:cluster-name": "expense"}}, why: "tag eks:cluster-name=expense"},
	{name: "a node", kind: "instance", typ: "aws:ec2/instance:Instance", prefix: "i-", properties: properties{"instanceType": "m5.large", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a launch template", kind: "launch template", typ: "aws:ec2/launchTemplate:LaunchTemplate", prefix: "lt-", properties: properties{"name": "expense-1", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "EKS's launch template", kind: "launch template", typ: "aws:ec2/launchTemplate:LaunchTemplate", prefix: "lt-", properties: properties{"name": "eks-1", "tags": properties{"eks:cluster-name": "expense"}}, why: "eks:cluster-name"},
	{name: "a NAT gateway", kind: "NAT gateway", typ: "aws:ec2/natGateway:NatGateway", prefix: "nat-", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "an endpoint", kind: "VPC endpoint", typ: "aws:ec2/vpcEndpoint:VpcEndpoint", prefix: "vpce-", inVPC: true, properties: properties{"vpcEndpointType": "Interface", "subnetIds": []any{"subnet-1"}}, why: "in the stack's vpc-"},
	{name: "an address", kind: "Elastic IP address", typ: "aws:ec2/eip:Eip", prefix: "eipalloc-", properties: properties{"publicIp": "198.51.100.7", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "an internet gateway", kind: "internet gateway", typ: "aws:ec2/internetGateway:InternetGateway", prefix: "igw-", inVPC: true, why: "in the stack's vpc-"},
	{name: "EKS's security group", kind: "security group", typ: "aws:ec2/securityGroup:SecurityGroup", prefix: "sg-", inVPC: true,
		properties: properties{"name": "eks-cluster-sg-expense-1", "tags": properties{"aws:eks:cluster-name": "expense"}}, why: "tag aws:eks:cluster-name=expense"},
	{name: "a subnet", kind: "subnet", typ: "aws:ec2/subnet:Subnet", prefix: "subnet-", inVPC: true, why: "in the stack's vpc-"},
	{name: "a route table", kind: "route table", typ: "aws:ec2/routeTable:RouteTable", prefix: "rtb-", inVPC: true, why: "in the stack's vpc-"},
	{name: "a VPC", kind: "VPC", typ: "aws:ec2/vpc:Vpc", prefix: "vpc-", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a log group with the stack's tags", kind: "log group", typ: "aws:cloudwatch/logGroup:LogGroup", id: "/aws/eks/expense/cluster", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a log group of the domain", kind: "log group", typ: "aws:cloudwatch/logGroup:LogGroup", id: "/aws/OpenSearchService/domains/expense/application-logs", why: "its name"},
	{name: "the domain's log policy", kind: "log resource policy", typ: "aws:cloudwatch/logResourcePolicy:LogResourcePolicy", id: "opensearch-expense",
		properties: properties{"policyDocument": `{"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/OpenSearchService/domains/expense/audit-logs:*"}`}, why: "its name"},
	{name: "an alarm", kind: "alarm", typ: "aws:cloudwatch/metricAlarm:MetricAlarm", id: "expense-alarms-cluster-red", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a topic", kind: "SNS topic", typ: "aws:sns/topic:Topic", id: arn + "sns:us-east-1:111122223333:expense-alarms", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a role", kind: "role", typ: "aws:iam/role:Role", id: "expense-node-1", properties: properties{"name": "expense-node-1", "tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "an identity provider", kind: "OIDC provider", typ: "aws:iam/openIdConnectProvider:OpenIdConnectProvider", id: arn + "iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/0", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a key's alias", kind: "KMS alias", typ: "aws:kms/alias:Alias", id: "alias/eks/expense", properties: properties{"targetKeyId": "gone"}, why: "its name"},
	{name: "a key", kind: "KMS key", typ: "aws:kms/key:Key", id: "0000-1111", properties: properties{"tags": stackTags()}, why: "pulumi:stack=dev"},
	{name: "a cluster", kind: "EKS cluster", typ: "aws:eks/cluster:Cluster", id: "expense", properties: properties{"name": "expense", "tags": stackTags()}, why: "and its tags"},
	{name: "a domain", kind: "OpenSearch domain", typ: "aws:opensearch/domain:Domain", id: arn + "es:us-east-1:111122223333:domain/expense", properties: properties{"domainName": "expense", "tags": stackTags()}, why: "and its tags"},
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

// What is left over is found, and only it, and is gone after it was removed.
func TestEveryKindOfLeftoverIsFoundAndRemoved(t *testing.T) {
	covered := map[string]bool{}
	for _, p := range plants {
		covered[p.kind] = true
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			if p.properties == nil {
				p.properties = properties{}
			}
			var want []string
			if p.inVPC {
				vpc := a.model.Plant("aws:ec2/vpc:Vpc", "", "vpc-", awsmodel.Program, properties{"tags": stackTags()})
				p.properties["vpcId"], want = vpc, []string{"VPC " + vpc}
			}
			id := realID(p, a.model.Plant(p.typ, p.id, p.prefix, awsmodel.InCluster, p.properties))
			want = append([]string{p.kind + " " + id}, want...)

			report := a.find(t)
			assert.ElementsMatch(t, want, ids(report, Leftover))
			assert.Empty(t, report.Unchecked)
			assert.Equal(t, 3, report.Code())
			assert.Contains(t, report.Of(Leftover)[0].Why, p.why)

			after, err := Remove(context.Background(), a.options(), report)
			require.NoError(t, err)
			assert.Empty(t, ids(after, Leftover))
			assert.Equal(t, 0, after.Code(), "%v", after.Unchecked)
		})
	}
	for _, k := range kinds {
		// These three are the cluster's members.
		assert.Equal(t, k.name != "node group" && k.name != "EKS add-on" && k.name != "EKS access entry", covered[k.name], k.name)
	}
}
