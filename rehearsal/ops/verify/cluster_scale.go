package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/utils/ptr"
)

var scaleChecks = []Check{
	{
		Name:    "scaling-metrics",
		Promise: "Metrics are served, and each autoscaler of pods compares them.",
		Access:  []string{"get apiservices", "list horizontalpodautoscalers"},
		Takes:   30 * time.Second,
		Run:     scalingMetrics,
	},
	{
		Name:    "quota-room",
		Promise: "The quota has room for the pods that an update of any app adds.",
		Access:  []string{"list deployments", "list resourcequotas"},
		Takes:   time.Second,
		Run:     quotaRoom,
	},
}

// metricsAPI is how the API server knows metrics-server (https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/).
const metricsAPI = "v1beta1.metrics.k8s.io"

func scalingMetrics(ctx context.Context, s *Stack, _ *Work) (seen string, err error) {
	client, err := dynamic.NewForConfig(s.REST)
	if err != nil {
		return "", err
	}
	want, err := stated[autoscalingv2.HorizontalPodAutoscaler](s, typeScaler)
	if err != nil {
		return "", err
	}
	services := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	return seen, s.until(ctx, func(ctx context.Context) error {
		var f findings
		o := Object{Kind: "APIService", Name: metricsAPI}
		api, err := client.Resource(services).Get(ctx, metricsAPI, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			f.add(o, "it is not there: the add-on metrics-server does not run")
		case err != nil:
			return f.with(err)
		default:
			if status, message := conditionOf(api, "Available"); status != string(metav1.ConditionTrue) {
				f.add(o, "Available is %q: %s", status, message)
			}
		}
		scalers := 0
		for _, namespace := range s.namespaces() {
			list, err := s.Kubernetes.AutoscalingV2().HorizontalPodAutoscalers(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			for _, h := range list.Items {
				scalers++
				o := Object{"HorizontalPodAutoscaler", namespace, h.Name}
				active := false
				for _, c := range h.Status.Conditions {
					active = active || c.Type == autoscalingv2.ScalingActive
					// It is not limited by a bound either way that matters here: ScalingLimited is True at rest.
					if (c.Type == autoscalingv2.ScalingActive || c.Type == autoscalingv2.AbleToScale) && c.Status != corev1.ConditionTrue {
						f.add(o, "%s is %s: %s %s", c.Type, c.Status, c.Reason, c.Message)
					}
				}
				if !active && len(f.problems) == 0 {
					f.add(o, "it has not looked at metrics yet")
				}
				if active && len(h.Status.CurrentMetrics) == 0 && len(f.problems) == 0 {
					f.add(o, "it has no metrics")
				}
			}
		}
		if scalers < len(want) {
			f.add(Object{Kind: "Namespace", Name: s.Settings.Workloads.Namespace}, "%s of %d: run `pulumi up --refresh`",
				plural(scalers, "autoscaler"), len(want))
		}
		seen = plural(scalers, "autoscaler")
		return f.err()
	})
}

func conditionOf(o *unstructured.Unstructured, kind string) (status, message string) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			status, _ = c["status"].(string)
			message, _ = c["message"].(string)
		}
	}
	return status, message
}

// quotaRoom: less room stops an update, which says so only in an event of its ReplicaSet
// (https://github.com/kubernetes/kubernetes/issues/89209).
func quotaRoom(ctx context.Context, s *Stack, _ *Work) (string, error) {
	namespace := s.Settings.Workloads.Namespace
	quotas, err := s.Kubernetes.CoreV1().ResourceQuotas(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	deployments, err := s.Kubernetes.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(deployments.Items) == 0 || len(quotas.Items) == 0 {
		return "", fmt.Errorf("namespace %s: found %s and %s, expected some of each: run `pulumi up --refresh`", namespace,
			plural(len(deployments.Items), "Deployment"), plural(len(quotas.Items), "quota"))
	}
	var f findings
	tightest := map[corev1.ResourceName]resource.Quantity{}
	for _, quota := range quotas.Items {
		free := corev1.ResourceList{}
		for name, hard := range quota.Status.Hard {
			left := hard.DeepCopy()
			left.Sub(quota.Status.Used[name])
			free[name] = left
			if least, ok := tightest[name]; !ok || left.Cmp(least) < 0 {
				tightest[name] = left
			}
		}
		for _, d := range deployments.Items {
			if d.Spec.Strategy.RollingUpdate == nil {
				continue
			}
			surge, err := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxSurge, int(ptr.Deref(d.Spec.Replicas, 1)), true)
			if err != nil {
				return "", fmt.Errorf("deployment %s: maxSurge: %w", d.Name, err)
			}
			needs := counted(&corev1.Pod{Spec: d.Spec.Template.Spec})
			for _, name := range slices.Sorted(maps.Keys(free)) {
				one, counts := needs[name]
				one.Mul(int64(surge))
				if left := free[name]; counts && left.Cmp(one) < 0 {
					f.add(Object{"ResourceQuota", namespace, quota.Name}, "%s has %s left, and an update of %s takes %s (%s more): raise "+
						"workloads.quota, or find what takes it", name, left.String(), d.Name, one.String(), plural(surge, "pod"))
				}
			}
		}
	}
	if len(tightest) == 0 {
		return "", f.with(notSeen("the API server has not counted yet what the quota of namespace %s has left", namespace))
	}
	var left []string
	for _, name := range slices.Sorted(maps.Keys(tightest)) {
		quantity := tightest[name]
		left = append(left, fmt.Sprintf("%s %s", name, quantity.String()))
	}
	return "left: " + strings.Join(left, ", "), f.err()
}

// counted is what a pod takes of a quota (https://kubernetes.io/docs/concepts/policy/resource-quotas/#compute-resource-quota).
func counted(pod *corev1.Pod) corev1.ResourceList {
	out := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}
	for name, quantity := range resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}) {
		out["requests."+name], out[name] = quantity, quantity
	}
	for name, quantity := range resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{}) {
		out["limits."+name] = quantity
	}
	return out
}
