package workloads

import (
	"fmt"
	"path"

	"expense/internal/config"
	"expense/internal/namespace"
	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// WebName is the name of the Deployment and its Service.
	WebName      = "web"
	secretVolume = "secret"
	secretsDir   = "/var/run/secrets"
)

// WebArgs describe the Deployment.
type WebArgs struct {
	config.Web
	Namespace pulumi.StringInput
	Image     string
	// Secret is mounted at /var/run/secrets/NAME, one file for each key. nil mounts none.
	Secret pulumi.StringMapInput
	Ship   Ship
	// DependsOn are the namespace's guards.
	DependsOn []pulumi.Resource
}

// Web is the self-healing workload: a Deployment spread over zones and nodes and scaled by its CPU use, behind a Service, with its
// configuration in a ConfigMap and a Secret.
type Web struct {
	pulumi.ResourceState

	// ServiceName is the name by which pods of the namespace reach it, on Port.
	ServiceName pulumi.StringOutput `pulumi:"serviceName"`
}

// NewWeb makes the workload. Its objects have its name. A change of the settings or the secret makes a new ConfigMap or Secret and
// rolls the pods. A change of Public changes the Service's type in place.
func NewWeb(ctx *pulumi.Context, name string, args *WebArgs, opts ...pulumi.ResourceOption) (*Web, error) {
	if args == nil {
		return nil, fmt.Errorf("web %q: no arguments", name)
	}
	w := &Web{}
	if err := ctx.RegisterComponentResource(typeWeb, name, w, opts...); err != nil {
		return nil, err
	}
	spec, err := w.pod(ctx, name, args)
	if err != nil {
		return nil, err
	}
	deployment, err := rollout{
		namespace: args.Namespace, spec: spec, container: nginxContainer, start: nginxStart, dependsOn: args.DependsOn,
		replicas: config.Replicas{Min: args.MinReplicas, Max: args.MaxReplicas, CPU: args.TargetCPUPercent},
	}.make(ctx, name, w)
	if err != nil {
		return nil, err
	}
	service, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{
		Metadata: serviceMeta(pod.Meta(name, args.Namespace), args.Public),
		Spec: corev1.ServiceSpecArgs{
			Type:     pulumi.String(serviceType(args.Public)),
			Selector: pod.Labels(name),
			Ports:    servicePorts(args.Public),
		},
	}, pulumi.Parent(w), pulumi.DependsOn([]pulumi.Resource{deployment}))
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	w.ServiceName = service.Metadata.Name().Elem()
	return w, ctx.RegisterResourceOutputs(w, pulumi.Map{"serviceName": w.ServiceName})
}

// pod is nginx with its settings and secret.
func (w *Web) pod(ctx *pulumi.Context, name string, args *WebArgs) (pod.Spec, error) {
	config, err := newNginxConfig(ctx, name+"-nginx", args.Namespace, pulumi.Parent(w))
	if err != nil {
		return pod.Spec{}, err
	}
	settings, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata:  metav1.ObjectMetaArgs{Namespace: args.Namespace},
		Data:      pulumi.ToStringMap(args.Settings),
		Immutable: pulumi.Bool(true),
	}, pulumi.Parent(w))
	if err != nil {
		return pod.Spec{}, fmt.Errorf("settings: %w", err)
	}
	volumes := nginxVolumes(config)
	var mounts []pod.Mount
	if args.Secret != nil {
		secret, err := corev1.NewSecret(ctx, name, &corev1.SecretArgs{
			Metadata:   metav1.ObjectMetaArgs{Namespace: args.Namespace},
			StringData: args.Secret,
			Immutable:  pulumi.Bool(true),
		}, pulumi.Parent(w))
		if err != nil {
			return pod.Spec{}, fmt.Errorf("secret: %w", err)
		}
		// Files, because environment variables end up in crash reports and child processes.
		volumes = append(volumes, pod.Volume{Name: secretVolume, Secret: secret.Metadata.Name()})
		mounts = append(mounts, pod.Mount{Volume: secretVolume, Path: path.Join(secretsDir, name), ReadOnly: true})
	}
	container := nginx(args.Image, mounts...)
	container.EnvFrom = []pulumi.StringPtrInput{settings.Metadata.Name()}
	return args.Ship(pod.Spec{
		Name:         name,
		User:         user,
		GraceSeconds: graceSeconds,
		Spread:       true,
		Containers:   []pod.Container{container},
		Volumes:      volumes,
	}, nginxLogs)
}

// WebOpenings admit the pods of the namespace to web, and with public everybody.
func WebOpenings(public bool) []namespace.Opening {
	openings := []namespace.Opening{
		{Name: "allow-web", Workloads: []string{WebName}, From: namespace.Neighbours, Ports: namespace.TCP(Port)},
		{Name: "allow-to-web", To: []namespace.Peer{namespace.Workload(WebName)}, Ports: namespace.TCP(Port)},
	}
	if public {
		openings = append(openings, namespace.Opening{
			Name: "allow-public-web", Workloads: []string{WebName}, From: []namespace.Peer{{CIDR: "0.0.0.0/0"}}, Ports: namespace.TCP(Port),
		})
	}
	return openings
}

// WebLoadBalancers has the number of ports of each of web's load balancers.
func WebLoadBalancers(public bool) []int {
	if !public {
		return nil
	}
	return []int{len(servicePorts(public))}
}

// servicePorts are the Service's ports. Inside the cluster it has the container's port, because the VPC CNI's network policies match a
// Service only if the two are equal (https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html). Outside it also has
// port 80: the load balancer has translated it before the policy applies.
func servicePorts(public bool) corev1.ServicePortArray {
	ports := corev1.ServicePortArray{corev1.ServicePortArgs{
		Name: pulumi.String(portName), Port: pulumi.Int(Port), TargetPort: pulumi.String(portName),
	}}
	if public {
		ports = append(ports, corev1.ServicePortArgs{
			Name: pulumi.String("http-public"), Port: pulumi.Int(80), TargetPort: pulumi.String(portName),
		})
	}
	return ports
}

func serviceType(public bool) string {
	if public {
		return "LoadBalancer"
	}
	return "ClusterIP"
}

func serviceMeta(meta metav1.ObjectMetaArgs, public bool) metav1.ObjectMetaArgs {
	if public {
		meta.Annotations = balancer()
	}
	return meta
}
