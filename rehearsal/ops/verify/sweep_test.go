package verify_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// A run that died holds its lease until it ends. Then the next run takes away what the dead one left, and nothing else.
func TestWhatADeadRunLeftIsSwept(t *testing.T) {
	w := newWorld(t)
	ctx, k, namespace := t.Context(), w.Kubernetes, w.Settings.Workloads.Namespace
	meta := metav1.ObjectMeta{Name: "verify-left", Labels: map[string]string{verify.RunLabel: "dead"}}
	_, err1 := k.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{})
	_, err2 := k.NetworkingV1().NetworkPolicies(namespace).Create(ctx, &networkingv1.NetworkPolicy{ObjectMeta: meta}, metav1.CreateOptions{})
	nodes, err3 := k.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	require.NoError(t, errors.Join(err1, err2, err3))
	cordoned := nodes.Items[0].Name
	patch := []byte(`{"metadata":{"labels":{"` + verify.RunLabel + `":"dead"}},"spec":{"unschedulable":true}}`)
	_, err := k.CoreV1().Nodes().Patch(ctx, cordoned, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	require.NoError(t, err)
	lease, err := k.CoordinationV1().Leases(namespace).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "expense-verify"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("dead"), LeaseDurationSeconds: ptr.To(int32(60)), RenewTime: ptr.To(metav1.NowMicro()),
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	look := func(ctx context.Context, _ *verify.Stack, w *verify.Work) (string, error) {
		l, err := k.CoordinationV1().Leases(namespace).Get(ctx, "expense-verify", metav1.GetOptions{})
		if err == nil {
			assert.Equal(t, w.ID, *l.Spec.HolderIdentity)
		}
		return "", err
	}
	touches := verify.Check{Name: "touches", Level: verify.Touches, Run: look}
	run := func() verify.Result {
		return verify.Run(ctx, w.Stack, []verify.Check{touches}, verify.Options{Level: verify.Touches}).Results[0]
	}
	assert.Equal(t, verify.Unseen, run().Verdict, "the lease has not ended")
	lease.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Now().Add(-time.Hour)))
	_, err = k.CoordinationV1().Leases(namespace).Update(ctx, lease, metav1.UpdateOptions{})
	require.NoError(t, err)
	r := run()
	assert.Equal(t, verify.OK, r.Verdict, r.Seen)

	of := metav1.ListOptions{LabelSelector: verify.RunLabel}
	maps, err1 := k.CoreV1().ConfigMaps(namespace).List(ctx, of)
	policies, err2 := k.NetworkingV1().NetworkPolicies(namespace).List(ctx, of)
	nodes, err3 = k.CoreV1().Nodes().List(ctx, of)
	leases, err4 := k.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{})
	node, err5 := k.CoreV1().Nodes().Get(ctx, cordoned, metav1.GetOptions{})
	require.NoError(t, errors.Join(err1, err2, err3, err4, err5))
	assert.Empty(t, maps.Items)
	assert.Empty(t, policies.Items)
	assert.Empty(t, nodes.Items)
	assert.Empty(t, leases.Items)
	assert.False(t, node.Spec.Unschedulable)
	kept, err := k.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	assert.NotEmpty(t, kept.Items)
}
