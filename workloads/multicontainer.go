package workloads

import (
	"fmt"
	"path"

	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// MultiContainerName is the name of the pod. AlmaContainer is its container with a shell.
	MultiContainerName = "multi-container"
	AlmaContainer      = "alma"
	pageVolume         = "page"
	scriptVolume       = "page-script"
	scriptDir          = "/opt/page"
	scriptKey          = "write-page.sh"
	almaPageDir        = "/srv/page"
)

// MultiContainerArgs describe the pod.
type MultiContainerArgs struct {
	Namespace  pulumi.StringInput
	NginxImage string
	AlmaImage  string
	// VolumeSizeGiB is the claim's size. It can grow in place.
	VolumeSizeGiB int
	// StorageClass is the class of the claim's volume.
	StorageClass pulumi.StringInput
	Ship         Ship
	// DependsOn are the namespace's guards.
	DependsOn []pulumi.Resource
}

// MultiContainer is the single pod "multi-container". Its container alma writes a page to a shared volume, and nginx serves it. The
// volume has a claim and outlives the pod. `pulumi destroy` deletes both.
type MultiContainer struct {
	pulumi.ResourceState
}

// NewMultiContainer makes the claim and the pod with the given name. Nearly every change replaces the pod, and the page count goes on.
// A change of the class replaces the claim and its data.
func NewMultiContainer(ctx *pulumi.Context, name string, args *MultiContainerArgs, opts ...pulumi.ResourceOption) (*MultiContainer, error) {
	if args == nil {
		return nil, fmt.Errorf("multi-container %q: no arguments", name)
	}
	m := &MultiContainer{}
	if err := ctx.RegisterComponentResource(typeMulti, name, m, opts...); err != nil {
		return nil, err
	}
	config, err := newNginxConfig(ctx, name, args.Namespace, pulumi.Parent(m))
	if err != nil {
		return nil, err
	}
	script, err := corev1.NewConfigMap(ctx, name+"-page", &corev1.ConfigMapArgs{
		Metadata:  metav1.ObjectMetaArgs{Namespace: args.Namespace},
		Data:      pulumi.StringMap{scriptKey: pulumi.String(file(scriptKey))},
		Immutable: pulumi.Bool(true),
	}, pulumi.Parent(m))
	if err != nil {
		return nil, fmt.Errorf("page script: %w", err)
	}
	claim, err := corev1.NewPersistentVolumeClaim(ctx, name, &corev1.PersistentVolumeClaimArgs{
		Metadata: pod.Meta(name, args.Namespace),
		Spec: corev1.PersistentVolumeClaimSpecArgs{
			StorageClassName: args.StorageClass,
			// An EBS volume attaches to one node.
			AccessModes: pulumi.StringArray{pulumi.String("ReadWriteOnce")},
			Resources: corev1.VolumeResourceRequirementsArgs{
				Requests: pulumi.StringMap{"storage": pulumi.Sprintf("%dGi", args.VolumeSizeGiB)},
			},
		},
	}, pulumi.Parent(m), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("volume claim: %w", err)
	}

	page := pod.Mount{Volume: pageVolume, Path: "/usr/share/nginx/html", ReadOnly: true}
	spec, err := args.Ship(pod.Spec{
		Name:         name,
		User:         user,
		GraceSeconds: graceSeconds,
		Containers:   []pod.Container{nginx(args.NginxImage, page), alma(args.AlmaImage)},
		Volumes: append(nginxVolumes(config),
			pod.Volume{Name: pageVolume, Claim: claim.Metadata.Name().Elem()},
			pod.Volume{Name: scriptVolume, ConfigMap: script.Metadata.Name()},
		),
	}, nginxLogs, pod.LogSource{Container: AlmaContainer, Output: true})
	if err != nil {
		return nil, err
	}
	if _, err := corev1.NewPod(ctx, name, &corev1.PodArgs{
		Metadata: pod.Meta(name, args.Namespace),
		Spec:     spec.Render(),
	}, pulumi.Parent(m), pulumi.DependsOn(args.DependsOn)); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}

// alma writes the page, and a line on its output. The liveness probe looks at the page's age, so a writer that hangs is restarted.
// alma serves nobody and has no readiness probe. nginx has one.
func alma(image string) pod.Container {
	return pod.Container{
		Name:    AlmaContainer,
		Image:   image,
		Command: []string{"sh", path.Join(scriptDir, scriptKey)},
		Env:     []pod.Variable{{Name: "PAGE_DIR", Text: almaPageDir}},
		Mounts: []pod.Mount{
			{Volume: pageVolume, Path: almaPageDir},
			{Volume: scriptVolume, Path: scriptDir, ReadOnly: true},
		},
		Liveness: &pod.Probe{
			Command:       []string{"sh", "-c", `test -n "$(find "$PAGE_DIR/index.html" -mmin -2)"`},
			DelaySeconds:  30,
			PeriodSeconds: 30,
		},
		Resources: pod.Resources{CPU: "10m", Memory: "32Mi", MemoryLimit: "64Mi"},
	}
}
