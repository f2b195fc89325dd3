package why

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// How much a finding tells. Of several pods the one that tells most is shown: what ran once tells more than what waits.
const (
	waits = iota
	noNode
	unhealthy
	broken
)

// finding is why a pod is not ready, and what helps.
type finding struct {
	weight     int
	says, help string
}

func (f finding) String() string {
	if f.help == "" {
		return f.says
	}
	return f.says + "; " + f.help
}

var starting = finding{says: "still starting", help: "look again in a minute"}

// first is what tells most of some pods.
func (s *sight) first(pods []corev1.Pod) finding {
	found := starting
	for _, p := range pods {
		if isTrue(p, corev1.PodReady) {
			continue
		}
		if f := s.pod(p); f.weight > found.weight || found == starting {
			found = f
		}
	}
	return found
}

func (s *sight) pod(p corev1.Pod) finding {
	for _, c := range p.Status.Conditions {
		// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return finding{noNode, "no node has room: " + words(c.Message),
				"raise maxSize of a group in cluster.nodeGroups or take larger instances, or lower what it requests"}
		}
	}
	specs := slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
	for _, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		i := slices.IndexFunc(specs, func(c corev1.Container) bool { return c.Name == status.Name })
		if i < 0 || status.Ready {
			continue
		}
		if f, ok := s.container(p, specs[i], status); ok {
			if status.Name != p.Labels[nameLabel] {
				f.says = fmt.Sprintf("container %s: %s", status.Name, f.says)
			}
			return f
		}
	}
	// The volumes and the network come before the containers
	// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/kubelet/events/event.go).
	for _, reason := range []string{"FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume"} {
		if text, ok := s.event(p.UID, reason, ""); ok {
			return finding{waits, "waits for what its node has to prepare: " + words(text), ""}
		}
	}
	if p.Status.Phase == corev1.PodFailed && p.Status.Message != "" { // as after an eviction
		return finding{broken, words(p.Status.Reason + ": " + p.Status.Message), ""}
	}
	return starting
}

// pulls are the reasons of an image that does not come, see pkg/kubelet/images/types.go of Kubernetes and
// https://github.com/kubernetes/cri-api/blob/v0.35.4/pkg/errors/errors.go.
var pulls = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "ErrImageNeverPull",
	"RegistryUnavailable", "SignatureValidationFailed"}

func (s *sight) container(p corev1.Pod, spec corev1.Container, status corev1.ContainerStatus) (finding, bool) {
	waiting := status.State.Waiting
	if waiting != nil && slices.Contains(pulls, waiting.Reason) {
		return finding{broken, fmt.Sprintf("cannot pull %s: %s", spec.Image, words(waiting.Message)), pullHelp(waiting.Message)}, true
	}
	if waiting != nil && strings.HasSuffix(waiting.Reason, "Error") { // CreateContainerConfigError and the like
		return finding{broken, "cannot start: " + words(waiting.Reason+": "+waiting.Message), ""}, true
	}
	// A container that the kubelet ended is unhealthy, whatever its exit code is
	// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions).
	for _, probe := range []string{"startup", "liveness"} {
		if _, killed := s.event(p.UID, "Killing", fmt.Sprintf("ontainer %s failed %s probe", spec.Name, probe)); killed {
			if f, ok := s.unhealthy(p, spec, probe); ok {
				return f, true
			}
		}
	}
	ended := status.State.Terminated
	if ended == nil {
		ended = status.LastTerminationState.Terminated
	}
	if ended != nil && ended.ExitCode != 0 && (status.State.Running == nil || status.RestartCount > 0) {
		return crash(spec, status.RestartCount, ended), true
	}
	if status.State.Running != nil {
		for _, probe := range []string{"readiness", "startup"} {
			if f, ok := s.unhealthy(p, spec, probe); ok {
				return f, true
			}
		}
	}
	return finding{}, false
}

func crash(spec corev1.Container, restarts int32, ended *corev1.ContainerStateTerminated) finding {
	// The last lines are the message, where the pod asks for it (FallbackToLogsOnError).
	text := words(ended.Message)
	f := finding{weight: broken, says: fmt.Sprintf("crashed with exit code %d after %d restarts", ended.ExitCode, restarts)}
	switch {
	case ended.Reason == "OOMKilled":
		f.says = fmt.Sprintf("the kernel ended it at its memory limit, %s, after %d restarts", spec.Resources.Limits.Memory(), restarts)
		f.help = "raise its memoryLimit"
	case strings.Contains(text, "exec format error"): // execve(2), ENOEXEC
		f.help = "its image is for another architecture than the nodes'"
	}
	if text != "" {
		f.says += ": " + text
	}
	return f
}

// refusedPort is Go's error for a port where nobody listens.
var refusedPort = regexp.MustCompile(`dial tcp \S+:(\d+): connect: connection refused`)

// unhealthy is what a probe said last (https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/kubelet/prober/prober.go).
func (s *sight) unhealthy(p corev1.Pod, spec corev1.Container, probe string) (finding, bool) {
	var text string
	for _, e := range s.events {
		if e.InvolvedObject.UID == p.UID && e.Reason == "Unhealthy" && strings.HasSuffix(e.InvolvedObject.FieldPath, "{"+spec.Name+"}") &&
			strings.HasPrefix(strings.ToLower(e.Message), probe+" probe ") {
			text = e.Message
		}
	}
	if text == "" {
		return finding{}, false
	}
	if port := refusedPort.FindStringSubmatch(text); port != nil {
		return finding{unhealthy, "nobody listens on its port " + port[1] + ": " + words(text),
			"it has to listen on all addresses, not on 127.0.0.1, and on the port that the variable PORT has"}, true
	}
	return finding{unhealthy, "it runs and does not pass its check: " + words(text), "see its log; health.start is how long it may take"}, true
}

// pullHelp knows what containerd and registries say.
func pullHelp(message string) string {
	switch {
	case strings.Contains(message, "no match for platform"):
		// https://github.com/containerd/containerd/blob/v2.2.4/core/images/image.go
		return "the image is for another architecture than the nodes'"
	case strings.Contains(message, "toomanyrequests"), strings.Contains(message, "429 Too Many Requests"):
		// https://docs.docker.com/docker-hub/usage/pulls/
		return "pull it through the account's registry: cluster.registry"
	case strings.Contains(message, "not found"):
		return "push it, as with `make image`, or go back to a digest that the registry has"
	}
	return ""
}
