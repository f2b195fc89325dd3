package config

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

const (
	// WebName is web's entry of Config.Secrets.
	WebName  = "web"
	portName = "http"
	// LogsOutput, LogsFiles and LogsNone are the values of apps.NAME.logs.from.
	LogsOutput = "output"
	LogsFiles  = "files"
	LogsNone   = "none"
	// CaptureShell and CaptureStatic are the values of apps.NAME.logs.capture.
	CaptureShell  = "shell"
	CaptureStatic = "static"
)

// App is one entry of workloads.apps: an image that runs as web does, by the entry's key as its name. A name is a DNS label of at most 40
// characters that starts with a letter, and none of reservedApps.
type App struct {
	// Build is how `make image` builds the image. Without it the image is built elsewhere. With it the stack makes the ECR repository, and
	// an app without Image is left out until `make image` has written one.
	Build Build `json:"build"`
	// Image is the image, with a digest or a fixed tag. One in the stack's own repository has a digest. Required without Build.
	Image string `json:"image"`
	// Command replaces the image's entrypoint, and Args its arguments. Command is required with Image if Logs copies the output: the
	// image's own entrypoint is not known here. `make image` writes it.
	Command []string `json:"command"`
	Args    []string `json:"args"`
	// Port is the only port, named http; Ports are several by name, up to 15 letters, digits and hyphens. The first by name is the one
	// that is checked, unless one is named http. 1024 to 65535: the pod has no right to others. Without both there is no Service and no
	// probe of a port. The variable PORT has the checked one.
	Port  int            `json:"port"`
	Ports map[string]int `json:"ports"`
	// User is the number of the user and group, 1 to 65535. Required with Image, and `make image` writes the image's own.
	User int `json:"user"`
	// Env are variables in plain text. $(NAME) in a value is the value of another variable, of a secret one too, and $$ is a dollar. The
	// names of the program's own are refused: PORT, and those of logs and of roles.
	Env map[string]string `json:"env"`
	// Files are files in the container by their absolute paths, up to 1 MiB in all. A change rolls the pods.
	Files map[string]AppFile `json:"files"`
	// Writable are folders that the container may write to, empty at each start. /tmp always is one, and is listed for another size. The
	// root file system is read-only.
	Writable []Writable `json:"writable"`
	// Secrets are the keys of expense:secrets.NAME that the app gets, each as "env", a variable, or "file", a file in
	// /var/run/secrets/NAME. Each has a value there, and each value is listed here.
	Secrets map[string]string `json:"secrets"`
	// Replicas is a number of pods, or their bounds for the autoscaler.
	Replicas Replicas `json:"replicas"`
	// Resources are the container's requests and limit, as Kubernetes writes them.
	Resources AppResources `json:"resources"`
	// Health is a path, or more words.
	Health Health `json:"health"`
	// GraceSeconds is how long a pod may take to stop after its signal, 1 to 3600. Default 30. EC2 takes a spot node back after 120.
	GraceSeconds int `json:"graceSeconds"`
	// Release is a command that runs once with a new image or command, before the new version takes over.
	Release []string `json:"release"`
	// Inbound are the apps that may connect to all ports, "*" the whole namespace. Default nobody. Their own way out follows from it.
	Inbound []string `json:"inbound"`
	// Outbound are the addresses outside the namespace that the app may connect to. Default none but DNS, and what logs and roles need.
	Outbound []Outbound `json:"outbound"`
	// Public is a network load balancer in front of the checked port.
	Public Public `json:"public"`
	// Logs is "output" (default), "none", or more words.
	Logs Logs `json:"logs"`
	// IAM are statements of a role of the app's own. Default no role.
	IAM []Statement `json:"iam"`
}

// Build is apps.NAME.build.
type Build struct {
	// Dir is the folder with the Dockerfile, relative to the stack's file. Required in a build.
	Dir string `json:"dir"`
	// Dockerfile is its path in Dir. Default "Dockerfile".
	Dockerfile string `json:"dockerfile"`
	// Target is the stage that is built. Default the last.
	Target string `json:"target"`
	// Args are build arguments. They are in the image's history: no secrets.
	Args map[string]string `json:"args"`
}

// Wanted says whether the image is built here.
func (b Build) Wanted() bool { return b.Dir != "" }

// AppFile is one file of an app, with Content or Source.
type AppFile struct {
	// Content is the text.
	Content string `json:"content"`
	// Source is the path of a text file in the project, relative to the stack's file. Its text becomes Content.
	Source string `json:"source"`
}

// Writable is a folder, or its path alone.
type Writable struct {
	// Path is absolute.
	Path string `json:"path"`
	// SizeMiB is the folder's limit, 1 to 65536. The kubelet evicts a pod that exceeds it. Default 64.
	SizeMiB int `json:"sizeMiB"`
}

// Replicas are the bounds of an app's autoscaler, or one number.
type Replicas struct {
	// Min and Max are 1 <= min <= max <= 100. Default 2, and as many as Min. There is an autoscaler if they differ.
	Min int `json:"min"`
	Max int `json:"max"`
	// CPU is the use in percent of the request that the autoscaler aims at, 1 to 100. Default 60.
	CPU int `json:"cpu"`
}

// AppResources are what a container requests and may use, as "100m" and "128Mi".
type AppResources struct {
	// CPU and Memory are requests, of less than the largest node has. Default 100m and 128Mi.
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	// MemoryLimit is where the kernel ends the container, Memory to 4 GiB. Default twice Memory, at most 4 GiB.
	MemoryLimit string `json:"memoryLimit"`
}

// Health is how Kubernetes learns that a container works, or the path alone. Liveness is always that the port answers: an outage of what
// a path looks at must not restart every pod.
type Health struct {
	// Path is requested on the checked port by the startup and readiness probes. Default: the port answers.
	Path string `json:"path"`
	// GRPC asks the standard health service on the checked port instead.
	GRPC bool `json:"grpc"`
	// Start is how long a container may take to start, 10s to 30m. Default 2m.
	Start string `json:"start"`
}

// Outbound is one way out, with CIDR or Internet.
type Outbound struct {
	// CIDR is a range of IPv4 addresses.
	CIDR string `json:"cidr"`
	// Internet is every public address.
	Internet bool `json:"internet"`
	// Ports are TCP ports. Required.
	Ports []int `json:"ports"`
}

// Public is a load balancer on the internet, with CertificateARN or Plain.
type Public struct {
	// CertificateARN is an ACM certificate of the region. The balancer then speaks TLS on port 443.
	CertificateARN string `json:"certificateArn"`
	// Plain passes TCP through on port 80 without TLS.
	Plain bool `json:"plain"`
	// From are the ranges that may connect. Required; 0.0.0.0/0 is everybody.
	From []string `json:"from"`
}

// Wanted says whether the app has a load balancer.
func (p Public) Wanted() bool { return p.CertificateARN != "" || p.Plain || len(p.From) > 0 }

// Logs is what an app logs, or "output" or "none" alone.
type Logs struct {
	// From is "output", "files" or "none". Default "output", and "files" with Dir.
	From string `json:"from"`
	// Dir is the absolute path of the folder where the app writes Files, each NAME.log. The image must not have it.
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
	// Fields are the fields of the app's JSON lines that can be searched, with their types, as in logging.indexedFields. One name has one
	// type in the whole stack.
	Fields map[string]string `json:"fields"`
	// Capture is how the output is copied: "shell" (default) by a script, which needs /bin/sh and mkfifo in the image, or "static" by a
	// program of ours for images without, which needs logging.captureImage. `make image` writes it.
	Capture string `json:"capture"`
}

// Statement allows Actions on Resources.
type Statement struct {
	// Actions are exact, as s3:GetObject. Required.
	Actions []string `json:"actions"`
	// Resources are ARNs, with wildcards behind the service. Required.
	Resources []string `json:"resources"`
}

func (a *App) setDefaults() {
	*a = App{GraceSeconds: 30}
	for _, part := range []defaulter{&a.Build, &a.Replicas, &a.Resources, &a.Health, &a.Logs} {
		part.setDefaults()
	}
}

func (b *Build) setDefaults() { b.Dockerfile = "Dockerfile" }

func (w *Writable) setDefaults() { w.SizeMiB = 64 }

func (r *Replicas) setDefaults() { *r = Replicas{Min: 2, CPU: 60} }

func (r *AppResources) setDefaults() { *r = AppResources{CPU: "100m", Memory: "128Mi"} }

func (h *Health) setDefaults() { h.Start = "2m" }

func (l *Logs) setDefaults() { l.Capture = CaptureShell }

// The short forms.

func (w *Writable) form() string { return "a path" }

func (w *Writable) long(value any) (map[string]any, bool) { return textAs("path", value) }

func (h *Health) form() string { return "a path" }

func (h *Health) long(value any) (map[string]any, bool) { return textAs("path", value) }

func (l *Logs) form() string { return "output, none" }

func (l *Logs) long(value any) (map[string]any, bool) { return textAs("from", value) }

func (r *Replicas) form() string { return "a whole number" }

func (r *Replicas) long(value any) (map[string]any, bool) {
	number, ok := value.(json.Number)
	return map[string]any{"min": number, "max": number}, ok
}

func textAs(key string, value any) (map[string]any, bool) {
	text, ok := value.(string)
	return map[string]any{key: text}, ok
}

// Checked is the name and number of the port that the probes ask and a load balancer serves: http, or the first by name. ok is false for
// an app without ports.
func (a App) Checked() (name string, number int, ok bool) {
	if number, ok := a.Ports[portName]; ok {
		return portName, number, true
	}
	for _, name := range slices.Sorted(maps.Keys(a.Ports)) {
		return name, a.Ports[name], true
	}
	return "", 0, false
}

// derive sets the defaults that follow from other settings of the app.
func (a *App) derive() {
	if a.Port != 0 && len(a.Ports) == 0 {
		a.Ports = map[string]int{portName: a.Port}
	}
	a.Replicas.Max = cmp.Or(a.Replicas.Max, a.Replicas.Min)
	if a.Logs.From == "" {
		a.Logs.From = LogsOutput
		if a.Logs.Dir != "" {
			a.Logs.From = LogsFiles
		}
	}
	if memory, ok := memoryBytes(a.Resources.Memory); ok && a.Resources.MemoryLimit == "" && memory <= mostMemory {
		a.Resources.MemoryLimit = memoryText(min(2*memory, mostMemory))
	}
}
