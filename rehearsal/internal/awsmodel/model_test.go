package awsmodel

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"expense/internal/published"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func set(path string, v any) func(*world, in) {
	return func(_ *world, i in) {
		keys := strings.Split(path, ".")
		for _, k := range keys[:len(keys)-1] {
			i = i[k].(in)
		}
		if v == nil {
			delete(i, keys[len(keys)-1])
		} else {
			i[keys[len(keys)-1]] = v
		}
	}
}

func many(n int) in {
	out := in{}
	for i := range n {
		out["k"+strconv.Itoa(i)] = "v"
	}
	return out
}

func both(fs ...func(*world, in)) func(*world, in) {
	return func(w *world, i in) {
		for _, f := range fs {
			f(w, i)
		}
	}
}

func TestStackComesUp(t *testing.T) {
	w := whole(t, Options{})
	seen := map[string]bool{}
	for _, s := range w.done {
		seen[s.typ] = true
		_, outs, found := w.m.Read(s.typ, w.id(s.name))
		require.True(t, found, s.name)
		for _, key := range table[s.typ].required.all() {
			assert.False(t, props{outs}.value(key).IsNull(), "%s keeps input %s", s.typ, key)
		}
	}
	assert.ElementsMatch(t, Types(), slices.Collect(maps.Keys(seen)), "the stack has every type of the table")
	assert.Len(t, seen, 37)
}

func TestShapes(t *testing.T) {
	w := whole(t, Options{})
	for name, want := range map[string]string{
		"vpc": `^vpc-0[0-9a-f]{16}$`, "priv1": `^subnet-0[0-9a-f]{16}$`, "public-default": `^r-rtb-0[0-9a-f]{16}1080289494$`,
		"nat": `^nat-0`, "key": `^[0-9a-f]{8}-[0-9a-f]{4}-4`,
		"cluster": `^expense$`, "nodes": `^expense:expense-\d{18}[0-9a-f]{8}$`, "vpc-cni": `^expense:vpc-cni$`,
		"csiIdentity": `^a-[0-9a-f]{17}$`,
		"adminPolicy": `^expense#arn:aws:iam::444455556666:role/admin#arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy$`,
		"domain":      `^arn:aws:es:us-east-1:111122223333:domain/expense$`, "logs": `^/aws/eks/expense/cluster$`,
		"writerInline": `^writer:writerInline$`,
	} {
		assert.Regexp(t, want, w.id(name), name)
	}
	for name, want := range map[string]string{
		"cluster":     `^arn:aws:eks:us-east-1:111122223333:cluster/expense$`,
		"nodes":       `^arn:aws:eks:us-east-1:111122223333:nodegroup/expense/expense-\d+[0-9a-f]+/[0-9a-f-]{36}$`,
		"clusterRole": `^arn:aws:iam::111122223333:role/clusterRole$`, "alias": `^arn:aws:kms:us-east-1:111122223333:alias/expense$`,
		"oidc": `^arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/[0-9A-F]{32}$`,
	} {
		assert.Regexp(t, want, w.arn(name), name)
	}
	assert.Regexp(t, `^vpc-expense-[0-9a-f]{26}\.us-east-1\.es\.amazonaws\.com$`, w.outs["domain"].str("endpoint"))
	assert.Regexp(t, `^sg-0`, w.outs["cluster"].str("vpcConfig.clusterSecurityGroupId"))
}

func TestPartitionAndRegion(t *testing.T) {
	m := New(Options{Region: "eu-west-1", Account: "444455556666"})
	id, out, err := m.Create(context.Background(), tVPC, "v", resource.NewPropertyMapFromMap(in{"cidrBlock": "10.0.0.0/16"}))
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:ec2:eu-west-1:444455556666:vpc/"+id, out["arn"].StringValue())
	_, out, err = m.Create(context.Background(), tSubnet, "s",
		resource.NewPropertyMapFromMap(in{"vpcId": id, "cidrBlock": "10.0.0.0/24", "availabilityZoneId": "euw1-az1"}))
	require.NoError(t, err)
	assert.Equal(t, "eu-west-1b", out["availabilityZone"].StringValue(), "names do not follow IDs")
	assert.Panics(t, func() { New(Options{Region: "mars-1"}) })
	_, out, err = New(Options{Region: "us-gov-east-1"}).Create(context.Background(), tVPC, "v",
		resource.NewPropertyMapFromMap(in{"cidrBlock": "10.0.0.0/16"}))
	require.NoError(t, err)
	assert.Contains(t, out["arn"].StringValue(), "arn:aws-us-gov:ec2:us-gov-east-1:")
}

func TestDestroyLeavesOnlyWhatAWSKeeps(t *testing.T) {
	w := whole(t, Options{})
	before := w.m.Inventory()
	var made []string
	for _, i := range before {
		if i.Origin != Program {
			made = append(made, i.Type)
		}
	}
	for _, typ := range []string{tSG, tENI, tASG, tInstance, tAccessEntry, tSLR} {
		assert.Contains(t, made, typ, "AWS makes it unasked")
	}
	require.NoError(t, w.destroy())
	var kept []string
	for _, i := range w.m.Inventory() {
		assert.NotEmpty(t, i.KeptByDesign, "%s %s is left behind", i.Type, i.ID)
		kept = append(kept, i.Type)
	}
	slices.Sort(kept)
	assert.Equal(t, []string{tSLR, tKey}, slices.Compact(kept))
}

// TestRefused changes one thing in a stack that comes up, and wants AWS's answer at the right resource.
func TestRefused(t *testing.T) {
	cases := []struct {
		name    string
		changes edits
		at      string // the step that fails; "" takes the only changed one
		want    string
	}{
		// network
		{"vpc too large", edits{"vpc": set("cidrBlock", "10.0.0.0/8")}, "", "InvalidVpc.Range"},
		{"subnet outside", edits{"priv1": set("cidrBlock", "10.0.0.0/19")}, "", "InvalidSubnet.Range"},
		{"subnet too small", edits{"priv1": set("cidrBlock", "192.168.96.0/29")}, "", "InvalidSubnet.Range"},
		{
			"subnet overlaps", edits{"priv1": set("cidrBlock", "192.168.0.0/20")}, "",
			"InvalidSubnet.Conflict: The CIDR '192.168.0.0/20' conflicts with another subnet",
		},
		{
			"subnet in no vpc", edits{"priv1": set("vpcId", "vpc-00000000000000000")}, "",
			"InvalidVpcID.NotFound: The vpc ID 'vpc-00000000000000000' does not exist",
		},
		{"zone unknown", edits{"pub1": set("availabilityZoneId", "use1-az9")}, "", "InvalidParameterValue: Value (use1-az9)"},
		{"zone of another region", edits{"pub1": set("availabilityZoneId", "euw1-az1")}, "", "InvalidParameterValue"},
		{"nat without internet gateway", edits{"igw": nil, "public-default": nil}, "nat", "Gateway.NotAttached"},
		{"nat with unknown address", edits{"nat": set("allocationId", "eipalloc-00000000000000000")}, "", "InvalidAllocationID.NotFound"},
		{"route to nothing", edits{"private-default": set("natGatewayId", "nat-00000000000000000")}, "", "InvalidNatGatewayID.NotFound"},
		{
			"route to no gateway", edits{"public-default": set("gatewayId", "igw-00000000000000000")}, "",
			"InvalidInternetGatewayID.NotFound",
		},
		{
			"route twice", edits{"private-default": func(w *world, i in) { i["routeTableId"] = w.id("public") }}, "",
			"RouteAlreadyExists: The route identified by 0.0.0.0/0 already exists.",
		},
		{
			"subnet associated twice", edits{"assoc-priv1": func(w *world, i in) { i["subnetId"] = w.id("pub1") }}, "",
			"Resource.AlreadyAssociated",
		},
		{"endpoint of another region", edits{"s3": set("serviceName", "com.amazonaws.eu-west-1.s3")}, "", "InvalidServiceName"},
		{
			"gateway endpoint for an interface service", edits{"s3": set("serviceName", "com.amazonaws.us-east-1.sts")}, "",
			"Endpoint type (Gateway) does not match",
		},
		{"endpoint for no table", edits{"s3": set("routeTableIds", []any{"rtb-00000000000000000"})}, "", "InvalidRouteTableID.NotFound"},
		{"rule for no group", edits{"https": set("securityGroupId", "sg-00000000000000000")}, "", "InvalidGroup.NotFound"},
		{"rule from no group", edits{"https": set("referencedSecurityGroupId", "sg-00000000000000000")}, "", "InvalidGroup.NotFound"},
		// IAM
		{"unknown managed policy", edits{"ecr": set("policyArn", managed("AmazonEC2ContainerRegistryReadyOnly"))}, "", "NoSuchEntity"},
		{
			"policy of another partition", edits{"ecr": set("policyArn", "arn:aws-us-gov:iam::aws:policy/AmazonEKSWorkerNodePolicy")}, "",
			"NoSuchEntity",
		},
		{"attach to no role", edits{"worker": set("role", "nobody")}, "", "NoSuchEntity: The role with name nobody cannot be found."},
		{
			"trust in no principal",
			edits{"writer": set("assumeRolePolicy",
				`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/nobody"},`+
					`"Action":"sts:AssumeRole"}}`)},
			"", "MalformedPolicyDocument: Invalid principal in policy",
		},
		{
			"trust in no oidc provider",
			edits{
				"oidc": nil,
				"writer": set("assumeRolePolicy",
					`{"Version":"2012-10-17","Statement":{"Effect":"Allow",`+
						`"Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/X"},`+
						`"Action":"sts:AssumeRoleWithWebIdentity"}}`),
			},
			"writer", "no OpenIDConnect provider",
		},
		{
			"issuer of no cluster", edits{"oidc": set("url", "https://oidc.eks.us-east-1.amazonaws.com/id/AAAA")}, "",
			"not the issuer of a cluster",
		},
		// KMS, logs
		{"alias of no key", edits{"alias": set("targetKeyId", "1234")}, "", "NotFoundException"},
		{
			"log group taken", edits{"domainLogs": set("name", "/aws/eks/expense/cluster")}, "",
			"ResourceAlreadyExistsException: The specified log group already exists",
		},
		// control plane
		{
			"role does not trust eks", edits{"clusterRole": set("assumeRolePolicy", trust("ec2.amazonaws.com", "sts:AssumeRole"))},
			"cluster", "InvalidParameterException: Role with arn",
		},
		{"role without policy", edits{"clusterPolicy": nil}, "cluster", "AmazonEKSClusterPolicy"},
		{"refused zone", edits{"priv2": set("availabilityZoneId", "use1-az3")}, "cluster", "UnsupportedAvailabilityZoneException"},
		{"one zone", edits{"cluster": func(w *world, i in) {
			i["vpcConfig"].(in)["subnetIds"] = []any{w.id("pub1"), w.id("priv1")}
		}}, "", "InvalidParameterException: Subnets specified must be in at least two different AZs"},
		{"no such subnet", edits{"cluster": set("vpcConfig.subnetIds", []any{"subnet-00000000000000000"})}, "", "InvalidSubnetID.NotFound"},
		{
			"service range overlaps", edits{"cluster": set("kubernetesNetworkConfig", in{"serviceIpv4Cidr": "192.168.128.0/20"})}, "",
			"overlaps",
		},
		{
			"no endpoint",
			edits{"cluster": both(set("vpcConfig.endpointPrivateAccess", false), set("vpcConfig.endpointPublicAccess", false))}, "",
			"cannot be false",
		},
		{
			"private range admitted", edits{"cluster": set("vpcConfig.publicAccessCidrs", []any{"10.1.0.0/16"})}, "",
			"not allowed in publicAccessCidrs",
		},
		{"old version", edits{"cluster": set("version", "1.24")}, "", "unsupported Kubernetes version 1.24"},
		{
			"no such key", edits{"cluster": set("encryptionConfig.provider.keyArn", "arn:aws:kms:us-east-1:111122223333:key/0")}, "",
			"encryptionConfig provider is invalid",
		},
		{
			"entry for the creator", edits{"admin": set("principalArn", "arn:aws:iam::111122223333:user/rehearsal")}, "",
			"ResourceInUseException",
		},
		{"entry for nobody", edits{"admin": set("principalArn", "arn:aws:iam::111122223333:role/nobody")}, "", "invalid principal"},
		{
			"policy for no entry", edits{"adminPolicy": set("principalArn", "arn:aws:iam::111122223333:role/x")}, "",
			"ResourceNotFoundException",
		},
		{
			"iam policy as access policy",
			edits{"adminPolicy": set("policyArn", "arn:aws:eks::aws:cluster-access-policy/AdministratorAccess")}, "",
			"policyArn parameter format is not valid",
		},
		{
			"the cluster's own issuer", edits{"signIn": func(w *world, i in) {
				i["oidc"].(in)["issuerUrl"] = w.outs["cluster"].objs("identities")[0].objs("oidcs")[0].str("issuer")
			}}, "", "InvalidParameterException: Incorrect Identity Provider URL configuration",
		},
		{
			"a prefix of Kubernetes", edits{"signIn": func(_ *world, i in) { i["oidc"].(in)["groupsPrefix"] = "system:" }}, "",
			"can't contain system:",
		},
		{
			"an issuer without TLS", edits{"signIn": func(_ *world, i in) { i["oidc"].(in)["issuerUrl"] = "http://login.example.com" }}, "",
			"oidc.issuerUrl",
		},
		// nodes
		{
			"role does not trust ec2", edits{"nodeRole": set("assumeRolePolicy", trust("eks.amazonaws.com", "sts:AssumeRole"))}, "nodes",
			"[ec2.amazonaws.com] were not found in the trust relationships",
		},
		{"role without worker policy", edits{"worker": nil}, "nodes", "AmazonEKSWorkerNodePolicy"},
		{"role without registry policy", edits{"ecr": nil}, "nodes", "AmazonEC2ContainerRegistryReadOnly"},
		{"role without network policy", edits{"cni": nil}, "nodes", "NodeCreationFailure: Unhealthy nodes"},
		{"no way out", edits{"private-default": nil}, "nodes", "NodeCreationFailure: Instances failed to join the kubernetes cluster"},
		{"not associated with the table", edits{"assoc-priv2": nil}, "nodes", "NodeCreationFailure"},
		{"nat in a private subnet", edits{"nat": func(w *world, i in) { i["subnetId"] = w.id("priv1") }}, "nodes", "NodeCreationFailure"},
		{
			"nodes in public subnets without addresses",
			edits{"pub1": set("mapPublicIpOnLaunch", false), "nodes": func(w *world, i in) { i["subnetIds"] = []any{w.id("pub1")} }},
			"nodes", "Ec2SubnetInvalidConfiguration",
		},
		{"no dns hostnames", edits{"vpc": set("enableDnsHostnames", false)}, "nodes", "no DNS hostnames"},
		{
			"nat not admitted", edits{"cluster": set("vpcConfig.endpointPrivateAccess", false)}, "nodes",
			"does not admit the NAT gateway's address",
		},
		{
			"no such subnet for nodes", edits{"nodes": set("subnetIds", []any{"subnet-00000000000000000"})}, "",
			"The subnet ID 'subnet-00000000000000000' does not exist",
		},
		{
			"no such cluster", edits{"nodes": set("clusterName", "other")}, "",
			"ResourceNotFoundException: No cluster found for name: other.",
		},
		{"nodes that hold four pods", edits{"nodes": set("instanceTypes", []any{"t3.micro"})}, "coredns", "DEGRADED"},
		{
			"the smallest type counts",
			edits{
				"nodes": both(set("instanceTypes", []any{"m5.large", "m7a.medium"}),
					set("scalingConfig", in{"minSize": 1, "desiredSize": 1, "maxSize": 1})),
				"metrics-server": nil,
			},
			"aws-ebs-csi-driver", "DEGRADED",
		},
		{
			"a DaemonSet of the same add-on takes the last room",
			edits{
				"nodes": both(set("instanceTypes", []any{"m7a.medium"}),
					set("scalingConfig", in{"minSize": 1, "desiredSize": 1, "maxSize": 1})),
				"metrics-server": nil,
			},
			"aws-ebs-csi-driver", "DEGRADED",
		},
		{"room behind taints", edits{"nodes": set("taints", []any{in{"key": "a", "effect": "NO_SCHEDULE"}})}, "coredns", "DEGRADED"},
		{
			"wrong architecture", edits{"nodes": set("instanceTypes", []any{"m5.large", "m6g.large"})}, "",
			"[m6g.large] is not a valid instance type for requested amiType",
		},
		{"old ami", edits{"nodes": set("amiType", "AL2_x86_64")}, "", "only supported for kubernetes versions 1.32 or earlier"},
		{"disk size beside a template", edits{"nodes": set("diskSize", 80)}, "", "Disk size must be specified within the launch template."},
		{
			"no such template", edits{"nodes": set("launchTemplate.id", "lt-00000000000000000")}, "",
			"Launch template lt-00000000000000000 not found",
		},
		{"reserved label", edits{"nodes": set("labels", in{"eks.amazonaws.com/x": "y"})}, "", "Label cannot contain reserved prefixes"},
		{"bad label", edits{"nodes": set("labels", in{"team": "a b"})}, "", `value "a b": must match`},
		// add-ons
		{
			"unknown add-on", edits{"metrics-server": set("addonName", "metric-server")}, "",
			"Addon metric-server specified is not supported in 1.35",
		},
		{
			"bad add-on settings", edits{"coredns": set("configurationValues", `{"a":`)}, "",
			"ConfigurationValue provided in request is not supported",
		},
		{
			"settings of another type", edits{"vpc-cni": set("configurationValues", `{"enableNetworkPolicy":true}`)}, "",
			"supported: Json schema validation failed with error: [$.enableNetworkPolicy: boolean found, string expected]",
		},
		{
			"settings of another add-on", edits{"vpc-cni": set("configurationValues", "replicaCount: 2")}, "",
			"[$.replicaCount: is not defined in the schema and the schema does not allow additional properties]",
		},
		{
			"two wrong settings",
			edits{"aws-ebs-csi-driver": set("configurationValues", `{"controller":{"extraVolumeTags":{"a":1}},"x":[]}`)}, "",
			"[$.controller.extraVolumeTags.a: int found, string expected, $.x: is not defined",
		},
		{"conflict with the self-managed", edits{"vpc-cni": set("resolveConflictsOnCreate", "NONE")}, "", "ConfigurationConflict"},
		{"add-on without nodes", edits{"nodes": nil}, "coredns", "last state: 'DEGRADED'"},
		{"driver without credentials", edits{"csiIdentity": nil}, "aws-ebs-csi-driver", "has no AWS credentials"},
		{"driver's role without its policy", edits{"csiPolicy": nil}, "aws-ebs-csi-driver", "has no AWS credentials"},
		{
			"policy of no domain", edits{"domainPolicy": set("domainName", "other")}, "",
			"ResourceNotFoundException: Domain not found: other",
		},
		{
			"policy of a domain for nobody",
			edits{"domainPolicy": set("accessPolicies",
				`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/nobody"},`+
					`"Action":"es:*","Resource":"*"}}`)},
			"", "Error setting policy",
		},
		{"driver without the agent", edits{"eks-pod-identity-agent": nil}, "aws-ebs-csi-driver", "has no AWS credentials"},
		{
			"identity without tag session", edits{"csiRole": set("assumeRolePolicy", trust("pods.eks.amazonaws.com", "sts:AssumeRole"))},
			"csiIdentity", "sts:TagSession",
		},
		{"identity of no role", edits{"csiIdentity": set("roleArn", "arn:aws:iam::111122223333:role/x")}, "", "does not exist"},
		// domain
		{"two subnets, one zone", edits{"domain": func(w *world, i in) {
			i["vpcOptions"].(in)["subnetIds"] = []any{w.id("priv1"), w.id("priv2")}
		}}, "", "You must specify exactly one subnet."},
		{
			"zone awareness, one subnet",
			edits{"domain": both(set("clusterConfig.zoneAwarenessEnabled", true), set("clusterConfig.instanceCount", 2))}, "",
			"exactly 2 subnets",
		},
		{"two subnets in one zone", edits{"domain": func(w *world, i in) {
			i["clusterConfig"] = in{"instanceType": "m6g.large.search", "instanceCount": 2, "zoneAwarenessEnabled": true}
			i["vpcOptions"].(in)["subnetIds"] = []any{w.id("priv1"), w.id("pub1")}
		}}, "", "different Availability Zones"},
		{"odd number of nodes", edits{"domain": func(w *world, i in) {
			i["clusterConfig"] = in{"instanceType": "m6g.large.search", "instanceCount": 3, "zoneAwarenessEnabled": true}
			i["vpcOptions"].(in)["subnetIds"] = []any{w.id("priv1"), w.id("priv2")}
		}}, "", "multiple of the number of Availability Zones"},
		{
			"no such domain instance", edits{"domain": set("clusterConfig.instanceType", "m99.large.search")}, "",
			"failed to satisfy constraint",
		},
		{"volume too large", edits{"domain": set("ebsOptions.volumeSize", 101)}, "", "Volume size must be between 10 and 100"},
		{"no storage", edits{"domain": set("ebsOptions", in{"ebsEnabled": false})}, "", "EBS storage must be selected"},
		{"too few iops", edits{"domain": set("ebsOptions.iops", 2999)}, "", "LimitExceededException: IOPS must be between 3000 and 11800"},
		{
			"auto-tune on t3", edits{"domain": set("autoTuneOptions", in{"desiredState": "DISABLED"})}, "",
			"Autotune is not supported in t2/t3",
		},
		{
			"access control without https",
			edits{"domain": both(set("domainEndpointOptions.enforceHttps", false),
				set("advancedSecurityOptions",
					in{"enabled": true, "masterUserOptions": in{"masterUserArn": "arn:aws:iam::111122223333:root"}}))},
			"", "You must enable EnforceHTTPS",
		},
		{
			"access control without encryption",
			edits{"domain": both(set("encryptAtRest.enabled", false),
				set("advancedSecurityOptions",
					in{"enabled": true, "masterUserOptions": in{"masterUserArn": "arn:aws:iam::111122223333:root"}}))},
			"", "You must enable encryption at rest",
		},
		{
			"access control without encryption between nodes",
			edits{"domain": both(set("nodeToNodeEncryption.enabled", false),
				set("advancedSecurityOptions",
					in{"enabled": true, "masterUserOptions": in{"masterUserArn": "arn:aws:iam::111122223333:root"}}))},
			"", "You must enable node-to-node encryption",
		},
		{
			"access control without a master", edits{"domain": set("advancedSecurityOptions", in{"enabled": true})}, "",
			"you must provide a master user ARN",
		},
		{
			"auto-tune in the window and on a schedule",
			edits{"domain": both(set("clusterConfig.instanceType", "m7g.large.search"),
				set("autoTuneOptions",
					in{
						"desiredState": "ENABLED", "useOffPeakWindow": true,
						"maintenanceSchedules": []any{in{
							"startAt": "2026-12-01T00:00:00Z", "duration": in{"unit": "HOURS", "value": 2},
							"cronExpressionForRecurrence": "cron(0 0 ? * 3 *)",
						}},
					}))},
			"", "cannot be set when the off-peak window is used",
		},
		{"no off-peak window", edits{"domain": set("offPeakWindowOptions", in{"enabled": false})}, "", "cannot be disabled"},
		{"too many small nodes", edits{"domain": set("clusterConfig.instanceCount", 11)}, "", "Instance count should be between 1 and 10."},
		{
			"many nodes without masters",
			edits{"domain": set("clusterConfig", in{"instanceType": "m7g.large.search", "instanceCount": 11})}, "",
			"Dedicated master instances must be enabled",
		},
		{
			"optimized family before its version",
			edits{"domain": both(set("clusterConfig.instanceType", "or1.large.search"), set("engineVersion", "OpenSearch_2.9"))}, "",
			"Invalid instance type: or1.large.search",
		},
		{
			"optimized family with a small volume", edits{"domain": set("clusterConfig.instanceType", "or2.large.search")}, "",
			"Volume size must be between 20 and 1532",
		},
		{
			"domain with too many nodes for its subnet",
			edits{"priv1": set("cidrBlock", "192.168.96.0/28"), "domain": set("clusterConfig.instanceCount", 4)}, "domain",
			"reserves 12, it has",
		},
		{
			"no service-linked role", edits{"slr": nil}, "domain",
			"you must enable a service-linked role to give Amazon OpenSearch Service permissions to access your VPC",
		},
		{"logs without permission", edits{"domainLogPolicy": nil}, "domain", "does not grant sufficient permissions"},
		{
			"logs with one of two actions",
			edits{"domainLogPolicy": set("policyDocument",
				`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"es.amazonaws.com"},`+
					`"Action":["logs:PutLogEvents"],"Resource":"*"}}`)},
			"domain", "does not grant sufficient permissions",
		},
		{"audit logs without access control", edits{"domain": func(w *world, i in) {
			i["logPublishingOptions"] = []any{in{"logType": "AUDIT_LOGS", "cloudwatchLogGroupArn": w.arn("domainLogs")}}
		}}, "", "audit log publishing cannot be enabled"},
		{"unknown engine", edits{"domain": set("engineVersion", "OpenSearch_2.99")}, "", "Invalid engine version"},
		// second looks
		{"no data nodes", edits{"domain": set("clusterConfig.instanceCount", 0)}, "", "at least 1"},
		{
			"no such master type",
			edits{"domain": both(set("clusterConfig.dedicatedMasterEnabled", true), set("clusterConfig.dedicatedMasterCount", 3),
				set("clusterConfig.dedicatedMasterType", "m99.large.search"))},
			"", "clusterConfig.dedicatedMasterType",
		},
		{
			"too little throughput", edits{"domain": set("ebsOptions.throughput", 124)}, "",
			"LimitExceededException: Throughput must be between 125 and 260",
		},
		{"private dns without hostnames", edits{"vpc": set("enableDnsHostnames", false), "s3": func(w *world, i in) {
			i["vpcEndpointType"], i["privateDnsEnabled"], i["subnetIds"], i["routeTableIds"] = "Interface", true, []any{w.id("priv1")}, []any{}
		}}, "s3", "Enabling private DNS requires both"},
		{"two endpoint subnets in a zone", edits{"s3": func(w *world, i in) {
			i["vpcEndpointType"], i["subnetIds"], i["routeTableIds"] = "Interface", []any{w.id("priv1"), w.id("pub1")}, []any{}
		}}, "", "DuplicateSubnetsInSameZone"},
		{"nodes' role unknown", edits{"nodes": set("nodeRoleArn", "arn:aws:iam::111122223333:role/x")}, "", "cannot be found"},
		{"nodes newer than the cluster", edits{"nodes": set("version", "1.36")}, "", "cannot be newer"},
		{
			"add-on identity unknown",
			edits{"vpc-cni": set("podIdentityAssociations",
				[]any{in{"serviceAccount": "aws-node", "roleArn": "arn:aws:iam::111122223333:role/x"}})},
			"", "does not exist",
		},
		{
			"odd service in a trust", edits{"csiRole": set("assumeRolePolicy", trust("pods.eks", "sts:AssumeRole"))}, "",
			"Invalid principal in policy",
		},
		{
			"domain subnet unknown", edits{"domain": set("vpcOptions.subnetIds", []any{"subnet-00000000000000000"})}, "",
			"The subnet ID 'subnet-00000000000000000' does not exist",
		},
		{
			"domain group unknown", edits{"domain": set("vpcOptions.securityGroupIds", []any{"sg-00000000000000000"})}, "",
			"InvalidGroup.NotFound",
		},
		{
			"domain log group unknown",
			edits{"domain": set("logPublishingOptions",
				[]any{in{"logType": "ES_APPLICATION_LOGS", "cloudwatchLogGroupArn": "arn:aws:logs:us-east-1:111122223333:log-group:x"}})},
			"", "ResourceNotFoundException",
		},
		{
			"masters unasked", edits{"domain": set("clusterConfig.dedicatedMasterCount", 3)}, "",
			"DedicatedMasterEnabled must be set to True",
		},
		{
			"master user unknown",
			edits{"domain": set("advancedSecurityOptions",
				in{"enabled": true, "masterUserOptions": in{"masterUserArn": "arn:aws:iam::111122223333:role/x"}})},
			"", "does not exist",
		},
		// alarms
		{"alarm to no topic", edits{"alarm": set("alarmActions", []any{"arn:aws:sns:us-east-1:111122223333:x"})}, "", "ValidationError"},
		{"mail to no topic", edits{"mail": set("topic", "arn:aws:sns:us-east-1:111122223333:x")}, "", "NotFound: Topic does not exist"},
	}
	require.GreaterOrEqual(t, len(cases), 110)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at := c.at
			if at == "" {
				require.Len(t, c.changes, 1)
				for at = range c.changes {
				}
			}
			failedAt, err := newWorld(Options{}).build(c.changes)
			require.ErrorContains(t, err, c.want)
			assert.Equal(t, at, failedAt)
		})
	}
}

// TestAccepted has the other ways to do it right.
func TestAccepted(t *testing.T) {
	for name, changes := range map[string]edits{
		"nodes in public subnets": {"nodes": func(w *world, i in) { i["subnetIds"] = []any{w.id("pub1"), w.id("pub2")} }},
		"identities of the add-on": {"csiIdentity": nil, "aws-ebs-csi-driver": func(w *world, i in) {
			i["podIdentityAssociations"] = []any{in{"serviceAccount": "ebs-csi-controller-sa", "roleArn": w.arn("csiRole")}}
		}},
		"an own policy for the driver": {"csiPolicy": func(w *world, i in) {
			if err := w.make(step{"own", tRolePolicy, nil}, in{"role": w.id("csiRole"), "policy": anyPolicy}); err != nil {
				panic(err)
			}
		}},
		"driver on the nodes' role": {
			"csiIdentity": nil, "csiRole": nil, "csiPolicy": func(w *world, i in) { i["role"] = w.id("nodeRole") },
		},
		"network plugin with a role by pod identity": {"cni": nil, "vpc-cni": ownNetworkRole},
		"own service range": {"cluster": set("kubernetesNetworkConfig",
			in{"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4"})},
		"private endpoint only": {"cluster": both(set("vpcConfig.endpointPublicAccess", false),
			set("vpcConfig.publicAccessCidrs", nil))},
		"public endpoint, open": {"cluster": both(set("vpcConfig.endpointPrivateAccess", false),
			set("vpcConfig.publicAccessCidrs", nil))},
		"nat admitted": {"cluster": both(set("vpcConfig.endpointPrivateAccess", false),
			set("vpcConfig.publicAccessCidrs", []any{"198.51.100.0/24"}))},
		"arm": {"nodes": both(set("amiType", "AL2023_ARM_64_STANDARD"),
			set("instanceTypes", []any{"m7g.large"}))},
		"no template": {"nodes": both(set("launchTemplate", nil), set("diskSize", 80),
			set("nodeGroupNamePrefix", nil))},
		"no instance types": {"nodes": set("instanceTypes", nil)},
		"nodes for later":   {"nodes": set("scalingConfig", in{"minSize": 0, "desiredSize": 1, "maxSize": 1})},
		"role of another account": {
			"admin":       set("principalArn", "arn:aws:iam::999999999999:role/x"),
			"adminPolicy": set("principalArn", "arn:aws:iam::999999999999:role/x"),
		},
		"access in namespaces": {"adminPolicy": set("accessScope",
			in{"type": "namespace", "namespaces": []any{"project"}})},
		"domain over two zones": {"domain": func(w *world, i in) {
			i["clusterConfig"] = in{
				"instanceType": "r6g.large.search", "instanceCount": 4, "zoneAwarenessEnabled": true,
				"zoneAwarenessConfig": in{"availabilityZoneCount": 2}, "dedicatedMasterEnabled": true, "dedicatedMasterCount": 3,
				"dedicatedMasterType": "m6g.large.search",
			}
			i["vpcOptions"].(in)["subnetIds"] = []any{w.id("priv1"), w.id("priv2")}
		}},
		"domain with access control": {"domain": func(w *world, i in) {
			i["advancedSecurityOptions"] = in{"enabled": true, "masterUserOptions": in{"masterUserArn": w.arn("writer")}}
			i["logPublishingOptions"] = []any{in{"logType": "AUDIT_LOGS", "cloudwatchLogGroupArn": w.arn("domainLogs")}}
		}},
		"tuned domain": {"domain": both(set("clusterConfig.instanceType", "m7g.large.search"),
			set("autoTuneOptions", in{"desiredState": "ENABLED", "useOffPeakWindow": true}), set("offPeakWindowOptions",
				in{"enabled": true}))},
		"optimized domain": {"domain": func(_ *world, i in) {
			i["clusterConfig"] = in{
				"instanceType": "or1.large.search", "instanceCount": 1, "dedicatedMasterEnabled": true, "dedicatedMasterCount": 3,
				"dedicatedMasterType": "m7g.large.search",
			}
			i["ebsOptions"] = in{"ebsEnabled": true, "volumeType": "gp3", "volumeSize": 1532}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(Options{})
			at, err := w.build(changes)
			require.NoError(t, err, at)
			require.NoError(t, w.destroy())
			assert.Empty(t, leftovers(w.m))
		})
	}
}

// TestChecked changes one input so that the provider refuses it before AWS is called.
func TestChecked(t *testing.T) {
	cases := []struct {
		step, path     string
		value          any
		property, want string
	}{
		{"priv1", "vpcId", nil, "vpcId", "is required"},
		{"vpc", "cidrBlock", nil, "cidrBlock", "is required"},
		{"https", "fromPort", nil, "fromPort", "required for tcp"},
		{"vpc", "tags", many(51), "tags", "at most 50 tags"},
		{"s3", "policy", "{", "policy", "contains an invalid JSON policy"},
		{"alarm", "metricName", nil, "metricName", "metricName is missing"},
		{"domainPolicy", "accessPolicies", "x", "accessPolicies", "invalid JSON policy"},
		{"private-default", "natGatewayId", nil, "gatewayId", "exactly one of"},
		{"private-default", "gatewayId", "igw-00000000000000000", "gatewayId", "exactly one of"},
		{"https", "cidrIpv4", "0.0.0.0/0", "cidrIpv4", "exactly one of"},
		{"https", "referencedSecurityGroupId", nil, "cidrIpv4", "exactly one of"},
		{"assoc-priv1", "subnetId", nil, "subnetId", "is required"},
		{"https", "fromPort", 500, "fromPort", "invalid port range"},
		{"nodeRole", "assumeRolePolicy", "{", "assumeRolePolicy", "invalid JSON policy"},
		{"nodeRole", "assumeRolePolicy", `{"Version":"2020-01-01","Statement":[]}`, "assumeRolePolicy", "Version is"},
		{
			"nodeRole", "assumeRolePolicy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}`,
			"assumeRolePolicy", "Missing required field Principal",
		},
		{
			"nodeRole", "assumeRolePolicy",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Resource":"*","Action":"sts:AssumeRole"}}`,
			"assumeRolePolicy", "prohibited field Resource",
		},
		{
			"nodeRole", "assumeRolePolicy",
			trust("ec2.amazonaws.com", strings.Split(strings.Repeat("sts:AssumeRole ", 150), " ")[:150]...), "assumeRolePolicy",
			"Cannot exceed quota",
		},
		{
			"writerInline", "policy", `{"Version":"2012-10-17","Statement":{"Effect":"Permit","Action":"*","Resource":"*"}}`, "policy",
			"Effect must be Allow or Deny",
		},
		{
			"writerInline", "policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*"}}`, "policy",
			"must contain actions",
		},
		{
			"writerInline", "policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"GetObject","Resource":"*"}}`,
			"policy", "prefaced by a vendor",
		},
		{
			"writerInline", "policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*"}}`, "policy",
			"must contain resources",
		},
		{
			"writerInline", "policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}}`,
			"policy", "must be in ARN format",
		},
		{
			"writerInline", "policy",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}}`, "policy",
			"should not specify a principal",
		},
		{"slr", "awsServiceName", "opensearch.amazonaws.com", "awsServiceName", "no service-linked role"},
		{"cluster", "vpcConfig", nil, "vpcConfig", "is required"},
		{"nodes", "nodeGroupName", "x", "nodeGroupNamePrefix", "conflicts with"},
		{"nodes", "scalingConfig.minSize", nil, "scalingConfig.minSize", "required"},
		{"csiIdentity", "serviceAccount", nil, "serviceAccount", "required"},
		{"domainLogPolicy", "policyDocument", "nothing", "policyDocument", "invalid JSON policy"},
		{"alarm", "period", 45, "period", "multiple of 60"},
		{"alarm", "statistic", nil, "statistic", "statistic is missing"},
		{"alarm", "threshold", nil, "threshold", "is required"},
	}
	require.GreaterOrEqual(t, len(cases), 29)
	w := whole(t, Options{})
	inputs := map[string]step{}
	for _, s := range steps {
		inputs[s.name] = s
		assert.Empty(t, w.m.Check(s.typ, resource.NewPropertyMapFromMap(s.inputs(w))), s.name)
	}
	for _, c := range cases {
		t.Run(c.step+" "+c.path+" "+c.want, func(t *testing.T) {
			s := inputs[c.step]
			i := s.inputs(w)
			set(c.path, c.value)(w, i)
			var reasons []string
			for _, f := range w.m.Check(s.typ, resource.NewPropertyMapFromMap(i)) {
				if f.Property == c.property {
					reasons = append(reasons, f.Reason)
				}
			}
			assert.Contains(t, strings.Join(reasons, "\n"), c.want)
			_, _, err := w.m.Create(context.Background(), s.typ, "again", resource.NewPropertyMapFromMap(i))
			assert.ErrorContains(t, err, c.want, "Create checks too")
		})
	}
}

func TestUnknownsPassTheCheck(t *testing.T) {
	w := whole(t, Options{})
	n := 0
	for _, s := range steps {
		all := resource.NewPropertyMapFromMap(s.inputs(w))
		for k := range all {
			i := all.Copy()
			i[k] = resource.MakeComputed(resource.NewStringProperty(""))
			assert.Empty(t, w.m.Check(s.typ, i), "%s with unknown %s", s.name, k)
			i[k] = resource.MakeSecret(all[k])
			assert.Empty(t, w.m.Check(s.typ, i), "%s with secret %s", s.name, k)
			n++
		}
	}
	assert.Greater(t, n, 120)
}

func TestUnknownType(t *testing.T) {
	m := New(Options{})
	const typ = "aws:s3/bucket:Bucket"
	_, _, err := m.Create(context.Background(), typ, "b", nil)
	require.ErrorContains(t, err, typ)
	require.ErrorContains(t, m.Delete(context.Background(), typ, "b"), typ)
	_, err = m.Update(context.Background(), typ, "b", nil)
	require.ErrorContains(t, err, typ)
	require.Len(t, m.Check(typ, nil), 1)
}

func TestTaken(t *testing.T) {
	w := whole(t, Options{})
	for name, want := range map[string]string{
		"cluster": "ResourceInUseException: Cluster already exists with name: " +
			"expense", "domain": "ResourceAlreadyExistsException", "alias": "AlreadyExistsException",
		"repository": "RepositoryAlreadyExistsException", "cache": "PullThroughCacheRuleAlreadyExistsException",
		"logs": "ResourceAlreadyExistsException", "slr": "has been taken in this account", "oidc": "EntityAlreadyExists",
		"vpc-cni":     "ResourceInUseException",
		"assoc-priv1": "Resource.AlreadyAssociated", "nat": "already associated", "private-default": "RouteAlreadyExists",
		"priv1": "InvalidSubnet.Conflict", "https": "InvalidPermission.Duplicate",
		"csiIdentity": "ResourceInUseException: Association already exists",
		"admin":       "ResourceInUseException: The specified access entry resource is already in use on this cluster.",
		"signIn":      "ResourceInUseException: Cluster expense already has an identity provider",
	} {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		before := w.m.Inventory()
		_, _, err := w.m.Create(context.Background(), steps[i].typ, name, resource.NewPropertyMapFromMap(steps[i].inputs(w)))
		assert.ErrorContains(t, err, want, name)
		assert.NotContains(t, err.Error(), "%!", name)
		assert.Equal(t, before, w.m.Inventory(), "a refused %s leaves nothing half-made", name)
	}
	nodes := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == "nodes" })]
	inputs := nodes.inputs(w)
	delete(inputs, "nodeGroupNamePrefix")
	inputs["nodeGroupName"] = "fixed"
	require.NoError(t, w.make(step{"fixed", tNodeGroup, nil}, inputs))
	assert.ErrorContains(t, w.make(step{"fixed", tNodeGroup, nil}, inputs), "NodeGroup already exists with name fixed")
	for _, typ := range []string{tRole, tTemplate, tSG} {
		i := slices.IndexFunc(steps, func(s step) bool { return s.typ == typ })
		inputs := steps[i].inputs(w)
		delete(inputs, "namePrefix")
		inputs["name"] = "same"
		require.NoError(t, w.make(step{"first " + typ, typ, nil}, inputs))
		assert.ErrorContains(t, w.make(step{"second " + typ, typ, nil}, inputs), "lready", typ)
	}
}

func TestInUse(t *testing.T) {
	for name, want := range map[string]string{
		"vpc": "DependencyViolation", "priv1": "DependencyViolation", "pub1": "DependencyViolation",
		"igw": "DependencyViolation: Network", "eip": "InvalidIPAddress.InUse",
		"sg": "DependencyViolation", "clusterRole": "DeleteConflict", "nodeRole": "DeleteConflict", "cluster": "ResourceInUseException: " +
			"Cluster has nodegroups attached", "slr": "still using the role",
	} {
		w := whole(t, Options{})
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		assert.ErrorContains(t, w.m.Delete(context.Background(), steps[i].typ, w.id(name)), want, name)
		_, _, found := w.m.Read(steps[i].typ, w.id(name))
		assert.True(t, found, "%s is still there", name)
	}
	w := whole(t, Options{})
	assert.ErrorContains(t, w.m.Delete(context.Background(), tRole, w.id("writer")), "must delete policies first")
	for _, s := range steps {
		if s.typ == tAttachment {
			require.NoError(t, w.m.Delete(context.Background(), tAttachment, w.id(s.name)))
		}
	}
	assert.ErrorContains(t, w.m.Delete(context.Background(), tRole, w.id("nodeRole")), "must remove roles from instance profile first")
	// a group that another one's rule names
	for _, name := range []string{"a", "b"} {
		require.NoError(t, w.make(step{name, tSG, nil}, in{"vpcId": w.id("vpc"), "name": name}))
	}
	require.NoError(t,
		w.make(step{"rule", tIngress, nil}, in{"securityGroupId": w.id("a"), "referencedSecurityGroupId": w.id("b"), "ipProtocol": "-1"}))
	assert.ErrorContains(t, w.m.Delete(context.Background(), tSG, w.id("b")), "has a dependent object")
	// what is gone may be deleted again
	require.NoError(t, New(Options{}).Delete(context.Background(), tVPC, "vpc-00000000000000000"))
}

func TestQuotas(t *testing.T) {
	w := newWorld(Options{Quotas: Quotas{SpotVCPU: 5}})
	at, err := w.build(nil)
	assert.Equal(t, "nodes", at)
	require.ErrorContains(t, err, "AsgInstanceLaunchFailures: Could not launch Spot Instances. MaxSpotInstanceCountExceeded")
	assert.NotEmpty(t, w.id("nodes"), "the failed group stays and must be in the state")
	require.NoError(t, w.destroy())

	w = newWorld(Options{})
	for range 5 {
		require.NoError(t, w.make(step{"v", tVPC, nil}, in{"cidrBlock": "10.0.0.0/16"}))
		require.NoError(t, w.make(step{"e", tEIP, nil}, in{}))
	}
	require.ErrorContains(t, w.make(step{"v", tVPC, nil}, in{"cidrBlock": "10.0.0.0/16"}), "VpcLimitExceeded")
	require.ErrorContains(t, w.make(step{"e", tEIP, nil}, in{}), "AddressLimitExceeded")

	role := in{"assumeRolePolicy": trust("ec2.amazonaws.com", "sts:AssumeRole")}
	require.NoError(t, w.make(step{"role", tRole, nil}, role))
	for range 2 { // again, which changes nothing
		require.NoError(t, w.make(step{"a", tAttachment, nil}, in{"role": w.id("role"), "policyArn": managed(managedPolicies[0])}))
	}
}

func TestErrorText(t *testing.T) {
	w, s := until(t, Options{}, "priv1")
	inputs := s.inputs(w)
	inputs["cidrBlock"] = "192.168.0.0/19"
	err := w.make(s, inputs)
	assert.Regexp(t,
		`^operation error EC2: CreateSubnet, https response error StatusCode: 400, RequestID: [0-9a-f-]{36},`+
			` api error InvalidSubnet.Conflict: The CIDR '192.168.0.0/19' conflicts with another subnet$`, err.Error())
	assert.Equal(t, "InvalidSubnet.Conflict", Code(err))
	assert.Empty(t, Code(errors.New("no")))
}

// hook records what the Kubernetes side is told.
type hook struct {
	mu     sync.Mutex
	nodes  map[string]Instance
	addons map[string]published.Addon
	log    []string
	fail   error
}

func (h *hook) Endpoint(_ context.Context, name, version string) (string, []byte, error) {
	return "https://127.0.0.1:6443", []byte("CA of " + name + " " + version), nil
}

func (h *hook) AddNodes(_ context.Context, nodes []Instance) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range nodes {
		h.nodes[n.ID] = n
		h.log = append(h.log, "+")
	}
	return h.fail
}

func (h *hook) RemoveNodes(_ context.Context, nodes []Instance) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range nodes {
		delete(h.nodes, n.ID)
		h.log = append(h.log, "-")
	}
	return nil
}

func (h *hook) LoseNodes(_ context.Context, nodes []Instance) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range nodes {
		delete(h.nodes, n.ID)
		h.log = append(h.log, "!")
	}
	return nil
}

func (h *hook) RunAddon(_ context.Context, name string, runs published.Addon) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.addons == nil {
		h.addons = map[string]published.Addon{}
	}
	h.addons[name] = runs
	return nil
}

func (h *hook) StopAddon(_ context.Context, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.addons, name)
	return nil
}

func (h *hook) zones() map[string]int {
	out := map[string]int{}
	for _, n := range h.nodes {
		out[n.Zone]++
	}
	return out
}

func TestNodes(t *testing.T) {
	h := &hook{nodes: map[string]Instance{}}
	w := whole(t, Options{Cluster: h})
	assert.Equal(t, "https://127.0.0.1:6443", w.outs["cluster"].str("endpoint"))
	assert.Equal(t, "Q0Egb2YgZXhwZW5zZSAxLjM1", w.outs["cluster"].str("certificateAuthority.data"))
	require.Len(t, h.nodes, 3)
	for _, n := range h.nodes {
		assert.Regexp(t, `^i-0[0-9a-f]{16}$`, n.ID)
		assert.Regexp(t, `^ip-192-168-\d+-\d+\.ec2\.internal$`, n.PrivateDNS)
		assert.Equal(t, "m5.large SPOT amd64 2 8192 29 80\n",
			fmt.Sprintln(n.InstanceType, n.CapacityType, n.Arch, n.VCPU, n.MemoryMiB, n.MaxPods, n.DiskGiB))
		assert.Equal(t, map[string]string{"use1-az1": "us-east-1b", "use1-az2": "us-east-1c"}[n.ZoneID], n.Zone)
		assert.Equal(t, map[string]string{"role": "general"}, n.Labels)
		assert.Equal(t, w.outs["nodes"].str("nodeGroupName"), n.NodeGroup)
	}
	scale := func(n int) {
		t.Helper()
		i := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == "nodes" })].inputs(w)
		i["scalingConfig"] = in{"minSize": 1, "desiredSize": n, "maxSize": 5}
		out, err := w.m.Update(context.Background(), tNodeGroup, w.id("nodes"), resource.NewPropertyMapFromMap(i))
		require.NoError(t, err)
		assert.EqualValues(t, n, plain(out).num("scalingConfig.desiredSize"))
		assert.Len(t, h.nodes, n)
	}
	scale(4)
	assert.Equal(t, map[string]int{"us-east-1b": 2, "us-east-1c": 2}, h.zones())
	scale(2)
	assert.Equal(t, map[string]int{"us-east-1b": 1, "us-east-1c": 1}, h.zones())

	// a new template version rolls the nodes: new ones come before old ones go
	h.log = nil
	old := slices.Collect(maps.Keys(h.nodes))
	i := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == "template" })].inputs(w)
	i["description"] = "new"
	out, err := w.m.Update(context.Background(), tTemplate, w.id("template"), resource.NewPropertyMapFromMap(i))
	require.NoError(t, err)
	w.outs["template"] = plain(out)
	assert.EqualValues(t, 2, plain(out).num("latestVersion"))
	scale(2)
	assert.Equal(t, []string{"+", "+", "-", "-"}, h.log)
	for _, id := range old {
		assert.NotContains(t, h.nodes, id)
	}
	require.NoError(t, w.destroy())
	assert.Empty(t, h.nodes)
}

// Each part for nodeadm counts, the last one most; the number is that of nodes that come from then on.
func TestNodesHoldWhatTheirUserDataSays(t *testing.T) {
	archive := func(parts ...string) string {
		text := "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n"
		for _, part := range parts {
			text += "--B\nContent-Type: " + part + "\n"
		}
		return base64.StdEncoding.EncodeToString([]byte(text + "--B--\n"))
	}
	config := func(rest string) string {
		return "application/node.eks.aws\n\napiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\n" + rest
	}
	script := "text/x-shellscript\n\necho maxPods: 7\n"
	for data, want := range map[string]int{
		"":                            29,
		archive():                     29,
		archive(script):               29,
		archive(config("spec: {}\n")): 29,
		archive(script, config("spec: {kubelet: {config: {maxPods: 20}}}\n")):                                                            20,
		archive(config("spec: {kubelet: {config: {maxPods: 20}}}\n"), config("spec: {kubelet: {config: {maxPods: 10}}}\n")):              10,
		archive(config("spec: {kubelet: {config: {maxPods: 20}}}\n"), config("spec: {kubelet: {config: {shutdownGracePeriod: 30s}}}\n")): 20,
	} {
		h := &hook{nodes: map[string]Instance{}}
		w := newWorld(Options{Cluster: h})
		at, err := w.build(edits{"template": set("userData", data)})
		require.NoError(t, err, at)
		require.Len(t, h.nodes, 3)
		for _, n := range h.nodes {
			assert.Equal(t, want, n.MaxPods, data)
		}
	}
	for _, data := range []string{"no base64", base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n")),
		base64.StdEncoding.EncodeToString([]byte("Content-Type: text/plain\n\nx\n")), archive(config("\tspec: x\n"))} {
		w := newWorld(Options{})
		at, err := w.build(edits{"template": set("userData", data)})
		assert.Contains(t, []string{"template", "nodes"}, at, data)
		assert.Error(t, err, data)
	}
}

func TestNodesThatDoNotJoin(t *testing.T) {
	h := &hook{nodes: map[string]Instance{}, fail: errors.New("not ready")}
	w := newWorld(Options{Cluster: h})
	at, err := w.build(nil)
	assert.Equal(t, "nodes", at)
	require.ErrorContains(t, err, "NodeCreationFailure")
	assert.Equal(t, "CREATE_FAILED", w.outs["nodes"].str("status"))
	require.NoError(t, w.destroy())
}

// What AWS gave up on stays as it is, also when its obstacle is gone; another one comes up.
func TestWhatFailedStaysFailed(t *testing.T) {
	h := &hook{nodes: map[string]Instance{}}
	w := newWorld(Options{Cluster: h})
	at, err := w.build(edits{"cni": nil})
	require.Error(t, err)
	require.Equal(t, "nodes", at)
	cni := attach("cni", "nodeRole", "AmazonEKS_CNI_Policy")
	require.NoError(t, w.make(cni, cni.inputs(w)))
	_, out, _ := w.m.Read(tNodeGroup, w.id("nodes"))
	assert.Equal(t, "CREATE_FAILED", plain(out).str("status"))
	assert.Empty(t, h.nodes)
	require.NoError(t, w.m.Delete(t.Context(), tNodeGroup, w.id("nodes")))
	nodes := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == "nodes" })]
	require.NoError(t, w.make(nodes, nodes.inputs(w)))
	assert.Equal(t, "ACTIVE", w.outs["nodes"].str("status"))
	assert.Len(t, h.nodes, 3)
}

func TestWhatIsSpoiledDoesNotComeUp(t *testing.T) {
	w, cluster := until(t, Options{}, "cluster")
	w.m.Spoil(tCluster, "cluster", "unexpected state 'FAILED'")
	require.ErrorContains(t, w.make(cluster, cluster.inputs(w)), "unexpected state 'FAILED'")
	_, out, found := w.m.Read(tCluster, w.id("cluster"))
	require.True(t, found)
	assert.Equal(t, "FAILED", plain(out).str("status"))
	_, _, err := w.m.Create(t.Context(), tAddon, "a",
		resource.NewPropertyMapFromMap(in{"clusterName": w.id("cluster"), "addonName": "kube-proxy"}))
	require.ErrorContains(t, err, "InvalidRequestException: Cluster 'expense' is not in ACTIVE status")
	require.NoError(t, w.make(step{"template", tTemplate, nil}, in{}))
	nodes := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == "nodes" })]
	inputs := nodes.inputs(w)
	inputs["nodeRoleArn"] = w.arn("clusterRole")
	require.ErrorContains(t, w.make(nodes, inputs), "InvalidRequestException: Cluster 'expense' is not in ACTIVE status")
	w.m.Spoil(tCluster, "cluster", "")
	require.NoError(t, w.m.Delete(t.Context(), tCluster, w.id("cluster")))
	require.NoError(t, w.make(cluster, cluster.inputs(w)))

	w, nat := until(t, Options{}, "nat")
	w.m.Spoil(tNAT, "nat", "unexpected state 'failed'")
	require.Error(t, w.make(nat, nat.inputs(w)))
	assert.Empty(t, w.outs["nat"].str("publicIp"), "an address is of a gateway that has come up")
}

// ownNetworkRole gives the network plugin a role by pod identity.
func ownNetworkRole(w *world, i in) {
	role := in{"assumeRolePolicy": trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")}
	if err := w.make(step{"cniRole", tRole, nil}, role); err != nil {
		panic(err)
	}
	if err := w.make(attach("cniRolePolicy", "cniRole", "AmazonEKS_CNI_Policy"),
		in{"role": "cniRole", "policyArn": managed("AmazonEKS_CNI_Policy")}); err != nil {
		panic(err)
	}
	i["podIdentityAssociations"] = []any{in{"serviceAccount": "aws-node", "roleArn": w.arn("cniRole")}}
}

// Nodes get no address for their pods, and so do not become Ready, when the network plugin has its role from nobody.
func TestTheNetworkPluginNeedsTheAgentOfItsRole(t *testing.T) {
	for name, changes := range map[string]edits{
		"no agent": {"cni": nil, "vpc-cni": ownNetworkRole, "eks-pod-identity-agent": nil},
		"no role":  {"cni": nil},
		"other pods": {"cni": nil, "vpc-cni": both(ownNetworkRole, func(_ *world, i in) {
			i["podIdentityAssociations"].([]any)[0].(in)["serviceAccount"] = "default"
		})},
	} {
		at, err := newWorld(Options{}).build(changes)
		require.ErrorContains(t, err, "the network plugin has no permission", name)
		assert.Equal(t, "nodes", at, name)
	}
}

// What an endpoint's policy does not let through reaches nobody, whatever roles and routes allow.
func TestEndpointsRefuseWhatTheirPolicyDoesNotAllow(t *testing.T) {
	const own = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":"*",` +
		`"Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}]}`
	layers := strings.Replace(own, `"Statement":[`,
		`"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",`+
			`"Resource":"arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"},`, 1)
	tokens := strings.Replace(own, `"Statement":[`,
		`"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity","Resource":"*",`+
			`"Condition":{"StringEquals":{"aws:ResourceAccount":"111122223333"}}},`, 1)
	nobody := strings.Replace(own, "111122223333", "999999999999", 1)
	with := func(policies map[string]string) func(*world, in) {
		return func(w *world, _ in) {
			for _, service := range slices.Sorted(maps.Keys(policies)) {
				inputs := in{
					"vpcId": w.id("vpc"), "serviceName": "com.amazonaws.us-east-1." + service, "vpcEndpointType": "Interface",
					"privateDnsEnabled": true, "subnetIds": []any{w.id("priv1")}, "policy": policies[service],
				}
				if err := w.make(step{service, tEndpoint, nil}, inputs); err != nil {
					panic(err)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		changes edits
		want    string
	}{
		"own account": {
			edits{
				"alias": with(map[string]string{"ec2": own, "ecr.api": own, "ecr.dkr": own, "sts": tokens, "eks-auth": own}),
				"s3":    set("policy", layers),
			},
			"",
		},
		"another account's nodes": {edits{"alias": with(map[string]string{"ec2": nobody})}, "the endpoint of ec2"},
		"images of another account": {
			edits{"alias": with(map[string]string{"ecr.dkr": strings.Replace(own, `"Resource":"*"`,
				`"Resource":"arn:aws:ecr:us-east-1:111122223333:*"`, 1)})},
			"the endpoint of ecr.dkr",
		},
		"no layers": {edits{"s3": set("policy", own)}, "no VPC endpoint policy allows the s3:GetObject action"},
	} {
		at, err := newWorld(Options{}).build(c.changes)
		if c.want == "" {
			require.NoError(t, err, name+" "+at)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
		assert.Equal(t, "nodes", at, name)
	}
	// Pods get no role.
	for name, c := range map[string]struct{ sts, auth, wantToken, wantPod string }{
		"both":      {tokens, own, "", ""},
		"no tokens": {own, own, "no VPC endpoint policy allows the sts:AssumeRoleWithWebIdentity action", ""},
		// No page of AWS has this form for an endpoint.
		"providers": {
			strings.Replace(tokens, `"Principal":"*"`, `"Principal":{"Federated":"*"}`, 1), own,
			"no VPC endpoint policy allows the sts:AssumeRoleWithWebIdentity action", "",
		},
		"no agents": {tokens, nobody, "", "no VPC endpoint policy allows the eks-auth:AssumeRoleForPodIdentity action"},
		"denied": {
			strings.Replace(tokens, `"Statement":[`, `"Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:*","Resource":"*"},`, 1),
			own, "an explicit deny in a VPC endpoint policy", "",
		},
	} {
		w := newWorld(Options{})
		at, err := w.build(edits{"alias": with(map[string]string{"sts": c.sts, "eks-auth": c.auth})})
		require.NoError(t, err, name+" "+at)
		tokenErr := w.m.AssumeWithToken(w.arn("writer"), Token{"expense", "project", "fluentd", "sts.amazonaws.com"})
		_, podErr := w.m.AssumeByPodIdentity(Token{"expense", "kube-system", "ebs-csi-controller-sa", "pods.eks.amazonaws.com"})
		for _, got := range []struct {
			want string
			err  error
		}{{c.wantToken, tokenErr}, {c.wantPod, podErr}} {
			if got.want == "" {
				assert.NoError(t, got.err, name)
			} else {
				assert.ErrorContains(t, got.err, got.want, name)
			}
		}
	}
}

func TestPrivateCluster(t *testing.T) {
	endpoints := func(services ...string) func(*world, in) {
		return func(w *world, _ in) {
			for _, s := range services {
				err := w.make(step{s, tEndpoint, nil},
					in{
						"vpcId": w.id("vpc"), "serviceName": "com.amazonaws.us-east-1." + s, "vpcEndpointType": "Interface",
						"privateDnsEnabled": true, "subnetIds": []any{w.id("priv1")},
					})
				if err != nil {
					panic(err)
				}
			}
		}
	}
	at, err := newWorld(Options{}).build(edits{"private-default": nil, "alias": endpoints("ec2", "ecr.api", "ecr.dkr", "sts")})
	require.NoError(t, err, at)
	at, err = newWorld(Options{}).build(edits{"private-default": nil, "alias": endpoints("ec2", "ecr.api", "sts")})
	require.ErrorContains(t, err, "lacks the endpoints of a private cluster")
	assert.Equal(t, "nodes", at)
}

func leftovers(m *Model) (ids []string) {
	for _, i := range m.Inventory() {
		if i.KeptByDesign == "" {
			ids = append(ids, i.Type)
		}
	}
	return ids
}

func TestNetworkPluginDeletedBeforeNodesLeaksInterfaces(t *testing.T) {
	w := whole(t, Options{})
	require.NoError(t, w.m.Delete(context.Background(), tAddon, w.id("vpc-cni")))
	err := w.destroy()
	require.ErrorContains(t, err, "DependencyViolation")
	assert.Contains(t, leftovers(w.m), tENI)
	assert.Contains(t, leftovers(w.m), tSG, "the cluster's own group cannot go either")

	// and no other node comes up
	w = whole(t, Options{})
	require.NoError(t, w.m.Delete(context.Background(), tAddon, w.id("vpc-cni")))
	typ, inputs := w.changed("nodes", set("nodeGroupNamePrefix", "more-"))
	_, _, err = w.m.Create(context.Background(), typ, "more", inputs)
	require.ErrorContains(t, err, "no network plugin")
}

func TestClusterRoleGoneFirstLeavesInterfaces(t *testing.T) {
	w := whole(t, Options{})
	require.NoError(t, w.m.Delete(context.Background(), tAttachment, w.id("clusterPolicy")))
	require.ErrorContains(t, w.destroy(), "DependencyViolation")
}

func TestLogGroupComesBack(t *testing.T) {
	w := whole(t, Options{})
	require.NoError(t, w.m.Delete(context.Background(), tLogGroup, w.id("logs")))
	_, _, found := w.m.Read(tLogGroup, w.id("logs"))
	assert.True(t, found)
	for _, i := range w.m.Inventory() {
		if i.ID == w.id("logs") {
			assert.Equal(t, AWS, i.Origin)
			assert.NotEmpty(t, i.KeptByDesign)
		}
	}
	// never declared, EKS makes it and nobody deletes it
	w = newWorld(Options{})
	_, err := w.build(edits{"logs": nil})
	require.NoError(t, err)
	require.NoError(t, w.destroy())
	var names []string
	for _, i := range w.m.Inventory() {
		names = append(names, i.ID)
	}
	assert.Contains(t, names, "/aws/eks/expense/cluster")
}

// The EBS driver puts its add-on's tags on each volume.
func TestVolumesHaveTheTagsOfTheDriversValues(t *testing.T) {
	w := newWorld(Options{})
	at, err := w.build(edits{"aws-ebs-csi-driver": set("configurationValues", `{"controller":{"extraVolumeTags":{"team":"web"}}}`)})
	require.NoError(t, err, at)
	_, err = w.m.CreateVolume("expense", "us-east-1b", 1, true, map[string]string{"CSIVolumeName": "pvc-1"})
	require.NoError(t, err)
	want := map[string]string{"CSIVolumeName": "pvc-1", "kubernetes.io/cluster/expense": "owned", "team": "web"}
	assert.Equal(t, want, w.m.Objects(tVolume)[0].Tags)
}

func TestWhatControllersMake(t *testing.T) {
	w := whole(t, Options{})
	host, err := w.m.CreateLoadBalancer("expense", "web", "internet-facing",
		map[string]string{
			"service.beta.kubernetes.io/aws-load-balancer-type":                     "nlb",
			"service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags": "team=web, a=b=c,=d,e",
		}, 80, 443)
	require.NoError(t, err)
	assert.Len(t, w.m.Objects(tTargetGroup), 2, "one for each port")
	for _, tagged := range append(w.m.Objects(tTargetGroup), w.m.Objects(tLoadBalancer)...) {
		assert.Equal(t, map[string]string{"kubernetes.io/cluster/expense": "owned", "team": "web", "a": "b", "e": ""}, tagged.Tags)
	}
	assert.Regexp(t, `^web-[0-9a-f]{16}\.elb\.us-east-1\.amazonaws\.com$`, host)
	again, err := w.m.CreateLoadBalancer("expense", "web", "internet-facing", nil)
	require.NoError(t, err)
	assert.Equal(t, host, again)
	groups := len(w.m.Objects(tSG))
	_, err = w.m.CreateLoadBalancer("expense", "in", "internal", nil, 80)
	require.NoError(t, err)
	assert.Len(t, w.m.Objects(tTargetGroup), 2, "a classic one has a security group instead")
	assert.Len(t, w.m.Objects(tSG), groups+1)
	vol, err := w.m.CreateVolume("expense", "us-east-1b", 1, true, map[string]string{"k": "v"})
	require.NoError(t, err)
	assert.Regexp(t, `^vol-0`, vol)
	named := map[string]string{"CSIVolumeName": "pvc-1"}
	once, err := w.m.CreateVolume("expense", "us-east-1b", 1, true, named)
	require.NoError(t, err)
	twice, err := w.m.CreateVolume("expense", "us-east-1b", 1, true, named)
	require.NoError(t, err)
	assert.Equal(t, once, twice, "a driver that asks again for a volume gets the same")
	assert.NotEqual(t, vol, once)
	require.NoError(t, w.m.DeleteVolume(once))
	assert.True(t, w.m.AddonActive("aws-ebs-csi-driver"))
	assert.False(t, w.m.AddonActive("cert-manager"))

	require.ErrorContains(t, w.destroy(), "DependencyViolation", "a forgotten load balancer pins the network")
	assert.Contains(t, leftovers(w.m), tLoadBalancer)
	assert.Contains(t, leftovers(w.m), tVolume)
	require.NoError(t, w.m.DeleteLoadBalancer("in"))
	require.ErrorContains(t, w.destroy(), "DependencyViolation", "its security group pins the network too")
	require.NoError(t, w.m.ReleaseLoadBalancer("web"))
	require.NoError(t, w.m.ReleaseLoadBalancer("in"))
	require.NoError(t, w.m.DeleteVolume(vol))
	require.NoError(t, w.destroy(), "a second destroy finishes")
	assert.Empty(t, leftovers(w.m))
	assert.False(t, w.m.AddonActive("aws-ebs-csi-driver"))
}

// A listener's protocol cannot be changed in place by the controller. Another port can be added.
func TestALoadBalancersListenerKeepsItsProtocol(t *testing.T) {
	w := whole(t, Options{})
	plain := map[string]string{"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}
	tls := map[string]string{
		"service.beta.kubernetes.io/aws-load-balancer-type": "nlb", "service.beta.kubernetes.io/aws-load-balancer-ssl-cert": "arn",
		"service.beta.kubernetes.io/aws-load-balancer-ssl-ports": "443",
	}
	make := func(annotations map[string]string, ports ...int32) error {
		_, err := w.m.CreateLoadBalancer("expense", "web", "internet-facing", annotations, ports...)
		return err
	}
	require.NoError(t, make(plain, 80))
	require.NoError(t, make(tls, 80, 443), "80 stays plain")
	require.NoError(t, make(tls, 443))
	require.ErrorContains(t, make(plain, 443), "DuplicateListener")
	require.NoError(t, make(tls, 443), "the refusal changed nothing")
	require.NoError(t, w.m.ReleaseLoadBalancer("web"))
}

func TestLoadBalancerNeedsTaggedSubnets(t *testing.T) {
	w := newWorld(Options{})
	_, err := w.build(edits{"pub1": set("tags", in{}), "pub2": set("tags", in{})})
	require.NoError(t, err)
	_, err = w.m.CreateLoadBalancer("expense", "web", "internet-facing", nil)
	require.ErrorContains(t, err, "could not find any suitable subnets for creating the ELB")
}

func TestUpdates(t *testing.T) {
	w := whole(t, Options{})
	require.NoError(t,
		w.make(step{"third", tSubnet, nil}, in{"vpcId": w.id("vpc"), "cidrBlock": "192.168.160.0/19", "availabilityZoneId": "use1-az4"}))
	third := w.id("third")
	inputs := func(name string) in {
		return steps[slices.IndexFunc(steps, func(s step) bool { return s.name == name })].inputs(w)
	}
	for _, c := range []struct {
		step, path string
		value      any
		want       string
	}{
		{"cluster", "version", "1.34", "Unsupported Kubernetes minor version update from 1.3"},
		{"cluster", "vpcConfig.subnetIds", []any{"subnet-00000000000000000"}, "InvalidSubnetID.NotFound"},
		{"cluster", "vpcConfig.subnetIds", []any{w.id("priv1"), third}, "should belong to the exact set of AZs"},
		{"cluster", "vpcConfig.publicAccessCidrs", []any{"10.0.0.0/8"}, "not allowed in publicAccessCidrs"},
		{"cluster", "encryptionConfig", in{"provider": in{"keyArn": w.arn("key")}, "resources": []any{"secrets"}}, ""},
		{"cluster", "vpcConfig.publicAccessCidrs", []any{"198.51.100.0/24"}, ""}, {"cluster", "version", "1.36", ""},
		{"nodes", "scalingConfig.desiredSize", 9, "is above scalingConfig.maxSize"},
		{"nodes", "labels", in{"role": "other"}, ""}, {"nodes", "taints", []any{in{"key": "a", "value": "b", "effect": "NO_SCHEDULE"}}, ""},
		{"coredns", "addonVersion", "v1.12.0-eksbuild.1", ""}, {"coredns", "addonVersion", "v1.4.0-eksbuild.preview", ""},
		{"aws-ebs-csi-driver", "configurationValues", `{"controller":{"extraVolumeTags":{"a":"b"}}}`, ""}, {
			"vpc-cni", "configurationValues", `{"enableNetworkPolicy":"true"}`, "",
		},
		{"coredns", "configurationValues", `{"whatever":1}`, ""}, {"coredns", "addonVersion", "latest", "must match"},
		{"logs", "retentionInDays", 90, ""}, {"vpc", "tags", in{"Name": "other"}, ""}, {"writer", "description", "x", ""},
		{"domain", "clusterConfig.instanceCount", 2, ""}, {"domain", "ebsOptions.volumeSize", 5000, "Volume size must be between"},
		{"csiIdentity", "roleArn", "arn:aws:iam::111122223333:role/x", "does not exist"},
		{"alias", "targetKeyId", "x", "NotFoundException"}, {"https", "toPort", 9300, ""},
	} {
		i := inputs(c.step)
		set(c.path, c.value)(w, i)
		s := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == c.step })]
		news := resource.NewPropertyMapFromMap(i)
		_, before, _ := w.m.Read(s.typ, w.id(c.step))
		outs, err := w.m.Update(context.Background(), s.typ, w.id(c.step), news)
		if c.want != "" {
			require.ErrorContains(t, err, c.want, "%s %s", c.step, c.path)
			_, after, _ := w.m.Read(s.typ, w.id(c.step))
			assert.Equal(t, before, after, "a refused update changes nothing")
			continue
		}
		require.NoError(t, err, "%s %s", c.step, c.path)
		top := resource.PropertyKey(strings.Split(c.path, ".")[0])
		assert.True(t, strings.Contains(c.path, ".") || plain(outs).value(c.path).DeepEquals(news[top]), c.path)
		assert.Equal(t, before["arn"], outs["arn"], "the ARN stays")
		ins, now, _ := w.m.Read(s.typ, w.id(c.step))
		assert.Equal(t, outs, now, "what Update gave is what Read gives")
		if !news.HasValue("name") {
			delete(ins, "name") // an automatic name stays without being asked for
		}
		assert.Equal(t, plain(news), plain(ins))
	}
	v, _, _ := w.m.Read(tVPC, w.id("vpc"))
	assert.Equal(t, "other", plain(v).strMap("tags")["Name"])
	require.NoError(t, w.destroy())
}

func TestVersionsThatEKSDoesNotHave(t *testing.T) {
	_, err := newWorld(Options{}).build(edits{"cluster": set("version", "1.37")})
	require.ErrorContains(t, err, "unsupported Kubernetes version 1.37; supported are 1.31, 1.32, 1.33, 1.34, 1.35, 1.36")
}

// The nodes follow the control plane before it goes on.
func TestAClusterWaitsForItsNodes(t *testing.T) {
	w := newWorld(Options{})
	_, err := w.build(edits{"cluster": set("version", "1.34")})
	require.NoError(t, err)
	raise := func(name, typ, version string) error {
		inputs := steps[slices.IndexFunc(steps, func(s step) bool { return s.name == name })].inputs(w)
		inputs["version"] = version
		_, err := w.m.Update(t.Context(), typ, w.id(name), resource.NewPropertyMapFromMap(inputs))
		return err
	}
	require.NoError(t, raise("cluster", tCluster, "1.35"))
	require.ErrorContains(t, raise("cluster", tCluster, "1.36"),
		"must be updated to match cluster version 1.35 before updating cluster version")
	require.NoError(t, raise("nodes", tNodeGroup, "1.35"))
	_, out, _ := w.m.Read(tNodeGroup, w.id("nodes"))
	assert.Regexp(t, `^1\.35\.`, plain(out).str("releaseVersion"), "another version has another image")
	require.NoError(t, raise("cluster", tCluster, "1.36"))
}

// A domain's policy goes with it, and an update sets it on the domain's successor, whatever its name.
func TestThePolicyOfADomainThatWasReplaced(t *testing.T) {
	w := whole(t, Options{})
	policy := w.id("domainPolicy")
	require.NoError(t, w.m.Delete(t.Context(), tDomain, w.id("domain")))
	_, _, found := w.m.Read(tDomainPolicy, policy)
	require.False(t, found)
	for _, s := range steps {
		if s.name == "domain" {
			inputs := s.inputs(w)
			inputs["domainName"] = "renamed"
			require.NoError(t, w.make(s, inputs))
		}
	}
	news := resource.NewPropertyMapFromMap(in{"domainName": "renamed", "accessPolicies": roleInside})
	w.m.Plant(tRole, "new", "", Program, in{"arn": newRole})
	w.m.Pass(roleSpread)
	_, err := w.m.Update(t.Context(), tDomainPolicy, policy, news)
	require.NoError(t, err)
	got, _, found := w.m.Read(tDomainPolicy, policy)
	require.True(t, found)
	assert.Equal(t, news, got)
	_, err = w.m.Update(t.Context(), tAlarm, "nothing", resource.PropertyMap{})
	require.Error(t, err, "nothing else comes back so")
}

// AWS keeps what an update leaves out, and a cluster's key whatever an update says. Neither is an error, and a refresh shows
// the key.
func TestWhatAWSKeeps(t *testing.T) {
	w := whole(t, Options{})
	pinned, err := w.update(t, "coredns", set("addonVersion", "v1.12.0-eksbuild.1"))
	require.NoError(t, err)
	unpinned, err := w.update(t, "coredns", set("configurationValues", `{"replicaCount":3}`))
	require.NoError(t, err)
	assert.Equal(t, "v1.12.0-eksbuild.1", pinned.str("addonVersion"))
	assert.Equal(t, "v1.12.0-eksbuild.1", unpinned.str("addonVersion"))

	key := func(arn string) func(*world, in) {
		return set("encryptionConfig", in{"provider": in{"keyArn": arn}, "resources": []any{"secrets"}})
	}
	require.NoError(t, w.make(step{"other", tKey, nil}, in{}))
	out, err := w.update(t, "cluster", key(w.arn("key")))
	require.NoError(t, err)
	assert.Equal(t, w.arn("key"), out.str("encryptionConfig.provider.keyArn"))
	out, err = w.update(t, "cluster", key(w.arn("other")))
	require.NoError(t, err)
	ins, _, _ := w.m.Read(tCluster, w.id("cluster"))
	for _, p := range []props{out, {ins}} {
		assert.Equal(t, w.arn("key"), p.str("encryptionConfig.provider.keyArn"))
	}
}

// Auto-Tune stays on in a domain that gets a type without it.
func TestADomainWithAutoTuneGetsNoBurstableType(t *testing.T) {
	w := newWorld(Options{})
	at, err := w.build(edits{"domain": both(set("clusterConfig.instanceType", "m7g.large.search"),
		set("autoTuneOptions", in{"desiredState": "ENABLED"}))})
	require.NoError(t, err, at)
	_, err = w.update(t, "domain", set("clusterConfig.instanceType", "t3.small.search"))
	require.ErrorContains(t, err, "Autotune is not supported in t2/t3 instance types")
}

// Tags of a launch template are not in its versions.
func TestATemplatesVersions(t *testing.T) {
	w := whole(t, Options{})
	for _, c := range []struct {
		change  func(*world, in)
		version float64
	}{{set("tags", in{"a": "b"}), 1}, {set("metadataOptions", in{"httpTokens": "required", "httpPutResponseHopLimit": 2}), 2}} {
		out, err := w.update(t, "template", c.change)
		require.NoError(t, err)
		assert.Equal(t, c.version, out.num("latestVersion"))
	}
}

func TestCancelledCreationKeepsWhatAWSMade(t *testing.T) {
	w, nat := until(t, Options{}, "nat")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id, _, err := w.m.Create(ctx, nat.typ, "nat", resource.NewPropertyMapFromMap(nat.inputs(w)))
	require.ErrorIs(t, err, context.Canceled)
	_, _, found := w.m.Read(tNAT, id)
	assert.True(t, found)
}

func TestConcurrentUse(t *testing.T) {
	w := whole(t, Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			ctx := context.Background()
			id, _, err := w.m.Create(ctx, tSG, "g"+strconv.Itoa(i), resource.NewPropertyMapFromMap(in{"vpcId": w.id("vpc")}))
			assert.NoError(t, err)
			_, err = w.m.Update(ctx, tSG, id, resource.NewPropertyMapFromMap(in{"vpcId": w.id("vpc"), "tags": in{"i": strconv.Itoa(i)}}))
			assert.NoError(t, err)
			w.m.Inventory()
			assert.NoError(t, w.m.Delete(ctx, tSG, id))
		})
	}
	wg.Wait()
	require.NoError(t, w.destroy())
	assert.Empty(t, leftovers(w.m))
}

// Nodes of a type that is not in the list come up, as the size says.
func TestTypesThatAreNotInTheListAreTaken(t *testing.T) {
	h := &hook{nodes: map[string]Instance{}}
	w := newWorld(Options{Cluster: h})
	at, err := w.build(edits{"nodes": set("instanceTypes", []any{"m99i.xlarge", "x99.medium", "c3.large"})})
	require.NoError(t, err, at)
	var got []string
	for _, n := range h.nodes {
		got = append(got, fmt.Sprintf("%s %d %d %s %d", n.InstanceType, n.VCPU, n.MemoryMiB, n.Arch, n.MaxPods))
	}
	assert.ElementsMatch(t, []string{"m99i.xlarge 4 16384 amd64 29", "x99.medium 2 8192 amd64 29", "c3.large 2 3840 amd64 29"}, got)
	assert.Equal(t, "arm64", played("m99g.large", "arm64").Arch)
	assert.Equal(t, published.Addons(), h.addons)
	require.NoError(t, w.destroy())
	assert.Empty(t, h.addons)
}

func TestNotModelledIsHonest(t *testing.T) {
	assert.Greater(t, len(NotModelled), 10)
	for _, n := range NotModelled {
		assert.NotEmpty(t, n.Area)
		assert.NotEmpty(t, n.What)
	}
}

// What was DEGRADED EKS goes on with.
func TestAnAddonThatComesUpLater(t *testing.T) {
	w, nodes := until(t, Options{}, "nodes")
	coredns := addonStep("coredns")
	require.ErrorContains(t, w.make(coredns, coredns.inputs(w)), "'DEGRADED'")
	_, _, _ = w.m.Read(tAddon, w.id("coredns"))
	assert.False(t, w.m.AddonActive("coredns"))
	require.NoError(t, w.make(nodes, nodes.inputs(w)))
	_, _, found := w.m.Read(tAddon, w.id("coredns"))
	require.True(t, found)
	assert.True(t, w.m.AddonActive("coredns"))
}
