package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// appSecret is the value of each secret of an app.
	appSecret   = "a-value-that-must-stay-secret"
	certificate = "arn:aws:acm:us-east-1:" + account + ":certificate/0123abcd-0123-abcd-0123-0123456789ab"
	digest      = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// ofEachKind are apps that have all of an app's words between them.
func ofEachKind() map[string]any {
	resources := map[string]any{"cpu": "100m", "memory": "128Mi", "memoryLimit": "256Mi"}
	image := func(name string) string { return account + ".dkr.ecr.us-east-1.amazonaws.com/expense/" + name + digest }
	return map[string]any{
		// Public with TLS, a role, secrets, files, folders, a release command, two ports, several pods.
		"shop": map[string]any{
			"image": image("shop"), "command": []string{"/app/server"}, "args": []string{"-v"}, "user": 1000, "resources": resources,
			"ports": map[string]any{"http": 8080, "admin": 9090},
			"env":   map[string]string{"A": "$(B)/a", "B": "$(DATABASE_URL)?b", "C": "plain"},
			"files": map[string]any{
				"/etc/shop/a.yaml": map[string]any{"content": "a: 1\n"}, "/etc/shop/b.yaml": map[string]any{"content": "b: 2\n"},
			},
			"writable": []any{"/var/cache/shop", map[string]any{"path": "/data", "sizeMiB": 256}},
			"secrets":  map[string]string{"DATABASE_URL": "env", "tls.key": "file"},
			"replicas": map[string]any{"min": 2, "max": 6, "cpu": 70}, "health": map[string]any{"path": "/healthz", "start": "5m"},
			"graceSeconds": 60, "release": []string{"/app/server", "migrate"}, "inbound": []string{"web", "worker"},
			"outbound": []any{
				map[string]any{"cidr": "192.168.64.0/19", "ports": []int{5432}}, map[string]any{"internet": true, "ports": []int{443}},
			},
			"public": map[string]any{"certificateArn": certificate, "from": []string{"203.0.113.0/24"}},
			"iam":    []any{map[string]any{"actions": []string{"s3:GetObject"}, "resources": []string{"arn:aws:s3:::shop/*"}}},
		},
		// No port.
		"worker": map[string]any{
			"image": image("worker"), "command": []string{"/app/worker"}, "user": 1000, "resources": resources, "replicas": 1,
		},
		// Public without TLS, open to the namespace, and nothing shipped.
		"plain": map[string]any{
			"image": image("plain"), "user": 1000, "resources": resources, "port": 8080, "inbound": []string{"*"}, "logs": "none",
			"public": map[string]any{"plain": true, "from": []string{"0.0.0.0/0"}},
		},
		// gRPC, and logs in files.
		"ledger": map[string]any{
			"image": image("ledger"), "user": 1000, "resources": resources, "port": 9000, "health": map[string]any{"grpc": true}, "replicas": 3,
			"logs": map[string]any{"dir": "/var/log/ledger", "files": []string{"ledger.log"}},
		},
		// An image without a shell.
		"bare": map[string]any{
			"image": image("bare"), "command": []string{"/bare"}, "user": 1000, "resources": resources, "port": 8080,
			"logs": map[string]any{"from": "output", "capture": "static"},
		},
		// Not built yet.
		"later": map[string]any{"build": map[string]any{"dir": "images/later"}, "user": 1000, "command": []string{"/app"}},
	}
}

// withApps are dev's settings with apps.
func withApps(t testing.TB, apps map[string]any) map[string]string {
	settings := stackFile(t, "dev")
	set(t, settings, "expense:workloads.apps", apps)
	set(t, settings, "expense:logging.captureImage", account+".dkr.ecr.us-east-1.amazonaws.com/expense/capture"+digest)
	var secrets map[string]map[string]string
	require.NoError(t, json.Unmarshal([]byte(settings["expense:secrets"]), &secrets))
	secrets["shop"] = map[string]string{"DATABASE_URL": appSecret, "tls.key": appSecret}
	data, err := json.Marshal(secrets)
	require.NoError(t, err)
	settings["expense:secrets"] = string(data)
	return settings
}

func apps(t *testing.T, all map[string]any) []registered {
	out, err := run(t, "dev", withApps(t, all))
	require.NoError(t, err)
	return out
}

const (
	deployments = "kubernetes:apps/v1:Deployment"
	scalers     = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
	services    = "kubernetes:core/v1:Service"
	jobs        = "kubernetes:batch/v1:Job"
)

// container is the app's own container of its Deployment or Job.
func appContainer(t *testing.T, r registered) map[string]any {
	all := list(at(podSpec(r), "containers"))
	require.Len(t, all, 1, r)
	return all[0]
}

// Readiness and start are asked by what the settings say. Liveness is that the port answers, whatever the path looks at.
func TestAnAppIsAskedWhatItsHealthSays(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	const http, grpc, tcp = "httpGet", "grpc", "tcpSocket"
	for name, want := range map[string]struct {
		kind string
		port float64
	}{"shop": {http, 8080}, "plain": {tcp, 8080}, "ledger": {grpc, 9000}, "bare": {tcp, 8080}, "worker": {}} {
		c := appContainer(t, one(t, all, deployments, name))
		if want.kind == "" {
			for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe", "lifecycle"} {
				assert.Nil(t, c[probe], "%s: %s", name, probe)
			}
			continue
		}
		for _, probe := range []string{"startupProbe", "readinessProbe"} {
			assert.Equal(t, want.port, at(c, probe+"."+want.kind+".port"), "%s: %s", name, probe)
		}
		assert.Equal(t, want.port, at(c, "livenessProbe.tcpSocket.port"), name)
		window := at(c, "startupProbe.periodSeconds").(float64) * at(c, "startupProbe.failureThreshold").(float64)
		assert.Equal(t, map[bool]float64{true: 300, false: 120}[name == "shop"], window, "%s: seconds to start", name)
	}
	shop := appContainer(t, one(t, all, deployments, "shop"))
	assert.Equal(t, "/healthz", at(shop, "readinessProbe.httpGet.path"))
	assert.Equal(t, "FallbackToLogsOnError", shop["terminationMessagePolicy"], "the last lines of a crash are shown")
	assert.Equal(t, []any{"sh", "/opt/fluentd/capture-output.sh", "/app/server"}, shop["command"])
	assert.Equal(t, []any{"-v"}, shop["args"])
	assert.Nil(t, appContainer(t, one(t, all, deployments, "plain"))["command"], "the image's own")
}

// A Deployment has a number of pods or an autoscaler, not both: each `up` would undo what the other does.
func TestAnAppHasANumberOrAnAutoscaler(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	for name, number := range map[string]any{"shop": nil, "worker": 1.0, "plain": 2.0, "ledger": 3.0, "bare": 2.0} {
		deployment := one(t, all, deployments, name)
		assert.Equal(t, number, at(deployment.Inputs, "spec.replicas"), name)
		scaled := slices.ContainsFunc(of(all, scalers), func(r registered) bool { return r.Name == name })
		assert.Equal(t, number == nil, scaled, name)
		budget := one(t, all, "kubernetes:policy/v1:PodDisruptionBudget", name)
		for _, selector := range []any{at(deployment.Inputs, "spec.selector.matchLabels"), at(budget.Inputs, "spec.selector.matchLabels")} {
			assert.Equal(t, at(deployment.Inputs, "spec.template.metadata.labels"), selector, name)
		}
		// The start and what a new node needs, before the rollout counts as failed.
		start := map[bool]float64{true: 300, false: 120}[name == "shop"]
		assert.Equal(t, 600+start, at(deployment.Inputs, "spec.progressDeadlineSeconds"), name)
	}
	scaler := one(t, all, scalers, "shop").Inputs
	assert.Equal(t, []any{2.0, 6.0}, []any{at(scaler, "spec.minReplicas"), at(scaler, "spec.maxReplicas")})
	metric := at(list(at(scaler, "spec.metrics"))[0], "containerResource")
	assert.Equal(t, []any{"shop", 70.0}, []any{at(metric, "container"), at(metric, "target.averageUtilization")})
}

// The grace of the settings is the app's own, whatever else the pod does before its end.
func TestAnAppHasItsGrace(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	for name, seconds := range map[string]float64{
		"shop": 5 + 60 + 55, "worker": 90, "plain": 5 + 30, "ledger": 5 + 30 + 55, "bare": 5 + 30 + 55,
	} {
		assert.Equal(t, seconds, at(podSpec(one(t, all, deployments, name)), "terminationGracePeriodSeconds"), name)
	}
}

// What an app is given is where its settings say, and a variable comes after those that it refers to: Kubernetes replaces no others.
func TestAnAppFindsWhatItsSettingsGiveIt(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	for _, r := range []registered{one(t, all, deployments, "shop"), one(t, all, jobs, "shop")} {
		c := appContainer(t, r)
		var names []string
		values := map[string]any{}
		for _, variable := range list(c["env"]) {
			name := fmt.Sprint(variable["name"])
			names, values[name] = append(names, name), variable["value"]
			if name == "DATABASE_URL" {
				assert.Equal(t, map[string]any{"name": "shop-0123abcd", "key": name}, at(variable, "valueFrom.secretKeyRef"), r)
			}
		}
		before := func(first, second string) {
			assert.Less(t, slices.Index(names, first), slices.Index(names, second), "%s: %s before %s", r, first, second)
		}
		before("DATABASE_URL", "B")
		before("B", "A")
		assert.Equal(t, []any{"$(B)/a", "$(DATABASE_URL)?b", "plain", "8080"}, []any{values["A"], values["B"], values["C"], values["PORT"]}, r)

		kinds := map[string]map[string]any{}
		for _, volume := range list(at(podSpec(r), "volumes")) {
			kinds[fmt.Sprint(volume["name"])] = volume
		}
		found := map[string]string{}
		for _, mount := range list(c["volumeMounts"]) {
			where, volume := fmt.Sprint(mount["mountPath"]), kinds[fmt.Sprint(mount["name"])]
			switch {
			case volume["configMap"] != nil && mount["subPath"] != nil:
				assert.Equal(t, true, mount["readOnly"], r)
				data := at(one(t, all, "kubernetes:core/v1:ConfigMap", "shop").Inputs, "data").(map[string]any)
				found[where] = fmt.Sprint(data[fmt.Sprint(mount["subPath"])])
			case volume["secret"] != nil:
				for _, item := range list(at(volume, "secret.items")) {
					found[where+"/"+fmt.Sprint(item["path"])] = fmt.Sprint(item["key"])
				}
			case volume["emptyDir"] != nil && mount["subPath"] == nil:
				found[where] = fmt.Sprint(at(volume, "emptyDir.sizeLimit"))
			}
		}
		delete(found, "/opt/fluentd/capture-output.sh")
		assert.Equal(t, map[string]string{
			"/etc/shop/a.yaml": "a: 1\n", "/etc/shop/b.yaml": "b: 2\n", "/var/run/secrets/shop/tls.key": "tls.key",
			"/tmp": "64Mi", "/var/cache/shop": "64Mi", "/data": "256Mi",
		}, found, r)
		assert.Equal(t, "384Mi", at(c, "resources.requests").(map[string]any)["ephemeral-storage"], r)
	}
}

// peerOf matches the peer that is one workload's pods.
func peerOf(name string) func(map[string]any) bool {
	return func(peer map[string]any) bool {
		return assert.ObjectsAreEqual(map[string]any{"app.kubernetes.io/name": name}, at(peer, "podSelector.matchLabels")) ||
			peer["podSelector"] != nil && at(peer, "podSelector.matchLabels") == nil && peer["namespaceSelector"] == nil
	}
}

// A connection needs both ends: the caller's way out and the app's way in. Nobody has either who is not named.
func TestAnAppIsOpenOnlyToWhomItNames(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	labels := func(name string) map[string]any { return map[string]any{"app.kubernetes.io/name": name} }
	names := []string{"shop", "worker", "plain", "ledger", "bare", "web"}
	ports := map[string][]float64{"shop": {8080, 9090}, "plain": {8080}, "ledger": {9000}, "bare": {8080}}
	callers := map[string][]string{"shop": {"web", "worker"}, "plain": names}
	for app, numbers := range ports {
		for _, caller := range names {
			for _, port := range numbers {
				in := allowed(all, "project", "ingress", "from", labels(app), peerOf(caller), "TCP", port)
				out := allowed(all, "project", "egress", "to", labels(caller), peerOf(app), "TCP", port)
				want := slices.Contains(callers[app], caller)
				assert.Equal(t, []bool{want, want}, []bool{in, out}, "%s to %s at %v: in, out", caller, app, port)
			}
		}
	}
	to := func(cidr string) func(map[string]any) bool {
		return func(peer map[string]any) bool { return at(peer, "ipBlock.cidr") == cidr }
	}
	for _, app := range names {
		assert.Equal(t, app == "shop", allowed(all, "project", "egress", "to", labels(app), to("192.168.64.0/19"), "TCP", 5432.0), app)
		assert.Equal(t, app == "shop", allowed(all, "project", "egress", "to", labels(app), to("0.0.0.0/0"), "TCP", 443.0), app)
		assert.False(t, allowed(all, "project", "egress", "to", labels(app), to("0.0.0.0/0"), "TCP", 5432.0), app)
	}
	from := map[string]string{"shop": "203.0.113.0/24", "plain": "0.0.0.0/0"}
	for _, app := range names {
		for _, cidr := range from {
			got := allowed(all, "project", "ingress", "from", labels(app), to(cidr), "TCP", 8080.0)
			assert.Equal(t, from[app] == cidr, got, "%s from %s", app, cidr)
		}
	}
	admin := allowed(all, "project", "ingress", "from", labels("shop"), to("203.0.113.0/24"), "TCP", 9090.0)
	assert.False(t, admin, "only the checked port is public")
}

// A new version waits for its release command, which is a new Job for a new image or command and for nothing else, and gets no request.
func TestAReleaseRunsBeforeItsVersion(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	job, deployment := one(t, all, jobs, "shop"), one(t, all, deployments, "shop")
	assert.True(t, before(all, deployment)[job.String()], "the Deployment waits")
	for _, first := range []string{"kubernetes:networking.k8s.io/v1:NetworkPolicy shop-outbound",
		"aws:eks/podIdentityAssociation:PodIdentityAssociation expense-app-shop", "aws:iam/rolePolicy:RolePolicy expense-app-shop"} {
		assert.True(t, before(all, job)[first], first)
	}
	assert.Equal(t, []any{"/app/server", "migrate"}, appContainer(t, job)["command"])
	assert.Equal(t, "true", at(job.Inputs, "metadata.annotations").(map[string]any)["pulumi.com/replaceUnready"])
	labels := at(job.Inputs, "spec.template.metadata.labels").(map[string]any)
	for _, service := range of(all, services) {
		matches := true
		for key, value := range at(service.Inputs, "spec.selector").(map[string]any) {
			matches = matches && labels[key] == value
		}
		assert.False(t, matches, "%s sends requests to the release", service)
	}
	assert.Len(t, of(all, jobs), 2, "the set-up's, and one app's")

	name := func(key string, value any) any {
		edited := ofEachKind()
		edited["shop"].(map[string]any)[key] = value
		return at(one(t, apps(t, edited), jobs, "shop").Inputs, "metadata.name")
	}
	same := at(job.Inputs, "metadata.name")
	assert.Regexp(t, "^shop-release-[0-9a-f]{8}$", same)
	assert.NotEqual(t, same, name("image", "example.com/shop:2"))
	assert.NotEqual(t, same, name("release", []string{"/app/server", "migrate", "--fast"}))
	assert.Equal(t, same, name("graceSeconds", 10))
}

// A Service cannot change between plain and TLS, so each has a name of its own, and the quota has room for both.
func TestPlainAndTLSAreTwoServices(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	tls, plain := one(t, all, services, "shop-public-tls").Inputs, one(t, all, services, "plain-public-plain").Inputs
	annotation := func(service map[string]any, name string) any {
		return at(service, "metadata.annotations").(map[string]any)["service.beta.kubernetes.io/aws-load-balancer-"+name]
	}
	for _, service := range []map[string]any{tls, plain} {
		assert.Equal(t, "LoadBalancer", at(service, "spec.type"))
		assert.Equal(t, "nlb", annotation(service, "type"))
		assert.Len(t, list(at(service, "spec.ports")), 1)
	}
	assert.Equal(t, []any{certificate, "443", "tcp"},
		[]any{annotation(tls, "ssl-cert"), annotation(tls, "ssl-ports"), annotation(tls, "backend-protocol")})
	assert.Nil(t, annotation(plain, "ssl-cert"))
	assert.Equal(t, []any{443.0, "http"}, []any{list(at(tls, "spec.ports"))[0]["port"], list(at(tls, "spec.ports"))[0]["targetPort"]})
	assert.Equal(t, 80.0, list(at(plain, "spec.ports"))[0]["port"])
	assert.Equal(t, []any{"203.0.113.0/24"}, at(tls, "spec.loadBalancerSourceRanges"))
	hard := at(one(t, all, "kubernetes:core/v1:ResourceQuota", "project").Inputs, "spec.hard").(map[string]any)
	assert.Equal(t, []any{"4", "4"}, []any{hard["services.loadbalancers"], hard["services.nodeports"]}, "two apps, each with its successor")

	edited := ofEachKind()
	edited["shop"].(map[string]any)["public"] = map[string]any{"plain": true, "from": []string{"203.0.113.0/24"}}
	var public []string
	for _, r := range of(apps(t, edited), services) {
		if strings.HasPrefix(r.Name, "shop") {
			public = append(public, r.Name)
		}
	}
	assert.Equal(t, []string{"shop", "shop-public-plain"}, public)
}

// Only the app's own container gets the role, and has its credentials from the start: the volume and the variables are written out.
func TestAnAppsRoleIsItsOwn(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	for _, name := range []string{"shop", "worker", "plain", "ledger", "bare"} {
		r := one(t, all, deployments, name)
		assert.Equal(t, "app-"+name, at(podSpec(r), "serviceAccountName"), name)
		for _, key := range []string{"initContainers", "containers"} {
			for _, c := range list(at(podSpec(r), key)) {
				has := slices.ContainsFunc(list(c["env"]), func(v map[string]any) bool { return v["name"] == "AWS_CONTAINER_CREDENTIALS_FULL_URI" })
				assert.Equal(t, name == "shop" && c["name"] == "shop", has, "%s: %s", name, c["name"])
			}
		}
	}
	policy := one(t, all, "aws:iam/rolePolicy:RolePolicy", "expense-app-shop").Inputs["policy"].(string)
	assert.JSONEq(t, `{"Version":"2012-10-17","Statement":[{"Sid":"App0","Effect":"Allow","Action":["s3:GetObject"],
		"Resource":["arn:aws:s3:::shop/*"]}]}`, policy)
	assert.Len(t, of(all, "expense:workloads:Role"), 1)
}

// An app that is not built yet is in nobody's way, and one that is removed takes nothing of another's.
func TestAnAppIsAloneInWhatItHas(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	for _, r := range all {
		if !strings.HasPrefix(r.Type, "aws:ecr/") { // its repository comes before its image
			assert.NotContains(t, r.Name, "later", r)
		}
	}
	known := map[string]registered{}
	for _, r := range all {
		known[r.Parent+r.String()] = r
	}
	without := ofEachKind()
	delete(without, "ledger")
	left := apps(t, without)
	gone := len(known) - len(left)
	for _, r := range left {
		was, there := known[r.Parent+r.String()]
		assert.True(t, there, r)
		if r.Name != "project-allow-opensearch" && r.Type != "kubernetes:core/v1:ResourceQuota" {
			assert.Equal(t, was.Inputs, r.Inputs, r)
		}
	}
	assert.Equal(t, 5, gone, "component, account, Deployment, budget and Service")
}

// What a person is told to type names objects, containers and ports that are there.
func TestTheCommandsOfAppsFindWhatTheyName(t *testing.T) {
	t.Parallel()
	var got map[string]map[string]string
	r := &recorder{}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := program.Run(ctx); err != nil {
			return err
		}
		got = map[string]map[string]string{}
		for app, commands := range ctx.GetCurrentExportMap()[program.OutputApps].(pulumi.StringMapMap) {
			got[app] = map[string]string{}
			for key, command := range commands.(pulumi.StringMap) {
				got[app][key] = string(command.(pulumi.String))
			}
		}
		return nil
	}, pulumi.WithMocks("expense", "dev", r), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = withApps(t, ofEachKind()), []string{"expense:secrets"}
	}))
	assert.Equal(t, []string{"bare", "ledger", "plain", "shop", "web", "worker"}, slices.Sorted(maps.Keys(got)))
	for app, commands := range got {
		want := []string{"logs", "exec", "portForward"}
		switch app {
		case "bare":
			want = []string{"logs", "portForward"}
		case "worker":
			want = []string{"logs", "exec"}
		case "shop", "plain":
			want = append(want, "address")
		}
		assert.ElementsMatch(t, want, slices.Collect(maps.Keys(commands)), app)
		for key, command := range commands {
			assert.Equal(t, "project", flag(command, "-n"), "%s: %s", app, key)
			kind, name, _ := strings.Cut(regexp.MustCompile(`(deployment|service)/\S+`).FindString(command), "/")
			target := one(t, r.all, map[string]string{"deployment": deployments, "service": services}[kind], name)
			if container := flag(command, "-c"); container != "" {
				assert.Equal(t, container, appContainer(t, target)["name"], "%s: %s", app, key)
			}
			if key == "portForward" {
				port := command[strings.LastIndex(command, ":")+1:]
				assert.True(t, slices.ContainsFunc(list(at(target.Inputs, "spec.ports")), func(p map[string]any) bool {
					return fmt.Sprint(p["port"]) == port
				}), "%s: %s", app, command)
			}
		}
	}
}

// A rollout may take as long as a new node and a start, and only pods that log reach the domain.
func TestAnAppHasTheTimeAndTheWayThatItNeeds(t *testing.T) {
	t.Parallel()
	all := apps(t, ofEachKind())
	assert.EqualValues(t, 15*60, at(one(t, all, deployments, "shop").Inputs, "spec.progressDeadlineSeconds"), "ten minutes and health.start")
	policy := one(t, all, "kubernetes:networking.k8s.io/v1:NetworkPolicy", "project-allow-opensearch")
	selected := list(at(policy.Inputs, "spec.podSelector.matchExpressions"))[0]["values"]
	assert.Subset(t, selected, []any{"shop", "bare"})
	assert.NotContains(t, selected, "plain")
}
