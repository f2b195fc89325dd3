package awsmodel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"
)

type in = map[string]any

// edits change steps' inputs by the steps' names. A nil edit leaves the step out.
type edits = map[string]func(w *world, inputs in)

// step makes one resource of the stack that the tests change.
type step struct {
	name, typ string
	inputs    func(w *world) in
}

// world is an account with a part of the stack in it.
type world struct {
	m    *Model
	ids  map[string]string
	outs map[string]props
	done []step
}

func newWorld(opts Options) *world {
	return &world{m: New(opts), ids: map[string]string{}, outs: map[string]props{}}
}

func (w *world) id(name string) string { return w.ids[name] }

func (w *world) arn(name string) string { return w.outs[name].str("arn") }

func (w *world) make(s step, inputs in) error {
	id, out, err := w.m.Create(context.Background(), s.typ, s.name, resource.NewPropertyMapFromMap(inputs))
	if id != "" {
		w.ids[s.name], w.outs[s.name] = id, plain(out)
		w.done = append(w.done, s)
	}
	return err
}

func trust(service string, actions ...string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":%q},"Action":["%s"]}]}`, service,
		strings.Join(actions, `","`))
}

const anyPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`

func managed(name string) string { return "arn:aws:iam::aws:policy/" + name }

func attach(name, role, policy string) step {
	return step{name, tAttachment, func(w *world) in {
		return in{"role": w.outs[role].str("name"), "policyArn": managed(policy)}
	}}
}

func addonStep(name string) step {
	return step{name, tAddon, func(w *world) in {
		return in{"clusterName": w.id("cluster"), "addonName": name, "resolveConflictsOnCreate": "OVERWRITE"}
	}}
}

func subnetStep(name, cidr, zone string, tags in, public bool) step {
	return step{name, tSubnet, func(w *world) in {
		return in{"vpcId": w.id("vpc"), "cidrBlock": cidr, "availabilityZoneId": zone, "mapPublicIpOnLaunch": public, "tags": tags}
	}}
}

func assocStep(subnet, table string) step {
	return step{"assoc-" + subnet, tRouteAssoc, func(w *world) in {
		return in{"subnetId": w.id(subnet), "routeTableId": w.id(table)}
	}}
}

// steps is a stack in miniature with every resource type in it, in an order that AWS accepts.
var steps = []step{
	{"slr", tSLR, func(*world) in { return in{"awsServiceName": "opensearchservice.amazonaws.com"} }},
	{"vpc", tVPC, func(*world) in {
		return in{"cidrBlock": "192.168.0.0/16", "enableDnsSupport": true, "enableDnsHostnames": true, "tags": in{"Name": "expense"}}
	}},
	{"igw", tIGW, func(w *world) in { return in{"vpcId": w.id("vpc")} }},
	subnetStep("pub1", "192.168.0.0/19", "use1-az1", in{"kubernetes.io/role/elb": "1"}, true),
	subnetStep("pub2", "192.168.32.0/19", "use1-az2", in{"kubernetes.io/role/elb": "1"}, true),
	subnetStep("priv1", "192.168.96.0/19", "use1-az1", in{"kubernetes.io/role/internal-elb": "1"}, false),
	subnetStep("priv2", "192.168.128.0/19", "use1-az2", in{"kubernetes.io/role/internal-elb": "1"}, false),
	{"public", tRouteTable, func(w *world) in { return in{"vpcId": w.id("vpc")} }},
	{"public-default", tRoute, func(w *world) in {
		return in{"routeTableId": w.id("public"), "destinationCidrBlock": "0.0.0.0/0", "gatewayId": w.id("igw")}
	}},
	assocStep("pub1", "public"), assocStep("pub2", "public"),
	{"eip", tEIP, func(*world) in { return in{"domain": "vpc"} }},
	{"nat", tNAT, func(w *world) in { return in{"subnetId": w.id("pub1"), "allocationId": w.id("eip")} }},
	{"private", tRouteTable, func(w *world) in { return in{"vpcId": w.id("vpc")} }},
	{"private-default", tRoute, func(w *world) in {
		return in{"routeTableId": w.id("private"), "destinationCidrBlock": "0.0.0.0/0", "natGatewayId": w.id("nat")}
	}},
	assocStep("priv1", "private"), assocStep("priv2", "private"),
	{"s3", tEndpoint, func(w *world) in {
		return in{"vpcId": w.id("vpc"), "serviceName": "com.amazonaws.us-east-1.s3", "routeTableIds": []any{w.id("private")}}
	}},
	{"repository", tRepository, func(*world) in { return in{"name": "expense/backend"} }},
	{"lifecycle", tLifecycle, func(w *world) in {
		return in{"repository": w.outs["repository"].str("name"), "policy": `{"rules":[{"rulePriority":1,"description":"untagged","selection":` +
			`{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`}
	}},
	{"cache", tCacheRule, func(*world) in {
		return in{"ecrRepositoryPrefix": "expense/kubernetes", "upstreamRegistryUrl": "registry.k8s.io"}
	}},
	{"key", tKey, func(*world) in { return in{"enableKeyRotation": true, "deletionWindowInDays": 7} }},
	{"alias", tAlias, func(w *world) in { return in{"name": "alias/expense", "targetKeyId": w.id("key")} }},
	{"logs", tLogGroup, func(*world) in { return in{"name": "/aws/eks/expense/cluster", "retentionInDays": 30} }},
	{"clusterRole", tRole, func(*world) in {
		return in{"assumeRolePolicy": trust("eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")}
	}},
	attach("clusterPolicy", "clusterRole", "AmazonEKSClusterPolicy"),
	{"cluster", tCluster, func(w *world) in {
		return in{"name": "expense", "version": "1.35", "roleArn": w.arn("clusterRole"), "upgradePolicy": in{"supportType": "STANDARD"},
			"vpcConfig": in{
				"subnetIds": []any{w.id("pub1"), w.id("pub2"), w.id("priv1"), w.id("priv2")}, "endpointPrivateAccess": true,
				"endpointPublicAccess": true, "publicAccessCidrs": []any{"203.0.113.0/24"},
			},
			"enabledClusterLogTypes": []any{"api", "audit"}, "encryptionConfig": in{
				"provider": in{"keyArn": w.arn("key")}, "resources": []any{"secrets"},
			},
			"accessConfig": in{"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": true}}
	}},
	{"oidc", tOIDC, func(w *world) in {
		return in{
			"url": w.outs["cluster"].objs("identities")[0].objs("oidcs")[0].str("issuer"), "clientIdLists": []any{"sts.amazonaws.com"},
		}
	}},
	{"admin", tAccessEntry, func(w *world) in {
		return in{"clusterName": w.id("cluster"), "principalArn": "arn:aws:iam::444455556666:role/admin"}
	}},
	{"adminPolicy", tAccessPolicy, func(w *world) in {
		return in{
			"clusterName": w.id("cluster"), "principalArn": "arn:aws:iam::444455556666:role/admin",
			"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", "accessScope": in{"type": "cluster"},
		}
	}},
	{"nodeRole", tRole, func(*world) in { return in{"assumeRolePolicy": trust("ec2.amazonaws.com", "sts:AssumeRole")} }},
	attach("worker", "nodeRole", "AmazonEKSWorkerNodePolicy"), attach("cni", "nodeRole", "AmazonEKS_CNI_Policy"),
	attach("ecr", "nodeRole", "AmazonEC2ContainerRegistryPullOnly"), attach("ssm", "nodeRole", "AmazonSSMManagedInstanceCore"),
	{"template", tTemplate, func(*world) in {
		return in{"namePrefix": "expense-", "metadataOptions": in{"httpTokens": "required", "httpPutResponseHopLimit": 1},
			"blockDeviceMappings": []any{in{
				"deviceName": "/dev/xvda", "ebs": in{"volumeType": "gp3", "volumeSize": 80, "encrypted": "true"},
			}}}
	}},
	addonStep("vpc-cni"), addonStep("kube-proxy"), addonStep("eks-pod-identity-agent"), addonStep("eks-node-monitoring-agent"),
	{"nodes", tNodeGroup, func(w *world) in {
		return in{"clusterName": w.id("cluster"), "nodeGroupNamePrefix": "expense-", "nodeRoleArn": w.arn("nodeRole"), "capacityType": "SPOT",
			"instanceTypes": []any{"m5.large"},
			"subnetIds":     []any{w.id("priv1"), w.id("priv2")}, "scalingConfig": in{"minSize": 1, "desiredSize": 3, "maxSize": 5},
			"labels":       in{"role": "general"},
			"updateConfig": in{"maxUnavailable": 1}, "launchTemplate": in{
				"id": w.id("template"), "version": fmt.Sprint(w.outs["template"].num("latestVersion")),
			}}
	}},
	addonStep("coredns"), addonStep("metrics-server"),
	{"csiRole", tRole, func(*world) in {
		return in{"assumeRolePolicy": trust("pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession")}
	}},
	attach("csiPolicy", "csiRole", "service-role/AmazonEBSCSIDriverPolicy"),
	{"csiIdentity", tPodIdentity, func(w *world) in {
		return in{
			"clusterName": w.id("cluster"), "namespace": "kube-system", "serviceAccount": "ebs-csi-controller-sa",
			"roleArn": w.arn("csiRole"),
		}
	}},
	addonStep("aws-ebs-csi-driver"),
	{"signIn", tSignIn, func(w *world) in {
		return in{"clusterName": w.id("cluster"), "oidc": in{
			"identityProviderConfigName": "oidc", "issuerUrl": "https://login.example.com", "clientId": "kubernetes",
			"groupsClaim": "groups", "groupsPrefix": "oidc:",
		}}
	}},
	{"writer", tRole, func(w *world) in {
		return in{"assumeRolePolicy": fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},`+
			`"Action":"sts:AssumeRoleWithWebIdentity"}]}`, w.arn("oidc"))}
	}},
	{"writerInline", tRolePolicy, func(w *world) in { return in{"role": w.id("writer"), "policy": anyPolicy} }},
	{"sg", tSG, func(w *world) in { return in{"vpcId": w.id("vpc"), "description": "search domain"} }},
	{"https", tIngress, func(w *world) in {
		return in{
			"securityGroupId": w.id("sg"), "referencedSecurityGroupId": w.outs["cluster"].str("vpcConfig.clusterSecurityGroupId"),
			"ipProtocol": "tcp", "fromPort": 443, "toPort": 443,
		}
	}},
	{"domainLogs", tLogGroup, func(*world) in { return in{"name": "/aws/opensearch/expense", "retentionInDays": 7} }},
	{"domainLogPolicy", tLogPolicy, func(w *world) in {
		return in{
			"policyName": "expense-search",
			"policyDocument": fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
				`"Principal":{"Service":"es.amazonaws.com"},"Action":["logs:PutLogEvents","logs:CreateLogStream"],`+
				`"Resource":"%s:*"}]}`, w.arn("domainLogs")),
		}
	}},
	{"domain", tDomain, func(w *world) in {
		return in{"domainName": "expense", "engineVersion": "OpenSearch_2.19", "clusterConfig": in{
			"instanceType": "t3.small.search", "instanceCount": 1,
		},
			"ebsOptions": in{"ebsEnabled": true, "volumeType": "gp3", "volumeSize": 10}, "encryptAtRest": in{"enabled": true},
			"nodeToNodeEncryption":  in{"enabled": true},
			"domainEndpointOptions": in{"enforceHttps": true, "tlsSecurityPolicy": "Policy-Min-TLS-1-2-PFS-2023-10"},
			"vpcOptions":            in{"subnetIds": []any{w.id("priv1")}, "securityGroupIds": []any{w.id("sg")}},
			"logPublishingOptions":  []any{in{"logType": "ES_APPLICATION_LOGS", "cloudwatchLogGroupArn": w.arn("domainLogs")}}}
	}},
	{"domainPolicy", tDomainPolicy, func(w *world) in {
		return in{
			"domainName": "expense",
			"accessPolicies": fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},`+
				`"Action":"es:ESHttpPost","Resource":"arn:aws:es:us-east-1:111122223333:domain/expense/*"}]}`, w.arn("writer")),
		}
	}},
	{"topic", tTopic, func(*world) in { return in{} }},
	{"topicPolicy", tTopicPolicy, func(w *world) in {
		return in{
			"arn": w.arn("topic"),
			"policy": fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",`+
				`"Principal":{"Service":"cloudwatch.amazonaws.com"},"Action":"sns:Publish","Resource":%q}}`, w.arn("topic")),
		}
	}},
	{"mail", tSubscription, func(w *world) in {
		return in{"topic": w.arn("topic"), "protocol": "email", "endpoint": "ops@example.com"}
	}},
	{"alarm", tAlarm, func(w *world) in {
		return in{
			"comparisonOperator": "LessThanThreshold", "evaluationPeriods": 1, "metricName": "FreeStorageSpace", "namespace": "AWS/ES",
			"period": 60, "statistic": "Minimum", "threshold": 2048, "alarmActions": []any{w.arn("topic")},
		}
	}},
}

// build makes the stack. A change edits one step's inputs; a nil change leaves the step out. It ends at the first error
// and names its step.
func (w *world) build(changes edits) (failedAt string, err error) {
	for _, s := range steps {
		change, changed := changes[s.name]
		if changed && change == nil {
			continue
		}
		inputs := s.inputs(w)
		if changed {
			change(w, inputs)
		}
		if err := w.make(s, inputs); err != nil {
			return s.name, err
		}
	}
	return "", nil
}

// until builds the stack up to a step, which is left out.
func until(t *testing.T, opts Options, name string) (*world, step) {
	t.Helper()
	w := newWorld(opts)
	for _, s := range steps {
		if s.name == name {
			return w, s
		}
		require.NoError(t, w.make(s, s.inputs(w)), s.name)
	}
	t.Fatalf("no step %s", name)
	return nil, step{}
}

func whole(t *testing.T, opts Options) *world {
	t.Helper()
	w := newWorld(opts)
	at, err := w.build(nil)
	require.NoError(t, err, at)
	return w
}

// destroy removes everything in reverse order; a second one goes on where the first stopped.
func (w *world) destroy() error {
	for i, s := range slices.Backward(w.done) {
		if err := w.m.Delete(context.Background(), s.typ, w.ids[s.name]); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		w.done = w.done[:i]
	}
	return nil
}
