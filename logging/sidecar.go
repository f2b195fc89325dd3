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

	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// ServiceAccount is the account of a pod with a sidecar that has no other. Only the sidecar mounts the token that the writer's role
// accepts.
const ServiceAccount = "fluentd"

// The names that the sidecar adds to a pod.
const (
	// SidecarName is the sidecar's container.
	SidecarName     = "fluentd"
	logFilesName    = "log-files"
	captureName     = "capture"
	captureVolume   = "capture"
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
	// logsDir has the log folders of all containers, in the sidecar.
	logsDir  = "/var/log/pod"
	stateDir = "/var/lib/fluentd"
	// outputDir is the log folder of a container that writes no files. outputFile is the copy of its output.
	outputDir   = "/var/log/output"
	outputFile  = "output.log"
	capturePath = "/opt/fluentd/" + captureKey
	// captureDir has the program that copies the output of a container without a shell. In its image the program is captureProgram.
	captureDir     = "/opt/capture"
	captureProgram = "/capture"
)

// The keys of the ConfigMap are the names of the files.
const (
	configKey  = "fluent.conf"
	inputKey   = "in_expense.rb"
	filterKey  = "filter_expense.rb"
	outputKey  = "out_expense.rb"
	captureKey = "capture-output.sh"
)

// The bounds of a pod's logs on its node's disk. The kubelet evicts a pod whose emptyDir exceeds its limit, so each limit is twice the
// content's largest size.
const (
	mib = 1 << 20
	// rotateMiB is the size at which a log file is renamed, and generations the number of renamed files that are kept.
	rotateMiB   = 16
	generations = 3
	// bufferMiB is the size of the sidecar's buffer of lines that are read and not sent.
	bufferMiB     = 128
	stateLimitMiB = 2 * bufferMiB
	// captureLimitMiB holds the program, 2 MiB, and an unfinished copy of it.
	captureLimitMiB = 8
)

// logsLimitMiB is the limit of the volume of that many log files.
func logsLimitMiB(files int) int { return 2 * rotateMiB * (generations + 1) * files }

// logFile matches the names of files that fluentd reads. The folder and the name without its ending become fields of each line.
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
	Image string
	// CaptureImage is the image of logging/capture, for log sources with Static.
	CaptureImage string
	Region       string
	ClusterName  string
	// DataStream is the name of the data stream of the lines.
	DataStream string
	// Namespace is the name of the pods' namespace.
	Namespace pulumi.StringInput
	// Endpoint is the domain's, without https://.
	Endpoint pulumi.StringOutput
	RoleARN  pulumi.StringInput
	// Fields are added to every line. They replace the application's fields of the same name, and not the sidecar's own (cluster,
	// namespace, pod, node, zone, container, stream).
	Fields map[string]string
	// IndexedFields are the fields of every application's JSON that can be searched, with their types.
	IndexedFields map[string]string
	// DropLevels are levels whose lines are not sent, such as "debug", in upper or lower case. nginx's errors have a level, and JSON
	// objects with a field level, severity or lvl.
	DropLevels []string
	// Redact are regular expressions, see config.Logging. What they match is replaced by "[redacted]", beside authorization headers,
	// cookies, passwords and tokens, which always are. With one that Ruby cannot compile the sidecar does not start.
	Redact []string
	// BytesPerDay is the most of a pod's logs that is read in a day. Each line counts 64 bytes more. A whole day's may be read at once.
	// It keeps one pod from filling the domain. More lines wait in the files, as long as rotation keeps them.
	BytesPerDay int
}

// Sidecar has what all pods with a fluentd sidecar share: the configuration and the service account.
type Sidecar struct {
	pulumi.ResourceState

	args           SidecarArgs
	config         pulumi.StringPtrInput
	serviceAccount pulumi.StringPtrInput
}

// NewSidecar makes the shared objects. A change of the files gives the ConfigMap a new name. That rolls or replaces the pods, and so does
// a change of the arguments.
func NewSidecar(ctx *pulumi.Context, name string, args *SidecarArgs, opts ...pulumi.ResourceOption) (*Sidecar, error) {
	if args == nil {
		return nil, fmt.Errorf("sidecar %q: no arguments", name)
	}
	s := &Sidecar{args: *args}
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
	s.config, s.serviceAccount = config.Metadata.Name(), account.Metadata.Name()
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{})
}

// Add returns the pod with a sidecar that ships the sources' logs. It does not change the given pod. One volume has the log folders of
// all containers. Each container finds its folder in LOG_DIR, and the bounds of its rotation in LOG_MAX_BYTES and LOG_GENERATIONS. For a
// source with Output, a script or with Static a program runs the container's command and copies its output.
//
// Add returns an error with everything that is wrong. A pod needs a source, a user (the token and the log files are shared through its
// group) and a grace period of 90 seconds (the last lines are sent after the application has stopped), and none of the names that the
// sidecar adds. A service account of the pod's own must be one that the writer's role trusts, see AccessArgs. A source names one
// container of the pod, an absolute folder and files NAME.log, or Output and a command. A field has one type.
func (s *Sidecar) Add(spec pod.Spec, sources ...pod.LogSource) (pod.Spec, error) {
	var found problems
	found.pod(spec)
	if len(sources) == 0 {
		found.add("no log source: expected one at least, remove the sidecar otherwise")
	}
	static := slices.ContainsFunc(sources, func(source pod.LogSource) bool { return source.Output && source.Static })
	if static && s.args.CaptureImage == "" {
		found.add("a log source is static and there is no image of the program that copies it: set logging.captureImage")
	}
	fields := found.fields(s.args.IndexedFields, sources)
	containers := slices.Clone(spec.Containers)
	named := map[string]bool{}
	for _, source := range sources {
		index := slices.IndexFunc(containers, func(c pod.Container) bool { return c.Name == source.Container })
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
		return pod.Spec{}, fmt.Errorf("fluentd sidecar: %w", errors.Join(found...))
	}

	files := logFiles(sources)
	limit := logsLimitMiB(len(files))
	spec.Containers = containers
	// Sidecars stop in reverse order. fluentd is before the pod's other init containers, so it stops last.
	added := []pod.Container{s.files(files), s.fluentd(files, fields, limit)}
	spec.Volumes = slices.Concat(spec.Volumes, s.volumes(limit))
	if static {
		added = append(added, s.capture())
		spec.Volumes = append(spec.Volumes, pod.Volume{Name: captureVolume, Empty: &pod.Empty{LimitMiB: captureLimitMiB}})
	}
	spec.InitContainers = slices.Concat(added, spec.InitContainers)
	if spec.ServiceAccount == nil {
		spec.ServiceAccount = s.serviceAccount
	}
	return spec, nil
}

// problems are reasons why a pod cannot have a sidecar.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// pod notes what the pod lacks, and which of its names the sidecar needs.
func (p *problems) pod(spec pod.Spec) {
	if spec.GraceSeconds < minGraceSeconds {
		p.add("grace period %d: expected at least %d seconds", spec.GraceSeconds, minGraceSeconds)
	}
	if spec.User == 0 {
		p.add("the pod has no user: expected the number of the user and group that its containers share")
	}
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		if slices.Contains([]string{SidecarName, logFilesName, captureName}, c.Name) {
			p.add("the pod has a container %q already: the sidecar needs the name", c.Name)
		}
	}
	for _, v := range spec.Volumes {
		if slices.Contains([]string{logsVolume, stateVolume, tmpVolume, configVolume, tokenVolume, captureVolume}, v.Name) {
			p.add("the pod has a volume %q already: the sidecar needs the name", v.Name)
		}
	}
}

// fields are those of all pods and the sources'. The pod has one sidecar, so they hold for all of its containers.
func (p *problems) fields(all map[string]string, sources []pod.LogSource) map[string]string {
	out := maps.Clone(all)
	for _, source := range sources {
		for _, name := range slices.Sorted(maps.Keys(source.Fields)) {
			if before, has := out[name]; has && before != source.Fields[name] {
				p.add("container %q: field %q is %s, and %s elsewhere: expected one type in the whole stack",
					source.Container, name, source.Fields[name], before)
			}
			if out == nil {
				out = map[string]string{}
			}
			out[name] = source.Fields[name]
		}
	}
	return out
}

// attach returns the container with its log folder, and with Output with the script or the program before its command.
func (p *problems) attach(c pod.Container, source pod.LogSource) pod.Container {
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

	dir := source.Dir
	if dir == "" {
		dir = outputDir
	}
	mounts := []pod.Mount{{Volume: logsVolume, Path: dir, SubPath: source.Container}}
	if source.Output {
		if len(c.Command) == 0 {
			fail("its output is shipped and it has no command: expected one, as the image's own entrypoint is not known here")
		}
		if source.Static {
			c.Command = slices.Concat([]string{path.Join(captureDir, captureProgram)}, c.Command)
			mounts = append(mounts, pod.Mount{Volume: captureVolume, Path: captureDir, ReadOnly: true})
		} else {
			c.Command = slices.Concat([]string{"sh", capturePath}, c.Command)
			mounts = append(mounts, configFile(captureKey, capturePath))
		}
	}
	env := []pod.Variable{
		{Name: "LOG_DIR", Text: dir},
		{Name: "LOG_MAX_BYTES", Text: strconv.Itoa(rotateMiB * mib)},
		{Name: "LOG_GENERATIONS", Text: strconv.Itoa(generations)},
	}
	for _, added := range env {
		if slices.ContainsFunc(c.Env, func(e pod.Variable) bool { return e.Name == added.Name }) {
			fail("it has a variable %q already: the sidecar needs the name", added.Name)
		}
	}
	for _, added := range mounts {
		if slices.ContainsFunc(c.Mounts, func(m pod.Mount) bool { return m.Path == added.Path }) {
			fail("it has a volume at %q already: the sidecar needs the path", added.Path)
		}
	}
	c.Env, c.Mounts = slices.Concat(c.Env, env), slices.Concat(c.Mounts, mounts)
	return c
}

// files makes the log folders and files before the application starts, as the pod's user and writable for its group. The kubelet would
// make the folder of a subPath as root.
func (s *Sidecar) files(files []string) pod.Container {
	return pod.Container{
		Name:      logFilesName,
		Image:     s.args.Image,
		Command:   slices.Concat([]string{"sh", "-euc", makeFiles, logsDir}, files),
		Mounts:    []pod.Mount{{Volume: logsVolume, Path: logsDir}},
		Resources: pod.Resources{CPU: "10m", Memory: "16Mi", MemoryLimit: "64Mi"},
	}
}

const makeFiles = `umask 002; cd "$0" || exit; for file; do mkdir -p "${file%/*}"; touch "$file"; done`

// capture puts the program beside an application whose image has no shell. Its own image has nothing but the program, which copies itself.
func (s *Sidecar) capture() pod.Container {
	return pod.Container{
		Name:      captureName,
		Image:     s.args.CaptureImage,
		Command:   []string{captureProgram, "--install", path.Join(captureDir, captureProgram)},
		Mounts:    []pod.Mount{{Volume: captureVolume, Path: captureDir}},
		Resources: pod.Resources{CPU: "10m", Memory: "16Mi", MemoryLimit: "64Mi"},
	}
}

// fluentd is the sidecar. It starts before the application and stops after it.
func (s *Sidecar) fluentd(files []string, fields map[string]string, logsLimitMiB int) pod.Container {
	_, token, aws := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return pod.Container{
		Name:    SidecarName,
		Image:   s.args.Image,
		Sidecar: true,
		Env: slices.Concat(aws, []pod.Variable{
			// The image's entrypoint reads these two. No supervisor is needed, because the kubelet restarts fluentd.
			{Name: "FLUENTD_CONF", Text: configKey},
			{Name: "FLUENTD_OPT", Text: "--no-supervisor"},
			// Ruby needs less memory with this allocator. The image has it and does not load it.
			{Name: "LD_PRELOAD", Text: "/usr/lib/libjemalloc.so.2"},
			{Name: "LOG_DIR", Text: logsDir},
			{Name: "LOG_FILES", Text: jsonText(files, "[]")},
			{Name: "STATE_DIR", Text: stateDir},
			{Name: "BUFFER_BYTES", Text: strconv.Itoa(bufferMiB * mib)},
			{Name: "BYTES_PER_DAY", Text: strconv.Itoa(s.args.BytesPerDay)},
			{Name: "DATA_STREAM", Text: s.args.DataStream},
			{Name: "OPENSEARCH_URL", Output: pulumi.Sprintf("https://%s", s.args.Endpoint)},
			{Name: "CLUSTER_NAME", Text: s.args.ClusterName},
			{Name: "LOG_FIELDS", Text: jsonText(s.args.Fields, "{}")},
			{Name: "LOG_INDEXED_FIELDS", Text: jsonText(fields, "{}")},
			{Name: "LOG_DROP_LEVELS", Text: jsonText(s.args.DropLevels, "[]")},
			{Name: "LOG_REDACT", Text: jsonText(s.args.Redact, "[]")},
			{Name: "POD_NAME", Field: "metadata.name"},
			{Name: "POD_NAMESPACE", Field: "metadata.namespace"},
			{Name: "NODE_NAME", Field: "spec.nodeName"},
			// Kubernetes copies it from the node since 1.35. Before, it is empty
			// (https://www.kubernetes.dev/resources/keps/4742/).
			{Name: "NODE_ZONE", Field: "metadata.labels['topology.kubernetes.io/zone']"},
		}),
		Ports: []pod.Port{{Name: "fluentd-metrics", Number: metricsPort}},
		Mounts: []pod.Mount{
			{Volume: logsVolume, Path: logsDir, ReadOnly: true},
			{Volume: stateVolume, Path: stateDir},
			{Volume: tmpVolume, Path: "/tmp"},
			token,
			// The image's entrypoint names these folders.
			configFile(configKey, "/fluentd/etc/"+configKey),
			configFile(inputKey, "/fluentd/plugins/"+inputKey),
			configFile(filterKey, "/fluentd/plugins/"+filterKey),
			configFile(outputKey, "/fluentd/plugins/"+outputKey),
		},
		// An unreachable domain must neither restart the sidecar nor take the application out of service. So the probe has long times,
		// and there is no readiness probe. in_expense.rb itself sees whether the reading goes on.
		Liveness: &pod.Probe{Path: "/metrics", Port: metricsPort, DelaySeconds: 30, PeriodSeconds: 30, TimeoutSeconds: 10, Failures: 4},
		// make fluentd measured 95 MiB under load and 185 in the worst case (docs/logging.md). There is no CPU limit, because a
		// throttled start takes half a minute.
		Resources: pod.Resources{CPU: "50m", Memory: "128Mi", MemoryLimit: "384Mi", StorageMiB: logsLimitMiB + stateLimitMiB},
	}
}

func (s *Sidecar) volumes(logsLimitMiB int) []pod.Volume {
	token, _, _ := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return []pod.Volume{
		{Name: logsVolume, Empty: &pod.Empty{LimitMiB: logsLimitMiB}},
		{Name: stateVolume, Empty: &pod.Empty{LimitMiB: stateLimitMiB}},
		// In memory, because only such a volume has the sticky bit that Ruby requires of a temporary directory.
		{Name: tmpVolume, Empty: &pod.Empty{LimitMiB: 16, Memory: true}},
		{Name: configVolume, ConfigMap: s.config},
		token,
	}
}

// logFiles are the files of all sources, by their paths in the volume.
func logFiles(sources []pod.LogSource) []string {
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

// jsonText is a list or a map as one of fluentd's parameters. fluentd would read null as a list with "null" in it.
func jsonText[T map[string]string | []string](value T, empty string) string {
	if len(value) == 0 {
		return empty
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // cannot happen: strings always have JSON
	}
	return string(text)
}

// configFile mounts one file of the ConfigMap. Such a mount gets no updates, and needs none: the ConfigMap is immutable.
func configFile(key, file string) pod.Mount {
	return pod.Mount{Volume: configVolume, Path: file, SubPath: key, ReadOnly: true}
}
