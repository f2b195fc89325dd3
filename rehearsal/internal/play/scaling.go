package play

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/ops/verify"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/utils/ptr"
)

// fullZone: the nodes in the zone of multi-container's volume are full when one more pod wants that volume. One round of the
// node autoscaler gives it a node there, on spot where a spot group can have one.
func (c *checks) fullZone(ctx context.Context) (_ string, err error) {
	if !c.autoscaled(ctx) {
		return "off in this stack", nil
	}
	zone, err := c.volumeZone(ctx)
	if err != nil {
		return "", err
	}
	before, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	const namespace, pod = metav1.NamespaceDefault, "wants-a-volume"
	defer func() {
		now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
		one := c.client.CoreV1().Pods(c.namespace).Delete(ctx, pod, now)
		if apierrors.IsNotFound(one) {
			one = nil
		}
		err = errors.Join(err, one, c.client.CoreV1().Pods(namespace).DeleteCollection(ctx, now, metav1.ListOptions{LabelSelector: "fills=node"}))
	}()
	full := 0
	for _, node := range before.Items {
		if node.Labels[corev1.LabelTopologyZone] != zone {
			continue
		}
		free, err := c.freeCPU(ctx, node)
		if err != nil {
			return "", err
		}
		filler := podOf("fills-"+strings.ReplaceAll(node.Name, ".", "-"), free)
		filler.Labels, filler.Spec.NodeName = map[string]string{"fills": "node"}, node.Name
		if _, err := c.client.CoreV1().Pods(namespace).Create(ctx, filler, metav1.CreateOptions{}); err != nil {
			return "", err
		}
		full++
	}
	wants := podOf(pod, resource.MustParse("100m"))
	wants.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "multi-container"},
	}}}
	if _, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, wants, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := until(ctx, func(ctx context.Context) error {
		got, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range got.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
				return nil
			}
		}
		return fmt.Errorf("pod %s is %s on node %q: expected no node in %s to have room", pod, got.Status.Phase, got.Spec.NodeName, zone)
	}); err != nil {
		return "", err
	}

	grown, why, err := c.stage.Controllers.ScaleUp(ctx, c.stage.Model)
	if err != nil {
		return "", err
	}
	if grown == "" {
		return "", fmt.Errorf("pod %s stays Pending, its volume is in %s: %s", pod, zone, why)
	}
	var node *corev1.Node
	if err := until(ctx, func(ctx context.Context) error {
		got, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, pod, metav1.GetOptions{})
		if err == nil && !verify.PodReady(*got) {
			err = fmt.Errorf("pod %s is %s after %s grew", pod, got.Status.Phase, grown)
		}
		if err == nil {
			node, err = c.client.CoreV1().Nodes().Get(ctx, got.Spec.NodeName, metav1.GetOptions{})
		}
		return err
	}); err != nil {
		return "", err
	}
	if node.Labels[verify.CapacityLabel] != spot {
		for name, group := range c.settings.Cluster.NodeGroups {
			if group.CapacityType == config.Spot {
				return "", fmt.Errorf("%s grew, which is %s, and group %s is on spot", grown, node.Labels[verify.CapacityLabel], name)
			}
		}
	}
	return fmt.Sprintf("%d full nodes in %s, a node more there on %s", full, zone, node.Labels[verify.CapacityLabel]), nil
}

// autoscaled tells whether the stack has the node autoscaler.
func (c *checks) autoscaled(ctx context.Context) bool {
	_, err := c.client.CoreV1().ServiceAccounts("kube-system").Get(ctx, "cluster-autoscaler", metav1.GetOptions{})
	return !apierrors.IsNotFound(err)
}

// freeCPU is the CPU of a node that no pod has requested.
func (c *checks) freeCPU(ctx context.Context, node corev1.Node) (resource.Quantity, error) {
	free := node.Status.Allocatable.Cpu().DeepCopy()
	pods, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name})
	if err != nil {
		return free, err
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			free.Sub(resourcehelper.PodRequests(&pod, resourcehelper.PodResourcesOptions{})[corev1.ResourceCPU])
		}
	}
	return free, nil
}

// podOf is a pod that a namespace of the level restricted takes, and that asks for some CPU.
func podOf(name string, cpu resource.Quantity) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(65534)), SeccompProfile: &corev1.SeccompProfile{
					Type: corev1.SeccompProfileTypeRuntimeDefault,
				},
			},
			Containers: []corev1.Container{{
				Name: "main", Image: "example.com/main:1",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: cpu}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}
