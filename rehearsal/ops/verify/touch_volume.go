package verify

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func isGone(err error) bool { return apierrors.IsNotFound(err) }

// volumeKept makes a claim of its own: one pod at a time may have multi-container's.
func volumeKept(ctx context.Context, s *Stack, w *Work) (string, error) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: w.meta("volume"), Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	claims := s.Kubernetes.CoreV1().PersistentVolumeClaims(claim.Namespace)
	w.later("claim "+claim.Name, func(ctx context.Context) error {
		if err := claims.Delete(ctx, claim.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		return s.until(ctx, func(ctx context.Context) error {
			_, err := claims.Get(ctx, claim.Name, metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("claim %s is there still", claim.Name)
			}
			if isGone(err) {
				return nil
			}
			return err
		})
	})
	if _, err := claims.Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("claim %s: %w", claim.Name, err) // a full quota is a refusal
	}
	var zones, nodes []string
	for _, want := range []string{"", w.ID} {
		var has struct{ Found string }
		p := probe{name: "volume", claim: claim.Name, env: map[string]string{"MARK": w.ID}}
		if len(nodes) > 0 {
			p.rather = nodes[0] // another node of the zone, if there is one
		}
		pod, err := w.asked(ctx, p, &has)
		if err != nil {
			return "", err
		}
		if has.Found != want {
			return "", failure([]Object{{"PersistentVolumeClaim", claim.Namespace, claim.Name}, {"Pod", pod.Namespace, pod.Name}},
				"pod %s found %q in the volume of claim %s, expected %q", pod.Name, has.Found, claim.Name, want)
		}
		node, err := s.Kubernetes.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("node %s: %w", pod.Spec.NodeName, err)
		}
		zones, nodes = append(zones, node.Labels[corev1.LabelTopologyZone]), append(nodes, node.Name)
	}
	if zones[0] != zones[1] {
		return "", failure([]Object{{"PersistentVolumeClaim", claim.Namespace, claim.Name}},
			"the volume of claim %s was in zone %s, and then in zone %s", claim.Name, zones[0], zones[1])
	}
	return fmt.Sprintf("written on node %s, read on node %s, both in %s", nodes[0], nodes[1], zones[0]), nil
}
