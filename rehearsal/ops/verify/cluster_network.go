package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var networkChecks = []Check{
	{
		Name:    "endpoints",
		Promise: "Behind each Service there are pods that are ready, and each load balancer has its address.",
		Access:  []string{"list services", "list endpointslices"},
		Takes:   5 * time.Second,
		Run:     endpoints,
	},
	{
		Name:    "selectors",
		Promise: "Each Service, disruption budget and network policy selects pods.",
		Access:  []string{"list services", "list poddisruptionbudgets", "list networkpolicies", "list pods"},
		Takes:   5 * time.Second,
		Run:     selectors,
	},
}

func endpoints(ctx context.Context, s *Stack, _ *Work) (seen string, err error) {
	want, err := stated[corev1.Service](s, typeService)
	if err != nil {
		return "", err
	}
	return seen, s.until(ctx, func(ctx context.Context) error {
		var f findings
		services, ready := map[types.NamespacedName]bool{}, 0
		for _, namespace := range s.namespaces() {
			list, err := s.Kubernetes.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			slicesOf, err := s.Kubernetes.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			answers := map[string]int{}
			for _, slice := range slicesOf.Items {
				for _, endpoint := range slice.Endpoints {
					// Not said is ready (https://github.com/kubernetes/api/blob/v0.35.4/discovery/v1/types.go).
					if ptr.Deref(endpoint.Conditions.Ready, true) {
						answers[slice.Labels[discoveryv1.LabelServiceName]]++
					}
				}
			}
			for _, service := range list.Items {
				services[types.NamespacedName{Namespace: namespace, Name: service.Name}] = true
				o := Object{"Service", namespace, service.Name}
				ready += answers[service.Name]
				if len(service.Spec.Selector) > 0 && answers[service.Name] == 0 {
					f.add(o, "no pod behind it is ready")
				}
				if service.Spec.Type == corev1.ServiceTypeLoadBalancer && len(service.Status.LoadBalancer.Ingress) == 0 {
					f.add(o, "its load balancer has no address")
				}
			}
		}
		for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
			if !services[key] {
				f.add(objectOf("Service", key), "it is not there: run `pulumi up --refresh`")
			}
		}
		if len(services)+len(want) == 0 {
			return notSeen("the state has no Service, and neither has the cluster")
		}
		seen = fmt.Sprintf("%s, %s", plural(len(services), "Service"), plural(ready, "endpoint"))
		return f.err()
	})
}

// selectors: pods that are not there now count, if the program makes them: those of a Job that has ended, and of an app whose image is
// not built yet.
func selectors(ctx context.Context, s *Stack, _ *Work) (seen string, err error) {
	made, err := s.templates()
	if err != nil {
		return "", err
	}
	return seen, s.until(ctx, func(ctx context.Context) error {
		live, err := s.livePods(ctx)
		if err != nil {
			return err
		}
		var f findings
		count := 0
		selects := func(o Object, selector *metav1.LabelSelector, others ...podLabels) {
			count++
			matches, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				f.add(o, "its selector: %v", err)
				return
			}
			for _, pod := range live {
				others = append(others, podLabels{pod.Namespace, pod.Labels})
			}
			if !slices.ContainsFunc(others, func(p podLabels) bool { return p.namespace == o.Namespace && matches.Matches(p.labels) }) {
				f.add(o, "it selects no pod with %s", metav1.FormatLabelSelector(selector))
			}
		}
		for _, namespace := range s.namespaces() {
			services, err := s.Kubernetes.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			budgets, err := s.Kubernetes.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			policies, err := s.Kubernetes.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return f.with(err)
			}
			for _, service := range services.Items {
				if len(service.Spec.Selector) > 0 {
					selects(Object{"Service", namespace, service.Name}, metav1.SetAsLabelSelector(service.Spec.Selector))
				}
			}
			for _, budget := range budgets.Items {
				o := Object{"PodDisruptionBudget", namespace, budget.Name}
				selects(o, budget.Spec.Selector)
				for _, c := range budget.Status.Conditions {
					if c.Type == policyv1.DisruptionAllowedCondition && c.Reason == policyv1.SyncFailedReason {
						f.add(o, "Kubernetes cannot keep to it: %s", c.Message)
					}
				}
			}
			for _, policy := range policies.Items {
				if policy.Labels[RunLabel] == "" {
					selects(Object{"NetworkPolicy", namespace, policy.Name}, &policy.Spec.PodSelector, made...)
				}
			}
		}
		if count == 0 {
			return notSeen("nothing selects pods")
		}
		seen = plural(count, "selector")
		return f.err()
	})
}

// podLabels are the labels of a pod that is or may be there.
type podLabels struct {
	namespace string
	labels    labels.Set
}

// templates are the labels of the pods that the program makes, and of those of apps that are left out.
func (s *Stack) templates() (out []podLabels, err error) {
	bare, err := stated[corev1.Pod](s, typePod)
	if err != nil {
		return nil, err
	}
	rollouts, err := stated[appsv1.Deployment](s, typeDeployment)
	if err != nil {
		return nil, err
	}
	jobs, err := stated[batchv1.Job](s, typeJob)
	if err != nil {
		return nil, err
	}
	for key, pod := range bare {
		out = append(out, podLabels{key.Namespace, pod.Labels})
	}
	for key, d := range rollouts {
		out = append(out, podLabels{key.Namespace, d.Spec.Template.Labels})
	}
	for key, job := range jobs {
		out = append(out, podLabels{key.Namespace, job.Spec.Template.Labels})
	}
	for name, app := range s.Settings.Workloads.Apps {
		if app.Image == "" {
			out = append(out, podLabels{s.Settings.Workloads.Namespace, labels.Set{nameLabel: name}})
		}
	}
	return out, nil
}
