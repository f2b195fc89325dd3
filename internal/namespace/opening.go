package namespace

import (
	"expense/internal/pod"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Opening lets others connect to pods, or pods to others. It is one network policy, and policies add up.
//
// EKS's network plugin applies policies only to pods with an owner, such as a Deployment
// (https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html). So the bare pods nginx and multi-container stay open.
type Opening struct {
	// Name is the policy's name.
	Name string
	// Workloads are the names of the workloads whose pods it selects. Empty selects every pod of the namespace.
	Workloads []string
	// From may connect to Ports of these pods, and these pods may connect to Ports of To.
	From, To []Peer
	// Ports are those of the end that is connected to. Empty is every port.
	Ports []Port
	// LoadBalancerPorts is the number of ports of the load balancer in front of the pods. 0 is no load balancer.
	LoadBalancerPorts int
}

// Peer is the other end of a connection: addresses or pods.
type Peer struct {
	CIDR string
	// Namespace is the pods' namespace. Empty is the opening's own.
	Namespace string
	// Labels select the pods. Empty selects every pod.
	Labels map[string]string
}

// Neighbours are all pods of the opening's namespace.
var Neighbours = []Peer{{}}

// Port is a port of the server's end.
type Port struct {
	Protocol string
	Number   int
}

// TCP is one port of TCP.
func TCP(number int) []Port { return []Port{{"TCP", number}} }

// Every namespace is closed and can reach DNS.
var (
	closed = Opening{Name: "default-deny"}
	dns    = Opening{
		Name:  "allow-dns",
		To:    []Peer{{Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}}},
		Ports: []Port{{"UDP", 53}, {"TCP", 53}},
	}
)

// policy is the opening in Pulumi's types. It applies to the directions that have peers. An opening without peers closes both.
func (o Opening) policy() networkingv1.NetworkPolicySpecArgs {
	out := networkingv1.NetworkPolicySpecArgs{PodSelector: selector(o.Workloads)}
	var types []string
	var ports networkingv1.NetworkPolicyPortArray
	for _, p := range o.Ports {
		ports = append(ports, networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(p.Protocol), Port: pulumi.Int(p.Number)})
	}
	if len(o.From) > 0 {
		types = append(types, "Ingress")
		out.Ingress = networkingv1.NetworkPolicyIngressRuleArray{networkingv1.NetworkPolicyIngressRuleArgs{From: peers(o.From), Ports: ports}}
	}
	if len(o.To) > 0 {
		types = append(types, "Egress")
		out.Egress = networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{To: peers(o.To), Ports: ports}}
	}
	if len(types) == 0 {
		types = []string{"Ingress", "Egress"}
	}
	out.PolicyTypes = pulumi.ToStringArray(types)
	return out
}

// selector selects the pods of workloads, or all.
func selector(workloads []string) metav1.LabelSelectorArgs {
	switch len(workloads) {
	case 0:
		return metav1.LabelSelectorArgs{}
	case 1:
		return pod.Selector(workloads[0])
	}
	return metav1.LabelSelectorArgs{MatchExpressions: metav1.LabelSelectorRequirementArray{metav1.LabelSelectorRequirementArgs{
		Key: pulumi.String(pod.NameLabel), Operator: pulumi.String("In"), Values: pulumi.ToStringArray(workloads),
	}}}
}

func peers(all []Peer) networkingv1.NetworkPolicyPeerArray {
	var out networkingv1.NetworkPolicyPeerArray
	for _, p := range all {
		if p.CIDR != "" {
			out = append(out, networkingv1.NetworkPolicyPeerArgs{IpBlock: networkingv1.IPBlockArgs{Cidr: pulumi.String(p.CIDR)}})
			continue
		}
		var peer networkingv1.NetworkPolicyPeerArgs
		var pods metav1.LabelSelectorArgs
		if len(p.Labels) > 0 {
			pods.MatchLabels = pulumi.ToStringMap(p.Labels)
		}
		peer.PodSelector = pods
		if p.Namespace != "" {
			// Kubernetes sets this label on each namespace.
			peer.NamespaceSelector = metav1.LabelSelectorArgs{
				MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String(p.Namespace)},
			}
		}
		out = append(out, peer)
	}
	return out
}
