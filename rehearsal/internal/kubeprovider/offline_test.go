package kubeprovider_test

import (
	"context"
	"testing"

	"expense/rehearsal/internal/kubeprovider"
	"expense/rehearsal/internal/port"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
)

// deadEnd is a kubeconfig of a cluster that does not answer.
func deadEnd(t *testing.T) string {
	t.Helper()
	nobody, err := port.Keep()
	require.NoError(t, err)
	t.Cleanup(nobody.Close)
	return kubeconfig(t, "https://"+nobody.Address, nil, "token")
}

// unreachable is an engine whose provider is configured with a cluster that does not answer.
func unreachable(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t)
	require.NoError(t, e.configure(deadEnd(t)))
	return e
}

func TestPluginInfo(t *testing.T) {
	t.Parallel()
	info, err := newEngine(t).GetPluginInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, "4.33.0", info.GetVersion())
}

func TestCheckRefusesWhatTheKindDoesNotHave(t *testing.T) {
	t.Parallel()
	e := unreachable(t)
	misspelt := pod("ns", "pod")
	misspelt["spec"].(values)["containers"].([]any)[0].(values)["imagee"] = "nginx"
	wrongType := deployment("ns", "web")
	wrongType["spec"].(values)["replicas"] = "three"
	for name, test := range map[string]struct {
		token  string
		inputs values
		want   string
	}{
		"a misspelt field": {podToken, misspelt, `unknown field "spec.containers[0].imagee"`},
		"a wrong type": {
			deploymentToken, wrongType, "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
		},
		"another kind": {
			podToken, values{"apiVersion": "v1", "kind": "ConfigMap"},
			`apiVersion and kind are "v1", "ConfigMap", the resource's type is kubernetes:core/v1:Pod`,
		},
		"a generated name": {configMapToken, values{"metadata": values{"generateName": "a-"}}, "generateName"},
		"an annotation to wait by": {
			configMapToken, values{"metadata": values{"annotations": values{"pulumi.com/waitFor": "condition=Ready"}}},
			"pulumi.com/waitFor is not modelled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, failures := e.check(test.token, "thing", test.inputs, nil)
			require.NotEmpty(t, failures)
			assert.Contains(t, failures[0], test.want)
		})
	}
	for _, token := range []string{
		"kubernetes:apps/v1:DeploymentPatch", "kubernetes:core/v1:PodList", "kubernetes:helm.sh/v3:Release", "kubernetes:yaml:ConfigFile",
		"aws:ec2/vpc:Vpc",
	} {
		_, err := e.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn(token, "thing"), News: marshal(t, values{})})
		assert.ErrorContains(t, err, token+" is not modelled")
	}
}

func TestCheckCompletesInputs(t *testing.T) {
	t.Parallel()
	e := unreachable(t)
	checked, failures := e.check("kubernetes:networking.k8s.io/v1:NetworkPolicy", "policy", values{"spec": values{"podSelector": values{}}},
		nil)
	require.Empty(t, failures)
	inputs := unmarshal(t, checked)
	metadata := inputs["metadata"].ObjectValue()
	assert.Regexp(t, "^policy-[0-9a-f]{8}$", metadata["name"].StringValue())
	assert.Equal(t, "true", metadata["annotations"].ObjectValue()["pulumi.com/autonamed"].StringValue())

	again, _ := e.check("kubernetes:networking.k8s.io/v1:NetworkPolicy", "renamed", values{"spec": values{"podSelector": values{}}}, checked)
	assert.Equal(t, inputs, unmarshal(t, again), "a name that was given stays")

	unknown, _ := e.check(configMapToken, "settings",
		values{"metadata": values{"name": resource.MakeComputed(resource.NewStringProperty(""))}}, nil)
	assert.True(t, unmarshal(t, unknown)["metadata"].ObjectValue()["name"].IsComputed())
}

// live is the state of an object whose live form is its inputs.
func (e *engine) live(token, name string, inputs values) *state {
	e.t.Helper()
	checked, failures := e.check(token, name, inputs, nil)
	require.Empty(e.t, failures)
	outputs := unmarshal(e.t, checked)
	outputs["__inputs"] = resource.NewObjectProperty(outputs.Copy())
	return &state{urn: urn(token, name), id: name, inputs: checked, outputs: marshal(e.t, outputs.Mappable())}
}

func TestWhatReplacesAnObject(t *testing.T) {
	t.Parallel()
	set := func(v values, value any, path ...any) values {
		at := any(v)
		for _, key := range path[:len(path)-1] {
			switch key := key.(type) {
			case string:
				at = at.(values)[key]
			case int:
				at = at.([]any)[key]
			}
		}
		if value == nil {
			delete(at.(values), path[len(path)-1].(string))
		} else {
			at.(values)[path[len(path)-1].(string)] = value
		}
		return v
	}
	settings := func() values { return values{"metadata": meta("ns", "settings"), "data": values{"KEY": "old"}} }
	autonamed := func(value string) values {
		return values{"metadata": values{"namespace": "ns"}, "data": values{"KEY": value}}
	}
	class := func() values {
		return values{
			"metadata":          meta("", "gp3"),
			"provisioner":       "ebs.csi.aws.com",
			"parameters":        values{"type": "gp3"},
			"volumeBindingMode": "WaitForFirstConsumer",
		}
	}
	job := func() values {
		return values{
			"metadata": meta("ns", "job"),
			"spec":     values{"backoffLimit": 1, "template": values{"spec": values{"restartPolicy": "Never", "containers": []any{container("a")}}}},
		}
	}
	binding := func() values {
		return values{
			"metadata": meta("", "b"),
			"roleRef":  values{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
		}
	}
	secret := func(value string) values {
		return values{"metadata": meta("ns", "secret"), "stringData": values{"TOKEN": value}}
	}
	service := func() values {
		return values{
			"metadata": meta("ns", "web"),
			"spec":     values{"type": "ClusterIP", "clusterIP": "10.100.0.10", "ports": []any{values{"port": 80}}},
		}
	}
	const (
		jobToken     = "kubernetes:batch/v1:Job"
		bindingToken = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
		secretToken  = "kubernetes:core/v1:Secret"
	)
	for name, test := range map[string]struct {
		token    string
		old, new values
		change   string // the path that differs
		replace  bool
		first    bool // the old object is deleted first
	}{
		"a new name": {
			token: configMapToken, old: settings(),
			new:    set(settings(), "other", "metadata", "name"),
			change: "metadata.name", replace: true,
		},
		"another namespace": {
			token: configMapToken, old: settings(),
			new:    set(settings(), "other", "metadata", "namespace"),
			change: "metadata.namespace", replace: true,
		},
		"a ConfigMap's data": {
			token: configMapToken, old: settings(),
			new:    set(settings(), "new", "data", "KEY"),
			change: "data.KEY", replace: true, first: true,
		},
		"a ConfigMap's last data": {
			token: configMapToken, old: settings(),
			new:    set(settings(), nil, "data"),
			change: "data", replace: true, first: true,
		},
		"data of a ConfigMap without a fixed name": {
			token: configMapToken, old: autonamed("old"),
			new:    autonamed("new"),
			change: "data.KEY", replace: true,
		},
		"a ConfigMap's labels": {
			token: configMapToken, old: settings(),
			new:    set(settings(), labels(), "metadata", "labels"),
			change: "metadata.labels",
		},
		"a Secret's text": {
			token: secretToken, old: secret("a"),
			new:    secret("b"),
			change: "data.TOKEN", replace: true, first: true,
		},
		"a Secret's type": {
			token: secretToken, old: set(secret("a"), "Opaque", "type"),
			new:    set(secret("a"), "kubernetes.io/basic-auth", "type"),
			change: "type", replace: true, first: true,
		},
		"a pod's image": {
			token: podToken, old: pod("ns", "a"),
			new:    set(pod("ns", "a"), "example.com/nginx:2", "spec", "containers", 0, "image"),
			change: "spec.containers[0].image", replace: true, first: true,
		},
		"a sidecar's image": {
			token: podToken, old: pod("ns", "a"),
			new:    set(pod("ns", "a"), "example.com/fluentd:2", "spec", "initContainers", 0, "image"),
			change: "spec.initContainers[0].image", replace: true, first: true,
		},
		"another container": {
			token: podToken, old: pod("ns", "a"),
			new:    set(pod("ns", "a"), []any{container("nginx"), container("alma")}, "spec", "containers"),
			change: "spec.containers[1]", replace: true, first: true,
		},
		"a pod's labels": {
			token: podToken, old: pod("ns", "a"),
			new:    set(pod("ns", "a"), labels(), "metadata", "labels"),
			change: "metadata.labels",
		},
		"a pod's deadline": {
			token: podToken, old: pod("ns", "a"),
			new:    set(pod("ns", "a"), 60, "spec", "activeDeadlineSeconds"),
			change: "spec.activeDeadlineSeconds",
		},
		"a Deployment's image": {
			token: deploymentToken, old: deployment("ns", "a"),
			new:    set(deployment("ns", "a"), "example.com/nginx:2", "spec", "template", "spec", "containers", 0, "image"),
			change: "spec.template.spec.containers[0].image",
		},
		"a Deployment's selector": {
			token: deploymentToken, old: deployment("ns", "a"),
			new:    set(deployment("ns", "a"), "other", "spec", "selector", "matchLabels", "app"),
			change: "spec.selector.matchLabels.app", replace: true, first: true,
		},
		"a Service's address": {
			token: serviceToken, old: service(),
			new:    set(service(), "10.100.0.11", "spec", "clusterIP"),
			change: "spec.clusterIP", replace: true, first: true,
		},
		"a Service's type": {
			token: serviceToken, old: service(),
			new:    set(service(), "LoadBalancer", "spec", "type"),
			change: "spec.type",
		},
		"a claim's class": {
			token: claimToken, old: claim("ns", "a"),
			new:    claim("ns", "b"),
			change: "spec.storageClassName", replace: true, first: true,
		},
		"a claim's size": {
			token: claimToken, old: claim("ns", "a"),
			new:    set(claim("ns", "a"), "2Gi", "spec", "resources", "requests", "storage"),
			change: "spec.resources.requests.storage",
		},
		"a class's parameters": {
			token: classToken, old: class(),
			new:    set(class(), "io2", "parameters", "type"),
			change: "parameters.type", replace: true, first: true,
		},
		"a class's provisioner": {
			token: classToken, old: class(),
			new:    set(class(), "other", "provisioner"),
			change: "provisioner", replace: true, first: true,
		},
		"a Job's template": {
			token: jobToken, old: job(),
			new:    set(job(), "OnFailure", "spec", "template", "spec", "restartPolicy"),
			change: "spec.template.spec.restartPolicy", replace: true, first: true,
		},
		"a Job's retries": {
			token: jobToken, old: job(),
			new:    set(job(), 2, "spec", "backoffLimit"),
			change: "spec.backoffLimit",
		},
		"a binding's role": {
			token: bindingToken, old: binding(),
			new:    set(binding(), "edit", "roleRef", "name"),
			change: "roleRef.name", replace: true, first: true,
		},
		"the same size in other words": {
			token: claimToken, old: claim("ns", "a"),
			new: set(claim("ns", "a"), "1Gi", "spec", "resources", "requests", "storage"),
		},
		"a value that is not known yet": {
			token: configMapToken, old: settings(),
			new:    set(settings(), resource.MakeComputed(resource.NewStringProperty("")), "data", "KEY"),
			change: "data.KEY", replace: true, first: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := unreachable(t)
			d := e.diff(e.live(test.token, "thing", test.old), test.token, "thing", test.new)
			var paths []string
			for path := range d.GetDetailedDiff() {
				paths = append(paths, path)
			}
			if test.change == "" {
				assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, d.GetChanges(), paths)
				return
			}
			assert.Equal(t, []string{test.change}, paths)
			assert.Equal(t, test.replace, len(d.GetReplaces()) > 0, "replaces: %v", d.GetReplaces())
			assert.Equal(t, test.first, d.GetDeleteBeforeReplace(), "deleted first")
		})
	}
}

func TestIgnoredChangesAreNone(t *testing.T) {
	t.Parallel()
	e := unreachable(t)
	s := e.live(deploymentToken, "web", deployment("ns", "web"))
	scaled := deployment("ns", "web")
	scaled["spec"].(values)["replicas"] = 7
	checked, _ := e.check(deploymentToken, "web", scaled, s.inputs)
	d, err := e.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: s.urn, Olds: s.outputs, News: checked, IgnoreChanges: []string{"spec.replicas"}})
	require.NoError(t, err)
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, d.GetChanges())
}

// Other users of the machine can reach the port. They must not run or read anything as the user who rehearses.
func TestAKubeconfigRunsAndReadsNothingOfItsOwn(t *testing.T) {
	t.Parallel()
	exec := func(rest string) string {
		return `"users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", ` +
			rest + `}}}]`
	}
	for entry, want := range map[string]string{
		exec(`"command": "/tmp/aws"`): "runs \"/tmp/aws\"",
		exec(`"command": "sh"`):       "runs `aws` only",
		exec(`"command": "aws", "env": [{"name": "KUBERNETES_EXEC_INFO", "value": ""}, {"name": "LD_PRELOAD", "value": ""}]`): "sets LD_PRELOAD",
		`"users": [{"name": "u", "user": {"tokenFile": "/etc/passwd"}}]`:                                                      "names a file",
		`"users": [{"name": "u", "user": {"client-certificate": "/etc/passwd"}}]`:                                             "names a file",
		`"users": [{"name": "u", "user": {"client-key": "/etc/passwd"}}]`:                                                     "names a file",
		`"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": "/etc/x"}}]`:        "names a file",
	} {
		err := newEngine(t).configure(`{"apiVersion": "v1", "kind": "Config", ` + entry + `}`)
		require.Error(t, err, entry)
		assert.Contains(t, err.Error(), want)
	}
	require.NoError(t, newEngine(t).configure(`{"apiVersion": "v1", "kind": "Config", `+
		exec(`"command": "aws", "env": [{"name": "AWS_PROFILE", "value": "work"}]`)+`}`))
}

// What the real provider's DiffConfig says of its arguments.
func TestWhatReplacesTheProvider(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	one, two, token := kubeconfig(t, "https://one", nil, "a"), kubeconfig(t, "https://two", nil, "a"), kubeconfig(t, "https://one", nil, "b")
	unknown := resource.MakeComputed(resource.NewStringProperty(""))
	named := func(kubeconfig any, name string) values {
		return values{"kubeconfig": kubeconfig, "clusterIdentifier": name}
	}
	for name, test := range map[string]struct {
		old, new values
		changed  bool
		replaces []string
	}{
		"nothing":                            {old: values{"kubeconfig": one}, new: values{"kubeconfig": one}},
		"another cluster":                    {values{"kubeconfig": one}, values{"kubeconfig": two}, true, []string{"kubeconfig"}},
		"other credentials":                  {values{"kubeconfig": one}, values{"kubeconfig": token}, true, nil},
		"an unknown kubeconfig":              {values{"kubeconfig": one}, values{"kubeconfig": unknown}, true, []string{"kubeconfig"}},
		"an unknown one with the same name":  {named(one, "a"), named(unknown, "a"), true, nil},
		"another cluster with the same name": {named(one, "a"), named(two, "a"), true, nil},
		"another name":                       {named(one, "a"), named(one, "b"), true, []string{"clusterIdentifier"}},
		"a name added":                       {values{"kubeconfig": one}, named(one, "a"), true, nil},
		"a name removed":                     {named(one, "a"), values{"kubeconfig": one}, true, nil},
		"a setting": {
			values{"kubeconfig": one}, values{"kubeconfig": one, "enableServerSideApply": "true"}, true, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := e.DiffConfig(t.Context(), &pulumirpc.DiffRequest{Olds: marshal(t, test.old), News: marshal(t, test.new)})
			require.NoError(t, err)
			assert.Equal(t, test.changed, d.GetChanges() == pulumirpc.DiffResponse_DIFF_SOME)
			assert.Equal(t, test.replaces, d.GetReplaces())
		})
	}
}

func TestCheckConfigRefusesWhatIsNotModelled(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for key, want := range map[string]string{
		"renderYamlToDirectory": "is not modelled", "strictMode": "is not modelled", "deleteUnreachable": "is not modelled",
		"enableServerSideApply": "client-side apply is not modelled",
	} {
		response, err := e.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: marshal(t, values{"kubeconfig": "{}", key: "false"})})
		require.NoError(t, err)
		require.Len(t, response.GetFailures(), 1)
		assert.Contains(t, response.GetFailures()[0].GetReason(), want)
	}
	response, err := e.CheckConfig(t.Context(),
		&pulumirpc.CheckRequest{News: marshal(t, values{"kubeconfig": "{}", "clusterIdentifier": "a", "enableServerSideApply": "true"})})
	require.NoError(t, err)
	assert.Empty(t, response.GetFailures())
}

// A cluster that does not answer fails what needs it, and nothing is forgotten.
func TestAnUnreachableCluster(t *testing.T) {
	t.Parallel()
	e := unreachable(t)
	s := e.live(configMapToken, "settings", values{"metadata": meta("ns", "settings")})
	_, err := e.create(configMapToken, "settings", values{"metadata": meta("ns", "settings")})
	assert.ErrorContains(t, err, "configured Kubernetes cluster is unreachable")
	_, err = e.Create(t.Context(), &pulumirpc.CreateRequest{Urn: s.urn, Properties: s.inputs, Preview: true})
	assert.NoError(t, err, "a preview passes")
	assert.ErrorContains(t, e.update(s, configMapToken, "settings", values{"metadata": meta("ns", "settings")}), "unreachable")
	_, err = e.refresh(s)
	assert.ErrorContains(t, err, "PULUMI_K8S_DELETE_UNREACHABLE")
	assert.ErrorContains(t, e.delete(s), "PULUMI_K8S_DELETE_UNREACHABLE")

	broken := newEngine(t)
	require.NoError(t, broken.configure("not a kubeconfig"))
	_, err = broken.create(configMapToken, "settings", values{"metadata": meta("ns", "settings")})
	assert.ErrorContains(t, err, "failed to parse kubeconfig")
}

func TestTheUsersOwnKubeconfigIsNotTaken(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, newEngine(t).configure(""), "has no kubeconfig")
}

// Two providers of a stack, or of two stacks, do not share what they are configured with.
func TestEveryConnectionIsAProviderOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	port, stop, err := kubeprovider.Serve(ctx, "aws")
	require.NoError(t, err)
	t.Cleanup(func() { stop(); cancel() })
	at := func(string) int { return port }
	first, second, third := dial(t, at), dial(t, at), dial(t, at)
	require.NoError(t, first.configure(deadEnd(t)))
	require.NoError(t, second.configure("not a kubeconfig"))
	s := first.live(configMapToken, "settings", values{"metadata": meta("ns", "settings")})
	assert.ErrorContains(t, first.delete(s), "unable to load schema information")
	assert.ErrorContains(t, second.delete(s), "failed to parse kubeconfig")
	assert.ErrorContains(t, third.delete(s), "not configured")
}

func TestInvokeIsRefusedByName(t *testing.T) {
	t.Parallel()
	_, err := newEngine(t).Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "kubernetes:yaml:decode"})
	assert.ErrorContains(t, err, "kubernetes:yaml:decode is not modelled")
}
