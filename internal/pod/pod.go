// Package pod is a pod as plain values, and their one rendering into Pulumi's types. A value that only a resource knows, such
// as the name of a config map, may be an output; everything else can be read, compared and changed before it is rendered.
//
// No pod has a privilege: a rendered one meets Pod Security's level "restricted"
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and nobody writes to its root file system.
package pod

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Spec is a pod.
type Spec struct {
	// Name is the workload's, by which its pods are selected.
	Name string
	// User is the number of the user and the group that all containers run as, by which they share files. It is not root's.
	User int
	// ServiceAccount is the name of the pod's account; nil is the namespace's "default".
	ServiceAccount pulumi.StringPtrInput
	// CallsKubernetes mounts the account's token; a pod without it cannot talk to the Kubernetes API.
	CallsKubernetes bool
	// PriorityClass and RestartPolicy are Kubernetes' defaults where they are empty.
	PriorityClass string
	RestartPolicy string
	// GraceSeconds is how long the pod may take to stop; 0 is Kubernetes' default of 30.
	GraceSeconds int
	// Spread spreads the pods of a Deployment over zones first and nodes second.
	Spread bool

	InitContainers []Container
	Containers     []Container
	Volumes        []Volume
}

// Container is one container of a pod.
type Container struct {
	Name  string
	Image string
	// Command replaces the image's entrypoint, and Args its arguments; none leaves the image's.
	Command []string
	Args    []pulumi.StringInput
	Env     []Variable
	// EnvFrom are the names of config maps that are added to the environment.
	EnvFrom []pulumi.StringPtrInput
	Ports   []Port
	Mounts  []Mount

	Startup, Liveness, Readiness *Probe

	// Sidecar keeps an init container running beside the containers: it is started before and stopped after them
	// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
	Sidecar bool
	// StopDelaySeconds is how long the container goes on before it is told to stop.
	StopDelaySeconds int
	// LogsOnFailure makes the last lines of a container that failed its termination message.
	LogsOnFailure bool
	Resources     Resources
}

// Variable is one variable of a container's environment. It has one of Text, Output and Field.
type Variable struct {
	Name string
	// Text is the value as it is: Kubernetes replaces nothing in it.
	Text string
	// Output is a value without a "$", which Kubernetes would read.
	Output pulumi.StringInput
	// Field is the path of a field of the pod.
	Field string
}

// Port is a named port on which a container listens.
type Port struct {
	Name   string
	Number int
}

// Mount is a volume in a container, or with SubPath a file or folder of the volume.
type Mount struct {
	Volume   string
	Path     string
	SubPath  string
	ReadOnly bool
}

// Volume is one volume of a pod. It has one of the sources.
type Volume struct {
	Name string
	// ConfigMap, Secret and Claim are the names of such objects.
	ConfigMap pulumi.StringPtrInput
	Secret    pulumi.StringPtrInput
	Claim     pulumi.StringInput
	Empty     *Empty
	Token     *Token
}

// Empty is a folder that lives as long as the pod. The kubelet evicts a pod whose folder passes its limit.
type Empty struct {
	LimitMiB int
	// Memory keeps the folder in memory.
	Memory bool
}

// Token is a token of the pod's service account for one audience, which the kubelet renews.
type Token struct {
	Audience string
	Seconds  int
	// File is the token's name in the volume.
	File string
}

// Probe asks whether a container works: by Command, or by an HTTP request for Path, or by a connection to Port. Times of 0 are
// Kubernetes' defaults.
type Probe struct {
	Command []string
	Path    string
	Port    int

	DelaySeconds   int
	PeriodSeconds  int
	TimeoutSeconds int
	Failures       int
}

// Resources are what a container asks for, and the most memory that it gets. There is no limit of the CPU, which would only
// throttle.
type Resources struct {
	CPU, Memory string
	MemoryLimit string
	// StorageMiB is disk of the node; 0 asks for none.
	StorageMiB int
}
