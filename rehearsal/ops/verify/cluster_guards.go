package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var guardChecks = []Check{
	{
		Name:    "namespaces",
		Promise: "Each namespace has its labels, its quota and the limits of its containers.",
		Access:  []string{"get namespaces", "list resourcequotas", "list limitranges"},
		Takes:   time.Second,
		Run:     namespaces,
	},
	{
		Name:    "policies",
		Promise: "The namespaces are closed, their openings are the program's, and nobody has opened more.",
		Access:  []string{"list networkpolicies"},
		Takes:   time.Second,
		Run:     policies,
	},
	{
		Name:    "privileged-refused",
		Promise: "The API server refuses a pod that asks for privileges.",
		Access:  []string{"create pods"},
		Takes:   time.Second,
		Run:     privilegedRefused,
	},
}

// namespaces: a quota or limit that somebody added by hand is reported.
func namespaces(ctx context.Context, s *Stack, _ *Work) (string, error) {
	wanted, err1 := stated[corev1.Namespace](s, typeNamespace)
	quotas, err2 := stated[corev1.ResourceQuota](s, typeQuota)
	limits, err3 := stated[corev1.LimitRange](s, typeLimits)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return "", err
		}
	}
	var f findings
	var foreign []string
	for _, name := range s.namespaces() {
		o := Object{Kind: "Namespace", Name: name}
		want, ok := wanted[types.NamespacedName{Name: name}]
		if !ok {
			f.add(o, "it is not in the state: run `pulumi up`")
			continue
		}
		live, err := s.Kubernetes.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			f.add(o, "it is not there: run `pulumi up --refresh`")
			continue
		}
		if err != nil {
			return "", f.with(err)
		}
		labels := want.Labels
		if name == s.Settings.Workloads.Namespace {
			labels = maps.Clone(labels)
			labels["environment"] = s.Settings.Workloads.Environment
		}
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			if live.Labels[key] != labels[key] {
				f.add(o, "its label %s is %q, expected %q", key, live.Labels[key], labels[key])
			}
		}
		if live.Status.Phase != corev1.NamespaceActive {
			f.add(o, "it is %s", live.Status.Phase)
		}

		hasQuotas, err := s.Kubernetes.CoreV1().ResourceQuotas(name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", f.with(err)
		}
		got := map[types.NamespacedName]corev1.ResourceQuota{}
		for _, q := range hasQuotas.Items {
			got[types.NamespacedName{Namespace: name, Name: q.Name}] = q
		}
		foreign = append(foreign, compare(&f, "ResourceQuota", name, quotas, got, func(a, b corev1.ResourceQuota) bool {
			return apiequality.Semantic.DeepEqual(a.Spec, b.Spec)
		})...)
		hasLimits, err := s.Kubernetes.CoreV1().LimitRanges(name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", f.with(err)
		}
		ranges := map[types.NamespacedName]corev1.LimitRange{}
		for _, l := range hasLimits.Items {
			ranges[types.NamespacedName{Namespace: name, Name: l.Name}] = l
		}
		foreign = append(foreign, compare(&f, "LimitRange", name, limits, ranges, func(a, b corev1.LimitRange) bool {
			return apiequality.Semantic.DeepEqual(a.Spec, b.Spec)
		})...)
	}
	seen := fmt.Sprintf("%s, %s, %s", strings.Join(s.namespaces(), " and "), plural(len(quotas), "quota"), plural(len(limits), "limit range"))
	return seen + byHand(foreign), f.err()
}

// compare adds what of a namespace the state has and the cluster has not or has otherwise, and gives what only the cluster has.
func compare[T any](f *findings, kind, namespace string, want, got map[types.NamespacedName]T, same func(a, b T) bool) (foreign []string) {
	for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
		if key.Namespace != namespace {
			continue
		}
		if live, ok := got[key]; !ok {
			f.add(objectOf(kind, key), "it is not there: run `pulumi up --refresh`")
		} else if !same(want[key], live) {
			f.add(objectOf(kind, key), "it is not as the program made it: see `pulumi preview --refresh --diff`, and run `pulumi up --refresh`")
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(got), byName) {
		if _, ours := want[key]; !ours {
			foreign = append(foreign, kind+" "+key.String())
		}
	}
	return foreign
}

// byHand tells of objects that are not the program's.
func byHand(foreign []string) string {
	if len(foreign) == 0 {
		return ""
	}
	return "; made by hand: " + strings.Join(foreign, ", ")
}

// policies: what they allow adds up
// (https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation), so one by hand with a rule
// opens more, and one without a rule does not.
func policies(ctx context.Context, s *Stack, _ *Work) (string, error) {
	want, err := stated[networkingv1.NetworkPolicy](s, typePolicy)
	if err != nil {
		return "", err
	}
	var f findings
	var foreign []string
	for _, namespace := range s.namespaces() {
		list, err := s.Kubernetes.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", f.with(err)
		}
		closed, got := false, map[types.NamespacedName]networkingv1.NetworkPolicy{}
		for _, p := range list.Items {
			key := types.NamespacedName{Namespace: namespace, Name: p.Name}
			got[key] = p
			rules := len(p.Spec.Ingress) + len(p.Spec.Egress)
			everyPod := len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) == 0
			closed = closed || everyPod && rules == 0 && len(p.Spec.PolicyTypes) == 2
			if _, ours := want[key]; !ours && rules > 0 && p.Labels[RunLabel] == "" {
				f.add(objectOf("NetworkPolicy", key), "it was made by hand and opens more than the program does: delete it, or put it into the program")
			}
		}
		if !closed {
			f.add(Object{Kind: "Namespace", Name: namespace}, "no policy closes all its pods in both directions")
		}
		foreign = append(foreign, compare(&f, "NetworkPolicy", namespace, want, got, func(a, b networkingv1.NetworkPolicy) bool {
			return apiequality.Semantic.DeepEqual(a.Spec, b.Spec)
		})...)
	}
	return plural(len(want), "policy") + byHand(foreign), f.err()
}

// privilegedRefused asks in a dry run, in each namespace of the state.
func privilegedRefused(ctx context.Context, s *Stack, _ *Work) (string, error) {
	wanted, err := stated[corev1.Namespace](s, typeNamespace)
	if err != nil {
		return "", err
	}
	var f findings
	var unclear error
	for _, key := range slices.SortedFunc(maps.Keys(wanted), byName) {
		_, err := s.Kubernetes.CoreV1().Pods(key.Name).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "verify-privileged"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "shell", Image: "example.com/shell:1", SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)},
			}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			f.add(Object{Kind: "Namespace", Name: key.Name}, "the API server admitted a privileged pod: the namespace's label "+
				"pod-security.kubernetes.io/enforce must be restricted")
		case apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "violates PodSecurity"):
			unclear = notSeen("namespace %s refused the pod for another reason: %v", key.Name, err)
		case !apierrors.IsForbidden(err):
			return "", f.with(err)
		}
	}
	if err := f.err(); err != nil {
		return "", f.with(err)
	}
	if len(wanted) == 0 {
		return "", notSeen("the state has no namespace")
	}
	return "refused in " + plural(len(wanted), "namespace"), unclear
}
