package incluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"expense/internal/published"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// addonLabel is on all that an add-on runs.
const addonLabel = "rehearsal/addon"

// RunAddon makes what an EKS add-on runs: DaemonSets, which tolerate every taint, and a Deployment. It leaves what exists.
func (c *Controllers) RunAddon(ctx context.Context, name string, runs published.Addon) error {
	apps, always := c.clients.AppsV1(), []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	var errs []error
	for i := range runs.OnEach {
		meta, selector, pod := addonPod(name, fmt.Sprintf("node-%d", i), always)
		set := &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: pod}}
		_, err := apps.DaemonSets(meta.Namespace).Create(ctx, set, metav1.CreateOptions{})
		errs = append(errs, err)
	}
	if replicas := int32(runs.Replicas); replicas > 0 {
		meta, selector, pod := addonPod(name, "anywhere", nil)
		deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: pod}}
		_, err := apps.Deployments(meta.Namespace).Create(ctx, deployment, metav1.CreateOptions{})
		errs = append(errs, err)
	}
	for _, err := range errs {
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("add-on %s: %w", name, err)
		}
	}
	return nil
}

func addonPod(addon, role string, tolerations []corev1.Toleration) (metav1.ObjectMeta, *metav1.LabelSelector, corev1.PodTemplateSpec) {
	meta := metav1.ObjectMeta{
		Name: addon + "-" + role, Namespace: metav1.NamespaceSystem, Labels: map[string]string{addonLabel: addon, "role": role},
	}
	containers := []corev1.Container{{Name: addon, Image: "add-on/" + addon}}
	return meta, &metav1.LabelSelector{MatchLabels: meta.Labels}, corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: corev1.PodSpec{Containers: containers, Tolerations: tolerations},
	}
}

// StopAddon removes what RunAddon made and returns when its pods are gone.
func (c *Controllers) StopAddon(ctx context.Context, name string) error {
	apps, foreground := c.clients.AppsV1(), metav1.DeletePropagationForeground
	remove, all := metav1.DeleteOptions{PropagationPolicy: &foreground}, metav1.ListOptions{LabelSelector: addonLabel + "=" + name}
	err := errors.Join(apps.DaemonSets(metav1.NamespaceSystem).DeleteCollection(ctx, remove, all),
		apps.Deployments(metav1.NamespaceSystem).DeleteCollection(ctx, remove, all))
	if err != nil {
		return fmt.Errorf("add-on %s: %w", name, err)
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		left, err := c.clients.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, all)
		return err == nil && len(left.Items) == 0, err
	})
	if err != nil {
		return fmt.Errorf("waiting until the pods of add-on %s are gone: %w", name, err)
	}
	return nil
}
