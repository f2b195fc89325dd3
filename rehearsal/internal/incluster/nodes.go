package incluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"expense/internal/published"
	"expense/rehearsal/internal/awsmodel"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// pollInterval is short, because nothing else passes the time. kubectl drain asks every 5 seconds.
const pollInterval = 100 * time.Millisecond

// AddNodes registers instances as nodes, as their kubelets do, and returns when they are Ready. It leaves an instance that is a
// node already.
func (c *Controllers) AddNodes(ctx context.Context, instances []awsmodel.Instance) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, instance := range instances {
		c.mu.Lock()
		c.cluster = instance.Cluster
		c.mu.Unlock()
		group.Go(func() error {
			_, err := c.clients.CoreV1().Nodes().Create(ctx, nodeOf(instance), metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("node %s: %w", instance.PrivateDNS, err)
			}
			if err := c.awaitNode(ctx, instance.PrivateDNS); err != nil {
				return fmt.Errorf("node %s is not Ready: %w", instance.PrivateDNS, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// nodeOf is what the kubelet and the cloud's node controller write of an instance of a managed node group
// (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html and
// https://kubernetes.io/docs/reference/labels-annotations-taints/).
func nodeOf(i awsmodel.Instance) *corev1.Node {
	labels := maps.Clone(i.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, map[string]string{
		corev1.LabelHostname:             i.PrivateDNS,
		corev1.LabelArchStable:           i.Arch,
		corev1.LabelOSStable:             "linux",
		corev1.LabelInstanceTypeStable:   i.InstanceType,
		corev1.LabelTopologyRegion:       i.Region,
		corev1.LabelTopologyZone:         i.Zone,
		"topology.k8s.aws/zone-id":       i.ZoneID,
		"eks.amazonaws.com/capacityType": i.CapacityType,
		"eks.amazonaws.com/nodegroup":    i.NodeGroup,
	})
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: i.PrivateDNS, Labels: labels},
		Spec:       corev1.NodeSpec{ProviderID: fmt.Sprintf("aws:///%s/%s", i.Zone, i.ID)},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: i.PrivateIP},
				{Type: corev1.NodeInternalDNS, Address: i.PrivateDNS},
				{Type: corev1.NodeHostName, Address: i.PrivateDNS},
			},
			NodeInfo: corev1.NodeSystemInfo{Architecture: i.Arch, OperatingSystem: "linux"},
		},
	}
	for _, taint := range i.Taints {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: corev1.TaintEffect(taint.Effect)})
	}
	node.Status.Capacity, node.Status.Allocatable = resourcesOf(i)
	return node
}

// resourcesOf is what an instance has, and what pods get. EKS's images reserve for the kubelet 6 % of the first core, 1 % of the
// second, 0.5 % of the next two and 0.25 % of the others, 255 MiB and 11 MiB for each pod that the type holds, whatever the node's own
// number is, and 100 MiB below which pods are evicted (https://github.com/awslabs/amazon-eks-ami, nodeadm/internal/kubelet/config.go).
func resourcesOf(i awsmodel.Instance) (capacity, allocatable corev1.ResourceList) {
	const mebi = 1 << 20
	microCores := 0
	for core := range i.VCPU {
		microCores += []int{60000, 10000, 5000, 5000, 2500}[min(core, 4)]
	}
	memory := int64(i.MemoryMiB) * mebi
	reserved := cmp.Or(published.InstanceTypes()[i.InstanceType].Pods(), i.MaxPods)
	disk := int64(i.DiskGiB) << 30
	pods := *resource.NewQuantity(int64(i.MaxPods), resource.DecimalSI)
	capacity = corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(i.VCPU), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourcePods:             pods,
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
	}
	allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(i.VCPU*1000-microCores/1000), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memory-int64(255+11*reserved+100)*mebi, resource.BinarySI),
		corev1.ResourcePods:   pods,
		// Less 1 GiB for the system and the tenth below which pods are evicted.
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk-disk/10-1<<30, resource.BinarySI),
	}
	return capacity, allocatable
}

func (c *Controllers) awaitNode(ctx context.Context, name string) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		node, err := c.clients.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		}), err
	})
}

// RemoveNodes takes instances out of the cluster. It cordons all, evicts their pods as disruption budgets allow, and after
// EvictionTimeout at most removes the nodes with the pods that are left.
func (c *Controllers) RemoveNodes(ctx context.Context, instances []awsmodel.Instance) error {
	for _, instance := range instances { // first, so that no pod moves to a node that leaves too
		cordon := []byte(`{"spec":{"unschedulable":true}}`)
		_, err := c.clients.CoreV1().Nodes().Patch(ctx, instance.PrivateDNS, types.StrategicMergePatchType, cordon, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("cordoning node %s: %w", instance.PrivateDNS, err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, instance := range instances {
		group.Go(func() error {
			if err := c.drain(ctx, instance.PrivateDNS); err != nil {
				return fmt.Errorf("draining node %s: %w", instance.PrivateDNS, err)
			}
			if err := c.terminate(ctx, instance.PrivateDNS); err != nil {
				return fmt.Errorf("removing node %s: %w", instance.PrivateDNS, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// LoseNodes takes instances out of the cluster that ended without notice. On AWS their nodes are NotReady and keep their pods for
// a minute, until the instances are known to be gone; here all go at once.
func (c *Controllers) LoseNodes(ctx context.Context, instances []awsmodel.Instance) error {
	var errs []error
	for _, instance := range instances {
		errs = append(errs, c.terminate(ctx, instance.PrivateDNS))
	}
	return errors.Join(errs...)
}

// drain evicts the pods of a node and waits until they are gone. When time runs out the instance ends anyway, without an error.
func (c *Controllers) drain(ctx context.Context, node string) error {
	pods, err := c.podsOn(ctx, node)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, c.EvictionTimeout)
	defer cancel()
	group, limited := errgroup.WithContext(limited)
	for _, pod := range pods {
		if owner := metav1.GetControllerOf(&pod); owner != nil && owner.Kind == "DaemonSet" {
			continue // would come back at once
		}
		group.Go(func() error { return c.evict(limited, &pod) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return ctx.Err()
}

// evict asks until the budgets allow it, and waits until the pod is gone.
func (c *Controllers) evict(ctx context.Context, pod *corev1.Pod) error {
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}}
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := c.clients.PolicyV1().Evictions(pod.Namespace).Evict(ctx, eviction)
		if apierrors.IsTooManyRequests(err) {
			return false, nil
		}
		return true, err
	})
	if err == nil {
		err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			now, err := c.clients.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			return err == nil && now.UID != pod.UID, err
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("evicting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// terminate removes the node and the pods that are left on it. The control plane's garbage collector would do so within a minute,
// because no kubelet confirms their end.
func (c *Controllers) terminate(ctx context.Context, node string) error {
	if err := c.clients.CoreV1().Nodes().Delete(ctx, node, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	pods, err := c.podsOn(ctx, node)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		err := c.clients.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0))
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (c *Controllers) podsOn(ctx context.Context, node string) ([]corev1.Pod, error) {
	list, err := c.clients.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}
