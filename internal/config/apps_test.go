package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// apps are the edits that give a stack apps and the values of their secrets.
func apps(t testing.TB, apps string, secrets string) source {
	edits := []edit{{"workloads/apps", apps}}
	if secrets != "" {
		edits = append(edits, edit{keySecrets, secrets})
	}
	return settings(t, edits...).encrypted(keySecrets)
}

// every is an app with all words.
const every = `{
	"build": {"dir": "../backend", "dockerfile": "build/Dockerfile", "target": "final-1", "args": {"VERSION": "1"}},
	"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/expense/backend@sha256:` +
	`0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
	"command": ["/app/server"], "args": ["", "-v"], "ports": {"http": 1024, "metrics-9": 65535}, "user": 65535,
	"env": {"URL": "postgres://me:$(PASSWORD)@db/$(NAME)?port=$(PORT)", "NAME": "$$(NOT) $5", "_A1": ""},
	"files": {"/etc/app/app.yaml": {"content": ""}, "/etc/app/b": {"content": "$(x)"}},
	"writable": ["/var/cache/app", {"path": "/tmp", "sizeMiB": 65536}, "/var/cache/app/deep", "/dev/shm"],
	"secrets": {"PASSWORD": "env", "tls.key": "file"},
	"replicas": {"min": 1, "max": 100, "cpu": 100},
	"resources": {"cpu": "1.999", "memory": "6Mi", "memoryLimit": "4Gi"},
	"health": {"path": "/healthz?full=1", "start": "30m"}, "graceSeconds": 3600, "release": ["/app/server", "migrate"],
	"inbound": ["web", "nginx", "multi-container", "other", "backend"],
	"outbound": [{"cidr": "192.168.64.0/19", "ports": [1, 65535]}, {"internet": true, "ports": [443]}],
	"public": {"certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0a-b", "from": ["203.0.113.0/24", "0.0.0.0/0"]},
	"logs": {"from": "output", "fields": {"user_id": "keyword"}, "capture": "static"},
	"iam": [{"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::bucket/*", "arn:aws:sqs:*:123456789012:a", "arn:aws:iam::aws:policy/a"]}]
}`

func TestAnAppAtTheLimitsIsAllowed(t *testing.T) {
	for name, app := range map[string]string{
		"shortest":      `{"image": "a:1", "user": 1, "command": ["/a"]}`,
		"not built yet": `{"build": {"dir": "."}, "logs": {"capture": "static"}}`,
		"not a port yet": `{"build": {"dir": "."}, "health": "/healthz", "inbound": ["web"], "public": {"plain": true, "from": ["0.0.0.0/0"]}, ` +
			`"env": {"A": "$(PORT)"}}`,
		"without logs":         `{"image": "a:1", "user": 1, "logs": "none", "ports": {"a": 24231}}`,
		"logs in files":        `{"image": "a:1", "user": 1, "logs": {"dir": "/var/log/app", "files": ["app.log", "B_2-c.log"]}}`,
		"a number of replicas": `{"image": "a:1", "user": 1, "command": ["/a"], "replicas": 100}`,
		"gRPC for everybody here": `{"image": "a:1", "user": 1, "command": ["/a"], "port": 8080, "health": {"grpc": true, "start": "10s"}, ` +
			`"inbound": ["*"], "public": {"plain": true, "from": ["0.0.0.0/0"]}}`,
	} {
		assert.Empty(t, problems(t, apps(t, `{"app-1": `+app+`}`, "")), name)
	}
	other := `{"image": "a:1", "user": 1, "command": ["/a"]}`
	all := `{"backend": ` + every + `, "other": ` + other + `, "` + strings.Repeat("a", 40) + `": ` + other + `}`
	src := settings(t, edit{"workloads/apps", all},
		edit{"logging/captureImage", `"a:1"`}, edit{"logging/indexedFields", `{"user_id": "keyword"}`},
		edit{"cluster/registry", `{"repositories": ["x", "other"], "keepImages": 1000, "cache": true, "deleteImages": true, ` +
			`"dockerHubSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"}`},
		edit{"cluster/name", `"abcdefghijklmnopq-r"`}, edit{keySecrets, `{"web": {"A": "b"}, "backend": {"PASSWORD": "p", "tls.key": "k"}}`})
	assert.Empty(t, problems(t, src.encrypted(keySecrets)))
}

// Short forms and words that follow from others are filled in, so that nothing else has to know them.
func TestAnAppsShortFormsAreWhatTheyMean(t *testing.T) {
	c, err := parse(apps(t, `{"a": {"image": "a:1", "user": 1, "command": ["/a"], "port": 8080, "health": "/healthz", "replicas": 3,
		"writable": ["/a"], "logs": {"dir": "/l", "files": ["a.log"]}, "resources": {"memory": "1.5Gi"}},
		"b": {"image": "a:1", "user": 1, "logs": "none", "replicas": {"max": 4}, "resources": {"memory": "3Gi"}, "ports": {"b": 2000, "a": 3000}},
		"c": {"build": {"dir": "x"}}}`, ""))
	require.NoError(t, err)
	a, b, left := c.Workloads.Apps["a"], c.Workloads.Apps["b"], c.Workloads.Apps["c"]
	assert.Equal(t, map[string]int{"http": 8080}, a.Ports)
	assert.Equal(t, Health{Path: "/healthz", Start: "2m"}, a.Health)
	assert.Equal(t, Replicas{Min: 3, Max: 3, CPU: 60}, a.Replicas)
	assert.Equal(t, []Writable{{Path: "/a", SizeMiB: 64}}, a.Writable)
	assert.Equal(t, LogsFiles, a.Logs.From)
	assert.Equal(t, AppResources{CPU: "100m", Memory: "1.5Gi", MemoryLimit: "3Gi"}, a.Resources)
	assert.Equal(t, Replicas{Min: 2, Max: 4, CPU: 60}, b.Replicas)
	assert.Equal(t, "4Gi", b.Resources.MemoryLimit)
	assert.Equal(t, LogsNone, b.Logs.From)
	name, number, ok := b.Checked()
	assert.True(t, ok)
	assert.Equal(t, "a 3000", fmt.Sprint(name, " ", number), "the first by name")
	assert.True(t, left.LeftOut())
	assert.False(t, a.LeftOut())
	assert.Equal(t, App{
		Build: Build{Dir: "x", Dockerfile: "Dockerfile"}, Replicas: Replicas{Min: 2, Max: 2, CPU: 60},
		Resources: AppResources{CPU: "100m", Memory: "128Mi", MemoryLimit: "256Mi"}, Health: Health{Start: "2m"}, GraceSeconds: 30,
		Logs: Logs{From: LogsOutput, Capture: CaptureShell},
	}, left)
}

// A file beside the stack's file is read, and none outside of the project.
func TestAFilesSourceIsReadInTheProject(t *testing.T) {
	project, outside := t.TempDir(), t.TempDir()
	write := func(path string, data []byte) { require.NoError(t, os.WriteFile(path, data, 0o600)) }
	require.NoError(t, os.Mkdir(filepath.Join(project, "conf"), 0o700))
	write(filepath.Join(project, "conf", "app.yaml"), []byte("a: ü\n"))
	write(filepath.Join(project, "binary"), []byte("a\xffb"))
	write(filepath.Join(project, "large"), make([]byte, 1<<20+1))
	write(filepath.Join(outside, "theirs"), []byte("theirs"))
	require.NoError(t, os.Symlink(filepath.Join(outside, "theirs"), filepath.Join(project, "link")))
	read := func(source string) (*Config, error) {
		text, err := json.Marshal(map[string]any{"/f": map[string]string{"source": source}})
		require.NoError(t, err)
		src := apps(t, `{"a": {"image": "a:1", "user": 1, "command": ["/a"], "files": `+string(text)+`}}`, "")
		src.project = project
		return parse(src)
	}
	for _, source := range []string{"conf/app.yaml", "./conf/../conf/app.yaml"} {
		c, err := read(source)
		require.NoError(t, err)
		assert.Equal(t, AppFile{Content: "a: ü\n", Source: source}, c.Workloads.Apps["a"].Files["/f"])
	}
	const at = `workloads.apps.a.files["/f"]`
	for source, want := range map[string]string{
		"none": at + `.source: found "none", which cannot be read`, "conf": at + `.source: found "conf", which is no file`,
		"large": at + `.source: found "large", of 1048577 bytes`, "link": at + `.source: found "link", which cannot be read`,
		"../" + filepath.Base(outside) + "/theirs": at + `.source: found "../`, filepath.Join(outside, "theirs"): at + `.source: found "/`,
		"binary": at + `: found bytes that are not UTF-8`, "": at + `.source: found ""`, `conf\app.yaml`: at + `.source: found "conf\\app.yaml"`,
	} {
		_, err := read(source)
		assert.ErrorContains(t, err, want, source)
		assert.NotContains(t, fmt.Sprint(err), "theirs\n")
	}
}

// Sizes that the API server or the kernel refuses are refused before.
func TestWhatIsTooLargeIsRefused(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	// IAM's limit is 10,240 characters. These have about 200 each.
	statements := func(n int) string {
		var resources []string
		for i := range n {
			resources = append(resources, fmt.Sprintf(`"arn:aws:s3:::%s%d"`, text(182), 10+i))
		}
		return `{"actions": ["s3:GetObject"], "resources": [` + strings.Join(resources, ", ") + `]}`
	}
	const app = `{"a": {"image": "a:1", "user": 1, "command": ["/a"], %s}}`
	for _, c := range []struct {
		words, secrets string
		want           string
	}{
		{fmt.Sprintf(`"env": {"A": %q}`, text(128<<10-3)), "", ""},
		{fmt.Sprintf(`"env": {"A": %q}`, text(128<<10-2)), "", "workloads.apps.a.env.A: found a value of 131070 bytes"},
		{fmt.Sprintf(`"files": {"/a": {"content": %q}, "/b": {"content": %q}}`, text(1<<19), text(1<<19)), "", ""},
		{fmt.Sprintf(`"files": {"/a": {"content": %q}, "/b": {"content": %q}}`, text(1<<19), text(1<<19+1)), "",
			"workloads.apps.a.files: found 1048577 bytes in all"},
		{`"secrets": {"A": "file", "B": "env"}`, fmt.Sprintf(`{"a": {"A": %q, "B": ""}}`, text(1<<20)), ""},
		{`"secrets": {"A": "file", "B": "env"}`, fmt.Sprintf(`{"a": {"A": %q, "B": "x"}}`, text(1<<20)), "secrets.a: found 1048577 bytes in all"},
		{`"env": {}`, fmt.Sprintf(`{"web": {"A": %q}}`, text(1<<20+1)), "secrets.web: found 1048577 bytes in all"},
		{`"iam": [` + statements(50) + `]`, "", ""},
		{`"iam": [` + statements(51) + `]`, "", "workloads.apps.a.iam: found a policy of 10"},
	} {
		got := problems(t, apps(t, fmt.Sprintf(app, c.words), c.secrets))
		if c.want == "" {
			assert.Empty(t, got)
			continue
		}
		require.Len(t, got, 1)
		assert.Contains(t, got[0], c.want)
	}
}

// A secret's value is nowhere in a problem, whatever is wrong with it or its app.
func TestNoProblemShowsAnAppsSecret(t *testing.T) {
	values := `{"a": {"A": "` + sentinel + `", "B": "` + sentinel + `", "c d": "` + sentinel + `"}, "b": {"A": "` + sentinel + `"}}`
	got := problems(t, apps(t, `{"a": {"image": "a:1", "user": 1, "command": ["/a"], "secrets": {"A": "variable", "D": "env"}}}`, values))
	assert.Len(t, got, 5)
	assert.NotContains(t, strings.Join(got, "\n"), sentinel)
}

// The set-up of the index knows the fields of all apps. A pod's sidecar gets only its own beside those of all pods.
func TestTheIndexHasTheFieldsOfAllApps(t *testing.T) {
	src := settings(t, edit{"workloads/apps", `{"a": {"image": "a:1", "user": 1, "command": ["/a"], "logs": {"fields": {"x": "long"}}},
		"b": {"build": {"dir": "b"}, "logs": {"fields": {"x": "long", "y": "ip"}}}}`}, edit{"logging/indexedFields", `{"z": "text"}`})
	c, err := parse(src)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"x": "long", "y": "ip", "z": "text"}, c.IndexedFields())
	assert.Equal(t, map[string]string{"z": "text"}, c.Logging.IndexedFields)
	plain, err := parse(settings(t))
	require.NoError(t, err)
	assert.Empty(t, plain.IndexedFields())
}

// The quota grows with what may run, and what a stack sets counts if it is more.
func TestTheQuotaGrowsWithTheApps(t *testing.T) {
	quota := func(edits ...edit) Quota {
		c, err := parse(settings(t, edits...))
		require.NoError(t, err)
		return c.Workloads.Quota
	}
	assert.Equal(t, Quota{Pods: 40, CPU: 8, MemoryGiB: 24, StorageGiB: 20}, quota())
	assert.Equal(t, 21, quota(edit{"workloads/volumeSizeGiB", "21"}).StorageGiB)
	one := edit{"workloads/apps", `{"a": {"image": "a:1", "user": 1, "command": ["/a"], "replicas": 8,
		"resources": {"cpu": "1", "memory": "1Gi"}}}`}
	// web's 14, nginx, multi-container and one more are 17 pods, 2460m and 8.3 GiB. The app's 18 have 1050m and 2.375 GiB each.
	assert.Equal(t, Quota{Pods: 40, CPU: 22, MemoryGiB: 52, StorageGiB: 20}, quota(one))
	assert.Equal(t, Quota{Pods: 41, CPU: 23, MemoryGiB: 53, StorageGiB: 21},
		quota(one, edit{"workloads/quota", `{"pods": 41, "cpu": 23, "memoryGiB": 53, "storageGiB": 21}`}))
}

func TestWhatIsRiskyAboutAnAppIsWarnedOf(t *testing.T) {
	warnings := func(app string, edits ...edit) []string {
		c, err := parse(settings(t, append(edits, edit{"workloads/apps", `{"a": ` + app + `}`}, edit{"cluster/nodeGroups/expense/maxSize", "6"},
			edit{"cluster/nodeGroups/expense/instanceTypes", `["m5.large", "m5a.large"]`})...).encrypted(keyWebSecret))
		require.NoError(t, err)
		return unusual(c, quiet)
	}
	const image = `"image": "a:1", "user": 1, "command": ["/a"]`
	assert.Empty(t, warnings(`{`+image+`, "replicas": 2, "graceSeconds": 100}`))
	for app, want := range map[string]string{
		`{"build": {"dir": "a"}, "replicas": 1}`: "workloads.apps.a is left out: it has no image yet; when its repository is there, build one " +
			"with: make image NAME=a STACK=STACK",
		`{` + image + `, "replicas": 1}`: "workloads.apps.a.replicas is 1: nothing answers while EC2 takes the pod's node back, and an update " +
			"runs two at once; set 2, or know that the app bears both",
		`{` + image + `, "replicas": {"min": 1, "max": 3}}`: "workloads.apps.a.replicas.min is 1: at a low load nothing answers while EC2 " +
			"takes the pod's node back; set 2",
		`{` + image + `, "graceSeconds": 101}`: "workloads.apps.a.graceSeconds is 101: EC2 takes a spot node two minutes after its notice, and " +
			"then ends what still runs",
		`{` + image + `, "port": 8080, "public": {"plain": true, "from": ["203.0.113.0/24"]}}`: "workloads.apps.a.public.plain is true: what " +
			"its clients send and get is not encrypted",
		`{` + image + `, "port": 8080, "public": {"certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/a", ` +
			`"from": ["0.0.0.0/0"]}}`: "" +
			"workloads.apps.a.public.from has all addresses: the app answers everyone on the internet",
	} {
		assert.Equal(t, []string{want}, warnings(app), app)
	}
	assert.Empty(t, warnings(`{`+image+`, "graceSeconds": 101}`, edit{"cluster/nodeGroups/expense/capacityType", `"ON_DEMAND"`}))
	former := warnings(`{`+image+`}`, edit{keyWebSecret, `{"A": "b"}`})
	require.Len(t, former, 1)
	assert.Contains(t, former[0], "expense:webSecret is the former name of expense:secrets.web")
}
