package logging

import (
	"reflect"
	"strings"
	"testing"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sidecar() *Sidecar {
	return &Sidecar{
		args: &SidecarArgs{
			Image: "example.com/fluentd:1", Region: "us-east-1", ClusterName: "expense", IndexPrefix: "project",
			Endpoint: pulumi.String("vpc-expense.us-east-1.es.amazonaws.com").ToStringOutput(),
			RoleARN:  pulumi.String("arn:aws:iam::111122223333:role/writer"),
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
		},
		InitContainers: corev1.ContainerArray{corev1.ContainerArgs{Name: pulumi.String("migrate")}},
		Volumes:        corev1.VolumeArray{corev1.VolumeArgs{Name: pulumi.String("data")}},
	}
}

func containers(t *testing.T, input corev1.ContainerArrayInput) []corev1.ContainerArgs {
	out, ok := plain[corev1.ContainerArgs, corev1.ContainerArray](input)
	require.True(t, ok)
	return out
}

func mountsOf(t *testing.T, c corev1.ContainerArgs) map[string]string {
	mounts, ok := plain[corev1.VolumeMountArgs, corev1.VolumeMountArray](c.VolumeMounts)
	require.True(t, ok)
	out := map[string]string{}
	for _, m := range mounts {
		out[string(m.Name.(pulumi.String))] = string(m.MountPath.(pulumi.String))
	}
	return out
}

func envOf(t *testing.T, c corev1.ContainerArgs) map[string]any {
	env, ok := plain[corev1.EnvVarArgs, corev1.EnvVarArray](c.Env)
	require.True(t, ok)
	out := map[string]any{}
	for _, e := range env {
		out[string(e.Name.(pulumi.String))] = e.Value
	}
	return out
}

// The app and the sidecar share one directory, the sidecar starts first and keeps running, and nothing else of the pod changes.
func TestTheSidecarReadsWhatTheContainerWrites(t *testing.T) {
	before := pod()
	out, err := sidecar().Add(before, "web", "/var/log/app")
	require.NoError(t, err)

	apps := containers(t, out.Containers)
	require.Len(t, apps, 2)
	assert.Equal(t, map[string]string{logsVolume: "/var/log/app"}, mountsOf(t, apps[0]))
	assert.Equal(t, map[string]any{
		"LOG_DIR": pulumi.String("/var/log/app"), "LOG_MAX_BYTES": pulumi.String("16777216"), "LOG_GENERATIONS": pulumi.String("3"),
	}, envOf(t, apps[0]))
	assert.Equal(t, containers(t, before.Containers)[1], apps[1], "the other container is left alone")

	inits := containers(t, out.InitContainers)
	require.Len(t, inits, 3)
	assert.Equal(t, pulumi.ToStringArray([]string{"touch", "/var/log/app/access.log", "/var/log/app/error.log"}), inits[0].Command)
	assert.Equal(t, pulumi.String(logFilesName), inits[0].Name)
	assert.Equal(t, pulumi.String(sidecarName), inits[1].Name)
	assert.Equal(t, pulumi.String("Always"), inits[1].RestartPolicy)
	assert.Equal(t, pulumi.String("migrate"), inits[2].Name)
	assert.Equal(t, "/var/log/app", mountsOf(t, inits[1])[logsVolume])
	assert.Equal(t, pulumi.String(ServiceAccount), out.ServiceAccountName)

	assert.Equal(t, pod(), before, "the pod that was passed in is not changed")
}

// A token that IAM accepts must not be readable by the application.
func TestOnlyTheSidecarHasTheToken(t *testing.T) {
	out, err := sidecar().Add(pod(), "web", "/var/log/app")
	require.NoError(t, err)
	holders := 0
	for _, c := range append(containers(t, out.Containers), containers(t, out.InitContainers)...) {
		if _, has := mountsOf(t, c)[tokenVolume]; has {
			holders++
			assert.Equal(t, pulumi.String(sidecarName), c.Name)
		}
	}
	assert.Equal(t, 1, holders)
}

// Every ENV['X'] of fluent.conf is set, and nothing is set for it that it does not read.
func TestTheConfigurationAndTheEnvironmentAgree(t *testing.T) {
	out, err := sidecar().Add(pod(), "web", "/var/log/app")
	require.NoError(t, err)
	env := envOf(t, containers(t, out.InitContainers)[1])
	read := 0
	for _, part := range strings.Split(fluentConf, "ENV['")[1:] {
		name, _, _ := strings.Cut(part, "'")
		assert.Contains(t, env, name)
		delete(env, name)
		if name == "LOG_DIR" || name == "STATE_DIR" || name == "AWS_REGION" {
			env[name] = nil // read more than once
		}
		read++
	}
	assert.Greater(t, read, 10)
	for _, name := range []string{"LOG_DIR", "STATE_DIR", "AWS_REGION"} {
		delete(env, name)
	}
	// What is left is for the image's entrypoint, the allocator and the AWS SDK.
	for _, name := range []string{"FLUENTD_CONF", "FLUENTD_OPT", "LD_PRELOAD", "AWS_STS_REGIONAL_ENDPOINTS"} {
		assert.Contains(t, env, name)
		delete(env, name)
	}
	assert.Empty(t, env)
}

// The kubelet evicts a pod whose emptyDir passes its limit: the limit is twice what rotation and buffer can reach.
func TestTheVolumesHoldTwiceWhatIsWritten(t *testing.T) {
	out, err := sidecar().Add(pod(), "web", "/var/log/app")
	require.NoError(t, err)
	volumes, ok := plain[corev1.VolumeArgs, corev1.VolumeArray](out.Volumes)
	require.True(t, ok)
	limits := map[pulumi.StringInput]pulumi.StringPtrInput{}
	for _, v := range volumes {
		if source, ok := v.EmptyDir.(corev1.EmptyDirVolumeSourceArgs); ok {
			limits[v.Name] = source.SizeLimit
		}
	}
	assert.Equal(t, map[pulumi.StringInput]pulumi.StringPtrInput{
		pulumi.String(logsVolume): pulumi.String("256Mi"), pulumi.String(stateVolume): pulumi.String("256Mi"), pulumi.String(tmpVolume): pulumi.String("16Mi"),
	}, limits)
	requests := containers(t, out.InitContainers)[1].Resources.(corev1.ResourceRequirementsArgs).Requests.(pulumi.StringMap)
	assert.Equal(t, pulumi.String("512Mi"), requests["ephemeral-storage"], "the scheduler looks for a node with that much disk")
}

func TestPodsThatCannotCarryTheSidecarAreRefused(t *testing.T) {
	for _, bad := range []struct {
		name, container, dir, want string
		change                     func(*corev1.PodSpecArgs)
	}{
		{name: "no such container", container: "nobody", dir: "/logs", want: "the pod has no container of this name"},
		{name: "relative directory", container: "web", dir: "logs", want: "expected an absolute path"},
		{name: "no directory", container: "web", dir: "", want: "expected an absolute path"},
		{name: "short grace period", container: "web", dir: "/logs", want: "grace period 30: expected at least 90 seconds", change: func(p *corev1.PodSpecArgs) {
			p.TerminationGracePeriodSeconds = pulumi.Int(30)
		}},
		{name: "no grace period", container: "web", dir: "/logs", want: "expected at least 90 seconds", change: func(p *corev1.PodSpecArgs) {
			p.TerminationGracePeriodSeconds = nil
		}},
		{name: "no fsGroup", container: "web", dir: "/logs", want: "has no fsGroup", change: func(p *corev1.PodSpecArgs) {
			p.SecurityContext = corev1.PodSecurityContextArgs{}
		}},
		{name: "another service account", container: "web", dir: "/logs", want: "the sidecar needs", change: func(p *corev1.PodSpecArgs) {
			p.ServiceAccountName = pulumi.String("mine")
		}},
		{name: "a container of the sidecar's name", container: "web", dir: "/logs", want: `the pod has a container "fluentd" already`, change: func(p *corev1.PodSpecArgs) {
			p.InitContainers = corev1.ContainerArray{corev1.ContainerArgs{Name: pulumi.String("fluentd")}}
		}},
		{name: "a volume of the sidecar's name", container: "web", dir: "/logs", want: `the pod has a volume "logs" already`, change: func(p *corev1.PodSpecArgs) {
			p.Volumes = corev1.VolumeArray{corev1.VolumeArgs{Name: pulumi.String("logs")}}
		}},
		{name: "containers not known yet", container: "web", dir: "/logs", want: "expected plain values", change: func(p *corev1.PodSpecArgs) {
			p.Containers = corev1.ContainerArray{}.ToContainerArrayOutput()
		}},
		{name: "environment not known yet", container: "web", dir: "/logs", want: "expected plain values", change: func(p *corev1.PodSpecArgs) {
			p.Containers = corev1.ContainerArray{corev1.ContainerArgs{Name: pulumi.String("web"), Env: corev1.EnvVarArray{}.ToEnvVarArrayOutput()}}
		}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			spec := pod()
			if bad.change != nil {
				bad.change(&spec)
			}
			out, err := sidecar().Add(spec, bad.container, bad.dir)
			assert.ErrorContains(t, err, bad.want)
			assert.True(t, reflect.ValueOf(out).IsZero(), "nothing half-made")
		})
	}
}
