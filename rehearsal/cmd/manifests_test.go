package main

import (
	"os"
	"path/filepath"
	"testing"

	"expense/rehearsal/ops/manifests"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFromManifestsSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "found no FILE: name a manifest or a folder of them, as in make from-manifests FILE=k8s STACK=dev"},
		{[]string{"-file", "none"}, "found no file or folder none"},
		{[]string{"-file", "."}, "found no .yaml, .yml or .json in ."},
	} {
		code, err := manifestsCommand(t.Context(), t.TempDir(), c.args)
		assert.ErrorContains(t, err, c.want)
		assert.Equal(t, 1, code)
	}
}

// The API server sees what no type says: here a name, and a Secret of TLS without its key. It takes what kubectl printed of another
// cluster.
func TestTheAPIServerLooksAtManifests(t *testing.T) {
	binary := filepath.Join("..", "..", ".tools", "bin", "kubernetes")
	if _, err := os.Stat(binary); err != nil {
		t.Skip("the Kubernetes control plane is not built; run `make tools` to have this test run")
	}
	object := func(at, kind, name, rest string) manifests.Object {
		return manifests.Object{At: at + ": ", APIVersion: "v1", Kind: kind, Name: name,
			JSON: []byte(`{"apiVersion": "v1", "kind": "` + kind + `", "metadata": {"name": "` + name + `", "namespace": "shop", "uid": "1", ` +
				`"resourceVersion": "7"}` + rest + `}`)}
	}
	namespace := manifests.Object{At: "n", APIVersion: "v1", Kind: "Namespace", Name: "shop",
		JSON: []byte(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}`)}
	service := object("right", "Service", "right",
		`, "spec": {"clusterIP": "172.20.0.9", "clusterIPs": ["172.20.0.9"], "ports": [{"port": 80}]}`)
	pod := object("pod", "Pod", "pod", `, "spec": {"serviceAccountName": "own", "containers": [{"name": "a", "image": "a:1"}]}`)
	account := object("account", "ServiceAccount", "own", "")
	require.NoError(t, dryRun(t.Context(), binary, []manifests.Object{pod, service, account, namespace}))

	err := dryRun(t.Context(), binary, []manifests.Object{
		object("a.yaml:1", "ConfigMap", "Wrong_Name", ""), service,
		object("a.yaml:7", "Secret", "tls", `, "type": "kubernetes.io/tls", "data": {"tls.crt": "c2VudGluZWw="}`),
	})
	assert.ErrorContains(t, err, `a.yaml:1: the API server refuses it: ConfigMap "Wrong_Name" is invalid`)
	assert.ErrorContains(t, err, `a.yaml:7: the API server refuses it: Secret "tls" is invalid: data[tls.key]: Required value`)
	assert.NotContains(t, err.Error(), "right")
	assert.NotContains(t, err.Error(), "c2VudGluZWw")
}
