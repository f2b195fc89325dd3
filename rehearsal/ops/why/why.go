// Package why says in one line for each workload of a stack why it did not come up. It reads the cluster and changes nothing.
package why

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// nameLabel has the workload's name, see internal/pod.
const nameLabel = "app.kubernetes.io/name"

// Explain gives a line for each workload of the namespaces that is not up: Deployments, Jobs and bare pods. Lines are sorted.
func Explain(ctx context.Context, client kubernetes.Interface, namespaces []string) ([]string, error) {
	var lines []string
	for _, namespace := range namespaces {
		s, err := look(ctx, client, namespace)
		if err != nil {
			return nil, fmt.Errorf("namespace %s: %w", namespace, err)
		}
		lines = append(lines, s.lines()...)
	}
	slices.Sort(lines)
	return lines, nil
}

// sight is what there is in a namespace.
type sight struct {
	deployments []appsv1.Deployment
	sets        []appsv1.ReplicaSet
	jobs        []batchv1.Job
	pods        []corev1.Pod
	events      []corev1.Event
}

func look(ctx context.Context, client kubernetes.Interface, namespace string) (*sight, error) {
	all := metav1.ListOptions{}
	deployments, err := client.AppsV1().Deployments(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	sets, err := client.AppsV1().ReplicaSets(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	jobs, err := client.BatchV1().Jobs(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	events, err := client.CoreV1().Events(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	// The last of each kind is what counts.
	slices.SortStableFunc(events.Items, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
	return &sight{deployments.Items, sets.Items, jobs.Items, pods.Items, events.Items}, nil
}

// lastSeen is when an event happened last. Not each recorder sets the same field.
func lastSeen(e corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

func (s *sight) lines() []string {
	var lines []string
	for _, d := range s.deployments {
		if set, up := s.newest(&d); !up {
			lines = append(lines, d.Name+": "+s.set(&d, set))
		}
	}
	for _, j := range s.jobs {
		if reason, up := s.job(&j); !up {
			name := j.Name
			if app := j.Labels[nameLabel]; app != "" && app != name {
				name = fmt.Sprintf("%s, its Job %s", app, name)
			}
			lines = append(lines, name+": "+reason)
		}
	}
	for _, p := range s.pods {
		if metav1.GetControllerOf(&p) == nil && p.Status.Phase != corev1.PodSucceeded && !isTrue(p, corev1.PodReady) {
			lines = append(lines, p.Name+": "+s.first([]corev1.Pod{p}).String())
		}
	}
	return lines
}

// newest is the ReplicaSet of a Deployment's present version, nil if there is none yet. up is what `kubectl rollout status` waits for
// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/staging/src/k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go).
func (s *sight) newest(d *appsv1.Deployment) (set *appsv1.ReplicaSet, up bool) {
	const revision = "deployment.kubernetes.io/revision"
	for i := range s.sets {
		if metav1.IsControlledBy(&s.sets[i], d) && s.sets[i].Annotations[revision] == d.Annotations[revision] {
			set = &s.sets[i]
		}
	}
	wanted, status := int32(1), d.Status
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	return set, status.ObservedGeneration >= d.Generation && status.UpdatedReplicas >= wanted && status.Replicas <= status.UpdatedReplicas &&
		status.AvailableReplicas >= status.UpdatedReplicas
}

// set says why the pods of a Deployment's present version are not ready.
func (s *sight) set(d *appsv1.Deployment, set *appsv1.ReplicaSet) string {
	if set == nil {
		return starting.String()
	}
	pods := s.of(set)
	found := s.first(pods)
	if found.weight <= waits { // A pod that is not there has no status.
		for _, c := range set.Status.Conditions {
			if f, ok := refused(c.Message); ok && c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				found = f
			}
		}
	}
	ready := 0
	for _, p := range pods {
		if isTrue(p, corev1.PodReady) {
			ready++
		}
	}
	return fmt.Sprintf("%d of %d new pods are ready: %s", ready, d.Status.UpdatedReplicas, found)
}

// job says why a Job has not succeeded.
func (s *sight) job(j *batchv1.Job) (reason string, up bool) {
	failed := ""
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobSuccessCriteriaMet:
			return "", true
		case batchv1.JobFailed:
			failed = "failed: "
			if len(s.of(j)) == 0 { // Its pods may be gone with their node.
				return failed + words(c.Message), false
			}
		}
	}
	found := s.first(s.of(j))
	// https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/controller/controller_utils.go, FailedCreatePodReason
	text, _ := s.event(j.UID, "FailedCreate", "")
	if f, ok := refused(text); ok && found.weight <= waits {
		found = f
	}
	return failed + found.String(), false
}

// of are the pods of an owner, the youngest first.
func (s *sight) of(owner metav1.Object) []corev1.Pod {
	var pods []corev1.Pod
	for _, p := range s.pods {
		if metav1.IsControlledBy(&p, owner) {
			pods = append(pods, p)
		}
	}
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return pods
}

// refused is why pods are not made, by what their controller said.
func refused(text string) (finding, bool) {
	if text == "" {
		return finding{}, false
	}
	// https://github.com/kubernetes/kubernetes/blob/v1.35.4/staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
	if _, quota, full := strings.Cut(text, "exceeded quota: "); full {
		return finding{says: "the quota has no room: " + words(quota), help: "raise workloads.quota, or lower what the workloads request"}, true
	}
	return finding{says: "its pods are refused: " + words(text)}, true
}

// event is the message of the last event about an object, by its reason and a part of its message.
func (s *sight) event(object types.UID, reason, part string) (string, bool) {
	for _, e := range slices.Backward(s.events) {
		if e.InvolvedObject.UID == object && e.Reason == reason && strings.Contains(e.Message, part) {
			return e.Message, true
		}
	}
	return "", false
}

func isTrue(p corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

// words is a text of others as a part of one line: without control characters, its lines joined, and cut.
func words(text string) string {
	const most = 500
	var lines []string
	for line := range strings.Lines(text) {
		clean := strings.TrimSpace(strings.Map(func(r rune) rune {
			if strconv.IsPrint(r) {
				return r
			}
			return ' '
		}, line))
		if clean != "" {
			lines = append(lines, clean)
		}
	}
	all := []rune(strings.Join(lines, " | "))
	if len(all) > most {
		return "… " + string(all[len(all)-most:]) // the end says what went wrong
	}
	return string(all)
}
