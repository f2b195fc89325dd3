package awsmodel

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// Type tokens that rules refer to. Those of the second group are made only by AWS or by in-cluster controllers.
const (
	tVPC          = "aws:ec2/vpc:Vpc"
	tSubnet       = "aws:ec2/subnet:Subnet"
	tIGW          = "aws:ec2/internetGateway:InternetGateway"
	tEIP          = "aws:ec2/eip:Eip"
	tNAT          = "aws:ec2/natGateway:NatGateway"
	tRouteTable   = "aws:ec2/routeTable:RouteTable"
	tRoute        = "aws:ec2/route:Route"
	tRouteAssoc   = "aws:ec2/routeTableAssociation:RouteTableAssociation"
	tEndpoint     = "aws:ec2/vpcEndpoint:VpcEndpoint"
	tTemplate     = "aws:ec2/launchTemplate:LaunchTemplate"
	tSG           = "aws:ec2/securityGroup:SecurityGroup"
	tIngress      = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	tRole         = "aws:iam/role:Role"
	tRolePolicy   = "aws:iam/rolePolicy:RolePolicy"
	tAttachment   = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	tOIDC         = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
	tSLR          = "aws:iam/serviceLinkedRole:ServiceLinkedRole"
	tCluster      = "aws:eks/cluster:Cluster"
	tNodeGroup    = "aws:eks/nodeGroup:NodeGroup"
	tAddon        = "aws:eks/addon:Addon"
	tAccessEntry  = "aws:eks/accessEntry:AccessEntry"
	tAccessPolicy = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
	tPodIdentity  = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	tSignIn       = "aws:eks/identityProviderConfig:IdentityProviderConfig"
	tKey          = "aws:kms/key:Key"
	tAlias        = "aws:kms/alias:Alias"
	tLogGroup     = "aws:cloudwatch/logGroup:LogGroup"
	tLogPolicy    = "aws:cloudwatch/logResourcePolicy:LogResourcePolicy"
	tAlarm        = "aws:cloudwatch/metricAlarm:MetricAlarm"
	tDomain       = "aws:opensearch/domain:Domain"
	tDomainPolicy = "aws:opensearch/domainPolicy:DomainPolicy"
	tTopic        = "aws:sns/topic:Topic"
	tSubscription = "aws:sns/topicSubscription:TopicSubscription"
	tTopicPolicy  = "aws:sns/topicPolicy:TopicPolicy"
	tRepository   = "aws:ecr/repository:Repository"
	tLifecycle    = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
	tCacheRule    = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
	tENI          = "aws:ec2/networkInterface:NetworkInterface"
	tInstance     = "aws:ec2/instance:Instance"
	tASG          = "aws:autoscaling/group:Group"
	tVolume       = "aws:ebs/volume:Volume"
	tLoadBalancer = "aws:lb/loadBalancer:LoadBalancer"
	tTargetGroup  = "aws:lb/targetGroup:TargetGroup"
	tImage        = "aws:ecr/image:Image"
)

// times are AWS's typical durations, from public apply and destroy logs.
type times struct {
	create, update, remove time.Duration
}

const seconds, minutes = time.Second, time.Minute

// instant is a matter of seconds.
var instant = took(2*seconds, 2*seconds, 2*seconds)

func took(create, update, remove time.Duration) times {
	return times{create: create, update: update, remove: remove}
}

// ref says that a property (or each item of it) must be the id, arn or other output of something that exists.
type ref struct {
	path, typ, by string
	code, text    string // text has one %s for the value
}

// References that rows of several services have.
var (
	vpcRef     = ref{"vpcId", tVPC, "id", "InvalidVpcID.NotFound", "The vpc ID '%s' does not exist"}
	roleName   = ref{"role", tRole, "name", "NoSuchEntity", "The role with name %s cannot be found."}
	clusterRef = ref{"clusterName", tCluster, "name", "ResourceNotFoundException", "No cluster found for name: %s."}
)

func subnetRef(path string) ref {
	return ref{path, tSubnet, "id", "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist"}
}

func sgRef(path string) ref {
	return ref{path, tSG, "id", "InvalidGroup.NotFound", "The security group '%s' does not exist"}
}

func rtbRef(path string) ref {
	return ref{path, tRouteTable, "id", "InvalidRouteTableID.NotFound", "The routeTable ID '%s' does not exist"}
}

// naming are the properties with the physical name and with its prefix, or "".
type naming struct{ property, prefix string }

var named = naming{"name", "namePrefix"}

// row is what the model knows of one resource type. Package awsrules has the forms of its arguments, package awsprovider what the
// provider does with it.
type row struct {
	service string // AWS SDK service ID
	ops     words  // API calls of create, update and delete

	required words // arguments
	// keeps are the arguments that AWS keeps when a change leaves them out. In pulumi-aws's Go SDK they are pointers as arguments, and
	// not as outputs.
	keeps    words
	upserts  bool // an update makes what is gone: AWS has one call for both
	name     naming
	id       func(m *Model, o *object) string // in the provider's form; without it, idPrefix or the name
	idPrefix string
	arn      string // "service|resource", see Model.arnOf
	tagged   bool
	owned    bool // has an output ownerId
	defaults map[string]any
	blank    words // outputs that nothing reads: they are empty
	refs     []ref
	times    times
	takes    func(in props) time.Duration // creation, where times.create is that of some only

	takenCode, takenText string

	// Rules. All but after and drain run with the lock held.
	check  func(c *checker)                                     // inputs alone
	create func(m *Model, o *object) error                      // inputs against the account
	fill   func(m *Model, o *object)                            // outputs; must be repeatable
	settle func(m *Model, o *object) error                      // after the wait: nil once it is up
	after  func(ctx context.Context, m *Model, o *object) error // once it is up or was updated
	update func(m *Model, o *object, before props) error        // new inputs against the account
	remove func(m *Model, o *object) error                      // may it go?
	drain  func(ctx context.Context, m *Model, o *object) error // before the wait of a deletion
	gone   func(m *Model, o *object) (stays bool)               // after it
	missed func(m *Model, id string) error                      // the deletion of what is gone; nil if AWS takes that for done
}

// again is an update that is held to the rules of a creation.
func again(create func(m *Model, o *object) error) func(*Model, *object, props) error {
	return func(m *Model, o *object, _ props) error { return create(m, o) }
}

func (r *row) creation(o *object) time.Duration {
	if r.takes != nil {
		return r.takes(o.in)
	}
	return r.times.create
}

func (r *row) makeID(m *Model, o *object) string {
	if r.id != nil {
		return r.id(m, o)
	}
	if r.idPrefix != "" {
		return m.newID(o.typ, r.idPrefix)
	}
	return o.name()
}

// named adds the request to a refusal, unless the rule has done so.
func (r *row) named(operation string, err error) error {
	if api, ok := err.(*APIError); ok && api.Service == "" {
		e := *api
		e.Service, e.Operation = r.service, operation
		return &e
	}
	return err
}

// words are names with spaces between them.
type words string

func (w words) all() []string { return strings.Fields(string(w)) }

func (w words) has(name string) bool { return slices.Contains(w.all(), name) }

type rows = map[string]*row

func of(service string, all rows) rows {
	for _, r := range all {
		r.service = service
	}
	return all
}

// table has one row per type that the program, or the eks component on its behalf, registers. The rows are beside the rules of their
// service.
var table = rows{}

func init() { // not at its declaration: rules read the table

	for _, service := range []rows{
		networkRows(), routeRows(), endpointRows(), securityGroupRows(), iamRows(), clusterRows(), nodeGroupRows(), addonRows(),
		accessRows(), kmsRows(), logRows(), alarmRows(), snsRows(), openSearchRows(), ecrRows(),
	} {
		maps.Copy(table, service)
	}
}
