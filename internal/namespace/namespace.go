// Package namespace makes a namespace that is closed but for what is opened by name: pods meet Pod Security's level
// "restricted", stay within a quota, and talk to nobody but DNS and those for whom there is an Opening.
package namespace

import (
	"fmt"

	"expense/internal/config"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// typeNamespace is the component's type token. It is part of every URN: a change needs an alias, or it replaces the children.
const typeNamespace = "expense:workloads:Namespace"

// Args describe the namespace.
type Args struct {
	// Environment is the value of the label "environment".
	Environment string
	Quota       config.Quota
	// Openings are known before the first pod: policies come before what they protect.
	Openings []Opening
}

// Namespace is the namespace with its guard rails.
//
// Its service account "default" is left as Kubernetes makes it. A pod that somebody starts without an account of its own
// mounts that one's token, unless it says automountServiceAccountToken: false, as all pods here do. The token has no rights
// but those of everybody who is signed in. To change the account, the program would have to patch what a controller makes
// a moment after the namespace, and the first `pulumi up` would fail where it is not there yet.
type Namespace struct {
	pulumi.ResourceState

	Name pulumi.StringOutput `pulumi:"name"`

	// Guards are in force before the first pod, and until the last is gone.
	Guards []pulumi.Resource
}

// New makes the namespace of that name. A change of the name replaces it and everything in it.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Namespace, error) {
	if args == nil {
		return nil, fmt.Errorf("namespace %q: no arguments", name)
	}
	n := &Namespace{}
	if err := ctx.RegisterComponentResource(typeNamespace, name, n, opts...); err != nil {
		return nil, err
	}
	namespace, err := corev1.NewNamespace(ctx, name, &corev1.NamespaceArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name: pulumi.String(name),
			Labels: pulumi.StringMap{
				"name":        pulumi.String(name),
				"environment": pulumi.String(args.Environment),
				// The strictest of the three levels; a pod that does not meet it is refused
				// (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
				"pod-security.kubernetes.io/enforce": pulumi.String("restricted"),
				"pod-security.kubernetes.io/warn":    pulumi.String("restricted"),
				"pod-security.kubernetes.io/audit":   pulumi.String("restricted"),
			},
		},
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("namespace: %w", err)
	}
	n.Name = namespace.Metadata.Name().Elem()
	if err := n.bounds(ctx, name, args); err != nil {
		return nil, err
	}
	for _, opening := range append([]Opening{closed, dns}, args.Openings...) {
		policy, err := networkingv1.NewNetworkPolicy(ctx, name+"-"+opening.Name, &networkingv1.NetworkPolicyArgs{
			Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(opening.Name), Namespace: n.Name},
			Spec:     opening.policy(),
		}, pulumi.Parent(n))
		if err != nil {
			return nil, fmt.Errorf("network policy %s: %w", opening.Name, err)
		}
		n.Guards = append(n.Guards, policy)
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"name": n.Name})
}

// bounds are the most that the namespace and each of its containers get.
func (n *Namespace) bounds(ctx *pulumi.Context, name string, args *Args) error {
	balancers, ports := 0, 0
	for _, opening := range args.Openings {
		if opening.LoadBalancerPorts > 0 {
			balancers++
			ports += opening.LoadBalancerPorts
		}
	}
	quota, err := corev1.NewResourceQuota(ctx, name, &corev1.ResourceQuotaArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: n.Name},
		Spec: corev1.ResourceQuotaSpecArgs{Hard: pulumi.StringMap{
			"pods":             pulumi.Sprintf("%d", args.Quota.Pods),
			"requests.cpu":     pulumi.Sprintf("%d", args.Quota.CPU),
			"limits.memory":    pulumi.Sprintf("%dGi", args.Quota.MemoryGiB),
			"requests.storage": pulumi.Sprintf("%dGi", args.Quota.StorageGiB),
			// A load balancer costs money and opens a door, a port of every node for each of its own: as many as are asked for.
			"services.loadbalancers": pulumi.Sprintf("%d", balancers),
			"services.nodeports":     pulumi.Sprintf("%d", ports),
		}},
	}, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("resource quota: %w", err)
	}
	limits, err := corev1.NewLimitRange(ctx, name, &corev1.LimitRangeArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: n.Name},
		Spec: corev1.LimitRangeSpecArgs{Limits: corev1.LimitRangeItemArray{corev1.LimitRangeItemArgs{
			Type: pulumi.String("Container"),
			// For containers that say nothing: the quota would refuse them. No default CPU limit, which only throttles.
			DefaultRequest: pulumi.StringMap{"cpu": pulumi.String("50m"), "memory": pulumi.String("64Mi")},
			Default:        pulumi.StringMap{"memory": pulumi.String("256Mi")},
			Max:            pulumi.StringMap{"memory": pulumi.String("4Gi")},
		}}},
	}, pulumi.Parent(n))
	if err != nil {
		return fmt.Errorf("limit range: %w", err)
	}
	n.Guards = []pulumi.Resource{quota, limits}
	return nil
}
