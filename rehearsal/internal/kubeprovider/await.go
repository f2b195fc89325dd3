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

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// patience is how long the real provider waits for an object unless a resource says otherwise
// (provider/pkg/await/awaiters.go); longer than most things take on AWS.
const patience = 10 * time.Minute

// readiness tells whether an object is ready, or what it lacks; an error is that it never will be.
type readiness func(context.Context, *cluster, *object) (ready bool, lacks string, err error)

// awaited is what the real provider waits for, per apiVersion and kind, for how long if that is not patience, and
// whether its refresh looks too. Kinds that are not here are ready at once.
var awaited = map[string]struct {
	ready     readiness
	patience  time.Duration
	refreshed bool
}{
	"apps/v1/Deployment":       {ready: rolledOut, refreshed: true},
	"apps/v1/StatefulSet":      {ready: rolledOut, refreshed: true},
	"apps/v1/DaemonSet":        {ready: rolledOut, refreshed: true},
	"v1/Pod":                   {ready: podReady, refreshed: true},
	"batch/v1/Job":             {ready: jobComplete, refreshed: true},
	"v1/Service":               {ready: serviceReady, refreshed: true},
	"v1/PersistentVolumeClaim": {ready: claimReady, patience: 5 * time.Minute},
	"v1/PersistentVolume":      {ready: volumeReady, patience: 5 * time.Minute},
	"v1/ResourceQuota":         {ready: quotaReady, patience: time.Minute},
}

// unreadyError is an object that exists and is not ready, with all that can be known about the reason.
type unreadyError struct {
	what    string
	details []string
	cause   error
}

func (e *unreadyError) Error() string {
	return strings.Join(append([]string{e.what}, e.details...), "\n  * ")
}

func (e *unreadyError) Unwrap() error { return e.cause }

// awaitReady waits until the object is ready and returns it as it is then; if it does not become ready, with the reason.
func (c *cluster) awaitReady(ctx context.Context, inputs, live *object, timeout time.Duration) (*object, error) {
	awaits, ok := awaited[live.GetAPIVersion()+"/"+live.GetKind()]
	if !ok || inputs.GetAnnotations()[skipAwait] == "true" {
		return live, nil
	}
	client, err := c.resource(live)
	if err != nil {
		return live, err
	}
	waiting, cancel := context.WithTimeout(ctx, cmp.Or(timeout, awaits.patience, patience))
	defer cancel()
	missing := ""
	look := func(o *object) (ready bool, err error) {
		live = o
		ready, missing, err = awaits.ready(waiting, c, live)
		return ready, err
	}
	_, err = watchtools.UntilWithSync(waiting, single(client, live), &object{}, nil, func(event watch.Event) (bool, error) {
		if event.Type == watch.Deleted {
			return false, errors.New("it was deleted")
		}
		ready, err := look(event.Object.(*object))
		return ready || missing == noEndpoints, err
	})
	if err == nil && missing == noEndpoints { // which come without a change of the Service
		_, err = watchtools.UntilWithSync(waiting, endpoints(c, live), &discoveryv1.EndpointSlice{}, nil, func(watch.Event) (bool, error) {
			return look(live)
		})
	}
	if err == nil {
		return live, nil
	}
	what := fmt.Sprintf("%s %s: %v", live.GetKind(), idOf(live), err)
	switch {
	case ctx.Err() != nil:
		what = fmt.Sprintf("resource operation was cancelled for %s %s", live.GetKind(), idOf(live))
	case waiting.Err() != nil:
		what = fmt.Sprintf("%s %s: timed out waiting to be Ready", live.GetKind(), idOf(live))
	}
	return live, &unreadyError{what, c.details(ctx, live, missing), err}
}

// unready tells why an object is not ready now, nil if it is or if nobody waits for it.
func (c *cluster) unready(ctx context.Context, inputs, live *object) error {
	awaits, ok := awaited[live.GetAPIVersion()+"/"+live.GetKind()]
	if !ok || !awaits.refreshed || inputs.GetAnnotations()[skipAwait] == "true" {
		return nil
	}
	ready, missing, err := awaits.ready(ctx, c, live)
	if ready && err == nil {
		return nil
	}
	return &unreadyError{fmt.Sprintf("%s %s is not ready", live.GetKind(), idOf(live)), c.details(ctx, live, missing), err}
}

// awaitGone waits until the object does not exist any more. If that takes too long it returns the object as it is then.
func awaitGone(ctx context.Context, client dynamic.ResourceInterface, live *object, timeout time.Duration) (*object, error) {
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
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return last, &unreadyError{fmt.Sprintf("resource operation was cancelled for %s %s", live.GetKind(), idOf(live)), nil, err}
	}
	e := &unreadyError{fmt.Sprintf("timed out waiting for deletion of %s %s", live.GetKind(), idOf(live)), conditions(last), err}
	if finalizers := last.GetFinalizers(); len(finalizers) > 0 {
		e.details = append(e.details, fmt.Sprintf("finalizers that nobody removed: %s", strings.Join(finalizers, ", ")))
	}
	return last, e
}

// single lists and watches one object.
func single(client dynamic.ResourceInterface, o *object) cache.ListerWatcher {
	selector := fields.OneTermEqualSelector("metadata.name", o.GetName()).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			return client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			return client.Watch(ctx, options)
		},
	}
}

func rolledOut(_ context.Context, _ *cluster, o *object) (bool, string, error) {
	result, err := status.Compute(o)
	if err != nil {
		return false, "", err
	}
	return result.Status == status.CurrentStatus, result.Message, nil
}

func podReady(_ context.Context, _ *cluster, o *object) (bool, string, error) {
	pod, err := as[corev1.Pod](o)
	if err != nil || pod.Status.Phase == corev1.PodSucceeded {
		return err == nil, "", err
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.Status.Phase == corev1.PodRunning {
			return true, "", nil
		}
	}
	return false, fmt.Sprintf("phase is %s", cmp.Or(pod.Status.Phase, "unknown")), nil
}

// jobComplete: a Job that has failed for good is an error for two reasons only, which is all that the real provider looks at
// (https://github.com/pulumi/cloud-ready-checks/blob/master/pkg/kubernetes/job/check.go); for any other, such as a rule of
// its podFailurePolicy, it waits in vain.
func jobComplete(_ context.Context, _ *cluster, o *object) (bool, string, error) {
	job, err := as[batchv1.Job](o)
	if err != nil {
		return false, "", err
	}
	for _, condition := range job.Status.Conditions {
		if condition.Status == corev1.ConditionTrue && condition.Type == batchv1.JobFailed {
			failure := fmt.Sprintf("job failed: %s: %s", condition.Reason, condition.Message)
			if condition.Reason == batchv1.JobReasonBackoffLimitExceeded || condition.Reason == batchv1.JobReasonDeadlineExceeded {
				return false, "", errors.New(failure)
			}
			return false, failure, nil
		}
		if condition.Status == corev1.ConditionTrue && condition.Type == batchv1.JobComplete {
			return true, "", nil
		}
	}
	return false, fmt.Sprintf("%d pods active, %d succeeded, %d failed", job.Status.Active, job.Status.Succeeded, job.Status.Failed), nil
}

const noEndpoints = "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match labels on any Pods"

// serviceReady: a load balancer has an address, and a Service that selects pods has one that is ready.
func serviceReady(ctx context.Context, c *cluster, o *object) (bool, string, error) {
	service, err := as[corev1.Service](o)
	if err != nil {
		return false, "", err
	}
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer && len(service.Status.LoadBalancer.Ingress) == 0 {
		return false, "Service was not allocated an IP address; does your cloud provider support this?", nil
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName || service.Spec.ClusterIP == corev1.ClusterIPNone || len(service.Spec.Selector) == 0 {
		return true, "", nil
	}
	list, err := endpoints(c, o).ListWithContextFunc(ctx, metav1.ListOptions{})
	if err != nil {
		return false, "", err
	}
	for _, slice := range list.(*discoveryv1.EndpointSliceList).Items {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				return true, "", nil
			}
		}
	}
	return false, noEndpoints, nil
}

// endpoints lists and watches the endpoint slices of a Service.
func endpoints(c *cluster, service *object) *cache.ListWatch {
	client, selector := c.clients.DiscoveryV1().EndpointSlices(service.GetNamespace()), discoveryv1.LabelServiceName+"="+service.GetName()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = selector
			return client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = selector
			return client.Watch(ctx, options)
		},
	}
}

// claimReady: a claim is bound, or it is pending because its class waits for the first pod that uses it.
func claimReady(ctx context.Context, c *cluster, o *object) (bool, string, error) {
	claim, err := as[corev1.PersistentVolumeClaim](o)
	if err != nil {
		return false, "", err
	}
	missing := fmt.Sprintf("phase is %s", claim.Status.Phase)
	if name := claim.Spec.StorageClassName; name != nil && *name != "" {
		class, err := c.clients.StorageV1().StorageClasses().Get(ctx, *name, metav1.GetOptions{})
		if err != nil {
			missing = err.Error() // somebody may make it yet
		} else if class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
			return claim.Status.Phase == corev1.ClaimPending || claim.Status.Phase == corev1.ClaimBound, missing, nil
		}
	}
	return claim.Status.Phase == corev1.ClaimBound, missing, nil
}

func volumeReady(_ context.Context, _ *cluster, o *object) (bool, string, error) {
	volume, err := as[corev1.PersistentVolume](o)
	if err != nil {
		return false, "", err
	}
	phase := volume.Status.Phase
	return phase == corev1.VolumeAvailable || phase == corev1.VolumeBound, fmt.Sprintf("phase is %s", phase), nil
}

func quotaReady(_ context.Context, _ *cluster, o *object) (bool, string, error) {
	quota, err := as[corev1.ResourceQuota](o)
	if err != nil {
		return false, "", err
	}
	return reflect.DeepEqual(quota.Spec.Hard, quota.Status.Hard), "the quota's limits are not in force", nil
}

func as[T any](o *object) (T, error) {
	var typed T
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed)
	return typed, err
}

// details says what is known about an object that is not ready: what it lacks, its conditions, its warnings, and the
// same of its pods.
func (c *cluster) details(ctx context.Context, o *object, missing string) []string {
	// After Cancel too: this is what a person reads.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var out []string
	if missing != "" {
		out = append(out, missing)
	}
	out = append(out, conditions(o)...)
	out = append(out, c.warnings(ctx, o)...)
	if o.GetKind() == "Pod" {
		return append(out, containers(o)...)
	}
	selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
	if len(selector) == 0 {
		return out
	}
	pods, err := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(o.GetNamespace()).
		List(ctx, metav1.ListOptions{LabelSelector: fields.Set(selector).String()})
	if err != nil {
		return append(out, err.Error())
	}
	sets, err := c.dynamic.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}).Namespace(o.GetNamespace()).
		List(ctx, metav1.ListOptions{LabelSelector: fields.Set(selector).String()})
	if err != nil {
		return append(out, err.Error())
	}
	for _, set := range sets.Items { // what keeps a Deployment's pods from being made is written here
		out = append(out, c.warnings(ctx, &set)...)
	}
	for _, pod := range pods.Items {
		if ready, _, err := podReady(ctx, c, &pod); err == nil && !ready {
			for _, line := range slices.Concat(conditions(&pod), c.warnings(ctx, &pod), containers(&pod)) {
				out = append(out, "pod "+pod.GetName()+": "+line)
			}
		}
	}
	return out
}

// conditions are those of an object that are not as they should be.
func conditions(o *object) (out []string) {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range all {
		condition, _ := item.(map[string]any)
		failure := strings.HasSuffix(fmt.Sprint(condition["type"]), "Failure") || o.GetKind() == "Namespace"
		if (condition["status"] == "True") == failure {
			out = append(out, fmt.Sprintf("[%v] %v: %v", condition["type"], condition["reason"], condition["message"]))
		}
	}
	return out
}

// warnings are the events of type Warning about an object, each once.
func (c *cluster) warnings(ctx context.Context, o *object) (out []string) {
	events, err := c.clients.CoreV1().Events(cmp.Or(o.GetNamespace(), "default")).
		List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.uid=" + string(o.GetUID())})
	if err != nil {
		return []string{err.Error()}
	}
	for _, event := range events.Items {
		if line := fmt.Sprintf("%s: %s", event.Reason, event.Message); !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// containers are those of a pod that wait or have ended.
func containers(o *object) (out []string) {
	pod, err := as[corev1.Pod](o)
	if err != nil {
		return []string{err.Error()}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch state := s.State; {
		case state.Waiting != nil:
			out = append(out, fmt.Sprintf("container %s waits: %s %s", s.Name, state.Waiting.Reason, state.Waiting.Message))
		case state.Terminated != nil && state.Terminated.ExitCode != 0:
			out = append(out, fmt.Sprintf("container %s ended with exit code %d: %s %s", s.Name, state.Terminated.ExitCode, state.Terminated.Reason, state.Terminated.Message))
		}
	}
	return out
}
