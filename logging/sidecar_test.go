package logging

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"expense/internal/podlogs"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sidecar() *Sidecar {
	return &Sidecar{
		args: &SidecarArgs{
			Image: "example.com/fluentd:1", Region: "us-east-1", ClusterName: "expense", DataStream: "project-logs",
			Endpoint: pulumi.String("vpc-expense.us-east-1.es.amazonaws.com").ToStringOutput(),
			RoleARN:  pulumi.String("arn:aws:iam::111122223333:role/writer"), BytesPerDay: 1 << 30,
		},
		config: pulumi.String("fluentd-1"), serviceAccount: pulumi.String(ServiceAccount),
	}
}

func pod() corev1.PodSpecArgs {
	return corev1.PodSpecArgs{
		TerminationGracePeriodSeconds: pulumi.Int(90),
		SecurityContext:               corev1.PodSecurityContextArgs{FsGroup: pulumi.Int(101)},
		Containers: corev1.ContainerArray{
			corev1.ContainerArgs{Name: pulumi.String("web"), Image: pulumi.String("example.com/web:1")},
			corev1.ContainerArgs{Name: pulumi.String("other"), Image: pulumi.String("example.com/other:1")},
			corev1.ContainerArgs{Name: pulumi.String("job"), Command: pulumi.ToStringArray([]string{"job", "--all"})},
		},
		InitContainers: corev1.ContainerArray{corev1.ContainerArgs{Name: pulumi.String("migrate")}},
		Volumes:        corev1.VolumeArray{corev1.VolumeArgs{Name: pulumi.String("data")}},
	}
}

// web is what nginx's container writes.
var web = podlogs.Source{Container: "web", Dir: "/var/log/app", Files: []string{"access.log", "error.log"}}

// items are the plain values of an input.
func items[T any, A ~[]I, I any](t *testing.T, input any) []T {
	var found problems
	out := plain[T, A](&found, "input", input)
	require.Empty(t, found)
	return out
}

func containers(t *testing.T, input corev1.ContainerArrayInput) []corev1.ContainerArgs {
	return items[corev1.ContainerArgs, corev1.ContainerArray](t, input)
}

// mountsOf are a container's mounts: the path, and with a colon the part of the volume, by volume.
func mountsOf(t *testing.T, c corev1.ContainerArgs) map[string][]string {
	out := map[string][]string{}
	for _, m := range items[corev1.VolumeMountArgs, corev1.VolumeMountArray](t, c.VolumeMounts) {
		text := string(m.MountPath.(pulumi.String))
		if part, ok := m.SubPath.(pulumi.String); ok {
			text += ":" + string(part)
		}
		if m.ReadOnly == pulumi.Bool(true) {
			text += ":ro"
		}
		volume := string(m.Name.(pulumi.String))
		out[volume] = append(out[volume], text)
	}
	return out
}

func envOf(t *testing.T, c corev1.ContainerArgs) map[string]any {
	out := map[string]any{}
	for _, e := range items[corev1.EnvVarArgs, corev1.EnvVarArray](t, c.Env) {
		out[string(e.Name.(pulumi.String))] = e.Value
	}
	return out
}

// Every container has a folder of its own in one volume, the sidecar sees them all and changes none, starts first and
// keeps running, and nothing else of the pod changes.
func TestTheSidecarReadsWhatTheContainersWrite(t *testing.T) {
	before := pod()
	other := podlogs.Source{Container: "other", Dir: "/srv/logs", Files: []string{"audit.log"}}
	out, err := sidecar().Add(before, web, other)
	require.NoError(t, err)

	apps := containers(t, out.Containers)
	require.Len(t, apps, 3)
	assert.Equal(t, map[string][]string{logsVolume: {"/var/log/app:web"}}, mountsOf(t, apps[0]))
	assert.Equal(t, map[string]any{
		"LOG_DIR": pulumi.String("/var/log/app"), "LOG_MAX_BYTES": pulumi.String("16777216"), "LOG_GENERATIONS": pulumi.String("3"),
	}, envOf(t, apps[0]))
	assert.Equal(t, map[string][]string{logsVolume: {"/srv/logs:other"}}, mountsOf(t, apps[1]))
	assert.Equal(t, pulumi.String("/srv/logs"), envOf(t, apps[1])["LOG_DIR"])
	assert.Equal(t, containers(t, before.Containers)[2], apps[2], "a container that is no source is left alone")

	inits := containers(t, out.InitContainers)
	require.Len(t, inits, 3)
	assert.Equal(t, pulumi.String(logFilesName), inits[0].Name)
	assert.Equal(t, map[string][]string{logsVolume: {logsDir}}, mountsOf(t, inits[0]))
	assert.Equal(t, pulumi.String(SidecarName), inits[1].Name)
	assert.Equal(t, pulumi.String("Always"), inits[1].RestartPolicy)
	assert.Equal(t, pulumi.String("migrate"), inits[2].Name)
	assert.Equal(t, []string{logsDir + ":ro"}, mountsOf(t, inits[1])[logsVolume])
	assert.Equal(t, []string{
		"/fluentd/etc/fluent.conf:fluent.conf:ro", "/fluentd/plugins/in_expense.rb:in_expense.rb:ro",
		"/fluentd/plugins/filter_expense.rb:filter_expense.rb:ro", "/fluentd/plugins/out_expense.rb:out_expense.rb:ro",
	}, mountsOf(t, inits[1])[configVolume])
	assert.Equal(t, pulumi.String(logsDir), envOf(t, inits[1])["LOG_DIR"])
	assert.Equal(t, pulumi.String(`["web/access.log","web/error.log","other/audit.log"]`), envOf(t, inits[1])["LOG_FILES"])
	assert.Equal(t, pulumi.String(ServiceAccount), out.ServiceAccountName)

	assert.Equal(t, pod(), before, "the pod that was passed in is not changed")
}

// A container that only writes to its output is run by the script, which it finds where its command says.
func TestTheOutputOfAContainerIsCaptured(t *testing.T) {
	out, err := sidecar().Add(pod(), podlogs.Source{Container: "job", Output: true})
	require.NoError(t, err)
	job := containers(t, out.Containers)[2]
	assert.Equal(t, pulumi.ToStringArray([]string{"sh", capturePath, "job", "--all"}), job.Command)
	assert.Equal(t, map[string][]string{
		logsVolume: {outputDir + ":job"}, configVolume: {capturePath + ":capture-output.sh:ro"},
	}, mountsOf(t, job))
	assert.Equal(t, pulumi.String(outputDir), envOf(t, job)["LOG_DIR"])

	both, err := sidecar().Add(pod(), podlogs.Source{Container: "job", Dir: "/logs", Files: []string{"job.log"}, Output: true})
	require.NoError(t, err)
	assert.Equal(t, pulumi.String("/logs"), envOf(t, containers(t, both.Containers)[2])["LOG_DIR"], "one folder for both")
}

// The init step is run: whatever the umask, all that it makes is writable for the group that the containers share.
func TestTheLogFilesAreThereBeforeTheApplication(t *testing.T) {
	dir := t.TempDir()
	out, err := sidecar().Add(pod(), web, podlogs.Source{Container: "job", Output: true})
	require.NoError(t, err)
	var command []string
	for _, word := range containers(t, out.InitContainers)[0].Command.(pulumi.StringArray) {
		command = append(command, strings.Replace(string(word.(pulumi.String)), logsDir, dir, 1))
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
	out, err := sidecar().Add(pod(), web, podlogs.Source{Container: "job", Output: true})
	require.NoError(t, err)
	holders := 0
	for _, c := range append(containers(t, out.Containers), containers(t, out.InitContainers)...) {
		if _, has := mountsOf(t, c)[tokenVolume]; has {
			holders++
			assert.Equal(t, pulumi.String(SidecarName), c.Name)
		}
	}
	assert.Equal(t, 1, holders)
}

// The kubelet evicts a pod whose emptyDir passes its limit: the limit is twice what rotation and buffer can reach.
func TestTheVolumesHoldTwiceWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		sources   []podlogs.Source
		logs, all string
	}{
		{[]podlogs.Source{web}, "256Mi", "512Mi"},
		{[]podlogs.Source{{Container: "job", Output: true}}, "128Mi", "384Mi"},
		{[]podlogs.Source{web, {Container: "job", Output: true}}, "384Mi", "640Mi"},
	} {
		out, err := sidecar().Add(pod(), c.sources...)
		require.NoError(t, err)
		limits := map[pulumi.StringInput]pulumi.StringPtrInput{}
		for _, v := range items[corev1.VolumeArgs, corev1.VolumeArray](t, out.Volumes) {
			if source, ok := v.EmptyDir.(corev1.EmptyDirVolumeSourceArgs); ok {
				limits[v.Name] = source.SizeLimit
			}
		}
		assert.Equal(t, map[pulumi.StringInput]pulumi.StringPtrInput{
			pulumi.String(logsVolume): pulumi.String(c.logs), pulumi.String(stateVolume): pulumi.String("256Mi"), pulumi.String(tmpVolume): pulumi.String("16Mi"),
		}, limits)
		requests := containers(t, out.InitContainers)[1].Resources.(corev1.ResourceRequirementsArgs).Requests.(pulumi.StringMap)
		assert.Equal(t, pulumi.String(c.all), requests["ephemeral-storage"], "the scheduler looks for a node with that much disk")
	}
}

// What fluentd is told is JSON that it takes for a list or a map; of an empty list, "null" would be a pattern.
func TestTheSettingsReachTheFilter(t *testing.T) {
	s := sidecar()
	environment := func() map[string]any {
		out, err := s.Add(pod(), web)
		require.NoError(t, err)
		return envOf(t, containers(t, out.InitContainers)[1])
	}
	env := environment()
	assert.Equal(t, pulumi.String("{}"), env["LOG_FIELDS"])
	assert.Equal(t, pulumi.String("{}"), env["LOG_INDEXED_FIELDS"])
	assert.Equal(t, pulumi.String("[]"), env["LOG_DROP_LEVELS"])
	assert.Equal(t, pulumi.String("[]"), env["LOG_REDACT"])
	s.args.Fields, s.args.DropLevels, s.args.Redact = map[string]string{"team": "shop"}, []string{"debug"}, []string{`\d{16}`}
	s.args.IndexedFields = map[string]string{"user_id": "keyword"}
	env = environment()
	assert.Equal(t, pulumi.String(`{"user_id":"keyword"}`), env["LOG_INDEXED_FIELDS"])
	assert.Equal(t, pulumi.String("project-logs"), env["DATA_STREAM"])
	assert.Equal(t, pulumi.String(`{"team":"shop"}`), env["LOG_FIELDS"])
	assert.Equal(t, pulumi.String(`["debug"]`), env["LOG_DROP_LEVELS"])
	assert.Equal(t, pulumi.String(`["\\d{16}"]`), env["LOG_REDACT"])
}

func TestPodsThatCannotCarryTheSidecarAreRefused(t *testing.T) {
	one := func(source podlogs.Source) []podlogs.Source { return []podlogs.Source{source} }
	first := func(change func(*corev1.ContainerArgs)) func(*corev1.PodSpecArgs) {
		return func(p *corev1.PodSpecArgs) {
			c := p.Containers.(corev1.ContainerArray)[0].(corev1.ContainerArgs)
			change(&c)
			p.Containers.(corev1.ContainerArray)[0] = c
		}
	}
	for _, bad := range []struct {
		name, want string
		sources    []podlogs.Source
		change     func(*corev1.PodSpecArgs)
	}{
		{name: "no source", sources: []podlogs.Source{}, want: "no log source: expected one at least"},
		{name: "no such container", sources: one(podlogs.Source{Container: "nobody", Output: true}), want: `container "nobody": the pod has no container of this name`},
		{name: "a container named twice", sources: []podlogs.Source{web, web}, want: `container "web": named by two log sources`},
		{name: "nothing to ship", sources: one(podlogs.Source{Container: "web"}), want: `container "web": nothing to ship`},
		{name: "a folder without files", sources: one(podlogs.Source{Container: "web", Dir: "/logs"}), want: "nothing to ship"},
		{name: "files without a folder", sources: one(podlogs.Source{Container: "job", Files: []string{"a.log"}, Output: true}), want: `folder "" and files ["a.log"]: expected both or none`},
		{name: "relative folder", sources: one(podlogs.Source{Container: "web", Dir: "logs", Files: []string{"a.log"}}), want: `log folder "logs": expected an absolute path`},
		{name: "folder that is not clean", sources: one(podlogs.Source{Container: "web", Dir: "/logs/", Files: []string{"a.log"}}), want: `log folder "/logs/"`},
		{name: "the whole disk", sources: one(podlogs.Source{Container: "web", Dir: "/", Files: []string{"a.log"}}), want: `log folder "/"`},
		{name: "a file that fluentd would not read", sources: one(podlogs.Source{Container: "web", Dir: "/logs", Files: []string{"catalina.out"}}), want: `log file "catalina.out": expected NAME.log`},
		{name: "a file elsewhere", sources: one(podlogs.Source{Container: "web", Dir: "/logs", Files: []string{"../a.log"}}), want: `log file "../a.log": expected NAME.log`},
		{name: "a file named twice", sources: one(podlogs.Source{Container: "web", Dir: "/logs", Files: []string{"a.log", "a.log"}}), want: `log file "a.log": named twice`},
		{name: "the output's file", sources: one(podlogs.Source{Container: "job", Dir: "/logs", Files: []string{"output.log"}, Output: true}), want: `log file "output.log": named twice`},
		{name: "output without a command", sources: one(podlogs.Source{Container: "web", Output: true}), want: `container "web": its output is shipped and its command is <nil>`},
		{name: "a command not known yet", sources: one(podlogs.Source{Container: "web", Output: true}), want: "expected a plain list", change: first(func(c *corev1.ContainerArgs) {
			c.Command = pulumi.StringArray{}.ToStringArrayOutput()
		})},
		{name: "short grace period", want: "grace period 30: expected at least 90 seconds", change: func(p *corev1.PodSpecArgs) {
			p.TerminationGracePeriodSeconds = pulumi.Int(30)
		}},
		{name: "no grace period", want: "expected at least 90 seconds", change: func(p *corev1.PodSpecArgs) {
			p.TerminationGracePeriodSeconds = nil
		}},
		{name: "no fsGroup", want: "has no fsGroup", change: func(p *corev1.PodSpecArgs) {
			p.SecurityContext = corev1.PodSecurityContextArgs{}
		}},
		{name: "another service account", want: "the sidecar needs", change: func(p *corev1.PodSpecArgs) {
			p.ServiceAccountName = pulumi.String("mine")
		}},
		{name: "a container of the sidecar's name", want: `the pod has a container "fluentd" already`, change: func(p *corev1.PodSpecArgs) {
			p.InitContainers = corev1.ContainerArray{corev1.ContainerArgs{Name: pulumi.String("fluentd")}}
		}},
		{name: "a volume of the sidecar's name", want: `the pod has a volume "logs" already`, change: func(p *corev1.PodSpecArgs) {
			p.Volumes = corev1.VolumeArray{corev1.VolumeArgs{Name: pulumi.String("logs")}}
		}},
		{name: "a variable of the sidecar's name", want: `container "web": it has a variable "LOG_DIR" already`, change: first(func(c *corev1.ContainerArgs) {
			c.Env = corev1.EnvVarArray{variable("LOG_DIR", pulumi.String("/elsewhere"))}
		})},
		{name: "a volume where the logs go", want: `container "web": it has a volume at "/var/log/app" already`, change: first(func(c *corev1.ContainerArgs) {
			c.VolumeMounts = corev1.VolumeMountArray{mount("data", "/var/log/app")}
		})},
		{name: "containers not known yet", want: "the pod's containers: found outputs, expected plain values", change: func(p *corev1.PodSpecArgs) {
			p.Containers = corev1.ContainerArray{}.ToContainerArrayOutput()
		}},
		{name: "environment not known yet", want: `container "web": its environment: found outputs, expected plain values`, change: first(func(c *corev1.ContainerArgs) {
			c.Env = corev1.EnvVarArray{}.ToEnvVarArrayOutput()
		})},
	} {
		t.Run(bad.name, func(t *testing.T) {
			spec := pod()
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

// Whoever has three mistakes should not need three previews to see them.
func TestAllThatIsWrongWithAPodIsSaidAtOnce(t *testing.T) {
	spec := pod()
	spec.SecurityContext, spec.ServiceAccountName, spec.TerminationGracePeriodSeconds = nil, pulumi.String("mine"), nil
	_, err := sidecar().Add(spec, podlogs.Source{Container: "nobody"}, podlogs.Source{Container: "web", Dir: "logs", Files: []string{"a"}})
	require.Error(t, err)
	assert.Equal(t, `fluentd sidecar: grace period <nil>: expected at least 90 seconds
the pod has service account mine: the sidecar needs "fluentd"
the pod's security context has no fsGroup: expected the group that its containers share
container "nobody": the pod has no container of this name
container "web": log folder "logs": expected an absolute path without a slash at its end
container "web": log file "a": expected NAME.log`, err.Error())
}
