package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// before are the resources that are there before one and go after it, as registered.String has them.
func before(all []registered, r registered) map[string]bool {
	byName := map[string]registered{}
	for _, other := range all {
		byName[other.String()] = other
	}
	out := map[string]bool{}
	var add func(registered)
	add = func(r registered) {
		for _, urn := range r.DependsOn {
			parts := strings.Split(urn, "::")
			types := strings.Split(parts[2], "$")
			if name := types[len(types)-1] + " " + parts[3]; !out[name] {
				out[name] = true
				add(byName[name])
			}
		}
	}
	add(r)
	return out
}

// What bounds a namespace is there before its pods and claims, and so are the rights of a pod.
func TestPodsWaitForTheirBoundsAndTheirRights(t *testing.T) {
	t.Parallel()
	bounds := []string{
		"kubernetes:core/v1:LimitRange", "kubernetes:core/v1:ResourceQuota", "kubernetes:networking.k8s.io/v1:NetworkPolicy",
	}
	rights := []string{
		"aws:eks/podIdentityAssociation:PodIdentityAssociation", "aws:iam/rolePolicy:RolePolicy", "kubernetes:core/v1:ConfigMap",
		"kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
		"kubernetes:rbac.authorization.k8s.io/v1:Role", "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
	}
	for shape, all := range everything(t) {
		checked := map[string]bool{}
		for _, r := range all {
			if !runsPods(r) && r.Type != "kubernetes:core/v1:PersistentVolumeClaim" {
				continue
			}
			first := before(all, r)
			for _, other := range all {
				bounds := slices.Contains(bounds, other.Type) && at(other.Inputs, "metadata.namespace") == at(r.Inputs, "metadata.namespace") &&
					(other.Parent == r.Parent || strings.Contains(other.Parent, "expense:workloads:Namespace")) // another app's is none of them
				rights := runsPods(r) && slices.Contains(rights, other.Type) && other.Parent == r.Parent
				if bounds || rights {
					assert.True(t, first[other.String()], "%s: %s does not wait for %s", shape, r, other)
					checked[other.Type] = true
				}
			}
			if _, signs := variables(t, r)["AWS_ROLE_ARN"]; signs {
				assert.True(t, first["aws:opensearch/domainPolicy:DomainPolicy expense-log"], "%s: %s is refused by the domain", shape, r)
			}
		}
		assert.ElementsMatch(t, slices.Concat(bounds, rights), slices.Collect(maps.Keys(checked)), shape)
	}
}

// variables are the environment of all containers of a resource's pods, one name having one value.
func variables(t *testing.T, r registered) map[string]any {
	out := map[string]any{}
	for _, key := range []string{"initContainers", "containers"} {
		for _, container := range list(at(podSpec(r), key)) {
			for _, variable := range list(container["env"]) {
				name := fmt.Sprint(variable["name"])
				if was, twice := out[name]; twice && strings.HasPrefix(name, "AWS_") {
					assert.Equal(t, was, variable["value"], "%s: %s", r, name)
				}
				out[name] = variable["value"]
			}
		}
	}
	return out
}

// addonAccounts are the service accounts of add-ons that have a role, constants of theirs:
// https://docs.aws.amazon.com/eks/latest/userguide/cni-iam-role.html and https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html.
var addonAccounts = map[string]string{"vpc-cni": "aws-node", "aws-ebs-csi-driver": "ebs-csi-controller-sa"}

// A role's trust names the pods that get the role. Where the two differ, IAM refuses them.
func TestARoleTrustsThePodsThatGetIt(t *testing.T) {
	t.Parallel()
	for shape, all := range everything(t) {
		cluster := one(t, all, "eks:index:Cluster", "expense").Inputs["name"]
		trust := map[string]map[string]any{} // the conditions, by the role's ARN
		patterns := map[string]string{}      // of service accounts, by the role's ARN and the issuer
		for _, r := range of(all, "aws:iam/role:Role") {
			var doc struct {
				Statement []struct {
					Condition struct {
						StringEquals map[string]any
						StringLike   map[string]string
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(r.Inputs["assumeRolePolicy"].(string)), &doc))
			arn := "arn:aws:iam::" + account + ":role/" + r.ID
			trust[arn] = doc.Statement[0].Condition.StringEquals
			for _, s := range doc.Statement[1:] {
				for key, pattern := range s.Condition.StringLike {
					issuer := strings.TrimSuffix(key, ":sub")
					assert.Equal(t, map[string]any{issuer + ":aud": "sts.amazonaws.com"}, s.Condition.StringEquals, r)
					patterns[arn+" "+issuer] = pattern
				}
			}
		}
		associated := func(about fmt.Stringer, role any, namespace, serviceAccount any) {
			assert.Equal(t, map[string]any{
				"aws:RequestTag/eks-cluster-name": cluster, "aws:RequestTag/kubernetes-namespace": namespace,
				"aws:RequestTag/kubernetes-service-account": serviceAccount,
			}, trust[fmt.Sprint(role)], "%s: %s", shape, about)
		}
		accounts := map[string]bool{} // namespace and name of those that pods run as
		for _, r := range all {
			if !runsPods(r) {
				continue
			}
			name := fmt.Sprint(at(r.Inputs, "metadata.namespace"), ":", at(podSpec(r), "serviceAccountName"))
			accounts[name] = true
			if role, signs := variables(t, r)["AWS_ROLE_ARN"]; signs {
				provider := one(t, all, "aws:iam/openIdConnectProvider:OpenIdConnectProvider", "expense")
				issuer := strings.TrimPrefix(provider.Inputs["url"].(string), "https://")
				if pattern, found := patterns[fmt.Sprint(role, " ", issuer)]; found && strings.Contains(name, ":app-") {
					matches, err := path.Match(pattern, "system:serviceaccount:"+name)
					assert.True(t, err == nil && matches, "%s: %s: %s", shape, r, pattern)
					continue
				}
				assert.Equal(t, map[string]any{issuer + ":aud": "sts.amazonaws.com", issuer + ":sub": "system:serviceaccount:" + name},
					trust[fmt.Sprint(role)], "%s: %s", shape, r)
			}
		}
		for _, r := range of(all, "kubernetes:core/v1:ServiceAccount") {
			name := fmt.Sprint(at(r.Inputs, "metadata.namespace"), ":", at(r.Inputs, "metadata.name"))
			assert.True(t, accounts[name], "%s: no pod runs as %s", shape, name)
			delete(accounts, name)
		}
		assert.Empty(t, accounts, "%s: accounts that are not made", shape)
		for _, r := range of(all, "aws:eks/podIdentityAssociation:PodIdentityAssociation") {
			assert.Equal(t, cluster, r.Inputs["clusterName"], r)
			associated(r, r.Inputs["roleArn"], r.Inputs["namespace"], r.Inputs["serviceAccount"])
		}
		roles := map[string]string{}
		for _, r := range of(all, "aws:eks/addon:Addon") {
			assert.Equal(t, cluster, r.Inputs["clusterName"], r)
			for _, association := range list(r.Inputs["podIdentityAssociations"]) {
				roles[fmt.Sprint(r.Inputs["addonName"])] = fmt.Sprint(association["serviceAccount"])
				associated(r, association["roleArn"], "kube-system", association["serviceAccount"])
			}
		}
		assert.Equal(t, addonAccounts, roles, shape)
	}
}

// EKS starts a cluster with unmanaged copies of some add-ons, and refuses to take them over or to change them unless it is told.
func TestAddonsTakeOverWhatIsThere(t *testing.T) {
	sweep(t, ofType("aws:eks/addon:Addon"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, []any{"OVERWRITE", "OVERWRITE"}, []any{r.Inputs["resolveConflictsOnCreate"], r.Inputs["resolveConflictsOnUpdate"]}, r)
	})
}

// Others find an object by its name. Only what is mounted or read by reference may leave it to the provider, and has to, if it is
// immutable: a new content is a new object.
func TestEveryObjectHasAName(t *testing.T) {
	everywhere := []string{
		"kubernetes:core/v1:Namespace", "kubernetes:storage.k8s.io/v1:StorageClass", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
		"kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
	}
	sweep(t, inKubernetes, func(t *testing.T, shape string, r registered) {
		name, named := at(r.Inputs, "metadata.name").(string)
		switch {
		case r.Inputs["immutable"] == true:
			assert.True(t, !named || regexp.MustCompile(`-[0-9a-f]{8}$`).MatchString(name), "%s: %s: name %s", shape, r, name)
		default:
			assert.NotEmpty(t, name, "%s: %s", shape, r)
		}
		assert.Equal(t, slices.Contains(everywhere, r.Type), at(r.Inputs, "metadata.namespace") == nil, "%s: %s", shape, r)
	})
}

// A claim that names no class gets it, a volume can grow, and none stays when its claim goes.
func TestTheClassOfVolumesIsTheDefault(t *testing.T) {
	sweep(t, ofType("kubernetes:storage.k8s.io/v1:StorageClass"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, "true", at(r.Inputs, "metadata.annotations").(map[string]any)["storageclass.kubernetes.io/is-default-class"])
		assert.Equal(t, []any{"gp3", "ebs.csi.aws.com", "Delete", true}, []any{
			at(r.Inputs, "metadata.name"), r.Inputs["provisioner"], r.Inputs["reclaimPolicy"], r.Inputs["allowVolumeExpansion"],
		})
	})
}

// A change of a type's name is a change of all URNs below it, which replaces what they are of.
func TestTheTypesOfComponentsStay(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, all := range everything(t) {
		for _, r := range all {
			if strings.HasPrefix(r.Type, "expense:") {
				found[r.Type] = true
			}
		}
	}
	assert.Equal(t, []string{
		"expense:cluster:Addons", "expense:cluster:Autoscaler", "expense:cluster:ControlPlane", "expense:cluster:IdentityProvider",
		"expense:cluster:Network",
		"expense:cluster:NodeGroup", "expense:cluster:NodeRole", "expense:cluster:Registry", "expense:logging:Access", "expense:logging:Alarms",
		"expense:logging:Dashboards", "expense:logging:Domain", "expense:logging:Master", "expense:logging:Setup", "expense:logging:Sidecar",
		"expense:workloads:App", "expense:workloads:MultiContainer", "expense:workloads:Namespace", "expense:workloads:Nginx",
		"expense:workloads:Role",
	}, slices.Sorted(maps.Keys(found)))
}

// Whoever talks to the domain is told its address, and where he is.
func TestTheDomainsAddressReachesThoseWhoTalkToIt(t *testing.T) {
	t.Parallel()
	for shape, all := range everything(t) {
		host := outputs["aws:opensearch/domain:Domain"](one(t, all, "aws:opensearch/domain:Domain", "expense").Inputs, "")["endpoint"].(string)
		told := 0
		for _, r := range all {
			env := variables(t, r)
			if url, ships := env["OPENSEARCH_URL"]; ships {
				assert.Equal(t, "https://"+host, url, "%s: %s", shape, r)
				told++
			}
			if region, known := env["AWS_REGION"]; known {
				assert.Equal(t, "us-east-1", region, "%s: %s", shape, r)
			}
			if r.Name == "dashboards" && runsPods(r) {
				assert.Contains(t, list(at(podSpec(r), "containers"))[0]["args"], host, shape)
				told++
			}
			if text, is := at(r.Inputs, "data").(map[string]any); is && text["setup.json"] != nil {
				var document map[string]any
				require.NoError(t, json.Unmarshal([]byte(text["setup.json"].(string)), &document))
				assert.Equal(t, "https://"+host, document["endpoint"], shape)
				told++
			}
		}
		want := 4 + len(of(all, "expense:logging:Dashboards")) // three workloads, the set-up, and the proxy
		if shape == "apps" {
			want += 4 // those that log
		}
		assert.Equal(t, want, told, shape)
	}
}

// allowed says whether a policy of the namespace lets pods with the labels be reached, or reach, at a port.
func allowed(
	all []registered, namespace any, direction, end string, labels map[string]any, peer func(map[string]any) bool, protocol string, port any,
) bool {
	for _, r := range of(all, "kubernetes:networking.k8s.io/v1:NetworkPolicy") {
		chosen, _ := at(r.Inputs, "spec.podSelector.matchLabels").(map[string]any)
		mine := at(r.Inputs, "metadata.namespace") == namespace
		for key, value := range chosen {
			mine = mine && labels[key] == value
		}
		for _, expression := range list(at(r.Inputs, "spec.podSelector.matchExpressions")) {
			// The program has no other operator: TestPodsReachAWSInThePrivateSubnetsOnly.
			mine = mine && slices.Contains(expression["values"].([]any), labels[fmt.Sprint(expression["key"])])
		}
		applies := any(map[string]string{"ingress": "Ingress", "egress": "Egress"}[direction])
		if !mine || !slices.Contains(at(r.Inputs, "spec.policyTypes").([]any), applies) {
			continue
		}
		for _, rule := range list(at(r.Inputs, "spec."+direction)) {
			// A rule without ports or without peers is for all of them.
			open := rule["ports"] == nil || slices.ContainsFunc(list(rule["ports"]), func(p map[string]any) bool {
				return p["protocol"] == protocol && (p["port"] == port || p["port"] == nil)
			})
			if open && (rule[end] == nil || slices.ContainsFunc(list(rule[end]), peer)) {
				return true
			}
		}
	}
	return false
}

// A namespace is closed: what its pods need is opened by name. They need names, and a Service needs its clients.
func TestWhatPodsNeedIsOpen(t *testing.T) {
	t.Parallel()
	for shape, all := range everything(t) {
		dns := func(peer map[string]any) bool {
			return assert.ObjectsAreEqual(map[string]any{"k8s-app": "kube-dns"}, at(peer, "podSelector.matchLabels")) &&
				assert.ObjectsAreEqual(map[string]any{"kubernetes.io/metadata.name": "kube-system"}, at(peer, "namespaceSelector.matchLabels"))
		}
		for _, r := range of(all, "kubernetes:core/v1:Namespace") {
			for _, protocol := range []string{"UDP", "TCP"} { // an answer that is too long for UDP comes by TCP
				open := allowed(all, at(r.Inputs, "metadata.name"), "egress", "to", nil, dns, protocol, 53.0)
				assert.True(t, open, "%s: %s: DNS by %s", shape, r, protocol)
			}
		}
		services := of(all, "kubernetes:core/v1:Service")
		require.NotEmpty(t, services)
		for _, r := range services {
			if strings.Contains(r.Parent, "expense:workloads:App") {
				continue // each is open to other peers: TestAnAppIsOpenOnlyToWhomItNames
			}
			namespace, labels := at(r.Inputs, "metadata.namespace"), at(r.Inputs, "spec.selector").(map[string]any)
			neighbour := func(peer map[string]any) bool {
				return peer["podSelector"] != nil && at(peer, "podSelector.matchLabels") == nil && peer["namespaceSelector"] == nil
			}
			server := func(peer map[string]any) bool {
				return assert.ObjectsAreEqual(map[string]any{"matchLabels": labels}, at(peer, "podSelector")) && peer["namespaceSelector"] == nil
			}
			anybody := func(peer map[string]any) bool { return at(peer, "ipBlock.cidr") == "0.0.0.0/0" }
			number := list(at(r.Inputs, "spec.ports"))[0]["port"]
			assert.True(t, allowed(all, namespace, "ingress", "from", labels, neighbour, "TCP", number), "%s: %s is closed to its clients", shape, r)
			assert.True(t, allowed(all, namespace, "egress", "to", nil, server, "TCP", number), "%s: clients of %s do not get out", shape, r)
			public := at(r.Inputs, "spec.type") == "LoadBalancer"
			assert.Equal(t, public, allowed(all, namespace, "ingress", "from", labels, anybody, "TCP", number), "%s: %s", shape, r)
			browsers := slices.ContainsFunc(list(at(r.Inputs, "spec.ports")), func(p map[string]any) bool { return p["port"] == 80.0 })
			assert.Equal(t, public, browsers, "%s: %s: port 80", shape, r)
		}
	}
}

// A rollout takes no pod away before its successor answers, so it needs room for one more.
func TestARolloutLosesNoPod(t *testing.T) {
	rolling := func(r registered) bool { return at(r.Inputs, "spec.strategy.rollingUpdate") != nil }
	sweep(t, rolling, func(t *testing.T, _ string, r registered) {
		assert.EqualValues(t, 0, at(r.Inputs, "spec.strategy.rollingUpdate.maxUnavailable"), r)
		assert.Regexp(t, `^[1-9][0-9]*%?$`, fmt.Sprint(at(r.Inputs, "spec.strategy.rollingUpdate.maxSurge")), r)
	})
}

// flag is what follows a flag of a command, "" if the command has none.
func flag(command, name string) string {
	words := strings.Fields(command)
	if i := slices.Index(words, name); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// What a person is told to type names objects, containers and ports that are there.
func TestTheCommandsOfTheOutputsFindWhatTheyName(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{
		"deployment": "kubernetes:apps/v1:Deployment", "service": "kubernetes:core/v1:Service", "pod": "kubernetes:core/v1:Pod",
	}
	object := regexp.MustCompile(`\b(deployment|service)/(\S+)|exec -it (\S+)`)
	forwarded := regexp.MustCompile(` (\d+):(\d+)$`)
	for _, dashboards := range []bool{false, true} {
		settings := stackFile(t, "dev")
		set(t, settings, "expense:logging.dashboards.enabled", dashboards)
		r, commands := withCommands(t, settings)
		found := func(typ, namespace, name string) registered {
			for _, r := range of(r.all, typ) {
				if at(r.Inputs, "metadata.name") == name && at(r.Inputs, "metadata.namespace") == namespace {
					return r
				}
			}
			require.Fail(t, "no such object", "%s %s in %s", typ, name, namespace)
			return registered{}
		}
		checked := 0
		for key, command := range commands {
			named := object.FindStringSubmatch(command)
			if named == nil {
				continue
			}
			checked++
			kind, name := named[1], named[2]
			if kind == "" {
				kind, name = "pod", named[3]
			}
			target := found(kinds[kind], flag(command, "-n"), name)
			var containers []string
			ports := map[string]bool{}
			for _, c := range slices.Concat(list(at(podSpec(target), "initContainers")), list(at(podSpec(target), "containers"))) {
				containers = append(containers, fmt.Sprint(c["name"]))
				for _, port := range list(c["ports"]) {
					ports[fmt.Sprint(port["containerPort"])] = true
				}
			}
			for _, port := range list(at(target.Inputs, "spec.ports")) {
				ports[fmt.Sprint(port["port"])] = true
			}
			if container := flag(command, "-c"); container != "" {
				assert.Contains(t, containers, container, key)
			}
			if between := forwarded.FindStringSubmatch(command); between != nil {
				assert.True(t, ports[between[2]], "%s: %s has no port %s", key, target, between[2])
				if key == "dashboards" {
					assert.Equal(t, "http://localhost:"+between[1]+"/_dashboards", commands["dashboardsBrowser"])
				}
			}
		}
		want := []string{"kubeconfig", "nodes", "pods", "shell", "web", "logs", "logSetup", "dashboards"}
		if dashboards {
			want = append(want, "dashboardsBrowser")
			assert.Equal(t, 4, checked)
		} else {
			assert.Equal(t, 3, checked)
			// What is told instead turns them on.
			path, value, found := strings.Cut(strings.TrimPrefix(commands["dashboards"], "pulumi config set --path '"), "' ")
			require.True(t, found)
			on, err := strconv.ParseBool(strings.TrimSuffix(value, " && pulumi up"))
			require.NoError(t, err)
			require.Empty(t, of(r.all, "expense:logging:Dashboards"))
			set(t, settings, path, on)
			all, err := run(t, "dev", settings)
			require.NoError(t, err)
			assert.NotEmpty(t, of(all, "expense:logging:Dashboards"))
		}
		assert.ElementsMatch(t, want, slices.Collect(maps.Keys(commands)))
		assert.Equal(t, "project", flag(commands["pods"], "-n"))
		job := one(t, r.all, "kubernetes:batch/v1:Job", "expense-log-setup")
		assert.Equal(t, at(job.Inputs, "metadata.namespace"), flag(commands["logSetup"], "-n"))
		label, value, _ := strings.Cut(flag(commands["logSetup"], "-l"), "=")
		assert.Equal(t, value, at(job.Inputs, "spec.template.metadata.labels").(map[string]any)[label])
		for _, label := range strings.Split(flag(commands["nodes"], "-L"), ",") {
			assert.Contains(t, []string{"topology.kubernetes.io/zone", "node.kubernetes.io/instance-type", "eks.amazonaws.com/capacityType"}, label)
		}
	}
}

// An output says what the stack has.
func TestTheOutputsAreOfTheStacksResources(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var known sync.WaitGroup // the run does not wait for what is looked at here
	got := map[string]any{}
	r := &recorder{}
	settings := stackFile(t, "dev")
	for path, value := range ownRegistry() {
		set(t, settings, path, value)
	}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := program.Run(ctx); err != nil {
			return err
		}
		for key, value := range ctx.GetCurrentExportMap() {
			known.Add(1)
			pulumi.ToOutput(value).ApplyT(func(value any) any {
				defer known.Done()
				mu.Lock()
				defer mu.Unlock()
				got[key] = value
				return value
			})
		}
		return nil
	}, pulumi.WithMocks("expense", "dev", r), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = settings, []string{"expense:secrets"}
	}))
	known.Wait()
	groups := map[string]string{}
	for _, r := range of(r.all, "aws:eks/nodeGroup:NodeGroup") {
		groups[r.Name] = outputs[r.Type](r.Inputs, "")["nodeGroupName"].(string)
	}
	require.NotEmpty(t, groups)
	domain := outputs["aws:opensearch/domain:Domain"](one(t, r.all, "aws:opensearch/domain:Domain", "expense").Inputs, "")
	delete(got, program.OutputCommands)
	delete(got, program.OutputApps) // TestTheCommandsOfAppsFindWhatTheyName
	assert.Equal(t, map[string]any{
		program.OutputKubeconfig:         kubeconfig,
		program.OutputClusterName:        one(t, r.all, "eks:index:Cluster", "expense").Inputs["name"],
		program.OutputRegion:             one(t, r.all, "pulumi:providers:aws", "expense").Inputs["region"],
		program.OutputNamespace:          at(one(t, r.all, "kubernetes:apps/v1:Deployment", "web").Inputs, "metadata.namespace"),
		program.OutputNodeGroups:         groups,
		program.OutputOpenSearchEndpoint: "https://" + domain["endpoint"].(string),
		program.OutputDashboardsURL:      "https://" + domain["dashboardEndpoint"].(string),
		program.OutputRepositories:       map[string]string{"backend": registry + "expense/backend", "worker": registry + "expense/worker"},
		program.OutputCaches: map[string]string{
			"docker.io": registry + "expense/docker-hub", "public.ecr.aws": registry + "expense/ecr-public",
			"registry.k8s.io": registry + "expense/kubernetes",
		},
	}, got)
}

// An add-on has the version and the values that it is given; the others are EKS's defaults.
func TestAddonsHaveTheirVersionsAndValues(t *testing.T) {
	t.Parallel()
	const version = "v1.11.4-eksbuild.2"
	settings := stackFile(t, "dev")
	set(t, settings, "expense:cluster.addonVersions", map[string]string{"coredns": version})
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	versions, values := map[string]any{}, map[string]any{}
	for _, r := range of(all, "aws:eks/addon:Addon") {
		name := fmt.Sprint(r.Inputs["addonName"])
		if r.Inputs["addonVersion"] != nil {
			versions[name] = r.Inputs["addonVersion"]
		}
		if r.Inputs["configurationValues"] != nil {
			values[name] = decoded(t, r.Inputs["configurationValues"])
		}
	}
	assert.Equal(t, map[string]any{"coredns": version}, versions)
	assert.Equal(t, map[string]any{
		"vpc-cni": map[string]any{"enableNetworkPolicy": "true"},
		"aws-ebs-csi-driver": map[string]any{"controller": map[string]any{
			"extraVolumeTags": map[string]any{"pulumi:project": "expense", "pulumi:stack": "dev"},
		}},
	}, values)
}

// A person finds a resource in AWS's console by the name that it has here.
func TestTheTagIsTheResourcesName(t *testing.T) {
	const entry = "aws:eks/accessEntry:AccessEntry" // named by a principal, whose path may be too long
	sweep(t, func(r registered) bool { return onAWS(r) && r.Inputs["tags"] != nil }, func(t *testing.T, shape string, r registered) {
		if r.Type == entry {
			assert.NotEmpty(t, at(r.Inputs, "tags.Name"), "%s: %s", shape, r)
		} else {
			assert.Equal(t, r.Name, at(r.Inputs, "tags.Name"), "%s: %s", shape, r)
		}
	})
}

// Objects are applied on the server, which says who set a field.
func TestObjectsAreAppliedOnTheServer(t *testing.T) {
	sweep(t, ofType("pulumi:providers:kubernetes"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, "true", fmt.Sprint(r.Inputs["enableServerSideApply"]))
	})
}

// What the component would make beside the program's own.
func TestTheComponentLeavesTheAddonsToTheProgram(t *testing.T) {
	sweep(t, ofType("eks:index:Cluster"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, false, at(r.Inputs, "kubeProxyAddonOptions.enabled"))
		assert.Equal(t, false, r.Inputs["createOidcProvider"])
	})
}

// The account's other domains use the role too.
func TestTheServiceLinkedRoleStays(t *testing.T) {
	sweep(t, every, func(t *testing.T, _ string, r registered) {
		assert.Equal(t, r.Type == "aws:iam/serviceLinkedRole:ServiceLinkedRole", r.RetainOnDelete, r)
	})
}

// A NAT gateway and its address work once their subnet reaches the internet.
func TestTheWayOutWaitsForTheInternet(t *testing.T) {
	t.Parallel()
	checked := 0
	for shape, all := range everything(t) {
		for _, r := range slices.Concat(of(all, "aws:ec2/natGateway:NatGateway"), of(all, "aws:ec2/eip:Eip")) {
			first := before(all, r)
			assert.True(t, first["aws:ec2/internetGateway:InternetGateway expense"], "%s: %s", shape, r)
			assert.True(t, first["aws:ec2/route:Route expense-public-internet"], "%s: %s", shape, r)
			zone := strings.TrimSuffix(strings.TrimPrefix(r.Name, "expense-"), "-nat")
			assert.True(t, first["aws:ec2/routeTableAssociation:RouteTableAssociation expense-public-"+zone], "%s: %s", shape, r)
			checked++
		}
	}
	assert.Positive(t, checked)
}

// The settings of the workloads are what their objects say.
func TestTheSettingsReachTheWorkloads(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "dev")
	for path, value := range map[string]any{
		"volumeSizeGiB": 7, "web.settings": map[string]string{"COLOUR": "green, $(HOME)"},
		"web.minReplicas": 3, "web.maxReplicas": 5, "web.targetCpuPercent": 55,
	} {
		set(t, settings, "expense:workloads."+path, value)
	}
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	claim := one(t, all, "kubernetes:core/v1:PersistentVolumeClaim", "multi-container").Inputs
	assert.Equal(t, "7Gi", at(claim, "spec.resources.requests.storage"))
	assert.Equal(t, []any{"ReadWriteOnce"}, at(claim, "spec.accessModes"))
	web := one(t, all, "kubernetes:apps/v1:Deployment", "web")
	scaler := one(t, all, "kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "web").Inputs
	target := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": at(web.Inputs, "metadata.name")}
	assert.Equal(t, target, at(scaler, "spec.scaleTargetRef"))
	assert.Equal(t, []any{3.0, 5.0}, []any{at(scaler, "spec.minReplicas"), at(scaler, "spec.maxReplicas")})
	metrics := list(at(scaler, "spec.metrics"))
	require.Len(t, metrics, 1)
	assert.Equal(t, map[string]any{
		"type": "ContainerResource", "containerResource": map[string]any{
			"container": "web", "name": "cpu", "target": map[string]any{"type": "Utilization", "averageUtilization": 55.0},
		},
	}, metrics[0])
	colour := map[string]any{"name": "COLOUR", "value": "green, $$(HOME)"}
	assert.Contains(t, list(appContainer(t, web)["env"]), colour, "Kubernetes expands nothing in it")
	service := one(t, all, "kubernetes:core/v1:Service", "web")
	assert.True(t, before(all, service)[web.String()], "a Service is made once it has pods, or Pulumi waits for them")
}

// The autoscaler reads what its scheduler looks at: its informers, in cluster-autoscaler/utils/kubernetes/listers.go, and those of
// the scheduler's framework (https://github.com/kubernetes/autoscaler/tree/cluster-autoscaler-1.35.0).
func TestTheAutoscalerReadsWhatItLooksAt(t *testing.T) {
	t.Parallel()
	all, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	reads := map[string][]string{}
	for _, rule := range list(one(t, all, "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "expense-autoscaler").Inputs["rules"]) {
		verbs := rule["verbs"].([]any)
		if !slices.Contains(verbs, any("list")) {
			continue
		}
		assert.Subset(t, verbs, []any{"get", "list", "watch"}, rule)
		group := fmt.Sprint(rule["apiGroups"].([]any)...)
		for _, resource := range rule["resources"].([]any) {
			reads[group] = append(reads[group], fmt.Sprint(resource))
		}
		slices.Sort(reads[group])
	}
	assert.Equal(t, map[string][]string{
		"":                {"namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "pods", "replicationcontrollers", "services"},
		"apps":            {"daemonsets", "replicasets", "statefulsets"},
		"batch":           {"jobs"},
		"policy":          {"poddisruptionbudgets"},
		"resource.k8s.io": {"deviceclasses", "resourceclaims", "resourceslices"},
		"storage.k8s.io":  {"csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"},
	}, reads)
	for _, rule := range list(one(t, all, "kubernetes:rbac.authorization.k8s.io/v1:Role", "expense-autoscaler").Inputs["rules"]) {
		groups := map[any]any{"leases": "coordination.k8s.io", "configmaps": ""}
		for _, resource := range rule["resources"].([]any) {
			assert.Equal(t, []any{groups[resource]}, rule["apiGroups"], resource)
		}
	}
}

// The quota refuses a container that asks for nothing, unless the namespace asks for it.
func TestAContainerThatAsksForNothingFitsTheQuota(t *testing.T) {
	sweep(t, ofType("kubernetes:core/v1:LimitRange"), func(t *testing.T, _ string, r registered) {
		limits := list(at(r.Inputs, "spec.limits"))
		require.Len(t, limits, 1)
		for _, path := range []string{"defaultRequest.cpu", "defaultRequest.memory", "default.memory", "max.memory"} {
			assert.NotEmpty(t, at(limits[0], path), "%s: %s", r, path)
		}
		assert.Equal(t, "Container", limits[0]["type"])
	})
}

// People keep their access until all that is in the cluster is gone.
func TestPeopleKeepTheirAccess(t *testing.T) {
	t.Parallel()
	checked := 0
	for shape, all := range everything(t) {
		first := before(all, one(t, all, "pulumi:providers:kubernetes", "expense"))
		for _, r := range of(all, "aws:eks/accessPolicyAssociation:AccessPolicyAssociation") {
			assert.True(t, first[r.String()], "%s: %s", shape, r)
			checked++
		}
	}
	assert.GreaterOrEqual(t, checked, 2)
}

// The association of the identity provider is an update of the control plane. EKS makes no node group and takes no other update during
// it, so all that the program asks of EKS for the nodes comes before, and its groups' rights wait for nothing.
func TestTheIdentityProviderComesAfterWhatItWouldHinder(t *testing.T) {
	t.Parallel()
	all := everything(t)["people"]
	association := one(t, all, "aws:eks/identityProviderConfig:IdentityProviderConfig", "expense-people")
	first := before(all, association)
	for _, r := range all {
		switch r.Type {
		case "eks:index:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon":
			assert.True(t, first[r.String()], r)
		}
	}
	assert.Equal(t, map[string]any{
		"identityProviderConfigName": "oidc", "issuerUrl": "https://login.example.com", "clientId": "kubernetes", "groupsClaim": "groups",
		"groupsPrefix": "oidc:", "requiredClaims": map[string]any{"tenant": "a"},
	}, association.Inputs["oidc"])
}

// The provider's groups may do what the principals of cluster.admins and cluster.readers may, by the names that Kubernetes sees.
func TestTheGroupsOfTheIdentityProviderHaveTheirRights(t *testing.T) {
	t.Parallel()
	all := everything(t)["people"]
	const group = "rbac.authorization.k8s.io"
	subject := func(name string) any { return map[string]any{"kind": "Group", "apiGroup": group, "name": name} }
	for name, want := range map[string]struct {
		role   string
		groups []any
	}{
		"expense-people-admins":  {"cluster-admin", []any{subject("oidc:platform")}},
		"expense-people-readers": {"expense-people-readers", []any{subject("oidc:developers"), subject("oidc:auditors")}},
	} {
		binding := one(t, all, "kubernetes:"+group+"/v1:ClusterRoleBinding", name)
		assert.Equal(t, map[string]any{"apiGroup": group, "kind": "ClusterRole", "name": want.role}, binding.Inputs["roleRef"])
		assert.Equal(t, want.groups, binding.Inputs["subjects"])
	}
	assert.Equal(t, []any{map[string]any{
		"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"get", "list", "watch"},
	}}, one(t, all, "kubernetes:"+group+"/v1:ClusterRole", "expense-people-readers").Inputs["rules"])
}

// The fields that can be searched are made by the set-up and kept by the sidecars.
func TestTheSearchableFieldsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "dev")
	set(t, settings, "expense:logging.indexedFields", map[string]string{"colour": "keyword"})
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	files := at(one(t, all, "kubernetes:core/v1:ConfigMap", "expense-log-setup").Inputs, "data").(map[string]any)
	assert.Contains(t, files["setup.json"], `"colour"`)
	for _, r := range all {
		if fields, ships := variables(t, r)["LOG_INDEXED_FIELDS"]; ships {
			assert.JSONEq(t, `{"colour": "keyword"}`, fmt.Sprint(fields), r)
		}
	}
}

// The set-up calls as the role that the domain knows as its master: what the role may call, the domain's policy lets it call.
func TestTheDomainAndTheRoleAllowTheSetUpTheSame(t *testing.T) {
	t.Parallel()
	calls := func(text any, ours func(statement map[string]any) bool) map[string]any {
		var document map[string]any
		require.NoError(t, json.Unmarshal([]byte(text.(string)), &document))
		out := map[string]any{}
		for _, statement := range list(document["Statement"]) {
			if ours(statement) {
				out[fmt.Sprint(statement["Action"])] = statement["Resource"]
			}
		}
		return out
	}
	for shape, all := range everything(t) {
		role := one(t, all, "aws:iam/rolePolicy:RolePolicy", "expense-log-setup").Inputs["policy"]
		policy := one(t, all, "aws:opensearch/domainPolicy:DomainPolicy", "expense-log").Inputs["accessPolicies"]
		want := calls(role, func(map[string]any) bool { return true })
		require.NotEmpty(t, want, shape)
		assert.Equal(t, want, calls(policy, func(s map[string]any) bool { return strings.HasPrefix(fmt.Sprint(s["Sid"]), "Setup") }), shape)
	}
}
