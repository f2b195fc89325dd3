package verify_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func init() {
	mutations = append(mutations,
		mutation{"web-replaced", "the quota has no room for a successor", func(t *testing.T, w *world) func() {
			quotas := w.Kubernetes.CoreV1().ResourceQuotas(w.Settings.Workloads.Namespace)
			list, err := quotas.List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			require.Len(t, list.Items, 1)
			quota := list.Items[0]
			set := func(pods string) {
				patch(t, map[string]any{"spec": map[string]any{"hard": map[string]any{"pods": pods}}}, func(data []byte) error {
					_, err := quotas.Patch(t.Context(), quota.Name, types.MergePatchType, data, metav1.PatchOptions{})
					return err
				})
			}
			set("1")
			patient := hurry(w)
			return func() {
				patient()
				hard := quota.Spec.Hard[corev1.ResourcePods]
				set(hard.String())
				webIsWhole(t, w)
			}
		}},
		mutation{"scaled-up", "the autoscaler aims at more use than there can be", func(t *testing.T, w *world) func() {
			scalers := w.Kubernetes.AutoscalingV2().HorizontalPodAutoscalers(w.Settings.Workloads.Namespace)
			set := func(percent int) {
				h, err := scalers.Get(t.Context(), "web", metav1.GetOptions{})
				require.NoError(t, err)
				aim := int32(percent)
				h.Spec.Metrics[0].ContainerResource.Target.AverageUtilization = &aim
				_, err = scalers.Update(t.Context(), h, metav1.UpdateOptions{})
				require.NoError(t, err)
			}
			webIsSettled(t, w)
			set(1_000_000)
			patient := hurry(w)
			return func() { patient(); set(w.Settings.Workloads.Web.TargetCPUPercent) }
		}},
		mutation{"node-drained", "web's disruption budget allows none", func(t *testing.T, w *world) func() {
			budgets := w.Kubernetes.PolicyV1().PodDisruptionBudgets(w.Settings.Workloads.Namespace)
			set := func(most int) {
				patch(t, map[string]any{"spec": map[string]any{"maxUnavailable": most}}, func(data []byte) error {
					_, err := budgets.Patch(t.Context(), "web", types.MergePatchType, data, metav1.PatchOptions{})
					return err
				})
				require.Eventually(t, func() bool {
					b, err := budgets.Get(t.Context(), "web", metav1.GetOptions{})
					return err == nil && b.Status.ObservedGeneration == b.Generation && int(b.Status.DisruptionsAllowed) == most
				}, time.Minute, 50*time.Millisecond)
			}
			webIsSettled(t, w)
			set(0)
			patient := hurry(w)
			return func() { patient(); set(1) }
		}},
	)
}

// patch sends a merge patch.
func patch(t *testing.T, with map[string]any, send func([]byte) error) {
	data, err := json.Marshal(with)
	require.NoError(t, err)
	require.NoError(t, send(data))
}

// hurry lets checks give up soon, where the right stack needs a moment and the wrong one all the time.
func hurry(w *world) (patient func()) {
	was := w.Patience
	w.Patience = 8 * time.Second
	return func() { w.Patience = was }
}

// webIsSettled waits until the load of another test is forgotten.
func webIsSettled(t *testing.T, w *world) {
	web := w.Settings.Workloads.Web
	require.Eventually(t, func() bool {
		d, err := w.Kubernetes.AppsV1().Deployments(w.Settings.Workloads.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && int(*d.Spec.Replicas) == web.MinReplicas && int(d.Status.Replicas) == web.MinReplicas &&
			int(d.Status.AvailableReplicas) == web.MinReplicas
	}, time.Minute, 100*time.Millisecond)
}

func webIsWhole(t *testing.T, w *world) {
	require.Eventually(t, func() bool {
		d, err := w.Kubernetes.AppsV1().Deployments(w.Settings.Workloads.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && d.Status.AvailableReplicas == *d.Spec.Replicas && d.Status.UnavailableReplicas == 0
	}, time.Minute, 100*time.Millisecond)
}
