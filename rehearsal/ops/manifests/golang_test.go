package manifests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// ran is a test of the program's own, which writes down what the program makes of the apps.
const ran = `package tests

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintedGo(t *testing.T) {
	var apps map[string]any
	data, err := os.ReadFile(os.Getenv("PRINTED") + "/apps.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &apps))
	settings := stackFile(t, "dev")
	set(t, settings, "expense:workloads.apps", apps)
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	made := map[string]any{}
	for _, r := range all {
		made[r.Type+" "+r.Name] = r.Inputs
	}
	data, err = json.Marshal(made)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(os.Getenv("PRINTED")+"/made.json", data, 0o600))
}
`

var (
	printedFile = regexp.MustCompile(`(?m)^(program/[a-z0-9_]+\.go) has `)
	packageLine = regexp.MustCompile(`(?m)^package program$`)
	tabbed      = regexp.MustCompile(`(?m)^\t.*\n`)
)

// printed are the files of Go in an answer by their paths, and the lines that the answer has for addApp and addApps.
func printed(t *testing.T, text string) (files map[string]string, app, apps string) {
	files = map[string]string{}
	starts := printedFile.FindAllStringSubmatchIndex(text, -1)
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		body := text[start[1]:end]
		from := packageLine.FindStringIndex(body)
		require.NotNil(t, from)
		lines := strings.Join(tabbed.FindAllString(body[:from[0]], -1), "")
		if strings.Contains(body[:from[0]], "In addApps of") {
			apps += lines
		} else {
			app += lines
		}
		files[text[start[2]:start[3]]] = body[from[0]:]
	}
	return files, app, apps
}

// The Go that is printed is put where the answer says, and then the program makes what the manifests have.
func TestPrintedGoDoesWhatTheWordsLack(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	require.NoError(t, err)
	overlay, dir, entries := map[string]string{}, t.TempDir(), map[string]any{}
	inPlace := func(path, text string) {
		file := filepath.Join(dir, filepath.Base(path))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		overlay[filepath.Join(root, path)] = file
	}
	var inApp, inApps string
	for _, folder := range []string{"lacking", "bounds"} {
		stack := project(t)
		files, app, apps := printed(t, answer(t, stack, filepath.Join("testdata", folder), true))
		require.NotEmpty(t, files)
		inApp, inApps = inApp+app, inApps+apps
		for path, text := range files {
			inPlace(path, text)
		}
		data, err := os.ReadFile(filepath.Join(stack, "Pulumi.dev.yaml"))
		require.NoError(t, err)
		var sections struct{ Config map[string]yaml.Node }
		require.NoError(t, yaml.Unmarshal(data, &sections))
		node := sections.Config["expense:workloads"]
		var workloads struct{ Apps map[string]any }
		require.NoError(t, node.Decode(&workloads))
		for name, app := range workloads.Apps {
			entries[name] = app
		}
	}
	source, err := os.ReadFile(filepath.Join(root, "program", "apps.go"))
	require.NoError(t, err)
	changed := strings.Replace(string(source), "\t_, err := workloads.NewApp(", inApp+"\t_, err := workloads.NewApp(", 1)
	changed = strings.Replace(changed, "\treturn nil\n}\n\nfunc (s *stack) addApp(", inApps+"\treturn nil\n}\n\nfunc (s *stack) addApp(", 1)
	require.Contains(t, changed, inApps)
	inPlace("program/apps.go", changed)
	inPlace("tests/printed_test.go", ran)
	apps, err := json.Marshal(entries)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "apps.json"), apps, 0o600))
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), data, 0o600))

	cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-ldflags=-w", "-overlay", filepath.Join(dir, "overlay.json"),
		"-run", "^TestPrintedGo$", "./tests")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "PRINTED="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	data, err = os.ReadFile(filepath.Join(dir, "made.json"))
	require.NoError(t, err)
	var made map[string]any
	require.NoError(t, json.Unmarshal(data, &made))

	at := func(resource, path string) any {
		value := made[resource]
		require.NotNil(t, value, resource)
		for _, key := range strings.Split(path, ".") {
			switch in := value.(type) {
			case map[string]any:
				value = in[key]
			case []any:
				i := strings.IndexAny("0123456789", key)
				require.Less(t, i, len(in), path)
				value = in[i]
			}
		}
		return value
	}
	const store, search = "kubernetes:apps/v1:Deployment store", "kubernetes:apps/v1:Deployment search"
	for _, c := range []struct {
		resource, path string
		want           any
	}{
		{store, "spec.strategy.type", "Recreate"},
		{store, "spec.template.metadata.annotations", map[string]any{"prometheus.io/scrape": "true"}},
		{store, "spec.template.spec.nodeSelector.disk", "fast"},
		{store, "spec.template.spec.securityContext.supplementalGroups", []any{3000.}},
		{store, "spec.template.spec.securityContext.runAsUser", 999.},
		{store, "spec.template.spec.initContainers.0.name", "prepare"},
		{store, "spec.template.spec.initContainers.0.securityContext.readOnlyRootFilesystem", true},
		{store, "spec.template.spec.containers.0.workingDir", "/srv"},
		{store, "spec.template.spec.containers.0.livenessProbe.exec.command", []any{"/store", "ping"}},
		{store, "spec.template.spec.containers.1.name", "exporter"},
		{"kubernetes:core/v1:Service store", "spec.clusterIP", "None"},
		{search, "metadata.annotations", map[string]any{"team.example.com/owner": "finders"}},
		{search, "spec.minReadySeconds", 10.},
		{search, "spec.template.spec.containers.0.startupProbe.httpGet.port", 9200.},
		{search, "spec.template.spec.containers.0.resources.limits", map[string]any{"example.com/gpu": "1", "memory": "2Gi"}},
		{"kubernetes:core/v1:Service search", "spec.sessionAffinity", "ClientIP"},
		{"kubernetes:autoscaling/v2:HorizontalPodAutoscaler search", "spec.behavior.scaleDown.stabilizationWindowSeconds", 600.},
		{"kubernetes:networking.k8s.io/v1:NetworkPolicy search-from-office", "spec.ingress.0.from.0.ipBlock.cidr", "10.20.0.0/16"},
	} {
		assert.Equal(t, c.want, at(c.resource, c.path), "%s: %s", c.resource, c.path)
	}
	var volumes []string
	for _, v := range at(store, "spec.template.spec.volumes").([]any) {
		volumes = append(volumes, v.(map[string]any)["name"].(string))
	}
	assert.Subset(t, volumes, []string{"data", "fast"})
}
