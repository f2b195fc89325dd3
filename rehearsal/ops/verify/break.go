package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"expense/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"
)

var breakChecks = []Check{{
	Name: "node-drained", Level: Breaks, Promise: "A node is drained and taken away without harm to web, and has a successor.",
	Disturbs: "the pods of one node move; a bare pod on it is lost, and `pulumi up --refresh` makes it again; the node's instance ends",
	Makes:    "a probe that asks web five times a second, where containers run",
	Actions:  []string{"autoscaling:TerminateInstanceInAutoScalingGroup"},
	Access: slices.Concat(probeAccess, []string{
		"list nodes", "patch nodes", "get pods", "watch pods", "create pods/eviction", "get deployments", "get services",
	}),
	Takes: 10 * time.Minute, Run: nodeDrained,
}}

// restoreTime is how long `pulumi up` may take to make lost pods again.
const restoreTime = 20 * time.Minute

// nodeDrained does what EC2 does when it takes a spot node back, with time: what ran there moves within web's disruption budget, and
// the group starts another node.
func nodeDrained(ctx context.Context, s *Stack, w *Work) (_ string, err error) {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return "", err
	}
	if len(nodes) < 2 {
		return "", notSeen("the cluster has %s that takes pods, and a drain needs another", plural(len(nodes), "node"))
	}
	node, pods, err := s.victim(ctx, nodes)
	if err != nil {
		return "", err
	}
	made := s.resources("kubernetes:core/v1:Pod")
	for _, p := range bareOf(pods, metav1.NamespaceAll) {
		if _, is := made[p.Name]; !is || p.Namespace != s.Settings.Workloads.Namespace {
			return "", notSeen("pod %s/%s on node %s has no owner and is not the stack's: a drain would lose it", p.Namespace, p.Name, node.Name)
		}
	}
	serving, err := web{s}.pods(ctx)
	if err != nil {
		return "", err
	}
	said := "no client asked: " + s.missing([]Ability{Containers})
	var c *client
	if _, lacks := s.Lacks[Containers]; !lacks {
		if c, err = w.client(ctx, node.Name); err != nil {
			return "", err
		}
	}
	bare := bareOf(pods, s.Settings.Workloads.Namespace)
	defer func() { err = errors.Join(err, s.restore(ctx, bare)) }()
	w.later("cordon of node "+node.Name, func(ctx context.Context) error { return w.schedulable(ctx, node.Name, true) })
	if err := w.schedulable(ctx, node.Name, false); err != nil {
		return "", fmt.Errorf("node %s: %w", node.Name, err)
	}
	least, err := s.LeastWeb(ctx, func(ctx context.Context) error { return s.drain(ctx, pods) })
	if err != nil {
		return "", err
	}
	d, err := web{s}.deployment(ctx)
	if err != nil {
		return "", err
	}
	// One less is what web's disruption budget allows, beside what the autoscaler takes away meanwhile.
	if allowed := min(len(serving), int(ptr.Deref(d.Spec.Replicas, 1))) - 1; least < allowed {
		return "", failure(web{s}.objects(), "while node %s was drained, web had %s that serve, expected at least %d",
			node.Name, plural(least, "pod"), allowed)
	}
	if err := s.takeAway(ctx, node, len(nodes)); err != nil {
		return "", err
	}
	if c != nil {
		if err := c.goOn(ctx); err != nil {
			return "", err
		}
		said = plural(c.saw.Requests, "request") + " meanwhile, none failed"
	}
	lost := "no bare pod was lost"
	if len(bare) > 0 {
		lost = "lost, and made again by pulumi up: " + strings.Join(names(bare), ", ")
	}
	return fmt.Sprintf("node %s: %s moved, at least %d of %s of web served; it has a successor; %s; %s",
		node.Name, plural(len(pods)-len(bare), "pod"), least, plural(len(serving), "pod"), lost, said), nil
}

// nodes are those that take pods.
func (s *Stack) nodes(ctx context.Context) ([]corev1.Node, error) {
	list, err := s.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(n corev1.Node) bool {
		return n.Spec.Unschedulable || n.DeletionTimestamp != nil || !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	}), nil
}

// victim is a spot node with pods of web, if there is one, with the fewest bare pods and then the most of web, and the pods that leave it.
func (s *Stack) victim(ctx context.Context, nodes []corev1.Node) (corev1.Node, []corev1.Pod, error) {
	type candidate struct {
		node            corev1.Node
		pods            []corev1.Pod
		spot, bare, web int
	}
	var all []candidate
	for _, n := range nodes {
		list, err := s.Kubernetes.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			FieldSelector: fields.Set{"spec.nodeName": n.Name}.String(),
		})
		if err != nil {
			return corev1.Node{}, nil, err
		}
		c := candidate{node: n, pods: slices.DeleteFunc(list.Items, stays)}
		if n.Labels[CapacityLabel] == string(config.Spot) {
			c.spot = 1
		}
		for _, p := range c.pods {
			if p.Namespace == s.Settings.Workloads.Namespace && p.Labels["app.kubernetes.io/name"] == config.WebName {
				c.web++
			}
		}
		c.bare = len(bareOf(c.pods, metav1.NamespaceAll))
		all = append(all, c)
	}
	best := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(b.spot-a.spot, min(b.web, 1)-min(a.web, 1), a.bare-b.bare, b.web-a.web, strings.Compare(a.node.Name, b.node.Name))
	})
	if len(best.pods) == 0 {
		return best.node, nil, notSeen("node %s has no pod that a drain moves", best.node.Name)
	}
	return best.node, best.pods, nil
}

// stays tells whether a drain leaves a pod where it is, as kubectl's does
// (https://kubernetes.io/docs/reference/kubectl/generated/kubectl_drain/): those of DaemonSets, static ones, and those that have ended.
func stays(p corev1.Pod) bool {
	owner := metav1.GetControllerOf(&p)
	return owner != nil && owner.Kind == "DaemonSet" || p.Annotations[corev1.MirrorPodAnnotationKey] != "" ||
		p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// bareOf are the pods that nothing makes again, in a namespace or in all.
func bareOf(pods []corev1.Pod, namespace string) (out []corev1.Pod) {
	for _, p := range pods {
		if metav1.GetControllerOf(&p) == nil && (namespace == metav1.NamespaceAll || p.Namespace == namespace) {
			out = append(out, p)
		}
	}
	return out
}

func names(pods []corev1.Pod) (out []string) {
	for _, p := range pods {
		out = append(out, p.Name)
	}
	return out
}

// drain evicts pods as their disruption budgets allow, and waits until they are gone and web is whole.
func (s *Stack) drain(ctx context.Context, pods []corev1.Pod) error {
	for _, p := range pods {
		eviction := &policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))},
		}
		if err := s.until(ctx, func(ctx context.Context) error {
			switch err := s.Kubernetes.PolicyV1().Evictions(p.Namespace).Evict(ctx, eviction); {
			case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
				return nil
			case apierrors.IsTooManyRequests(err):
				return failure(podObject(p), "pod %s/%s may not be evicted: %w", p.Namespace, p.Name, err)
			default:
				return fmt.Errorf("eviction of pod %s/%s: %w", p.Namespace, p.Name, err)
			}
		}); err != nil {
			return err
		}
	}
	for _, p := range pods {
		if err := s.gone(ctx, p); err != nil {
			return err
		}
	}
	return s.until(ctx, web{s}.whole)
}

// takeAway ends a node's instance, and waits until the group has started another.
func (s *Stack) takeAway(ctx context.Context, node corev1.Node, want int) error {
	id := node.Spec.ProviderID[strings.LastIndex(node.Spec.ProviderID, "/")+1:]
	// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html: the group starts another.
	end := &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false)}
	if _, err := autoscaling.NewFromConfig(s.AWS).TerminateInstanceInAutoScalingGroup(ctx, end); err != nil {
		return fmt.Errorf("instance %s of node %s: %w", id, node.Name, err)
	}
	return s.until(ctx, func(ctx context.Context) error {
		now, err := s.nodes(ctx)
		if err != nil {
			return err
		}
		if len(now) < want {
			return failure([]Object{{"Node", "", node.Name}}, "after node %s was taken away there are %s that take pods, expected %d",
				node.Name, plural(len(now), "node"), want)
		}
		return nil
	})
}

// restore lets Pulumi make bare pods again that are gone: nothing else does (docs/recovery.md). It looks at nothing else of the stack.
func (s *Stack) restore(ctx context.Context, bare []corev1.Pod) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
	defer cancel()
	args := []string{"up", "--yes", "--skip-preview", "--refresh"}
	lost := 0
	for _, p := range bare {
		got, err := s.Kubernetes.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		if err == nil && got.UID == p.UID && got.DeletionTimestamp == nil {
			continue
		}
		if made, is := s.resources("kubernetes:core/v1:Pod")[p.Name]; is {
			args = append(args, "--target", string(made.URN))
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	if out, err := s.Pulumi(ctx, args...); err != nil {
		return fmt.Errorf("lost pods %s: make them again with pulumi up --refresh: %v %s", strings.Join(names(bare), ", "), err, out)
	}
	return s.until(ctx, func(ctx context.Context) error {
		for _, p := range bare {
			got, err := s.Kubernetes.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("pod %s/%s, which the update makes again: %w", p.Namespace, p.Name, err)
			}
			if !takesRequests(*got) {
				return failure(podObject(p), "pod %s/%s is made again, and is not Ready", p.Namespace, p.Name)
			}
		}
		return nil
	})
}

// LeastWeb is how few pods of web served at any time while something was done, by every change that the API server tells.
func (s *Stack) LeastWeb(ctx context.Context, do func(context.Context) error) (int, error) {
	d, err := web{s}.deployment(ctx)
	if err != nil {
		return 0, err
	}
	options := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)}
	list, err := s.Kubernetes.CoreV1().Pods(d.Namespace).List(ctx, options)
	if err != nil {
		return 0, err
	}
	// It begins anew where it ended: a drain takes longer than one request may.
	changes, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = options.LabelSelector
			return s.Kubernetes.CoreV1().Pods(d.Namespace).Watch(ctx, o)
		},
	})
	if err != nil {
		return 0, err
	}
	defer changes.Stop()
	serving := map[types.UID]bool{}
	for _, p := range list.Items {
		if takesRequests(p) {
			serving[p.UID] = true
		}
	}
	least := len(serving)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	for {
		select {
		case err := <-done:
			return least, err
		case event, ok := <-changes.ResultChan():
			p, isPod := event.Object.(*corev1.Pod)
			if !ok || !isPod {
				cancel()
				return 0, errors.Join(<-done, notSeen("the API server ended the watch of web's pods"))
			}
			if delete(serving, p.UID); event.Type != watch.Deleted && takesRequests(*p) {
				serving[p.UID] = true
			}
			least = min(least, len(serving))
		}
	}
}
