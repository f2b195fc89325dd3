package manifests

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// aPod is a pod that the words of an app have. Its name is shop, and more goes behind its container.
func aPod(more string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: shop\nspec:\n  securityContext: {runAsUser: 1000}\n  containers:\n" +
		"  - name: shop\n    image: ghcr.io/acme/shop:1.2\n    command: [/shop]\n" + more
}

// tried is what a manifest gets in a project of its own.
func tried(t *testing.T, text string, change func(*Options)) (said string, err error) {
	dir := project(t)
	file := filepath.Join(dir, "k8s.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	before, err := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	var out bytes.Buffer
	o := Options{Project: dir, Stack: "dev", Path: file, Out: &out, Image: image}
	if change != nil {
		change(&o)
	}
	if err = Run(t.Context(), o); err != nil {
		after, failed := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
		require.NoError(t, failed)
		assert.Equal(t, string(before), string(after), "an error writes nothing")
		assert.Empty(t, out.String())
	}
	return out.String(), err
}

func TestAliasesWithoutEndAreRefused(t *testing.T) {
	bomb := "x0: &x0 [{apiVersion: v1, kind: Pod, metadata: {name: a}}]\n"
	for i := 1; i < 8; i++ {
		more := strings.Repeat(fmt.Sprintf(", {apiVersion: v1, kind: List, items: *x%d}", i-1), 10)
		bomb += fmt.Sprintf("x%d: &x%[1]d [%s]\n", i, more[2:])
	}
	for name, text := range map[string]string{
		"a circle": "apiVersion: v1\nkind: List\nitems: &all\n- {apiVersion: v1, kind: List, items: *all}\n",
		"a bomb":   bomb + "apiVersion: v1\nkind: List\nitems: *x7\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tried(t, text, nil)
			assert.ErrorContains(t, err, "k8s.yaml:1: found more than 1000000 values, or values more than 100 deep")
		})
	}
}

func TestAListHasItems(t *testing.T) {
	said, err := tried(t, "apiVersion: v1\nkind: List\nitems:\n- &pod\n  "+strings.ReplaceAll(strings.TrimSpace(aPod("")), "\n", "\n  ")+
		"\n---\napiVersion: v1\nkind: List\nitems: a\n", nil)
	assert.ErrorContains(t, err, "k8s.yaml:18: List: items: found text; allowed: a list of objects")
	assert.Empty(t, said)
}

func TestPrintedGoHasWholeAnnotations(t *testing.T) {
	long := strings.Repeat("0123456789", 10)
	pod := strings.Replace(aPod(""), "  name: shop\n", "  name: shop\n  annotations: {acme.io/for: "+strconv.Quote(long)+"}\n", 1)
	deployment := "apiVersion: apps/v1\nkind: Deployment\n" +
		"metadata: {name: till, annotations: {acme.io/of: " + strconv.Quote("of"+long) + "}}\n" +
		"spec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}, annotations: {acme.io/in: " +
		strconv.Quote("in"+long) + "}}\n    spec:\n      securityContext: {runAsUser: 1000}\n      containers:\n" +
		"      - {name: till, image: \"ghcr.io/acme/till:1.2\", command: [/till]}\n"
	said, err := tried(t, pod+"---\n"+deployment, func(o *Options) { o.Go = true })
	require.NoError(t, err)
	for key, value := range map[string]string{"acme.io/for": long, "acme.io/of": "of" + long, "acme.io/in": "in" + long} {
		assert.Contains(t, said, fmt.Sprintf("%q: pulumi.String(%q)", key, value))
	}
}

// hostile is a name that a shell, a terminal and Go would each obey.
const hostile = "a\\nfunc init() {}; $(touch pwned) \\e[31m"

func TestHostileNamesAreOneLineThatNobodyObeys(t *testing.T) {
	config := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {\"" + hostile + "\": b}\n"
	for name, c := range map[string]struct{ text, want string }{
		"name":       {strings.Replace(aPod(""), "name: shop", `name: "`+hostile+`"`, 1), "metadata.name: found"},
		"namespace":  {strings.Replace(aPod(""), "name: shop", `{name: shop, namespace: "`+hostile+`"}`, 1), "metadata.namespace: found"},
		"annotation": {strings.Replace(aPod(""), "name: shop", `{name: shop, annotations: {"`+hostile+`": b}}`, 1), "metadata.annotations["},
		"label":      {strings.Replace(aPod(""), "name: shop", `{name: shop, labels: {"`+hostile+`": b}}`, 1), "metadata.labels["},
		"key":        {aPod("") + config, "data["},
		"reference": {aPod("    envFrom: [{configMapRef: {name: \"" + hostile + "\"}}]\n"),
			`kubectl get configmap 'a\nfunc init() {}; $(touch pwned) \x1b[31m' -o yaml`},
		"image": {strings.Replace(strings.Replace(aPod(""), "ghcr.io/acme/shop:1.2", `"`+hostile+`"`, 1), "    command: [/shop]\n", "", 1),
			`'{{json .Config}}' 'a\nfunc init() {}; $(touch pwned) \x1b[31m'`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(c.text, "metadata:\n  {", "metadata: {", 1)
			_, err := tried(t, text, func(o *Options) { o.Go = true })
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "\nfunc init")
			assert.NotContains(t, err.Error(), "\x1b")
		})
	}
}

func TestAStackHasAName(t *testing.T) {
	for _, name := range []string{"", "../dev", "de v", "dev;x", "-file"} {
		_, err := tried(t, aPod(""), func(o *Options) { o.Stack = name })
		assert.ErrorContains(t, err, "allowed: a name of letters, digits")
	}
}

func TestAFilesNameCanBeSeen(t *testing.T) {
	_, err := tried(t, aPod(""), func(o *Options) {
		hidden := filepath.Join(o.Project, "k8s\x1b[31m.yaml")
		require.NoError(t, os.Rename(o.Path, hidden))
		o.Path = hidden
	})
	assert.ErrorContains(t, err, `k8s\x1b[31m.yaml"; allowed: names that can be seen`)
}

func TestAllIsToldBesideKindsThatAreNotRead(t *testing.T) {
	_, err := tried(t, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\n---\n"+
		strings.Replace(aPod(""), "acme/shop:1.2", "acme/shop:latest", 1), nil)
	require.ErrorContains(t, err, `k8s.yaml:1: kind: found "Ingress"`)
	assert.ErrorContains(t, err, `workloads.apps.shop.image: found "ghcr.io/acme/shop:latest"`)
}

func TestWhatIsNoManifestYetIsNamed(t *testing.T) {
	_, err := tried(t, aPod(""), func(o *Options) {
		dir := filepath.Join(o.Project, "my k8s")
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.Rename(o.Path, filepath.Join(dir, "pod.yaml")))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [pod.yaml]\n"), 0o600))
		o.Path = dir
	})
	assert.ErrorContains(t, err, "my k8s/kustomization.yaml: found a kustomization; allowed: manifests; "+
		"name as FILE what kustomize writes: kubectl kustomize 'my k8s' >all.yaml")
	_, err = tried(t, "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\n", nil)
	assert.ErrorContains(t, err, "; make from-eksctl reads it")
	for _, text := range []string{aPod("{{- if .Values.a }}\n"), strings.Replace(aPod(""), "name: shop", "name: {{ .Values.name }}", 1)} {
		_, err = tried(t, text, nil)
		assert.ErrorContains(t, err, "name as FILE what helm writes: helm template CHART >all.yaml")
	}
}

func TestOneNameTwiceIsOneLine(t *testing.T) {
	_, err := tried(t, aPod("")+"---\n"+aPod(""), nil)
	assert.EqualError(t, err, "nothing is written; 1 to correct:\n  k8s.yaml:15: Pod shop: metadata.name: found Pod shop again; "+
		"allowed: each object once; k8s.yaml:4: Pod shop: metadata.name has it")
}

func TestANameWithADotHasItsPlace(t *testing.T) {
	_, err := tried(t, strings.Replace(aPod(""), "name: shop", "name: my.shop", 1), nil)
	assert.ErrorContains(t, err, `k8s.yaml:4: Pod my.shop: metadata.name: workloads.apps["my.shop"]: found this name`)
}

func TestNoErrorOfTheReaderShowsASecret(t *testing.T) {
	for _, value := range []string{"*s3cret", "!s3cret", "!!binary s3cret", "!s3cret {a: b}", "!s3cret [a]"} {
		_, err := tried(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: "+value+"\n", nil)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestAPasswordInPlainTextIsSaid(t *testing.T) {
	said, err := tried(t, aPod("    env: [{name: DB_PASSWORD, value: hunter2}, {name: TOKENS, value: a}]\n"), nil)
	require.NoError(t, err)
	assert.Contains(t, said, "here DB_PASSWORD in plain text, as in the manifest")
	assert.NotContains(t, said, "hunter2")
	assert.NotContains(t, said, "TOKENS")
}

func TestWhoIsStoppedWritesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := project(t)
	file := filepath.Join(dir, "k8s.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(aPod(""), "    command: [/shop]\n", "", 1)), 0o600))
	err := Run(ctx, Options{Project: dir, Stack: "dev", Path: file, Out: io.Discard, Image: func(context.Context, string) (Image, error) {
		cancel()
		return Image{Entrypoint: []string{"/shop"}}, nil
	}})
	assert.ErrorIs(t, err, context.Canceled)
	data, err := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	assert.NotContains(t, string(data), "shop")
}

// The stack's file may be a link, and what is beside it stays.
func TestTheStacksFileIsReplacedAtOnce(t *testing.T) {
	var beside, linked string
	_, err := tried(t, aPod(""), func(o *Options) {
		beside, linked = filepath.Join(o.Project, "Pulumi.dev.yaml.new"), filepath.Join(t.TempDir(), "shared.yaml")
		require.NoError(t, os.WriteFile(beside, []byte("mine"), 0o600))
		require.NoError(t, os.Rename(filepath.Join(o.Project, "Pulumi.dev.yaml"), linked))
		require.NoError(t, os.Symlink(linked, filepath.Join(o.Project, "Pulumi.dev.yaml")))
	})
	require.NoError(t, err)
	data, err := os.ReadFile(beside)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(data))
	data, err = os.ReadFile(linked)
	require.NoError(t, err)
	assert.Contains(t, string(data), "shop:")
	left, err := filepath.Glob(linked + ".*")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestNoPortIsLostWhenTwoServicesNameTheirsAlike(t *testing.T) {
	service := "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {selector: {a: b}, ports: [{name: %s, port: %d}]}\n"
	text := strings.Replace(aPod("    ports: [{containerPort: 8080}, {containerPort: 9090}, {containerPort: 7070}]\n"),
		"metadata:\n  name: shop", "metadata: {name: shop, labels: {a: b}}", 1)
	var written string
	said, err := tried(t, text+fmt.Sprintf(service, "shop", "http", 8080)+fmt.Sprintf(service, "admin", "http", 9090)+
		fmt.Sprintf(service, "metrics", "prometheus-metrics-of-shop", 7070), func(o *Options) {
		written = filepath.Join(o.Project, "Pulumi.dev.yaml")
	})
	require.NoError(t, err, said)
	data, err := os.ReadFile(written)
	require.NoError(t, err)
	assert.Contains(t, string(data), "ports: {http: 8080, port-7070: 7070, port-9090: 9090}")
	assert.Contains(t, said, "the port 9090 is named port-9090: http is another one's name, or too long")
}

func TestWhatIsWrittenByHandIsTheEntries(t *testing.T) {
	e := &entry{name: "shop", app: config.App{Image: "acme/shop:1.2"}}
	for _, text := range []string{
		"config: {expense:workloads: {namespace: project}}\n", "config:\n  expense:workloads: {namespace: project}\n",
	} {
		_, err := add([]byte(text), []*entry{e})
		require.ErrorContains(t, err, "write by hand in expense:workloads:")
		assert.True(t, strings.HasSuffix(err.Error(), "\napps:\n  shop:\n    image: acme/shop:1.2"), err)
	}
}

func TestLineEndsOfWindowsStay(t *testing.T) {
	e := &entry{name: "shop", app: config.App{Image: "acme/shop:1.2"}}
	changed, err := add([]byte("config:\r\n  expense:workloads:\r\n    namespace: project\r\n"), []*entry{e})
	require.NoError(t, err)
	assert.Equal(t, strings.Count(string(changed), "\n"), strings.Count(string(changed), "\r\n"), "%q", changed)
}
