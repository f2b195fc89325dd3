package workloads

import (
	"fmt"

	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NginxName is the name of the pod.
const NginxName = "nginx"

// NginxArgs describe the pod.
type NginxArgs struct {
	Namespace pulumi.StringInput
	Image     string
	Ship      Ship
	// DependsOn are the namespace's guards.
	DependsOn []pulumi.Resource
}

// Nginx is the single pod "nginx". After its node is gone, only `pulumi up --refresh` brings a bare pod back. Web is the workload that
// heals itself.
type Nginx struct {
	pulumi.ResourceState
}

// NewNginx makes the pod with the given name. Nearly every change replaces it, with a gap, because the name is fixed.
func NewNginx(ctx *pulumi.Context, name string, args *NginxArgs, opts ...pulumi.ResourceOption) (*Nginx, error) {
	if args == nil {
		return nil, fmt.Errorf("nginx %q: no arguments", name)
	}
	n := &Nginx{}
	if err := ctx.RegisterComponentResource(typeNginx, name, n, opts...); err != nil {
		return nil, err
	}
	config, err := newNginxConfig(ctx, name, args.Namespace, pulumi.Parent(n))
	if err != nil {
		return nil, err
	}
	spec, err := args.Ship(pod.Spec{
		Name:         name,
		User:         user,
		GraceSeconds: graceSeconds,
		Containers:   []pod.Container{nginx(args.Image)},
		Volumes:      nginxVolumes(config),
	}, nginxLogs)
	if err != nil {
		return nil, err
	}
	if _, err := corev1.NewPod(ctx, name, &corev1.PodArgs{
		Metadata: pod.Meta(name, args.Namespace),
		Spec:     spec.Render(),
	}, pulumi.Parent(n), pulumi.DependsOn(args.DependsOn)); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{})
}
