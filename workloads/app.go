package workloads

import (
	"fmt"
	"maps"
	"slices"

	"expense/internal/config"
	"expense/internal/namespace"
	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// accountPrefix starts the names of the apps' service accounts. Only the sidecars' role and the app's own look at them.
	accountPrefix = "app-"
	// AppAccounts is the pattern of these names.
	AppAccounts = accountPrefix + "*"
	// serverComponent are the pods of an app's Deployment, and releaseComponent those of its release Job.
	serverComponent  = "server"
	releaseComponent = "release"
)

// AppAccount is the name of an app's service account.
func AppAccount(app string) string { return accountPrefix + app }

// AppArgs describe an app.
type AppArgs struct {
	// App are its settings, complete and checked, see package config. Build is not read here.
	config.App
	Namespace pulumi.StringInput
	// Secret are the values of the keys of App.Secrets.
	Secret pulumi.StringMapInput
	// Role is the app's own from NewRole, with the statements of App.IAM. nil is none.
	Role *Role
	// NodeCIDRs are the ranges of the nodes' addresses. They are read with App.Public.
	NodeCIDRs []string
	// Tags are those of the load balancer of App.Public. It gets them when it is made.
	Tags map[string]string
	// Ship adds the sidecar. It is not called if App.Logs.From is none.
	Ship Ship
	// DependsOn are the namespace's guards, and what Ship needs.
	DependsOn []pulumi.Resource
}

// App is a service of one image: a Deployment that replaces its pods without a gap, spread over zones and nodes and scaled by its CPU
// use, with its configuration, secrets, network policies, service account and load balancer, and a Job before each new version.
type App struct {
	pulumi.ResourceState

	// ServiceName is the name by which pods of the namespace reach it, on its ports. It is empty without ports.
	ServiceName pulumi.StringOutput `pulumi:"serviceName"`
}

// NewApp makes the app. Its objects have its name. A change of files or secrets makes a new ConfigMap or Secret and rolls the pods.
func NewApp(ctx *pulumi.Context, name string, args *AppArgs, opts ...pulumi.ResourceOption) (*App, error) {
	if args == nil {
		return nil, fmt.Errorf("app %q: no arguments", name)
	}
	a := &App{ServiceName: pulumi.String("").ToStringOutput()}
	if err := ctx.RegisterComponentResource(typeApp, name, a, opts...); err != nil {
		return nil, err
	}
	ready := slices.Clone(args.DependsOn)
	if args.Role != nil {
		ready = append(ready, args.Role.Ready...)
	}
	for _, opening := range args.openings(name) {
		policy, err := namespace.Open(ctx, opening.Name, args.Namespace, opening, pulumi.Parent(a))
		if err != nil {
			return nil, err
		}
		ready = append(ready, policy)
	}
	base, err := a.base(ctx, name, args)
	if err != nil {
		return nil, err
	}
	if len(args.Release) > 0 {
		job, err := a.release(ctx, name, args, base, ready)
		if err != nil {
			return nil, err
		}
		ready = append(ready, job)
	}
	spec, start, err := serving(base, args)
	if err != nil {
		return nil, err
	}
	deployment, err := rollout{
		namespace: args.Namespace, spec: spec, container: name, replicas: args.Replicas, start: start, dependsOn: ready,
	}.make(ctx, name, a)
	if err != nil {
		return nil, err
	}
	if err := a.services(ctx, name, args, spec, deployment); err != nil {
		return nil, err
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{"serviceName": a.ServiceName})
}

// openings are the app's network policies. A name ends in what it is for, so that no two apps have one of the same name.
func (args *AppArgs) openings(name string) []namespace.Opening {
	var out []namespace.Opening
	self := []string{name}
	var ports []namespace.Port
	for _, port := range sortedPorts(args.Ports) {
		ports = append(ports, namespace.TCP(port.Number)...)
	}
	if len(args.Inbound) > 0 && len(ports) > 0 {
		callers, from := args.Inbound, namespace.Neighbours
		if slices.Contains(callers, "*") {
			callers = nil
		} else {
			from = nil
			for _, caller := range callers {
				from = append(from, namespace.Workload(caller))
			}
		}
		out = append(out,
			namespace.Opening{Name: name + "-inbound", Workloads: self, From: from, Ports: ports},
			namespace.Opening{Name: name + "-callers", Workloads: callers, To: []namespace.Peer{namespace.Workload(name)}, Ports: ports})
	}
	if len(args.Outbound) > 0 {
		opening := namespace.Opening{Name: name + "-outbound", Workloads: self}
		for _, to := range args.Outbound {
			peer := namespace.Peer{CIDR: to.CIDR}
			if to.Internet {
				peer = namespace.Internet
			}
			for _, port := range to.Ports {
				peer.Ports = append(peer.Ports, namespace.TCP(port)...)
			}
			opening.To = append(opening.To, peer)
		}
		out = append(out, opening)
	}
	if _, port, ok := args.Checked(); ok && args.Public.Wanted() {
		// The nodes' range too: kube-proxy gives a connection of a load balancer the address of the node that passes it on
		// (https://kubernetes.io/docs/tutorials/services/source-ip/#source-ip-for-services-with-type-loadbalancer). The clients' ranges
		// alone are admitted before, by the nodes' security group.
		opening := namespace.Opening{Name: name + "-public", Workloads: self, Ports: namespace.TCP(port)}
		for _, cidr := range slices.Concat(args.Public.From, args.NodeCIDRs) {
			opening.From = append(opening.From, namespace.Peer{CIDR: cidr})
		}
		out = append(out, opening)
	}
	return out
}

// base makes what the app's pods mount and run as, and returns the pod that the Deployment and the release Job have in common.
func (a *App) base(ctx *pulumi.Context, name string, args *AppArgs) (pod.Spec, error) {
	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name: pulumi.String(AppAccount(name)), Namespace: args.Namespace, Labels: pod.Labels(name),
		},
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(a))
	if err != nil {
		return pod.Spec{}, fmt.Errorf("service account: %w", err)
	}
	var files, secret pulumi.StringPtrInput
	if len(args.Files) > 0 {
		made, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
			Metadata: metav1.ObjectMetaArgs{Namespace: args.Namespace, Labels: pod.Labels(name)}, Data: fileContents(args.Files),
			Immutable: pulumi.Bool(true),
		}, pulumi.Parent(a))
		if err != nil {
			return pod.Spec{}, fmt.Errorf("files: %w", err)
		}
		files = made.Metadata.Name()
	}
	if len(args.Secrets) > 0 {
		made, err := corev1.NewSecret(ctx, name, &corev1.SecretArgs{
			Metadata:   metav1.ObjectMetaArgs{Namespace: args.Namespace, Labels: pod.Labels(name)},
			StringData: args.Secret,
			Immutable:  pulumi.Bool(true),
		}, pulumi.Parent(a))
		if err != nil {
			return pod.Spec{}, fmt.Errorf("secret: %w", err)
		}
		secret = made.Metadata.Name()
	}
	return args.base(name, account.Metadata.Name(), files, secret), nil
}

func fileContents(files map[string]config.AppFile) pulumi.StringMap {
	out := pulumi.StringMap{}
	for i, path := range slices.Sorted(maps.Keys(files)) {
		out[fileKey(i)] = pulumi.String(files[path].Content)
	}
	return out
}

// fileKey is the key of a file by its place among the paths. A path is no key: it has slashes.
func fileKey(i int) string { return fmt.Sprintf("file-%d", i) }
