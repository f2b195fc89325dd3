package namespace

import (
	"net/netip"
	"slices"
	"testing"

	"expense/internal/pod"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A policy closes the directions that it names. One direction too many cuts pods off, and one too few leaves them open.
func TestAnOpeningIsForItsDirectionsOnly(t *testing.T) {
	for _, c := range []struct {
		opening Opening
		types   []string
	}{
		{Opening{}, []string{"Ingress", "Egress"}},
		{Opening{From: Neighbours, Ports: TCP(80)}, []string{"Ingress"}},
		{Opening{To: Neighbours, Ports: TCP(80)}, []string{"Egress"}},
		{Opening{From: Neighbours, To: Neighbours, Ports: TCP(80)}, []string{"Ingress", "Egress"}},
	} {
		policy := c.opening.policy()
		assert.Equal(t, pulumi.ToStringArray(c.types), policy.PolicyTypes)
		assert.Equal(t, len(c.opening.From) > 0, policy.Ingress != nil, "%v", c.opening)
		assert.Equal(t, len(c.opening.To) > 0, policy.Egress != nil, "%v", c.opening)
	}
}

func TestAnOpeningIsForItsWorkloadsOnly(t *testing.T) {
	assert.Equal(t, metav1.LabelSelectorArgs{}, Opening{}.policy().PodSelector, "every pod")
	assert.Equal(t, pod.Selector("web"), Opening{Workloads: []string{"web"}}.policy().PodSelector)
	assert.Equal(t, metav1.LabelSelectorArgs{MatchExpressions: metav1.LabelSelectorRequirementArray{metav1.LabelSelectorRequirementArgs{
		Key: pulumi.String(pod.NameLabel), Operator: pulumi.String("In"), Values: pulumi.ToStringArray([]string{"api", "web"}),
	}}}, Opening{Workloads: []string{"api", "web"}}.policy().PodSelector)
}

// Without its namespace's selector a peer would be a pod of the opening's namespace, and without its labels every pod.
func TestAPeerIsWhoItSays(t *testing.T) {
	rule := Opening{To: []Peer{
		{CIDR: "10.0.0.0/8"}, {}, {Labels: map[string]string{"app": "api"}},
		{Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}},
	}, Ports: TCP(443)}.policy().Egress.(networkingv1.NetworkPolicyEgressRuleArray)
	require.Len(t, rule, 1)
	labels := func(key, value string) metav1.LabelSelectorArgs {
		return metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{key: pulumi.String(value)}}
	}
	assert.Equal(t, networkingv1.NetworkPolicyPeerArray{
		networkingv1.NetworkPolicyPeerArgs{IpBlock: networkingv1.IPBlockArgs{Cidr: pulumi.String("10.0.0.0/8")}},
		networkingv1.NetworkPolicyPeerArgs{PodSelector: metav1.LabelSelectorArgs{}},
		networkingv1.NetworkPolicyPeerArgs{PodSelector: labels("app", "api")},
		networkingv1.NetworkPolicyPeerArgs{PodSelector: labels("k8s-app", "kube-dns"),
			NamespaceSelector: labels("kubernetes.io/metadata.name", "kube-system")},
	}, rule[0].(networkingv1.NetworkPolicyEgressRuleArgs).To)
	assert.Equal(t, networkingv1.NetworkPolicyPortArray{
		networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String("TCP"), Port: pulumi.Int(443)},
	}, rule[0].(networkingv1.NetworkPolicyEgressRuleArgs).Ports)
}

// The internet is what is left of everything. Private ranges in it would be the VPC, the nodes' metadata and others' networks.
func TestTheInternetIsPublicAddressesOnly(t *testing.T) {
	rules := Opening{To: []Peer{Internet}}.policy().Egress.(networkingv1.NetworkPolicyEgressRuleArray)
	to := rules[0].(networkingv1.NetworkPolicyEgressRuleArgs).To.(networkingv1.NetworkPolicyPeerArray)
	block := to[0].(networkingv1.NetworkPolicyPeerArgs).IpBlock.(networkingv1.IPBlockArgs)
	assert.Equal(t, pulumi.String("0.0.0.0/0"), block.Cidr)
	var except []netip.Prefix
	for _, cidr := range block.Except.(pulumi.StringArray) {
		except = append(except, netip.MustParsePrefix(string(cidr.(pulumi.String))))
	}
	for address, open := range map[string]bool{
		"8.8.8.8": true, "172.32.0.1": true, "192.167.255.255": true, "100.128.0.1": true,
		"10.1.2.3": false, "172.31.255.255": false, "192.168.0.1": false, "100.64.0.1": false, "169.254.169.254": false, "169.254.170.23": false,
	} {
		closed := slices.ContainsFunc(except, func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(address)) })
		assert.Equal(t, open, !closed, address)
	}
}

// A peer with ports of its own must not lend them to the others, nor get theirs.
func TestAPeersOwnPortsAreItsOwn(t *testing.T) {
	rules := Opening{To: []Peer{{CIDR: "10.0.0.0/8"}, {CIDR: "10.1.0.0/16", Ports: TCP(5432)}, {CIDR: "10.2.0.0/16"}}, Ports: TCP(443)}.
		policy().Egress.(networkingv1.NetworkPolicyEgressRuleArray)
	found := map[string][]int{}
	for _, rule := range rules {
		rule := rule.(networkingv1.NetworkPolicyEgressRuleArgs)
		for _, peer := range rule.To.(networkingv1.NetworkPolicyPeerArray) {
			cidr := string(peer.(networkingv1.NetworkPolicyPeerArgs).IpBlock.(networkingv1.IPBlockArgs).Cidr.(pulumi.String))
			for _, port := range rule.Ports.(networkingv1.NetworkPolicyPortArray) {
				found[cidr] = append(found[cidr], int(port.(networkingv1.NetworkPolicyPortArgs).Port.(pulumi.Int)))
			}
		}
	}
	assert.Equal(t, map[string][]int{"10.0.0.0/8": {443}, "10.1.0.0/16": {5432}, "10.2.0.0/16": {443}}, found)
}
