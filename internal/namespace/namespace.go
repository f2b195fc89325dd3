// Package namespace makes a closed namespace. Its pods must meet Pod Security's level "restricted", stay within a quota, and reach only
// DNS and the peers of an Opening.
package namespace

import (
	"fmt"

	"expense/internal/config"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// typeNamespace is the component's type token. It is part of every URN: without an alias, a change replaces the children.
const typeNamespace = "expense:workloads:Namespace"

// Args describe the namespace.
type Args struct {
	// Environment is the value of the label "environment".
	Environment string
	Quota       config.Quota
	// Openings exist before the first pod.
	Openings []Opening
	// LoadBalancers has the number of ports of each load balancer that the namespace may have.
	LoadBalancers []int
}

// Namespace is the namespace with its guard rails.
//
// Its service account "default" stays as Kubernetes makes it. Pods with this account mount its token unless they set
// automountServiceAccountToken: false, as all pods here do. The token has only the rights of every signed-in user. A controller makes
// the account a moment after the namespace, so a patch of it would fail in some first runs of `pulumi up`.
type Namespace struct {
	pulumi.ResourceState

	Name pulumi.StringOutput `pulumi:"name"`

	// Guards must exist before the first pod and until the last is gone.
	Guards []pulumi.Resource
}

// New makes the namespace with the given name. A change of the name replaces it and everything in it.
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
				// The strictest of the three levels. The API server refuses a pod that does not meet it
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
		policy, err := Open(ctx, name+"-"+opening.Name, n.Name, opening, pulumi.Parent(n))
		if err != nil {
			return nil, err
		}
		n.Guards = append(n.Guards, policy)
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"name": n.Name})
}

// bounds makes the limits of the namespace and of each of its containers.
func (n *Namespace) bounds(ctx *pulumi.Context, name string, args *Args) error {
	ports := 0
	for _, ofOne := range args.LoadBalancers {
		ports += ofOne
	}
	quota, err := corev1.NewResourceQuota(ctx, name, &corev1.ResourceQuotaArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: n.Name},
		Spec: corev1.ResourceQuotaSpecArgs{Hard: pulumi.StringMap{
			"pods":             pulumi.Sprintf("%d", args.Quota.Pods),
			"requests.cpu":     pulumi.Sprintf("%d", args.Quota.CPU),
			"limits.memory":    pulumi.Sprintf("%dGi", args.Quota.MemoryGiB),
			"requests.storage": pulumi.Sprintf("%dGi", args.Quota.StorageGiB),
			// A load balancer costs money, and each of its ports opens one on every node. So only the expected ones are allowed.
			"services.loadbalancers": pulumi.Sprintf("%d", len(args.LoadBalancers)),
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
			// For containers without requests, which the quota would refuse. There is no default CPU limit: it would only throttle.
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
