package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"expense/internal/config"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// recent is how long ago something happens now.
const recent = 10 * time.Minute

var podChecks = []Check{
	{
		Name:    "pods",
		Promise: "All pods that the settings ask for are Ready, and those of one app run on more than one node.",
		Access:  []string{"list pods", "list deployments", "list nodes", "list events"},
		Takes:   10 * time.Second,
		Run:     pods,
	},
	{
		Name:    "system",
		Promise: "What EKS's add-ons run is available.",
		Access:  []string{"list deployments", "list daemonsets"},
		Takes:   time.Second,
		Run:     systemPods,
	},
	{
		Name:    "restarts",
		Promise: "No container restarts now, and none was ended for want of memory.",
		Access:  []string{"list pods"},
		Takes:   time.Second,
		Run:     restarts,
	},
	{
		Name:    "pod-images",
		Promise: "Each container has the image that the settings name.",
		Access:  []string{"list pods"},
		Takes:   time.Second,
		Run:     podImages,
	},
	{
		Name:    "digests",
		Promise: "Each container runs the image of its digest, and one tag is one image in all pods.",
		Access:  []string{"list pods"},
		Needs:   []Ability{Containers},
		Takes:   time.Second,
		Run:     digests,
	},
	{
		Name:    "jobs",
		Promise: "No Job has failed, and those of the program are complete.",
		Access:  []string{"list jobs"},
		Takes:   time.Second,
		Run:     jobs,
	},
}

// pods: a Deployment that is rolled out has all its pods Ready.
func pods(ctx context.Context, s *Stack, _ *Work) (seen string, err error) {
	bare, err := stated[corev1.Pod](s, typePod)
	if err != nil {
		return "", err
	}
	rollouts, err := stated[appsv1.Deployment](s, typeDeployment)
	if err != nil {
		return "", err
	}
	least := s.replicas()
	return seen, s.until(ctx, func(ctx context.Context) error {
		var f findings
		ready, spread := 0, []string{}
		live, err := s.livePods(ctx)
		if err != nil {
			return f.with(err)
		}
		for _, key := range slices.SortedFunc(maps.Keys(bare), byName) {
			o := objectOf("Pod", key)
			switch pod, ok := live[key]; {
			case !ok:
				f.add(o, "it is not there, and nothing but `pulumi up --refresh` makes a bare pod again")
			case pod.DeletionTimestamp != nil:
				f.add(o, "it is being deleted")
			case !PodReady(pod):
				f.add(o, "it is %s, not Ready%s", pod.Status.Phase, waiting(pod))
			default:
				ready++
			}
		}
		nodes, err := s.schedulableNodes(ctx)
		if err != nil {
			return f.with(err)
		}
		deployments := map[types.NamespacedName]appsv1.Deployment{}
		for _, namespace := range append(s.namespaces(), system) {
			list, err := s.Kubernetes.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			for _, d := range list.Items {
				deployments[types.NamespacedName{Namespace: namespace, Name: d.Name}] = d
			}
		}
		for name := range least {
			if _, ok := rollouts[types.NamespacedName{Namespace: s.Settings.Workloads.Namespace, Name: name}]; !ok {
				f.add(Object{"Deployment", s.Settings.Workloads.Namespace, name}, "the settings ask for it, and the state has none: run `pulumi up`")
			}
		}
		for _, key := range slices.SortedFunc(maps.Keys(rollouts), byName) {
			o := objectOf("Deployment", key)
			d, ok := deployments[key]
			if !ok {
				f.add(o, "it is not there: run `pulumi up --refresh`")
				continue
			}
			of := podsOf(live, d.Spec.Selector, key.Namespace)
			if problem := notRolledOut(d); problem != "" {
				f.add(o, "%s", problem)
				for _, pod := range of {
					if !PodReady(pod) {
						f.add(Object{"Pod", pod.Namespace, pod.Name}, "it is %s, not Ready%s", pod.Status.Phase, waiting(pod))
					}
				}
				continue
			}
			if key.Namespace != s.Settings.Workloads.Namespace {
				ready += int(d.Status.AvailableReplicas)
				continue
			}
			if want := least[key.Name]; int(d.Status.AvailableReplicas) < want {
				f.add(o, "it has %s, and the settings say %d or more", plural(int(d.Status.AvailableReplicas), "pod"), want)
			}
			on, zones := map[string]bool{}, map[string]bool{}
			for _, pod := range of {
				if pod.DeletionTimestamp == nil && PodReady(pod) {
					ready++
					on[pod.Spec.NodeName] = true
					zones[nodes[pod.Spec.NodeName]] = true
				}
			}
			if len(of) < 2 {
				continue
			}
			spread = append(spread, fmt.Sprintf("%s in %s", key.Name, plural(len(zones), "zone")))
			if len(on) > 1 || len(nodes) < 2 {
				continue
			}
			together := fmt.Sprintf("all its %d pods run on one node: spread them with `kubectl rollout restart deployment/%s -n %s`",
				len(of), key.Name, key.Namespace)
			if ofRollout(d, of) {
				f.add(o, "%s", together)
			} else {
				spread = append(spread, together)
			}
		}
		if len(bare)+len(rollouts) == 0 {
			return notSeen("the state has no pod and no Deployment")
		}
		seen = plural(ready, "pod")
		if len(spread) > 0 {
			seen += ", " + strings.Join(spread, ", ")
		}
		if err := f.err(); err != nil {
			return f.with(err)
		}
		warned, err := s.warnings(ctx, live)
		seen += warned
		return f.with(err)
	})
}

// ofRollout tells whether pods were made by a Deployment's rollout, and not since then for others that nodes took along: nothing moves a
// running pod when there are nodes again
// (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#known-limitations). The condition keeps the time at
// which the rollout was complete
// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/controller/deployment/progress.go, syncRolloutStatus).
func ofRollout(d appsv1.Deployment, pods []corev1.Pod) bool {
	return slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return p.CreationTimestamp.After(c.LastUpdateTime.Time)
		})
	})
}

// replicas are how many pods the settings ask for at least, by the name of the app. An app whose image is not built yet is left out.
func (s *Stack) replicas() map[string]int {
	out := map[string]int{config.WebName: s.Settings.Workloads.Web.MinReplicas}
	for name, app := range s.Settings.Workloads.Apps {
		if app.Image != "" {
			out[name] = app.Replicas.Min
		}
	}
	return out
}

// livePods are the pods of the program's namespaces.
func (s *Stack) livePods(ctx context.Context) (map[types.NamespacedName]corev1.Pod, error) {
	out := map[types.NamespacedName]corev1.Pod{}
	for _, namespace := range s.namespaces() {
		list, err := s.Kubernetes.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, pod := range list.Items {
			out[types.NamespacedName{Namespace: namespace, Name: pod.Name}] = pod
		}
	}
	return out, nil
}

// sorted are pods by name.
func sorted(pods map[types.NamespacedName]corev1.Pod) (out []corev1.Pod) {
	for _, key := range slices.SortedFunc(maps.Keys(pods), byName) {
		out = append(out, pods[key])
	}
	return out
}

func podsOf(pods map[types.NamespacedName]corev1.Pod, selector *metav1.LabelSelector, namespace string) (out []corev1.Pod) {
	matches, err := metav1.LabelSelectorAsSelector(selector)
	for _, pod := range sorted(pods) {
		if err == nil && pod.Namespace == namespace && matches.Matches(labels.Set(pod.Labels)) {
			out = append(out, pod)
		}
	}
	return out
}

// schedulableNodes are the zones of the nodes that are Ready and take pods.
func (s *Stack) schedulableNodes(ctx context.Context) (map[string]string, error) {
	list, err := s.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, n := range list.Items {
		if !n.Spec.Unschedulable && len(unhealthy(n)) == 0 {
			out[n.Name] = n.Labels[corev1.LabelTopologyZone]
		}
	}
	return out, nil
}

// notRolledOut is why a Deployment does not run as it was last asked to, "" if it does.
func notRolledOut(d appsv1.Deployment) string {
	want, status := ptr.Deref(d.Spec.Replicas, 1), d.Status
	if status.ObservedGeneration >= d.Generation &&
		status.Replicas == want && status.UpdatedReplicas == want && status.AvailableReplicas == want {
		return ""
	}
	return fmt.Sprintf("%s of %d new ones, %d of them available, expected %d",
		plural(int(status.Replicas), "pod"), status.UpdatedReplicas, status.AvailableReplicas, want)
}

// waiting is what a pod waits for.
func waiting(pod corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return ": " + c.Message
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := c.State.Waiting; w != nil && w.Reason != "" {
			return strings.TrimSpace(fmt.Sprintf(": container %s waits: %s %s", c.Name, w.Reason, w.Message))
		}
	}
	return ""
}

// warnings counts what Kubernetes warned of lately about pods that exist. Pods that run now got over it.
func (s *Stack) warnings(ctx context.Context, live map[types.NamespacedName]corev1.Pod) (string, error) {
	reasons := map[string]int{}
	for _, namespace := range s.namespaces() {
		list, err := s.Kubernetes.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning})
		if err != nil {
			return "", err
		}
		for _, e := range list.Items {
			pod, exists := live[types.NamespacedName{Namespace: namespace, Name: e.InvolvedObject.Name}]
			if exists && pod.UID == e.InvolvedObject.UID && s.now().Sub(when(e)) < recent {
				reasons[e.Reason]++
			}
		}
	}
	if len(reasons) == 0 {
		return "", nil
	}
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		out = append(out, fmt.Sprintf("%s %d", reason, reasons[reason]))
	}
	return fmt.Sprintf("; Kubernetes warned in the last %v of: %s", recent, strings.Join(out, ", ")), nil
}

func systemPods(ctx context.Context, s *Stack, _ *Work) (seen string, err error) {
	return seen, s.until(ctx, func(ctx context.Context) error {
		var f findings
		deployments, err := s.Kubernetes.AppsV1().Deployments(system).List(ctx, metav1.ListOptions{})
		if err != nil {
			return f.with(err)
		}
		sets, err := s.Kubernetes.AppsV1().DaemonSets(system).List(ctx, metav1.ListOptions{})
		if err != nil {
			return f.with(err)
		}
		for _, d := range deployments.Items {
			if problem := notRolledOut(d); problem != "" {
				f.add(Object{"Deployment", system, d.Name}, "%s", problem)
			}
		}
		for _, d := range sets.Items {
			if d.Status.NumberAvailable < d.Status.DesiredNumberScheduled || d.Status.ObservedGeneration < d.Generation {
				f.add(Object{"DaemonSet", system, d.Name}, "%d of %d pods are available", d.Status.NumberAvailable, d.Status.DesiredNumberScheduled)
			}
		}
		if len(deployments.Items)+len(sets.Items) == 0 {
			return errors.New("namespace kube-system has no Deployment and no DaemonSet: the add-ons run nothing")
		}
		seen = fmt.Sprintf("%s, %s", plural(len(deployments.Items), "Deployment"), plural(len(sets.Items), "DaemonSet"))
		return f.err()
	})
}

// restarts: a container that restarted, and is ready since, is counted.
func restarts(ctx context.Context, s *Stack, _ *Work) (string, error) {
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	var f findings
	count, before := 0, 0
	for _, pod := range sorted(live) {
		o := Object{"Pod", pod.Namespace, pod.Name}
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			count++
			before += int(c.RestartCount)
			last := c.LastTerminationState.Terminated
			switch {
			case c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff":
				f.add(o, "container %s ends again and again, %d times so far: %s", c.Name, c.RestartCount, c.State.Waiting.Message)
			case last != nil && last.Reason == "OOMKilled":
				f.add(o, "container %s was ended at %s when it reached its memory limit: raise the limit, or let it use less", c.Name,
					last.FinishedAt.UTC().Format(time.RFC3339))
			case last != nil && !c.Ready && s.now().Sub(last.FinishedAt.Time) < recent:
				f.add(o, "container %s ended at %s with code %d, %s, and was started again: wait %v, or look at its last lines", c.Name,
					last.FinishedAt.UTC().Format(time.RFC3339), last.ExitCode, last.Reason, recent)
			}
		}
	}
	if count == 0 {
		return "", errors.New("no container has a status")
	}
	return fmt.Sprintf("%s, %s so far", plural(count, "container"), plural(before, "restart")), f.err()
}

// podImages looks at the pods, which may be older than the last change of the settings. A pod by hand is nobody's to look at.
func podImages(ctx context.Context, s *Stack, _ *Work) (string, error) {
	known, err := s.workloads()
	if err != nil {
		return "", err
	}
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	w, l := s.Settings.Workloads, s.Settings.Logging
	want := map[string]string{
		"nginx": w.Images.Nginx, config.WebName: w.Images.Nginx, "alma": w.Images.Alma, sidecarName: l.Image, "capture": l.CaptureImage,
	}
	for name, app := range w.Apps {
		want[name] = app.Image
	}
	var f findings
	count := 0
	for _, pod := range sorted(live) {
		of := want
		if pod.Namespace == config.LoggingNamespace {
			of = map[string]string{"setup": l.Image, "proxy": l.Dashboards.Image}
		} else if !known[pod.Labels[nameLabel]] {
			continue
		}
		for _, c := range containers(pod.Spec) {
			image := of[c.Name]
			if image == "" {
				continue
			}
			count++
			if c.Image != image {
				f.add(Object{"Pod", pod.Namespace, pod.Name}, "container %s has the image %s, and the settings say %s: run `pulumi up`",
					c.Name, c.Image, image)
			}
		}
	}
	if count == 0 {
		f.add(Object{Kind: "Namespace", Name: w.Namespace}, "it has no container of the settings")
	}
	return plural(count, "container"), f.err()
}

// digests: the kubelet's image ID is the digest by which the image was pulled, of an image for several platforms that of their list
// (https://github.com/containerd/containerd/blob/04d0beb/internal/cri/server/container_status.go;
// https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/kubelet/kubelet_pods.go, ImageRef).
func digests(ctx context.Context, s *Stack, _ *Work) (string, error) {
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	var f findings
	fixed, tagged, unknown := 0, map[string]bool{}, 0
	of := map[string]string{} // the digest that an image's name means
	named := map[string]bool{}
	for _, pod := range live {
		for _, c := range containers(pod.Spec) {
			_, digest, _ := strings.Cut(c.Image, "@")
			named[digest] = true
		}
	}
	for _, pod := range sorted(live) {
		o := Object{"Pod", pod.Namespace, pod.Name}
		images := map[string]string{}
		for _, c := range containers(pod.Spec) {
			images[c.Name] = c.Image
		}
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			name := images[c.Name]
			_, runs, pulled := strings.Cut(c.ImageID, "@")
			_, wants, digested := strings.Cut(name, "@")
			switch {
			case !pulled, digested && runs != wants && named[runs]:
				// Of two digests that are one image on a node, containerd tells one for both
				// (https://github.com/containerd/containerd/blob/v2.2.4/internal/cri/store/image/image.go).
				unknown++
			case digested && runs != wants:
				f.add(o, "container %s runs %s, and its image is %s", c.Name, runs, name)
			case digested:
				fixed++
			case of[name] != "" && of[name] != runs:
				f.add(o, "container %s runs %s of %s, and another pod runs %s: the tag was moved, so fix it by a digest", c.Name, runs, name, of[name])
			default:
				of[name], tagged[name] = runs, true
			}
		}
	}
	if err := f.err(); err != nil {
		return "", f.with(err)
	}
	if fixed == 0 {
		return "", notSeen("no container runs an image with a digest: %d images with a tag, %s without a digest at its node; a tag can be moved",
			len(tagged), plural(unknown, "container"))
	}
	seen := plural(fixed, "container") + " with a digest"
	if len(tagged) > 0 {
		seen += ", by a tag only: " + strings.Join(slices.Sorted(maps.Keys(tagged)), ", ")
	}
	if unknown > 0 {
		seen += fmt.Sprintf(", %s without a digest at its node", plural(unknown, "container"))
	}
	return seen, nil
}

// jobs: those of this tool come and go.
func jobs(ctx context.Context, s *Stack, _ *Work) (string, error) {
	want, err := stated[batchv1.Job](s, typeJob)
	if err != nil {
		return "", err
	}
	var f findings
	for _, namespace := range s.namespaces() {
		list, err := s.Kubernetes.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", f.with(err)
		}
		done := map[string]bool{}
		for _, job := range list.Items {
			done[job.Name] = jobCondition(job, batchv1.JobComplete) != ""
			if reason := jobCondition(job, batchv1.JobFailed); reason != "" && job.Labels[RunLabel] == "" {
				f.add(Object{"Job", namespace, job.Name}, "it has failed: %s", reason)
				done[job.Name] = true // it is said once
			}
		}
		for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
			switch complete, there := done[key.Name]; {
			case key.Namespace != namespace || complete:
			case there:
				f.add(objectOf("Job", key), "it is not complete")
			default:
				f.add(objectOf("Job", key), "it is not there: run `pulumi up --refresh`")
			}
		}
	}
	if len(want) == 0 {
		return "", notSeen("the state has no Job")
	}
	return plural(len(want), "Job"), f.err()
}

// jobCondition is the reason of a condition that holds, "" if it does not.
func jobCondition(job batchv1.Job, kind batchv1.JobConditionType) string {
	for _, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return strings.TrimSpace(string(c.Type) + " " + c.Reason + " " + c.Message)
		}
	}
	return ""
}
