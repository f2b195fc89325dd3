package tests

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"expense/internal/config"
	"expense/internal/published"
	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var stacks = []string{"dev", "example", "prod"}

func TestTheProgramRunsAsAnUpdateAndAsAPreview(t *testing.T) {
	for _, stack := range stacks {
		t.Run(stack, func(t *testing.T) {
			t.Parallel()
			update, err := run(t, stack, stackFile(t, stack))
			require.NoError(t, err)
			// A preview knows no output of AWS: everything must be declared all the same.
			dry, err := run(t, stack, stackFile(t, stack), preview)
			require.NoError(t, err)
			assert.Equal(t, names(update), names(dry))
			assert.Greater(t, len(update), 80)
		})
	}
}

func names(all []registered) []string {
	var out []string
	for _, r := range all {
		out = append(out, r.String())
	}
	return out
}

// An error of any resource ends the run. The engine names the resource, because registrations fail after the program has gone on.
func TestAFailureOfAnyTypeSurfaces(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "prod")
	set(t, settings, "expense:network.nat", "none")
	set(t, settings, "expense:cluster.admins", []string{"arn:aws:iam::111122223333:role/Admin"})
	for key, image := range map[string]string{
		"expense:workloads.images.nginx": "nginx", "expense:workloads.images.alma": "alma",
		"expense:logging.image": "fluentd", "expense:cluster.autoscaler.image": "autoscaler",
	} {
		set(t, settings, key, account+".dkr.ecr.us-east-1.amazonaws.com/"+image+":1.35.0")
	}
	private, err := run(t, "prod", settings)
	require.NoError(t, err)
	all, err := run(t, "prod", stackFile(t, "prod"))
	require.NoError(t, err)

	types := map[string]map[string]string{}
	for _, r := range all {
		types[r.Type] = stackFile(t, "prod")
	}
	for _, r := range private {
		if types[r.Type] == nil {
			types[r.Type] = settings
		}
	}
	for typ, settings := range types {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, "prod", settings, failing(typ))
			require.Error(t, err)
			assert.ErrorContains(t, err, errInjected.Error())
		})
	}
	assert.Greater(t, len(types), 40)
}

// The provider reads what AWS gave up on like anything else, so the program has to look at it.
func TestNoRunIsGreenWithWhatFailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typ, output, value, message string }{
		// Of several that failed, the run names the one that it met first.
		{"aws:eks/nodeGroup:NodeGroup", "status", "CREATE_FAILED", `node group expense-use1-az\d is CREATE_FAILED, and stays so\..*` +
			`pulumi up --refresh --replace 'urn:pulumi:dev::expense::expense:cluster:NodeGroup\$aws:eks/nodeGroup:NodeGroup::expense-use1-az\d'`},
		{"aws:eks/nodeGroup:NodeGroup", "status", "DEGRADED", ""},
		{"aws:ec2/natGateway:NatGateway", "publicIp", "", "NAT gateway expense-use1-az1 has no public address, and stays so"},
		{"aws:opensearch/domain:Domain", "endpoint", "", "domain expense has no endpoint yet"},
	} {
		t.Run(c.typ+c.value, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, "dev", stackFile(t, "dev"), answering(c.typ, c.output, c.value))
			if c.message == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.Regexp(t, c.message, err.Error())
		})
	}
}

// Scripts read the outputs by these names.
func TestTheOutputsAreTheDeclaredOnes(t *testing.T) {
	t.Parallel()
	exported := map[string]pulumi.Input{}
	r := &recorder{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := program.Run(ctx); err != nil {
			return err
		}
		exported = ctx.GetCurrentExportMap()
		return nil
	}, pulumi.WithMocks("expense", "dev", r), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = stackFile(t, "dev"), []string{"expense:secrets"}
	})
	require.NoError(t, err)
	var got []string
	for name := range exported {
		got = append(got, name)
	}
	slices.Sort(got)
	assert.Equal(t, []string{
		"apps", "caches", "clusterName", "commands", "dashboardsUrl", "kubeconfig", "namespace", "nodeGroups", "openSearchEndpoint", "region",
		"repositories",
	}, got)
}

// Bad settings stop the program before it has registered anything.
func TestBadSettingsRegisterNothing(t *testing.T) {
	t.Parallel()
	for path, value := range map[string]any{
		"expense:network.zones": []string{"use1-az3", "use1-az1"}, "expense:cluster.version": 1.35,
		"expense:logging.domain.instanceCount": 0, "expense:workloads.web.minReplicas": 99, "expense:cluster.unknown": true,
	} {
		settings := stackFile(t, "dev")
		set(t, settings, path, value)
		all, err := run(t, "dev", settings)
		assert.ErrorContains(t, err, strings.TrimPrefix(strings.Split(path, ".")[len(strings.Split(path, "."))-1], "expense:"), path)
		assert.Empty(t, all, path)
	}
}

// Adding a zone must not touch what exists: the same resources with the same inputs, and new ones beside them. EKS refuses
// a control plane in a zone that it was not made in.
func TestAppendingAZoneReplacesNothing(t *testing.T) {
	t.Parallel()
	before, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	settings := stackFile(t, "dev")
	set(t, settings, "expense:network.zones", []string{"use1-az1", "use1-az2", "use1-az4"})
	after, err := run(t, "dev", settings)
	require.NoError(t, err)
	checked := 0
	for _, typ := range []string{"eks:index:Cluster", "aws:ec2/subnet:Subnet", "aws:ec2/launchTemplate:LaunchTemplate",
		"aws:ec2/routeTable:RouteTable", "aws:ec2/route:Route", "aws:ec2/natGateway:NatGateway",
		"kubernetes:networking.k8s.io/v1:NetworkPolicy"} {
		for _, r := range of(before, typ) {
			assert.Equal(t, r.Inputs, one(t, after, typ, r.Name).Inputs)
			checked++
		}
	}
	assert.GreaterOrEqual(t, checked, 10)
	assert.Len(t, of(after, "aws:ec2/subnet:Subnet"), len(of(before, "aws:ec2/subnet:Subnet"))+2)
	for _, r := range of(before, "aws:eks/nodeGroup:NodeGroup") {
		assert.Equal(t, r.Inputs["subnetIds"], one(t, after, r.Type, r.Name).Inputs["subnetIds"])
	}
	assert.Len(t, of(after, "aws:eks/nodeGroup:NodeGroup"), len(of(before, "aws:eks/nodeGroup:NodeGroup"))+1)
}

// With an autoscaler the number of nodes is its own; without one it is the setting's.
func TestTheAutoscalerOwnsTheNumberOfNodes(t *testing.T) {
	t.Parallel()
	all, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	assert.Equal(t, []string{"scalingConfig.desiredSize"}, one(t, all, "aws:eks/nodeGroup:NodeGroup", "expense-use1-az1").IgnoreChanges)
	assert.Len(t, of(all, "expense:cluster:Autoscaler"), 1)

	settings := stackFile(t, "dev")
	set(t, settings, "expense:cluster.autoscaler.enabled", false)
	all, err = run(t, "dev", settings)
	require.NoError(t, err)
	assert.Empty(t, one(t, all, "aws:eks/nodeGroup:NodeGroup", "expense-use1-az1").IgnoreChanges)
	assert.Empty(t, of(all, "expense:cluster:Autoscaler"))
}

// A resource is created after what it needs, and deleted before it.
func TestOrder(t *testing.T) {
	t.Parallel()
	all, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	needs := func(typ, name, onType, onName string) {
		t.Helper()
		from, on := one(t, all, typ, name), onType+"::"+onName
		assert.True(t, slices.ContainsFunc(from.DependsOn, func(urn string) bool { return strings.HasSuffix(urn, on) }),
			"%s does not depend on %s %s, only on %v", from, onType, onName, from.DependsOn)
	}
	const group, addon, attachment = "aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	const job = "kubernetes:batch/v1:Job"
	needs("eks:index:Cluster", "expense", "aws:cloudwatch/logGroup:LogGroup", "expense-control-plane")
	for _, policy := range []string{"AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodePolicy"} {
		needs(group, "expense-use1-az2", attachment, "expense-node-"+policy)
	}
	// The plugin gives back its interfaces as long as it has its role, so neither the role nor who hands it out goes before it.
	needs(addon, "expense-node-vpc-cni", attachment, "expense-node-vpc-cni")
	needs(addon, "expense-node-vpc-cni", addon, "expense-node-eks-pod-identity-agent")
	needs(group, "expense-use1-az2", addon, "expense-node-vpc-cni")
	needs(group, "expense-use1-az2", addon, "expense-node-kube-proxy")
	needs(group, "expense-use1-az1", "aws:ec2/route:Route", "expense-private-use1-az1-nat")
	needs(group, "expense-use1-az2", "aws:ec2/route:Route", "expense-private-use1-az2-nat")
	for _, name := range []string{"coredns", "metrics-server", "aws-ebs-csi-driver"} {
		needs(addon, "expense-pod-"+name, group, "expense-use1-az1")
		needs(addon, "expense-pod-"+name, group, "expense-use1-az2")
		needs("pulumi:providers:kubernetes", "expense", addon, "expense-pod-"+name)
	}
	needs(addon, "expense-pod-aws-ebs-csi-driver", attachment, "expense-pod-ebs-csi")
	needs("pulumi:providers:kubernetes", "expense", group, "expense-use1-az2")
	needs("kubernetes:storage.k8s.io/v1:StorageClass", "gp3", addon, "expense-pod-aws-ebs-csi-driver")
	needs("kubernetes:core/v1:PersistentVolumeClaim", "multi-container", "kubernetes:storage.k8s.io/v1:StorageClass", "gp3")
	for _, typed := range [][2]string{{"kubernetes:core/v1:Pod", "nginx"}, {"kubernetes:core/v1:Pod", "multi-container"},
		{"kubernetes:apps/v1:Deployment", "web"}} {
		needs(typed[0], typed[1], "kubernetes:networking.k8s.io/v1:NetworkPolicy", "project-default-deny")
		needs(typed[0], typed[1], "aws:opensearch/domainPolicy:DomainPolicy", "expense-log")
		needs(typed[0], typed[1], job, "expense-log-setup")
	}
	needs(job, "expense-log-setup", "aws:opensearch/domainPolicy:DomainPolicy", "expense-log")
	needs(job, "expense-log-setup", "aws:iam/rolePolicy:RolePolicy", "expense-log-setup")
	needs(job, "expense-log-setup", "aws:eks/podIdentityAssociation:PodIdentityAssociation", "expense-log-setup")
	needs(job, "expense-log-setup", "kubernetes:networking.k8s.io/v1:NetworkPolicy", "logging-allow-pod-identity")
	domain := one(t, all, "aws:opensearch/domain:Domain", "expense")
	needs(domain.Type, domain.Name, "aws:iam/serviceLinkedRole:ServiceLinkedRole", "expense")
	needs(domain.Type, domain.Name, "aws:cloudwatch/logResourcePolicy:LogResourcePolicy", "expense")
	needs(domain.Type, domain.Name, "aws:iam/role:Role", "expense-log-master")
	// OpenSearch refuses both as long as IAM has not told it of a new role: what takes minutes comes in between.
	needs(domain.Type, domain.Name, "aws:ec2/route:Route", "expense-private-use1-az1-nat")
	needs("aws:opensearch/domainPolicy:DomainPolicy", "expense-log", group, "expense-use1-az2")
	for _, urn := range append(domain.DependsOn, one(t, all, "aws:iam/role:Role", "expense-log-master").DependsOn...) {
		assert.NotContains(t, urn, "eks", "the two slowest resources are made side by side")
	}
}

// The settings ask for nodes with room for what the program runs by itself: these are all of its add-ons and all of its
// Deployments in kube-system.
func TestTheSettingsCountThePodsThatTheProgramRuns(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		settings := stackFile(t, "dev")
		set(t, settings, "expense:cluster.autoscaler.enabled", enabled)
		all, err := run(t, "dev", settings)
		require.NoError(t, err)
		onEach, anywhere, addons := 0, 0, 0
		for _, r := range all {
			switch {
			case r.Type == "aws:eks/addon:Addon":
				addon, known := published.Addons()[fmt.Sprint(at(r.Inputs, "addonName"))]
				assert.True(t, known, r)
				addons++
				onEach += addon.OnEach
				anywhere += addon.Replicas
			case strings.HasPrefix(r.Type, "kubernetes:apps/v1:") && at(r.Inputs, "metadata.namespace") == "kube-system":
				anywhere += int(at(r.Inputs, "spec.replicas").(float64))
			}
		}
		assert.Len(t, published.Addons(), addons)
		e, a := config.Cluster{Autoscaler: config.Autoscaler{Enabled: enabled}}.OwnPods()
		assert.Equal(t, []int{onEach, anywhere}, []int{e, a})
	}
}

// amount is a number with a unit.
func amount(t *testing.T, quantity any, unit string) float64 {
	number, err := strconv.ParseFloat(strings.TrimSuffix(fmt.Sprint(quantity), unit), 64)
	require.NoError(t, err, quantity)
	return number
}

// The quota that no setting names holds all apps while every one of them rolls out and runs its release command.
func TestTheQuotaHoldsTheApps(t *testing.T) {
	t.Parallel()
	kinds := ofEachKind()
	delete(kinds, "later") // it has no pods yet, and its part of the quota
	for _, app := range kinds {
		app.(map[string]any)["replicas"] = map[string]any{"min": 1, "max": 20} // more than the quota that any stack has
	}
	all := apps(t, kinds)
	pods, cpu, memory := 0.0, 0.0, 0.0
	add := func(spec any, times float64) {
		pods += times
		var first, staying [2]float64
		for _, container := range list(at(spec, "initContainers")) {
			asked := [2]float64{amount(t, at(container, "resources.requests.cpu"), "m"), amount(t, at(container, "resources.limits.memory"), "Mi")}
			for i, n := range asked {
				if container["restartPolicy"] == "Always" {
					staying[i] += n
				} else {
					first[i] = max(first[i], n+staying[i])
				}
			}
		}
		running := staying
		for _, container := range list(at(spec, "containers")) {
			running[0] += amount(t, at(container, "resources.requests.cpu"), "m")
			running[1] += amount(t, at(container, "resources.limits.memory"), "Mi")
		}
		cpu, memory = cpu+times*max(first[0], running[0]), memory+times*max(first[1], running[1])
	}
	scaled := map[any]float64{}
	for _, r := range of(all, "kubernetes:autoscaling/v2:HorizontalPodAutoscaler") {
		scaled[at(r.Inputs, "spec.scaleTargetRef.name")] = at(r.Inputs, "spec.maxReplicas").(float64)
	}
	inProject := func(typ string) (out []registered) {
		for _, r := range of(all, typ) {
			if at(r.Inputs, "metadata.namespace") == "project" {
				out = append(out, r)
			}
		}
		return out
	}
	for _, r := range inProject("kubernetes:core/v1:Pod") {
		add(at(r.Inputs, "spec"), 1)
	}
	releases := inProject("kubernetes:batch/v1:Job")
	require.NotEmpty(t, releases)
	for _, r := range releases {
		add(at(r.Inputs, "spec.template.spec"), 1)
	}
	deployments := inProject("kubernetes:apps/v1:Deployment")
	require.Greater(t, len(deployments), 5)
	for _, r := range deployments {
		most, isScaled := scaled[at(r.Inputs, "metadata.name")]
		if !isScaled {
			most = at(r.Inputs, "spec.replicas").(float64)
		}
		add(at(r.Inputs, "spec.template.spec"), 2*most+math.Ceil(most/4))
	}
	hard := at(one(t, all, "kubernetes:core/v1:ResourceQuota", "project").Inputs, "spec.hard").(map[string]any)
	assert.GreaterOrEqual(t, amount(t, hard["pods"], ""), pods)
	assert.GreaterOrEqual(t, 1000*amount(t, hard["requests.cpu"], ""), cpu)
	assert.GreaterOrEqual(t, 1024*amount(t, hard["limits.memory"], "Gi"), memory)
	assert.Less(t, amount(t, hard["pods"], ""), pods+3, "and not much more")
}

// The least quota that the settings allow holds every pod that the workloads may have at once, and one more.
func TestTheQuotaHoldsThePodsOfTheWorkloads(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{4, 9} {
		settings := stackFile(t, "dev")
		set(t, settings, "expense:workloads.web.maxReplicas", replicas)
		all, err := run(t, "dev", settings)
		require.NoError(t, err)
		most := 1 + len(of(all, "kubernetes:core/v1:Pod"))
		for _, scaled := range of(all, "kubernetes:autoscaling/v2:HorizontalPodAutoscaler") {
			deployment := one(t, all, "kubernetes:apps/v1:Deployment", scaled.Name)
			percent, err := strconv.Atoi(strings.TrimSuffix(fmt.Sprint(at(deployment.Inputs, "spec.strategy.rollingUpdate.maxSurge")), "%"))
			require.NoError(t, err)
			pods := at(scaled.Inputs, "spec.maxReplicas").(float64)
			most += int(2*pods + math.Ceil(pods*float64(percent)/100)) // the former pods count until they have stopped
		}
		assert.Greater(t, most, replicas+1)
		cpu, memory := 50.0, 256.0 // one more, with the namespace's defaults
		add := func(spec any, times float64) {
			for _, kind := range []string{"containers", "initContainers"} {
				for _, container := range list(at(spec, kind)) {
					if kind == "initContainers" && container["restartPolicy"] != "Always" {
						continue // it ends before the others start
					}
					cpu += times * amount(t, at(container, "resources.requests.cpu"), "m")
					memory += times * amount(t, at(container, "resources.limits.memory"), "Mi")
				}
			}
		}
		for _, bare := range of(all, "kubernetes:core/v1:Pod") {
			add(at(bare.Inputs, "spec"), 1)
		}
		web := one(t, all, "kubernetes:apps/v1:Deployment", "web")
		add(at(web.Inputs, "spec.template.spec"), 2*float64(replicas)+math.Ceil(float64(replicas)/4))
		for name, need := range map[string]int{"cpu": int(math.Ceil(cpu / 1000)), "memoryGiB": int(math.Ceil(memory / 1024))} {
			set(t, settings, "expense:workloads.quota."+name, need)
			_, err = run(t, "dev", settings)
			require.NoError(t, err)
			set(t, settings, "expense:workloads.quota."+name, need-1)
			_, err = run(t, "dev", settings)
			assert.ErrorContains(t, err, fmt.Sprintf("workloads.quota.%s: found %d; allowed: ", name, need-1))
			set(t, settings, "expense:workloads.quota."+name, need)
		}

		set(t, settings, "expense:workloads.quota.pods", most)
		_, err = run(t, "dev", settings)
		require.NoError(t, err)
		set(t, settings, "expense:workloads.quota.pods", most-1)
		_, err = run(t, "dev", settings)
		assert.ErrorContains(t, err, fmt.Sprintf("workloads.quota.pods: found %d; allowed: %d or more", most-1, most))
	}
}
