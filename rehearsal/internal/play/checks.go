package play

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"expense/internal/config"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/ops/verify"
)

// patience is how long a check waits for what controllers do: seconds here, minutes on AWS.
const patience = 2 * time.Minute

// check is one promise of the program, checked in the running stack.
type check struct {
	name string
	run  func(context.Context) (note string, err error)
	// takesSpot tells that it takes spot nodes away.
	takesSpot bool
}

// checks see the stack through the API server and the model. Of the program they know only its outputs and settings.
type checks struct {
	stage     *stage.Stage
	target    *verify.Stack
	client    kubernetes.Interface
	namespace string
	settings  *config.Config
}

func newChecks(ctx context.Context, s *stage.Stage) (*checks, error) {
	target, err := Target(ctx, s)
	if err != nil {
		return nil, err
	}
	return &checks{
		stage: s, target: target, client: target.Kubernetes, settings: target.Settings, namespace: target.Settings.Workloads.Namespace,
	}, nil
}

func (c *checks) all() []check {
	return []check{
		{name: "logs: each role may do its work and no more", run: c.permissions},
		{name: "logs: the way of a line", run: c.linePath},
		{name: "scaling: a pod gets a node in the full zone of its volume", run: c.fullZone},
		{name: "configuration: a changed setting rolls web", run: c.configuration},
		{name: "spot: web's disruption budget holds", run: c.budget},
		{name: "spot: a node is reclaimed", run: c.nodeReclaimed, takesSpot: true},
		{name: "spot: a zone is lost", run: c.zoneLost, takesSpot: true},
		{name: "spot: web is spread again by a restart", run: c.spreadAgain},
		{name: "spot: there is no capacity anywhere", run: c.noCapacity, takesSpot: true},
	}
}

// onSpot tells whether a node group is on spot.
func (c *checks) onSpot() bool {
	for _, group := range c.settings.Cluster.NodeGroups {
		if group.CapacityType == config.Spot {
			return true
		}
	}
	return false
}

// until polls the API server until its answer is right. The error quotes the last answer.
func until(ctx context.Context, condition func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// ready waits until all pods are there and Ready, and counts them.
func (c *checks) ready(ctx context.Context) (count int, err error) {
	return count, until(ctx, func(ctx context.Context) error {
		list, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		count = 0
		apps := map[string]int{}
		for _, pod := range list.Items {
			if pod.Status.Phase == corev1.PodSucceeded {
				continue // a release that has run
			}
			if !verify.PodReady(pod) {
				return fmt.Errorf("pod %s is %s, not Ready", pod.Name, pod.Status.Phase)
			}
			count++
			apps[pod.Labels["app.kubernetes.io/name"]]++
		}
		if apps["nginx"] != 1 || apps["multi-container"] != 1 || apps["web"] < c.settings.Workloads.Web.MinReplicas {
			return fmt.Errorf("found pods %v, expected one nginx, one multi-container and at least %d web",
				apps, c.settings.Workloads.Web.MinReplicas)
		}
		for name, app := range c.settings.Workloads.Apps {
			if app.Image != "" && apps[name] < app.Replicas.Min {
				return fmt.Errorf("found pods %v, expected at least %d of %s", apps, app.Replicas.Min, name)
			}
		}
		return nil
	})
}

// webSpread: holds after a rollout. Later nothing moves a running pod, so it is no promise about a cluster that lost nodes
// (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#known-limitations).
func (c *checks) webSpread(ctx context.Context) error {
	pods, err := c.web(ctx)
	if err != nil {
		return err
	}
	nodes := map[string]bool{}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil {
			nodes[pod.Spec.NodeName] = true
		}
	}
	if len(nodes) < 2 {
		return fmt.Errorf("all %d web pods run on one node", len(pods))
	}
	return nil
}

func mountOf(container corev1.Container, volume string) string {
	for _, mount := range container.VolumeMounts {
		if mount.Name == volume {
			return mount.MountPath
		}
	}
	return ""
}

func rolledOut(deployment *appsv1.Deployment) bool {
	status := deployment.Status
	return status.ObservedGeneration >= deployment.Generation && status.Replicas > 0 &&
		status.UpdatedReplicas == status.Replicas && status.AvailableReplicas == status.Replicas
}

// configuration: a setting that changes reaches new pods, and the old ones go.
func (c *checks) configuration(ctx context.Context) (string, error) {
	before, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if err := c.stage.Pulumi(ctx, "config", "set", "--path", "expense:workloads.web.settings.REHEARSED", "yes"); err != nil {
		return "", err
	}
	if err := c.stage.Pulumi(ctx, "up", "--yes", "--skip-preview"); err != nil {
		return "", err
	}
	after, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	variable := corev1.EnvVar{Name: "REHEARSED", Value: "yes"}
	had, has := before.Spec.Template.Spec.Containers[0].Env, after.Spec.Template.Spec.Containers[0].Env
	if slices.Contains(had, variable) || !slices.Contains(has, variable) || !rolledOut(after) {
		return "", fmt.Errorf("deployment web runs with the variables %v, and had %v before", has, had)
	}
	return variable.Name + "=" + variable.Value, nil
}

// kubernetesLeftovers are the objects in the API server that a fresh control plane does not have.
func kubernetesLeftovers(ctx context.Context, s *stage.Stage) ([]string, error) {
	client, err := kubernetes.NewForConfig(s.ControlPlane.RESTConfig())
	if err != nil {
		return nil, err
	}
	var left []string
	namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, namespace := range namespaces.Items {
		if namespace.Name != "default" && !strings.HasPrefix(namespace.Name, "kube-") {
			left = append(left, "namespace "+namespace.Name)
		}
	}
	nodes, err1 := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	volumes, err2 := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	pods, err3 := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	classes, err4 := client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	for _, item := range nodes.Items {
		left = append(left, "node "+item.Name)
	}
	for _, item := range volumes.Items {
		left = append(left, "persistent volume "+item.Name)
	}
	for _, item := range pods.Items {
		left = append(left, "pod "+filepath.Join(item.Namespace, item.Name))
	}
	for _, item := range classes.Items {
		left = append(left, "storage class "+item.Name)
	}
	return left, nil
}
