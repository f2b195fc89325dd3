package namespace

import (
	"fmt"

	"expense/internal/pod"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Opening lets others connect to pods, or pods to others. It is one network policy, and policies add up.
//
// AWS promises policies only for pods with an owner, such as a Deployment
// (https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html). What they do to the bare pods nginx and multi-container is
// not consistent (https://github.com/aws/aws-network-policy-agent/issues/327).
type Opening struct {
	// Name is the policy's name.
	Name string
	// Workloads are the names of the workloads whose pods it selects. Empty selects every pod of the namespace.
	Workloads []string
	// From may connect to Ports of these pods, and these pods may connect to Ports of To.
	From, To []Peer
	// Ports are those of the end that is connected to. Empty is every port.
	Ports []Port
}

// Peer is the other end of a connection: addresses or pods.
type Peer struct {
	CIDR string
	// Except are ranges within CIDR that are not meant.
	Except []string
	// Namespace is the pods' namespace. Empty is the opening's own.
	Namespace string
	// Labels select the pods. Empty selects every pod.
	Labels map[string]string
	// Ports replace the opening's for this peer.
	Ports []Port
}

// Workload are the pods of one workload of the opening's namespace.
func Workload(name string) Peer { return Peer{Labels: map[string]string{pod.NameLabel: name}} }

// Internet is every public address. The exceptions are the private, shared and link-local ranges: RFC 1918, RFC 6598 and RFC 3927. The
// VPC, the Services, the instance metadata and the pod identity agent are in them.
var Internet = Peer{
	CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"},
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

// Open makes the policy of an opening in a namespace. name is its logical name.
func Open(
	ctx *pulumi.Context, name string, namespace pulumi.StringInput, opening Opening, opts ...pulumi.ResourceOption,
) (*networkingv1.NetworkPolicy, error) {
	policy, err := networkingv1.NewNetworkPolicy(ctx, name, &networkingv1.NetworkPolicyArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(opening.Name), Namespace: namespace},
		Spec:     opening.policy(),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("network policy %s: %w", opening.Name, err)
	}
	return policy, nil
}

// policy is the opening in Pulumi's types. It applies to the directions that have peers. An opening without peers closes both.
func (o Opening) policy() networkingv1.NetworkPolicySpecArgs {
	out := networkingv1.NetworkPolicySpecArgs{PodSelector: selector(o.Workloads)}
	var types []string
	if len(o.From) > 0 {
		types = append(types, "Ingress")
		var rules networkingv1.NetworkPolicyIngressRuleArray
		for _, r := range o.rules(o.From) {
			rules = append(rules, networkingv1.NetworkPolicyIngressRuleArgs{From: r.peers, Ports: r.ports})
		}
		out.Ingress = rules
	}
	if len(o.To) > 0 {
		types = append(types, "Egress")
		var rules networkingv1.NetworkPolicyEgressRuleArray
		for _, r := range o.rules(o.To) {
			rules = append(rules, networkingv1.NetworkPolicyEgressRuleArgs{To: r.peers, Ports: r.ports})
		}
		out.Egress = rules
	}
	if len(types) == 0 {
		types = []string{"Ingress", "Egress"}
	}
	out.PolicyTypes = pulumi.ToStringArray(types)
	return out
}

// rule is some peers with the same ports.
type rule struct {
	peers networkingv1.NetworkPolicyPeerArray
	ports networkingv1.NetworkPolicyPortArray
}

// rules has one rule for the peers with the opening's ports, and one for each peer with its own.
func (o Opening) rules(all []Peer) []rule {
	var shared []Peer
	var out []rule
	for _, p := range all {
		if len(p.Ports) == 0 {
			shared = append(shared, p)
		} else {
			out = append(out, rule{peers([]Peer{p}), ports(p.Ports)})
		}
	}
	if len(shared) > 0 {
		out = append([]rule{{peers(shared), ports(o.Ports)}}, out...)
	}
	return out
}

func ports(all []Port) networkingv1.NetworkPolicyPortArray {
	var out networkingv1.NetworkPolicyPortArray
	for _, p := range all {
		out = append(out, networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(p.Protocol), Port: pulumi.Int(p.Number)})
	}
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
			block := networkingv1.IPBlockArgs{Cidr: pulumi.String(p.CIDR)}
			if len(p.Except) > 0 {
				block.Except = pulumi.ToStringArray(p.Except)
			}
			out = append(out, networkingv1.NetworkPolicyPeerArgs{IpBlock: block})
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
