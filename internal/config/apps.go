package config

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"expense/internal/published"
)

const (
	appsPath = "workloads.apps"
	// mostName is how long the names of apps and repositories may be: what is made from one has up to 63 characters.
	mostName = 40
	// metricsPort is the sidecar's own port in each pod with logs.
	metricsPort = 24231
)

var (
	// Names of Services: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#rfc-1035-label-names.
	appName = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports: IANA's service names
	// (https://www.rfc-editor.org/rfc/rfc6335#section-5.1).
	portLabel    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	letter       = regexp.MustCompile(`[a-z]`)
	requestPath  = regexp.MustCompile(`^/[!-~]*$`)
	buildStage   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	logFileName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*\.log$`)
	reservedApps = []string{
		CaptureName, "default", "fluentd", "log-files", // containers and accounts beside an app
		"multi-container", "nginx", WebName,
	}
)

// LeftOut says whether the app waits for its first image. The stack then has its repository and nothing else of it. `make image` may write
// its command, user and port.
func (a App) LeftOut() bool { return a.Image == "" && a.Build.Wanted() }

// apps checks workloads.apps.
func (r *report) apps(c *Config) {
	names := slices.Sorted(maps.Keys(c.Workloads.Apps))
	for _, name := range names {
		a, at := c.Workloads.Apps[name], child(appsPath, name)
		r.build(at+".build", a.Build)
		r.appImage(c, at, a)
		r.process(at, a)
		r.ports(at, a)
		r.replicas(at+".replicas", a.Replicas)
		r.resources(c, at+".resources", a.Resources)
		r.health(at, a)
		r.environment(at, a)
		r.content(at, name, a)
		r.inbound(at, a, names)
		r.outbound(at, a.Outbound, c)
		r.public(at, a, c)
		r.logs(at+".logs", a, c)
		r.statements(at+".iam", a.IAM, c)
		r.appName(at, name) // last: a problem of the entry would hide those in it
	}
}

func (r *report) appName(at, name string) {
	const allowed = "a name of 1 to 40 lower-case letters, digits and '-', starting with a letter and not ending with '-'"
	switch {
	case !appName.MatchString(name) || len(name) > mostName:
		r.add(at, "this name", allowed, "")
	case slices.Contains(reservedApps, name):
		r.add(at, "a name of the program's own", "other names than "+strings.Join(reservedApps, ", "), "")
	case strings.HasSuffix(name, "-public-tls") || strings.HasSuffix(name, "-public-plain"):
		r.add(at, "a name like that of another app's load balancer", "a name that does not end in -public-tls or -public-plain", "")
	}
}

// build checks how `make image` builds. An absolute path would be right on one machine only.
func (r *report) build(at string, b Build) {
	if !r.given[at] {
		return
	}
	if r.require(at+".dir", "the path of the folder with the Dockerfile, relative to the stack's file", "") &&
		(b.Dir == "" || path.IsAbs(b.Dir) || strings.Contains(b.Dir, `\`)) {
		r.add(at+".dir", quote(b.Dir), "a path relative to the stack's file, with /", "")
	}
	if !filepath.IsLocal(b.Dockerfile) {
		r.add(at+".dockerfile", quote(b.Dockerfile), "a path in dir", "")
	}
	if b.Target != "" {
		// https://github.com/moby/buildkit/blob/v0.25.1/frontend/dockerfile/instructions/parse.go, parseBuildStageName
		r.match(at+".target", b.Target, buildStage, 128, "the name of a stage of the Dockerfile, or its number")
	}
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		if !variableName.MatchString(name) {
			r.add(child(at+".args", name), "this name", variableNames, "")
		}
	}
}

// appImage checks an app's image. A tag of the stack's own repository cannot be pushed twice, but a digest also says what runs.
func (r *report) appImage(c *Config, at string, a App) {
	const allowed = "an image such as public.ecr.aws/docker/library/nginx:1.30.5, or build"
	if a.Image == "" {
		if !a.Build.Wanted() && r.ok(at+".build") {
			r.add(at+".image", "nothing", allowed, "")
		}
		return
	}
	r.ownImage(c, at+".image", a.Image)
}

// ownImage is image for one that may be in the stack's own repository, and then has a digest.
func (r *report) ownImage(c *Config, at, ref string) {
	r.image(c, at, ref)
	registry, repository, _ := strings.Cut(ref, "/")
	if privateRegistry.MatchString(registry) && strings.HasPrefix(repository, c.Cluster.Name+"/") && !strings.Contains(ref, "@") {
		r.add(at, quote(ref)+", in the stack's own repository without a digest", "REPOSITORY@sha256:...", "make image writes it")
	}
}

// process checks what runs, as whom, and how it ends. `make image` knows the command and the user of an image that is not there yet.
func (r *report) process(at string, a App) {
	if !a.LeftOut() {
		const user = "the number of the image's user, 1 to 65535"
		if r.require(at+".user", user, "Pod Security allows no root, and Kubernetes cannot look up a name; make image writes it") {
			r.between(at+".user", a.User, 1, 65535, "")
		}
		if a.Logs.From == LogsOutput && len(a.Command) == 0 && r.ok(at+".image") {
			r.add(at+".command", "nothing", "the image's entrypoint as a list, as its output is copied",
				"make image writes it; look it up with: docker inspect --format '{{json .Config.Entrypoint}}' IMAGE; or set logs: none")
		}
	} else if a.User != 0 {
		r.between(at+".user", a.User, 1, 65535, "")
	}
	for _, words := range []struct {
		name string
		list []string
	}{{"command", a.Command}, {"args", a.Args}, {"release", a.Release}} {
		if len(words.list) > 0 && words.list[0] == "" && words.name != "args" {
			r.add(at+"."+words.name+"[0]", "nothing", "the path of a program", "")
		}
		for i, word := range words.list {
			if strings.ContainsRune(word, 0) {
				r.add(fmt.Sprintf("%s.%s[%d]", at, words.name, i), quote(word), "text without the character NUL", "")
			}
		}
	}
	r.between(at+".graceSeconds", a.GraceSeconds, 1, 3600, " seconds")
}

// ports checks port or ports. A pod has no right to the ports below 1024.
func (r *report) ports(at string, a App) {
	if r.given[at+".port"] && r.given[at+".ports"] {
		r.add(at+".port", "a port beside ports", "one of the two", "")
		return
	}
	if r.given[at+".port"] {
		r.between(at+".port", a.Port, 1024, 65535, "")
	}
	numbers := map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(a.Ports)) {
		number, where := a.Ports[name], at+".port"
		if r.given[at+".ports"] {
			where = child(at+".ports", name)
			if !portLabel.MatchString(name) || !letter.MatchString(name) || len(name) > 15 {
				r.add(where, "this name", "1 to 15 lower-case letters, digits and single '-' between them, one letter at least", "")
			}
		}
		r.between(where, number, 1024, 65535, "")
		if number == metricsPort && a.Logs.From != LogsNone {
			r.add(where, fmt.Sprint(number), "another port: the sidecar that ships the logs listens on it", "")
		}
		if other, twice := numbers[number]; twice {
			r.add(where, fmt.Sprint(number)+" again", "each number once; "+other+" has it", "")
		}
		numbers[number] = name
	}
}

func (r *report) replicas(at string, n Replicas) {
	r.between(at+".min", n.Min, 1, 100, "")
	if r.ok(at + ".min") {
		if n.Max < n.Min || n.Max > 100 {
			r.add(at+".max", fmt.Sprint(n.Max), fmt.Sprintf("min, %d, to 100", n.Min), "")
		}
	}
	r.between(at+".cpu", n.CPU, 1, 100, "")
}

// resources checks that one pod can fit a node. A kubelet keeps part of its node, so a request for all of it never fits
// (https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/#node-allocatable).
func (r *report) resources(c *Config, at string, a AppResources) {
	const cpus, sizes = "cores such as 0.5, or thousandths such as 100m", "bytes with a unit of Ki, Mi, Gi, k, M or G, such as 128Mi"
	cpuOf, memoryOf := largestNode(c)
	cpu, ok := milliCPU(a.CPU)
	switch {
	case !ok || cpu < 1:
		r.add(at+".cpu", quote(a.CPU), cpus, "")
	case cpuOf > 0 && cpu >= cpuOf:
		r.add(at+".cpu", quote(a.CPU), fmt.Sprintf("less than the largest node's %d cores", cpuOf/1000), "use larger types in a node group")
	}
	memory, ok := memoryBytes(a.Memory)
	switch {
	case !ok:
		r.add(at+".memory", quote(a.Memory), sizes, didYouMeanMi(a.Memory))
	case memory < 1 || memory > mostMemory:
		r.add(at+".memory", quote(a.Memory), "up to "+memoryText(mostMemory), "")
	case memoryOf > 0 && memory >= memoryOf:
		r.add(at+".memory", quote(a.Memory), "less than the largest node's "+memoryText(memoryOf), "use larger types in a node group")
	}
	if !r.ok(at + ".memory") {
		return
	}
	limit, ok := memoryBytes(a.MemoryLimit)
	switch least := max(memory, leastMemory); {
	case !ok:
		r.add(at+".memoryLimit", quote(a.MemoryLimit), sizes, didYouMeanMi(a.MemoryLimit))
	case limit < leastMemory && !r.given[at+".memoryLimit"]:
		r.add(at+".memory", quote(a.Memory), memoryText(leastMemory)+" or more", didYouMeanMi(a.Memory))
	case limit < least || limit > mostMemory:
		r.add(at+".memoryLimit", quote(a.MemoryLimit), memoryText(least)+" to "+memoryText(mostMemory), "")
	}
}

// didYouMeanMi helps with 128m, 128MB and a number without a unit.
func didYouMeanMi(text string) string {
	number := strings.TrimRight(text, "mMbBiI ")
	if _, ok := memoryBytes(number); ok && number != "" {
		return "did you mean " + number + "Mi?"
	}
	return ""
}

// largestNode has the CPU and the memory of the largest type of the groups that take pods without tolerations, or 0 if a type is not
// known.
func largestNode(c *Config) (milli, bytes int64) {
	for _, g := range c.Cluster.NodeGroups {
		if g.tainted() {
			continue
		}
		for _, name := range g.InstanceTypes {
			known, is := published.InstanceTypes()[name]
			if !is {
				return 0, 0
			}
			milli, bytes = max(milli, int64(known.VCPU)*1000), max(bytes, int64(known.MemoryMiB)*mib)
		}
	}
	return milli, bytes
}

func (r *report) health(app string, a App) {
	at, h := app+".health", a.Health
	start, err := time.ParseDuration(h.Start)
	if err != nil || start < 10*time.Second || start > 30*time.Minute {
		r.add(at+".start", quote(h.Start), "a duration of 10s to 30m, such as 90s or 2m", "")
	}
	asked := h.Path != "" || h.GRPC
	switch _, _, listens := a.Checked(); {
	case h.Path != "" && h.GRPC:
		r.add(at, "a path and grpc", "one of the two", "")
	case asked && !listens && !a.LeftOut() && r.ok(app+".port", app+".ports"):
		r.add(at, "a check of a port, and no port", "a check with port or ports", "")
	case h.Path != "":
		r.match(at+".path", h.Path, requestPath, 1024, "a path that begins with /, of printable ASCII characters without spaces")
	}
}

// logs checks what is shipped.
func (r *report) logs(at string, a App, c *Config) {
	l := a.Logs
	files := l.Dir != "" || len(l.Files) > 0
	known := oneOf(r, at+".from", l.From, []string{LogsOutput, LogsFiles, LogsNone})
	if l.Dir != "" {
		r.absolute(at+".dir", l.Dir)
	}
	for i, file := range l.Files {
		r.match(fmt.Sprintf("%s.files[%d]", at, i), file, logFileName, 100, "NAME.log, of letters, digits, '-' and '_'")
	}
	r.unique(at+".files", l.Files)
	r.indexedFields(at+".fields", l.Fields, c.Logging.Fields)
	if oneOf(r, at+".capture", l.Capture, []string{CaptureShell, CaptureStatic}) && l.Capture == CaptureStatic && l.From == LogsOutput &&
		!a.LeftOut() && c.Logging.CaptureImage == "" {
		r.add(at+".capture", quote(l.Capture)+", and no logging.captureImage", CaptureShell+", or "+CaptureStatic+" with the image",
			"build it and write it with: make image NAME=capture STACK=STACK")
	}
	switch {
	case known && files && l.From != LogsFiles:
		r.add(at, "files, and from "+l.From, "files with from files, which they mean if from is left out", "")
	case known && l.From == LogsFiles && (l.Dir == "" || len(l.Files) == 0):
		r.add(at, "not both of dir and files", "the folder and the names of the app's log files", "")
	case known && l.From == LogsNone && len(l.Fields) > 0:
		r.add(at+".fields", "fields, and from "+LogsNone, "fields of logs that are shipped", "")
	}
}
