package logging

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"expense/internal/pod"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sidecar() *Sidecar {
	return &Sidecar{
		args: SidecarArgs{
			Image: "example.com/fluentd:1", Region: "us-east-1", ClusterName: "expense", DataStream: "project-logs",
			Endpoint: pulumi.String("vpc-expense.us-east-1.es.amazonaws.com").ToStringOutput(),
			RoleARN:  pulumi.String("arn:aws:iam::111122223333:role/writer"), BytesPerDay: 1 << 30,
		},
		config: pulumi.String("fluentd-1"), serviceAccount: pulumi.String(ServiceAccount),
	}
}

func app() pod.Spec {
	return pod.Spec{
		GraceSeconds: 90,
		User:         101,
		Containers: []pod.Container{
			{Name: "web", Image: "example.com/web:1"},
			{Name: "other", Image: "example.com/other:1"},
			{Name: "job", Command: []string{"job", "--all"}},
		},
		InitContainers: []pod.Container{{Name: "migrate"}},
		Volumes:        []pod.Volume{{Name: "data"}},
	}
}

// web is what nginx's container writes.
var web = pod.LogSource{Container: "web", Dir: "/var/log/app", Files: []string{"access.log", "error.log"}}

// mountsOf are a container's mounts: the path, and with a colon the part of the volume, by volume.
func mountsOf(c pod.Container) map[string][]string {
	out := map[string][]string{}
	for _, m := range c.Mounts {
		text := m.Path
		if m.SubPath != "" {
			text += ":" + m.SubPath
		}
		if m.ReadOnly {
			text += ":ro"
		}
		out[m.Volume] = append(out[m.Volume], text)
	}
	return out
}

// Its role may be another's, so an app must not lose it.
func TestAPodKeepsItsServiceAccount(t *testing.T) {
	spec := app()
	spec.ServiceAccount = pulumi.String("mine")
	out, err := sidecar().Add(spec, web)
	require.NoError(t, err)
	assert.Equal(t, pulumi.String("mine"), out.ServiceAccount)
}

// envOf are the variables of a container, with the texts that they have.
func envOf(c pod.Container) map[string]string {
	out := map[string]string{}
	for _, e := range c.Env {
		out[e.Name] = e.Text
	}
	return out
}

// Every container has a folder of its own in one volume, the sidecar sees them all and changes none, starts first and
// keeps running, and nothing else of the pod changes.
func TestTheSidecarReadsWhatTheContainersWrite(t *testing.T) {
	before := app()
	other := pod.LogSource{Container: "other", Dir: "/srv/logs", Files: []string{"audit.log"}}
	out, err := sidecar().Add(before, web, other)
	require.NoError(t, err)

	apps := out.Containers
	require.Len(t, apps, 3)
	assert.Equal(t, map[string][]string{logsVolume: {"/var/log/app:web"}}, mountsOf(apps[0]))
	assert.Equal(t, map[string]string{
		"LOG_DIR": "/var/log/app", "LOG_MAX_BYTES": "16777216", "LOG_GENERATIONS": "3",
	}, envOf(apps[0]))
	assert.Equal(t, map[string][]string{logsVolume: {"/srv/logs:other"}}, mountsOf(apps[1]))
	assert.Equal(t, "/srv/logs", envOf(apps[1])["LOG_DIR"])
	assert.Equal(t, before.Containers[2], apps[2], "a container that is no source is left alone")

	inits := out.InitContainers
	require.Len(t, inits, 3)
	assert.Equal(t, logFilesName, inits[0].Name)
	assert.Equal(t, map[string][]string{logsVolume: {logsDir}}, mountsOf(inits[0]))
	assert.Equal(t, SidecarName, inits[1].Name)
	assert.True(t, inits[1].Sidecar)
	assert.Equal(t, "migrate", inits[2].Name)
	assert.Equal(t, []string{logsDir + ":ro"}, mountsOf(inits[1])[logsVolume])
	assert.Equal(t, []string{
		"/fluentd/etc/fluent.conf:fluent.conf:ro", "/fluentd/plugins/in_expense.rb:in_expense.rb:ro",
		"/fluentd/plugins/filter_expense.rb:filter_expense.rb:ro", "/fluentd/plugins/out_expense.rb:out_expense.rb:ro",
	}, mountsOf(inits[1])[configVolume])
	assert.Equal(t, logsDir, envOf(inits[1])["LOG_DIR"])
	assert.Equal(t, `["web/access.log","web/error.log","other/audit.log"]`, envOf(inits[1])["LOG_FILES"])
	assert.Equal(t, pulumi.String(ServiceAccount), out.ServiceAccount)

	assert.Equal(t, app(), before, "the pod that was passed in is not changed")
}

// A container that only writes to its output is run by the script, which it finds where its command says.
func TestTheOutputOfAContainerIsCaptured(t *testing.T) {
	out, err := sidecar().Add(app(), pod.LogSource{Container: "job", Output: true})
	require.NoError(t, err)
	job := out.Containers[2]
	assert.Equal(t, []string{"sh", capturePath, "job", "--all"}, job.Command)
	assert.Equal(t, map[string][]string{
		logsVolume: {outputDir + ":job"}, configVolume: {capturePath + ":capture-output.sh:ro"},
	}, mountsOf(job))
	assert.Equal(t, outputDir, envOf(job)["LOG_DIR"])

	both, err := sidecar().Add(app(), pod.LogSource{Container: "job", Dir: "/logs", Files: []string{"job.log"}, Output: true})
	require.NoError(t, err)
	assert.Equal(t, "/logs", envOf(both.Containers[2])["LOG_DIR"], "one folder for both")
}

// One without a shell is run by the program, which an init container puts beside it. The program's image is asked for where it is needed.
func TestTheOutputOfAContainerWithoutAShellIsCaptured(t *testing.T) {
	s := sidecar()
	source := pod.LogSource{Container: "job", Output: true, Static: true}
	_, err := s.Add(app(), source)
	assert.ErrorContains(t, err, "set logging.captureImage")

	s.args.CaptureImage = "example.com/capture:1"
	out, err := s.Add(app(), source, web)
	require.NoError(t, err)
	job := out.Containers[2]
	assert.Equal(t, []string{"/opt/capture/capture", "job", "--all"}, job.Command)
	assert.Equal(t, map[string][]string{logsVolume: {outputDir + ":job"}, captureVolume: {captureDir + ":ro"}}, mountsOf(job))
	assert.Equal(t, "16777216", envOf(job)["LOG_MAX_BYTES"])
	inits := out.InitContainers
	require.Len(t, inits, 4)
	assert.Equal(t, SidecarName, inits[1].Name, "the sidecar stops last")
	assert.Equal(t, captureName, inits[2].Name)
	assert.Equal(t, "example.com/capture:1", inits[2].Image)
	assert.False(t, inits[2].Sidecar, "it is there before the application starts")
	assert.Equal(t, map[string][]string{captureVolume: {captureDir}}, mountsOf(inits[2]))
	assert.NotContains(t, mountsOf(out.Containers[0]), captureVolume)
	assert.Contains(t, out.Volumes, pod.Volume{Name: captureVolume, Empty: &pod.Empty{LimitMiB: captureLimitMiB}})

	out, err = s.Add(app(), pod.LogSource{Container: "job", Output: true})
	require.NoError(t, err)
	assert.Len(t, out.InitContainers, 3, "no other pod gets it")
}

// A pod's sidecar knows the fields of its own containers: another application may mean something else by a name, and a new field of one
// application must not start the pods of all others again.
func TestAnApplicationsFieldsAreItsOwn(t *testing.T) {
	s := sidecar()
	s.args.IndexedFields = map[string]string{"trace_id": "keyword"}
	fields := func(sources ...pod.LogSource) string {
		out, err := s.Add(app(), sources...)
		require.NoError(t, err)
		return envOf(out.InitContainers[1])["LOG_INDEXED_FIELDS"]
	}
	mine := web
	mine.Fields = map[string]string{"user_id": "keyword", "trace_id": "keyword"}
	assert.Equal(t, `{"trace_id":"keyword","user_id":"keyword"}`, fields(mine))
	assert.Equal(t, `{"trace_id":"keyword"}`, fields(web), "what one pod has no other gets")
	assert.Equal(t, map[string]string{"trace_id": "keyword"}, s.args.IndexedFields)
	s.args.IndexedFields = nil
	other := pod.LogSource{Container: "job", Output: true, Fields: map[string]string{"took": "float"}}
	assert.Equal(t, `{"took":"float","trace_id":"keyword","user_id":"keyword"}`, fields(mine, other), "containers share the sidecar")
	assert.Equal(t, "{}", fields(web))
}

// The init step is run: whatever the umask, all that it makes is writable for the group that the containers share.
func TestTheLogFilesAreThereBeforeTheApplication(t *testing.T) {
	dir := t.TempDir()
	out, err := sidecar().Add(app(), web, pod.LogSource{Container: "job", Output: true})
	require.NoError(t, err)
	var command []string
	for _, word := range out.InitContainers[0].Command {
		command = append(command, strings.Replace(word, logsDir, dir, 1))
	}
	for range 2 { // a pod that is started again finds them
		output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, string(output))
	}
	made := 0
	for _, name := range []string{"web/access.log", "web/error.log", "job/output.log"} {
		for path, mode := range map[string]os.FileMode{name: 0o664, filepath.Dir(name): os.ModeDir | 0o775} {
			info, err := os.Stat(filepath.Join(dir, path))
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode(), path)
			made++
		}
	}
	assert.Equal(t, 6, made)
}

// A token that IAM accepts must not be readable by the application, nor the sidecar's configuration but for the script.
func TestOnlyTheSidecarHasTheToken(t *testing.T) {
	out, err := sidecar().Add(app(), web, pod.LogSource{Container: "job", Output: true})
	require.NoError(t, err)
	holders := 0
	for _, c := range append(out.Containers, out.InitContainers...) {
		if _, has := mountsOf(c)[tokenVolume]; has {
			holders++
			assert.Equal(t, SidecarName, c.Name)
		}
	}
	assert.Equal(t, 1, holders)
}

// The kubelet evicts a pod whose emptyDir exceeds its limit, so the limit is twice the size of all files and the buffer.
func TestTheVolumesHoldTwiceWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		sources   []pod.LogSource
		logs, all int
	}{
		{[]pod.LogSource{web}, 256, 512},
		{[]pod.LogSource{{Container: "job", Output: true}}, 128, 384},
		{[]pod.LogSource{web, {Container: "job", Output: true}}, 384, 640},
	} {
		out, err := sidecar().Add(app(), c.sources...)
		require.NoError(t, err)
		limits := map[string]int{}
		for _, v := range out.Volumes {
			if v.Empty != nil {
				limits[v.Name] = v.Empty.LimitMiB
			}
		}
		assert.Equal(t, map[string]int{logsVolume: c.logs, stateVolume: 256, tmpVolume: 16}, limits)
		assert.Equal(t, c.all, out.InitContainers[1].Resources.StorageMiB, "the scheduler looks for a node with that much disk")
	}
}

// What fluentd is told is JSON that it takes for a list or a map; of an empty list, "null" would be a pattern.
func TestTheSettingsReachTheFilter(t *testing.T) {
	s := sidecar()
	environment := func() map[string]string {
		out, err := s.Add(app(), web)
		require.NoError(t, err)
		return envOf(out.InitContainers[1])
	}
	env := environment()
	assert.Equal(t, "{}", env["LOG_FIELDS"])
	assert.Equal(t, "{}", env["LOG_INDEXED_FIELDS"])
	assert.Equal(t, "[]", env["LOG_DROP_LEVELS"])
	assert.Equal(t, "[]", env["LOG_REDACT"])
	s.args.Fields, s.args.DropLevels, s.args.Redact = map[string]string{"team": "shop"}, []string{"debug"}, []string{`\d{16}`}
	s.args.IndexedFields = map[string]string{"user_id": "keyword"}
	env = environment()
	assert.Equal(t, `{"user_id":"keyword"}`, env["LOG_INDEXED_FIELDS"])
	assert.Equal(t, "project-logs", env["DATA_STREAM"])
	assert.Equal(t, `{"team":"shop"}`, env["LOG_FIELDS"])
	assert.Equal(t, `["debug"]`, env["LOG_DROP_LEVELS"])
	assert.Equal(t, `["\\d{16}"]`, env["LOG_REDACT"])
}

func TestPodsThatCannotCarryTheSidecarAreRefused(t *testing.T) {
	one := func(source pod.LogSource) []pod.LogSource { return []pod.LogSource{source} }
	first := func(change func(*pod.Container)) func(*pod.Spec) {
		return func(p *pod.Spec) { change(&p.Containers[0]) }
	}
	for _, bad := range []struct {
		name, want string
		sources    []pod.LogSource
		change     func(*pod.Spec)
	}{
		{name: "no source", sources: []pod.LogSource{}, want: "no log source: expected one at least"},
		{name: "no such container", sources: one(pod.LogSource{Container: "nobody", Output: true}),
			want: `container "nobody": the pod has no container of this name`},
		{name: "a container named twice", sources: []pod.LogSource{web, web}, want: `container "web": named by two log sources`},
		{name: "nothing to ship", sources: one(pod.LogSource{Container: "web"}), want: `container "web": nothing to ship`},
		{name: "a folder without files", sources: one(pod.LogSource{Container: "web", Dir: "/logs"}), want: "nothing to ship"},
		{name: "files without a folder", sources: one(pod.LogSource{Container: "job", Files: []string{"a.log"}, Output: true}),
			want: `folder "" and files ["a.log"]: expected both or none`},
		{name: "relative folder", sources: one(pod.LogSource{Container: "web", Dir: "logs", Files: []string{"a.log"}}),
			want: `log folder "logs": expected an absolute path`},
		{name: "folder that is not clean", sources: one(pod.LogSource{Container: "web", Dir: "/logs/", Files: []string{"a.log"}}),
			want: `log folder "/logs/"`},
		{name: "the whole disk", sources: one(pod.LogSource{Container: "web", Dir: "/", Files: []string{"a.log"}}), want: `log folder "/"`},
		{name: "a file that fluentd would not read", sources: one(pod.LogSource{Container: "web", Dir: "/logs", Files: []string{"catalina.out"}}),
			want: `log file "catalina.out": expected NAME.log`},
		{name: "a file elsewhere", sources: one(pod.LogSource{Container: "web", Dir: "/logs", Files: []string{"../a.log"}}),
			want: `log file "../a.log": expected NAME.log`},
		{name: "a file named twice", sources: one(pod.LogSource{Container: "web", Dir: "/logs", Files: []string{"a.log", "a.log"}}),
			want: `log file "a.log": named twice`},
		{name: "the output's file", sources: one(pod.LogSource{Container: "job", Dir: "/logs", Files: []string{"output.log"}, Output: true}),
			want: `log file "output.log": named twice`},
		{name: "output without a command", sources: one(pod.LogSource{Container: "web", Output: true}),
			want: `container "web": its output is shipped and it has no command: expected one`},
		{name: "a program without its image", sources: one(pod.LogSource{Container: "job", Output: true, Static: true}),
			want: "a log source is static and there is no image of the program that copies it: set logging.captureImage"},
		{name: "a field of two types", want: `container "job": field "user_id" is long, and keyword elsewhere`, sources: []pod.LogSource{
			{Container: "web", Dir: "/logs", Files: []string{"a.log"}, Fields: map[string]string{"user_id": "keyword"}},
			{Container: "job", Output: true, Fields: map[string]string{"user_id": "long"}},
		}},
		{name: "the program's container", want: `the pod has a container "capture" already`, change: func(p *pod.Spec) {
			p.InitContainers = []pod.Container{{Name: "capture"}}
		}},
		{name: "short grace period", want: "grace period 30: expected at least 90 seconds", change: func(p *pod.Spec) {
			p.GraceSeconds = 30
		}},
		{name: "no grace period", want: "expected at least 90 seconds", change: func(p *pod.Spec) {
			p.GraceSeconds = 0
		}},
		{name: "no user", want: "the pod has no user", change: func(p *pod.Spec) {
			p.User = 0
		}},
		{name: "a container of the sidecar's name", want: `the pod has a container "fluentd" already`, change: func(p *pod.Spec) {
			p.InitContainers = []pod.Container{{Name: "fluentd"}}
		}},
		{name: "a volume of the sidecar's name", want: `the pod has a volume "logs" already`, change: func(p *pod.Spec) {
			p.Volumes = []pod.Volume{{Name: "logs"}}
		}},
		{name: "a variable of the sidecar's name", want: `container "web": it has a variable "LOG_DIR" already`,
			change: first(func(c *pod.Container) {
				c.Env = []pod.Variable{{Name: "LOG_DIR", Text: "/elsewhere"}}
			})},
		{name: "a volume where the logs go", want: `container "web": it has a volume at "/var/log/app" already`,
			change: first(func(c *pod.Container) {
				c.Mounts = []pod.Mount{{Volume: "data", Path: "/var/log/app"}}
			})},
	} {
		t.Run(bad.name, func(t *testing.T) {
			spec := app()
			if bad.change != nil {
				bad.change(&spec)
			}
			if bad.sources == nil {
				bad.sources = one(web)
			}
			out, err := sidecar().Add(spec, bad.sources...)
			assert.ErrorContains(t, err, bad.want)
			assert.True(t, reflect.ValueOf(out).IsZero(), "nothing half-made")
		})
	}
}

// One preview shows all mistakes.
func TestAllThatIsWrongWithAPodIsSaidAtOnce(t *testing.T) {
	spec := app()
	spec.User, spec.GraceSeconds = 0, 0
	_, err := sidecar().Add(spec, pod.LogSource{Container: "nobody"}, pod.LogSource{Container: "web", Dir: "logs", Files: []string{"a"}})
	require.Error(t, err)
	assert.Equal(t, `fluentd sidecar: grace period 0: expected at least 90 seconds
the pod has no user: expected the number of the user and group that its containers share
container "nobody": the pod has no container of this name
container "web": log folder "logs": expected an absolute path without a slash at its end
container "web": log file "a": expected NAME.log`, err.Error())
}
