package tests

import "slices"

// permissions are what the AWS provider and, behind its calls, AWS itself ask of the caller for the resources of one type.
// Each field is a list of IAM actions, separated by spaces.
type permissions struct {
	// source is the provider's file, below internal/service of
	// https://github.com/hashicorp/terraform-provider-aws/tree/v5.100.0, which pulumi-aws 6.83 bridges. Where a type does more than
	// create, describe, update and delete, its file was read, in versions around that one.
	source                       string
	read, create, update, delete string
}

// needs are the permissions by type, for what the program sets: a feature of a type that it does not use is left out. Where AWS
// checks more than the call itself, the list is the one that CloudFormation's registry gives for its resource of that kind
// (handlers.permissions, https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html).
// iam:PassRole is not here: which role goes to whom is read off the roles themselves.
var needs = map[string]permissions{
	"aws:ec2/vpc:Vpc": {
		source: "ec2/vpc_.go",
		read:   "ec2:DescribeVpcs ec2:DescribeVpcAttribute ec2:DescribeNetworkAcls ec2:DescribeRouteTables ec2:DescribeSecurityGroups",
		create: "ec2:CreateVpc ec2:CreateTags ec2:ModifyVpcAttribute",
		update: "ec2:ModifyVpcAttribute ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DeleteVpc",
	},
	"aws:ec2/subnet:Subnet": {
		source: "ec2/vpc_subnet.go",
		// Before it deletes, the provider looks for network interfaces that Lambda and others forgot.
		read:   "ec2:DescribeSubnets ec2:DescribeNetworkInterfaces",
		create: "ec2:CreateSubnet ec2:CreateTags ec2:ModifySubnetAttribute",
		update: "ec2:ModifySubnetAttribute ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DeleteSubnet",
	},
	"aws:ec2/internetGateway:InternetGateway": {
		source: "ec2/vpc_internet_gateway.go",
		read:   "ec2:DescribeInternetGateways",
		create: "ec2:CreateInternetGateway ec2:CreateTags ec2:AttachInternetGateway",
		update: "ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DetachInternetGateway ec2:DeleteInternetGateway",
	},
	"aws:ec2/eip:Eip": {
		source: "ec2/ec2_eip.go",
		read:   "ec2:DescribeAddresses ec2:DescribeAddressesAttribute",
		create: "ec2:AllocateAddress ec2:CreateTags",
		update: "ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DisassociateAddress ec2:ReleaseAddress",
	},
	"aws:ec2/natGateway:NatGateway": {
		source: "ec2/vpc_nat_gateway.go",
		read:   "ec2:DescribeNatGateways",
		create: "ec2:CreateNatGateway ec2:CreateTags",
		update: "ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DeleteNatGateway",
	},
	"aws:ec2/routeTable:RouteTable": {
		source: "ec2/vpc_route_table.go",
		read:   "ec2:DescribeRouteTables",
		create: "ec2:CreateRouteTable ec2:CreateTags",
		update: "ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DisassociateRouteTable ec2:DeleteRouteTable",
	},
	"aws:ec2/route:Route": {
		source: "ec2/vpc_route.go",
		read:   "ec2:DescribeRouteTables",
		create: "ec2:CreateRoute",
		update: "ec2:ReplaceRoute",
		delete: "ec2:DeleteRoute",
	},
	"aws:ec2/routeTableAssociation:RouteTableAssociation": {
		source: "ec2/vpc_route_table_association.go",
		read:   "ec2:DescribeRouteTables",
		create: "ec2:AssociateRouteTable",
		update: "ec2:ReplaceRouteTableAssociation",
		delete: "ec2:DisassociateRouteTable",
	},
	"aws:ec2/vpcEndpoint:VpcEndpoint": {
		source: "ec2/vpc_endpoint.go",
		read:   "ec2:DescribeVpcEndpoints ec2:DescribePrefixLists ec2:DescribeNetworkInterfaces",
		// Names of the service in the VPC are a hosted zone that AWS makes in the caller's name: "dependent actions" of
		// CreateVpcEndpoint in https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html.
		create: "ec2:CreateVpcEndpoint ec2:CreateTags route53:AssociateVPCWithHostedZone",
		update: "ec2:ModifyVpcEndpoint ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DeleteVpcEndpoints",
	},
	"aws:ec2/securityGroup:SecurityGroup": {
		source: "ec2/vpc_security_group.go",
		read:   "ec2:DescribeSecurityGroups ec2:DescribeNetworkInterfaces",
		// A new group lets everything out; the provider takes that back.
		create: "ec2:CreateSecurityGroup ec2:CreateTags ec2:RevokeSecurityGroupEgress",
		update: "ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DeleteSecurityGroup",
	},
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
		source: "ec2/vpc_security_group_ingress_rule.go",
		read:   "ec2:DescribeSecurityGroupRules",
		create: "ec2:AuthorizeSecurityGroupIngress ec2:CreateTags",
		update: "ec2:ModifySecurityGroupRules ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:RevokeSecurityGroupIngress",
	},
	"aws:ec2/launchTemplate:LaunchTemplate": {
		source: "ec2/ec2_launch_template.go",
		read:   "ec2:DescribeLaunchTemplates ec2:DescribeLaunchTemplateVersions",
		create: "ec2:CreateLaunchTemplate ec2:CreateTags",
		update: "ec2:CreateLaunchTemplateVersion ec2:ModifyLaunchTemplate ec2:CreateTags ec2:DeleteTags",
		delete: "ec2:DeleteLaunchTemplate",
	},
	"aws:eks/cluster:Cluster": {
		source: "eks/cluster.go",
		read:   "eks:DescribeCluster eks:DescribeUpdate",
		create: "eks:CreateCluster eks:TagResource ec2:DescribeSubnets ec2:DescribeVpcs ec2:DescribeSecurityGroups " +
			"iam:GetRole iam:ListAttachedRolePolicies iam:CreateServiceLinkedRole kms:DescribeKey kms:CreateGrant",
		update: "eks:UpdateClusterConfig eks:UpdateClusterVersion eks:TagResource eks:UntagResource",
		delete: "eks:DeleteCluster",
	},
	"aws:eks/nodeGroup:NodeGroup": {
		source: "eks/node_group.go",
		read:   "eks:DescribeNodegroup eks:DescribeUpdate",
		// EKS refuses a launch template that its caller could not launch instances with.
		create: "eks:CreateNodegroup eks:TagResource ec2:RunInstances ec2:CreateTags ec2:DescribeLaunchTemplates " +
			"ec2:DescribeLaunchTemplateVersions ec2:DescribeRouteTables ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs " +
			"iam:GetRole iam:ListAttachedRolePolicies iam:CreateServiceLinkedRole",
		update: "eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion eks:TagResource eks:UntagResource",
		delete: "eks:DeleteNodegroup",
	},
	"aws:eks/addon:Addon": {
		source: "eks/addon.go",
		read:   "eks:DescribeAddon eks:DescribeUpdate eks:DescribePodIdentityAssociation",
		create: "eks:CreateAddon eks:CreatePodIdentityAssociation eks:TagResource iam:GetRole",
		update: "eks:UpdateAddon eks:UpdatePodIdentityAssociation eks:TagResource eks:UntagResource",
		delete: "eks:DeleteAddon eks:DeletePodIdentityAssociation",
	},
	"aws:eks/accessEntry:AccessEntry": {
		source: "eks/access_entry.go",
		read:   "eks:DescribeAccessEntry",
		create: "eks:CreateAccessEntry eks:TagResource",
		update: "eks:TagResource eks:UntagResource",
		delete: "eks:DeleteAccessEntry",
	},
	"aws:eks/accessPolicyAssociation:AccessPolicyAssociation": {
		source: "eks/access_policy_association.go",
		read:   "eks:ListAssociatedAccessPolicies",
		create: "eks:AssociateAccessPolicy",
		delete: "eks:DisassociateAccessPolicy",
	},
	"aws:eks/podIdentityAssociation:PodIdentityAssociation": {
		source: "eks/pod_identity_association.go",
		read:   "eks:DescribePodIdentityAssociation",
		create: "eks:CreatePodIdentityAssociation eks:TagResource iam:GetRole",
		update: "eks:UpdatePodIdentityAssociation eks:TagResource eks:UntagResource",
		delete: "eks:DeletePodIdentityAssociation",
	},
	"aws:iam/role:Role": {
		source: "iam/role.go",
		read:   "iam:GetRole iam:ListRolePolicies iam:GetRolePolicy iam:ListAttachedRolePolicies",
		create: "iam:CreateRole iam:TagRole",
		update: "iam:UpdateAssumeRolePolicy iam:UpdateRole iam:UpdateRoleDescription iam:TagRole iam:UntagRole",
		delete: "iam:ListInstanceProfilesForRole iam:DeleteRole",
	},
	"aws:iam/rolePolicy:RolePolicy": {
		source: "iam/role_policy.go",
		read:   "iam:GetRolePolicy",
		create: "iam:PutRolePolicy",
		update: "iam:PutRolePolicy",
		delete: "iam:DeleteRolePolicy",
	},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
		source: "iam/role_policy_attachment.go",
		read:   "iam:ListAttachedRolePolicies",
		create: "iam:AttachRolePolicy",
		delete: "iam:DetachRolePolicy",
	},
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
		source: "iam/openid_connect_provider.go",
		read:   "iam:GetOpenIDConnectProvider",
		create: "iam:CreateOpenIDConnectProvider iam:TagOpenIDConnectProvider",
		update: "iam:AddClientIDToOpenIDConnectProvider iam:RemoveClientIDFromOpenIDConnectProvider " +
			"iam:TagOpenIDConnectProvider iam:UntagOpenIDConnectProvider",
		delete: "iam:DeleteOpenIDConnectProvider",
	},
	"aws:iam/serviceLinkedRole:ServiceLinkedRole": {
		source: "iam/service_linked_role.go",
		read:   "iam:GetRole",
		create: "iam:CreateServiceLinkedRole iam:TagRole",
		update: "iam:UpdateRole iam:TagRole iam:UntagRole",
		// The program retains it.
	},
	"aws:kms/key:Key": {
		source: "kms/key.go",
		read:   "kms:DescribeKey kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags",
		create: "kms:CreateKey kms:TagResource kms:EnableKeyRotation",
		update: "kms:UpdateKeyDescription kms:EnableKeyRotation kms:TagResource kms:UntagResource",
		delete: "kms:ScheduleKeyDeletion",
	},
	"aws:kms/alias:Alias": {
		source: "kms/alias.go",
		read:   "kms:ListAliases",
		create: "kms:CreateAlias",
		update: "kms:UpdateAlias",
		delete: "kms:DeleteAlias",
	},
	"aws:cloudwatch/logGroup:LogGroup": {
		source: "logs/group.go",
		read:   "logs:DescribeLogGroups logs:ListTagsForResource",
		create: "logs:CreateLogGroup logs:PutRetentionPolicy logs:TagResource",
		update: "logs:PutRetentionPolicy logs:TagResource logs:UntagResource",
		delete: "logs:DeleteLogGroup",
	},
	"aws:cloudwatch/logResourcePolicy:LogResourcePolicy": {
		source: "logs/resource_policy.go",
		read:   "logs:DescribeResourcePolicies",
		create: "logs:PutResourcePolicy",
		update: "logs:PutResourcePolicy",
		delete: "logs:DeleteResourcePolicy",
	},
	"aws:cloudwatch/metricAlarm:MetricAlarm": {
		source: "cloudwatch/metric_alarm.go",
		read:   "cloudwatch:DescribeAlarms cloudwatch:ListTagsForResource",
		create: "cloudwatch:PutMetricAlarm cloudwatch:TagResource",
		update: "cloudwatch:PutMetricAlarm cloudwatch:TagResource cloudwatch:UntagResource",
		delete: "cloudwatch:DeleteAlarms",
	},
	"aws:sns/topic:Topic": {
		source: "sns/topic.go",
		read:   "sns:GetTopicAttributes sns:ListTagsForResource",
		create: "sns:CreateTopic sns:SetTopicAttributes sns:TagResource",
		update: "sns:SetTopicAttributes sns:TagResource sns:UntagResource",
		delete: "sns:DeleteTopic",
	},
	"aws:sns/topicPolicy:TopicPolicy": {
		source: "sns/topic_policy.go",
		read:   "sns:GetTopicAttributes",
		create: "sns:SetTopicAttributes",
		update: "sns:SetTopicAttributes",
		delete: "sns:SetTopicAttributes",
	},
	"aws:sns/topicSubscription:TopicSubscription": {
		source: "sns/topic_subscription.go",
		read:   "sns:GetSubscriptionAttributes",
		create: "sns:Subscribe",
		update: "sns:SetSubscriptionAttributes",
		delete: "sns:Unsubscribe",
	},
	"aws:opensearch/domain:Domain": {
		source: "opensearch/domain.go",
		read:   "es:DescribeDomain es:DescribeDomainConfig es:ListTags es:GetUpgradeStatus es:GetCompatibleVersions",
		create: "es:CreateDomain es:AddTags es:UpdateDomainConfig ec2:DescribeSubnets ec2:DescribeVpcs ec2:DescribeSecurityGroups",
		update: "es:UpdateDomainConfig es:UpgradeDomain es:AddTags es:RemoveTags",
		delete: "es:DeleteDomain",
	},
	"aws:opensearch/domainPolicy:DomainPolicy": {
		source: "opensearch/domain_policy.go",
		read:   "es:DescribeDomain",
		create: "es:UpdateDomainConfig",
		update: "es:UpdateDomainConfig",
		delete: "es:UpdateDomainConfig",
	},
}

// componentRole is the one role that pulumi-eks makes, in a process of its own where mocks do not see it: ServiceRole in
// https://github.com/pulumi/pulumi-eks/blob/v3.9.1/nodejs/eks/servicerole.ts. EKS assumes it.
const (
	componentRole   = "expense-eksRole-role"
	componentPolicy = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
)

// componentTypes are what pulumi-eks makes below eks:index:Cluster.
var componentTypes = []string{"aws:eks/cluster:Cluster", "aws:iam/role:Role", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"}

// The places in the documents that a user fills in.
const (
	accountID  = "ACCOUNT_ID"
	regionName = "REGION_NAME"
	bucket     = "STATE_BUCKET"
	stateKey   = "STATE_KEY_ARN"
	subject    = "GITHUB_SUBJECT"
)

func arnOf(service, resource string) string {
	if service == "iam" {
		return "arn:aws:iam::" + accountID + ":" + resource
	}
	return "arn:aws:" + service + ":" + regionName + ":" + accountID + ":" + resource
}

// condition is operator -> condition key -> values, any of which is enough.
type condition map[string]map[string][]string

var (
	inRegion = condition{"StringEquals": {"aws:RequestedRegion": {regionName}}}
	// ours are resources that carry the tag that program.Tags puts on all.
	ours   = condition{"StringEquals": {"aws:ResourceTag/pulumi:project": {"expense"}}}
	toBe   = condition{"StringEquals": {"aws:RequestTag/pulumi:project": {"expense"}}}
	linked = []string{"eks.amazonaws.com", "eks-nodegroup.amazonaws.com", "opensearchservice.amazonaws.com"}
)

// scope is where actions are allowed. Resources are as narrow as AWS takes them and names are known before they are given:
// what it has no resource-level permissions for is allowed on * in the one region, which the service authorization reference
// (https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html)
// says of each action. An action may be in several scopes.
type scope struct {
	sid, actions string
	resources    []string
	condition    condition
}

var (
	anything = []string{"*"}
	eksARNs  = []string{
		arnOf("eks", "cluster/expense*"), arnOf("eks", "nodegroup/expense*/*"), arnOf("eks", "addon/expense*/*"),
		arnOf("eks", "access-entry/expense*/*"), arnOf("eks", "podidentityassociation/expense*/*"),
	}
	roleARNs   = []string{arnOf("iam", "role/expense-*")}
	linkedARNs = []string{arnOf("iam", "role/aws-service-role/*")}
	// unmadeARNs are service-linked roles that do not exist: IAM knows their path only when they do (see the calls below).
	unmadeARNs = []string{arnOf("iam", "role/AWSServiceRoleFor*")}
	oidcARNs   = []string{arnOf("iam", "oidc-provider/oidc.eks."+regionName+".amazonaws.com/id/*")}
	logARNs    = []string{arnOf("logs", "log-group:/aws/eks/expense*"), arnOf("logs", "log-group:/aws/OpenSearchService/domains/expense*")}
	domainARNs = []string{arnOf("es", "domain/expense*")}
	topicARNs  = []string{arnOf("sns", "expense-*")}
	alarmARNs  = []string{arnOf("cloudwatch", "alarm:expense-*")}
	aliasARNs  = []string{arnOf("kms", "alias/eks/expense*")}
	keyARNs    = []string{arnOf("kms", "key/*")}
	stateARNs  = []string{"arn:aws:s3:::" + bucket + "/.pulumi/*"}
)

// readScopes are the policy of the role that previews and looks for drift. The role that deploys has it too.
var readScopes = []scope{
	{"Ec2", "ec2:DescribeAddresses ec2:DescribeAddressesAttribute ec2:DescribeInternetGateways ec2:DescribeLaunchTemplateVersions " +
		"ec2:DescribeLaunchTemplates ec2:DescribeNatGateways ec2:DescribeNetworkAcls ec2:DescribeNetworkInterfaces ec2:DescribePrefixLists " +
		"ec2:DescribeRouteTables ec2:DescribeSecurityGroupRules ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcAttribute " +
		"ec2:DescribeVpcEndpoints ec2:DescribeVpcs", anything, inRegion},
	{"Lists", "cloudwatch:DescribeAlarms kms:ListAliases logs:DescribeLogGroups logs:DescribeResourcePolicies sns:GetSubscriptionAttributes", anything, inRegion},
	{"Eks", "eks:DescribeAccessEntry eks:DescribeAddon eks:DescribeCluster eks:DescribeNodegroup eks:DescribePodIdentityAssociation " +
		"eks:DescribeUpdate eks:ListAssociatedAccessPolicies", eksARNs, nil},
	{"Roles", "iam:GetRole iam:GetRolePolicy iam:ListAttachedRolePolicies iam:ListRolePolicies", slices.Concat(roleARNs, linkedARNs, unmadeARNs), nil},
	{"Oidc", "iam:GetOpenIDConnectProvider", oidcARNs, nil},
	{"Keys", "kms:DescribeKey kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags", keyARNs, nil},
	{"Logs", "logs:ListTagsForResource", logARNs, nil},
	{"Alarms", "cloudwatch:ListTagsForResource", alarmARNs, nil},
	{"Topics", "sns:GetTopicAttributes sns:ListTagsForResource", topicARNs, nil},
	{"Domains", "es:DescribeDomain es:DescribeDomainConfig es:GetCompatibleVersions es:GetUpgradeStatus es:ListTags", domainARNs, nil},
	// Pulumi's state in a bucket, with the secrets in it encrypted with a key
	// (https://www.pulumi.com/docs/iac/concepts/state-and-backends/, https://www.pulumi.com/docs/iac/concepts/secrets/).
	{"State", "s3:ListBucket", []string{"arn:aws:s3:::" + bucket}, nil},
	{"StateObjects", "s3:GetObject", stateARNs, nil},
	{"StateSecrets", "kms:Decrypt", []string{stateKey}, nil},
}

// networkScopes, identityScopes and platformScopes are what the role that deploys has beside reading: several, because AWS takes
// 6144 characters in a policy. What deletes or changes something in EC2 does so to what carries the program's tag only.
var networkScopes = []scope{
	{"Make", "ec2:AllocateAddress ec2:AssociateRouteTable ec2:AttachInternetGateway ec2:AuthorizeSecurityGroupIngress " +
		"ec2:CreateInternetGateway ec2:CreateLaunchTemplate ec2:CreateNatGateway ec2:CreateRoute ec2:CreateRouteTable ec2:CreateSecurityGroup " +
		"ec2:CreateSubnet ec2:CreateVpc ec2:CreateVpcEndpoint ec2:DisassociateAddress ec2:DisassociateRouteTable ec2:ModifySecurityGroupRules " +
		"ec2:ReplaceRouteTableAssociation ec2:RevokeSecurityGroupEgress ec2:RevokeSecurityGroupIngress ec2:RunInstances", anything, inRegion},
	{"Change", "ec2:CreateLaunchTemplateVersion ec2:DeleteInternetGateway ec2:DeleteLaunchTemplate ec2:DeleteNatGateway ec2:DeleteRoute " +
		"ec2:DeleteRouteTable ec2:DeleteSecurityGroup ec2:DeleteSubnet ec2:DeleteVpc ec2:DeleteVpcEndpoints ec2:DetachInternetGateway " +
		"ec2:ModifyLaunchTemplate ec2:ModifySubnetAttribute ec2:ModifyVpcAttribute ec2:ModifyVpcEndpoint ec2:ReleaseAddress ec2:ReplaceRoute",
		[]string{arnOf("ec2", "*")}, ours},
	// Tags are what Change goes by, so only new things get them, and those that have them already.
	{"TagNew", "ec2:CreateTags", []string{arnOf("ec2", "*")}, condition{"StringEquals": {"ec2:CreateAction": {
		"AllocateAddress", "AuthorizeSecurityGroupIngress", "CreateInternetGateway", "CreateLaunchTemplate", "CreateNatGateway", "CreateRouteTable",
		"CreateSecurityGroup", "CreateSubnet", "CreateVpc", "CreateVpcEndpoint", "RunInstances",
	}}}},
	// The provider tags these after it made them.
	{"TagRules", "ec2:CreateTags", []string{arnOf("ec2", "security-group-rule/*")}, toBe},
	{"TagOurs", "ec2:CreateTags ec2:DeleteTags", []string{arnOf("ec2", "*")}, ours},
	// Route 53 is a global service: its requests count as us-east-1's.
	{"EndpointNames", "route53:AssociateVPCWithHostedZone", anything, nil},
}

// identityScopes get the statements about handing roles out and AWS's policies too.
var identityScopes = []scope{
	{"Roles", "iam:CreateRole iam:DeleteRole iam:DeleteRolePolicy iam:ListInstanceProfilesForRole iam:PutRolePolicy iam:TagRole iam:UntagRole " +
		"iam:UpdateAssumeRolePolicy iam:UpdateRole iam:UpdateRoleDescription", roleARNs, nil},
	{"LinkRoles", "iam:CreateServiceLinkedRole", linkedARNs, condition{"StringEquals": {"iam:AWSServiceName": linked}}},
	{"LinkedRole", "iam:TagRole iam:UntagRole iam:UpdateRole", []string{
		arnOf("iam", "role/AWSServiceRoleForAmazonOpenSearchService"), arnOf("iam", "role/aws-service-role/opensearchservice.amazonaws.com/*"),
	}, nil},
	{"Oidc", "iam:AddClientIDToOpenIDConnectProvider iam:CreateOpenIDConnectProvider iam:DeleteOpenIDConnectProvider " +
		"iam:RemoveClientIDFromOpenIDConnectProvider iam:TagOpenIDConnectProvider iam:UntagOpenIDConnectProvider", oidcARNs, nil},
	{"MakeKeys", "kms:CreateKey kms:TagResource", anything, condition{"StringEquals": {
		"aws:RequestTag/pulumi:project": {"expense"}, "aws:RequestedRegion": {regionName},
	}}},
	// What the provider does in the first seconds of a key: its tag may take five minutes to count
	// (https://docs.aws.amazon.com/kms/latest/developerguide/abac.html). Neither harms a key of others.
	{"NewKeys", "kms:CreateAlias kms:EnableKeyRotation", keyARNs, nil},
	{"Keys", "kms:DeleteAlias kms:ScheduleKeyDeletion kms:TagResource kms:UntagResource kms:UpdateAlias kms:UpdateKeyDescription", keyARNs, ours},
	{"Aliases", "kms:CreateAlias kms:DeleteAlias kms:UpdateAlias", aliasARNs, nil},
	{"Grants", "kms:CreateGrant", keyARNs, ours},
}

var platformScopes = []scope{
	{"Eks", "eks:AssociateAccessPolicy eks:CreateAccessEntry eks:CreateAddon eks:CreateCluster eks:CreateNodegroup eks:CreatePodIdentityAssociation " +
		"eks:DeleteAccessEntry eks:DeleteAddon eks:DeleteCluster eks:DeleteNodegroup eks:DeletePodIdentityAssociation eks:DisassociateAccessPolicy " +
		"eks:TagResource eks:UntagResource eks:UpdateAddon eks:UpdateClusterConfig eks:UpdateClusterVersion " +
		"eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion eks:UpdatePodIdentityAssociation", eksARNs, nil},
	{"Logs", "logs:CreateLogGroup logs:DeleteLogGroup logs:PutRetentionPolicy logs:TagResource logs:UntagResource", logARNs, nil},
	{"Lists", "logs:DeleteResourcePolicy logs:PutResourcePolicy sns:SetSubscriptionAttributes sns:Unsubscribe", anything, inRegion},
	{"Alarms", "cloudwatch:DeleteAlarms cloudwatch:PutMetricAlarm cloudwatch:TagResource cloudwatch:UntagResource", alarmARNs, nil},
	{"Topics", "sns:CreateTopic sns:DeleteTopic sns:SetTopicAttributes sns:Subscribe sns:TagResource sns:UntagResource", topicARNs, nil},
	{"Domains", "es:AddTags es:CreateDomain es:DeleteDomain es:RemoveTags es:UpdateDomainConfig es:UpgradeDomain", domainARNs, nil},
	{"StateObjects", "s3:DeleteObject s3:PutObject", stateARNs, nil},
	{"StateSecrets", "kms:Encrypt", []string{stateKey}, nil},
}

// call is one request that AWS compares with the documents of the role that deploys: an action on one resource, with the
// condition keys that the request has. A key that is not here is not there: a condition on it does not hold, whatever its value.
// aws:RequestedRegion is always there.
type call struct {
	action, resource string
	context          map[string]string
	allowed          bool
}

// The keys that requests have, each with where that is said.
var (
	bare   = map[string]string{}
	tagged = map[string]string{"aws:ResourceTag/pulumi:project": "expense"}
	// asked are the tags that a request brings (https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html,
	// and for EC2 https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html).
	asked = map[string]string{"aws:RequestTag/pulumi:project": "expense"}
)

func to(service string) map[string]string { return map[string]string{"iam:PassedToService": service} }

func made(by string) map[string]string { return map[string]string{"ec2:CreateAction": by} }

func policyARN(policy string) map[string]string {
	return map[string]string{"iam:PolicyARN": "arn:aws:iam::aws:policy/" + policy}
}

func linkedTo(service string) map[string]string {
	return map[string]string{"iam:AWSServiceName": service}
}

// calls are where the resource or the keys of a request are not what one expects of a thing that exists and has its tags, or
// where a condition decides. Each statement with a condition has a call here that it lets through. EKS asks for some of them with
// the credentials of its caller (https://github.com/terraform-aws-modules/terraform-aws-eks/issues/823).
var calls = slices.Concat(
	// A key in its first seconds, whose tag does not count yet, in the order of resourceKeyCreate in kms/key.go and of kms/alias.go.
	[]call{
		{"kms:CreateKey", "*", asked, true},
		{"kms:TagResource", aKey, asked, true},
		{"kms:EnableKeyRotation", aKey, bare, true},
		{"kms:ListResourceTags", aKey, bare, true},
		{"kms:DescribeKey", aKey, bare, true},
		{"kms:GetKeyPolicy", aKey, bare, true},
		{"kms:GetKeyRotationStatus", aKey, bare, true},
		{"kms:CreateAlias", aKey, bare, true},
		{"kms:CreateAlias", arnOf("kms", "alias/eks/expense"), bare, true},
	},
	// CreateCluster. "The condition kms:GrantIsForAWSResource is not supported for the CreateCluster action":
	// https://docs.aws.amazon.com/eks/latest/userguide/enable-kms.html; what a refusal looks
	// like: https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/2432. The grant needs the tag: without it the role
	// could let anybody use any key.
	[]call{
		{"kms:CreateGrant", aKey, tagged, true},
		{"kms:CreateGrant", aKey, bare, false},
		{"iam:PassRole", arnOf("iam", "role/"+componentRole+"-0123abc"), to("eks.amazonaws.com"), true},
		{"iam:PassRole", arnOf("iam", "role/"+componentRole+"-0123abc"), to("lambda.amazonaws.com"), false},
	},
	// The first cluster, node group and domain of an account. IAM is asked about a role that does not exist by an ARN without a
	// path, as its troubleshooter showed: veerarakesh56/warden terraform/proving-ground/eks.tf. The refusal of EKS:
	// https://github.com/awsdocs/amazon-eks-user-guide/issues/279.
	[]call{
		{"iam:GetRole", arnOf("iam", "role/AWSServiceRoleForAmazonEKS"), bare, true},
		{"iam:GetRole", arnOf("iam", "role/AWSServiceRoleForAmazonEKSNodegroup"), bare, true},
		{"iam:GetRole", arnOf("iam", "role/AWSServiceRoleForAmazonOpenSearchService"), bare, true},
		{"iam:TagRole", arnOf("iam", "role/AWSServiceRoleForAmazonOpenSearchService"), bare, true},
		{"iam:GetRole", arnOf("iam", "role/of-somebody"), bare, false},
		{"iam:CreateServiceLinkedRole", linkedRole("eks.amazonaws.com/AWSServiceRoleForAmazonEKS"), linkedTo("eks.amazonaws.com"), true},
		{"iam:CreateServiceLinkedRole", linkedRole("eks-nodegroup.amazonaws.com/AWSServiceRoleForAmazonEKSNodegroup"), linkedTo("eks-nodegroup.amazonaws.com"), true},
		{"iam:CreateServiceLinkedRole", linkedRole("opensearchservice.amazonaws.com/AWSServiceRoleForAmazonOpenSearchService"),
			linkedTo("opensearchservice.amazonaws.com"), true},
		{"iam:CreateServiceLinkedRole", linkedRole("organizations.amazonaws.com/AWSServiceRoleForOrganizations"), linkedTo("organizations.amazonaws.com"), false},
	},
	// CreateNodegroup: EKS tries whether its caller may launch instances from the template.
	[]call{
		{"ec2:RunInstances", arnOf("ec2", "instance/*"), bare, true},
		{"ec2:CreateTags", arnOf("ec2", "instance/*"), made("RunInstances"), true},
		{"iam:PassRole", arnOf("iam", "role/expense-node-0123abc"), to("eks.amazonaws.com"), true},
		{"iam:PassRole", arnOf("iam", "role/expense-node-0123abc"), to("ec2.amazonaws.com"), true},
		{"iam:PassRole", arnOf("iam", "role/expense-log-master-0123abc"), to("pods.eks.amazonaws.com"), true},
	},
	// The last look at a node group or an add-on that is being deleted. One that exists has a UUID at the end of its ARN; what EKS
	// says of one that is gone is not published.
	[]call{
		{"eks:DescribeNodegroup", arnOf("eks", "nodegroup/expense/expense-2026/0c"), bare, true},
		{"eks:DescribeNodegroup", arnOf("eks", "nodegroup/expense/expense-2026"), bare, true},
		{"eks:DescribeAddon", arnOf("eks", "addon/expense/vpc-cni"), bare, true},
		{"eks:DescribeAddon", arnOf("eks", "addon/of-somebody/vpc-cni"), bare, false},
	},
	// What exists is known by its tag, and what is new gets it with the call that makes it.
	[]call{
		{"kms:ScheduleKeyDeletion", aKey, tagged, true},
		{"kms:ScheduleKeyDeletion", aKey, bare, false},
		{"kms:TagResource", aKey, bare, false},
		{"kms:UpdateAlias", aKey, bare, false},
		{"kms:PutKeyPolicy", aKey, tagged, false},
		{"ec2:DeleteVpc", arnOf("ec2", "vpc/vpc-0"), tagged, true},
		{"ec2:DeleteVpc", arnOf("ec2", "vpc/vpc-0"), bare, false},
		{"ec2:CreateTags", arnOf("ec2", "vpc/vpc-0"), made("CreateVpc"), true},
		{"ec2:CreateTags", arnOf("ec2", "vpc/vpc-0"), tagged, true},
		{"ec2:CreateTags", arnOf("ec2", "vpc/vpc-0"), asked, false},
		{"ec2:CreateTags", arnOf("ec2", "security-group-rule/sgr-0"), asked, true},
		{"iam:AttachRolePolicy", arnOf("iam", "role/expense-node-0123abc"), policyARN("AmazonEKSWorkerNodePolicy"), true},
		{"iam:AttachRolePolicy", arnOf("iam", "role/expense-node-0123abc"), policyARN("AdministratorAccess"), false},
		{"iam:DeleteRole", arnOf("iam", "role/github-expense-deploy"), bare, false},
	},
	// Without names or tags: in the one region only.
	[]call{
		{"ec2:CreateVpc", arnOf("ec2", "vpc/*"), bare, true},
		{"ec2:DescribeVpcs", "*", bare, true},
		{"kms:ListAliases", "*", bare, true},
		{"logs:PutResourcePolicy", "*", bare, true},
	},
)

var aKey = arnOf("kms", "key/0c")

func linkedRole(path string) string { return arnOf("iam", "role/aws-service-role/"+path) }
