package verify_test

import (
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

// A check that touches passes with the rights that it names, and undoes with them what it did.
func TestEachCheckThatTouchesNamesItsRightsInTheCluster(t *testing.T) {
	w := newWorld(t)
	some := answering(t, saying(200))
	domain := w.endpoint(t)
	reach := func(pod *corev1.Pod) map[string]string {
		out := map[string]string{"web:8080": some}
		for _, name := range []string{"kubernetes.default.svc", "web", "sts.us-east-1.amazonaws.com", domain} {
			out[name+":9"] = some
		}
		if pod.Labels["app.kubernetes.io/name"] == "nginx" || strings.Contains(pod.Labels["expense-verify/probe"], "metadata") {
			out[domain+":443"] = some
		}
		return out
	}
	// The parts of rotation and of a line's way have their own tests.
	for _, name := range []string{
		"web-replaced", "web-uninterrupted", "dns", "ports", "metadata", "volume-kept", "scaled-up", "node-drained",
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(verify.Checks(), func(c verify.Check) bool { return c.Name == name })
			k := &kubelet{t: t, w: w, reach: reach}
			s, limited := k.stack(), as(t, w, name+"-touches", slices.Concat(verify.LeaseAccess, verify.Checks()[i].Access))
			s.Kubernetes, s.REST = limited.Kubernetes, limited.REST
			r := k.judge(s, name)
			assert.Equal(t, verify.OK, r.Verdict, "%s\n%s", r.Seen, r.Shown)
		})
	}
}
