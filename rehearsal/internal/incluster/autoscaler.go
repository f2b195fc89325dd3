package incluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	resourcehelper "k8s.io/component-helpers/resource"
	corev1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	volumehelper "k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"
)

const autoscalerName, autoscalerNamespace = "cluster-autoscaler", "kube-system"

// ScaleUp is one round of the Cluster Autoscaler 1.35.0 (https://github.com/kubernetes/autoscaler): it grows one node group by one
// node for the pods that find no room, and says which, or why it grows none. It takes the command line and the priorities from the
// cluster and has the permissions of its account and role. Without its Deployment it does nothing.
//
// The real one leaves two things to chance: which node of a group it takes as the pattern, and which of two equally good groups it
// grows. This one has bad luck: it takes the node that helps the fewest pods, and the group that costs the most. It is for nodes of
// one size: it does not look at topology spread, affinity of pods and similar groups.
func (c *Controllers) ScaleUp(ctx context.Context, model *awsmodel.Model) (grown, why string, err error) {
	deployment, err := c.clients.AppsV1().Deployments(autoscalerNamespace).Get(ctx, autoscalerName, metav1.GetOptions{})
	if err != nil {
		return "", "", err
	}
	if deployment.Status.AvailableReplicas == 0 {
		return "", "", errors.New("no pod of the autoscaler is available")
	}
	a := autoscaler{command: deployment.Spec.Template.Spec.Containers[0].Command}
	account := deployment.Spec.Template.Spec.ServiceAccountName
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + autoscalerNamespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + autoscalerNamespace, "system:authenticated"},
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", "", err
	}
	if err := a.look(ctx, clients); err != nil {
		return "", "", err
	}
	role, err := model.AssumeByPodIdentity(awsmodel.Token{
		Cluster: c.clusterName(), Namespace: autoscalerNamespace, ServiceAccount: account, Audience: "pods.eks.amazonaws.com",
	})
	if err != nil {
		return "", "", err
	}
	groups, err := model.ScalingGroups(role)
	if err != nil {
		return "", "", err
	}
	best, why, err := a.choose(groups)
	if err != nil || best == nil {
		return "", why, err
	}
	return best.group.Name, "", model.SetDesiredCapacity(ctx, role, best.group.Name, best.group.Desired+1)
}

// autoscaler is what one round knows.
type autoscaler struct {
	command []string
	nodes   []corev1.Node
	// free is what is left on each node.
	free map[string]corev1.ResourceList
	// pending are the pods for which the scheduler found no node.
	pending []corev1.Pod
	// volumes are those of bound claims, by namespace and name of the claim.
	volumes map[string]*corev1.PersistentVolume
	// priorities are those of its ConfigMap.
	priorities map[int][]string
}

// option is a group that would help.
type option struct {
	group awsmodel.ScalingGroup
	// pods is how many would run on a new node, and waste the share of its CPU and memory that they would not use.
	pods  int
	waste float64
}

// flag is the value of a flag of its command line.
func (a *autoscaler) flag(name string) string {
	for _, arg := range a.command {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}

func (a *autoscaler) look(ctx context.Context, clients kubernetes.Interface) error {
	core := clients.CoreV1()
	nodes, err1 := core.Nodes().List(ctx, metav1.ListOptions{})
	pods, err2 := core.Pods("").List(ctx, metav1.ListOptions{})
	claims, err3 := core.PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	volumes, err4 := core.PersistentVolumes().List(ctx, metav1.ListOptions{})
	maps, err5 := core.ConfigMaps(autoscalerNamespace).List(ctx, metav1.ListOptions{})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	a.nodes, a.free, a.volumes = nodes.Items, map[string]corev1.ResourceList{}, map[string]*corev1.PersistentVolume{}
	for _, node := range a.nodes {
		a.free[node.Name] = node.Status.Allocatable.DeepCopy()
	}
	for _, pod := range pods.Items {
		switch {
		case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		case pod.Spec.NodeName != "":
			if free, ok := a.free[pod.Spec.NodeName]; ok {
				take(free, &pod)
			}
		case pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
		}):
			a.pending = append(a.pending, pod)
		}
	}
	for _, claim := range claims.Items {
		for i, volume := range volumes.Items {
			if volume.Name == claim.Spec.VolumeName {
				a.volumes[claim.Namespace+"/"+claim.Name] = &volumes.Items[i]
			}
		}
	}
	for _, m := range maps.Items {
		if m.Name == "cluster-autoscaler-priority-expander" {
			if err := yaml.Unmarshal([]byte(m.Data["priorities"]), &a.priorities); err != nil {
				return fmt.Errorf("config map %s: %w", m.Name, err)
			}
		}
	}
	return nil
}

// take takes what a pod asks for from what is free, and says whether there was enough.
func take(free corev1.ResourceList, pod *corev1.Pod) bool {
	asked := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	asked[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	enough := true
	for name, quantity := range asked {
		left := free[name]
		left.Sub(quantity)
		enough = enough && left.Sign() >= 0
		free[name] = left
	}
	return enough
}

// suits tells whether a pod may run on a node that has room.
func (a *autoscaler) suits(pod *corev1.Pod, node *corev1.Node) bool {
	if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match || node.Spec.Unschedulable {
		return false
	}
	hard := func(t *corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule }
	_, tainted := corev1helper.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations, hard, false)
	if tainted {
		return false
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		volume := a.volumes[pod.Namespace+"/"+v.PersistentVolumeClaim.ClaimName]
		if volume != nil && volumehelper.CheckNodeAffinity(volume, node.Labels) != nil {
			return false
		}
	}
	return true
}

// place puts pods on a node as long as they find room, and returns those that do not.
func (a *autoscaler) place(pods []corev1.Pod, node *corev1.Node, free corev1.ResourceList) (left []corev1.Pod) {
	for _, pod := range pods {
		after := free.DeepCopy()
		if !a.suits(&pod, node) || !take(after, &pod) {
			left = append(left, pod)
			continue
		}
		for name, quantity := range after {
			free[name] = quantity
		}
	}
	return left
}

// choose picks the group to grow, or says why there is none.
func (a *autoscaler) choose(groups []awsmodel.ScalingGroup) (*option, string, error) {
	// Pods that the scheduler has yet to place need no node.
	for i, node := range a.nodes {
		a.pending = a.place(a.pending, &a.nodes[i], a.free[node.Name])
	}
	if len(a.pending) == 0 {
		return nil, "no pod is in want of a node", nil
	}
	tags, found := strings.CutPrefix(a.flag("node-group-auto-discovery"), "asg:tag=")
	if !found {
		return nil, "", fmt.Errorf("the autoscaler's command %v does not find groups by tags", a.command)
	}
	var options []option
	var reasons []string
	for _, group := range groups {
		switch {
		case slices.ContainsFunc(strings.Split(tags, ","), func(tag string) bool { _, has := group.Tags[tag]; return !has }):
		case len(group.Instances) < group.Desired:
			reasons = append(reasons, group.Name+": gets no nodes, backed off")
		case group.Desired >= group.Max:
			reasons = append(reasons, group.Name+": max node group size reached")
		default:
			if o := a.estimate(group); o.pods > 0 {
				options = append(options, o)
			} else {
				reasons = append(reasons, group.Name+": no pod fits on its nodes")
			}
		}
	}
	if len(options) == 0 {
		return nil, fmt.Sprintf("no expansion options for %d pods: %s", len(a.pending), strings.Join(reasons, "; ")), nil
	}
	for _, expander := range strings.Split(a.flag("expander"), ",") {
		score := func(o option) float64 { return -o.waste }
		switch expander {
		case "priority":
			if len(a.priorities) == 0 {
				continue
			}
			score = func(o option) float64 { return float64(a.priority(o.group.Name)) }
		case "least-waste":
		default:
			return nil, "", fmt.Errorf("expander %q: the stand-in knows priority and least-waste", expander)
		}
		best := score(slices.MaxFunc(options, func(x, y option) int { return cmp.Compare(score(x), score(y)) }))
		options = slices.DeleteFunc(options, func(o option) bool { return score(o) < best })
	}
	dearest := slices.MaxFunc(options, func(x, y option) int {
		return strings.Compare(y.group.Template.CapacityType, x.group.Template.CapacityType)
	})
	return &dearest, "", nil
}

// priority is a group's, -1 without one.
func (a *autoscaler) priority(group string) int {
	best := -1
	for priority, names := range a.priorities {
		if slices.ContainsFunc(names, func(name string) bool { return regexp.MustCompile(name).MatchString(group) }) {
			best = max(best, priority)
		}
	}
	return best
}

// estimate tells what one more node of a group would do. The pattern is a node that the group has, or else one of its type with all
// the type's resources.
func (a *autoscaler) estimate(group awsmodel.ScalingGroup) option {
	var templates []*corev1.Node
	for i, node := range a.nodes {
		if slices.ContainsFunc(group.Instances, func(id string) bool { return strings.HasSuffix(node.Spec.ProviderID, "/"+id) }) {
			like := a.nodes[i].DeepCopy()
			like.Spec.Unschedulable = false
			templates = append(templates, like)
		}
	}
	if len(templates) == 0 {
		made := nodeOf(group.Template)
		made.Status.Allocatable = made.Status.Capacity
		templates = append(templates, made)
	}
	worst := option{group: group, pods: len(a.pending) + 1}
	for _, node := range templates {
		free := node.Status.Allocatable.DeepCopy()
		o := option{group: group, pods: len(a.pending) - len(a.place(a.pending, node, free))}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			left, all := free[name], node.Status.Allocatable[name]
			o.waste += left.AsApproximateFloat64() / all.AsApproximateFloat64()
		}
		if o.pods < worst.pods {
			worst = o
		}
	}
	return worst
}
