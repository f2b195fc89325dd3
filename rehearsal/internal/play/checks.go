package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"expense/internal/config"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/stage"
)

// patience is how long a check waits for what controllers do: seconds here, minutes on AWS.
const patience = 2 * time.Minute

// check is one promise of the program, checked in the running stack.
type check struct {
	name string
	run  func(context.Context) (note string, err error)
}

// checks see the stack through the API server and the model. Of the program they know only its outputs and settings.
type checks struct {
	stage     *stage.Stage
	client    *kubernetes.Clientset
	namespace string
	settings  *config.Config
}

func newChecks(ctx context.Context, s *stage.Stage) (*checks, error) {
	client, err := kubernetes.NewForConfig(s.ControlPlane.RESTConfig())
	if err != nil {
		return nil, err
	}
	c := &checks{stage: s, client: client}
	if c.settings, err = s.Settings(); err != nil {
		return nil, err
	}
	data, err := s.Output(ctx, "stack", "output", "namespace", "--json")
	if err != nil {
		return nil, err
	}
	return c, json.Unmarshal(data, &c.namespace)
}

func (c *checks) all() []check {
	return []check{
		{"nodes are registered and Ready", c.nodes},
		{"the namespace has its labels and guards", c.guards},
		{"every pod runs and is Ready", c.pods},
		{"every pod that logs has its sidecar", c.sidecars},
		{"logs: the domain was set up before the first line", c.setupFirst},
		{"logs: tokens are where they are needed and nowhere else", c.tokens},
		{"logs: each role may do its work and no more", c.permissions},
		{"logs: the way of a line", c.linePath},
		{"volumes: the claim is bound in its pod's zone", c.claim},
		{"scaling: load adds web pods", c.scaling},
		{"scaling: the node autoscaler may do its work and no more", c.autoscaler},
		{"scaling: a pod gets a node in the full zone of its volume", c.fullZone},
		{"self-healing: a deleted web pod is replaced", c.selfHealing},
		{"configuration: a changed setting rolls web", c.configuration},
		{"security: a pod that asks for privileges is refused", c.refusesPrivileges},
		{"faults: what is there can be taken up by another `up`", c.takenUp},
		{"spot: web's disruption budget holds", c.budget},
		{"spot: a node is reclaimed", c.nodeReclaimed},
		{"spot: a zone is lost", c.zoneLost},
		{"spot: web is spread again by a restart", c.spreadAgain},
		{"spot: there is no capacity anywhere", c.noCapacity},
	}
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

// nodes: as many as the groups ask for, each with its zone, instance type and capacity type, over all zones.
func (c *checks) nodes(ctx context.Context) (string, error) {
	want, total := map[string]int{}, 0
	for name, group := range c.settings.Cluster.NodeGroups {
		want[name] = group.DesiredSize
		total += group.DesiredSize
	}
	zones := map[string]int{}
	err := until(ctx, func(ctx context.Context) error {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) != total {
			return fmt.Errorf("found %d nodes, expected %d", len(list.Items), total)
		}
		clear(zones)
		got := map[string]int{}
		var problems []error
		for _, node := range list.Items {
			label := node.Labels
			for name, group := range c.settings.Cluster.NodeGroups {
				if !strings.HasPrefix(label["eks.amazonaws.com/nodegroup"], name+"-") {
					continue
				}
				got[name]++
				if label["eks.amazonaws.com/capacityType"] != string(group.CapacityType) ||
					!slices.Contains(group.InstanceTypes, label[corev1.LabelInstanceTypeStable]) {
					problems = append(problems, fmt.Errorf("node %s: capacity type %q and instance type %q, expected %s of %v", node.Name,
						label["eks.amazonaws.com/capacityType"], label[corev1.LabelInstanceTypeStable], group.CapacityType, group.InstanceTypes))
				}
			}
			if !slices.Contains(c.settings.Network.Zones, label["topology.k8s.aws/zone-id"]) {
				problems = append(problems, fmt.Errorf("node %s: zone %q, expected one of %v",
					node.Name, label["topology.k8s.aws/zone-id"], c.settings.Network.Zones))
			}
			zones[label[corev1.LabelTopologyZone]]++
			if !nodeReady(node) {
				problems = append(problems, fmt.Errorf("node %s is not Ready", node.Name))
			}
		}
		for name := range want {
			if got[name] != want[name] {
				problems = append(problems, fmt.Errorf("node group %s: %d nodes, expected %d", name, got[name], want[name]))
			}
		}
		return errors.Join(problems...)
	})
	return fmt.Sprintf("%d nodes in %d zones", total, len(zones)), err
}

func nodeReady(node corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}

// guards: labels, quota, limits and the closed network of the namespace.
func (c *checks) guards(ctx context.Context) (string, error) {
	namespace, err := c.client.CoreV1().Namespaces().Get(ctx, c.namespace, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if namespace.Labels["name"] != c.namespace || namespace.Labels["environment"] == "" ||
		namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		return "", fmt.Errorf("namespace %s has labels %v", c.namespace, namespace.Labels)
	}
	quotas, err1 := c.client.CoreV1().ResourceQuotas(c.namespace).List(ctx, metav1.ListOptions{})
	limits, err2 := c.client.CoreV1().LimitRanges(c.namespace).List(ctx, metav1.ListOptions{})
	policies, err3 := c.client.NetworkingV1().NetworkPolicies(c.namespace).List(ctx, metav1.ListOptions{})
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", err
	}
	closed := 0
	for _, policy := range policies.Items {
		if policy.Name == "default-deny" && len(policy.Spec.PodSelector.MatchLabels) == 0 && len(policy.Spec.PolicyTypes) == 2 &&
			len(policy.Spec.Ingress) == 0 && len(policy.Spec.Egress) == 0 {
			closed++
		}
	}
	if len(quotas.Items) != 1 || len(limits.Items) != 1 || closed != 1 || len(policies.Items) < 4 {
		return "", fmt.Errorf("found %d quotas, %d limit ranges, %d network policies of which %d deny everything",
			len(quotas.Items), len(limits.Items), len(policies.Items), closed)
	}
	return fmt.Sprintf("%d network policies", len(policies.Items)), nil
}

// pods: nginx, multi-container, web and the apps, all Ready, web on several nodes.
func (c *checks) pods(ctx context.Context) (string, error) {
	count, err := c.ready(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d pods", count), until(ctx, c.webSpread)
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
			if !podReady(pod) {
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

func podReady(pod corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// sidecars: fluentd runs beside every pod but those of a release and of apps that say so, reads the volume that the application writes,
// and alone has IAM's token.
func (c *checks) sidecars(ctx context.Context) (string, error) {
	list, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	logging := 0
	for _, pod := range list.Items {
		app, own := c.settings.Workloads.Apps[pod.Labels["app.kubernetes.io/name"]]
		if own && app.Logs.From == config.LogsNone || pod.Labels["app.kubernetes.io/component"] == "release" {
			continue
		}
		logging++
		index := slices.IndexFunc(pod.Spec.InitContainers, func(container corev1.Container) bool { return container.Name == "fluentd" })
		if index < 0 {
			return "", fmt.Errorf("pod %s has no fluentd sidecar", pod.Name)
		}
		sidecar := pod.Spec.InitContainers[index]
		if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			return "", fmt.Errorf("pod %s: fluentd is not a sidecar: restart policy %v", pod.Name, sidecar.RestartPolicy)
		}
		// Kubernetes copies it from the node (https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone),
		// and the sidecar adds it to each line.
		if pod.Labels[corev1.LabelTopologyZone] == "" {
			return "", fmt.Errorf("pod %s has no label %s", pod.Name, corev1.LabelTopologyZone)
		}
		if mountOf(sidecar, "fluentd-token") == "" || mountOf(sidecar, "logs") == "" {
			return "", fmt.Errorf("pod %s: fluentd mounts %v", pod.Name, sidecar.VolumeMounts)
		}
		writers := 0
		for _, container := range pod.Spec.Containers {
			if mountOf(container, "fluentd-token") != "" {
				return "", fmt.Errorf("pod %s: container %s has the sidecar's token", pod.Name, container.Name)
			}
			if mountOf(container, "logs") != "" {
				writers++
			}
		}
		if writers == 0 {
			return "", fmt.Errorf("pod %s: no container writes where fluentd reads", pod.Name)
		}
	}
	if logging == 0 {
		return "", errors.New("there is no pod that logs")
	}
	return fmt.Sprintf("%d pods", logging), nil
}

func mountOf(container corev1.Container, volume string) string {
	for _, mount := range container.VolumeMounts {
		if mount.Name == volume {
			return mount.MountPath
		}
	}
	return ""
}

// claim: the volume was made, encrypted, in the zone in which its pod was scheduled.
func (c *checks) claim(ctx context.Context) (string, error) {
	claim, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Get(ctx, "multi-container", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return "", fmt.Errorf("claim multi-container is %s", claim.Status.Phase)
	}
	volumes := 0
	for _, item := range c.stage.Model.Inventory() {
		if item.Origin == awsmodel.InCluster && strings.HasPrefix(item.ID, "vol-") {
			volumes++
		}
	}
	if volumes != 1 {
		return "", fmt.Errorf("the model holds %d volumes, expected 1", volumes)
	}
	return claim.Spec.VolumeName, nil
}

// scaling: with metrics the autoscaler has a value to compare, adds pods under load up to its maximum, and no more.
func (c *checks) scaling(ctx context.Context) (string, error) {
	hpa := func(ctx context.Context) (current, desired int32, metrics int, err error) {
		h, err := c.client.AutoscalingV2().HorizontalPodAutoscalers(c.namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return 0, 0, 0, err
		}
		return h.Status.CurrentReplicas, h.Status.DesiredReplicas, len(h.Status.CurrentMetrics), nil
	}
	if err := until(ctx, func(ctx context.Context) error {
		_, desired, metrics, err := hpa(ctx)
		if err == nil && (metrics == 0 || int(desired) < c.settings.Workloads.Web.MinReplicas) {
			err = fmt.Errorf("autoscaler web: %d metrics, %d pods desired", metrics, desired)
		}
		return err
	}); err != nil {
		return "", err
	}
	if err := c.stage.Controllers.SetCPU(c.namespace, "app.kubernetes.io/name=web", 500); err != nil {
		return "", err
	}
	err := until(ctx, func(ctx context.Context) error {
		current, desired, _, err := hpa(ctx)
		if err == nil && (int(current) != c.settings.Workloads.Web.MaxReplicas || int(desired) != c.settings.Workloads.Web.MaxReplicas) {
			err = fmt.Errorf("autoscaler web under load: %d pods, %d desired, expected %d", current, desired, c.settings.Workloads.Web.MaxReplicas)
		}
		return err
	})
	return fmt.Sprintf("%d to %d pods", c.settings.Workloads.Web.MinReplicas, c.settings.Workloads.Web.MaxReplicas), err
}

// autoscaler: its service account may do what adding and removing nodes takes, and nothing that would let it take over.
func (c *checks) autoscaler(ctx context.Context) (string, error) {
	if !c.autoscaled(ctx) {
		return "off in this stack", nil
	}
	reviews := 0
	for _, question := range []struct {
		group, resource, subresource, verb, namespace, name string
		allowed                                             bool
	}{
		{"", "pods", "", "list", "", "", true},
		{"", "nodes", "", "watch", "", "", true},
		{"", "nodes", "", "update", "", "", true},
		{"", "nodes", "", "delete", "", "", false},
		{"", "pods", "eviction", "create", c.namespace, "", true},
		{"policy", "poddisruptionbudgets", "", "list", "", "", true},
		{"storage.k8s.io", "csinodes", "", "watch", "", "", true},
		{"resource.k8s.io", "resourceclaims", "", "list", "", "", true},
		{"coordination.k8s.io", "leases", "", "update", "kube-system", "cluster-autoscaler", true},
		{"coordination.k8s.io", "leases", "", "update", "kube-system", "another", false},
		{"", "secrets", "", "get", "kube-system", "", false},
		{"", "pods", "", "create", "kube-system", "", false},
		{"", "pods", "exec", "create", c.namespace, "", false},
		{"rbac.authorization.k8s.io", "clusterrolebindings", "", "create", "", "", false},
	} {
		review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:kube-system:cluster-autoscaler",
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Group: question.group, Resource: question.resource, Subresource: question.subresource, Verb: question.verb,
					Namespace: question.namespace, Name: question.name,
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		if review.Status.Allowed != question.allowed {
			return "", fmt.Errorf("may the cluster-autoscaler %s %s %s %s %s: found %v, expected %v", question.verb, question.group,
				question.resource, question.subresource, question.name, review.Status.Allowed, question.allowed)
		}
		reviews++
	}
	return fmt.Sprintf("%d questions", reviews), nil
}

// selfHealing: a new pod replaces one that is deleted.
func (c *checks) selfHealing(ctx context.Context) (string, error) {
	web := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=web"}
	before, err := c.client.CoreV1().Pods(c.namespace).List(ctx, web)
	if err != nil {
		return "", err
	}
	if len(before.Items) == 0 {
		return "", errors.New("there is no web pod to delete")
	}
	known := map[types.UID]bool{}
	for _, pod := range before.Items {
		known[pod.UID] = true
	}
	victim := before.Items[0].Name
	if err := c.client.CoreV1().Pods(c.namespace).Delete(ctx, victim, metav1.DeleteOptions{}); err != nil {
		return "", err
	}
	var successor string
	err = until(ctx, func(ctx context.Context) error {
		after, err := c.client.CoreV1().Pods(c.namespace).List(ctx, web)
		if err != nil {
			return err
		}
		for _, pod := range after.Items {
			if !known[pod.UID] && podReady(pod) {
				successor = pod.Name
				return nil
			}
		}
		return fmt.Errorf("no Ready pod has taken the place of %s", victim)
	})
	return successor, err
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

// refusesPrivileges: the API server refuses pods below the level "restricted".
func (c *checks) refusesPrivileges(ctx context.Context) (string, error) {
	privileged := true
	_, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "privileged"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "shell", Image: "example.com/shell:1", SecurityContext: &corev1.SecurityContext{Privileged: &privileged},
		}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		return "", errors.New("the API server admitted a privileged pod")
	}
	if !strings.Contains(err.Error(), "violates PodSecurity") {
		return "", fmt.Errorf("expected a violation of Pod Security, found: %w", err)
	}
	return "", nil
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
