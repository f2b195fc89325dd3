package workloads

import (
	"fmt"

	"expense/internal/podlogs"
	"expense/internal/podsecurity"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// MultiContainerName is the name of the pod, and AlmaContainer that of its container with a shell.
	MultiContainerName = "multi-container"
	AlmaContainer      = "alma"
	pageVolume         = "page"
	almaPageDir        = "/srv/page"
)

// MultiContainerArgs describe the pod.
type MultiContainerArgs struct {
	Namespace  pulumi.StringInput
	NginxImage string
	AlmaImage  string
	// VolumeSizeGiB is the claim's size; it can grow in place.
	VolumeSizeGiB int
	// StorageClass is the class of the claim's volume.
	StorageClass pulumi.StringInput
	Ship         Ship
	// DependsOn are the namespace's guards.
	DependsOn []pulumi.Resource
}

// MultiContainer is the single pod "multi-container": what its container alma writes to the shared volume, its container
// nginx serves. The volume is a claim of its own and outlives the pod; `pulumi destroy` deletes both.
type MultiContainer struct {
	pulumi.ResourceState
}

// NewMultiContainer makes the claim and the pod. Nearly every change replaces the pod, and the page count goes on; a
// change of the class replaces the claim and its data.
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
		Data:      pulumi.StringMap{"write-page.sh": file("write-page.sh")},
		Immutable: pulumi.Bool(true),
	}, pulumi.Parent(m))
	if err != nil {
		return nil, fmt.Errorf("page script: %w", err)
	}
	claim, err := corev1.NewPersistentVolumeClaim(ctx, name, &corev1.PersistentVolumeClaimArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(MultiContainerName), Namespace: args.Namespace, Labels: labels(MultiContainerName)},
		Spec: corev1.PersistentVolumeClaimSpecArgs{
			StorageClassName: args.StorageClass,
			// EBS volumes attach to one node.
			AccessModes: pulumi.StringArray{pulumi.String("ReadWriteOnce")},
			Resources: corev1.VolumeResourceRequirementsArgs{
				Requests: pulumi.StringMap{"storage": pulumi.Sprintf("%dGi", args.VolumeSizeGiB)},
			},
		},
	}, pulumi.Parent(m), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("volume claim: %w", err)
	}

	page := corev1.VolumeMountArgs{Name: pulumi.String(pageVolume), MountPath: pulumi.String("/usr/share/nginx/html"), ReadOnly: pulumi.Bool(true)}
	spec, err := args.Ship(corev1.PodSpecArgs{
		AutomountServiceAccountToken:  pulumi.Bool(false),
		EnableServiceLinks:            pulumi.Bool(false),
		SecurityContext:               podsecurity.Pod(user),
		TerminationGracePeriodSeconds: pulumi.Int(graceSeconds),
		Containers:                    corev1.ContainerArray{nginx(args.NginxImage, page), alma(args.AlmaImage)},
		Volumes: append(nginxVolumes(config),
			corev1.VolumeArgs{Name: pulumi.String(pageVolume), PersistentVolumeClaim: corev1.PersistentVolumeClaimVolumeSourceArgs{
				ClaimName: claim.Metadata.Name().Elem(),
			}},
			corev1.VolumeArgs{Name: pulumi.String("page-script"), ConfigMap: corev1.ConfigMapVolumeSourceArgs{Name: script.Metadata.Name()}},
		),
	}, nginxLogs, podlogs.Source{Container: AlmaContainer, Output: true})
	if err != nil {
		return nil, err
	}
	if _, err := corev1.NewPod(ctx, name, &corev1.PodArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(MultiContainerName), Namespace: args.Namespace, Labels: labels(MultiContainerName)},
		Spec:     spec,
	}, pulumi.Parent(m), pulumi.DependsOn(args.DependsOn)); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}

// alma writes the page, and says so on its output. The probe looks for what it writes: a writer that hangs is restarted.
// It has no readiness probe: it serves nobody, and nginx's tells whether the pod answers.
func alma(image string) corev1.ContainerArgs {
	return corev1.ContainerArgs{
		Name:    pulumi.String(AlmaContainer),
		Image:   pulumi.String(image),
		Command: pulumi.ToStringArray([]string{"sh", "/opt/page/write-page.sh"}),
		Env: corev1.EnvVarArray{
			corev1.EnvVarArgs{Name: pulumi.String("PAGE_DIR"), Value: pulumi.String(almaPageDir)},
		},
		VolumeMounts: corev1.VolumeMountArray{
			corev1.VolumeMountArgs{Name: pulumi.String(pageVolume), MountPath: pulumi.String(almaPageDir)},
			corev1.VolumeMountArgs{Name: pulumi.String("page-script"), MountPath: pulumi.String("/opt/page"), ReadOnly: pulumi.Bool(true)},
		},
		LivenessProbe: corev1.ProbeArgs{
			Exec: corev1.ExecActionArgs{Command: pulumi.ToStringArray([]string{
				"sh", "-c", `test -n "$(find "$PAGE_DIR/index.html" -mmin -2)"`,
			})},
			InitialDelaySeconds: pulumi.Int(30),
			PeriodSeconds:       pulumi.Int(30),
		},
		Resources: corev1.ResourceRequirementsArgs{
			Requests: pulumi.StringMap{"cpu": pulumi.String("10m"), "memory": pulumi.String("32Mi")},
			Limits:   pulumi.StringMap{"memory": pulumi.String("64Mi")},
		},
		SecurityContext: podsecurity.Container(),
	}
}
