package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"expense/internal/config"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// shipper is a workload whose pods log, and that no Service selects: see openings in program/apps.go.
const shipper = "nginx"

// domainEndpoint is the host name of the domain.
func (s *Stack) domainEndpoint() (string, error) {
	for _, domain := range s.resources("aws:opensearch/domain:Domain") {
		if endpoint := output(domain, "endpoint"); endpoint != "" {
			return endpoint, nil
		}
	}
	return "", errors.New("the stack's state has no domain with an endpoint, expected one: run `pulumi up`")
}

// sts is where the sidecars get their credentials. Commercial regions and GovCloud have this name
// (https://docs.aws.amazon.com/general/latest/gr/sts.html).
func (s *Stack) sts() string { return "sts." + s.Settings.Region + ".amazonaws.com" }

func dns(ctx context.Context, s *Stack, w *Work) (string, error) {
	endpoint, err := s.domainEndpoint()
	if err != nil {
		return "", err
	}
	// The cluster's own names, a Service as its neighbours say it, and names outside.
	names := []string{"kubernetes.default.svc", config.WebName, s.sts(), endpoint}
	var found struct{ Missing []string }
	pod, err := w.asked(ctx, probe{name: "dns", env: map[string]string{"NAMES": strings.Join(names, " ")}}, &found)
	if err != nil {
		return "", err
	}
	if len(found.Missing) > 0 {
		return "", failure(append(podObject(pod), Object{"Deployment", "kube-system", "coredns"}), "a pod on node %s finds no address of %s",
			pod.Spec.NodeName, strings.Join(found.Missing, ", "))
	}
	return plural(len(names), "name"), nil
}

// outside is a host of AWS on the internet that no opening of the stack's names.
const outside = "checkip.amazonaws.com:443"

func ports(ctx context.Context, s *Stack, w *Work) (string, error) {
	endpoint, err := s.domainEndpoint()
	if err != nil {
		return "", err
	}
	address, _, err := web{s}.address(ctx)
	if err != nil {
		return "", err
	}
	hidden, err := web{s}.hidden(ctx, address)
	if err != nil {
		return "", err
	}
	domain := endpoint + ":443"
	neighbour := append([]string{domain}, hidden...)
	logs := slices.Clone(hidden)
	if s.Settings.Network.NAT != config.NATNone {
		// Without a NAT gateway nobody gets there, which says nothing of the policies.
		neighbour, logs = append(neighbour, outside), append(logs, outside)
	}
	tried := 0
	var problems []error
	for _, of := range []struct {
		as           string
		open, closed []string
	}{
		{"", []string{address}, neighbour},
		{shipper, []string{address, domain}, logs},
	} {
		var found struct{ Wrong []string }
		pod, err := w.asked(ctx, probe{name: "ports", as: of.as, env: map[string]string{
			"OPEN": strings.Join(of.open, " "), "CLOSED": strings.Join(of.closed, " "),
		}}, &found)
		tried += len(of.open) + len(of.closed)
		if err == nil && len(found.Wrong) > 0 {
			who := "a pod that is no workload"
			if of.as != "" {
				who = "a pod with the network policies of " + of.as
			}
			err = failure(append(podObject(pod), web{s}.objects()...), "from %s on node %s: %s",
				who, pod.Spec.NodeName, strings.Join(found.Wrong, "; "))
		}
		problems = append(problems, err)
	}
	return fmt.Sprintf("%s of two pods, each as it should be", plural(tried, "port")), errors.Join(problems...)
}

// hidden are HOST:PORT of a web pod's ports that its Service does not have: something listens there, and the policies keep others away.
func (w web) hidden(ctx context.Context, address string) (out []string, err error) {
	pods, err := w.pods(ctx)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, failure(w.objects(), "web has no pod that serves")
	}
	p := pods[0]
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, port := range c.Ports {
			if !strings.HasSuffix(address, fmt.Sprintf(":%d", port.ContainerPort)) {
				out = append(out, fmt.Sprintf("%s:%d", p.Status.PodIP, port.ContainerPort))
			}
		}
	}
	if len(out) == 0 {
		return nil, failure(append(podObject(p), w.objects()...), "pod %s has no port beside its Service's, expected the sidecar's", p.Name)
	}
	return out, nil
}

// metadataAddresses are those of every instance
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html).
var metadataAddresses = []string{"http://169.254.169.254", "http://[fd00:ec2::254]"}

// metadata opens the way to the metadata for its probe: the nodes' own options have to keep them, whatever the policies are. The same
// policy opens the domain's port. That it is open shows that the policy is in force at the probe's node.
func metadata(ctx context.Context, s *Stack, w *Work) (string, error) {
	endpoint, err := s.domainEndpoint()
	if err != nil {
		return "", err
	}
	policy := &networkingv1.NetworkPolicy{ObjectMeta: w.meta("metadata")}
	policy.Spec.PodSelector.MatchLabels = map[string]string{RunLabel: w.ID}
	policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	for cidr, port := range map[string]int32{"169.254.169.254/32": 80, "fd00:ec2::254/128": 80, s.Settings.Network.CIDR: 443} {
		policy.Spec.Egress = append(policy.Spec.Egress, networkingv1.NetworkPolicyEgressRule{
			To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}},
			Ports: []networkingv1.NetworkPolicyPort{{Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(intstr.FromInt32(port))}},
		})
	}
	policies := s.Kubernetes.NetworkingV1().NetworkPolicies(policy.Namespace)
	w.later("network policy "+policy.Name, func(ctx context.Context) error {
		return policies.Delete(ctx, policy.Name, metav1.DeleteOptions{})
	})
	if _, err := policies.Create(ctx, policy, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("network policy %s: %w", policy.Name, err)
	}
	var got struct {
		Control bool
		Given   []string
	}
	pod, err := w.asked(ctx, probe{name: "metadata", env: map[string]string{
		"CONTROL": endpoint + ":443", "ADDRESSES": strings.Join(metadataAddresses, " "),
	}}, &got)
	switch {
	case err != nil:
		return "", err
	case !got.Control:
		return "", notSeen("pod %s does not reach the domain, which is open to it: that it reaches nothing else says nothing", pod.Name)
	case len(got.Given) > 0:
		return "", failure([]Object{{"Node", "", pod.Spec.NodeName}}, "a pod on node %s: %s", pod.Spec.NodeName, strings.Join(got.Given, "; "))
	}
	return fmt.Sprintf("nothing from %s on node %s", strings.Join(metadataAddresses, " and "), pod.Spec.NodeName), nil
}
