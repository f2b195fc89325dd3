package logging

import (
	_ "embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"expense/internal/podsecurity"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// ServiceAccount is the account of every pod with a sidecar. The account by itself gives a pod nothing: the token that
// IAM accepts is mounted into the sidecar alone.
const ServiceAccount = "fluentd"

// The names that the sidecar adds to a pod.
const (
	sidecarName     = "fluentd"
	logFilesName    = "log-files"
	logsVolume      = "logs"
	stateVolume     = "fluentd-state"
	tmpVolume       = "fluentd-tmp"
	configVolume    = "fluentd-config"
	tokenVolume     = "fluentd-token"
	stateDir        = "/var/lib/fluentd"
	metricsPort     = 24231
	minGraceSeconds = 90
)

// The bounds of what a pod keeps on its node's disk. An emptyDir's limit is not a quota but the size at which the kubelet
// evicts the pod, so each is twice what its content can reach.
const (
	mib = 1 << 20
	// rotateBytes is the size at which the application renames a log file, and generations how many renamed ones it keeps.
	rotateBytes = 16 * mib
	generations = 3
	// bufferBytes is the sidecar's buffer: what it read and could not send yet.
	bufferBytes = 128 * mib
	logsLimit   = 2 * rotateBytes * (generations + 1) * logFileCount
	stateLimit  = 2 * bufferBytes
)

// logFileCount is the number of files that a logging container writes.
const logFileCount = 2

// logFiles are what the sidecar reads in the directory of logs: requests as JSON, and errors as nginx writes them.
var logFiles = [logFileCount]string{"access.log", "error.log"}

//go:embed files/fluent.conf
var fluentConf string

// SidecarArgs describe the sidecar.
type SidecarArgs struct {
	Image       string
	Region      string
	ClusterName string
	IndexPrefix string
	// Namespace is the name of the namespace that the pods are in.
	Namespace pulumi.StringInput
	// Endpoint is the domain's, without https://.
	Endpoint pulumi.StringOutput
	RoleARN  pulumi.StringInput
}

// Sidecar is what every pod with a fluentd sidecar shares: its configuration and its service account.
type Sidecar struct {
	pulumi.ResourceState

	args           *SidecarArgs
	config         pulumi.StringInput
	serviceAccount pulumi.StringInput
}

// NewSidecar makes the shared objects. A change of the configuration gives the config map a new name, and so rolls or
// replaces the pods.
func NewSidecar(ctx *pulumi.Context, name string, args *SidecarArgs, opts ...pulumi.ResourceOption) (*Sidecar, error) {
	if args == nil {
		return nil, fmt.Errorf("sidecar %q: no arguments", name)
	}
	s := &Sidecar{args: args}
	if err := ctx.RegisterComponentResource(typeSidecar, name, s, opts...); err != nil {
		return nil, err
	}
	config, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata:  metav1.ObjectMetaArgs{Namespace: args.Namespace},
		Data:      pulumi.StringMap{"fluent.conf": pulumi.String(fluentConf)},
		Immutable: pulumi.Bool(true),
	}, pulumi.Parent(s))
	if err != nil {
		return nil, fmt.Errorf("fluentd configuration: %w", err)
	}
	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{
		Metadata:                     metav1.ObjectMetaArgs{Name: pulumi.String(ServiceAccount), Namespace: args.Namespace},
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(s))
	if err != nil {
		return nil, fmt.Errorf("fluentd service account: %w", err)
	}
	s.config, s.serviceAccount = config.Metadata.Name().Elem(), account.Metadata.Name().Elem()
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{})
}

// Add returns the pod with a sidecar that ships the log files which container writes to dir: access.log as one JSON
// object a line, and error.log. The container is given the volume at dir, and LOG_DIR, LOG_MAX_BYTES and LOG_GENERATIONS
// in its environment, by which it must rotate the files. The pod that was passed in is not changed.
//
// It refuses a pod without such a container or whose parts are not plain values, a dir that is not absolute, a pod that
// has one of the names it adds, another service account, no fsGroup (the token and the log files are shared through it),
// or a grace period below 90 seconds: the last lines are sent after the application has stopped.
func (s *Sidecar) Add(pod corev1.PodSpecArgs, container, dir string) (corev1.PodSpecArgs, error) {
	fail := func(format string, args ...any) (corev1.PodSpecArgs, error) {
		return corev1.PodSpecArgs{}, fmt.Errorf("fluentd sidecar for container %q: "+format, append([]any{container}, args...)...)
	}
	if !path.IsAbs(dir) {
		return fail("log directory %q: expected an absolute path", dir)
	}
	if grace, ok := pod.TerminationGracePeriodSeconds.(pulumi.Int); !ok || int(grace) < minGraceSeconds {
		return fail("grace period %v: expected at least %d seconds", pod.TerminationGracePeriodSeconds, minGraceSeconds)
	}
	if pod.ServiceAccountName != nil {
		return fail("the pod has service account %v: the sidecar needs %q", pod.ServiceAccountName, ServiceAccount)
	}
	if security, ok := pod.SecurityContext.(corev1.PodSecurityContextArgs); !ok || security.FsGroup == nil {
		return fail("the pod's security context has no fsGroup")
	}
	containers, ok1 := plain[corev1.ContainerArgs, corev1.ContainerArray](pod.Containers)
	inits, ok2 := plain[corev1.ContainerArgs, corev1.ContainerArray](pod.InitContainers)
	volumes, ok3 := plain[corev1.VolumeArgs, corev1.VolumeArray](pod.Volumes)
	if !ok1 || !ok2 || !ok3 {
		return fail("the pod's containers, init containers or volumes are outputs: expected plain values")
	}
	index := slices.IndexFunc(containers, func(c corev1.ContainerArgs) bool { return c.Name == pulumi.String(container) })
	if index < 0 {
		return fail("the pod has no container of this name")
	}
	for _, c := range append(slices.Clone(containers), inits...) {
		if c.Name == pulumi.String(sidecarName) || c.Name == pulumi.String(logFilesName) {
			return fail("the pod has a container %q already", c.Name)
		}
	}
	for _, v := range volumes {
		if slices.Contains([]pulumi.StringInput{
			pulumi.String(logsVolume), pulumi.String(stateVolume), pulumi.String(tmpVolume), pulumi.String(configVolume), pulumi.String(tokenVolume),
		}, v.Name) {
			return fail("the pod has a volume %q already", v.Name)
		}
	}

	app := &containers[index]
	mounts, ok1 := plain[corev1.VolumeMountArgs, corev1.VolumeMountArray](app.VolumeMounts)
	env, ok2 := plain[corev1.EnvVarArgs, corev1.EnvVarArray](app.Env)
	if !ok1 || !ok2 {
		return fail("its volume mounts or its environment are outputs: expected plain values")
	}
	app.VolumeMounts = array[corev1.VolumeMountArray](append(mounts, mount(logsVolume, dir)))
	app.Env = array[corev1.EnvVarArray](append(env,
		variable("LOG_DIR", pulumi.String(dir)),
		variable("LOG_MAX_BYTES", pulumi.String(strconv.Itoa(rotateBytes))),
		variable("LOG_GENERATIONS", pulumi.String(strconv.Itoa(generations))),
	))

	pod.Containers = array[corev1.ContainerArray](containers)
	// First of all: the sidecar then reads what the pod's own init containers log, and stops after everything else.
	pod.InitContainers = array[corev1.ContainerArray](append([]corev1.ContainerArgs{s.files(dir), s.fluentd(container, dir)}, inits...))
	pod.Volumes = array[corev1.VolumeArray](append(volumes, s.volumes()...))
	pod.ServiceAccountName = s.serviceAccount
	return pod, nil
}

// files makes the log files before the application starts: fluentd looks for files every two seconds, and would not see
// one that a short-lived pod makes after its last look.
func (s *Sidecar) files(dir string) corev1.ContainerArgs {
	return corev1.ContainerArgs{
		Name:            pulumi.String(logFilesName),
		Image:           pulumi.String(s.args.Image),
		Command:         pulumi.ToStringArray(append([]string{"touch"}, logPaths(dir)...)),
		VolumeMounts:    corev1.VolumeMountArray{mount(logsVolume, dir)},
		Resources:       resources("10m", "16Mi", "64Mi", nil),
		SecurityContext: podsecurity.Container(),
	}
}

// fluentd is the sidecar: an init container that keeps running, started before and stopped after the application
// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
func (s *Sidecar) fluentd(container, dir string) corev1.ContainerArgs {
	logs := mount(logsVolume, dir)
	logs.ReadOnly = pulumi.Bool(true)
	config := mount(configVolume, "/fluentd/etc")
	config.ReadOnly = pulumi.Bool(true)
	_, token, aws := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return corev1.ContainerArgs{
		Name:          pulumi.String(sidecarName),
		Image:         pulumi.String(s.args.Image),
		RestartPolicy: pulumi.String("Always"),
		Env: append(aws,
			// Read by the image's entrypoint. One process instead of two: the kubelet restarts it.
			variable("FLUENTD_CONF", pulumi.String("fluent.conf")),
			variable("FLUENTD_OPT", pulumi.String("--no-supervisor")),
			// Ruby's memory stays lower with the allocator that the image has but does not load.
			variable("LD_PRELOAD", pulumi.String("/usr/lib/libjemalloc.so.2")),
			variable("LOG_DIR", pulumi.String(dir)),
			variable("STATE_DIR", pulumi.String(stateDir)),
			variable("BUFFER_BYTES", pulumi.String(strconv.Itoa(bufferBytes))),
			variable("INDEX_PREFIX", pulumi.String(s.args.IndexPrefix)),
			variable("OPENSEARCH_URL", pulumi.Sprintf("https://%s", s.args.Endpoint)),
			variable("CLUSTER_NAME", pulumi.String(s.args.ClusterName)),
			variable("APP_CONTAINER", pulumi.String(container)),
			field("POD_NAME", "metadata.name"),
			field("POD_NAMESPACE", "metadata.namespace"),
			field("NODE_NAME", "spec.nodeName"),
		),
		Ports: corev1.ContainerPortArray{corev1.ContainerPortArgs{
			Name: pulumi.String("fluentd-metrics"), ContainerPort: pulumi.Int(metricsPort),
		}},
		VolumeMounts: corev1.VolumeMountArray{logs, mount(stateVolume, stateDir), mount(tmpVolume, "/tmp"), config, token},
		// Generous, and no readiness probe: a domain that is away must neither restart the sidecar nor take the
		// application out of service.
		LivenessProbe: corev1.ProbeArgs{
			HttpGet:             corev1.HTTPGetActionArgs{Path: pulumi.String("/metrics"), Port: pulumi.Int(metricsPort)},
			InitialDelaySeconds: pulumi.Int(30),
			PeriodSeconds:       pulumi.Int(30),
			TimeoutSeconds:      pulumi.Int(10),
			FailureThreshold:    pulumi.Int(4),
		},
		// 57 MB idle and 120 MB under load were measured; no CPU limit, because a throttled start takes half a minute.
		Resources:       resources("50m", "128Mi", "384Mi", pulumi.StringMap{"ephemeral-storage": size(logsLimit + stateLimit)}),
		SecurityContext: podsecurity.Container(),
	}
}

func (s *Sidecar) volumes() []corev1.VolumeArgs {
	token, _, _ := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return []corev1.VolumeArgs{
		emptyDir(logsVolume, corev1.EmptyDirVolumeSourceArgs{SizeLimit: size(logsLimit)}),
		emptyDir(stateVolume, corev1.EmptyDirVolumeSourceArgs{SizeLimit: size(stateLimit)}),
		// In memory, because only such a volume has the sticky bit that Ruby asks of a temporary directory.
		emptyDir(tmpVolume, corev1.EmptyDirVolumeSourceArgs{Medium: pulumi.String("Memory"), SizeLimit: size(16 * mib)}),
		{Name: pulumi.String(configVolume), ConfigMap: corev1.ConfigMapVolumeSourceArgs{Name: s.config}},
		token,
	}
}

func logPaths(dir string) []string {
	var paths []string
	for _, file := range logFiles {
		paths = append(paths, path.Join(dir, file))
	}
	return paths
}

func mount(volume, dir string) corev1.VolumeMountArgs {
	return corev1.VolumeMountArgs{Name: pulumi.String(volume), MountPath: pulumi.String(dir)}
}

func emptyDir(name string, source corev1.EmptyDirVolumeSourceArgs) corev1.VolumeArgs {
	return corev1.VolumeArgs{Name: pulumi.String(name), EmptyDir: source}
}

func variable(name string, value pulumi.StringInput) corev1.EnvVarArgs {
	return corev1.EnvVarArgs{Name: pulumi.String(name), Value: value}
}

func field(name, fieldPath string) corev1.EnvVarArgs {
	return corev1.EnvVarArgs{Name: pulumi.String(name), ValueFrom: corev1.EnvVarSourceArgs{
		FieldRef: corev1.ObjectFieldSelectorArgs{FieldPath: pulumi.String(fieldPath)},
	}}
}

func size(bytes int) pulumi.String {
	return pulumi.String(strconv.Itoa(bytes/mib) + "Mi")
}

func resources(cpu, memory, memoryLimit string, requests pulumi.StringMap) corev1.ResourceRequirementsArgs {
	all := pulumi.StringMap{"cpu": pulumi.String(cpu), "memory": pulumi.String(memory)}
	maps.Copy(all, requests)
	return corev1.ResourceRequirementsArgs{Requests: all, Limits: pulumi.StringMap{"memory": pulumi.String(memoryLimit)}}
}

// plain is a copy of an input's items, and false for one whose items are not known yet.
func plain[T any, A ~[]I, I any](input any) ([]T, bool) {
	if input == nil {
		return nil, true
	}
	items, ok := input.(A)
	if !ok {
		return nil, false
	}
	out := make([]T, len(items))
	for i, item := range items {
		if out[i], ok = any(item).(T); !ok {
			return nil, false
		}
	}
	return out, true
}

// array is the reverse of plain.
func array[A ~[]I, I, T any](items []T) A {
	out := make(A, len(items))
	for i, item := range items {
		out[i] = any(item).(I)
	}
	return out
}
