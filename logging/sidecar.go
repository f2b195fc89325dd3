package logging

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"

	"expense/internal/pod"

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
	// rotateMiB is the size at which a log file is renamed, and generations how many renamed ones are kept.
	rotateMiB   = 16
	generations = 3
	// bufferMiB is the sidecar's buffer: what it read and could not send yet.
	bufferMiB     = 128
	stateLimitMiB = 2 * bufferMiB
)

// logsLimitMiB is the bound of the volume that so many log files are in.
func logsLimitMiB(files int) int { return 2 * rotateMiB * (generations + 1) * files }

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
	// Redact are regular expressions that Ruby takes, see config.Logging; what one matches in a line is replaced by
	// "[redacted]", after what is always removed: authorization headers, cookies, passwords, tokens. One that does not compile
	// keeps the sidecar from starting. Empty adds none.
	Redact []string
	// BytesPerDay is how much of a pod's logs is read in a day, each line with 64 bytes more; the first day's may be read at
	// once. It keeps one pod from filling the domain for all. What is above waits in the files, as long as rotation keeps them.
	BytesPerDay int
}

// Sidecar is what every pod with a fluentd sidecar shares: its configuration and its service account.
type Sidecar struct {
	pulumi.ResourceState

	args           SidecarArgs
	config         pulumi.StringPtrInput
	serviceAccount pulumi.StringPtrInput
}

// NewSidecar makes the shared objects. A change of the files gives the config map a new name, and so rolls or replaces the
// pods, as a change of the arguments does.
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

// Add returns the pod with a sidecar that ships what the sources' containers write. The log folders of all containers are
// one volume, of which each container is given its own; it finds its path in LOG_DIR, and the bounds for its rotation in
// LOG_MAX_BYTES and LOG_GENERATIONS. Where a source has Output, the container's command is run by a script that copies its
// output. The pod that was passed in is not changed.
//
// It refuses, with all that is wrong: no source, one that has nothing to ship, files that are not NAME.log, a folder that
// is not absolute, a container that the pod does not have or that is named twice, one without a command whose output is
// asked for; a pod that has one of the names it adds, another service account, no user (the token and the log files are
// shared through its group) or a grace period below 90 seconds (the last lines are sent after the application has stopped).
func (s *Sidecar) Add(spec pod.Spec, sources ...pod.LogSource) (pod.Spec, error) {
	var found problems
	found.pod(spec)
	if len(sources) == 0 {
		found.add("no log source: expected one at least, remove the sidecar otherwise")
	}
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
	// First of all: the sidecar then stops after everything else.
	spec.InitContainers = slices.Concat([]pod.Container{s.files(files), s.fluentd(files, limit)}, spec.InitContainers)
	spec.Volumes = slices.Concat(spec.Volumes, s.volumes(limit))
	spec.ServiceAccount = s.serviceAccount
	return spec, nil
}

// problems are what keeps a pod from having a sidecar.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// pod notes what the pod lacks, and what it has under a name that the sidecar adds.
func (p *problems) pod(spec pod.Spec) {
	if spec.GraceSeconds < minGraceSeconds {
		p.add("grace period %d: expected at least %d seconds", spec.GraceSeconds, minGraceSeconds)
	}
	if spec.ServiceAccount != nil {
		p.add("the pod has service account %v: the sidecar needs %q", spec.ServiceAccount, ServiceAccount)
	}
	if spec.User == 0 {
		p.add("the pod has no user: expected the number of the user and group that its containers share")
	}
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		if slices.Contains([]string{SidecarName, logFilesName}, c.Name) {
			p.add("the pod has a container %q already: the sidecar needs the name", c.Name)
		}
	}
	for _, v := range spec.Volumes {
		if slices.Contains([]string{logsVolume, stateVolume, tmpVolume, configVolume, tokenVolume}, v.Name) {
			p.add("the pod has a volume %q already: the sidecar needs the name", v.Name)
		}
	}
}

// attach is the container with its folder, and with the script around its command where its output is asked for.
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
		c.Command = slices.Concat([]string{"sh", capturePath}, c.Command)
		mounts = append(mounts, configFile(captureKey, capturePath))
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

// files makes the folders and the log files before the application starts, as the pod's user and writable for its group: a
// folder that the kubelet has to make for a subPath is root's.
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

// fluentd is the sidecar, which is started before and stopped after the application.
func (s *Sidecar) fluentd(files []string, logsLimitMiB int) pod.Container {
	_, token, aws := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return pod.Container{
		Name:    SidecarName,
		Image:   s.args.Image,
		Sidecar: true,
		Env: slices.Concat(aws, []pod.Variable{
			// Read by the image's entrypoint. One process instead of two: the kubelet restarts it.
			{Name: "FLUENTD_CONF", Text: configKey},
			{Name: "FLUENTD_OPT", Text: "--no-supervisor"},
			// Ruby's memory stays lower with the allocator that the image has but does not load.
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
			{Name: "LOG_INDEXED_FIELDS", Text: jsonText(s.args.IndexedFields, "{}")},
			{Name: "LOG_DROP_LEVELS", Text: jsonText(s.args.DropLevels, "[]")},
			{Name: "LOG_REDACT", Text: jsonText(s.args.Redact, "[]")},
			{Name: "POD_NAME", Field: "metadata.name"},
			{Name: "POD_NAMESPACE", Field: "metadata.namespace"},
			{Name: "NODE_NAME", Field: "spec.nodeName"},
			// Copied from the node to the pod since Kubernetes 1.35, empty before
			// (https://www.kubernetes.dev/resources/keps/4742/).
			{Name: "NODE_ZONE", Field: "metadata.labels['topology.kubernetes.io/zone']"},
		}),
		Ports: []pod.Port{{Name: "fluentd-metrics", Number: metricsPort}},
		Mounts: []pod.Mount{
			{Volume: logsVolume, Path: logsDir, ReadOnly: true},
			{Volume: stateVolume, Path: stateDir},
			{Volume: tmpVolume, Path: "/tmp"},
			token,
			// The folders that the image's entrypoint names.
			configFile(configKey, "/fluentd/etc/"+configKey),
			configFile(inputKey, "/fluentd/plugins/"+inputKey),
			configFile(filterKey, "/fluentd/plugins/"+filterKey),
			configFile(outputKey, "/fluentd/plugins/"+outputKey),
		},
		// Generous, and no readiness probe: a domain that is away must neither restart the sidecar nor take the application out of
		// service. in_expense.rb itself sees whether the reading goes on.
		Liveness: &pod.Probe{Path: "/metrics", Port: metricsPort, DelaySeconds: 30, PeriodSeconds: 30, TimeoutSeconds: 10, Failures: 4},
		// docs/logging.md has the peaks that make fluentd prints: 95 MiB under load, 185 with what is worst. No CPU limit, because a
		// throttled start takes half a minute.
		Resources: pod.Resources{CPU: "50m", Memory: "128Mi", MemoryLimit: "384Mi", StorageMiB: logsLimitMiB + stateLimitMiB},
	}
}

func (s *Sidecar) volumes(logsLimitMiB int) []pod.Volume {
	token, _, _ := identity(tokenVolume, s.args.Region, s.args.RoleARN)
	return []pod.Volume{
		{Name: logsVolume, Empty: &pod.Empty{LimitMiB: logsLimitMiB}},
		{Name: stateVolume, Empty: &pod.Empty{LimitMiB: stateLimitMiB}},
		// In memory, because only such a volume has the sticky bit that Ruby asks of a temporary directory.
		{Name: tmpVolume, Empty: &pod.Empty{LimitMiB: 16, Memory: true}},
		{Name: configVolume, ConfigMap: s.config},
		token,
	}
}

// logFiles are the files of all sources, in the volume of the logs.
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

// jsonText is how fluentd takes a list or a map as one parameter. A null it would take for a list with "null" in it.
func jsonText[T map[string]string | []string](value T, empty string) string {
	if len(value) == 0 {
		return empty
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return string(text)
}

// configFile is one file of the config map. It does not change under a mount of its own, and need not: the map is immutable.
func configFile(key, file string) pod.Mount {
	return pod.Mount{Volume: configVolume, Path: file, SubPath: key, ReadOnly: true}
}
