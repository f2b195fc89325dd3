package kubeprovider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// patience is how long the real provider waits for an object unless a resource says otherwise
// (provider/pkg/await/await.go); longer than most things take on AWS.
const patience = 10 * time.Minute

// awaited is what the real provider waits for, per apiVersion and kind; other kinds are ready at once. An error of ready says that
// the object never will be. fixed is the time where no resource can set another; refreshed says that a refresh looks, too.
var awaited = map[string]struct {
	ready     func(context.Context, *cluster, *object) (bool, error)
	fixed     time.Duration
	refreshed bool
}{
	"apps/v1/Deployment":       {ready: rolledOut, refreshed: true},
	"apps/v1/StatefulSet":      {ready: rolledOut, refreshed: true},
	"apps/v1/DaemonSet":        {ready: rolledOut, refreshed: true},
	"v1/Pod":                   {ready: rolledOut, refreshed: true},
	"batch/v1/Job":             {ready: jobComplete, refreshed: true},
	"v1/Service":               {ready: serviceReady, refreshed: true},
	"v1/PersistentVolumeClaim": {ready: claimReady, fixed: 5 * time.Minute},
	"v1/ResourceQuota":         {ready: quotaReady, fixed: time.Minute},
}

// unreadyError is an object that exists and is not ready, with the real provider's reasons.
type unreadyError struct {
	what    string
	reasons []string
}

func (e *unreadyError) Error() string { return e.what }

// awaitReady waits until the object is ready and returns its latest form, with the reason if it did not become ready. Meanwhile it
// shows what holds the object up.
func (c *cluster) awaitReady(ctx context.Context, urn string, inputs, live *object, timeout time.Duration) (*object, error) {
	awaits, ok := awaited[live.GetAPIVersion()+"/"+live.GetKind()]
	if !ok || inputs.GetAnnotations()[skipAwait] == "true" {
		return live, nil
	}
	client, err := c.resource(live)
	if err != nil {
		return live, err
	}
	waiting, cancel := context.WithTimeout(ctx, cmp.Or(awaits.fixed, timeout, patience))
	defer cancel()
	var shown []string
	never := false
	_, err = watchtools.UntilWithSync(waiting, single(client, live), &object{}, nil, func(event watch.Event) (bool, error) {
		if event.Type == watch.Deleted {
			return false, nil
		}
		live = event.Object.(*object)
		for _, line := range c.problems(waiting, live) {
			if !slices.Contains(shown, line) {
				shown = append(shown, line)
				if live.GetKind() != "Job" || !strings.Contains(line, "containers with unready status") { // as of every Job that runs
					warn(ctx, urn, line, false)
				}
			}
		}
		ready, err := awaits.ready(waiting, c, live)
		never = err != nil
		return ready, err
	})
	if err == nil && live.GetKind() == "Service" { // endpoints come without a change of the Service
		endpointSlices := c.dynamic.Resource(discoveryv1.SchemeGroupVersion.WithResource("endpointslices")).Namespace(live.GetNamespace())
		_, err = watchtools.UntilWithSync(waiting, watched(endpointSlices, endpoints(live)), &object{},
			func(cache.Store) (bool, error) { return !selects(live), nil },
			func(watch.Event) (bool, error) { return settled(waiting, c, live) })
	}
	if err == nil {
		return live, nil
	}
	what := fmt.Sprintf("Resource '%s' was created but failed to initialize", live.GetName())
	switch {
	case never:
	case ctx.Err() != nil && awaits.fixed == 0:
		what = fmt.Sprintf("Resource operation was cancelled for %q", live.GetName())
	case ctx.Err() != nil:
		what = fmt.Sprintf("Resource operation was cancelled for '%s'", live.GetName())
	case waiting.Err() != nil && awaits.fixed == 0:
		what = fmt.Sprintf("'%s' timed out waiting to be Ready", live.GetName())
	case waiting.Err() != nil:
		what = fmt.Sprintf("Timeout occurred polling for '%s'", live.GetName())
	default:
		what = err.Error()
	}
	reasons := c.reasons(ctx, live)
	if live.GetKind() == "Job" { // its pods may be gone
		reasons = append(shown, slices.DeleteFunc(reasons, func(line string) bool { return slices.Contains(shown, line) })...)
	}
	return live, &unreadyError{what, reasons}
}

// unready tells why an object is not ready now; nil if it is, or if nobody waits for it.
func (c *cluster) unready(ctx context.Context, inputs, live *object) error {
	awaits, ok := awaited[live.GetAPIVersion()+"/"+live.GetKind()]
	if !ok || !awaits.refreshed || inputs.GetAnnotations()[skipAwait] == "true" {
		return nil
	}
	ready, err := awaits.ready(ctx, c, live)
	if ready && err == nil && live.GetKind() == "Service" && selects(live) {
		ready, err = settled(ctx, c, live)
	}
	if ready && err == nil {
		return nil
	}
	return &unreadyError{fmt.Sprintf("Resource '%s' was created but failed to initialize", live.GetName()), c.reasons(ctx, live)}
}

// awaitGone waits until the object is gone. If that takes too long, it returns the object's latest form.
func awaitGone(ctx context.Context, urn string, client dynamic.ResourceInterface, live *object, timeout time.Duration) (*object, error) {
	waiting, cancel := context.WithTimeout(ctx, cmp.Or(timeout, patience))
	defer cancel()
	last := live
	same := func(o *object) bool { return o.GetUID() == live.GetUID() }
	_, err := watchtools.UntilWithSync(waiting, single(client, live), &object{},
		func(store cache.Store) (bool, error) {
			return !slices.ContainsFunc(store.List(), func(o any) bool { return same(o.(*object)) }), nil
		},
		func(event watch.Event) (bool, error) {
			if o := event.Object.(*object); same(o) {
				last = o
				return event.Type == watch.Deleted, nil
			}
			return true, nil
		})
	if err == nil {
		return nil, nil
	}
	warn(ctx, urn, fmt.Sprintf("finalizers might be preventing deletion (%s)", strings.Join(last.GetFinalizers(), ", ")), true)
	return last, wait.ErrorInterrupted(ctx.Err()) // without a cause: timed out waiting for the condition
}

// watched lists and watches what the options select.
func watched(client dynamic.ResourceInterface, selected metav1.ListOptions) *cache.ListWatch {
	narrow := func(options metav1.ListOptions) metav1.ListOptions {
		options.FieldSelector, options.LabelSelector = selected.FieldSelector, selected.LabelSelector
		return options
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, narrow(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, narrow(options))
		},
	}
}

func single(client dynamic.ResourceInterface, o *object) *cache.ListWatch {
	return watched(client, metav1.ListOptions{FieldSelector: "metadata.name=" + o.GetName()})
}

func rolledOut(_ context.Context, _ *cluster, o *object) (bool, error) {
	result, err := status.Compute(o)
	return err == nil && result.Status == status.CurrentStatus, err
}

// jobComplete: two reasons make a failed Job an error. After any other, such as a rule of its podFailurePolicy, the real provider
// waits on (provider/pkg/await/checker/job/check.go).
func jobComplete(_ context.Context, _ *cluster, o *object) (bool, error) {
	job, err := as[batchv1.Job](o)
	if err != nil {
		return false, err
	}
	if failure := jobFailure(job); failure != "" {
		return false, errors.New(failure)
	}
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue
	}), nil
}

func jobFailure(job batchv1.Job) string {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue &&
			(c.Reason == batchv1.JobReasonBackoffLimitExceeded || c.Reason == batchv1.JobReasonDeadlineExceeded) {
			return fmt.Sprintf("[%s] %s", c.Reason, c.Message)
		}
	}
	return ""
}

// serviceReady: a load balancer has an address.
func serviceReady(_ context.Context, _ *cluster, o *object) (bool, error) {
	service, err := as[corev1.Service](o)
	return service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Status.LoadBalancer.Ingress) > 0, err
}

// selects tells whether a Service has endpoints to wait for.
func selects(o *object) bool {
	service, err := as[corev1.Service](o)
	return err == nil && service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.ClusterIP != corev1.ClusterIPNone &&
		len(service.Spec.Selector) > 0
}

// settled tells whether all pods that a Service selects are ready, also if it selects none.
func settled(ctx context.Context, c *cluster, o *object) (bool, error) {
	_, unready, err := targets(ctx, c, o)
	return err == nil && !unready, err
}

// targets tells whether a Service has ready endpoints, and whether it has others. Endpoints that end do not count.
func targets(ctx context.Context, c *cluster, o *object) (ready, unready bool, err error) {
	list, err := c.clients.DiscoveryV1().EndpointSlices(o.GetNamespace()).List(ctx, endpoints(o))
	if err != nil {
		return false, false, err
	}
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			if conditions := endpoint.Conditions; conditions.Terminating == nil || !*conditions.Terminating {
				ready = ready || conditions.Ready == nil || *conditions.Ready
				unready = unready || conditions.Ready != nil && !*conditions.Ready
			}
		}
	}
	return ready, unready, nil
}

// endpoints selects the endpoint slices of a Service.
func endpoints(service *object) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.GetName()}
}

// claimReady: a claim is bound, or its class waits for the first pod that uses it.
func claimReady(ctx context.Context, c *cluster, o *object) (bool, error) {
	claim, err := as[corev1.PersistentVolumeClaim](o)
	if err != nil || claim.Status.Phase == corev1.ClaimBound {
		return err == nil, err
	}
	if name := claim.Spec.StorageClassName; name != nil && *name != "" && claim.Status.Phase == corev1.ClaimPending {
		class, err := c.clients.StorageV1().StorageClasses().Get(ctx, *name, metav1.GetOptions{})
		// A missing class may still be made.
		return err == nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer, nil
	}
	return false, nil
}

func quotaReady(_ context.Context, _ *cluster, o *object) (bool, error) {
	quota, err := as[corev1.ResourceQuota](o)
	return reflect.DeepEqual(quota.Spec.Hard, quota.Status.Hard), err
}

func as[T any](o *object) (T, error) {
	var typed T
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed)
	return typed, err
}

// problems are the lines while an object is not ready: the conditions of a Deployment, and what the containers of pods say. A pod
// that was not scheduled says nothing (provider/pkg/await/checker/pod/check.go).
func (c *cluster) problems(ctx context.Context, o *object) (lines []string) {
	switch o.GetKind() {
	case "Pod":
		if pod, err := as[corev1.Pod](o); err == nil {
			lines = append(lines, podProblem(pod)...)
		}
	case "Deployment":
		deployment, err := as[appsv1.Deployment](o)
		if err != nil || deployment.Status.ObservedGeneration < deployment.Generation {
			return nil
		}
		for _, c := range deployment.Status.Conditions {
			if c.Status != corev1.ConditionTrue && (c.Type == appsv1.DeploymentAvailable || c.Type == appsv1.DeploymentProgressing) {
				lines = append(lines, fmt.Sprintf("[%s] %s", c.Reason, c.Message))
			}
		}
		sets, err := c.clients.AppsV1().ReplicaSets(o.GetNamespace()).List(ctx, selected(deployment.Spec.Selector))
		if err != nil {
			return lines
		}
		const revision = "deployment.kubernetes.io/revision"
		for _, set := range sets.Items {
			if metav1.IsControlledBy(&set, o) && set.Annotations[revision] == o.GetAnnotations()[revision] {
				lines = append(lines, c.podProblems(ctx, &set, set.Spec.Selector)...)
			}
		}
	case "Job":
		job, err := as[batchv1.Job](o)
		if err != nil {
			return nil
		}
		lines = c.podProblems(ctx, o, job.Spec.Selector)
		if failure := jobFailure(job); failure != "" {
			lines = append(lines, failure)
		}
	}
	return lines
}

// reasons are the lines at the end of the wait for an object that is not ready.
func (c *cluster) reasons(ctx context.Context, o *object) []string {
	// After Cancel, too: a person reads them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	lines := c.problems(ctx, o)
	switch o.GetKind() {
	case "Deployment":
		deployment, _ := as[appsv1.Deployment](o)
		available := slices.ContainsFunc(deployment.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentAvailable && c.Status == corev1.ConditionTrue
		})
		if !available {
			return append(lines, "Minimum number of live Pods was not attained")
		}
		return append(lines, "Minimum number of Pods to consider the application live was not attained")
	case "Service":
		service, _ := as[corev1.Service](o)
		ready, _, err := targets(ctx, c, o)
		if err == nil && !ready && service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.ClusterIP != corev1.ClusterIPNone {
			lines = append(lines, "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' "+
				"may not match labels on any Pods")
		}
		if ready, err := serviceReady(ctx, c, o); err == nil && !ready {
			lines = append(lines, "Service was not allocated an IP address; does your cloud provider support this?")
		}
	}
	return lines
}

// selected lists what an owner may own, and not the whole namespace: that is asked at each event of each object.
func selected(selector *metav1.LabelSelector) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)}
}

// podProblems are those of the pods of an owner, which selects them.
func (c *cluster) podProblems(ctx context.Context, owner metav1.Object, selector *metav1.LabelSelector) (lines []string) {
	pods, err := c.clients.CoreV1().Pods(owner.GetNamespace()).List(ctx, selected(selector))
	if err != nil {
		return nil
	}
	for _, pod := range pods.Items {
		if metav1.IsControlledBy(&pod, owner) {
			lines = append(lines, podProblem(pod)...)
		}
	}
	return lines
}

// podProblem is one line, or none.
func podProblem(pod corev1.Pod) []string {
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.PodReady} {
		c := condition(pod, kind)
		if c == nil {
			return nil
		}
		if c.Status == corev1.ConditionTrue || kind == corev1.PodReady && pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		errs := containerProblems(pod)
		if kind == corev1.PodScheduled || c.Message == "" && len(errs) == 0 {
			return nil
		}
		line := fmt.Sprintf("[Pod %s/%s]: ", pod.Namespace, pod.Name)
		if c.Reason != "" {
			line += c.Message
		}
		return []string{line + strings.Join(errs, "\n")}
	}
	return nil
}

func condition(pod corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return &c
		}
	}
	return nil
}

// containerProblems says what unready containers wait for, and how they ended.
func containerProblems(pod corev1.Pod) (lines []string) {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Ready {
			continue
		}
		if waits := s.State.Waiting; waits != nil && waits.Reason != "ContainerCreating" {
			lines = append(lines, fmt.Sprintf("[%s] %s", waits.Reason, waits.Message))
		}
		switch ended := s.State.Terminated; {
		case ended == nil || ended.Reason == "":
		case ended.Message != "":
			lines = append(lines, fmt.Sprintf("[%s] %s", ended.Reason, ended.Message))
		default:
			lines = append(lines, fmt.Sprintf("container %q completed with exit code %d", s.Name, ended.ExitCode))
		}
		if before := s.LastTerminationState.Terminated; before != nil {
			lines = append(lines, fmt.Sprintf("container %q terminated at %s (%s: exit code %d)",
				s.Name, before.FinishedAt.UTC().Format(time.RFC3339Nano), before.Reason, before.ExitCode))
			if before.Message != "" {
				lines = append(lines, before.Message)
			}
		}
	}
	return lines
}
