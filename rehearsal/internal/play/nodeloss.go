package play

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/ops/verify"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const spot = string(config.Spot)

var webPods = metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=web"}

// budget: when nothing can start elsewhere, one web pod may be evicted, and a second may not before the first has a successor
// (https://kubernetes.io/docs/tasks/run-application/configure-pdb/). Every drain asks in this way.
func (c *checks) budget(ctx context.Context) (_ string, err error) {
	pods, err := c.web(ctx)
	if err != nil {
		return "", err
	}
	if len(pods) < 2 {
		return "", fmt.Errorf("web has %d pods, expected 2 and more", len(pods))
	}
	if err := c.cordon(ctx, true); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.cordon(ctx, false), c.webRolledOut(ctx)) }()
	evict := func(pod corev1.Pod) error {
		return c.client.PolicyV1().Evictions(c.namespace).Evict(
			ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}},
		)
	}
	if err := evict(pods[0]); err != nil {
		return "", fmt.Errorf("the first eviction: %w", err)
	}
	if err := evict(pods[1]); !apierrors.IsTooManyRequests(err) {
		return "", fmt.Errorf("web's second pod is evicted while the first has no successor, the API server said %v", err)
	}
	return "the second of 2 evictions was refused", nil
}

// cordon makes all nodes unschedulable, or schedulable again.
func (c *checks) cordon(ctx context.Context, off bool) error {
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, off)
		if _, err := c.client.CoreV1().Nodes().Patch(ctx, n.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// nodeReclaimed: EC2 takes the spot node back on which most web pods run. web keeps to its budget; a bare pod that ran there
// is gone until somebody runs `pulumi up --refresh`, and then has its volume again.
func (c *checks) nodeReclaimed(ctx context.Context) (string, error) {
	nodes, err := c.spotNodes(ctx)
	if err != nil {
		return "", err
	}
	before, err := c.web(ctx)
	if err != nil {
		return "", err
	}
	on := map[string]int{}
	for _, pod := range before {
		on[pod.Spec.NodeName]++
	}
	victim := slices.MaxFunc(nodes, func(a, b corev1.Node) int { return on[a.Name] - on[b.Name] })
	least, err := c.target.LeastWeb(ctx, func(ctx context.Context) error { return c.stage.Model.Reclaim(ctx, instanceOf(victim)) })
	if err != nil {
		return "", err
	}
	if least < len(before)-1 {
		return "", fmt.Errorf("web had %d Ready pods, and its disruption budget is one less than %d", least, len(before))
	}
	lost, err := c.recovered(ctx)
	return fmt.Sprintf("at least %d of %d web pods Ready; %s", least, len(before), lost), err
}

// zoneLost: all spot nodes of a zone end at once and the zone has no capacity. web comes back in the others, where the node
// autoscaler makes room, without a drain and so without regard to its budget.
func (c *checks) zoneLost(ctx context.Context) (string, error) {
	nodes, err := c.spotNodes(ctx)
	if err != nil {
		return "", err
	}
	zone := nodes[0].Labels[verify.ZoneIDLabel]
	var victims []string
	for _, n := range nodes {
		if n.Labels[verify.ZoneIDLabel] == zone {
			victims = append(victims, instanceOf(n))
		}
	}
	c.stage.Model.SetSpotCapacity(false, zone)
	defer c.stage.Model.SetSpotCapacity(true, zone)
	least, err := c.target.LeastWeb(ctx, func(ctx context.Context) error {
		return errors.Join(c.stage.Model.Lose(ctx, victims...), c.stage.Model.Refill(ctx))
	})
	if err != nil {
		return "", err
	}
	// The groups of the other zones give what theirs lacks.
	grown := 0
	if err := until(ctx, func(ctx context.Context) error {
		if c.autoscaled(ctx) {
			group, _, err := c.stage.Controllers.ScaleUp(ctx, c.stage.Model)
			if err != nil {
				return err
			}
			if group != "" {
				grown++
			}
		}
		return c.webWhole(ctx)
	}); err != nil {
		return "", err
	}
	if nodes, err = c.spotNodes(ctx); err != nil {
		return "", err
	}
	for _, n := range nodes {
		if n.Labels[verify.ZoneIDLabel] == zone {
			return "", fmt.Errorf("node %s is in zone %s, which has no capacity", n.Name, zone)
		}
	}
	// A volume is in one zone: a pod that needs it waits until the zone is back.
	c.stage.Model.SetSpotCapacity(true, zone)
	return c.afterwards(
		ctx,
		fmt.Sprintf("%d nodes of %s, %d more elsewhere, at least %d web pods Ready and all of them in the end", len(victims), zone, grown, least),
	)
}

// spreadAgain: pods that met in what was left of the cluster part again when they are made anew, by the command of
// docs/recovery.md. kubectl sets this annotation for it
// (https://github.com/kubernetes/kubectl/blob/master/pkg/polymorphichelpers/objectrestarter.go).
func (c *checks) spreadAgain(ctx context.Context) (string, error) {
	patch := fmt.Appendf(
		nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339),
	)
	if _, err := c.client.AppsV1().Deployments(c.namespace).Patch(
		ctx, "web", types.StrategicMergePatchType, patch, metav1.PatchOptions{},
	); err != nil {
		return "", err
	}
	if err := c.webRolledOut(ctx); err != nil {
		return "", err
	}
	return "", until(ctx, c.webSpread)
}

// noCapacity: all spot nodes end and EC2 has none for a while. What needs them waits, and comes back with them.
func (c *checks) noCapacity(ctx context.Context) (string, error) {
	nodes, err := c.spotNodes(ctx)
	if err != nil {
		return "", err
	}
	var victims []string
	for _, n := range nodes {
		victims = append(victims, instanceOf(n))
	}
	c.stage.Model.SetSpotCapacity(false, c.settings.Network.Zones...)
	defer c.stage.Model.SetSpotCapacity(true, c.settings.Network.Zones...)
	if err := errors.Join(c.stage.Model.Lose(ctx, victims...), c.stage.Model.Refill(ctx)); err != nil {
		return "", err
	}
	all, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	// web's pods are not lost: what cannot run waits.
	var wanted, running int
	if err := until(ctx, func(ctx context.Context) error {
		deployment, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := c.web(ctx)
		if err != nil {
			return err
		}
		wanted, running = int(*deployment.Spec.Replicas), 0
		waiting := 0
		for _, pod := range pods {
			switch {
			case verify.PodReady(pod):
				running++
			case pod.Status.Phase == corev1.PodPending:
				waiting++
			}
		}
		if running+waiting != wanted || len(all.Items) == 0 && running > 0 {
			return fmt.Errorf(
				"on %d nodes web has %d Ready and %d Pending pods, %d in all, and wants %d", len(all.Items), running, waiting, len(pods), wanted,
			)
		}
		return nil
	}); err != nil {
		return "", err
	}
	// Nor is the data: the claim keeps its volume.
	if err := c.claimed(ctx); err != nil {
		return "", err
	}
	note := fmt.Sprintf(
		"for as long as that lasts, here no time: %d other nodes, web %d Ready and %d Pending, the claim bound", len(all.Items), running,
		wanted-running,
	)
	c.stage.Model.SetSpotCapacity(true, c.settings.Network.Zones...)
	return c.afterwards(ctx, note)
}

// claimed: the claim has its volume, and AWS has no other.
func (c *checks) claimed(ctx context.Context) error {
	claim, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Get(ctx, "multi-container", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return fmt.Errorf("claim multi-container is %s", claim.Status.Phase)
	}
	volumes := 0
	for _, item := range c.stage.Model.Inventory() {
		if item.Origin == awsmodel.InCluster && strings.HasPrefix(item.ID, "vol-") {
			volumes++
		}
	}
	if volumes != 1 {
		return fmt.Errorf("the model holds %d volumes, expected 1", volumes)
	}
	return nil
}

// afterwards is a note on what came back after capacity did.
func (c *checks) afterwards(ctx context.Context, note string) (string, error) {
	if err := c.stage.Model.Refill(ctx); err != nil {
		return "", err
	}
	lost, err := c.recovered(ctx)
	return note + "; " + lost, err
}

// recovered waits until web is whole, says which bare pods are gone for good, and lets Pulumi make them again: nothing else
// does. The claim must be bound in the zone of its pod then.
func (c *checks) recovered(ctx context.Context) (string, error) {
	if err := c.webRolledOut(ctx); err != nil {
		return "", err
	}
	var lost []string
	for _, name := range []string{"multi-container", "nginx"} {
		if _, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			lost = append(lost, name)
		}
	}
	if len(lost) == 0 {
		return "no bare pod was lost", nil
	}
	if err := c.stage.Pulumi(ctx, "up", "--yes", "--skip-preview", "--refresh"); err != nil {
		return "", err
	}
	if _, err := c.ready(ctx); err != nil {
		return "", err
	}
	if err := c.claimed(ctx); err != nil {
		return "", err
	}
	return "lost for good, and made again by `pulumi up --refresh`: " + strings.Join(lost, ", "), c.claimZone(ctx)
}

func (c *checks) webRolledOut(ctx context.Context) error { return until(ctx, c.webWhole) }

func (c *checks) webWhole(ctx context.Context) error {
	deployment, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, "web", metav1.GetOptions{})
	if err == nil && !rolledOut(deployment) {
		err = fmt.Errorf("web has %d of %d pods", deployment.Status.AvailableReplicas, deployment.Status.Replicas)
	}
	return err
}

// claimZone: the pod runs where its volume is.
func (c *checks) claimZone(ctx context.Context) error {
	pod, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, "multi-container", metav1.GetOptions{})
	if err != nil {
		return err
	}
	node, err := c.client.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	volume, err := c.volumeZone(ctx)
	if zone := node.Labels[corev1.LabelTopologyZone]; err == nil && zone != volume {
		err = fmt.Errorf("pod multi-container runs in %s, and its volume is in %s", zone, volume)
	}
	return err
}

// volumeZone is the zone of multi-container's volume.
func (c *checks) volumeZone(ctx context.Context) (string, error) {
	claim, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Get(ctx, "multi-container", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	volume, err := c.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0], nil
}

func (c *checks) web(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.client.CoreV1().Pods(c.namespace).List(ctx, webPods)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func (c *checks) spotNodes(ctx context.Context) ([]corev1.Node, error) {
	list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: verify.CapacityLabel + "=" + spot})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, errors.New("found no spot node")
	}
	return list.Items, nil
}

// instanceOf is the ID of a node's instance.
func instanceOf(node corev1.Node) string {
	return node.Spec.ProviderID[strings.LastIndex(node.Spec.ProviderID, "/")+1:]
}
