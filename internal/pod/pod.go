// Package pod describes a pod with plain values and renders them into Pulumi's types. Values can be read, compared and changed before
// they are rendered. Only what a resource makes, such as the name of a ConfigMap, is an output.
//
// A rendered pod has no privilege: it meets Pod Security's level "restricted"
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and its root file system is read-only.
package pod

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Spec is a pod.
type Spec struct {
	// Name is the workload's name. Selectors find its pods by it.
	Name string
	// Component tells the pods of one workload apart, such as those that serve from those of a Job. Empty is for a workload with one kind.
	Component string
	// User is the number of the user and group of all containers, so that they can share files. It is not 0.
	User int
	// ServiceAccount is the name of the pod's account. nil is the namespace's "default".
	ServiceAccount pulumi.StringPtrInput
	// CallsKubernetes mounts the account's token, with which a pod calls the Kubernetes API.
	CallsKubernetes bool
	// PriorityClass and RestartPolicy are Kubernetes' defaults if empty.
	PriorityClass string
	RestartPolicy string
	// GraceSeconds is how long the pod may take to stop. 0 is Kubernetes' default, 30.
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
	// Command replaces the image's entrypoint, and Args its arguments. Empty keeps the image's.
	Command []string
	Args    []pulumi.StringInput
	Env     []Variable
	Ports   []Port
	Mounts  []Mount

	Startup, Liveness, Readiness *Probe

	// Sidecar keeps an init container running beside the containers. It starts before them and stops after them
	// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
	Sidecar bool
	// StopDelaySeconds is how long the container goes on before it gets the signal to stop.
	StopDelaySeconds int
	// LogsOnFailure makes the last lines of a failed container its termination message.
	LogsOnFailure bool
	Resources     Resources
}

// Variable is one variable of a container's environment. It has Text, Expanded, Output, Secret or Field.
type Variable struct {
	Name string
	// Text is a literal value. Kubernetes expands nothing in it.
	Text string
	// Expanded is a text in which Kubernetes replaces $(NAME) by the value of a variable before it.
	Expanded string
	// Secret is the name of a Secret, whose Key has the value.
	Secret pulumi.StringPtrInput
	Key    string
	// Output is a value without "$", which Kubernetes would expand.
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

// Volume is one volume of a pod, with one of the sources.
type Volume struct {
	Name string
	// ConfigMap, Secret and Claim are the names of objects.
	ConfigMap pulumi.StringPtrInput
	Secret    pulumi.StringPtrInput
	Claim     pulumi.StringInput
	// Keys are those of Secret that become files. Empty is all.
	Keys  []string
	Empty *Empty
	Token *Token
}

// Empty is a folder that lives as long as the pod. The kubelet evicts a pod whose folder exceeds its limit.
type Empty struct {
	LimitMiB int
	// Memory keeps the folder in memory.
	Memory bool
}

// Token is a token of the pod's service account for one audience, which the kubelet renews.
type Token struct {
	Audience string
	Seconds  int
	// File is the token's file name in the volume.
	File string
}

// Probe checks a container by Command, by an HTTP request for Path, by gRPC's health service, or by a connection to Port. Numbers of 0
// are Kubernetes' defaults.
type Probe struct {
	Command []string
	Path    string
	GRPC    bool
	Port    int

	DelaySeconds   int
	PeriodSeconds  int
	TimeoutSeconds int
	Failures       int
}

// Resources are a container's requests, and its limit of memory. There is no CPU limit, because it would only throttle.
type Resources struct {
	CPU, Memory string
	MemoryLimit string
	// StorageMiB is disk of the node. 0 requests none.
	StorageMiB int
}
