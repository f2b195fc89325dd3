package incluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// diskGiB is the root volume that EKS gives a node unless its group says otherwise
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
const diskGiB = 20

// AddNodes registers instances as nodes, as their kubelets do, and returns when they are Ready. An instance that is a
// node already is left as it is.
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

// resourcesOf is what an instance has and what of it pods get: EKS's images keep for the kubelet 6 % of the first core, 1 %
// of the second, 0.5 % of the next two and 0.25 % of the others, 255 MiB and 11 MiB for every pod that fits, and 100 MiB
// below which pods are evicted (https://github.com/awslabs/amazon-eks-ami, nodeadm/internal/kubelet).
func resourcesOf(i awsmodel.Instance) (capacity, allocatable corev1.ResourceList) {
	const mebi = 1 << 20
	microCores := 0
	for core := range i.VCPU {
		microCores += []int{60000, 10000, 5000, 5000, 2500}[min(core, 4)]
	}
	memory := int64(i.MemoryMiB) * mebi
	pods := *resource.NewQuantity(int64(i.MaxPods), resource.DecimalSI)
	capacity = corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(i.VCPU), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourcePods:             pods,
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(diskGiB<<30, resource.BinarySI),
	}
	allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(i.VCPU*1000-microCores/1000), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memory-int64(255+11*i.MaxPods+100)*mebi, resource.BinarySI),
		corev1.ResourcePods:   pods,
		// Less 1 GiB for the system and the tenth below which pods are evicted.
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(diskGiB<<30-diskGiB<<30/10-1<<30, resource.BinarySI),
	}
	return capacity, allocatable
}

func (c *Controllers) awaitNode(ctx context.Context, name string) error {
	nodes := cache.NewListWatchFromClient(c.clients.CoreV1().RESTClient(), "nodes", "", fields.OneTermEqualSelector(metav1.ObjectNameField, name))
	_, err := watchtools.UntilWithSync(ctx, nodes, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		if event.Type == watch.Deleted {
			return false, errors.New("it was deleted")
		}
		return slices.ContainsFunc(event.Object.(*corev1.Node).Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		}), nil
	})
	return err
}

// RemoveNodes takes instances out of the cluster: no pod is scheduled to them any more, their pods are evicted as
// disruption budgets allow and for EvictionTimeout at most, and then the node is gone with whatever is left on it.
func (c *Controllers) RemoveNodes(ctx context.Context, instances []awsmodel.Instance) error {
	for _, instance := range instances { // first, so that no pod moves to a node that leaves too
		_, err := c.clients.CoreV1().Nodes().Patch(ctx, instance.PrivateDNS, types.StrategicMergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
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

// LoseNodes takes instances out of the cluster that ended without notice. Until an instance is known to be gone its node is
// NotReady and its pods stay, which on AWS takes a minute; here they go at once.
func (c *Controllers) LoseNodes(ctx context.Context, instances []awsmodel.Instance) error {
	var errs []error
	for _, instance := range instances {
		errs = append(errs, c.terminate(ctx, instance.PrivateDNS))
	}
	return errors.Join(errs...)
}

// drain evicts the pods of a node and waits until they are gone. That time runs out is no error: the instance ends
// anyway.
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

func (c *Controllers) evict(ctx context.Context, pod *corev1.Pod) error {
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}}
	// A refusal for the sake of a budget says nothing of when to ask again; kubectl drain asks every 5 seconds.
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		err := c.clients.PolicyV1().Evictions(pod.Namespace).Evict(ctx, eviction)
		if apierrors.IsTooManyRequests(err) {
			return false, nil
		}
		return true, err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("evicting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	pods := cache.NewListWatchFromClient(c.clients.CoreV1().RESTClient(), "pods", pod.Namespace, fields.OneTermEqualSelector(metav1.ObjectNameField, pod.Name))
	_, err = watchtools.UntilWithSync(ctx, pods, &corev1.Pod{},
		func(store cache.Store) (bool, error) {
			return !slices.ContainsFunc(store.List(), func(o any) bool { return o.(*corev1.Pod).UID == pod.UID }), nil
		},
		func(event watch.Event) (bool, error) {
			return event.Type == watch.Deleted || event.Object.(*corev1.Pod).UID != pod.UID, nil
		})
	return err
}

// terminate removes the node, and what is left on it as the pod garbage collector of the control plane would within a
// minute: nothing runs there any more that could confirm the end of a pod.
func (c *Controllers) terminate(ctx context.Context, node string) error {
	if err := c.clients.CoreV1().Nodes().Delete(ctx, node, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	pods, err := c.podsOn(ctx, node)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := c.clients.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0)); err != nil && !apierrors.IsNotFound(err) {
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
