// Package mutations runs the whole program in front of the AWS model, each time with one mistake that people made on
// AWS, and expects the answer that AWS gave them. It shows that the rehearsal catches mistakes, and not only that it
// lets the right program pass.
package mutations

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/program"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/awsprovider"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mutation is one mistake.
type mutation struct {
	name string
	// of is the resource that is wrong, as "type name"; the type without its package and module.
	of string
	// edit changes its inputs; nil means that the program forgot the resource.
	edit func(in resource.PropertyMap, ids map[string]string)
	// late is how much later than it could be the resource is made.
	late time.Duration
	// account is another account than the model's usual one.
	account awsmodel.Options
	// stack is the committed stack that the mistake is made in; default dev.
	stack string
	// logging and cluster are more of the stack's settings of expense:logging and expense:cluster.
	logging, cluster map[string]any
	// want is what AWS answers, in part.
	want string
}

// set sets an input, nested ones by path.
func set(path string, value any) func(resource.PropertyMap, map[string]string) {
	return func(in resource.PropertyMap, _ map[string]string) {
		parsed, err := resource.ParsePropertyPath(path)
		if err != nil {
			panic(err)
		}
		root := resource.NewObjectProperty(in)
		if !parsed.Set(root, resource.NewPropertyValue(value)) {
			panic("no such input: " + path)
		}
	}
}

// replace replaces text in an input, such as a policy.
func replace(input, old, new string) func(resource.PropertyMap, map[string]string) {
	return func(in resource.PropertyMap, _ map[string]string) {
		text := in[resource.PropertyKey(input)].StringValue()
		if !strings.Contains(text, old) {
			panic(fmt.Sprintf("input %s has no %q: %s", input, old, text))
		}
		in[resource.PropertyKey(input)] = resource.NewStringProperty(strings.ReplaceAll(text, old, new))
	}
}

// subnets replaces subnet IDs by those of other subnets.
func subnets(path string, names ...string) func(resource.PropertyMap, map[string]string) {
	return func(in resource.PropertyMap, ids map[string]string) {
		var all []resource.PropertyValue
		for _, name := range names {
			all = append(all, resource.NewStringProperty(ids["Subnet "+name]))
		}
		set(path, all)(in, ids)
	}
}

// without leaves an input out.
func without(input string) func(resource.PropertyMap, map[string]string) {
	return func(in resource.PropertyMap, _ map[string]string) { delete(in, resource.PropertyKey(input)) }
}

// both makes two changes.
func both(first, second func(resource.PropertyMap, map[string]string)) func(resource.PropertyMap, map[string]string) {
	return func(in resource.PropertyMap, ids map[string]string) {
		first(in, ids)
		second(in, ids)
	}
}

// userTopic is an SNS topic that the account has without the program.
const userTopic = "arn:aws:sns:us-east-1:111122223333:users"

// byMail turns alarms on.
var byMail = map[string]any{"alarms": map[string]any{"email": "ops@example.com"}}

// oneGroup is one node group over all zones.
var oneGroup = map[string]any{"nodeGroups": map[string]any{"expense": map[string]any{
	"capacityType": "SPOT", "instanceTypes": []string{"m5.large"}, "minSize": 3, "desiredSize": 3, "maxSize": 5, "perZone": false,
}}}

// ownRegistry is repositories and all caches.
var ownRegistry = map[string]any{"registry": map[string]any{
	"repositories": []string{"backend", "worker"}, "cache": true,
	"dockerHubSecretArn": "arn:aws:secretsmanager:us-east-1:111122223333:secret:ecr-pullthroughcache/hub-0123ab",
}}

var mutations = []mutation{
	// Network.
	{
		name: "a zone that EKS refuses", of: "Subnet expense-private-use1-az1", edit: set("availabilityZoneId", "use1-az3"),
		want: "UnsupportedAvailabilityZoneException",
	},
	{
		name: "a zone that is not the region's", of: "Subnet expense-private-use1-az1", edit: set("availabilityZoneId", "euw1-az1"),
		want: "InvalidParameterValue",
	},
	{
		name: "both subnets in one zone", of: "Subnet expense-private-use1-az2", edit: set("availabilityZoneId", "use1-az1"),
		want: "at least two different AZs",
	},
	{
		name: "overlapping subnets", of: "Subnet expense-private-use1-az2", edit: set("cidrBlock", "192.168.0.0/18"),
		want: "InvalidSubnet.Conflict",
	},
	{
		name: "a subnet outside of the VPC", of: "Subnet expense-public-use1-az2", edit: set("cidrBlock", "10.0.0.0/19"),
		want: "InvalidSubnet.Range",
	},
	{name: "a NAT gateway in a subnet without a way to the internet", of: "Route expense-public-internet", want: "NodeCreationFailure"},
	{name: "nodes without a way out", of: "Route expense-private-use1-az2-nat", want: "NodeCreationFailure"},
	{name: "a route table that no subnet uses", of: "RouteTableAssociation expense-private-use1-az1", want: "NodeCreationFailure"},
	{
		name: "a route to two gateways", of: "Route expense-public-internet", edit: set("natGatewayId", "nat-00000000000000000"),
		want: "gatewayId: exactly one of",
	},
	{name: "a route to nowhere", of: "Route expense-public-internet", edit: without("gatewayId"), want: "gatewayId: exactly one of"},
	{
		name: "an endpoint of another region", of: "VpcEndpoint expense-s3", edit: set("serviceName", "com.amazonaws.eu-west-1.s3"),
		want: "InvalidServiceName",
	},
	{
		name: "no VPC left in the account", of: "Vpc expense", edit: set("enableDnsSupport", true),
		account: awsmodel.Options{Quotas: awsmodel.Quotas{VPCs: -1}}, want: "VpcLimitExceeded",
	},
	{
		name: "too few addresses for a NAT gateway in each zone", stack: "prod", of: "Vpc expense", edit: set("enableDnsSupport", true),
		account: awsmodel.Options{Quotas: awsmodel.Quotas{EIPs: 2}}, want: "AddressLimitExceeded",
	},
	// Control plane.
	{
		name: "services in the VPC's range", of: "Cluster expense", edit: set("kubernetesServiceIpAddressRange", "192.168.64.0/20"),
		want: "InvalidParameterException",
	},
	{name: "an alias that is AWS's", of: "Alias expense", edit: set("name", "alias/aws/eks"), want: "alias/aws/"},
	{
		name: "a retention that CloudWatch does not have", of: "LogGroup expense-control-plane", edit: set("retentionInDays", 8),
		want: "retention",
	},
	{
		name: "an identity provider for another cluster", of: "OpenIdConnectProvider expense",
		edit: set("url", "https://oidc.eks.us-east-1.amazonaws.com/id/0000"), want: "issuer",
	},
	// Nodes.
	{
		name: "an account with the default spot quota", of: "NodeGroup expense-use1-az1", edit: set("capacityType", "SPOT"),
		account: awsmodel.Options{Quotas: awsmodel.Quotas{SpotVCPU: 5}}, want: "MaxSpotInstanceCountExceeded",
	},
	{
		name: "nodes that may not join", of: "RolePolicyAttachment expense-node-AmazonEKSWorkerNodePolicy",
		want: "[AmazonEKSWorkerNodePolicy] are attached",
	},
	{name: "nodes that may not give pods addresses", of: "RolePolicyAttachment expense-node-vpc-cni", want: "NodeCreationFailure"},
	{
		name: "a network plugin without its role", of: "Addon expense-node-vpc-cni", edit: set("podIdentityAssociations", []any{}),
		want: "NodeCreationFailure",
	},
	{name: "a network plugin whose role nobody hands out", of: "Addon expense-node-eks-pod-identity-agent", want: "NodeCreationFailure"},
	{
		name: "nodes that may not pull images", of: "RolePolicyAttachment expense-node-AmazonEC2ContainerRegistryPullOnly",
		want: "[AmazonEC2ContainerRegistryReadOnly] are attached",
	},
	{
		name: "a node role for another service", of: "Role expense-node",
		edit: replace("assumeRolePolicy", "ec2.amazonaws.com", "eks.amazonaws.com"), want: "InvalidParameterException",
	},
	{
		name: "nodes in public subnets that hand out no addresses", of: "NodeGroup expense-use1-az1",
		edit: subnets("subnetIds", "expense-public-use1-az1", "expense-public-use1-az2"), want: "Ec2SubnetInvalidConfiguration",
	},
	{
		name: "user data that is no MIME archive", of: "LaunchTemplate expense-use1-az1",
		edit: set("userData", base64.StdEncoding.EncodeToString([]byte("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\n"))),
		want: "Ec2LaunchTemplateInvalidConfiguration",
	},
	{
		name: "user data without base64", of: "LaunchTemplate expense-use1-az1", edit: set("userData", "MIME-Version: 1.0"),
		want: "userData",
	},
	{
		name: "a disk size beside a launch template", of: "NodeGroup expense-use1-az1", edit: set("diskSize", 80),
		want: "InvalidParameterException",
	},
	{
		name: "instances of another architecture than the image", of: "NodeGroup expense-use1-az1",
		edit: set("instanceTypes", []any{"m7g.large"}), want: "InvalidParameterException",
	},
	{
		name: "more nodes desired than allowed", of: "NodeGroup expense-use1-az1", edit: set("scalingConfig.maxSize", 1),
		want: "scalingConfig.desiredSize: 2 is above",
	},
	{
		name: "a node role that nobody may assume", of: "Role expense-node",
		edit: replace("assumeRolePolicy", "sts:AssumeRole", "sts:TagSession"), want: "InvalidParameterException",
	},
	// Image registry.
	{
		name: "a lifecycle policy of a repository that is not there", cluster: ownRegistry, of: "LifecyclePolicy expense-registry-worker",
		edit: set("repository", "worker"), want: "RepositoryNotFoundException: The repository with name 'worker' does not exist",
	},
	{
		name: "Docker Hub without credentials", cluster: ownRegistry, of: "PullThroughCacheRule expense-registry-docker-hub",
		edit: without("credentialArn"), want: "registry-1.docker.io requires credentials",
	},
	{
		name: "two rules of one prefix", cluster: ownRegistry, of: "PullThroughCacheRule expense-registry-docker-hub",
		edit: set("ecrRepositoryPrefix", "expense/kubernetes"), want: "PullThroughCacheRuleAlreadyExistsException",
	},
	{
		name: "a repository of a name that is taken", cluster: ownRegistry, of: "Repository expense-registry-worker",
		edit: set("name", "expense/backend"), want: "RepositoryAlreadyExistsException",
	},
	// Add-ons.
	{
		name: "nodes that the DaemonSets fill", cluster: oneGroup, of: "NodeGroup expense", edit: set("instanceTypes", []any{"t3.micro"}),
		want: "DEGRADED",
	},
	{name: "CoreDNS without a node", cluster: oneGroup, of: "NodeGroup expense", want: "DEGRADED"},
	{
		name: "an add-on that does not exist", of: "Addon expense-pod-metrics-server", edit: set("addonName", "metric-server"),
		want: "InvalidParameterException",
	},
	{
		name: "a Pod Identity role that trusts another service", of: "Role expense-pod-ebs-csi",
		edit: replace("assumeRolePolicy", "pods.eks.amazonaws.com", "eks.amazonaws.com"), want: "InvalidParameterException",
	},
	{
		name: "a Pod Identity role whose sessions may not be tagged", of: "Role expense-autoscaler",
		edit: replace("assumeRolePolicy", `,"sts:TagSession"`, ""), want: "InvalidParameterException",
	},
	{name: "ports from above to", of: "SecurityGroupIngressRule expense-cluster", edit: set("fromPort", 444), want: "fromPort"},
	{
		name: "a rule for a group and a range", of: "SecurityGroupIngressRule expense-cluster", edit: set("cidrIpv4", "192.168.0.0/16"),
		want: "cidrIpv4: exactly one of",
	},
	{
		name: "a rule for nobody", of: "SecurityGroupIngressRule expense-cluster", edit: without("referencedSecurityGroupId"),
		want: "cidrIpv4: exactly one of",
	},
	{
		name: "two roles for one service account", of: "PodIdentityAssociation expense-log-setup",
		edit: both(set("namespace", "kube-system"), set("serviceAccount", "cluster-autoscaler")), want: "Association already exists",
	},
	// Logging.
	{name: "a domain before its service-linked role", of: "ServiceLinkedRole expense", want: "you must enable a service-linked role"},
	{
		name: "a service-linked role that exists", of: "ServiceLinkedRole expense",
		edit:    set("awsServiceName", "opensearchservice.amazonaws.com"),
		account: awsmodel.Options{ServiceLinkedRoles: []string{"opensearchservice.amazonaws.com"}}, want: "has been taken in this account",
	},
	{
		name: "two subnets for one zone", of: "Domain expense",
		edit: subnets("vpcOptions.subnetIds", "expense-private-use1-az1", "expense-private-use1-az2"),
		want: "You must specify exactly one subnet",
	},
	{
		name: "a volume too large for its instance", of: "Domain expense", edit: set("ebsOptions.volumeSize", 500),
		want: "Volume size must be between 10 and 100",
	},
	{
		name: "Auto-Tune on an instance that has none", of: "Domain expense",
		edit: set("autoTuneOptions", map[string]any{"desiredState": "DISABLED"}), want: "Autotune is not supported",
	},
	{
		name: "Auto-Tune in the off-peak window on an instance that has none", of: "Domain expense",
		edit: set("autoTuneOptions", map[string]any{"desiredState": "ENABLED", "useOffPeakWindow": true}), want: "Autotune is not supported",
	},
	{
		name: "Auto-Tune in the off-peak window and on a schedule", stack: "prod", of: "Domain expense",
		edit: set("autoTuneOptions.maintenanceSchedules", []any{map[string]any{"startAt": "2026-12-01T00:00:00Z"}}),
		want: "maintenance schedules cannot be set",
	},
	{
		name: "no off-peak window", of: "Domain expense", edit: set("offPeakWindowOptions.enabled", false),
		want: "off-peak window cannot be disabled",
	},
	{
		name: "access control over plain HTTP", of: "Domain expense", edit: set("domainEndpointOptions.enforceHttps", false),
		want: "You must enable EnforceHTTPS",
	},
	{
		name: "access control without encryption", of: "Domain expense", edit: set("encryptAtRest.enabled", false),
		want: "You must enable encryption at rest",
	},
	{
		name: "access control without encryption between nodes", of: "Domain expense", edit: set("nodeToNodeEncryption.enabled", false),
		want: "You must enable node-to-node encryption",
	},
	{
		name: "access control without a master", of: "Domain expense", edit: set("advancedSecurityOptions.masterUserOptions", map[string]any{}),
		want: "you must provide a master user ARN",
	},
	{
		name: "a master that does not exist", of: "Domain expense",
		edit: set("advancedSecurityOptions.masterUserOptions.masterUserArn", "arn:aws:iam::111122223333:role/nobody"),
		want: "role/nobody does not exist",
	},
	{
		name: "audit logs without access control", stack: "prod", of: "Domain expense", edit: set("advancedSecurityOptions.enabled", false),
		want: "audit log publishing cannot be enabled",
	},
	{
		name: "audit logs where the domain may not write", stack: "prod", of: "LogResourcePolicy expense",
		edit: replace("policyDocument", "/*:*", "/a*:*"), want: "does not grant sufficient permissions",
	},
	{
		name: "a volume too large for a larger instance", stack: "prod", of: "Domain expense", edit: set("ebsOptions.volumeSize", 800),
		want: "Volume size must be between 10 and 768",
	},
	{
		name: "a volume slower than AWS lets one of its size be", stack: "prod", of: "Domain expense", edit: set("ebsOptions.throughput", 125),
		want: "LimitExceededException: Throughput must be between 250 and 1250",
	},
	{
		name: "a volume with more IOPS than its instance has", of: "Domain expense", edit: set("ebsOptions.iops", 16000),
		want: "LimitExceededException: IOPS must be between 3000 and 11800",
	},
	{
		name: "four masters", stack: "prod", of: "Domain expense", edit: set("clusterConfig.dedicatedMasterCount", 4),
		want: "must not match ^4$",
	},
	{
		name: "masters that are described and not enabled", stack: "prod", of: "Domain expense",
		edit: set("clusterConfig.dedicatedMasterEnabled", false), want: "DedicatedMasterEnabled must be set to True",
	},
	{
		name: "data nodes that zones cannot share evenly", stack: "prod", of: "Domain expense", edit: set("clusterConfig.instanceCount", 4),
		want: "multiple of the number of Availability Zones",
	},
	{
		name: "a family that the version does not have", of: "Domain expense",
		edit: both(set("clusterConfig.instanceType", "or2.medium.search"), set("engineVersion", "OpenSearch_2.11")),
		want: "Invalid instance type: or2.medium.search",
	},
	{
		name: "a period that CloudWatch does not have", logging: byMail, of: "MetricAlarm expense-alarms-cluster-red", edit: set("period", 45),
		want: "multiple of 60",
	},
	{
		name: "an alarm to a topic that does not exist", logging: byMail, of: "MetricAlarm expense-alarms-cluster-red",
		edit: set("alarmActions", []any{"arn:aws:sns:us-east-1:111122223333:ops"}), want: "topic does not exist",
	},
	{
		name:    "alarms to somebody else's topic",
		logging: map[string]any{"alarms": map[string]any{"topicArn": "arn:aws:sns:us-east-1:111122223333:ops"}},
		of:      "MetricAlarm expense-alarms-cluster-red", edit: set("period", 60), want: "topic does not exist",
	},
	{
		name: "a mail of alarms from a topic that does not exist", logging: byMail, of: "TopicSubscription expense-alarms",
		edit: set("topic", "arn:aws:sns:us-east-1:111122223333:ops"), want: "Topic does not exist",
	},
	{name: "logs that the domain may not write", of: "LogResourcePolicy expense", want: "ValidationException"},
	{
		name: "logs that the domain may only half write", of: "LogResourcePolicy expense",
		edit: replace("policyDocument", `"logs:CreateLogStream"`, `"logs:PutLogEvents"`), want: "ValidationException",
	},
	{
		name: "a writer that does not exist", of: "DomainPolicy expense-log", edit: replace("accessPolicies", ":role/", ":role/no-such-"),
		want: "InvalidTypeException",
	},
	// What AWS does not know yet.
	{
		name: "a log policy right before the domain", of: "LogResourcePolicy expense", late: time.Hour,
		want: "does not grant sufficient permissions",
	},
	{
		name: "a service-linked role right before the domain", of: "ServiceLinkedRole expense", late: time.Hour,
		want: "you must enable a service-linked role",
	},
	{name: "a master right before the domain", of: "Role expense-log-master", late: time.Hour, want: "The master user ARN"},
	{
		name: "a writer right before the domain's policy", of: "Role expense-log-writer", late: time.Hour,
		want: "InvalidTypeException: Error setting policy",
	},
	{
		name: "a reader right before the domain's policy", of: "Role expense-log-reader", late: time.Hour,
		want: "InvalidTypeException: Error setting policy",
	},
	{name: "a node role right before the nodes", of: "Role expense-node", late: time.Hour, want: "cannot be found"},
	{
		name: "a key whose tags do not count yet", of: "Key expense", edit: set("enableKeyRotation", false),
		account: awsmodel.Options{KeyTagDelay: 5 * time.Minute}, want: "User not authorized to perform kms:CreateGrant operation",
	},
	{
		name: "a key that may not be rotated yet", of: "Key expense", edit: set("enableKeyRotation", true),
		account: awsmodel.Options{KeyTagDelay: 5 * time.Minute}, want: "is not authorized to perform: kms:EnableKeyRotation",
	},
	// Add-ons' values.
	{
		name: "a network policy switch that is no text", of: "Addon expense-node-vpc-cni",
		edit: replace("configurationValues", `"true"`, `true`),
		want: "Json schema validation failed with error: [$.enableNetworkPolicy: boolean found, string expected]",
	},
	{
		name: "volume tags in the wrong place", of: "Addon expense-pod-aws-ebs-csi-driver",
		edit: replace("configurationValues", "controller", "controllers"),
		want: "[$.controllers: is not defined in the schema and the schema does not allow additional properties]",
	},
	{name: "a policy that is not JSON", of: "RolePolicy expense-log-writer", edit: replace("policy", "}", ""), want: "policy"},
}

// cloud answers the program's registrations from the AWS model. Inside the cluster nothing can go wrong here, and takes no
// time.
type cloud struct {
	model    *awsmodel.Model
	stack    string
	mutation mutation
	before   *cloud // the command before, if it is not the first

	mu      sync.Mutex
	ids     map[string]string
	made    map[string]thing
	mutated int
	// tags are those that the provider puts on everything, sent is what went to AWS.
	tags resource.PropertyMap
	sent []sent
	// began is when the command began on the account's clock, and ends when each resource was done.
	began time.Duration
	ends  map[string]time.Duration
}

// sent is one resource with its arguments.
type sent struct {
	typ, name string
	inputs    resource.PropertyMap
}

// thing is a resource in the state.
type thing struct {
	id      string
	in, out resource.PropertyMap
}

func newCloud(account *awsmodel.Model, stack string, m mutation, before *cloud) *cloud {
	return &cloud{model: account, stack: stack, mutation: m, before: before, ids: map[string]string{}, made: map[string]thing{},
		began: account.Now(), ends: map[string]time.Duration{}}
}

// key names a resource as a mutation does. A kind of Kubernetes keeps its whole token: it has a Role as well.
func key(typ, name string) string {
	if strings.HasPrefix(typ, "kubernetes:") {
		return typ + " " + name
	}
	return typ[strings.LastIndex(typ, ":")+1:] + " " + name
}

// start is when all that a resource depends on was done.
func (c *cloud) start(args pulumi.MockResourceArgs) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := c.began
	for _, d := range args.RegisterRPC.GetDependencies() {
		urn := resource.URN(d)
		start = max(start, c.ends[key(string(urn.Type()), urn.Name())])
	}
	return start
}

func (c *cloud) done(typ, name string, end time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[key(typ, name)] = end
}

func (c *cloud) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program called %s", args.Token)
}

func (c *cloud) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	in := args.Inputs.Copy()
	start := c.start(args)
	provider, _, _ := strings.Cut(args.TypeToken, ":")
	if c.mutation.of == key(args.TypeToken, args.Name) && provider != "kubernetes" && provider != "expense" {
		c.mu.Lock()
		c.mutated++
		if c.mutation.edit != nil {
			c.mutation.edit(in, c.ids)
		}
		c.mu.Unlock()
		if c.mutation.edit == nil && c.mutation.late == 0 {
			in["arn"] = resource.NewStringProperty("arn:aws:iam::111122223333:forgotten/" + args.Name)
			return "forgotten", in, nil
		}
		start += c.mutation.late
	}
	switch {
	case args.TypeToken == "pulumi:providers:aws":
		c.tags = in["defaultTags"].ObjectValue()["tags"].ObjectValue()
	case args.TypeToken == "eks:index:Cluster":
		out, err := c.component(start, args.Name, in)
		c.done(args.TypeToken, args.Name, c.model.Done("aws:eks/cluster:Cluster", in["name"].StringValue()))
		return "", out, err
	case strings.HasPrefix(args.TypeToken, "aws:"):
		id, out, err := c.create(start, args.TypeToken, args.Name, in)
		return id, out, err
	case strings.HasPrefix(args.TypeToken, "kubernetes:"):
		metadata := in["metadata"].ObjectValue().Copy()
		if !metadata.HasValue("name") {
			metadata["name"] = resource.NewStringProperty(args.Name)
		}
		in["metadata"] = resource.NewObjectProperty(metadata)
	}
	c.done(args.TypeToken, args.Name, start)
	return args.Name, in, nil
}

// create makes a resource, or changes the one of the command before in place.
func (c *cloud) create(start time.Duration, typ, name string, in resource.PropertyMap) (string, resource.PropertyMap, error) {
	property, physical, err := awsprovider.Autoname(typ, name, []byte(name), in)
	if err != nil {
		return "", nil, err
	}
	if property != "" && !in.HasValue(resource.PropertyKey(property)) {
		in[resource.PropertyKey(property)] = resource.NewStringProperty(physical)
	}
	if awsprovider.Taggable(typ) {
		all := c.tags.Copy()
		if given := in["tags"]; given.IsObject() {
			maps.Copy(all, given.ObjectValue())
		}
		in["tags"] = resource.NewObjectProperty(all)
	}
	c.mu.Lock()
	c.sent = append(c.sent, sent{typ, name, in})
	c.mu.Unlock()
	for _, failure := range c.model.Check(typ, in) {
		return "", nil, fmt.Errorf("%s %s: %s: %s", typ, name, failure.Property, failure.Reason)
	}
	ctx := awsmodel.After(context.Background(), start)
	id, out, err := c.apply(ctx, typ, name, in)
	if err != nil {
		return "", nil, err
	}
	c.done(typ, name, max(start, c.model.Done(typ, id)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[key(typ, name)], c.made[key(typ, name)] = id, thing{id, in, out}
	return id, out, nil
}

func (c *cloud) apply(ctx context.Context, typ, name string, in resource.PropertyMap) (string, resource.PropertyMap, error) {
	provider := awsprovider.Client{Model: c.model}
	if c.before == nil {
		return provider.Create(ctx, typ, name, in)
	}
	old, known := c.before.made[key(typ, name)]
	if !known {
		return provider.Create(ctx, typ, name, in)
	}
	out, err := provider.Update(ctx, typ, old.id, in)
	return old.id, out, err
}

// component makes what the component of pulumi-eks makes: the control plane's role, its policy and the control plane.
func (c *cloud) component(start time.Duration, name string, in resource.PropertyMap) (resource.PropertyMap, error) {
	text := resource.NewStringProperty
	_, role, err := c.create(start, "aws:iam/role:Role", name+"-eksRole-role", resource.PropertyMap{
		"description": text("Allows EKS to manage clusters on your behalf."), "assumeRolePolicy": text(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"eks.amazonaws.com"},` +
				`"Action":["sts:AssumeRole","sts:TagSession"]}]}`)})
	if err != nil {
		return nil, err
	}
	if _, _, err := c.create(start, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", name+"-eksRole", resource.PropertyMap{
		"role": role["name"], "policyArn": text(iampolicy.ManagedPolicy(c.model.Region(), "AmazonEKSClusterPolicy")),
	}); err != nil {
		return nil, err
	}
	_, cluster, err := c.create(start, "aws:eks/cluster:Cluster", name+"-eksCluster", resource.PropertyMap{
		"name": in["name"], "roleArn": role["arn"], "version": in["version"],
		"vpcConfig": resource.NewObjectProperty(resource.PropertyMap{
			"subnetIds": in["privateSubnetIds"], "endpointPrivateAccess": in["endpointPrivateAccess"],
			"endpointPublicAccess": in["endpointPublicAccess"],
			"publicAccessCidrs":    in["publicAccessCidrs"],
		}),
		"accessConfig": resource.NewObjectProperty(resource.PropertyMap{
			"authenticationMode": text("API"), "bootstrapClusterCreatorAdminPermissions": resource.NewBoolProperty(true),
		}),
		"kubernetesNetworkConfig": resource.NewObjectProperty(resource.PropertyMap{
			"ipFamily": text("ipv4"), "serviceIpv4Cidr": in["kubernetesServiceIpAddressRange"],
		}),
		"upgradePolicy":          resource.NewObjectProperty(resource.PropertyMap{"supportType": text("STANDARD")}),
		"enabledClusterLogTypes": in["enabledClusterLogTypes"],
		"encryptionConfig": resource.NewObjectProperty(resource.PropertyMap{
			"provider":  resource.NewObjectProperty(resource.PropertyMap{"keyArn": in["encryptionConfigKeyArn"]}),
			"resources": resource.NewArrayProperty([]resource.PropertyValue{text("secrets")}),
		}),
	})
	if err != nil {
		return nil, err
	}
	issuer := cluster["identities"].ArrayValue()[0].ObjectValue()["oidcs"].ArrayValue()[0].ObjectValue()["issuer"]
	return resource.PropertyMap{
		"kubeconfigJson": text("{}"), "oidcProviderUrl": issuer,
		"clusterSecurityGroupId": cluster["vpcConfig"].ObjectValue()["clusterSecurityGroupId"],
	}, nil
}

// settings are a committed stack file's, with what it leaves to its user.
func settings(t *testing.T, stack string) map[string]string {
	out, encrypted, err := config.File("../..", stack)
	require.NoError(t, err)
	require.Empty(t, encrypted)
	add(t, out, "expense:cluster", map[string]any{"publicAccessCidrs": []string{"203.0.113.7/32"}})
	return out
}

func run(t *testing.T, m mutation) (*cloud, error) {
	stack := m.stack
	if stack == "" {
		stack = "dev"
	}
	values := settings(t, stack)
	add(t, values, "expense:logging", m.logging)
	add(t, values, "expense:cluster", m.cluster)
	return runWith(m, stack, values)
}

// runWith runs the program with the settings.
func runWith(m mutation, stack string, values map[string]string) (*cloud, error) {
	if m.account.Region == "" {
		m.account.Region = values["aws:region"]
	}
	c := newCloud(awsmodel.New(m.account), stack, m, nil)
	c.model.Plant("aws:sns/topic:Topic", userTopic, "users", awsmodel.Program, map[string]any{"arn": userTopic})
	err := pulumi.RunErr(program.Run, pulumi.WithMocks("expense", stack, c), func(info *pulumi.RunInfo) {
		info.Config = values
		info.ConfigSecretKeys = []string{"expense:secrets"}
	})
	return c, err
}

// add puts more settings into a section.
func add(t *testing.T, values map[string]string, section string, more map[string]any) {
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(values[section]), &object))
	maps.Copy(object, more)
	data, err := json.Marshal(object)
	require.NoError(t, err)
	values[section] = string(data)
}

func TestTheRightProgramPasses(t *testing.T) {
	for _, stack := range []string{"dev", "prod"} {
		for _, more := range []map[string]any{nil, byMail, {"createServiceLinkedRole": false}} {
			var account awsmodel.Options
			if more["createServiceLinkedRole"] == false {
				account.ServiceLinkedRoles = []string{"opensearchservice.amazonaws.com"}
			}
			_, err := run(t, mutation{stack: stack, logging: more, account: account})
			require.NoError(t, err, stack)
		}
	}
}

// What the provider says that a resource has, the model gives it.
func TestEveryOutputIsThere(t *testing.T) {
	types := map[string]bool{}
	for name, d := range shapes(t) {
		c, err := d.passes("dev")
		require.NoError(t, err, name)
		for _, s := range c.sent {
			types[s.typ] = true
			outputs := resource.NewObjectProperty(c.made[key(s.typ, s.name)].out)
			for _, output := range awsprovider.Outputs(s.typ) {
				path, err := resource.ParsePropertyPath(output)
				require.NoError(t, err)
				_, found := path.Get(outputs)
				assert.True(t, found, "%s %s has %s", s.typ, s.name, output)
			}
		}
	}
	assert.ElementsMatch(t, awsmodel.Types(), slices.Collect(maps.Keys(types)), "the model has the types of the program and no others")
}

// withoutNAT are dev's settings without NAT: nodes join through the interface endpoints, with images from a private repository.
func withoutNAT(t *testing.T) map[string]string {
	values := settings(t, "dev")
	const registry = "111122223333.dkr.ecr.us-east-1.amazonaws.com/"
	for section, more := range map[string]map[string]any{
		"expense:network":   {"nat": "none"},
		"expense:workloads": {"images": map[string]string{"nginx": registry + "nginx:1", "alma": registry + "alma:9"}},
		"expense:logging":   {"image": registry + "fluentd:1"},
		"expense:cluster":   {"autoscaler": map[string]string{"image": registry + "autoscaler:v1.35.0"}},
	} {
		add(t, values, section, more)
	}
	return values
}

func TestAProgramWithoutNATPasses(t *testing.T) {
	c, err := runWith(mutation{}, "dev", withoutNAT(t))
	require.NoError(t, err)
	endpoints := 0
	for _, item := range c.model.Inventory() {
		assert.NotEqual(t, "aws:ec2/natGateway:NatGateway", item.Type)
		if item.Type == "aws:ec2/vpcEndpoint:VpcEndpoint" {
			endpoints++
		}
	}
	assert.Equal(t, 8, endpoints)
}

// Where a zone lacks a service, or two subnets are in one zone, an endpoint is refused. A policy that forgets who has to pass keeps
// nodes from joining.
func TestMistakesOfEndpointsAreAnswered(t *testing.T) {
	for _, m := range []mutation{
		{
			of: "VpcEndpoint expense-sts", edit: set("privateDnsEnabled", true), want: "does not support the availability zone of the subnet",
			account: awsmodel.Options{EndpointZones: map[string][]string{"sts": {"use1-az1"}}},
		},
		{
			of: "VpcEndpoint expense-sts", edit: subnets("subnetIds", "expense-private-use1-az1", "expense-public-use1-az1"),
			want: "DuplicateSubnetsInSameZone",
		},
		{of: "VpcEndpoint expense-s3", edit: replace("policy", "starport-layer-bucket", "bucket"), want: "the endpoint of s3"},
		{of: "VpcEndpoint expense-ec2", edit: replace("policy", "111122223333", "999999999999"), want: "the endpoint of ec2"},
		{
			of:   "VpcEndpoint expense-ecr.dkr",
			edit: replace("policy", `"Resource":["*"]`, `"Resource":["arn:aws:ecr:us-east-1:111122223333:repository/*"]`),
			want: "the endpoint of ecr.dkr",
		},
	} {
		c, err := runWith(m, "dev", withoutNAT(t))
		require.Equal(t, 1, c.mutated, m.of)
		assert.ErrorContains(t, err, m.want, m.of)
	}
}

// Who runs something in a pod cannot carry data to an account of their own through an endpoint: neither with its
// credentials, whose requests its logs would show, nor with a token for a role of it, nor with a link to a bucket of it.
func TestNobodyCarriesDataOutThroughAnEndpoint(t *testing.T) {
	c, err := runWith(mutation{}, "dev", withoutNAT(t))
	require.NoError(t, err)
	var vpc string
	services := map[string]string{
		"autoscaling": "autoscaling:DescribeAutoScalingGroups", "ec2": "ec2:CreateTags", "ecr.api": "ecr:PutImage", "ecr.dkr": "ecr:PutImage",
		"eks": "eks:DescribeCluster", "eks-auth": "eks-auth:AssumeRoleForPodIdentity", "s3": "s3:PutObject", "sts": "sts:AssumeRole",
	}
	for _, item := range c.model.Inventory() {
		if item.Type == "aws:ec2/vpc:Vpc" {
			vpc = item.ID
		}
	}
	require.NotEmpty(t, vpc)
	const theirs, ours = "999999999999", "111122223333"
	for service, action := range services {
		call := awsmodel.Call{
			Role: "arn:aws:iam::" + theirs + ":role/theirs", Action: action, Resource: "*",
			Keys: map[string]string{"aws:PrincipalAccount": theirs},
		}
		assert.Equal(t, "AccessDenied", awsmodel.Code(c.model.Through(vpc, service, call)), service)
		call.Role, call.Keys = "arn:aws:iam::"+ours+":role/ours", map[string]string{"aws:PrincipalAccount": ours}
		assert.NoError(t, c.model.Through(vpc, service, call), service)
	}
	for account, passes := range map[string]bool{ours: true, theirs: false} {
		call := awsmodel.Call{
			Role: "arn:aws:iam::" + account + ":oidc-provider/example.com", Action: "sts:AssumeRoleWithWebIdentity",
			Resource: "arn:aws:iam::" + account + ":role/any",
		}
		assert.Equal(t, passes, c.model.Through(vpc, "sts", call) == nil, "a token for a role of %s", account)
		// With credentials of his own a stranger reads in his own trail what he carries, also where the role refuses him.
		call.Role, call.Action, call.Keys = "arn:aws:iam::"+theirs+":user/a", "sts:AssumeRole", map[string]string{"aws:PrincipalAccount": theirs}
		assert.Error(t, c.model.Through(vpc, "sts", call), "a role of %s", account)
	}
	for _, linked := range []awsmodel.Call{
		{Role: "anonymous", Action: "s3:PutObject", Resource: "arn:aws:s3:::theirs/secret"},
		{Role: "anonymous", Action: "s3:GetObject", Resource: "arn:aws:s3:::theirs/tool"},
		{Role: "anonymous", Action: "s3:PutObject", Resource: "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/secret"},
	} {
		assert.Error(t, c.model.Through(vpc, "s3", linked), "%s on %s", linked.Action, linked.Resource)
	}
}

func TestEveryMistakeIsAnsweredAsAWSDoes(t *testing.T) {
	require.GreaterOrEqual(t, len(mutations), 50)
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			c, err := run(t, m)
			require.Equal(t, 1, c.mutated, "the program registers %s once", m.of)
			require.Error(t, err)
			assert.ErrorContains(t, err, m.want)
		})
	}
}

// What AWS does not know yet is no mistake where the provider asks again until it does.
func TestTheProviderWaitsForSomeRoles(t *testing.T) {
	for _, of := range []string{"Role expense-pod-ebs-csi", "Role expense-node-vpc-cni", "Role expense-autoscaler"} {
		c, err := run(t, mutation{of: of, late: time.Hour})
		require.NoError(t, err, of)
		assert.Equal(t, 1, c.mutated, of)
	}
}

// patient answers for the Kubernetes provider only when everything is made that needs nothing of Kubernetes.
type patient struct {
	*cloud
	want map[string]bool
	made chan struct{}
}

func (p *patient) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	if args.TypeToken == "pulumi:providers:kubernetes" {
		select {
		case <-p.made:
		case <-time.After(2 * time.Minute):
			p.mu.Lock()
			defer p.mu.Unlock()
			return "", nil, fmt.Errorf("the program waits for Kubernetes before it declares %v", slices.Sorted(maps.Keys(p.want)))
		}
	}
	id, out, err := p.cloud.NewResource(args)
	p.mu.Lock()
	defer p.mu.Unlock()
	if name := key(args.TypeToken, args.Name); p.want[name] {
		delete(p.want, name)
		if len(p.want) == 0 {
			close(p.made)
		}
	}
	return id, out, err
}

// The SDK ends a component when its URN is known, and the program stops until then: whatever it declares after a component
// inside Kubernetes begins a quarter of an hour late, the domain seconds after what it refers to.
func TestWhatNeedsNoKubernetesDoesNotWaitForIt(t *testing.T) {
	values := settings(t, "prod")
	add(t, values, "expense:logging", byMail)
	p := &patient{newCloud(awsmodel.New(awsmodel.Options{}), "prod", mutation{}, nil), map[string]bool{
		"Role expense-log-master": true, "LogResourcePolicy expense": true, "Domain expense": true,
		"MetricAlarm expense-alarms-cluster-red": true,
		"Role expense-log-writer":                true, "Role expense-log-reader": true, "DomainPolicy expense-log": true,
	}, make(chan struct{})}
	require.NoError(t, pulumi.RunErr(program.Run, pulumi.WithMocks("expense", "prod", p), func(info *pulumi.RunInfo) { info.Config = values }))
}

// dashboards is a command that turns the dashboards on in a stack that is up.
func dashboards(t *testing.T, first *cloud) error {
	first.model.Pass(time.Minute)
	values := settings(t, "dev")
	add(t, values, "expense:logging", map[string]any{"dashboards": map[string]any{"enabled": true, "image": "aws-sigv4-proxy:1"}})
	c := newCloud(first.model, "dev", mutation{}, first)
	return pulumi.RunErr(program.Run, pulumi.WithMocks("expense", "dev", c), func(info *pulumi.RunInfo) { info.Config = values })
}

func TestDashboardsAreTurnedOnAtTheFirstTry(t *testing.T) {
	c, err := run(t, mutation{})
	require.NoError(t, err)
	require.NoError(t, dashboards(t, c))

	// A stack without the reader would make it a second before the policy that names it.
	const reader = "Role expense-log-reader"
	c, err = run(t, mutation{of: "DomainPolicy expense-log", edit: func(in resource.PropertyMap, ids map[string]string) {
		replace("accessPolicies", ":role/"+ids[reader], ":root")(in, ids)
	}})
	require.NoError(t, err)
	require.True(t, c.model.Uproot("aws:iam/role:Role", c.made[reader].id))
	delete(c.made, reader)
	require.ErrorContains(t, dashboards(t, c), "InvalidTypeException: Error setting policy")
}
