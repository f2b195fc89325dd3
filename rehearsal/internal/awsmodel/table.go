package awsmodel

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Type tokens that rules refer to. Those of the second group are made only by AWS or by in-cluster controllers.
const (
	tVPC           = "aws:ec2/vpc:Vpc"
	tSubnet        = "aws:ec2/subnet:Subnet"
	tIGW           = "aws:ec2/internetGateway:InternetGateway"
	tEIP           = "aws:ec2/eip:Eip"
	tNAT           = "aws:ec2/natGateway:NatGateway"
	tRouteTable    = "aws:ec2/routeTable:RouteTable"
	tRoute         = "aws:ec2/route:Route"
	tRouteAssoc    = "aws:ec2/routeTableAssociation:RouteTableAssociation"
	tEndpoint      = "aws:ec2/vpcEndpoint:VpcEndpoint"
	tTemplate      = "aws:ec2/launchTemplate:LaunchTemplate"
	tSG            = "aws:ec2/securityGroup:SecurityGroup"
	tIngress       = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	tEgress        = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	tRole          = "aws:iam/role:Role"
	tRolePolicy    = "aws:iam/rolePolicy:RolePolicy"
	tAttachment    = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	tPolicy        = "aws:iam/policy:Policy"
	tOIDC          = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
	tSLR           = "aws:iam/serviceLinkedRole:ServiceLinkedRole"
	tCluster       = "aws:eks/cluster:Cluster"
	tNodeGroup     = "aws:eks/nodeGroup:NodeGroup"
	tAddon         = "aws:eks/addon:Addon"
	tAccessEntry   = "aws:eks/accessEntry:AccessEntry"
	tAccessPolicy  = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
	tPodIdentity   = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	tKey           = "aws:kms/key:Key"
	tAlias         = "aws:kms/alias:Alias"
	tLogGroup      = "aws:cloudwatch/logGroup:LogGroup"
	tLogPolicy     = "aws:cloudwatch/logResourcePolicy:LogResourcePolicy"
	tAlarm         = "aws:cloudwatch/metricAlarm:MetricAlarm"
	tDomain        = "aws:opensearch/domain:Domain"
	tDomainPolicy  = "aws:opensearch/domainPolicy:DomainPolicy"
	tTopic         = "aws:sns/topic:Topic"
	tSubscription  = "aws:sns/topicSubscription:TopicSubscription"
	tTopicPolicy   = "aws:sns/topicPolicy:TopicPolicy"
	tENI           = "aws:ec2/networkInterface:NetworkInterface"
	tInstance      = "aws:ec2/instance:Instance"
	tASG           = "aws:autoscaling/group:Group"
	tVolume        = "aws:ebs/volume:Volume"
	tLoadBalancer  = "aws:lb/loadBalancer:LoadBalancer"
	tTargetGroup   = "aws:lb/targetGroup:TargetGroup"
	maxDeleteRetry = 15 * time.Minute // terraform-provider-aws retries DependencyViolation 5 to 20 minutes
)

// times are AWS's typical durations, from public apply and destroy logs.
type times struct {
	create, update, remove time.Duration
	// fail is when AWS gives up on something that does not come up; 0 means at once.
	fail time.Duration
}

func (times) retryDelete() time.Duration { return maxDeleteRetry }

// ref says that a property (or each item of it) must be the id, arn or other output of something that exists.
type ref struct {
	path, typ, by string
	code, text    string // text has one %s for the value
}

// naming is how a type gets its physical name.
type naming struct {
	property, prefixProperty string
	autoMax                  int // of a name that the provider makes; 0 means 255, its default
	// auto tells that the provider invents a name when the program gives none; alias that it begins with "alias/".
	auto, alias bool
}

func (n *naming) limit() int {
	if n.autoMax == 0 {
		return 255
	}
	return n.autoMax
}

func (n *naming) check(c *checker) {
	if p := c.str(n.prefixProperty); p != "" && c.has(n.property) {
		c.fail(n.prefixProperty, "%q: conflicts with %s", n.prefixProperty, n.property)
	}
}

// expandPrefix appends what the provider appends to a name prefix: a timestamp of 18 digits and a counter of 8
// (terraform-plugin-sdk, helper/id.PrefixedUniqueId).
func (n *naming) expandPrefix(m *Model, o *object) {
	if n == nil || n.prefixProperty == "" || o.out.has(n.property) || !o.in.has(n.prefixProperty) {
		return
	}
	m.seq++
	stamp := strings.Replace(time.Now().UTC().Format("20060102150405.0000"), ".", "", 1)
	o.out.set(n.property, fmt.Sprintf("%s%s%08x", o.in.str(n.prefixProperty), stamp, m.seq))
}

// row is everything the model knows of one resource type, but for what its arguments may be: that is in package awsrules.
type row struct {
	service, noun string    // AWS SDK service ID; what the provider calls the thing in its errors
	ops           [3]string // API calls of create, update, delete

	required    []string
	replaces    []string // property paths; an object's own path means that it appears or disappears
	computed    []string // arguments that AWS keeps when the program leaves them out
	replacesIf  func(olds, news props) []string
	deleteFirst bool
	upserts     bool // an update makes what is gone: the provider's creation and update are one call
	name        *naming
	id          func(m *Model, o *object) string
	idPrefix    string
	arn         string // "service|resource", see Model.arnOf
	outputs     []string
	recomputed  []string // outputs that an update renews
	defaults    map[string]any
	refs        []ref
	times       times
	takes       func(in props) time.Duration // creation, where times.create is that of some only

	takenCode, takenText string
	// repeats are the answers after which the provider sends its request again. Sources are files of
	// hashicorp/terraform-provider-aws below internal/service. A node group (eks/node_group.go) and a domain policy
	// (opensearch/domain_policy.go) have none for a role. Left out is what is never asked for too early here: the key of an
	// alias, the principal of an access policy, route tables. Nor has a domain for the log resource policy and for its
	// service-linked role: the first came with #43033, after the version that pulumi-aws 6.83 has, and the second
	// knows only the words of "Amazon ES".
	repeats []again

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
	missed func(m *Model, id string) error                      // the deletion of what is gone; nil if the provider takes that for done
}

func (r *row) creation(o *object) time.Duration {
	if r.takes != nil {
		return r.takes(o.in)
	}
	return r.times.create
}

func (r *row) createOp() string { return r.ops[0] }

func (r *row) updateOp() string { return r.ops[1] }

func (r *row) deleteOp() string { return r.ops[2] }

func (r *row) makeID(m *Model, o *object) string {
	if r.id != nil {
		return r.id(m, o)
	}
	if r.idPrefix != "" {
		return m.newID(o.typ, r.idPrefix)
	}
	return o.name()
}

// wrap puts the provider's words before AWS's: "creating EKS Cluster (expense): operation error EKS: ...".
func (r *row) wrap(verb string, o *object, op string, err error) error {
	if api, ok := err.(*APIError); ok && api.Service == "" {
		e := *api
		e.Service, e.Operation = r.service, op
		err = &e
	}
	what := o.id
	if what == "" {
		what = o.logical
	}
	suffix := ""
	if verb == "waiting for" {
		suffix = " create"
	}
	return fmt.Errorf("%s %s (%s)%s: %w", verb, r.noun, what, suffix, err)
}

const seconds, minutes = time.Second, time.Minute

// table has one row per type that the program, or the eks component on its behalf, registers. Required properties and
// replacing properties are those of hashicorp/terraform-provider-aws's schemas. Computed ones, "Optional" and "Computed" there,
// are pointers among the arguments of pulumi-aws's Go SDK and none among the outputs; the cluster's nested one is of its schema.
var table map[string]*row

func init() {
	arnTags := []string{"arn", "tagsAll"}
	with := func(more ...string) []string { return append(more, arnTags...) }
	vpcRef := ref{"vpcId", tVPC, "id", "InvalidVpcID.NotFound", "The vpc ID '%s' does not exist"}
	subnetRef := func(path string) ref {
		return ref{path, tSubnet, "id", "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist"}
	}
	sgRef := func(path string) ref {
		return ref{path, tSG, "id", "InvalidGroup.NotFound", "The security group '%s' does not exist"}
	}
	rtbRef := func(path string) ref {
		return ref{path, tRouteTable, "id", "InvalidRouteTableID.NotFound", "The routeTable ID '%s' does not exist"}
	}
	roleName := ref{"role", tRole, "name", "NoSuchEntity", "The role with name %s cannot be found."}
	clusterRef := ref{"clusterName", tCluster, "name", "ResourceNotFoundException", "No cluster found for name: %s."}
	instant := times{create: 2 * seconds, update: 2 * seconds, remove: 2 * seconds}
	iamName := func(max int) *naming {
		return &naming{property: "name", prefixProperty: "namePrefix", autoMax: max, auto: true}
	}

	table = map[string]*row{
		// EC2 network
		tVPC: {service: "EC2", noun: "EC2 VPC", ops: [3]string{"CreateVpc", "ModifyVpcAttribute", "DeleteVpc"},
			computed: []string{"cidrBlock", "enableDnsHostnames", "enableNetworkAddressUsageMetrics"},
			replaces: []string{"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength"}, idPrefix: "vpc-", arn: "ec2|vpc/{id}",
			outputs:  with("defaultNetworkAclId", "defaultRouteTableId", "defaultSecurityGroupId", "dhcpOptionsId", "ipv6AssociationId", "mainRouteTableId", "ownerId"),
			defaults: map[string]any{"enableDnsSupport": true, "enableDnsHostnames": false, "instanceTenancy": "default", "ipv6AssociationId": "", "enableNetworkAddressUsageMetrics": false, "assignGeneratedIpv6CidrBlock": false},
			times:    times{create: 11 * seconds, update: 2 * seconds, remove: 1 * seconds},
			check:    checkVPC, create: createVPC, fill: fillVPC, remove: removeVPC},
		tSubnet: {service: "EC2", noun: "EC2 Subnet", ops: [3]string{"CreateSubnet", "ModifySubnetAttribute", "DeleteSubnet"},
			computed: []string{"availabilityZone", "availabilityZoneId", "privateDnsHostnameTypeOnLaunch"},
			required: []string{"vpcId"}, replaces: []string{"availabilityZone", "availabilityZoneId", "cidrBlock", "ipv6Native", "outpostArn", "vpcId"},
			idPrefix: "subnet-", arn: "ec2|subnet/{id}", outputs: with("ipv6CidrBlockAssociationId", "ownerId"), refs: []ref{vpcRef},
			defaults: map[string]any{"mapPublicIpOnLaunch": false, "ipv6CidrBlockAssociationId": "", "assignIpv6AddressOnCreation": false, "privateDnsHostnameTypeOnLaunch": "ip-name"},
			times:    times{create: 1 * seconds, update: 10 * seconds, remove: 1 * seconds}, check: checkSubnet, create: createSubnet, remove: removeSubnet},
		tIGW: {service: "EC2", noun: "EC2 Internet Gateway", ops: [3]string{"AttachInternetGateway", "AttachInternetGateway", "DetachInternetGateway"},
			computed: []string{"vpcId"},
			idPrefix: "igw-", arn: "ec2|internet-gateway/{id}", outputs: with("ownerId"), refs: []ref{vpcRef}, times: instant,
			create: createIGW, remove: removeIGW},
		tEIP: {service: "EC2", noun: "EC2 EIP", ops: [3]string{"AllocateAddress", "AssociateAddress", "ReleaseAddress"},
			computed: []string{"domain", "networkBorderGroup", "publicIpv4Pool"},
			replaces: []string{"address", "domain", "networkBorderGroup", "publicIpv4Pool", "vpc"}, idPrefix: "eipalloc-", arn: "ec2|elastic-ip/{id}",
			outputs: with("allocationId", "associationId", "carrierIp", "customerOwnedIp", "privateDns", "privateIp", "ptrRecord", "publicDns", "publicIp"),
			times:   instant, create: createEIP, fill: fillEIP, remove: removeEIP},
		tNAT: {service: "EC2", noun: "EC2 NAT Gateway", ops: [3]string{"CreateNatGateway", "AssignPrivateNatGatewayAddress", "DeleteNatGateway"},
			computed: []string{"privateIp", "secondaryPrivateIpAddressCount"},
			required: []string{"subnetId"}, replaces: []string{"allocationId", "connectivityType", "privateIp", "secondaryPrivateIpAddressCount", "subnetId"},
			idPrefix: "nat-",
			outputs:  []string{"associationId", "networkInterfaceId", "publicIp", "tagsAll"}, defaults: map[string]any{"connectivityType": "public"},
			refs:  []ref{subnetRef("subnetId"), {"allocationId", tEIP, "id", "InvalidAllocationID.NotFound", "The allocation ID '%s' does not exist"}},
			times: times{create: 105 * seconds, update: 2 * seconds, remove: 75 * seconds}, create: createNAT, settle: settleNAT, gone: dropENIs},
		tRouteTable: {service: "EC2", noun: "Route Table", ops: [3]string{"CreateRouteTable", "CreateRoute", "DeleteRouteTable"},
			required: []string{"vpcId"}, replaces: []string{"vpcId"}, idPrefix: "rtb-", arn: "ec2|route-table/{id}", outputs: with("ownerId"),
			refs: []ref{vpcRef}, times: instant, create: createRouteTable, update: func(m *Model, o *object, _ props) error { return createRouteTable(m, o) }, remove: removeRouteTable},
		tRoute: {service: "EC2", noun: "Route", ops: [3]string{"CreateRoute", "ReplaceRoute", "DeleteRoute"},
			required: []string{"routeTableId"}, replaces: []string{"destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId", "routeTableId"},
			id: func(m *Model, o *object) string {
				return "r-" + o.in.str("routeTableId") + crc(destination(o.in))
			},
			takenCode: "RouteAlreadyExists", takenText: "The route identified by %s already exists.",
			outputs: []string{"instanceId", "instanceOwnerId", "origin", "state"}, defaults: map[string]any{"instanceId": "", "instanceOwnerId": "", "origin": "CreateRoute", "state": "active"},
			refs: []ref{rtbRef("routeTableId"), {"gatewayId", tIGW, "id", "InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist"},
				{"natGatewayId", tNAT, "id", "InvalidNatGatewayID.NotFound", "The natGateway ID '%s' does not exist"}},
			times: instant, check: checkRoute, create: createRoute, update: func(m *Model, o *object, _ props) error { return routeTarget(m, o.in) }},
		tRouteAssoc: {service: "EC2", noun: "Route Table Association", ops: [3]string{"AssociateRouteTable", "ReplaceRouteTableAssociation", "DisassociateRouteTable"},
			required: []string{"routeTableId"}, replaces: []string{"gatewayId", "subnetId"}, idPrefix: "rtbassoc-",
			refs: []ref{rtbRef("routeTableId"), subnetRef("subnetId")}, times: instant,
			check: func(c *checker) { c.exactlyOne("subnetId", "gatewayId") }, create: createRouteAssoc},
		tEndpoint: {service: "EC2", noun: "EC2 VPC Endpoint", ops: [3]string{"CreateVpcEndpoint", "ModifyVpcEndpoint", "DeleteVpcEndpoints"},
			computed: []string{"dnsOptions", "ipAddressType", "policy", "privateDnsEnabled"},
			required: []string{"vpcId"}, replaces: []string{"serviceName", "vpcEndpointType", "vpcId"}, idPrefix: "vpce-", arn: "ec2|vpc-endpoint/{id}",
			outputs:  with("cidrBlocks", "dnsEntries", "networkInterfaceIds", "ownerId", "prefixListId", "requesterManaged", "state"),
			defaults: map[string]any{"vpcEndpointType": "Gateway", "state": "available", "requesterManaged": false, "cidrBlocks": []any{}, "dnsEntries": []any{}, "networkInterfaceIds": []any{}, "prefixListId": "", "privateDnsEnabled": false},
			refs:     []ref{vpcRef, rtbRef("routeTableIds"), subnetRef("subnetIds"), sgRef("securityGroupIds")},
			times:    times{create: 6 * seconds, update: 6 * seconds, remove: 7 * seconds}, check: checkEndpoint,
			takes: endpointTakes, create: createEndpoint, fill: fillEndpoint, gone: dropENIs},
		tTemplate: {service: "EC2", noun: "EC2 Launch Template", ops: [3]string{"CreateLaunchTemplate", "CreateLaunchTemplateVersion", "DeleteLaunchTemplate"},
			computed: []string{"defaultVersion", "metadataOptions"},
			replaces: []string{"name", "namePrefix"}, idPrefix: "lt-", arn: "ec2|launch-template/{id}", outputs: with("latestVersion"), recomputed: []string{"latestVersion"},
			name: &naming{property: "name", prefixProperty: "namePrefix", auto: true},
			refs: []ref{sgRef("vpcSecurityGroupIds")}, times: instant, create: createTemplate, fill: fillTemplate, update: updateTemplate, remove: nil},
		tSG: {service: "EC2", noun: "Security Group", ops: [3]string{"CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "DeleteSecurityGroup"},
			computed: []string{"vpcId"},
			replaces: []string{"description", "name", "namePrefix", "vpcId"}, idPrefix: "sg-", arn: "ec2|security-group/{id}", outputs: with("ownerId"),
			name:     &naming{property: "name", prefixProperty: "namePrefix", auto: true},
			defaults: map[string]any{"description": "Managed by Pulumi", "revokeRulesOnDelete": false},
			refs:     []ref{vpcRef}, times: times{create: 3 * seconds, update: 2 * seconds, remove: 1 * seconds}, check: checkSG, create: createSG, remove: removeSG},
		tIngress: ruleRow("AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", sgRef),
		tEgress:  ruleRow("AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress", sgRef),

		// IAM
		tRole: {service: "IAM", noun: "IAM Role", ops: [3]string{"CreateRole", "UpdateAssumeRolePolicy", "DeleteRole"},
			required: []string{"assumeRolePolicy"}, replaces: []string{"name", "namePrefix", "path"}, name: iamName(64), arn: "iam|role{path}{name}",
			outputs: with("createDate", "uniqueId"), defaults: map[string]any{"path": "/", "maxSessionDuration": 3600, "forceDetachPolicies": false, "description": ""},
			takenCode: "EntityAlreadyExists", takenText: "Role with name %s already exists.",
			repeats: []again{{"MalformedPolicyDocument", "Invalid principal in policy", 2 * minutes, true}}, // iam/role.go
			times:   instant, check: checkRole, create: createRole, update: func(m *Model, o *object, _ props) error { return createRole(m, o) }, fill: fillRole, remove: removeRole},
		tRolePolicy: {service: "IAM", noun: "IAM Role Policy", ops: [3]string{"PutRolePolicy", "PutRolePolicy", "DeleteRolePolicy"},
			required: []string{"policy", "role"}, replaces: []string{"name", "namePrefix", "role"}, name: iamName(128), refs: []ref{roleName},
			id:    func(_ *Model, o *object) string { return o.in.str("role") + ":" + o.name() },
			times: instant, check: func(c *checker) { c.policyDocument("policy", identityPolicy, 10240) }},
		tAttachment: {service: "IAM", noun: "IAM Policy to Role", ops: [3]string{"AttachRolePolicy", "AttachRolePolicy", "DetachRolePolicy"},
			required: []string{"policyArn", "role"}, replaces: []string{"policyArn", "role"}, deleteFirst: true, refs: []ref{roleName},
			id:    func(m *Model, o *object) string { return o.in.str("role") + "-" + m.hex(o.typ)[:26] },
			times: instant, check: func(c *checker) { c.arn("policyArn") }, create: createAttachment},
		tPolicy: {service: "IAM", noun: "IAM Policy", ops: [3]string{"CreatePolicy", "CreatePolicyVersion", "DeletePolicy"},
			required: []string{"policy"}, replaces: []string{"description", "name", "namePrefix", "path"}, name: iamName(128), arn: "iam|policy{path}{name}",
			outputs: with("attachmentCount", "policyId"), defaults: map[string]any{"path": "/", "attachmentCount": 0, "description": ""},
			id:        func(m *Model, o *object) string { return m.arnOf("iam|policy{path}{name}", o) },
			takenCode: "EntityAlreadyExists", takenText: "A policy called %s already exists. Duplicate names are not allowed.",
			times: instant, check: func(c *checker) { c.policyDocument("policy", identityPolicy, 6144) },
			fill:   func(m *Model, o *object) { o.out.setDefault("policyId", strings.ToUpper("ANPA"+m.hex(o.id)[:17])) },
			remove: removePolicy},
		tOIDC: {service: "IAM", noun: "IAM OIDC Provider", ops: [3]string{"CreateOpenIDConnectProvider", "UpdateOpenIDConnectProviderThumbprint", "DeleteOpenIDConnectProvider"},
			required: []string{"clientIdLists", "url"}, replaces: []string{"url"}, outputs: arnTags,
			id: func(m *Model, o *object) string { return m.oidcARN(o.in.str("url")) },
			fill: func(m *Model, o *object) {
				o.out.setDefault("arn", o.id)
				o.out.setDefault("thumbprintLists", []any{strings.Repeat("9e99a48a99", 4)})
			},
			takenCode: "EntityAlreadyExists", takenText: "Provider with url %s already exists.",
			times: instant, check: checkOIDC, create: createOIDC},
		tSLR: {service: "IAM", noun: "IAM Service Linked Role", ops: [3]string{"CreateServiceLinkedRole", "UpdateRole", "DeleteServiceLinkedRole"},
			required: []string{"awsServiceName"}, replaces: []string{"awsServiceName", "customSuffix"},
			outputs: with("createDate", "name", "path", "uniqueId"), id: func(m *Model, o *object) string { return m.slrARN(o.in.str("awsServiceName")) },
			takenCode: "InvalidInput", takenText: "Service role name for %s has been taken in this account, please try a different suffix.",
			times: times{create: 2 * seconds, update: 2 * seconds, remove: 10 * seconds}, check: checkSLR, fill: fillSLR, remove: removeSLR},

		// EKS
		tCluster: {service: "EKS", noun: "EKS Cluster", ops: [3]string{"CreateCluster", "UpdateClusterConfig", "DeleteCluster"},
			computed:   []string{"accessConfig", "kubernetesNetworkConfig", "upgradePolicy", "version", "vpcConfig.publicAccessCidrs"},
			required:   []string{"roleArn", "vpcConfig", "vpcConfig.subnetIds"},
			replaces:   []string{"accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons", "kubernetesNetworkConfig.ipFamily", "kubernetesNetworkConfig.serviceIpv4Cidr", "name", "outpostConfig.controlPlaneInstanceType", "outpostConfig.controlPlanePlacement.groupName", "roleArn"},
			replacesIf: replacesCluster, arn: "eks|cluster/{name}",
			name: &naming{property: "name", auto: true},
			outputs: with("certificateAuthorities", "certificateAuthority", "clusterId", "createdAt", "endpoint", "identities", "platformVersion", "status",
				"vpcConfig.clusterSecurityGroupId", "vpcConfig.vpcId"),
			takenCode: "ResourceInUseException", takenText: "Cluster already exists with name: %s",
			repeats: []again{{"InvalidParameterException", "does not exist", 2 * minutes, true}, // eks/cluster.go
				{"InvalidParameterException", "doesn't have the Amazon EKS Managed Policies associated with it", 2 * minutes, true}},
			times: times{create: 9 * minutes, update: 2 * minutes, remove: 3 * minutes}, create: createCluster, fill: fillCluster,
			after: clusterUp, update: updateCluster, remove: removeCluster, gone: clusterGone},
		tNodeGroup: {service: "EKS", noun: "EKS Node Group", ops: [3]string{"CreateNodegroup", "UpdateNodegroupConfig", "DeleteNodegroup"},
			computed: []string{"amiType", "capacityType", "diskSize", "nodeRepairConfig", "releaseVersion", "updateConfig", "version"},
			required: []string{"clusterName", "nodeRoleArn", "scalingConfig", "subnetIds"},
			replaces: []string{"amiType", "capacityType", "clusterName", "diskSize", "instanceTypes", "launchTemplate.id", "launchTemplate.name", "nodeGroupName", "nodeGroupNamePrefix", "nodeRoleArn", "remoteAccess", "remoteAccess.ec2SshKey", "remoteAccess.sourceSecurityGroupIds", "subnetIds"},
			name:     &naming{property: "nodeGroupName", prefixProperty: "nodeGroupNamePrefix", auto: true},
			id:       func(_ *Model, o *object) string { return o.in.str("clusterName") + ":" + o.name() },
			refs:     []ref{clusterRef}, outputs: with("resources", "status"), arn: "eks|nodegroup/{cluster}/{name}/{uuid}",
			takenCode: "ResourceInUseException", takenText: "NodeGroup already exists with name %s",
			times: times{create: 150 * seconds, update: 3 * minutes, remove: 380 * seconds, fail: 25 * minutes}, check: checkNodeGroup, create: createNodeGroup, fill: fillNodeGroup,
			settle: settleNodeGroup, after: syncNodes, update: updateNodeGroup, drain: drainNodeGroup, gone: nodeGroupGone},
		tAddon: {service: "EKS", noun: "EKS Add-On", ops: [3]string{"CreateAddon", "UpdateAddon", "DeleteAddon"},
			computed: []string{"addonVersion", "configurationValues"},
			required: []string{"addonName", "clusterName"}, replaces: []string{"addonName", "clusterName"},
			id:   func(_ *Model, o *object) string { return o.in.str("clusterName") + ":" + o.in.str("addonName") },
			refs: []ref{clusterRef}, outputs: with("createdAt", "modifiedAt"), takenCode: "ResourceInUseException", takenText: "Addon already exists: %s.",
			repeats: []again{{"InvalidParameterException", "does not exist", 2 * minutes, true}}, // eks/addon.go
			times:   times{create: 30 * seconds, update: 30 * seconds, remove: 10 * seconds, fail: 20 * minutes}, check: checkAddon, create: createAddon, fill: fillAddon, settle: settleAddon,
			update: func(m *Model, o *object, _ props) error { return createAddon(m, o) }, after: runAddon, drain: stopAddon, gone: addonGone},
		tAccessEntry: {service: "EKS", noun: "EKS Access Entry", ops: [3]string{"CreateAccessEntry", "UpdateAccessEntry", "DeleteAccessEntry"},
			computed: []string{"userName"},
			required: []string{"clusterName", "principalArn"}, replaces: []string{"clusterName", "principalArn", "type"},
			id:   func(_ *Model, o *object) string { return o.in.str("clusterName") + ":" + o.in.str("principalArn") },
			refs: []ref{clusterRef}, outputs: []string{"accessEntryArn", "createdAt", "modifiedAt", "tagsAll"}, defaults: map[string]any{"type": "STANDARD"},
			takenCode: "ResourceInUseException", takenText: "The specified access entry resource is already in use on this cluster.",
			repeats: []again{{"InvalidParameterException", "The specified principalArn is invalid: invalid principal", 2 * minutes, true}}, // eks/access_entry.go
			times:   instant, check: checkAccessEntry, create: createAccessEntry, fill: fillAccessEntry, gone: accessEntryGone},
		tAccessPolicy: {service: "EKS", noun: "EKS Access Policy Association", ops: [3]string{"AssociateAccessPolicy", "AssociateAccessPolicy", "DisassociateAccessPolicy"},
			required: []string{"accessScope", "accessScope.type", "clusterName", "policyArn", "principalArn"},
			replaces: []string{"accessScope", "accessScope.namespaces", "accessScope.type", "clusterName", "policyArn", "principalArn"},
			id: func(_ *Model, o *object) string {
				return o.in.str("clusterName") + "#" + o.in.str("principalArn") + "#" + o.in.str("policyArn")
			},
			refs: []ref{clusterRef}, outputs: []string{"associatedAt", "modifiedAt"}, times: instant, create: createAccessPolicy, fill: fillAccessPolicy},
		tPodIdentity: {service: "EKS", noun: "EKS Pod Identity Association", ops: [3]string{"CreatePodIdentityAssociation", "UpdatePodIdentityAssociation", "DeletePodIdentityAssociation"},
			required: []string{"clusterName", "namespace", "serviceAccount", "roleArn"}, replaces: []string{"clusterName", "namespace", "serviceAccount"},
			id:   func(m *Model, o *object) string { return "a-" + m.hex(o.typ)[:17] },
			refs: []ref{clusterRef}, outputs: []string{"associationArn", "associationId", "tagsAll"},
			repeats: []again{{"InvalidParameterException", "Role provided in the request does not exist", 2 * minutes, false}}, // eks/pod_identity_association.go
			times:   instant, create: createPodIdentity, update: func(m *Model, o *object, _ props) error { return podIdentityRole(m, o, o.in.str("roleArn")) }, fill: fillPodIdentity},

		// KMS, CloudWatch, SNS
		tKey: {service: "KMS", noun: "KMS Key", ops: [3]string{"CreateKey", "PutKeyPolicy", "ScheduleKeyDeletion"},
			computed: []string{"description", "multiRegion", "policy", "rotationPeriodInDays"},
			replaces: []string{"customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"}, arn: "kms|key/{id}",
			id:      func(m *Model, o *object) string { return m.uuid(o.typ) },
			outputs: with("keyId"), defaults: map[string]any{"isEnabled": true, "keyUsage": "ENCRYPT_DECRYPT", "customerMasterKeySpec": "SYMMETRIC_DEFAULT", "enableKeyRotation": false, "multiRegion": false, "description": ""},
			repeats: []again{{"MalformedPolicyDocumentException", "", 2 * minutes, false}}, // kms/key.go
			times:   times{create: 8 * seconds, update: 8 * seconds, remove: 1 * seconds}, check: checkKey, create: createKey, after: keyUp, fill: fillKey,
			update: func(m *Model, o *object, _ props) error { return createKey(m, o) }, gone: keyGone},
		tAlias: {service: "KMS", noun: "KMS Alias", ops: [3]string{"CreateAlias", "UpdateAlias", "DeleteAlias"},
			required: []string{"targetKeyId"}, replaces: []string{"name", "namePrefix"},
			name: &naming{property: "name", prefixProperty: "namePrefix", autoMax: 238, auto: true, alias: true},
			arn:  "kms|{name}", outputs: []string{"arn", "targetKeyArn"},
			takenCode: "AlreadyExistsException", takenText: "An alias with the name %s already exists",
			times: instant, create: createAlias, update: func(m *Model, o *object, _ props) error { return createAlias(m, o) }, fill: fillAlias},
		tLogGroup: {service: "CloudWatch Logs", noun: "CloudWatch Logs Log Group", ops: [3]string{"CreateLogGroup", "PutRetentionPolicy", "DeleteLogGroup"},
			computed: []string{"logGroupClass"},
			replaces: []string{"logGroupClass", "name", "namePrefix"}, name: &naming{property: "name", prefixProperty: "namePrefix", auto: true},
			arn: "logs|log-group:{name}", outputs: arnTags, defaults: map[string]any{"retentionInDays": 0, "skipDestroy": false, "logGroupClass": "STANDARD"},
			takenCode: "ResourceAlreadyExistsException", takenText: "The specified log group already exists: %s",
			times: instant, create: createLogGroup, gone: logGroupGone},
		tLogPolicy: {service: "CloudWatch Logs", noun: "CloudWatch Logs Resource Policy", ops: [3]string{"PutResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy"},
			required: []string{"policyDocument", "policyName"}, replaces: []string{"policyName"},
			id: func(_ *Model, o *object) string { return o.in.str("policyName") }, times: instant,
			check: func(c *checker) { c.policyDocument("policyDocument", resourcePolicy, 0) }, create: createLogPolicy},
		tAlarm: {service: "CloudWatch", noun: "CloudWatch Metric Alarm", ops: [3]string{"PutMetricAlarm", "PutMetricAlarm", "DeleteAlarms"},
			computed: []string{"evaluateLowSampleCountPercentiles"},
			required: []string{"comparisonOperator", "evaluationPeriods"}, replaces: []string{"name"}, name: &naming{property: "name", auto: true},
			arn: "cloudwatch|alarm:{name}", outputs: arnTags, defaults: map[string]any{"actionsEnabled": true, "treatMissingData": "missing"},
			times: instant, check: checkAlarm, create: createAlarm, update: func(m *Model, o *object, _ props) error { return createAlarm(m, o) }},
		tTopic: {service: "SNS", noun: "SNS Topic", ops: [3]string{"CreateTopic", "SetTopicAttributes", "DeleteTopic"},
			computed: []string{"policy", "signatureVersion", "tracingConfig"},
			replaces: []string{"fifoTopic", "name", "namePrefix"}, name: &naming{property: "name", prefixProperty: "namePrefix", auto: true},
			arn: "sns|{name}", id: func(m *Model, o *object) string { return m.arnOf("sns|{name}", o) }, outputs: with("beginningArchiveTime", "owner"),
			defaults: map[string]any{"beginningArchiveTime": "", "displayName": "", "fifoTopic": false}, times: instant,
			check: func(c *checker) { c.policyDocument("policy", resourcePolicy, 0) }, create: createTopic,
			fill: func(m *Model, o *object) {
				o.out.setDefault("owner", m.opts.Account)
				o.out.setDefault("policy", defaultTopicPolicy(m, o))
			}},
		tSubscription: {service: "SNS", noun: "SNS Topic Subscription", ops: [3]string{"Subscribe", "SetSubscriptionAttributes", "Unsubscribe"},
			computed: []string{"filterPolicyScope"},
			required: []string{"endpoint", "protocol", "topic"}, replaces: []string{"endpoint", "protocol", "topic"},
			id:   func(m *Model, o *object) string { return o.in.str("topic") + ":" + m.uuid(o.typ) },
			refs: []ref{{"topic", tTopic, "arn", "NotFound", "Topic does not exist: %s"}}, outputs: []string{"arn", "confirmationWasAuthenticated", "ownerId", "pendingConfirmation"},
			defaults: map[string]any{"confirmationWasAuthenticated": false, "confirmationTimeoutInMinutes": 1, "endpointAutoConfirms": false, "rawMessageDelivery": false},
			times:    instant, fill: fillSubscription},
		tTopicPolicy: {service: "SNS", noun: "SNS Topic Policy", ops: [3]string{"SetTopicAttributes", "SetTopicAttributes", "SetTopicAttributes"},
			required: []string{"arn", "policy"}, replaces: []string{"arn"}, id: func(_ *Model, o *object) string { return o.in.str("arn") },
			refs: []ref{{"arn", tTopic, "arn", "NotFound", "Topic does not exist: %s"}}, outputs: []string{"owner"}, repeats: []again{{"InvalidParameter", "", 2 * minutes, false}}, // sns/topic.go, putTopicAttribute
			times: instant,
			check: func(c *checker) { c.policyDocument("policy", resourcePolicy, 0) }, create: func(m *Model, o *object) error {
				return m.principalsExist(o, o.in.str("policy"), "InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound")
			},
			fill: func(m *Model, o *object) { o.out.setDefault("owner", m.opts.Account) }},

		// OpenSearch
		tDomain: {service: "OpenSearch", noun: "OpenSearch Domain", ops: [3]string{"CreateDomain", "UpdateDomainConfig", "DeleteDomain"},
			computed: []string{"accessPolicies", "advancedSecurityOptions", "autoTuneOptions", "clusterConfig", "domainEndpointOptions", "ebsOptions", "encryptAtRest", "engineVersion", "ipAddressType", "nodeToNodeEncryption", "offPeakWindowOptions", "softwareUpdateOptions"},
			replaces: []string{"domainName", "encryptAtRest.kmsKeyId", "vpcOptions"}, replacesIf: replacesDomain,
			name: &naming{property: "domainName", auto: true}, arn: "es|domain/{name}",
			id:        func(m *Model, o *object) string { return m.arnOf("es|domain/{name}", o) },
			outputs:   with("dashboardEndpoint", "dashboardEndpointV2", "domainEndpointV2HostedZoneId", "domainId", "endpoint", "endpointV2", "kibanaEndpoint", "vpcOptions.availabilityZones", "vpcOptions.vpcId"),
			takenCode: "ResourceAlreadyExistsException", takenText: "Domain %s already exists",
			repeats: []again{{"InvalidTypeException", "Error setting policy", 30 * minutes, false}, // opensearch/domain.go, consts.go; updates since #36281
				{"ValidationException", inProgress, 2 * minutes, false}},
			times: times{create: 20 * minutes, update: 15 * minutes, remove: 12 * minutes}, check: checkDomain, create: createDomain, fill: fillDomain, update: updateDomain, gone: domainGone},
		tDomainPolicy: {service: "OpenSearch", noun: "OpenSearch Domain Policy", ops: [3]string{"UpdateDomainConfig", "UpdateDomainConfig", "UpdateDomainConfig"},
			required: []string{"accessPolicies", "domainName"},
			upserts:  true, // resourceDomainPolicyUpsert of opensearch/domain_policy.go: also for another domain, if this one was replaced
			id:       func(_ *Model, o *object) string { return "esd-policy-" + o.in.str("domainName") },
			refs:     []ref{{"domainName", tDomain, "domainName", "ResourceNotFoundException", "Domain not found: %s"}},
			times:    times{create: 1 * minutes, update: 1 * minutes, remove: 1 * minutes},
			repeats:  []again{{"ValidationException", inProgress, 2 * minutes, false}}, // opensearch/domain_policy.go
			check:    func(c *checker) { c.policyDocument("accessPolicies", resourcePolicy, 0) }, create: createDomainPolicy,
			update: func(m *Model, o *object, _ props) error { return createDomainPolicy(m, o) }, remove: changeDomainPolicy, missed: missedDomainPolicy},
	}
}

func ruleRow(authorize, revoke string, sgRef func(string) ref) *row {
	return &row{service: "EC2", noun: "VPC Security Group Rule", ops: [3]string{authorize, "ModifySecurityGroupRules", revoke},
		required: []string{"ipProtocol", "securityGroupId"}, replaces: []string{"securityGroupId"}, idPrefix: "sgr-", arn: "ec2|security-group-rule/{id}",
		outputs: []string{"arn", "securityGroupRuleId", "tagsAll"}, refs: []ref{sgRef("securityGroupId"), sgRef("referencedSecurityGroupId")},
		times: times{create: 1 * seconds, update: 1 * seconds, remove: 1 * seconds}, check: checkRule, create: createRule,
		replacesIf: otherKindOfPeer, update: func(m *Model, o *object, _ props) error { return createRule(m, o) },
		fill: func(_ *Model, o *object) { o.out.setDefault("securityGroupRuleId", o.id) }}
}
