package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"expense/internal/config"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// The names that the sidecar has in a pod.
const (
	sidecarName  = "fluentd"
	sidecarToken = "fluentd-token"
	sidecarLogs  = "logs"
)

var logChecks = []Check{
	{
		Name:    "sidecars",
		Promise: "Each pod that logs has its sidecar, which reads what the application writes and alone has IAM's token.",
		Access:  []string{"list pods"},
		Takes:   time.Second,
		Run:     sidecars,
	},
	{
		Name:    "setup-first",
		Promise: "The domain is set up before anything logs.",
		Access:  []string{"list pods", "list jobs"},
		Takes:   time.Second,
		Run:     setupFirst,
	},
}

// sidecars: a pod by hand is nobody's to look at. A release's pod and an app without logs have no sidecar.
func sidecars(ctx context.Context, s *Stack, _ *Work) (string, error) {
	known, err := s.workloads()
	if err != nil {
		return "", err
	}
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	var f findings
	logging := 0
	for _, pod := range sorted(live) {
		name := pod.Labels[nameLabel]
		app, own := s.Settings.Workloads.Apps[name]
		if pod.Namespace != s.Settings.Workloads.Namespace || !known[name] || own && app.Logs.From == config.LogsNone ||
			pod.Labels[componentLabel] == release {
			continue
		}
		logging++
		o := Object{"Pod", pod.Namespace, pod.Name}
		sidecar := Sidecar(pod.Spec)
		if sidecar == nil {
			f.add(o, "it has no container %s", sidecarName)
			continue
		}
		if ptr.Deref(sidecar.RestartPolicy, "") != corev1.ContainerRestartPolicyAlways {
			f.add(o, "%s is no sidecar: its restart policy is not Always", sidecarName)
		}
		// Kubernetes copies it from the node (https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone),
		// and the sidecar adds it to each line.
		if pod.Labels[corev1.LabelTopologyZone] == "" {
			f.add(o, "it has no label %s, which the sidecar adds to each line", corev1.LabelTopologyZone)
		}
		for _, volume := range []string{sidecarToken, sidecarLogs} {
			if !mounts(*sidecar, volume) {
				f.add(o, "%s does not mount the volume %s", sidecarName, volume)
			}
		}
		writers := 0
		for _, c := range pod.Spec.Containers {
			if mounts(c, sidecarToken) {
				f.add(o, "container %s has the sidecar's token", c.Name)
			}
			if mounts(c, sidecarLogs) {
				writers++
			}
		}
		if writers == 0 {
			f.add(o, "no container writes where %s reads", sidecarName)
		}
	}
	if logging == 0 {
		f.add(Object{Kind: "Namespace", Name: s.Settings.Workloads.Namespace}, "it has no pod that logs")
	}
	return plural(logging, "pod"), f.err()
}

// workloads are the names of what runs for good in the namespace of the workloads.
func (s *Stack) workloads() (map[string]bool, error) {
	bare, err := stated[corev1.Pod](s, typePod)
	if err != nil {
		return nil, err
	}
	rollouts, err := stated[appsv1.Deployment](s, typeDeployment)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for key, pod := range bare {
		out[pod.Labels[nameLabel]] = key.Namespace == s.Settings.Workloads.Namespace
	}
	for key, d := range rollouts {
		if key.Namespace == s.Settings.Workloads.Namespace {
			out[d.Spec.Template.Labels[nameLabel]] = true
		}
	}
	return out, nil
}

// Sidecar is the container of a pod that sends its logs, or nil.
func Sidecar(spec corev1.PodSpec) *corev1.Container {
	for i, c := range spec.InitContainers {
		if c.Name == sidecarName {
			return &spec.InitContainers[i]
		}
	}
	return nil
}

func mounts(c corev1.Container, volume string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
}

// setupFirst: what logs depends on the set-up, so the engine makes it later. A pod that is older than the set-up's Job was served by a
// former one, which a change of the settings replaced.
func setupFirst(ctx context.Context, s *Stack, _ *Work) (string, error) {
	list, err := s.Kubernetes.BatchV1().Jobs(config.LoggingNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	wanted, err := stated[batchv1.Job](s, typeJob)
	if err != nil {
		return "", err
	}
	var f findings
	var job *batchv1.Job
	for key := range wanted {
		if key.Namespace != config.LoggingNamespace {
			continue
		}
		i := slices.IndexFunc(list.Items, func(j batchv1.Job) bool { return j.Name == key.Name })
		if i < 0 {
			f.add(objectOf("Job", key), "it is not there: run `pulumi up --refresh`")
			return "", f.err()
		}
		job = &list.Items[i]
	}
	if job == nil {
		f.add(Object{Kind: "Namespace", Name: config.LoggingNamespace}, "the state has no Job that sets the domain up: run `pulumi up`")
		return "", f.err()
	}
	o := Object{"Job", job.Namespace, job.Name}
	if job.Status.CompletionTime == nil {
		f.add(o, "it has not completed")
		return "", f.err()
	}
	if err := s.dependOnSetup(&f, job.Name); err != nil {
		return "", f.with(err)
	}
	live, err := s.livePods(ctx)
	if err != nil {
		return "", f.with(err)
	}
	after, before := 0, 0
	for _, pod := range sorted(live) {
		made := pod.CreationTimestamp.Time
		switch {
		case Sidecar(pod.Spec) == nil:
		case made.Before(job.CreationTimestamp.Time):
			before++
		case made.Before(job.Status.CompletionTime.Time):
			f.add(Object{"Pod", pod.Namespace, pod.Name}, "it was made at %s, while job %s ran until %s", made.UTC().Format(time.RFC3339), job.Name,
				job.Status.CompletionTime.UTC().Format(time.RFC3339))
		default:
			after++
		}
	}
	if after+before == 0 && len(f.problems) == 0 {
		f.add(Object{Kind: "Namespace", Name: s.Settings.Workloads.Namespace}, "it has no pod that logs")
	}
	seen := fmt.Sprintf("%s, then %s", job.Name, plural(after, "pod"))
	if before > 0 {
		seen += fmt.Sprintf("; %s older than this set-up, served by a former one", plural(before, "pod"))
	}
	return seen, f.err()
}

// dependOnSetup finds what has a sidecar and does not wait for the set-up.
func (s *Stack) dependOnSetup(f *findings, job string) error {
	setup := ""
	for _, r := range s.resources(typeJob) {
		if stateName(r.Inputs) == job {
			setup = string(r.URN)
		}
	}
	for _, typ := range []string{typePod, typeDeployment} {
		all := s.resources(typ)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			spec, err := podSpec(all[name].Inputs, typ)
			if err != nil {
				return err
			}
			waits := false
			for _, urn := range all[name].Dependencies {
				waits = waits || string(urn) == setup
			}
			if Sidecar(spec) != nil && !waits {
				f.add(Object{Kind: "state, " + typ, Name: name}, "it logs, and does not depend on job %s", job)
			}
		}
	}
	return nil
}
