package play

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// A policy for other pods, to other pods, or for another protocol lets nothing out of this pod.
func TestTheWayOutIsThePodsOwn(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"app": "web"}}}
	opening := func(change func(*networkingv1.NetworkPolicy)) []networkingv1.NetworkPolicy {
		policy := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "allow"}, Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "192.168.0.0/16"}}},
				Ports: []networkingv1.NetworkPolicyPort{{Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(intstr.FromInt32(443))}},
			}},
		}}
		change(&policy)
		return []networkingv1.NetworkPolicy{{}, policy}
	}
	out, err := wayOut(pod, opening(func(*networkingv1.NetworkPolicy) {}))
	require.NoError(t, err)
	assert.Equal(t, "network policy allow: TCP 443 to 192.168.0.0/16", out)
	for name, change := range map[string]func(*networkingv1.NetworkPolicy){
		"other pods":       func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels["app"] = "nginx" },
		"another port":     func(p *networkingv1.NetworkPolicy) { p.Spec.Egress[0].Ports[0].Port.IntVal = 80 },
		"another protocol": func(p *networkingv1.NetworkPolicy) { *p.Spec.Egress[0].Ports[0].Protocol = corev1.ProtocolUDP },
		"to pods":          func(p *networkingv1.NetworkPolicy) { p.Spec.Egress[0].To[0].IPBlock = nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wayOut(pod, opening(change))
			assert.ErrorContains(t, err, "no network policy lets HTTPS out of pod web")
		})
	}
}

func TestEachStepIsWrittenWithWhatAllowsIt(t *testing.T) {
	var out strings.Builder
	writeLinks(
		&out, []link{{"nginx writes a line", "volume logs"}, {"fluentd reads it", strings.TrimSpace(strings.Repeat("twelve chars ", 8))}},
	)
	assert.Equal(t, "\n  1. nginx writes a line\n     by volume logs\n  2. fluentd reads it\n     by "+
		strings.TrimSpace(strings.Repeat("twelve chars ", 7))+"\n        twelve chars\n\n", out.String())
	for _, line := range strings.Split(out.String(), "\n") {
		assert.LessOrEqual(t, len(line), 100, line)
	}
}

// The checks also hold for what neither stack has: the proxy with its reader, and web's defaults.
func TestTheChecksHoldWithDashboardsAndDefaults(t *testing.T) {
	s, play, out := newPlay(t)
	require.NoError(t, s.Pulumi(t.Context(), "config", "set", "--path", "expense:logging.dashboards.enabled", "true"))
	require.NoError(t, s.Pulumi(t.Context(), "config", "rm", "--path", "expense:workloads.web"))
	require.NoError(t, s.Pulumi(t.Context(), "up", "--yes", "--skip-preview"))
	require.NoError(t, play.Use(t.Context()))
	assert.Regexp(t,
		`== logs: the way of a line(?s:.*)\. a search finds it\n +by (the search of a browser through OpenSearch Dashboards, `+
			`as\s+arn:aws|not tried here)`, out.String())
	require.NoError(t, play.Failed())
	// Two sidecars of bare pods, two of web, the set-up and the proxy.
	assert.Regexp(t, `tokens: .* ok +[0-9.]+ +6 containers`, play.Text())
	require.NoError(t, play.Destroy(t.Context()))
}
