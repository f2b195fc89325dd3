// Package workloads owns what runs on the cluster for the users' sake: a namespace with its guard rails, the nginx and
// multi-container pods, and the self-healing web Deployment. It does not know how their logs are shipped.
package workloads

import (
	"fmt"

	"expense/internal/config"
	"expense/internal/pod"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Type tokens of the components. They are part of every URN: a change needs an alias, or it replaces the children.
const (
	typeNamespace = "expense:workloads:Namespace"
	typeNginx     = "expense:workloads:Nginx"
	typeMulti     = "expense:workloads:MultiContainer"
	typeWeb       = "expense:workloads:Web"
)

// podIdentityAgent is where the agent answers on each node
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
const podIdentityAgent = "169.254.170.23/32"

// NamespaceArgs describe the namespace.
type NamespaceArgs struct {
	Name        string
	Environment string
	Quota       config.Quota
	// VPCCIDR is where the OpenSearch domain and the STS endpoint are: pods may open HTTPS connections to it.
	VPCCIDR string
	// Web opens the web port to the pods of the namespace, and with its Public to everybody: the load balancer keeps its
	// clients' addresses. Nil leaves it closed.
	Web *config.Web
	// PodIdentity lets pods ask the node's EKS Pod Identity agent for credentials; it answers only service accounts that
	// have a role.
	PodIdentity bool
}

// Namespace is a namespace in which pods must meet Pod Security's level "restricted", stay within a quota, and talk to
// nobody but DNS, the logging endpoints and what the arguments open.
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

// NewNamespace makes the namespace and its guard rails. A change of the name replaces it and everything in it.
func NewNamespace(ctx *pulumi.Context, name string, args *NamespaceArgs, opts ...pulumi.ResourceOption) (*Namespace, error) {
	if args == nil {
		return nil, fmt.Errorf("namespace %q: no arguments", name)
	}
	n := &Namespace{}
	if err := ctx.RegisterComponentResource(typeNamespace, name, n, opts...); err != nil {
		return nil, err
	}
	namespace, err := corev1.NewNamespace(ctx, name, &corev1.NamespaceArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name: pulumi.String(args.Name),
			Labels: pulumi.StringMap{
				"name":        pulumi.String(args.Name),
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

	public := args.Web != nil && args.Web.Public
	balancers := 0
	if public {
		balancers = 1
	}
	quota, err := corev1.NewResourceQuota(ctx, name, &corev1.ResourceQuotaArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(args.Name), Namespace: n.Name},
		Spec: corev1.ResourceQuotaSpecArgs{Hard: pulumi.StringMap{
			"pods":             pulumi.Sprintf("%d", args.Quota.Pods),
			"requests.cpu":     pulumi.Sprintf("%d", args.Quota.CPU),
			"limits.memory":    pulumi.Sprintf("%dGi", args.Quota.MemoryGiB),
			"requests.storage": pulumi.Sprintf("%dGi", args.Quota.StorageGiB),
			// A load balancer costs money and opens a door, a port of every node for each of its own: as many as web needs.
			"services.loadbalancers": pulumi.Sprintf("%d", balancers),
			"services.nodeports":     pulumi.Sprintf("%d", balancers*len(servicePorts(public))),
		}},
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("resource quota: %w", err)
	}
	limits, err := corev1.NewLimitRange(ctx, name, &corev1.LimitRangeArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(args.Name), Namespace: n.Name},
		Spec: corev1.LimitRangeSpecArgs{Limits: corev1.LimitRangeItemArray{corev1.LimitRangeItemArgs{
			Type: pulumi.String("Container"),
			// For containers that say nothing: the quota would refuse them. No default CPU limit, which only throttles.
			DefaultRequest: pulumi.StringMap{"cpu": pulumi.String("50m"), "memory": pulumi.String("64Mi")},
			Default:        pulumi.StringMap{"memory": pulumi.String("256Mi")},
			Max:            pulumi.StringMap{"memory": pulumi.String("4Gi")},
		}}},
	}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("limit range: %w", err)
	}
	n.Guards = []pulumi.Resource{quota, limits}
	if err := n.policies(ctx, name, args); err != nil {
		return nil, err
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"name": n.Name})
}

// policies close the namespace and open what it needs. Policies add up: each opening is one of its own.
//
// EKS's network plugin applies them to pods that have an owner, such as a Deployment, and not to bare pods
// (https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html): nginx and multi-container stay open.
func (n *Namespace) policies(ctx *pulumi.Context, name string, args *NamespaceArgs) error {
	everyPod := metav1.LabelSelectorArgs{}
	neighbours := networkingv1.NetworkPolicyPeerArray{networkingv1.NetworkPolicyPeerArgs{PodSelector: everyPod}}
	dns := networkingv1.NetworkPolicyPeerArgs{
		NamespaceSelector: metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String("kube-system")}},
		PodSelector:       metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{"k8s-app": pulumi.String("kube-dns")}},
	}
	webPort := networkingv1.NetworkPolicyPortArray{port("TCP", Port)}
	type policy struct {
		name string
		spec networkingv1.NetworkPolicySpecArgs
	}
	policies := []policy{
		{"default-deny", networkingv1.NetworkPolicySpecArgs{
			PodSelector: everyPod, PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
		}},
		{"allow-dns", networkingv1.NetworkPolicySpecArgs{
			PodSelector: everyPod, PolicyTypes: pulumi.ToStringArray([]string{"Egress"}),
			Egress: networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{
				To: networkingv1.NetworkPolicyPeerArray{dns}, Ports: networkingv1.NetworkPolicyPortArray{port("UDP", 53), port("TCP", 53)},
			}},
		}},
		// The domain and the STS endpoint have addresses of the VPC that are not known by name here.
		{"allow-opensearch", networkingv1.NetworkPolicySpecArgs{
			PodSelector: everyPod, PolicyTypes: pulumi.ToStringArray([]string{"Egress"}),
			Egress: networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{
				To: block(args.VPCCIDR), Ports: networkingv1.NetworkPolicyPortArray{port("TCP", 443)},
			}},
		}},
	}
	if args.PodIdentity {
		policies = append(policies, policy{"allow-pod-identity", networkingv1.NetworkPolicySpecArgs{
			PodSelector: everyPod, PolicyTypes: pulumi.ToStringArray([]string{"Egress"}),
			Egress: networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{
				To: block(podIdentityAgent), Ports: networkingv1.NetworkPolicyPortArray{port("TCP", 80)},
			}},
		}})
	}
	if args.Web != nil {
		policies = append(policies, policy{"allow-web", networkingv1.NetworkPolicySpecArgs{
			PodSelector: everyPod, PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
			Ingress: networkingv1.NetworkPolicyIngressRuleArray{networkingv1.NetworkPolicyIngressRuleArgs{From: neighbours, Ports: webPort}},
			Egress:  networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{To: neighbours, Ports: webPort}},
		}})
	}
	if args.Web != nil && args.Web.Public {
		policies = append(policies, policy{"allow-public-web", networkingv1.NetworkPolicySpecArgs{
			PodSelector: metav1.LabelSelectorArgs{MatchLabels: pod.Labels(WebName)}, PolicyTypes: pulumi.ToStringArray([]string{"Ingress"}),
			Ingress: networkingv1.NetworkPolicyIngressRuleArray{networkingv1.NetworkPolicyIngressRuleArgs{From: block("0.0.0.0/0"), Ports: webPort}},
		}})
	}
	for _, policy := range policies {
		resource, err := networkingv1.NewNetworkPolicy(ctx, name+"-"+policy.name, &networkingv1.NetworkPolicyArgs{
			Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(policy.name), Namespace: n.Name},
			Spec:     policy.spec,
		}, pulumi.Parent(n))
		if err != nil {
			return fmt.Errorf("network policy %s: %w", policy.name, err)
		}
		n.Guards = append(n.Guards, resource)
	}
	return nil
}

// block is everybody with an address in the range.
func block(cidr string) networkingv1.NetworkPolicyPeerArray {
	return networkingv1.NetworkPolicyPeerArray{networkingv1.NetworkPolicyPeerArgs{IpBlock: networkingv1.IPBlockArgs{Cidr: pulumi.String(cidr)}}}
}

func port(protocol string, number int) networkingv1.NetworkPolicyPortArgs {
	return networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(protocol), Port: pulumi.Int(number)}
}
