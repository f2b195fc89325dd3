package leftovers

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Names are taken once in an account: what has the cluster's name may be of a cluster that is not the stack's.
func TestANameThatIsOthersCountsNothing(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense",
		"vpcConfig": properties{"vpcId": "vpc-1"}})
	a.model.Plant("aws:opensearch/domain:Domain", arn+"es:us-east-1:111122223333:domain/expense", "", awsmodel.Program,
		properties{"domainName": "expense"})
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

// Without the state a stack that is up looks like one that was left behind.
func TestWithoutTheStateNothingIsCalledALeftover(t *testing.T) {
	a := newAccount()
	volume := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": stackTags()})
	options := a.options()
	options.State = nil
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Equal(t, []string{"volume " + volume}, ids(report, Unknown))
	assert.Equal(t, 1, report.Code())
	assert.Empty(t, report.Commands())
}

// While the cluster is up, what it made and what is in its VPC is its own; once it is gone, that is left over.
func TestWhatTheClusterMadeIsOwnedForAsLongAsItIs(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	volume := a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": properties{owned: "owned"}})
	node := a.model.Plant("aws:ec2/instance:Instance", "", "i-", awsmodel.AWS, properties{"vpcId": "vpc-2",
		"tags": properties{owned: "owned"}})
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
	assert.ElementsMatch(t, []string{"volume " + volume, "instance " + node, "network interface " + eni, "network interface " + nobodys},
		ids(report, Leftover))
	assert.Equal(t, []string{"VPC vpc-2"}, ids(report, Owned))
}

// An interface goes with the service that uses it, and that may be owned when the cluster is gone already.
func TestAnInterfaceBelongsToWhatUsesIt(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	for description, owner := range map[string]string{"Interface for NAT Gateway nat-1": "nat-1", "VPC Endpoint Interface vpce-1": "vpce-1",
		"ES expense": "domain"} {
		a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "", "eni-", awsmodel.AWS,
			properties{"vpcId": "vpc-2", "owner": owner, "description": description})
	}
	options := a.options()
	options.State = &State{refs: map[string]bool{"vpc-2": true, "nat-1": true, "vpce-1": true,
		arn + "es:us-east-1:111122223333:domain/expense": true}}
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Len(t, report.Of(Owned), 4)
}

// What ECR made for the stack's cache outlives the rule, so it is not called the rule's.
func TestACachedImageIsKeptWhileItsRuleIsThere(t *testing.T) {
	a := newAccount()
	const name = "expense/ecr-public/docker/library/nginx"
	a.model.Plant("aws:ecr/pullThroughCacheRule:PullThroughCacheRule", "expense/ecr-public", "", awsmodel.Program, properties{})
	a.model.Plant("aws:ecr/repository:Repository", name, "", awsmodel.AWS, properties{"name": name})
	a.model.Plant("aws:ecr/image:Image", "sha256:0", "", awsmodel.AWS, properties{"repository": name})
	options := a.options()
	options.State = &State{refs: map[string]bool{cacheRule("expense/ecr-public"): true}}
	report, err := Find(t.Context(), options)
	require.NoError(t, err)
	assert.Equal(t, []string{"image cache rule expense/ecr-public"}, ids(report, Owned))
	assert.Equal(t, []string{"image repository " + name}, ids(report, Kept))

	a.model.Uproot("aws:ecr/pullThroughCacheRule:PullThroughCacheRule", "expense/ecr-public")
	report = a.find(t)
	assert.Equal(t, []string{"image repository " + name}, ids(report, Leftover))
	assert.Empty(t, a.play(report), "images and all")
	assert.Empty(t, a.find(t).Items)
}

func TestWhatAWSKeepsIsNoLeftover(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:kms/key:Key", "0000-1111", "", awsmodel.Program, properties{"deletionWindowInDays": 7, "tags": stackTags()})
	require.NoError(t, a.model.Delete(context.Background(), "aws:kms/key:Key", "0000-1111"))
	a.model.Plant("aws:cloudwatch/logGroup:LogGroup", "/aws/eks/expense/cluster", "", awsmodel.AWS, properties{})
	a.model.Plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "spot", "", awsmodel.AWS,
		properties{"name": "AWSServiceRoleForEC2Spot", "path": "/aws-service-role/spot.amazonaws.com/"})
	report := a.find(t)
	assert.ElementsMatch(t, []string{"KMS key 0000-1111", "log group /aws/eks/expense/cluster", "role AWSServiceRoleForEC2Spot"},
		ids(report, Kept))
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
	plant("aws:ec2/networkInterface:NetworkInterface", "eni-1", properties{"vpcId": "vpc-2", "subnetId": "subnet-1", "owner": "nat-1",
		"description": "Interface for NAT Gateway nat-1", "publicIp": "198.51.100.7"})
	plant("aws:ec2/vpcEndpoint:VpcEndpoint", "vpce-1", properties{"vpcId": "vpc-2", "vpcEndpointType": "Gateway"})
	plant("aws:ec2/routeTable:RouteTable", "rtb-1", properties{"vpcId": "vpc-2"})
	plant("aws:ec2/routeTableAssociation:RouteTableAssociation", "rtbassoc-1", properties{"routeTableId": "rtb-1", "subnetId": "subnet-1"})
	plant("aws:ec2/instance:Instance", "i-1", properties{"vpcId": "vpc-2", "instanceType": "m5.large"})
	plant("aws:ec2/networkInterface:NetworkInterface", "eni-2", properties{"vpcId": "vpc-2", "subnetId": "subnet-1", "owner": "i-1",
		"securityGroups": []any{"sg-1"}})
	for _, pair := range [][2]string{{"sg-1", "sg-2"}, {"sg-2", "sg-1"}} {
		plant("aws:ec2/securityGroup:SecurityGroup", pair[0], properties{"vpcId": "vpc-2", "name": pair[0]})
		plant("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "sgr-in-"+pair[0],
			properties{"securityGroupId": pair[0], "referencedSecurityGroupId": pair[1]})
		plant("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "sgr-out-"+pair[0],
			properties{"securityGroupId": pair[0], "referencedSecurityGroupId": pair[1]})
	}
	plant("aws:iam/role:Role", "expense-node-1", properties{"name": "expense-node-1"})
	plant("aws:iam/rolePolicy:RolePolicy", "expense-node-1:inline", properties{"role": "expense-node-1", "name": "inline"})
	plant("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "attachment", properties{"role": "expense-node-1",
		"policyArn": arn + "iam::aws:policy/AmazonEKSWorkerNodePolicy"})
	plant("aws:iam/instanceProfile:InstanceProfile", "eks-1", properties{"role": "expense-node-1"})
	plant("aws:eks/cluster:Cluster", "expense", properties{"name": "expense", "vpcConfig": properties{"vpcId": "vpc-2"}})
	plant("aws:eks/nodeGroup:NodeGroup", "expense:expense-1", properties{"clusterName": "expense", "nodeGroupName": "expense-1"})
	plant("aws:eks/addon:Addon", "expense:coredns", properties{"clusterName": "expense", "addonName": "coredns"})
	plant("aws:eks/accessEntry:AccessEntry", "expense:role", properties{"clusterName": "expense", "principalArn": "role"})
}

// Signed in to the wrong backend, one has an empty state, or one of a second `up` that failed at the first name that was taken.
// What runs was made from another, in which Pulumi's protection is.
func TestAStateThatCannotBeTheStacksOffersNothing(t *testing.T) {
	const vpc = "vpc-2"
	const clusterARN, domainARN = arn + "eks:us-east-1:111122223333:cluster/expense", arn + "es:us-east-1:111122223333:domain/expense"
	for name, c := range map[string]struct {
		typ, id string
		p       properties
	}{
		"cluster": {"aws:eks/cluster:Cluster", "expense", properties{"name": "expense", "vpcConfig": properties{"vpcId": vpc}}},
		"domain":  {"aws:opensearch/domain:Domain", domainARN, properties{"domainName": "expense", "vpcOptions": properties{"vpcId": vpc}}},
		// A domain with a public endpoint is not the program's.
		"domain without a VPC": {"aws:opensearch/domain:Domain", domainARN, properties{"domainName": "expense"}},
	} {
		a := newAccount()
		c.p["tags"] = stackTags()
		a.model.Plant(c.typ, c.id, "", awsmodel.Program, c.p)
		a.model.Plant("aws:ebs/volume:Volume", "vol-1", "", awsmodel.InCluster, properties{"tags": stackTags()})
		for state, refs := range map[string][]string{"empty": nil, "of another life": {"vpc-3", "subnet-3"}} {
			options := a.options()
			options.State = &State{refs: map[string]bool{}}
			for _, ref := range refs {
				options.State.refs[ref] = true
			}
			report, err := Find(t.Context(), options)
			require.NoError(t, err)
			assert.Empty(t, ids(report, Leftover), "%s, %s", name, state)
			assert.Empty(t, report.Commands())
			assert.Equal(t, 1, report.Code())
			require.NotEmpty(t, report.Notes)
			for _, want := range []string{"that is not the state from which it was made", "pulumi whoami -v", "make leftovers STACK=dev LOST=1"} {
				assert.Contains(t, report.Notes[0], want)
			}
		}
		assert.Len(t, a.lost(t).Of(Leftover), 2, name)

		// A kill at the cluster or the domain leaves the VPC in the state.
		for _, ref := range []string{vpc, clusterARN, domainARN} {
			if ref == vpc && name == "domain without a VPC" || ref == clusterARN && name != "cluster" || ref == domainARN && name == "cluster" {
				continue
			}
			options := a.options()
			options.State = &State{refs: map[string]bool{ref: true}}
			report, err := Find(t.Context(), options)
			require.NoError(t, err)
			assert.Contains(t, ids(report, Leftover), "volume vol-1", "%s, %s", name, ref)
		}
	}
}

// Nor does one with which what runs could not be compared, or under whose names it does not run.
func TestWhatMayRunIsNotOffered(t *testing.T) {
	const others, unknown = "has neither it nor its VPC (vpc-2)", "could not be found out"
	for name, c := range map[string]struct {
		cluster, domain string
		denied          []string
		notes           []string
		lost            bool // offered where the state is lost
	}{
		"a cluster that nobody may look at": {"expense", "expense", []string{"eks:DescribeCluster"},
			[]string{"the cluster expense is there " + unknown, others}, false},
		"a domain that nobody may look at": {"other", "expense", []string{"es:DescribeDomain"},
			[]string{"the domain expense is there " + unknown, others}, false},
		"other names in the settings": {"other", "other", nil, []string{others}, true},
		"other names, and no machines to see": {"other", "other", []string{"ec2:DescribeInstances", "ec2:DescribeNatGateways"}, []string{others},
			true},
	} {
		a := newAccount()
		a.forget()
		options := a.options()
		options.State = &State{refs: map[string]bool{}}
		options.Stack.Cluster, options.Stack.Domain = c.cluster, c.domain
		for _, action := range c.denied {
			a.api.Inject(action, awsapi.Denied)
		}
		report, err := Find(t.Context(), options)
		require.NoError(t, err)
		assert.Greater(t, len(report.Of(Unknown)), 8, name)
		assert.Empty(t, report.Of(Leftover), name)
		assert.Empty(t, report.Commands(), name)
		require.Len(t, report.Notes, len(c.notes), name)
		for i, note := range c.notes {
			assert.Contains(t, report.Notes[i], note, name)
		}
		options.Lost = true
		report, err = Find(t.Context(), options)
		require.NoError(t, err)
		assert.Equal(t, c.lost, len(report.Of(Leftover)) > 0, name)
	}
}

// AWS keeps nothing of a domain that is deleted.
func TestAProtectedDomainIsNeverOffered(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:opensearch/domain:Domain", arn+"es:us-east-1:111122223333:domain/expense", "", awsmodel.Program,
		properties{"domainName": "expense", "tags": stackTags()})
	options := a.options()
	options.Lost, options.Stack.Protected = true, true
	report, err := Find(t.Context(), options)
	require.NoError(t, err)
	assert.Equal(t, []string{"OpenSearch domain expense"}, ids(report, Leftover))
	assert.Empty(t, report.Commands())
	var out bytes.Buffer
	require.NoError(t, report.Text(&out))
	assert.Contains(t, out.String(), "# OpenSearch domain expense stays: logging.domain.protect is true in Pulumi.dev.yaml")
	assert.Contains(t, out.String(), "pulumi config set --path 'expense:logging.domain.protect' false --stack dev")
}

// Each thing blocks another one's removal until it is gone itself.
func TestTheCommandsRemoveAWholeStackThatWasForgotten(t *testing.T) {
	a := newAccount()
	a.forget()
	report := a.lost(t)
	assert.Len(t, report.Of(Leftover), 17)
	assert.Empty(t, a.play(report))
	after := a.find(t)
	assert.Equal(t, 0, after.Code())
	assert.Empty(t, after.Items)
	for _, item := range a.model.Inventory() {
		assert.Equal(t, "i-1", item.ID, "EC2 shows a terminated instance for a while")
	}
}

// Secrets of a cluster cannot be read without the key that they are encrypted with.
func TestAKeyStaysWhileAClusterOfTheNameIsThere(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:kms/key:Key", "0000-1111", "", awsmodel.Program, properties{"tags": stackTags()})
	require.Len(t, a.find(t).Commands(), 1)
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense"})
	report := a.find(t)
	assert.Equal(t, []string{"KMS key 0000-1111"}, ids(report, Leftover))
	assert.Empty(t, report.Commands())
	var out bytes.Buffer
	require.NoError(t, report.Text(&out))
	assert.Contains(t, out.String(), "# KMS key 0000-1111 stays: the cluster expense is there and may need it")
	assert.NotContains(t, out.String(), "export AWS_PAGER=")
}

// GuardDuty's endpoint and group are in the stack's VPC, and no destroy takes them.
func TestWhatGuardDutyMadeIsNeverOwned(t *testing.T) {
	a := newAccount()
	tags := properties{"GuardDutyManaged": "true"}
	a.model.Plant("aws:ec2/vpc:Vpc", "vpc-2", "", awsmodel.Program, properties{"tags": stackTags()})
	a.model.Plant("aws:ec2/vpcEndpoint:VpcEndpoint", "vpce-1", "", awsmodel.AWS, properties{"vpcId": "vpc-2", "tags": tags})
	a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "eni-1", "", awsmodel.AWS,
		properties{"vpcId": "vpc-2", "owner": "vpce-1", "description": "VPC Endpoint Interface vpce-1"})
	a.model.Plant("aws:ec2/securityGroup:SecurityGroup", "sg-1", "", awsmodel.AWS, properties{"vpcId": "vpc-2",
		"name": "GuardDutyManagedSecurityGroup-vpc-2", "tags": tags})
	a.model.Plant("aws:ec2/vpcEndpoint:VpcEndpoint", "vpce-2", "", awsmodel.AWS, properties{"vpcId": "vpc-1", "tags": tags})
	options := a.options()
	options.State = &State{refs: map[string]bool{"vpc-2": true, arn + "eks:us-east-1:111122223333:cluster/expense": true}}
	report, err := Find(t.Context(), options)
	require.NoError(t, err)
	theirs := []string{"VPC endpoint vpce-1", "network interface eni-1", "security group sg-1"}
	assert.Equal(t, theirs, ids(report, Kept))
	assert.Equal(t, []string{"VPC vpc-2"}, ids(report, Owned))
	assert.Equal(t, 0, report.Code())

	// Destroy took the cluster and stopped at the network.
	options.State = &State{refs: map[string]bool{"vpc-2": true}}
	report, err = Find(t.Context(), options)
	require.NoError(t, err)
	assert.Equal(t, theirs, ids(report, Leftover))
	assert.Empty(t, a.play(report))
	report, err = Find(t.Context(), options)
	require.NoError(t, err)
	assert.Equal(t, []string{"VPC vpc-2"}, ids(report, Owned))
	assert.Len(t, report.Items, 1)
}

// full is an account with everything that is planted anywhere, so that every call of a search is made.
func full(t *testing.T) *account {
	a := newAccount()
	plantOthers(t, a)
	for _, p := range plants {
		a.model.Uproot(p.typ, p.id) // another's of the name
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
	calls := a.api.Calls()
	require.GreaterOrEqual(t, len(calls), 35)
	for action := range calls {
		b := behind(a.model)
		b.api.Inject(action, awsapi.Denied)
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
	a := newAccount()
	a.model.Plant("aws:ec2/networkInterface:NetworkInterface", "eni-1", "", awsmodel.AWS, properties{"owner": "i-1", "tags": stackTags()})
	a.model.Plant("aws:ec2/instance:Instance", "i-1", "", awsmodel.AWS, properties{"tags": properties{owned: "owned"}})
	a.api.Inject("ec2:DescribeInstances", awsapi.Denied)
	options := a.options()
	options.State = &State{refs: map[string]bool{arn + "eks:us-east-1:111122223333:cluster/expense": true}}
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	assert.Empty(t, ids(report, Leftover))
	assert.Equal(t, []string{"network interface eni-1"}, ids(report, Unknown))
}

// Where nobody can tell whose the cluster is, its name proves nothing.
func TestANameThatCannotBeClaimedCountsNothing(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:ebs/volume:Volume", "", "vol-", awsmodel.InCluster, properties{"tags": properties{owned: "owned"}})
	a.model.Plant("aws:cloudwatch/logGroup:LogGroup", "/aws/OpenSearchService/domains/expense/audit", "", awsmodel.Program, properties{})
	require.Len(t, a.find(t).Of(Leftover), 2)
	a.api.Inject("eks:DescribeCluster", awsapi.Denied)
	a.api.Inject("es:DescribeDomain", awsapi.Denied)
	report := a.find(t)
	assert.Empty(t, report.Items)
	assert.Equal(t, 1, report.Code())
}

func TestThrottlingIsOvercomeOrReported(t *testing.T) {
	a := newAccount()
	for action, fault := range map[string]awsapi.Fault{"ec2:DescribeVolumes": awsapi.Overloaded, "logs:DescribeLogGroups": awsapi.Throttled,
		"eks:DescribeCluster": awsapi.Throttled} {
		fault.Times = 3
		a.api.Inject(action, fault)
	}
	assert.Equal(t, 0, a.find(t).Code())

	a.api.Inject("ec2:DescribeVolumes", awsapi.Overloaded)
	report := a.find(t)
	assert.Equal(t, 1, report.Code())
	require.Len(t, report.Unchecked, 1)
	assert.Equal(t, "volume", report.Unchecked[0].What)
	assert.Contains(t, report.Unchecked[0].Problem, "asked too often")
}

func TestCredentialsThatDoNotWorkEndTheSearchWithARemedy(t *testing.T) {
	a := newAccount()
	a.api.Inject("*", awsapi.Expired)
	_, err := Find(context.Background(), a.options())
	assert.ErrorContains(t, err, "the credentials have expired")
	assert.ErrorContains(t, err, "aws sso login, or aws configure; then, because keys in the environment win over both: unset "+
		"AWS_ACCESS_KEY_ID ")

	// What is no answer of AWS says nothing of credentials.
	options := a.options()
	options.Config.APIOptions, options.Config.HTTPClient = nil, smithyhttp.ClientDoFunc(func(*http.Request) (*http.Response,
		error) {
		return nil, assert.AnError
	})
	_, err = Find(context.Background(), options)
	assert.ErrorContains(t, err, assert.AnError.Error())
	assert.NotContains(t, err.Error(), "sign in")
}

func TestAnotherAccountOrRegionThanTheStacksIsRefused(t *testing.T) {
	a := newAccount()
	for arn, want := range map[string]string{
		"arn:aws:ec2:us-east-1:999999999999:vpc/vpc-1": "sign in to account 999999999999",
		"arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1": "pulumi config set aws:region eu-west-1 --stack dev",
	} {
		options := a.options()
		var err error
		options.State, err = ParseState(fmt.Appendf(nil,
			`{"deployment":{"resources":[{"type":"aws:ec2/vpc:Vpc","custom":true,"id":"vpc-1","outputs":{"arn":%q}}]}}`, arn))
		require.NoError(t, err)
		_, err = Find(context.Background(), options)
		assert.ErrorContains(t, err, want)
	}
}

// Settings and environment that disagree are a usual reason for finding nothing.
func TestAClusterInTheEnvironmentsRegionIsPointedOut(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, properties{"name": "expense", "tags": stackTags()})
	options := a.options()
	options.Region = "eu-west-1"
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	require.Len(t, report.Unchecked, 1)
	assert.Contains(t, report.Unchecked[0].Problem, "pulumi config set aws:region eu-west-1 --stack dev")
	assert.Contains(t, report.Notes[1], "AWS_REGION is eu-west-1")
}

// EKS deletes no cluster while it disassociates an identity provider, which goes with its cluster.
func TestWhatGoesWithAnotherIsRemovedWithIt(t *testing.T) {
	provider := Item{Kind: "EKS identity provider", ID: "oidc", Mark: Leftover}
	cluster := Item{Kind: "EKS cluster", ID: "expense", Mark: Leftover}
	report := &Report{Stack: Stack{Cluster: "expense"}, Items: []Item{provider, cluster}}
	require.Len(t, report.Commands(), 2)
	assert.Contains(t, report.Commands()[0], "delete-cluster")
	report.Items = []Item{provider}
	require.Len(t, report.Commands(), 1)
	assert.Contains(t, report.Commands()[0], "disassociate-identity-provider-config")
}
