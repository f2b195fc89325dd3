package verify_test

import (
	"context"
	"testing"

	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What needs no containers is seen in the rehearsal.
func TestTheRehearsalIsTouchedAndBroken(t *testing.T) {
	w := newWorld(t)
	report := verify.Run(t.Context(), w.Stack, of(func(c verify.Check) bool { return c.Level > verify.Reads && len(c.Needs) == 0 }),
		verify.Options{Level: verify.Breaks})
	assert.NotEmpty(t, report.Results)
	for _, r := range report.Results {
		t.Log(r.Name, r.Verdict, r.Seen, r.Took)
		assert.Equal(t, verify.OK, r.Verdict, "%s: %s\n%s", r.Name, r.Seen, r.Shown)
	}
}

// A drain loses nothing that Pulumi does not make again.
func TestNoDrainLosesAPodOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	nodes, err := w.Kubernetes.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	pods := w.Kubernetes.CoreV1().Pods(metav1.NamespaceDefault)
	for _, n := range nodes.Items {
		own := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "own-"}, Spec: corev1.PodSpec{
			NodeName: n.Name, Containers: []corev1.Container{{Name: "own", Image: "own"}},
		}}
		own, err = pods.Create(t.Context(), own, metav1.CreateOptions{})
		require.NoError(t, err)
		defer func() { assert.NoError(t, pods.Delete(context.Background(), own.Name, metav1.DeleteOptions{})) }()
	}
	report := verify.Run(t.Context(), w.Stack, verify.Checks(), verify.Options{Level: verify.Breaks, Only: []string{"node-drained"}})
	require.Len(t, report.Results, 1)
	want{verify.Unseen, "has no owner and is not the stack's"}.of(t, report.Results[0])
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, list.Items, len(nodes.Items))
}

// A bare pod on the node that is taken away comes back, on another.
func TestADrainGivesBarePodsBack(t *testing.T) {
	w := newWorld(t)
	pods, nodes := w.Kubernetes.CoreV1().Pods(w.Settings.Workloads.Namespace), w.Kubernetes.CoreV1().Nodes()
	before, err := pods.Get(t.Context(), "nginx", metav1.GetOptions{})
	require.NoError(t, err)
	label := func(node string, value any) {
		patch(t, map[string]any{"metadata": map[string]any{"labels": map[string]any{"eks.amazonaws.com/capacityType": value}}},
			func(data []byte) error {
				_, err := nodes.Patch(t.Context(), node, types.MergePatchType, data, metav1.PatchOptions{})
				return err
			})
	}
	all, err := nodes.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, n := range all.Items {
		if n.Name != before.Spec.NodeName {
			label(n.Name, nil) // it takes a spot node
			defer label(n.Name, n.Labels["eks.amazonaws.com/capacityType"])
		}
	}
	report := verify.Run(t.Context(), w.Stack, verify.Checks(), verify.Options{Level: verify.Breaks, Only: []string{"node-drained"}})
	require.Len(t, report.Results, 1)
	r := report.Results[0]
	assert.Equal(t, verify.OK, r.Verdict, "%s\n%s", r.Seen, r.Shown)
	assert.Contains(t, r.Seen, "made again by pulumi up: ")
	after, err := pods.Get(t.Context(), "nginx", metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotEqual(t, before.UID, after.UID)
	assert.NotEqual(t, before.Spec.NodeName, after.Spec.NodeName)
	_, err = nodes.Get(t.Context(), before.Spec.NodeName, metav1.GetOptions{})
	assert.Error(t, err, "the node is there still")
	t.Log(r.Seen)
}
