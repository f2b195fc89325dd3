package awsprovider

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// habit is what the provider does with a type of resource; package awsmodel has what AWS does. Sources are the schemas and the files of
// hashicorp/terraform-provider-aws, below internal/service. Lists are words with spaces between them.
type habit struct {
	// noun is what errors call a thing of the type.
	noun string
	// outputs are the properties that are no inputs, as paths: a preview of a creation does not know them.
	outputs string
	// recomputed are the outputs that an update renews: its preview does not know them.
	recomputed string
	// replaces are the paths whose change replaces. An object's own path means that it comes or goes.
	replaces   string
	replacesIf func(olds, news resource.PropertyMap) []string
	// deleteFirst is set where the old one always goes before the new one comes.
	deleteFirst bool
	// longest is the length of an automatic name at the most; 0 is 255.
	longest int
	// framework is a type of terraform-plugin-framework: a refused update leaves the state as it is
	// (pkg/pf/tfbridge/provider_update.go of pulumi/pulumi-terraform-bridge).
	framework bool
	// resent is a type whose update sends everything again and does not ask what changed.
	resent bool
	// withoutUpdate is a type that is only made and deleted (helper/schema/resource.go, Apply).
	withoutUpdate bool
	// repeats are the answers after which the provider sends its request again. A node group (eks/node_group.go) and a domain
	// policy (opensearch/domain_policy.go) have none for a role. The domain has none for its log resource policy, which came with
	// #43033, after the version that pulumi-aws 6.83 has, and none for its service-linked role: it knows only the words of
	// "Amazon ES". Requests that never come too early here are omitted: the key of an alias, the principal of an access policy,
	// route tables.
	repeats []repeat
}

// repeat is an answer that the provider takes for a delay of AWS.
type repeat struct {
	// code and text are the answer's, text in part; an empty text is any.
	code, text string
	// operation is the request that is answered; empty is any.
	operation string
	// patience is how long the request is repeated.
	patience time.Duration
	// creating says that only a creation is repeated.
	creating bool
}

var habits = map[string]habit{
	"aws:ec2/vpc:Vpc": {
		noun: "EC2 VPC",
		outputs: "defaultNetworkAclId defaultRouteTableId defaultSecurityGroupId dhcpOptionsId ipv6AssociationId mainRouteTableId " +
			"ownerId arn tagsAll",
		replaces: "cidrBlock ipv4IpamPoolId ipv4NetmaskLength",
	},
	"aws:ec2/subnet:Subnet": {
		noun: "EC2 Subnet", outputs: "ipv6CidrBlockAssociationId ownerId arn tagsAll",
		replaces: "availabilityZone availabilityZoneId cidrBlock ipv6Native outpostArn vpcId",
	},
	"aws:ec2/internetGateway:InternetGateway": {
		noun: "EC2 Internet Gateway", outputs: "ownerId arn tagsAll",
	},
	"aws:ec2/eip:Eip": {
		noun:     "EC2 EIP",
		outputs:  "allocationId associationId carrierIp customerOwnedIp privateDns privateIp ptrRecord publicDns publicIp arn tagsAll",
		replaces: "address domain networkBorderGroup publicIpv4Pool vpc",
	},
	"aws:ec2/natGateway:NatGateway": {
		noun: "EC2 NAT Gateway", outputs: "associationId networkInterfaceId publicIp tagsAll",
		replaces: "allocationId connectivityType privateIp secondaryPrivateIpAddressCount subnetId",
	},
	"aws:ec2/routeTable:RouteTable": {
		noun: "Route Table", outputs: "ownerId arn tagsAll", replaces: "vpcId",
	},
	"aws:ec2/route:Route": {
		noun: "Route", outputs: "instanceId instanceOwnerId origin state",
		replaces: "destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId routeTableId", resent: true,
	},
	"aws:ec2/routeTableAssociation:RouteTableAssociation": {
		noun: "Route Table Association", replaces: "gatewayId subnetId", resent: true,
	},
	"aws:ec2/vpcEndpoint:VpcEndpoint": {
		noun:     "EC2 VPC Endpoint",
		outputs:  "cidrBlocks dnsEntries networkInterfaceIds ownerId prefixListId requesterManaged state arn tagsAll",
		replaces: "serviceName vpcEndpointType vpcId",
	},
	"aws:ec2/launchTemplate:LaunchTemplate": {
		noun: "EC2 Launch Template", outputs: "latestVersion arn tagsAll", recomputed: "latestVersion", replaces: "name namePrefix",
	},
	"aws:ec2/securityGroup:SecurityGroup": {
		noun: "Security Group", outputs: "ownerId arn tagsAll", replaces: "description name namePrefix vpcId",
	},
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
		noun: "VPC Security Group Rule", outputs: "arn securityGroupRuleId tagsAll", replaces: "securityGroupId",
		replacesIf: otherKindOfPeer, framework: true,
	},
	"aws:iam/role:Role": {
		noun: "IAM Role", outputs: "createDate uniqueId arn tagsAll", replaces: "name namePrefix path", longest: 64,
		repeats: []repeat{{
			code: "MalformedPolicyDocument", text: "Invalid principal in policy", patience: 2 * time.Minute, creating: true,
		}},
	},
	"aws:iam/rolePolicy:RolePolicy": {
		noun: "IAM Role Policy", replaces: "name namePrefix role", longest: 128, resent: true,
	},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
		noun: "IAM Policy to Role", replaces: "policyArn role", deleteFirst: true, withoutUpdate: true,
	},
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
		noun: "IAM OIDC Provider", outputs: "arn tagsAll", replaces: "url",
	},
	"aws:iam/serviceLinkedRole:ServiceLinkedRole": {
		noun: "IAM Service Linked Role", outputs: "createDate name path uniqueId arn tagsAll", replaces: "awsServiceName customSuffix",
	},
	"aws:eks/cluster:Cluster": {
		noun: "EKS Cluster",
		outputs: "certificateAuthorities certificateAuthority clusterId createdAt endpoint identities platformVersion status " +
			"vpcConfig.clusterSecurityGroupId vpcConfig.vpcId arn tagsAll",
		replaces: "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons kubernetesNetworkConfig.ipFamily " +
			"kubernetesNetworkConfig.serviceIpv4Cidr name outpostConfig.controlPlaneInstanceType " +
			"outpostConfig.controlPlanePlacement.groupName roleArn",
		replacesIf: replacesCluster,
		repeats: []repeat{
			{code: "InvalidParameterException", text: "does not exist", patience: 2 * time.Minute, creating: true},
			{
				code: "InvalidParameterException", text: "doesn't have the Amazon EKS Managed Policies associated with it",
				patience: 2 * time.Minute, creating: true,
			},
		},
	},
	"aws:eks/nodeGroup:NodeGroup": {
		noun: "EKS Node Group", outputs: "resources status arn tagsAll",
		replaces: "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name nodeGroupName " +
			"nodeGroupNamePrefix nodeRoleArn remoteAccess remoteAccess.ec2SshKey remoteAccess.sourceSecurityGroupIds subnetIds",
	},
	"aws:eks/addon:Addon": {
		noun: "EKS Add-On", outputs: "createdAt modifiedAt arn tagsAll", replaces: "addonName clusterName",
		repeats: []repeat{{code: "InvalidParameterException", text: "does not exist", patience: 2 * time.Minute, creating: true}},
	},
	"aws:eks/accessEntry:AccessEntry": {
		noun: "EKS Access Entry", outputs: "accessEntryArn createdAt modifiedAt tagsAll", replaces: "clusterName principalArn type",
		repeats: []repeat{{
			code: "InvalidParameterException", text: "The specified principalArn is invalid: invalid principal",
			patience: 2 * time.Minute, creating: true,
		}},
	},
	"aws:eks/accessPolicyAssociation:AccessPolicyAssociation": {
		noun: "EKS Access Policy Association", outputs: "associatedAt modifiedAt",
		replaces: "accessScope accessScope.namespaces accessScope.type clusterName policyArn principalArn", withoutUpdate: true,
	},
	"aws:eks/podIdentityAssociation:PodIdentityAssociation": {
		noun: "EKS Pod Identity Association", outputs: "associationArn associationId tagsAll",
		replaces: "clusterName namespace serviceAccount", framework: true,
		repeats: []repeat{{
			code: "InvalidParameterException", text: "Role provided in the request does not exist", patience: 2 * time.Minute,
		}},
	},
	"aws:eks/identityProviderConfig:IdentityProviderConfig": {
		noun: "EKS Identity Provider Config", outputs: "arn status tagsAll",
		replaces: "clusterName oidc oidc.clientId oidc.groupsClaim oidc.groupsPrefix oidc.identityProviderConfigName oidc.issuerUrl " +
			"oidc.requiredClaims oidc.usernameClaim oidc.usernamePrefix",
		replacesIf: requiredClaims,
	},
	"aws:kms/key:Key": {
		noun: "KMS Key", outputs: "keyId arn tagsAll", replaces: "customKeyStoreId customerMasterKeySpec keyUsage multiRegion xksKeyId",
	},
	"aws:kms/alias:Alias": {
		noun: "KMS Alias", outputs: "arn targetKeyArn", replaces: "name namePrefix", longest: 238,
	},
	"aws:cloudwatch/logGroup:LogGroup": {
		noun: "CloudWatch Logs Log Group", outputs: "arn tagsAll", replaces: "logGroupClass name namePrefix",
	},
	"aws:cloudwatch/logResourcePolicy:LogResourcePolicy": {
		noun: "CloudWatch Logs Resource Policy", replaces: "policyName", resent: true,
	},
	"aws:cloudwatch/metricAlarm:MetricAlarm": {
		noun: "CloudWatch Metric Alarm", outputs: "arn tagsAll", replaces: "name",
	},
	"aws:ecr/repository:Repository": {
		noun: "ECR Repository", outputs: "registryId repositoryUrl arn tagsAll",
		replaces: "encryptionConfigurations encryptionConfigurations.encryptionType encryptionConfigurations.kmsKey name", longest: 256,
	},
	"aws:ecr/lifecyclePolicy:LifecyclePolicy": {
		noun: "ECR Lifecycle Policy", outputs: "registryId", replaces: "policy repository", withoutUpdate: true,
	},
	"aws:ecr/pullThroughCacheRule:PullThroughCacheRule": {
		noun: "ECR Pull Through Cache Rule", outputs: "registryId",
		replaces: "ecrRepositoryPrefix upstreamRegistryUrl upstreamRepositoryPrefix", resent: true,
	},
	"aws:sns/topic:Topic": {
		noun: "SNS Topic", outputs: "beginningArchiveTime owner arn tagsAll", replaces: "fifoTopic name namePrefix",
	},
	"aws:sns/topicSubscription:TopicSubscription": {
		noun: "SNS Topic Subscription", outputs: "arn confirmationWasAuthenticated ownerId pendingConfirmation",
		replaces: "endpoint protocol topic",
	},
	"aws:sns/topicPolicy:TopicPolicy": {
		noun: "SNS Topic Policy", outputs: "owner", replaces: "arn", resent: true,
		repeats: []repeat{{code: "InvalidParameter", patience: 2 * time.Minute}}, // sns/topic.go, putTopicAttribute
	},
	"aws:opensearch/domain:Domain": {
		noun: "OpenSearch Domain",
		outputs: "dashboardEndpoint dashboardEndpointV2 domainEndpointV2HostedZoneId domainId endpoint endpointV2 kibanaEndpoint " +
			"vpcOptions.availabilityZones vpcOptions.vpcId arn tagsAll",
		replaces: "domainName encryptAtRest.kmsKeyId vpcOptions", replacesIf: replacesDomain,
		repeats: []repeat{
			{code: "ValidationException", text: awsmodel.InProgress, patience: 2 * time.Minute, operation: "UpdateDomainConfig"},
		},
	},
	"aws:opensearch/domainPolicy:DomainPolicy": {
		noun: "OpenSearch Domain Policy", resent: true,
		repeats: []repeat{{code: "ValidationException", text: awsmodel.InProgress, patience: 2 * time.Minute}},
	},
}

// Taggable tells whether a type takes tags, and so the provider's default tags.
func Taggable(typ string) bool { return slices.Contains(Outputs(typ), "tagsAll") }

// Outputs lists the properties of a type that are no inputs, as paths.
func Outputs(typ string) []string { return strings.Fields(habits[typ].outputs) }

// deleteBeforeReplace tells whether the provider deletes before it replaces: always for a few types, and for all whose name the
// program fixed, because the name is taken until the old one is gone (pulumi-terraform-bridge, nameRequiresDeleteBeforeReplace).
func deleteBeforeReplace(typ string, news resource.PropertyMap) bool {
	property, _ := awsmodel.Name(typ)
	return habits[typ].deleteFirst ||
		property != "" && news[defaultsKey].IsArray() && news.HasValue(resource.PropertyKey(property)) && !wasFilled(news, property)
}

// Autoname gives the property that the provider names by itself and the name that it would take: the logical name and seven hex
// digits drawn from seed. Both are empty if the type has no such property, or if the program gave the name or a name prefix.
// Source: pulumi/pulumi-aws, provider/resources.go and provider/autonaming.go.
func Autoname(typ, logical string, seed []byte, news resource.PropertyMap) (property, name string, err error) {
	if _, known := habits[typ]; !known {
		return "", "", fmt.Errorf("resource type %q has no row: add it to the habits of package awsprovider and to its service in "+
			"package awsmodel", typ)
	}
	property, prefix := awsmodel.Name(typ)
	if property == "" || news.HasValue(resource.PropertyKey(property)) || prefix != "" && news.HasValue(resource.PropertyKey(prefix)) {
		return "", "", nil
	}
	longest := habits[typ].longest
	if longest == 0 {
		longest = 255
	}
	name, err = resource.NewUniqueName(seed, logical+"-", 7, longest, nil)
	if err != nil {
		return "", "", fmt.Errorf("could not make an automatic %s for %s: %w", property, typ, err)
	}
	if typ == "aws:kms/alias:Alias" && !strings.HasPrefix(name, "alias/") {
		name = "alias/" + name
	}
	return property, name, nil
}
