package tests

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything is the program's resources in every shape that the settings give it.
func everything(t *testing.T) map[string][]registered {
	out := map[string][]registered{}
	add := func(name, stack string, edits map[string]any) {
		settings := stackFile(t, stack)
		for path, value := range edits {
			set(t, settings, path, value)
		}
		all, err := run(t, stack, settings)
		require.NoError(t, err, name)
		require.NotEmpty(t, all, name)
		out[name] = all
	}
	add("dev", "dev", nil)
	add("prod", "prod", nil)
	add("public", "prod", map[string]any{"expense:workloads.web.public": true, "expense:tags.team": "shop"})
	add("dashboards", "dev", map[string]any{"expense:logging.dashboards.enabled": true})
	add("alarms", "prod", map[string]any{"expense:logging.alarms.email": "ops@example.com"})
	add("people", "dev", map[string]any{
		"expense:cluster.admins":  []string{"arn:aws:iam::111122223333:role/Admin"},
		"expense:cluster.readers": []string{"arn:aws:iam::111122223333:role/Reader"},
		"expense:cluster.identityProvider": map[string]any{
			"issuerUrl": "https://login.example.com", "clientId": "kubernetes", "groupsClaim": "groups",
			"requiredClaims": map[string]string{"tenant": "a"}, "admins": []string{"platform"}, "readers": []string{"developers", "auditors"},
		},
	})
	add("private", "dev", withoutNAT("us-east-1"))
	all, err := run(t, "dev", withApps(t, ofEachKind()))
	require.NoError(t, err)
	out["apps"] = all
	add("registry", "dev", ownRegistry())
	return out
}

// ownRegistry are the settings of a stack with repositories and caches.
func ownRegistry() map[string]any {
	return map[string]any{"expense:cluster.registry": map[string]any{
		"repositories": []string{"worker", "backend"}, "keepImages": 20, "cache": true,
		"dockerHubSecretArn": "arn:aws:secretsmanager:us-east-1:" + account + ":secret:ecr-pullthroughcache/hub-0123ab",
	}}
}

// withoutNAT are the settings of a network that reaches AWS through endpoints only.
func withoutNAT(region string) map[string]any {
	registry := account + ".dkr.ecr." + region + ".amazonaws.com/"
	return map[string]any{
		"expense:network.nat": "none", "expense:workloads.images.nginx": registry + "nginx:1",
		"expense:workloads.images.alma": registry + "alma:9",
		"expense:logging.image":         registry + "fluentd:1", "expense:cluster.autoscaler.image": registry + "autoscaler:v1.35.0",
	}
}

// sweep runs a check over every resource that it applies to. It fails if there is none.
func sweep(t *testing.T, applies func(registered) bool, check func(t *testing.T, shape string, r registered)) {
	t.Parallel()
	visited := 0
	for shape, all := range everything(t) {
		for _, r := range all {
			if applies(r) {
				check(t, shape, r)
				visited++
			}
		}
	}
	assert.Positive(t, visited, "the sweep visited nothing")
	t.Logf("visited %d resources", visited)
}

func every(registered) bool { return true }

func ofType(types ...string) func(registered) bool {
	return func(r registered) bool { return slices.Contains(types, r.Type) }
}

func onAWS(r registered) bool { return strings.HasPrefix(r.Type, "aws:") }

func inKubernetes(r registered) bool { return strings.HasPrefix(r.Type, "kubernetes:") }

// Mocks accept two resources of one name; the engine does not.
func TestEveryResourceHasANameOfItsOwn(t *testing.T) {
	seen := map[string]int{}
	sweep(t, every, func(t *testing.T, shape string, r registered) { seen[shape+" "+r.Parent+" "+r.String()]++ })
	for name, count := range seen {
		assert.Equal(t, 1, count, name)
	}
}

// A reader finds resources in the tree by their components. Only the providers and the storage class have none.
func TestEveryResourceHasAComponent(t *testing.T) {
	alone := []string{"pulumi:providers:aws", "pulumi:providers:eks", "pulumi:providers:kubernetes",
		"kubernetes:storage.k8s.io/v1:StorageClass"}
	sweep(t, func(r registered) bool { return r.Custom && !slices.Contains(alone, r.Type) }, func(t *testing.T, _ string, r registered) {
		assert.Contains(t, r.Parent, "::expense:", r)
	})
}

// Default providers would ask the environment which account and cluster to change.
func TestEveryResourceHasAnExplicitProvider(t *testing.T) {
	sweep(t, func(r registered) bool { return onAWS(r) || inKubernetes(r) || r.Remote }, func(t *testing.T, _ string, r registered) {
		want := "pulumi:providers:aws::expense"
		if inKubernetes(r) {
			want = "pulumi:providers:kubernetes::expense"
		}
		if r.Remote {
			want = "pulumi:providers:eks::expense"
		}
		assert.Contains(t, r.Provider, want, r)
	})
}

// The provider tags everything; what EC2 makes from a launch template it does not reach.
func TestEverythingIsTagged(t *testing.T) {
	sweep(t, ofType("pulumi:providers:aws"), func(t *testing.T, shape string, r registered) {
		tags := r.Inputs["defaultTags"]
		if text, ok := tags.(string); ok { // providers take their settings as JSON text
			require.NoError(t, json.Unmarshal([]byte(text), &tags))
		}
		assert.Equal(t, "expense", at(tags, "tags.pulumi:project"), shape)
		assert.NotEmpty(t, at(tags, "tags.pulumi:stack"), shape)
	})
}

func TestWhatTheLaunchTemplateMakesIsTagged(t *testing.T) {
	sweep(t, ofType("aws:ec2/launchTemplate:LaunchTemplate"), func(t *testing.T, _ string, r registered) {
		var kinds []string
		for _, spec := range list(r.Inputs["tagSpecifications"]) {
			kinds = append(kinds, fmt.Sprint(spec["resourceType"]))
			assert.Equal(t, "expense", at(spec, "tags.pulumi:project"), r)
		}
		assert.ElementsMatch(t, []string{"instance", "volume", "network-interface"}, kinds, r)
	})
}

// 0.0.0.0/0 is a destination of routes and, only where the settings say so, a source of web traffic.
func TestNothingIsOpenToTheWorldUnasked(t *testing.T) {
	sweep(t, every, func(t *testing.T, shape string, r registered) {
		text, err := json.Marshal(r.Inputs)
		require.NoError(t, err)
		if !strings.Contains(string(text), "0.0.0.0/0") && !strings.Contains(string(text), "::/0") {
			return
		}
		asked := shape == "public" && slices.Contains([]string{"web-public", "web-public-plain"}, r.Name) ||
			shape == "apps" && slices.Contains([]string{"plain-public", "plain-public-plain", "shop-outbound"}, r.Name)
		assert.True(t, asked || r.Type == "aws:ec2/route:Route", "%s: %s: %s", shape, r, text)
	})
}

func TestSubnetsHandOutNoPublicAddresses(t *testing.T) {
	sweep(t, ofType("aws:ec2/subnet:Subnet"), func(t *testing.T, _ string, r registered) {
		assert.Nil(t, r.Inputs["mapPublicIpOnLaunch"], r)
		_, err := netip.ParsePrefix(fmt.Sprint(r.Inputs["cidrBlock"]))
		assert.NoError(t, err, r)
	})
}

// policies are the policy documents in a resource's inputs.
func policies(r registered) map[string]string {
	out := map[string]string{}
	for _, key := range []string{"assumeRolePolicy", "policy", "policyDocument", "accessPolicies"} {
		// A lifecycle policy is ECR's, not IAM's.
		if text, ok := r.Inputs[key].(string); ok && r.Type != "aws:ecr/lifecyclePolicy:LifecyclePolicy" {
			out[key] = text
		}
	}
	return out
}

// Exact actions and resources. A resource * is only for actions that know no resources, which read.
func TestPoliciesAllowExactlyWhatTheyName(t *testing.T) {
	sweep(t, func(r registered) bool { return len(policies(r)) > 0 }, func(t *testing.T, _ string, r registered) {
		for key, text := range policies(r) {
			var doc struct {
				Version   string
				Statement []struct {
					Sid, Effect string
					Principal   any
					Action      []string
					Resource    []string
					Condition   map[string]map[string]string
				}
			}
			require.NoError(t, json.Unmarshal([]byte(text), &doc), "%s %s", r, key)
			assert.Equal(t, "2012-10-17", doc.Version)
			assert.NotEmpty(t, doc.Statement)
			sids := map[string]bool{}
			for _, s := range doc.Statement {
				assert.Regexp(t, `^[A-Za-z0-9]+$`, s.Sid, r)
				assert.False(t, sids[s.Sid], "%s: two statements %s", r, s.Sid)
				sids[s.Sid] = true
				if r.Type == "aws:ec2/vpcEndpoint:VpcEndpoint" {
					// It gives nobody a right, so it may speak of everything that only the account's own do.
					own := s.Condition["StringEquals"]["aws:PrincipalAccount"] == account || s.Condition["StringEquals"]["aws:ResourceAccount"] == account
					assert.NotEqual(t, own, slices.ContainsFunc(s.Resource, func(r string) bool { return r != "*" }), "%s: %s", r, s.Sid)
					continue
				}
				for _, action := range s.Action {
					assert.NotContains(t, action, "*", r)
					if slices.Contains(s.Resource, "*") {
						assert.Regexp(t, `:(Describe|Get|List)`, action, "%s: %s on every resource", r, action)
					}
				}
				assert.NotContains(t, fmt.Sprint(s.Principal), "*", r)
			}
		}
	})
}

// Managed policies and principals must work in every partition, so their ARNs are computed.
func TestTheSourceNamesNoPartition(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, file := range sources(t) {
		checked++
		for i, line := range strings.Split(file.text, "\n") {
			code, _, _ := strings.Cut(line, "//")
			if strings.Contains(code, "such as arn:") {
				continue // an error message's example
			}
			if regexp.MustCompile(`arn:aws[:-]`).MatchString(code) {
				assert.Fail(t, "a partition in the source", "%s:%d: %s", file.name, i+1, line)
			}
		}
	}
	assert.Greater(t, checked, 15)
}

func TestWhatHoldsDataIsEncrypted(t *testing.T) {
	encrypted := map[string]func(t *testing.T, r registered){
		"aws:opensearch/domain:Domain": func(t *testing.T, r registered) {
			assert.Equal(t, true, at(r.Inputs, "encryptAtRest.enabled"))
			assert.Equal(t, true, at(r.Inputs, "nodeToNodeEncryption.enabled"))
			assert.Equal(t, true, at(r.Inputs, "domainEndpointOptions.enforceHttps"))
			assert.Equal(t, "Policy-Min-TLS-1-2-PFS-2023-10", at(r.Inputs, "domainEndpointOptions.tlsSecurityPolicy"))
		},
		"aws:ec2/launchTemplate:LaunchTemplate": func(t *testing.T, r registered) {
			devices := list(r.Inputs["blockDeviceMappings"])
			require.Len(t, devices, 1)
			assert.Equal(t, "true", at(devices[0], "ebs.encrypted"))
			assert.Equal(t, "gp3", at(devices[0], "ebs.volumeType"))
		},
		"kubernetes:storage.k8s.io/v1:StorageClass": func(t *testing.T, r registered) {
			assert.Equal(t, "true", at(r.Inputs, "parameters.encrypted"))
			assert.Equal(t, "WaitForFirstConsumer", r.Inputs["volumeBindingMode"])
		},
		"aws:ecr/repository:Repository": func(t *testing.T, r registered) {
			assert.Equal(t, "AES256", at(list(r.Inputs["encryptionConfigurations"])[0], "encryptionType"))
		},
		"aws:kms/key:Key": func(t *testing.T, r registered) { assert.Equal(t, true, r.Inputs["enableKeyRotation"]) },
		"eks:index:Cluster": func(t *testing.T, r registered) {
			assert.NotEmpty(t, r.Inputs["encryptionConfigKeyArn"])
		},
	}
	visited := map[string]bool{}
	sweep(t, func(r registered) bool { return encrypted[r.Type] != nil }, func(t *testing.T, _ string, r registered) {
		encrypted[r.Type](t, r)
		visited[r.Type] = true
	})
	assert.Len(t, visited, len(encrypted))
}

// A pod may not use its node's role, and instances answer only to requests that carry a token.
func TestInstancesKeepTheirMetadata(t *testing.T) {
	sweep(t, ofType("aws:ec2/launchTemplate:LaunchTemplate"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, "required", at(r.Inputs, "metadataOptions.httpTokens"))
		assert.EqualValues(t, 1, at(r.Inputs, "metadataOptions.httpPutResponseHopLimit"))
	})
}

func TestTheControlPlaneIsPrivateLoggedAndOurs(t *testing.T) {
	sweep(t, ofType("eks:index:Cluster"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, true, r.Inputs["endpointPrivateAccess"])
		assert.Equal(t, "API", r.Inputs["authenticationMode"])
		assert.Len(t, r.Inputs["enabledClusterLogTypes"], 5)
		assert.Equal(t, []any{"203.0.113.7/32"}, r.Inputs["publicAccessCidrs"])
		for _, off := range []string{"skipDefaultNodeGroup", "skipDefaultSecurityGroups", "useDefaultVpcCni"} {
			assert.Equal(t, true, r.Inputs[off], off)
		}
		// Set, it would wait for nodes that wait for it.
		assert.Nil(t, r.Inputs["corednsAddonOptions"])
	})
}

// podSpecs are the pods' specs in a resource.
func podSpec(r registered) any {
	switch r.Type {
	case "kubernetes:core/v1:Pod":
		return r.Inputs["spec"]
	case "kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:Job":
		return at(r.Inputs, "spec.template.spec")
	}
	return nil
}

func runsPods(r registered) bool { return podSpec(r) != nil }

// Pod Security's level restricted (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and what goes
// beyond it: bounded memory, a root file system that cannot be written, probes, images of a version.
func TestEveryPodIsRestrictedAndBounded(t *testing.T) {
	containers := 0
	sweep(t, runsPods, func(t *testing.T, shape string, r registered) {
		spec := podSpec(r)
		assert.Equal(t, true, at(spec, "securityContext.runAsNonRoot"), r)
		assert.Equal(t, "RuntimeDefault", at(spec, "securityContext.seccompProfile.type"), r)
		assert.NotEmpty(t, at(spec, "securityContext.runAsUser"), r)
		if r.Name != "expense-autoscaler" {
			assert.Equal(t, false, at(spec, "automountServiceAccountToken"), r)
		}
		for _, name := range []string{"hostNetwork", "hostPID", "hostIPC"} {
			assert.Nil(t, at(spec, name), r)
		}
		for _, volume := range list(at(spec, "volumes")) {
			assert.Nil(t, volume["hostPath"], r)
		}
		for _, init := range list(at(spec, "initContainers")) {
			containers++
			bounded(t, r, init)
		}
		for _, container := range list(at(spec, "containers")) {
			containers++
			bounded(t, r, container)
			if r.Type != "kubernetes:batch/v1:Job" { // what ends by itself has a deadline instead
				if r.Name == "worker" {
					continue // of an app without a port nobody knows what to ask
				}
				assert.NotNil(t, container["livenessProbe"], "%s %s", r, container["name"])
			} else {
				assert.NotNil(t, at(r.Inputs, "spec.activeDeadlineSeconds"), r)
			}
		}
	})
	assert.GreaterOrEqual(t, containers, 5*10)
}

func bounded(t *testing.T, r registered, container map[string]any) {
	label := fmt.Sprintf("%s: container %s", r, container["name"])
	assert.Equal(t, false, at(container, "securityContext.allowPrivilegeEscalation"), label)
	assert.Equal(t, true, at(container, "securityContext.readOnlyRootFilesystem"), label)
	assert.Equal(t, []any{"ALL"}, at(container, "securityContext.capabilities.drop"), label)
	assert.NotEmpty(t, at(container, "resources.requests.cpu"), label)
	assert.NotEmpty(t, at(container, "resources.requests.memory"), label)
	assert.NotEmpty(t, at(container, "resources.limits.memory"), label)
	assert.Regexp(t, `^[^:@]+(/[^:@]+)*(:[^:@/]*[0-9][^:@/]*|@sha256:[0-9a-f]{64})$`, container["image"], label)
}

// Each container writes to its folder of the log volume, and only the sidecar sees the token.
func TestEveryWorkloadShipsItsLogs(t *testing.T) {
	sweep(t, func(r registered) bool {
		alone := []string{"expense-autoscaler", "dashboards", "expense-log-setup", "plain"} // the last is an app that says so
		return runsPods(r) && !slices.Contains(alone, r.Name) && r.String() != "kubernetes:batch/v1:Job shop"
	}, func(t *testing.T, _ string, r registered) {
		spec := podSpec(r)
		mounts := func(container map[string]any) map[string]string {
			out := map[string]string{}
			for _, mount := range list(container["volumeMounts"]) {
				out[fmt.Sprint(mount["name"])] = fmt.Sprint(mount["mountPath"])
			}
			return out
		}
		var sidecar, files map[string]any
		for _, init := range list(at(spec, "initContainers")) {
			switch init["name"] {
			case "fluentd":
				sidecar = init
			case "log-files":
				files = init
			}
		}
		require.NotNil(t, sidecar, r)
		require.NotNil(t, files, r)
		assert.Equal(t, "Always", sidecar["restartPolicy"], r)
		assert.Contains(t, mounts(sidecar), "fluentd-token", r)
		writers := 0
		for _, container := range list(at(spec, "containers")) {
			assert.NotContains(t, mounts(container), "fluentd-token", r)
			for _, mount := range list(container["volumeMounts"]) {
				if mount["name"] == "logs" {
					assert.Equal(t, container["name"], mount["subPath"], "%s: a folder of its own", r)
					assert.Contains(t, fmt.Sprint(files["command"]), fmt.Sprintf(" %s/", mount["subPath"]), "%s: which is there before it", r)
					writers++
				}
			}
		}
		assert.Len(t, list(at(spec, "containers")), writers, "%s: every container is heard", r)
		grace, _ := at(spec, "terminationGracePeriodSeconds").(float64)
		assert.GreaterOrEqual(t, grace, 90.0, r)
		for _, volume := range list(at(spec, "volumes")) {
			if volume["emptyDir"] != nil {
				assert.NotEmpty(t, at(volume, "emptyDir.sizeLimit"), "%s %s", r, volume["name"])
			}
		}
	})
}

// A secret in plain text would be in the state file and in previews.
func TestTheSecretIsSecretWhereverItGoes(t *testing.T) {
	holders := map[string]int{}
	sweep(t, every, func(t *testing.T, shape string, r registered) {
		text, err := json.Marshal(r.Inputs)
		require.NoError(t, err)
		holders[shape] += 0
		if strings.Contains(string(text), appSecret) {
			assert.Equal(t, "kubernetes:core/v1:Secret shop", r.String())
			assert.Contains(t, r.Secrets, "stringData", r)
		}
		if strings.Contains(string(text), apiToken) {
			holders[shape]++
			assert.Equal(t, "kubernetes:core/v1:Secret", r.Type)
			assert.Contains(t, r.Secrets, "stringData", r)
		}
	})
	for shape, count := range holders {
		assert.Equal(t, 1, count, "Secrets in shape %s", shape)
	}
}

// The VPC CNI's network policies match a Service only where its port is its container's. A load balancer may have others beside
// it, which lead to the same containers.
func TestServicesHaveTheContainersPort(t *testing.T) {
	containers := map[string]map[string]any{} // by shape and selector: the ports by name
	selected := func(shape string, labels any) string { return fmt.Sprint(shape, " ", labels) }
	var services []func()
	sweep(t, ofType("kubernetes:core/v1:Service", "kubernetes:apps/v1:Deployment"), func(t *testing.T, shape string, r registered) {
		if runsPods(r) {
			ports := map[string]any{}
			for _, container := range list(at(podSpec(r), "containers")) {
				for _, port := range list(container["ports"]) {
					ports[fmt.Sprint(port["name"])] = port["containerPort"]
				}
			}
			containers[selected(shape, at(r.Inputs, "spec.template.metadata.labels"))] = ports
			return
		}
		services = append(services, func() {
			ports, found := containers[selected(shape, at(r.Inputs, "spec.selector"))]
			require.True(t, found, "%s: %s selects no pods", shape, r)
			public, same := at(r.Inputs, "spec.type") == "LoadBalancer", 0
			if shape != "apps" {
				assert.Equal(t, r.Name == "web-public-plain" && shape == "public", public, "%s: %s", shape, r)
			}
			for _, port := range list(at(r.Inputs, "spec.ports")) {
				number, known := ports[fmt.Sprint(port["targetPort"])]
				assert.True(t, known, "%s: %s: no container has the port %v", shape, r, port["targetPort"])
				if number == port["port"] {
					same++
				} else {
					assert.True(t, public, "%s: %s: port %v is the container's %v", shape, r, port["port"], number)
				}
			}
			if !public { // a load balancer has a Service of its own
				assert.Equal(t, len(ports), same, "%s: %s: each port of the containers", shape, r)
			}
		})
	})
	for _, check := range services {
		check()
	}
	assert.NotEmpty(t, services)
}

// Out of their namespace, pods reach names, the pod identity agent, and HTTPS in the private subnets, where the domain and STS are.
// HTTPS and the agent are only for pods with credentials of AWS, which all of today's have.
func TestPodsReachAWSInThePrivateSubnetsOnly(t *testing.T) {
	const openings, subnets = "kubernetes:networking.k8s.io/v1:NetworkPolicy", "aws:ec2/subnet:Subnet"
	// By shape, the last three by namespace too.
	private, public := map[string][]any{}, map[string][]any{}
	open, signed, pods := map[string][]any{}, map[string][]any{}, map[string][]any{}
	var checks []func()
	sweep(t, func(r registered) bool { return runsPods(r) || r.Type == openings || r.Type == subnets },
		func(t *testing.T, shape string, r registered) {
			namespace := fmt.Sprint(shape, " ", at(r.Inputs, "metadata.namespace"))
			switch {
			case r.Type == subnets && strings.Contains(r.Name, "-private-"):
				private[shape] = append(private[shape], r.Inputs["cidrBlock"])
			case r.Type == subnets:
				public[shape] = append(public[shape], r.Inputs["cidrBlock"])
			case runsPods(r) && at(r.Inputs, "metadata.namespace") != "kube-system":
				pods[namespace] = append(pods[namespace], at(r.Inputs, "metadata.labels").(map[string]any)["app.kubernetes.io/name"])
			}
			if r.Type != openings || strings.HasSuffix(r.Name, "-outbound") { // an app's own way out: TestAnAppIsOpenOnlyToWhomItNames
				return
			}
			var chosen []any
			for _, expression := range list(at(r.Inputs, "spec.podSelector.matchExpressions")) {
				assert.Equal(t, "In", expression["operator"], r)
				chosen = append(chosen, expression["values"].([]any)...)
			}
			if name, one := at(r.Inputs, "spec.podSelector.matchLabels").(map[string]any); one {
				chosen = append(chosen, name["app.kubernetes.io/name"])
			}
			for _, rule := range list(at(r.Inputs, "spec.egress")) {
				var ports, ranges []any
				for _, port := range list(rule["ports"]) {
					ports = append(ports, port["port"])
				}
				for _, to := range list(rule["to"]) {
					if cidr := at(to, "ipBlock.cidr"); cidr != nil {
						ranges = append(ranges, cidr)
					}
				}
				require.NotEmpty(t, ports, "%s: %s: all ports", shape, r)
				require.NotEmpty(t, list(rule["to"]), "%s: %s: to everywhere", shape, r)
				if len(ranges) == 0 { // names, and neighbours
					continue
				}
				require.NotEmpty(t, chosen, "%s: %s: for all pods", shape, r)
				if len(ranges) == 1 && ranges[0] == "169.254.170.23/32" {
					assert.Equal(t, []any{80.0}, ports, r)
					signed[namespace] = append(signed[namespace], chosen...)
					continue
				}
				assert.Equal(t, []any{443.0}, ports, "%s: %s", shape, r)
				open[namespace] = append(open[namespace], chosen...)
				checks = append(checks, func() {
					assert.Subset(t, ranges, private[shape], "%s: %s", shape, r)
					for _, cidr := range public[shape] {
						assert.NotContains(t, ranges, cidr, "%s: %s", shape, r)
					}
				})
			}
		})
	for _, check := range checks {
		check()
	}
	assert.NotEmpty(t, checks)
	assert.NotEmpty(t, signed)
	for namespace, names := range pods {
		names = slices.DeleteFunc(names, func(name any) bool { return name == "plain" }) // the app that ships no logs
		assert.Subset(t, open[namespace], names, namespace)
	}
	for namespace, names := range signed {
		want := []any{"log-setup"}
		if namespace == "apps project" {
			want = []any{"shop"} // the app with a role
		}
		assert.Equal(t, want, names, namespace)
	}
}

// Two groups of one name cannot exist side by side: with a fixed one the provider deletes the old group first. What the
// engine then does is shown by the rehearsal's previews.
func TestANodeGroupsSuccessorCanComeUpBesideIt(t *testing.T) {
	sweep(t, ofType("aws:eks/nodeGroup:NodeGroup"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, r.Name+"-", r.Inputs["nodeGroupNamePrefix"], r)
		assert.NotContains(t, r.Inputs, "nodeGroupName", r)
	})
}

// Names that AWS limits, at the limits (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and the
// services' API references): Pulumi appends eight characters to a logical name that becomes a physical one.
func TestNamesFitTheirLimits(t *testing.T) {
	limits := map[string]int{
		"aws:iam/role:Role": 64 - 8, "aws:ec2/launchTemplate:LaunchTemplate": 128 - 8, "aws:ec2/securityGroup:SecurityGroup": 255 - 8,
		"aws:iam/rolePolicy:RolePolicy": 128 - 8,
	}
	sweep(t, func(r registered) bool { return limits[r.Type] > 0 }, func(t *testing.T, _ string, r registered) {
		assert.LessOrEqual(t, len(r.Name), limits[r.Type], r)
	})
}
