package verify_test

import (
	"strings"
	"testing"
	"time"

	"expense/internal/published"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/require"
)

func init() { mutations = append(mutations, cloudMutations...) }

// object finds the first thing of a type for which a property has a value that contains a text; an empty property is any.
func (w *world) object(t *testing.T, typ, property, part string) awsmodel.Object {
	for _, o := range w.stage.Model.Objects(typ) {
		if text, _ := o.Properties[property].(string); property == "" || strings.Contains(text, part) {
			return o
		}
	}
	require.FailNow(t, "the model has no "+typ, "%s with %q", property, part)
	return awsmodel.Object{}
}

// set changes a property of the first thing of a type that find describes.
func set(typ, by, part, property string, to any) func(*testing.T, *world) func() {
	return change(typ, by, part, property, func(any) any { return to })
}

// change is set with a value that is made of the former.
func change(typ, by, part, property string, to func(was any) any) func(*testing.T, *world) func() {
	return func(t *testing.T, w *world) func() {
		o := w.object(t, typ, by, part)
		was := o.Properties[property]
		require.True(t, w.stage.Model.Set(o.Type, o.ID, property, to(was)))
		return func() { w.stage.Model.Set(o.Type, o.ID, property, was) }
	}
}

// member changes one member of a property that is an object, and keeps the others.
func member(typ, by, part, property, name string, to any) func(*testing.T, *world) func() {
	return change(typ, by, part, property, func(was any) any {
		out := map[string]any{}
		if was, is := was.(map[string]any); is {
			for key, value := range was {
				out[key] = value
			}
		}
		out[name] = to
		return out
	})
}

// plant adds a thing.
func plant(typ, id string, properties func(t *testing.T, w *world) map[string]any) func(*testing.T, *world) func() {
	return func(t *testing.T, w *world) func() {
		w.stage.Model.Plant(typ, id, "", awsmodel.Program, properties(t, w))
		return func() { w.stage.Model.Uproot(typ, id) }
	}
}

const (
	tCluster     = "aws:eks/cluster:Cluster"
	tNodeGroup   = "aws:eks/nodeGroup:NodeGroup"
	tAddon       = "aws:eks/addon:Addon"
	tAssociation = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	tInstance    = "aws:ec2/instance:Instance"
	tInterface   = "aws:ec2/networkInterface:NetworkInterface"
	tTemplate    = "aws:ec2/launchTemplate:LaunchTemplate"
	tVolume      = "aws:ebs/volume:Volume"
	tGroup       = "aws:ec2/securityGroup:SecurityGroup"
	tIngress     = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	tBalancer    = "aws:lb/loadBalancer:LoadBalancer"
	tDomain      = "aws:opensearch/domain:Domain"
	tPolicy      = "aws:opensearch/domainPolicy:DomainPolicy"
	tAlarm       = "aws:cloudwatch/metricAlarm:MetricAlarm"
	tLogGroup    = "aws:cloudwatch/logGroup:LogGroup"
	tRole        = "aws:iam/role:Role"
	tRolePolicy  = "aws:iam/rolePolicy:RolePolicy"
	tAttachment  = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	tKey         = "aws:kms/key:Key"
	tRepository  = "aws:ecr/repository:Repository"
	tImage       = "aws:ecr/image:Image"
	tInsight     = "aws:eks/insight:Insight"
	tMetric      = "aws:cloudwatch/metric:Metric"
)

func issue(code string) map[string]any {
	return map[string]any{"issues": []any{map[string]any{"code": code, "message": "something is wrong"}}}
}

func openRule(family, cidr string) func(*testing.T, *world) func() {
	return plant(tIngress, "sgr-open", func(t *testing.T, w *world) map[string]any {
		return map[string]any{
			"securityGroupId": w.object(t, tGroup, "description", "OpenSearch domain").ID, family: cidr, "ipProtocol": "tcp", "fromPort": 443,
			"toPort": 443,
		}
	})
}

func balancer(kind string) func(*testing.T, *world) func() {
	return plant(tBalancer, "by-hand", func(t *testing.T, w *world) map[string]any {
		return map[string]any{
			"name": "by-hand", "loadBalancerType": kind, "scheme": "internet-facing", "dnsName": "by-hand-1.elb.us-east-1.amazonaws.com",
			"vpcId": w.object(t, "aws:ec2/vpc:Vpc", "", "").ID,
		}
	})
}

// asAdmin makes a role of the account an admin of the cluster.
func asAdmin(t *testing.T, w *world, role string) func() {
	cluster, principal := w.Settings.Cluster.Name, "arn:aws:iam::111122223333:role/"+role
	of := func(more map[string]any) func(*testing.T, *world) map[string]any {
		return func(*testing.T, *world) map[string]any {
			more["clusterName"], more["principalArn"] = cluster, principal
			return more
		}
	}
	entry := plant("aws:eks/accessEntry:AccessEntry", cluster+":"+principal, of(map[string]any{"type": "STANDARD"}))(t, w)
	policy := plant("aws:eks/accessPolicyAssociation:AccessPolicyAssociation", principal, of(map[string]any{
		"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", "accessScope": map[string]any{"type": "cluster"},
	}))(t, w)
	return func() { policy(); entry() }
}

const anyone = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":"*"}]}`

var cloudMutations = []mutation{
	{"control-plane", "everybody may reach it", member(tCluster, "", "", "vpcConfig", "publicAccessCidrs", []any{"0.0.0.0/0"})},
	{"control-plane", "the VPC does not reach it", member(tCluster, "", "", "vpcConfig", "endpointPrivateAccess", false)},
	{"control-plane", "it logs nothing of the scheduler", set(tCluster, "", "", "enabledClusterLogTypes",
		[]any{"api", "audit", "authenticator", "controllerManager"})},
	{"control-plane", "another key encrypts what it stores", set(tCluster, "", "", "encryptionConfig",
		map[string]any{"provider": map[string]any{"keyArn": "arn:aws:kms:us-east-1:111122223333:key/other"}})},
	{"control-plane", "it goes into extended support", set(tCluster, "", "", "upgradePolicy", map[string]any{"supportType": "EXTENDED"})},
	{"control-plane", "a ConfigMap gives access too", member(tCluster, "", "", "accessConfig", "authenticationMode", "API_AND_CONFIG_MAP")},
	{"control-plane", "EKS reports an issue", set(tCluster, "", "", "health", issue("VPC_NOT_FOUND"))},
	{"version-support", "standard support has ended", unsupported},
	{"add-ons", "EKS reports an issue", set(tAddon, "addonName", "coredns", "health", issue("InsufficientNumberOfReplicas"))},
	{"add-ons", "network policies are off", set(tAddon, "addonName", "vpc-cni", "configurationValues", `{"enableNetworkPolicy":"false"}`)},
	{"add-ons", "the version is not the pinned one", unpinned},
	{"add-ons", "somebody has added one", plant(tAddon, "expense-example:adot", func(t *testing.T, w *world) map[string]any {
		return map[string]any{"clusterName": w.Settings.Cluster.Name, "addonName": "adot"}
	})},
	{"associations", "it has another role", set(tAssociation, "serviceAccount", "cluster-autoscaler", "roleArn",
		"arn:aws:iam::111122223333:role/admin")},
	{"associations", "somebody has added one", plant(tAssociation, "a-byhand", func(t *testing.T, w *world) map[string]any {
		return map[string]any{
			"clusterName": w.Settings.Cluster.Name, "namespace": "project", "serviceAccount": "default",
			"roleArn": "arn:aws:iam::111122223333:role/admin",
		}
	})},
	{"associations", "an add-on has lost its role", set(tAddon, "addonName", "aws-ebs-csi-driver", "podIdentityAssociations", []any{})},
	{"node-groups", "EKS reports an issue", set(tNodeGroup, "", "", "health", issue("AsgInstanceLaunchFailures"))},
	{"node-groups", "it may not grow", member(tNodeGroup, "", "", "scalingConfig", "maxSize", 1)},
	{"node-groups", "it is on demand", set(tNodeGroup, "", "", "capacityType", "ON_DEMAND")},
	{"node-groups", "it has other instances", set(tNodeGroup, "", "", "instanceTypes", []any{"m5.24xlarge"})},
	{"node-groups", "nothing is repaired", set(tNodeGroup, "", "", "nodeRepairConfig", map[string]any{"enabled": false})},
	{"node-groups", "it has a taint", set(tNodeGroup, "", "", "taints",
		[]any{map[string]any{"key": "dedicated", "value": "x", "effect": "NO_SCHEDULE"}})},
	{"instances", "pods reach the metadata", member(tTemplate, "", "", "metadataOptions", "httpPutResponseHopLimit", 2)},
	{"instances", "metadata need no token", set(tInstance, "", "", "metadataOptions",
		map[string]any{"httpTokens": "optional", "httpPutResponseHopLimit": 1})},
	{"instances", "one has a public address", set(tInterface, "owner", "i-", "publicIp", "203.0.113.9")},
	{"instances", "one is in a public subnet", func(t *testing.T, w *world) func() {
		return set(tInstance, "", "", "subnetId", w.object(t, "aws:ec2/subnet:Subnet", "cidrBlock", "").ID+"x")(t, w)
	}},
	{"volumes", "a claim's is not encrypted", set(tVolume, "", "", "encrypted", false)},
	{"volumes", "a claim's has another type", set(tVolume, "", "", "volumeType", "gp2")},
	{"volumes", "a node's is not encrypted", set(tTemplate, "", "", "blockDeviceMappings",
		[]any{map[string]any{"ebs": map[string]any{"volumeType": "gp3", "encrypted": "false"}}})},
	{"domain", "it is not encrypted", set(tDomain, "", "", "encryptAtRest", map[string]any{"enabled": false})},
	{"domain", "its nodes talk in the clear", set(tDomain, "", "", "nodeToNodeEncryption", map[string]any{"enabled": false})},
	{"domain", "it takes HTTP", member(tDomain, "", "", "domainEndpointOptions", "enforceHttps", false)},
	{"domain", "it takes old TLS", member(tDomain, "", "", "domainEndpointOptions", "tlsSecurityPolicy", "Policy-Min-TLS-1-0-2019-07")},
	{"domain", "it asks for no role", member(tDomain, "", "", "advancedSecurityOptions", "enabled", false)},
	{"domain", "anybody may ask", set(tPolicy, "", "", "accessPolicies", anyone)},
	{"domain", "others reach it", member(tDomain, "", "", "vpcOptions", "securityGroupIds", []any{"sg-other"})},
	{"domain", "it has more nodes", member(tDomain, "", "", "clusterConfig", "instanceCount", 4)},
	{"domain", "it has smaller volumes", member(tDomain, "", "", "ebsOptions", "volumeSize", 1)},
	{"domain", "it has an older version", set(tDomain, "", "", "engineVersion", "OpenSearch_1.3")},
	{"domain", "it logs nothing", set(tDomain, "", "", "logPublishingOptions", []any{})},
	{"alarms", "they tell another topic", set(tAlarm, "name", "cluster-red", "alarmActions",
		[]any{"arn:aws:sns:us-east-1:111122223333:other"})},
	{"alarms", "they tell nobody", set(tAlarm, "name", "cluster-red", "actionsEnabled", false)},
	{"alarms", "it goes off at another value", set(tAlarm, "name", "free-storage", "threshold", 1)},
	{"roles", "one may do more", change(tRolePolicy, "role", "expense-autoscaler", "policy", func(was any) any {
		return strings.Replace(was.(string), "autoscaling:SetDesiredCapacity", "autoscaling:*", 1)
	})},
	{"roles", "one has another policy", plant(tRolePolicy, "by hand", func(t *testing.T, w *world) map[string]any {
		return map[string]any{"role": w.object(t, tRole, "name", "expense-log-writer").Properties["name"], "name": "by-hand", "policy": anyone}
	})},
	{"roles", "one is administrator", plant(tAttachment, "by hand", func(t *testing.T, w *world) map[string]any {
		return map[string]any{
			"role": w.object(t, tRole, "name", "expense-node").Properties["name"], "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess",
		}
	})},
	{"roles", "anybody may assume one", set(tRole, "name", "expense-log-master", "assumeRolePolicy", anyone)},
	{"roles", "one has a boundary", set(tRole, "name", "expense-node", "permissionsBoundary", "arn:aws:iam::111122223333:policy/less")},
	{"access-entries", "two are admins by hand", func(t *testing.T, w *world) func() {
		one, other := asAdmin(t, w, "one"), asAdmin(t, w, "other")
		return func() { one(); other() }
	}},
	{"access-entries", "an admin of the settings has no access", func(_ *testing.T, w *world) func() {
		w.Settings.Cluster.Admins = []string{"arn:aws:iam::111122223333:role/admins"}
		return func() { w.Settings.Cluster.Admins = nil }
	}},
	{"access-entries", "a reader of the settings is admin", func(t *testing.T, w *world) func() {
		w.Settings.Cluster.Readers = []string{"arn:aws:iam::111122223333:role/reader"}
		undo := asAdmin(t, w, "reader")
		return func() { w.Settings.Cluster.Readers = nil; undo() }
	}},
	{"nothing-public", "a group admits the internet", openRule("cidrIpv4", "0.0.0.0/0")},
	{"nothing-public", "a group admits the internet of IPv6", openRule("cidrIpv6", "::/0")},
	{"nothing-public", "somebody has added a load balancer", balancer("network")},
	{"nothing-public", "somebody has added a classic load balancer", balancer("classic")},
	{"nothing-public", "the settings make nothing public", func(t *testing.T, w *world) func() {
		w.Settings.Workloads.Web.Public = false
		return func() { w.Settings.Workloads.Web.Public = true }
	}},
	{"keys", "it does not renew itself", set(tKey, "", "", "enableKeyRotation", false)},
	{"keys", "it is disabled", set(tKey, "", "", "isEnabled", false)},
	{"log-groups", "one keeps lines for good", set(tLogGroup, "name", "/cluster", "retentionInDays", 0)},
	{"log-groups", "one is encrypted with another key", set(tLogGroup, "name", "/audit", "kmsKeyId",
		"arn:aws:kms:us-east-1:111122223333:key/other")},
	{"repositories", "tags can move", set(tRepository, "", "", "imageTagMutability", "MUTABLE")},
	{"no-drift", "the VPC gives no host names", set("aws:ec2/vpc:Vpc", "", "", "enableDnsHostnames", false)},
}

// unsupported lets EKS say that the cluster's version is out of standard support.
func unsupported(_ *testing.T, w *world) func() {
	versions := published.KubernetesVersions()
	for i := range versions {
		versions[i].StandardEnds = awsmodel.Today.Add(-24 * time.Hour)
	}
	was := w.AWS
	w.AWS = (&awsapi.API{Model: w.stage.Model, Region: awsapi.Region{Kubernetes: versions}}).Config()
	return func() { w.AWS = was }
}

func unpinned(_ *testing.T, w *world) func() {
	was := w.Settings.Cluster.AddonVersions
	w.Settings.Cluster.AddonVersions = map[string]string{"coredns": "v1.12.4-eksbuild.1"}
	return func() { w.Settings.Cluster.AddonVersions = was }
}
