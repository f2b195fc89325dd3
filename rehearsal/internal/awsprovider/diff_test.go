package awsprovider

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wrapped are inputs with one of them, by its path.
func wrapped(path string, v any) resource.PropertyMap {
	keys := strings.Split(path, ".")
	for _, k := range slices.Backward(keys[1:]) {
		v = in{k: v}
	}
	return resource.NewPropertyMapFromMap(in{keys[0]: v})
}

// TestDiff has one case per row of the provider's schema that replaces, and cases that do not.
func TestDiff(t *testing.T) {
	replaces := map[string]string{
		"aws:cloudwatch/logGroup:LogGroup":                   "logGroupClass name namePrefix",
		"aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyName",
		"aws:ec2/eip:Eip":                                    "address domain networkBorderGroup publicIpv4Pool vpc",
		"aws:ec2/internetGateway:InternetGateway":            "",
		"aws:ec2/launchTemplate:LaunchTemplate":              "name namePrefix",
		"aws:ec2/natGateway:NatGateway": "allocationId connectivityType privateIp secondaryPrivateIpAddressCount " +
			"subnetId",
		"aws:ec2/route:Route": "destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId " +
			"routeTableId",
		"aws:ec2/routeTable:RouteTable":                       "vpcId",
		"aws:ec2/routeTableAssociation:RouteTableAssociation": "gatewayId subnetId",
		"aws:ec2/securityGroup:SecurityGroup":                 "description name namePrefix vpcId",
		"aws:ec2/subnet:Subnet":                               "availabilityZone availabilityZoneId cidrBlock ipv6Native outpostArn vpcId",
		"aws:ec2/vpc:Vpc":                                     "cidrBlock ipv4IpamPoolId ipv4NetmaskLength",
		"aws:ec2/vpcEndpoint:VpcEndpoint":                     "serviceName vpcEndpointType vpcId",
		"aws:eks/accessEntry:AccessEntry":                     "clusterName principalArn type",
		"aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "accessScope.namespaces accessScope.type accessScope clusterName " +
			"policyArn principalArn",
		"aws:eks/addon:Addon": "addonName clusterName",
		"aws:eks/cluster:Cluster": "accessConfig.bootstrapClusterCreatorAdminPermissions kubernetesNetworkConfig.ipFamily " +
			"kubernetesNetworkConfig.serviceIpv4Cidr name outpostConfig.controlPlaneInstanceType " +
			"outpostConfig.controlPlanePlacement.groupName roleArn",
		"aws:eks/nodeGroup:NodeGroup": "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name " +
			"nodeGroupName nodeGroupNamePrefix nodeRoleArn remoteAccess.ec2SshKey remoteAccess.sourceSecurityGroupIds remoteAccess " +
			"subnetIds",
		"aws:eks/podIdentityAssociation:PodIdentityAssociation": "clusterName namespace serviceAccount",
		"aws:eks/identityProviderConfig:IdentityProviderConfig": "clusterName oidc.clientId oidc.groupsClaim oidc.groupsPrefix " +
			"oidc.identityProviderConfigName oidc.issuerUrl oidc.requiredClaims oidc.usernameClaim oidc.usernamePrefix oidc",
		"aws:iam/role:Role":                                 "name namePrefix path",
		"aws:iam/rolePolicy:RolePolicy":                     "name namePrefix role",
		"aws:iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn role",
		"aws:iam/serviceLinkedRole:ServiceLinkedRole":       "awsServiceName customSuffix",
		"aws:kms/alias:Alias":                               "name namePrefix",
		"aws:kms/key:Key":                                   "customKeyStoreId customerMasterKeySpec keyUsage multiRegion xksKeyId",
		"aws:opensearch/domain:Domain":                      "domainName encryptAtRest.kmsKeyId vpcOptions",
		"aws:opensearch/domainPolicy:DomainPolicy":          "",
	}
	inPlace := map[string]string{
		"aws:cloudwatch/logGroup:LogGroup":                    "retentionInDays",
		"aws:ec2/launchTemplate:LaunchTemplate":               "blockDeviceMappings metadataOptions",
		"aws:ec2/route:Route":                                 "natGatewayId",
		"aws:ec2/routeTableAssociation:RouteTableAssociation": "routeTableId",
		"aws:ec2/subnet:Subnet":                               "mapPublicIpOnLaunch tags",
		"aws:ec2/vpc:Vpc":                                     "enableDnsHostnames tags",
		"aws:eks/addon:Addon":                                 "addonVersion configurationValues preserve",
		"aws:eks/cluster:Cluster": "version vpcConfig.subnetIds enabledClusterLogTypes upgradePolicy.supportType " +
			"vpcConfig.publicAccessCidrs",
		"aws:eks/nodeGroup:NodeGroup": "scalingConfig.desiredSize labels taints launchTemplate.version version " +
			"updateConfig.maxUnavailable nodeRepairConfig.enabled",
		"aws:eks/podIdentityAssociation:PodIdentityAssociation": "roleArn",
		"aws:iam/role:Role":   "assumeRolePolicy description",
		"aws:kms/alias:Alias": "targetKeyId",
		"aws:kms/key:Key":     "policy enableKeyRotation",
		"aws:opensearch/domain:Domain": "vpcOptions.subnetIds clusterConfig.instanceCount " +
			"ebsOptions.volumeSize accessPolicies",
		"aws:opensearch/domainPolicy:DomainPolicy":                  "accessPolicies",
		"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "cidrIpv4 fromPort",
	}
	n := 0
	for typ, text := range replaces {
		paths := strings.Fields(text)
		listed := strings.Fields(habits[typ].replaces)
		extra := map[string][]string{"aws:eks/cluster:Cluster": {"bootstrapSelfManagedAddons"}}[typ]
		assert.Subset(t, listed, paths, typ)
		assert.Len(t, listed, len(paths)+len(extra), typ)
		for _, path := range paths {
			changed := []resource.PropertyMap{wrapped(path, "a"), wrapped(path, "b")}
			if path == "vpcOptions" || path == "remoteAccess" || path == "accessScope" { // the object itself comes or goes
				changed = []resource.PropertyMap{{}, wrapped(path, in{"x": "y"})}
			}
			for range 2 {
				changes, replace := Diff(typ, changed[0], changed[1])
				assert.True(t, replace, "%s %s", typ, path)
				require.Len(t, changes, 1)
				for _, change := range changes {
					assert.True(t, change.Kind.IsReplace())
				}
				slices.Reverse(changed)
				n++
			}
		}
	}
	for typ, paths := range inPlace {
		for _, path := range strings.Fields(paths) {
			changes, replace := Diff(typ, wrapped(path, "a"), wrapped(path, "b"))
			assert.Equal(t, map[string]plugin.PropertyDiff{path: {Kind: plugin.DiffUpdate, InputDiff: true}}, changes, typ)
			assert.False(t, replace, "%s %s", typ, path)
			n++
		}
	}
	assert.Greater(t, n, 200)
}

func TestDiffConditional(t *testing.T) {
	for _, c := range []struct {
		name, typ  string
		olds, news in
		replace    bool
		paths      []string
	}{
		{
			"encryption of a cluster cannot go", "aws:eks/cluster:Cluster",
			in{"encryptionConfig": in{"provider": in{"keyArn": "k"}}}, in{}, true, []string{"encryptionConfig"},
		},
		{
			"encryption of a cluster can come", "aws:eks/cluster:Cluster",
			in{}, in{"encryptionConfig": in{"provider": in{"keyArn": "k"}}}, false, []string{"encryptionConfig"},
		},
		{
			"service range comes", "aws:eks/cluster:Cluster",
			in{}, in{"kubernetesNetworkConfig": in{"serviceIpv4Cidr": "10.0.0.0/16"}}, true, []string{"kubernetesNetworkConfig"},
		},
		{
			"encryption of a domain goes", "aws:opensearch/domain:Domain",
			in{"encryptAtRest": in{"enabled": true}}, in{"encryptAtRest": in{"enabled": false}}, true, []string{"encryptAtRest.enabled"},
		},
		{
			"another key of a cluster", "aws:eks/cluster:Cluster",
			in{"encryptionConfig": in{"provider": in{"keyArn": "k"}}}, in{"encryptionConfig": in{"provider": in{"keyArn": "l"}}}, false,
			[]string{"encryptionConfig.provider.keyArn"},
		},
		{"what AWS keeps is left out", "aws:opensearch/domain:Domain", in{"encryptAtRest": in{"enabled": true}}, in{}, false, nil},
		{
			"what AWS keeps is left out of an object", "aws:eks/cluster:Cluster",
			in{"vpcConfig": in{"publicAccessCidrs": []any{"x"}, "endpointPublicAccess": true}},
			in{"vpcConfig": in{"endpointPublicAccess": false}}, false, []string{"vpcConfig.endpointPublicAccess"},
		},
		{"what AWS does not keep is left out", "aws:eks/nodeGroup:NodeGroup", in{"labels": in{"a": "b"}}, in{}, false, []string{"labels"}},
		{
			"a rule for another range", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
			in{"cidrIpv4": "10.0.0.0/8"}, in{"cidrIpv4": "10.0.0.0/16"}, false, []string{"cidrIpv4"},
		},
		{
			"a rule for a group instead", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
			in{"cidrIpv4": "10.0.0.0/8"}, in{"referencedSecurityGroupId": "sg-1"}, true, []string{"cidrIpv4", "referencedSecurityGroupId"},
		},
		{
			"another value of a required claim", "aws:eks/identityProviderConfig:IdentityProviderConfig",
			in{"oidc": in{"requiredClaims": in{"a": "b", "https://x.y/z": "c"}}},
			in{"oidc": in{"requiredClaims": in{"a": "b", "https://x.y/z": "d"}}}, true, []string{`oidc.requiredClaims["https://x.y/z"]`},
		},
		{
			"another required claim", "aws:eks/identityProviderConfig:IdentityProviderConfig",
			in{"oidc": in{"requiredClaims": in{"a": "b"}}}, in{"oidc": in{"requiredClaims": in{"a": "c", "d": "e"}}}, true,
			[]string{"oidc.requiredClaims.a", "oidc.requiredClaims.d"},
		},
		{
			"encryption of a domain comes", "aws:opensearch/domain:Domain",
			in{"nodeToNodeEncryption": in{"enabled": false}}, in{"nodeToNodeEncryption": in{"enabled": true}}, false,
			[]string{"nodeToNodeEncryption.enabled"},
		},
		{
			"access control goes", "aws:opensearch/domain:Domain",
			in{"advancedSecurityOptions": in{"enabled": true}}, in{"advancedSecurityOptions": in{"enabled": false}}, true,
			[]string{"advancedSecurityOptions.enabled"},
		},
		{"same set", "aws:eks/nodeGroup:NodeGroup", in{"subnetIds": []any{"a", "b"}}, in{"subnetIds": []any{"b", "a"}}, false, nil},
		{
			"order of types counts", "aws:eks/nodeGroup:NodeGroup",
			in{"instanceTypes": []any{"a", "b"}}, in{"instanceTypes": []any{"b", "a"}}, true, []string{
				"instanceTypes[0]", "instanceTypes[1]",
			},
		},
		{
			"one subnet more", "aws:eks/nodeGroup:NodeGroup",
			in{"subnetIds": []any{"a"}}, in{"subnetIds": []any{"a", "b"}}, true, []string{"subnetIds[1]"},
		},
		{"same json", "aws:iam/role:Role", in{"assumeRolePolicy": `{"a": 1}`}, in{"assumeRolePolicy": `{"a":1}`}, false, nil},
		{"nothing and empty", "aws:iam/role:Role", in{"managedPolicyArns": []any{}}, in{}, false, nil},
		{"bookkeeping", "aws:iam/role:Role", in{"__defaults": []any{"name"}}, in{}, false, nil},
		{"a tag with dots", "aws:ec2/vpc:Vpc", in{"tags": in{}}, in{"tags": in{"a.b/c": "1"}}, false, []string{"tags"}},
		{
			"another tag with dots", "aws:ec2/vpc:Vpc",
			in{"tags": in{"x": "1"}}, in{"tags": in{"x": "1", "a.b/c": "1"}}, false, []string{`tags["a.b/c"]`},
		},
	} {
		changes, replace := Diff(c.typ, resource.NewPropertyMapFromMap(c.olds), resource.NewPropertyMapFromMap(c.news))
		assert.Equal(t, c.replace, replace, c.name)
		assert.Equal(t, c.paths, slices.Sorted(maps.Keys(changes)), c.name)
	}
	// To 2.x AWS offers an upgrade from 1.3 on, to 3.x from 2.19 on.
	for from, offered := range map[string]string{
		"1.0": "1.1 1.2 1.3", "1.2": "1.3", "1.3": "2.3 2.5 2.7 2.9 2.11 2.13 2.15 2.17 " +
			"2.19", "2.17": "2.19", "2.19": "3.1 3.3 3.5 3.7", "3.5": "3.7",
	} {
		for _, to := range strings.Fields("1.0 1.1 1.2 1.3 2.3 2.5 2.7 2.9 2.11 2.13 2.15 2.17 2.19 3.1 3.3 3.5 3.7") {
			_, replace := Diff("aws:opensearch/domain:Domain", wrapped("engineVersion", "OpenSearch_"+from),
				wrapped("engineVersion", "OpenSearch_"+to))
			assert.Equal(t, to != from && !slices.Contains(strings.Fields(offered), to), replace, "%s to %s", from, to)
		}
	}
	unknown := resource.PropertyMap{"roleArn": resource.MakeComputed(resource.NewStringProperty(""))}
	_, replace := Diff("aws:eks/cluster:Cluster", resource.NewPropertyMapFromMap(in{"roleArn": "a"}), unknown)
	assert.True(t, replace, "an unknown is a change")
}
