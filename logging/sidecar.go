package logging

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"expense/internal/podlogs"
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
	// SidecarName is the sidecar's container.
	SidecarName     = "fluentd"
	logFilesName    = "log-files"
	logsVolume      = "logs"
	stateVolume     = "fluentd-state"
	tmpVolume       = "fluentd-tmp"
	configVolume    = "fluentd-config"
	tokenVolume     = "fluentd-token"
	metricsPort     = 24231
	minGraceSeconds = 90
)

// The paths in a pod's containers.
const (
	// logsDir is where the sidecar sees the folders of all containers.
	logsDir  = "/var/log/pod"
	stateDir = "/var/lib/fluentd"
	// outputDir is the folder of a container that writes no files of its own, and outputFile what its output is copied to.
	outputDir   = "/var/log/output"
	outputFile  = "output.log"
	capturePath = "/opt/fluentd/" + captureKey
)

// The keys of the config map, which are the names of the files.
const (
	configKey  = "fluent.conf"
	inputKey   = "in_expense.rb"
	filterKey  = "filter_expense.rb"
	outputKey  = "out_expense.rb"
	captureKey = "capture-output.sh"
)

// The bounds of what a pod keeps on its node's disk. An emptyDir's limit is not a quota but the size at which the kubelet
// evicts the pod, so each is twice what its content can reach.
const (
	mib = 1 << 20
	// rotateBytes is the size at which a log file is renamed, and generations how many renamed ones are kept.
	rotateBytes = 16 * mib
	generations = 3
	// bufferBytes is the sidecar's buffer: what it read and could not send yet.
	bufferBytes = 128 * mib
	stateLimit  = 2 * bufferBytes
)

// logsLimit is the bound of the volume that so many log files are in.
func logsLimit(files int) int { return 2 * rotateBytes * (generations + 1) * files }

// logFile is the name of a file that fluentd reads: its folder and its name without the ending are fields of each line.
var logFile = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*\.log$`)

var (
	//go:embed files/fluent.conf
	fluentConf string
	//go:embed files/in_expense.rb
	inputPlugin string
	//go:embed files/filter_expense.rb
	filterPlugin string
	//go:embed files/out_expense.rb
	outputPlugin string
	//go:embed files/capture-output.sh
	captureScript string
)

// SidecarArgs describe the sidecar.
type SidecarArgs struct {
	Image       string
	Region      string
	ClusterName string
	// DataStream is the name of the data stream that the lines go to.
	DataStream string
	// Namespace is the name of the namespace that the pods are in.
	Namespace pulumi.StringInput
	// Endpoint is the domain's, without https://.
	Endpoint pulumi.StringOutput
	RoleARN  pulumi.StringInput
	// Fields are added to every line, over what the application calls so. The names that the sidecar itself adds (cluster,
	// namespace, pod, node, zone, container, stream) win over them. Empty adds none.
	Fields map[string]string
	// IndexedFields are the fields of an application's JSON that can be searched, with their types. Empty declares none.
	IndexedFields map[string]string
	// DropLevels are levels whose lines are not sent, in upper or lower case, such as "debug": of nginx's errors and of JSON
	// objects with a field level, severity or lvl. Empty drops none.
	DropLevels []string
	// Redact are Ruby regular expressions (https://docs.ruby-lang.org/en/3.4/Regexp.html); what one matches in a line is
	// replaced by "[redacted]", after what is always removed: authorization headers, cookies, passwords, tokens. One that does
	// not compile keeps the sidecar from starting. Empty adds none.
	Redact []string
	// BytesPerDay is how much of a pod's logs is read in a day, each line with 64 bytes more; the first day's may be read at
	// once. It keeps one pod from filling the domain for all. What is above waits in the files, as long as rotation keeps them.
	BytesPerDay int
}

// Sidecar is what every pod with a fluentd sidecar shares: its configuration and its service account.
type Sidecar struct {
	pulumi.ResourceState

	args           *SidecarArgs
	config         pulumi.StringInput
	serviceAccount pulumi.StringInput
}

// NewSidecar makes the shared objects. A change of the files gives the config map a new name, and so rolls or replaces the
// pods, as a change of the arguments does.
func NewSidecar(ctx *pulumi.Context, name string, args *SidecarArgs, opts ...pulumi.ResourceOption) (*Sidecar, error) {
	if args == nil {
		return nil, fmt.Errorf("sidecar %q: no arguments", name)
	}
	s := &Sidecar{args: args}
	if err := ctx.RegisterComponentResource(typeSidecar, name, s, opts...); err != nil {
		return nil, err
	}
	config, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata: metav1.ObjectMetaArgs{Namespace: args.Namespace},
		Data: pulumi.StringMap{
			configKey: pulumi.String(fluentConf), inputKey: pulumi.String(inputPlugin), filterKey: pulumi.String(filterPlugin),
			outputKey: pulumi.String(outputPlugin), captureKey: pulumi.String(captureScript),
		},
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

// Add returns the pod with a sidecar that ships what the sources' containers write. The log folders of all containers are
// one volume, of which each container is given its own; it finds its path in LOG_DIR, and the bounds for its rotation in
// LOG_MAX_BYTES and LOG_GENERATIONS. Where a source has Output, the container's command is run by a script that copies its
// output. The pod that was passed in is not changed.
//
// It refuses, with all that is wrong: no source, one that has nothing to ship, files that are not NAME.log, a folder that
// is not absolute, a container that the pod does not have or that is named twice, one without a command whose output is
// asked for; a pod that has one of the names it adds, another service account, no fsGroup (the token and the log files are
// shared through it), a grace period below 90 seconds (the last lines are sent after the application has stopped), or parts
// that are not plain values.
func (s *Sidecar) Add(pod corev1.PodSpecArgs, sources ...podlogs.Source) (corev1.PodSpecArgs, error) {
	var found problems
	found.pod(pod)
	containers := plain[corev1.ContainerArgs, corev1.ContainerArray](&found, "the pod's containers", pod.Containers)
	inits := plain[corev1.ContainerArgs, corev1.ContainerArray](&found, "the pod's init containers", pod.InitContainers)
	volumes := plain[corev1.VolumeArgs, corev1.VolumeArray](&found, "the pod's volumes", pod.Volumes)
	found.names(slices.Concat(containers, inits), volumes)
	if len(sources) == 0 {
		found.add("no log source: expected one at least, remove the sidecar otherwise")
	}
	named := map[string]bool{}
	for _, source := range sources {
		index := slices.IndexFunc(containers, func(c corev1.ContainerArgs) bool { return c.Name == pulumi.String(source.Container) })
		switch {
		case named[source.Container]:
			found.add("container %q: named by two log sources, expected one with all that it writes", source.Container)
		case index < 0:
			found.add("container %q: the pod has no container of this name", source.Container)
		default:
			containers[index] = found.attach(containers[index], source)
		}
		named[source.Container] = true
	}
	if len(found) > 0 {
		return corev1.PodSpecArgs{}, fmt.Errorf("fluentd sidecar: %w", errors.Join(found...))
	}

	files := logFiles(sources)
	limit := logsLimit(len(files))
	pod.Containers = array[corev1.ContainerArray](containers)
	// First of all: the sidecar then stops after everything else.
	pod.InitContainers = array[corev1.ContainerArray](append([]corev1.ContainerArgs{s.files(files), s.fluentd(files, limit)}, inits...))
	pod.Volumes = array[corev1.VolumeArray](append(volumes, s.volumes(limit)...))
	pod.ServiceAccountName = s.serviceAccount
	return pod, nil
}

// problems are what keeps a pod from having a sidecar.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// pod notes what the pod itself lacks.
func (p *problems) pod(pod corev1.PodSpecArgs) {
	if grace, ok := pod.TerminationGracePeriodSeconds.(pulumi.Int); !ok || int(grace) < minGraceSeconds {
		p.add("grace period %v: expected at least %d seconds", pod.TerminationGracePeriodSeconds, minGraceSeconds)
	}
	if pod.ServiceAccountName != nil {
		p.add("the pod has service account %v: the sidecar needs %q", pod.ServiceAccountName, ServiceAccount)
	}
	if security, ok := pod.SecurityContext.(corev1.PodSecurityContextArgs); !ok || security.FsGroup == nil {
		p.add("the pod's security context has no fsGroup: expected the group that its containers share")
	}
}

// names notes what has a name that the sidecar adds.
func (p *problems) names(containers []corev1.ContainerArgs, volumes []corev1.VolumeArgs) {
	for _, c := range containers {
		if taken(c.Name, SidecarName, logFilesName) {
			p.add("the pod has a container %q already: the sidecar needs the name", c.Name)
		}
	}
	for _, v := range volumes {
		if taken(v.Name, logsVolume, stateVolume, tmpVolume, configVolume, tokenVolume) {
			p.add("the pod has a volume %q already: the sidecar needs the name", v.Name)
		}
	}
}

func taken(name pulumi.StringInput, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return name == pulumi.String(n) })
}

// attach is the container with its folder, and with the script around its command where its output is asked for.
func (p *problems) attach(c corev1.ContainerArgs, source podlogs.Source) corev1.ContainerArgs {
	fail := func(format string, args ...any) {
		p.add("container %q: "+format, append([]any{source.Container}, args...)...)
	}
	if !source.Output && (source.Dir == "" || len(source.Files) == 0) {
		fail("nothing to ship: expected a folder and the files in it, or its output")
	}
	if (source.Dir == "") != (len(source.Files) == 0) {
		fail("folder %q and files %q: expected both or none", source.Dir, source.Files)
	}
	if source.Dir != "" && (!path.IsAbs(source.Dir) || path.Clean(source.Dir) != source.Dir || source.Dir == "/") {
		fail("log folder %q: expected an absolute path without a slash at its end", source.Dir)
	}
	for i, file := range source.Files {
		if !logFile.MatchString(file) {
			fail("log file %q: expected NAME.log", file)
		}
		if slices.Contains(source.Files[:i], file) || source.Output && file == outputFile {
			fail("log file %q: named twice", file)
		}
	}

	env := plain[corev1.EnvVarArgs, corev1.EnvVarArray](p, fmt.Sprintf("container %q: its environment", source.Container), c.Env)
	mounts := plain[corev1.VolumeMountArgs, corev1.VolumeMountArray](p, fmt.Sprintf("container %q: its volume mounts", source.Container), c.VolumeMounts)
	dir := source.Dir
	if dir == "" {
		dir = outputDir
	}
	logs := mount(logsVolume, dir)
	logs.SubPath = pulumi.String(source.Container)
	addedMounts := []corev1.VolumeMountArgs{logs}
	if source.Output {
		command, ok := c.Command.(pulumi.StringArray)
		if !ok || len(command) == 0 {
			fail("its output is shipped and its command is %v: expected a plain list, as the image's own entrypoint is not known here", c.Command)
		}
		c.Command = append(pulumi.StringArray{pulumi.String("sh"), pulumi.String(capturePath)}, command...)
		addedMounts = append(addedMounts, configFile(captureKey, capturePath))
	}
	addedEnv := []corev1.EnvVarArgs{
		variable("LOG_DIR", pulumi.String(dir)),
		variable("LOG_MAX_BYTES", pulumi.String(strconv.Itoa(rotateBytes))),
		variable("LOG_GENERATIONS", pulumi.String(strconv.Itoa(generations))),
	}
	for _, added := range addedEnv {
		if slices.ContainsFunc(env, func(e corev1.EnvVarArgs) bool { return e.Name == added.Name }) {
			fail("it has a variable %q already: the sidecar needs the name", added.Name)
		}
	}
	for _, added := range addedMounts {
		if slices.ContainsFunc(mounts, func(m corev1.VolumeMountArgs) bool { return m.MountPath == added.MountPath }) {
			fail("it has a volume at %q already: the sidecar needs the path", added.MountPath)
		}
	}
	c.Env = array[corev1.EnvVarArray](append(env, addedEnv...))
	c.VolumeMounts = array[corev1.VolumeMountArray](append(mounts, addedMounts...))
	return c
}

// files makes the folders and the log files before the application starts, as the pod's user and writable for its group: a
// folder that the kubelet has to make for a subPath is root's.
func (s *Sidecar) files(files []string) corev1.ContainerArgs {
	return corev1.ContainerArgs{
		Name:            pulumi.String(logFilesName),
		Image:           pulumi.String(s.args.Image),
		Command:         pulumi.ToStringArray(append([]string{"sh", "-euc", makeFiles, logsDir}, files...)),
		VolumeMounts:    corev1.VolumeMountArray{mount(logsVolume, logsDir)},
		Resources:       resources("10m", "16Mi", "64Mi", nil),
		SecurityContext: podsecurity.Container(),
	}
}

const makeFiles = `umask 002; cd "$0" || exit; for file; do mkdir -p "${file%/*}"; touch "$file"; done`

// fluentd is the sidecar: an init container that keeps running, started before and stopped after the application
// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
func (s *Sidecar) fluentd(files []string, logsLimit int) corev1.ContainerArgs {
	logs := mount(logsVolume, logsDir)
	logs.ReadOnly = pulumi.Bool(true)
	_, token, aws := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return corev1.ContainerArgs{
		Name:          pulumi.String(SidecarName),
		Image:         pulumi.String(s.args.Image),
		RestartPolicy: pulumi.String("Always"),
		Env: append(aws,
			// Read by the image's entrypoint. One process instead of two: the kubelet restarts it.
			variable("FLUENTD_CONF", pulumi.String(configKey)),
			variable("FLUENTD_OPT", pulumi.String("--no-supervisor")),
			// Ruby's memory stays lower with the allocator that the image has but does not load.
			variable("LD_PRELOAD", pulumi.String("/usr/lib/libjemalloc.so.2")),
			variable("LOG_DIR", pulumi.String(logsDir)),
			variable("LOG_FILES", jsonText(files, "[]")),
			variable("STATE_DIR", pulumi.String(stateDir)),
			variable("BUFFER_BYTES", pulumi.String(strconv.Itoa(bufferBytes))),
			variable("BYTES_PER_DAY", pulumi.String(strconv.Itoa(s.args.BytesPerDay))),
			variable("DATA_STREAM", pulumi.String(s.args.DataStream)),
			variable("OPENSEARCH_URL", pulumi.Sprintf("https://%s", s.args.Endpoint)),
			variable("CLUSTER_NAME", pulumi.String(s.args.ClusterName)),
			variable("LOG_FIELDS", jsonText(s.args.Fields, "{}")),
			variable("LOG_INDEXED_FIELDS", jsonText(s.args.IndexedFields, "{}")),
			variable("LOG_DROP_LEVELS", jsonText(s.args.DropLevels, "[]")),
			variable("LOG_REDACT", jsonText(s.args.Redact, "[]")),
			field("POD_NAME", "metadata.name"),
			field("POD_NAMESPACE", "metadata.namespace"),
			field("NODE_NAME", "spec.nodeName"),
			// Copied from the node to the pod since Kubernetes 1.35, empty before
			// (https://www.kubernetes.dev/resources/keps/4742/).
			field("NODE_ZONE", "metadata.labels['topology.kubernetes.io/zone']"),
		),
		Ports: corev1.ContainerPortArray{corev1.ContainerPortArgs{
			Name: pulumi.String("fluentd-metrics"), ContainerPort: pulumi.Int(metricsPort),
		}},
		VolumeMounts: corev1.VolumeMountArray{
			logs, mount(stateVolume, stateDir), mount(tmpVolume, "/tmp"), token,
			// The folders that the image's entrypoint names.
			configFile(configKey, "/fluentd/etc/"+configKey), configFile(inputKey, "/fluentd/plugins/"+inputKey),
			configFile(filterKey, "/fluentd/plugins/"+filterKey), configFile(outputKey, "/fluentd/plugins/"+outputKey),
		},
		// Generous, and no readiness probe: a domain that is away must neither restart the sidecar nor take the application out of
		// service. in_expense.rb itself sees whether the reading goes on.
		LivenessProbe: corev1.ProbeArgs{
			HttpGet:             corev1.HTTPGetActionArgs{Path: pulumi.String("/metrics"), Port: pulumi.Int(metricsPort)},
			InitialDelaySeconds: pulumi.Int(30),
			PeriodSeconds:       pulumi.Int(30),
			TimeoutSeconds:      pulumi.Int(10),
			FailureThreshold:    pulumi.Int(4),
		},
		// docs/logging.md has the peaks that make fluentd prints: 95 MiB under load, 185 with what is worst. No CPU limit, because a
		// throttled start takes half a minute.
		Resources:       resources("50m", "128Mi", "384Mi", pulumi.StringMap{"ephemeral-storage": size(logsLimit + stateLimit)}),
		SecurityContext: podsecurity.Container(),
	}
}

func (s *Sidecar) volumes(logsLimit int) []corev1.VolumeArgs {
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

// logFiles are the files of all sources, in the volume of the logs.
func logFiles(sources []podlogs.Source) []string {
	var files []string
	for _, source := range sources {
		for _, file := range source.Files {
			files = append(files, path.Join(source.Container, file))
		}
		if source.Output {
			files = append(files, path.Join(source.Container, outputFile))
		}
	}
	return files
}

// jsonText is how fluentd takes a list or a map as one parameter. A null it would take for a list with "null" in it.
func jsonText[T map[string]string | []string](value T, empty string) pulumi.String {
	if len(value) == 0 {
		return pulumi.String(empty)
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return pulumi.String(text)
}

// configFile is one file of the config map. It does not change under a mount of its own, and need not: the map is immutable.
func configFile(key, file string) corev1.VolumeMountArgs {
	m := mount(configVolume, file)
	m.SubPath = pulumi.String(key)
	m.ReadOnly = pulumi.Bool(true)
	return m
}

func mount(volume, dir string) corev1.VolumeMountArgs {
	return corev1.VolumeMountArgs{Name: pulumi.String(volume), MountPath: pulumi.String(dir)}
}

func emptyDir(name string, source corev1.EmptyDirVolumeSourceArgs) corev1.VolumeArgs {
	return corev1.VolumeArgs{Name: pulumi.String(name), EmptyDir: source}
}

// variable has a plain value as it is: of "$$" Kubernetes would make "$", and of "$(NAME)" another variable's value
// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/third_party/forked/golang/expansion/expand.go, Expand). No output that is
// passed has a "$".
func variable(name string, value pulumi.StringInput) corev1.EnvVarArgs {
	if text, plain := value.(pulumi.String); plain {
		value = pulumi.String(strings.ReplaceAll(string(text), "$", "$$"))
	}
	return corev1.EnvVarArgs{Name: pulumi.String(name), Value: value}
}

// field writes out the version that the API server would fill in. It compares a fieldRef as a whole
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy, structType atomic), so without it an `up`
// that finds a pod which a killed one had begun would end in a field conflict.
func field(name, fieldPath string) corev1.EnvVarArgs {
	return corev1.EnvVarArgs{Name: pulumi.String(name), ValueFrom: corev1.EnvVarSourceArgs{
		FieldRef: corev1.ObjectFieldSelectorArgs{ApiVersion: pulumi.String("v1"), FieldPath: pulumi.String(fieldPath)},
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

// plain is a copy of an input's items. Items that are not known yet are noted as a problem of what they are.
func plain[T any, A ~[]I, I any](p *problems, what string, input any) []T {
	if input == nil {
		return nil
	}
	items, ok := input.(A)
	out := make([]T, len(items))
	for i, item := range items {
		var one bool
		out[i], one = any(item).(T)
		ok = ok && one
	}
	if !ok {
		p.add("%s: found outputs, expected plain values", what)
	}
	return out
}

// array is the reverse of plain.
func array[A ~[]I, I, T any](items []T) A {
	out := make(A, len(items))
	for i, item := range items {
		out[i] = any(item).(I)
	}
	return out
}
