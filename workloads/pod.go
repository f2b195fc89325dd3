package workloads

import (
	"embed"
	"fmt"
	"time"

	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Port is nginx's port. An unprivileged user may not listen below 1024.
const Port = 8080

const (
	portName       = "http"
	nginxContainer = "nginx"
	// logDir is where nginx.conf writes the log files.
	logDir = "/var/log/app"
	// user is the official nginx image's unprivileged user. All containers of a pod run as this user and can share files.
	user = 101
	// nginxGraceSeconds is how long nginx may take to stop, and graceSeconds a pod of it. The rest is for its last log lines.
	nginxGraceSeconds = 30
	graceSeconds      = nginxGraceSeconds + stopDelaySeconds + logSeconds

	// nginxStart is how long nginx may take to start. It then answers healthPath.
	nginxStart = time.Minute
	healthPath = "/healthz"

	configVolume = "nginx-config"
	tmpVolume    = "tmp"
	configPath   = "/etc/nginx/" + configKey
	rotatePath   = "/opt/nginx/" + rotateKey
)

// The keys of nginx's ConfigMap are the names of the files.
const (
	configKey = "nginx.conf"
	rotateKey = "rotate-logs.sh"
)

//go:embed files
var files embed.FS

// nginxFiles are the keys of nginx's files by their paths in the container.
var nginxFiles = map[string]string{configPath: configKey, rotatePath: rotateKey}

// nginxCommand is not the image's entrypoint: that starts only executable scripts, ignores links as in a ConfigMap's folder, and starts
// nginx all the same (https://github.com/nginx/docker-nginx/blob/master/stable/debian/docker-entrypoint.sh). Its own scripts edit files,
// which a read-only root forbids.
var nginxCommand = []string{"sh", rotatePath, "nginx", "-g", "daemon off;"}

var nginxResources = pod.Resources{CPU: "100m", Memory: "64Mi", MemoryLimit: "128Mi"}

// file is the text of an embedded file. It panics for a name that does not exist.
func file(name string) string {
	data, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// Ship returns the pod with a sidecar that ships its containers' logs. A container that writes files finds its folder in LOG_DIR and
// the bounds of its rotation in LOG_MAX_BYTES and LOG_GENERATIONS.
type Ship func(spec pod.Spec, sources ...pod.LogSource) (pod.Spec, error)

// nginxLogs are the files of nginx.conf: requests as JSON, and errors.
var nginxLogs = pod.LogSource{Container: nginxContainer, Dir: logDir, Files: []string{"access.log", "error.log"}}

// newNginxConfig makes the ConfigMap of an nginx. Its name changes with its content, so a change rolls or replaces the pods.
func newNginxConfig(
	ctx *pulumi.Context, name string, namespace pulumi.StringInput, opts ...pulumi.ResourceOption,
) (*corev1.ConfigMap, error) {
	config, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata:  metav1.ObjectMetaArgs{Namespace: namespace},
		Data:      pulumi.StringMap{configKey: pulumi.String(file(configKey)), rotateKey: pulumi.String(file(rotateKey))},
		Immutable: pulumi.Bool(true),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("nginx configuration: %w", err)
	}
	return config, nil
}

// nginx is the container of the bare pods: the official image as an unprivileged user on a read-only file system, with startup,
// liveness and readiness probes.
func nginx(image string, mounts ...pod.Mount) pod.Container {
	probe := func(period, failures int) *pod.Probe {
		return &pod.Probe{Path: healthPath, Port: Port, PeriodSeconds: period, Failures: failures, TimeoutSeconds: 2}
	}
	return pod.Container{
		Name:    nginxContainer,
		Image:   image,
		Command: nginxCommand,
		Ports:   []pod.Port{{Name: portName, Number: Port}},
		// Each mount is one regular file, so that the folder keeps the image's other files.
		Mounts: append([]pod.Mount{
			{Volume: configVolume, Path: configPath, SubPath: configKey, ReadOnly: true},
			{Volume: configVolume, Path: rotatePath, SubPath: rotateKey, ReadOnly: true},
			{Volume: tmpVolume, Path: "/tmp"},
		}, mounts...),
		Startup:   probe(2, int(nginxStart.Seconds())/2),
		Liveness:  probe(10, 3),
		Readiness: probe(5, 2),
		// Endpoints and load balancers learn only after a moment that the pod stops. Until then it still answers.
		StopDelaySeconds: stopDelaySeconds,
		Resources:        nginxResources,
	}
}

// nginxVolumes are the volumes that nginx mounts.
func nginxVolumes(config *corev1.ConfigMap) []pod.Volume {
	return []pod.Volume{
		{Name: configVolume, ConfigMap: config.Metadata.Name().Elem()},
		{Name: tmpVolume, Empty: &pod.Empty{LimitMiB: 64}},
	}
}
