package leftovers

import (
	"context"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/stage/stagetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listed are the kinds that show the model's types.
var listed = map[string]string{
	"aws:ec2/vpc:Vpc":                                       "VPC",
	"aws:ec2/subnet:Subnet":                                 "subnet",
	"aws:ec2/internetGateway:InternetGateway":               "internet gateway",
	"aws:ec2/eip:Eip":                                       "Elastic IP address",
	"aws:ec2/natGateway:NatGateway":                         "NAT gateway",
	"aws:ec2/routeTable:RouteTable":                         "route table",
	"aws:ec2/vpcEndpoint:VpcEndpoint":                       "VPC endpoint",
	"aws:ec2/launchTemplate:LaunchTemplate":                 "launch template",
	"aws:ec2/securityGroup:SecurityGroup":                   "security group",
	"aws:iam/role:Role":                                     "role",
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider":   "OIDC provider",
	"aws:iam/serviceLinkedRole:ServiceLinkedRole":           "role",
	"aws:eks/cluster:Cluster":                               "EKS cluster",
	"aws:eks/nodeGroup:NodeGroup":                           "node group",
	"aws:eks/addon:Addon":                                   "EKS add-on",
	"aws:eks/accessEntry:AccessEntry":                       "EKS access entry",
	"aws:kms/key:Key":                                       "KMS key",
	"aws:kms/alias:Alias":                                   "KMS alias",
	"aws:cloudwatch/logGroup:LogGroup":                      "log group",
	"aws:cloudwatch/logResourcePolicy:LogResourcePolicy":    "log resource policy",
	"aws:cloudwatch/metricAlarm:MetricAlarm":                "alarm",
	"aws:opensearch/domain:Domain":                          "OpenSearch domain",
	"aws:sns/topic:Topic":                                   "SNS topic",
	"aws:ecr/repository:Repository":                         "image repository",
	"aws:ecr/pullThroughCacheRule:PullThroughCacheRule":     "image cache rule",
	"aws:ec2/networkInterface:NetworkInterface":             "network interface",
	"aws:ec2/instance:Instance":                             "instance",
	"aws:autoscaling/group:Group":                           "Auto Scaling group",
	"aws:ebs/volume:Volume":                                 "volume",
	"aws:lb/loadBalancer:LoadBalancer":                      "load balancer",
	"aws:lb/targetGroup:TargetGroup":                        "target group",
	"aws:eks/podIdentityAssociation:PodIdentityAssociation": "EKS pod identity association",
	"aws:eks/identityProviderConfig:IdentityProviderConfig": "EKS identity provider",
}

// parts are the model's types that are parts of something else, and go with it.
var parts = []string{
	"aws:ec2/route:Route", "aws:ec2/routeTableAssociation:RouteTableAssociation", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
	"aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "aws:iam/rolePolicy:RolePolicy",
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment",
	"aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
	"aws:opensearch/domainPolicy:DomainPolicy", "aws:sns/topicSubscription:TopicSubscription", "aws:sns/topicPolicy:TopicPolicy",
	"aws:ecr/lifecyclePolicy:LifecyclePolicy",
}

// The real engine's state is what tells owned from left over: nothing of a stack that is up may be called a leftover, and
// everything that is there must be seen.
func TestAStackOfTheEngineIsOwnedWhileItIsUpAndGoneAfterwards(t *testing.T) {
	s := stagetest.New(t, stagetest.Options(t))
	pulumi := func(args ...string) { require.NoError(t, s.Pulumi(t.Context(), args...)) }
	pulumi("config", "set", "--path", "expense:workloads.web.public", "true")
	pulumi("config", "set", "--path", "expense:logging.alarms.email", "ops@example.com")
	pulumi("config", "set", "--path", "expense:cluster.registry.repositories[0]", "worker")
	pulumi("config", "set", "--path", "expense:cluster.registry.cache", "true")
	pulumi("config", "set", "--path", "expense:cluster.identityProvider.issuerUrl", "https://login.example.com")
	pulumi("config", "set", "--path", "expense:cluster.identityProvider.clientId", "kubernetes")
	pulumi("up", "--yes", "--skip-preview", "--suppress-progress")

	a := behind(s.Model)
	options := a.options()
	exported := func() *State {
		data, err := s.Output(t.Context(), "stack", "export")
		require.NoError(t, err)
		state, err := ParseState(data)
		require.NoError(t, err)
		return state
	}
	options.State = exported()
	report, err := Find(t.Context(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Empty(t, report.Unchecked)
	assert.Equal(t, 0, report.Code())
	want, got := map[string]int{}, map[string]int{}
	for _, item := range s.Model.Inventory() {
		kind := listed[item.Type]
		if kind == "" {
			assert.Contains(t, parts, item.Type)
			continue
		}
		want[kind]++
	}
	for _, i := range report.Items {
		got[i.Kind]++
	}
	assert.Equal(t, want, got)
	assert.GreaterOrEqual(t, len(got), 25, "kinds of things in a stack")

	options.State = nil
	unknown, err := Find(t.Context(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(unknown, Leftover))
	assert.Len(t, unknown.Of(Unknown), len(report.Of(Owned))-1, "the service-linked role is owned and kept")

	// Images outlive a destroy that nobody told to take them: all else goes, and the repository by hand.
	s.Model.Plant("aws:ecr/image:Image", "sha256:0", "", awsmodel.InCluster, properties{"repository": "expense/worker"})
	require.Error(t, s.Pulumi(t.Context(), "destroy", "--yes", "--skip-preview", "--suppress-progress"))
	assert.Len(t, s.Model.Objects("aws:ecr/image:Image"), 1)
	assert.Empty(t, s.Model.Objects("aws:eks/cluster:Cluster"))
	require.NoError(t, a.api.Command(strings.Fields("aws ecr delete-repository --repository-name expense/worker --force")))
	pulumi("destroy", "--yes", "--skip-preview", "--suppress-progress")
	options.State = exported()
	assert.Empty(t, options.State.refs)
	report, err = Find(t.Context(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Equal(t, 0, report.Code())
	assert.Contains(t, ids(report, Kept), "role AWSServiceRoleForEC2Spot")

	volume := s.Model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": properties{owned: "owned"}})
	report, err = Find(context.Background(), options)
	require.NoError(t, err)
	assert.Equal(t, []string{"volume " + volume}, ids(report, Leftover))
}
