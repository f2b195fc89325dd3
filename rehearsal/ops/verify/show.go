package verify

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/ptr"
)

// Object is one object in the cluster.
type Object struct{ Kind, Namespace, Name string }

func (o Object) String() string { return strings.Trim(o.Kind+" "+o.Namespace+"/"+o.Name, "/ ") }

// about is a failure that names objects. What befell them is shown with it.
type about struct {
	error
	objects []Object
}

func (a *about) Unwrap() error { return a.error }

// failure is an error with the objects that it is about.
func failure(objects []Object, format string, args ...any) error {
	return &about{fmt.Errorf(format, args...), objects}
}

func podObject(p corev1.Pod) []Object { return []Object{{"Pod", p.Namespace, p.Name}} }

// The most that is shown with a failure.
const (
	shownObjects = 5
	shownEvents  = 8
	shownLines   = 15
)

// ShowAccess is what it takes to show what befell an object. What is missing of it is not shown.
var ShowAccess = []string{"list events", "get pods", "get pods/log", "get secrets"}

// show is what befell the objects that an error names: their latest events, the containers that do not run, and the last lines of pods.
func (s *Stack) show(ctx context.Context, err error) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var out strings.Builder
	for i, o := range named(err) {
		if i == shownObjects {
			fmt.Fprintf(&out, "and %d more objects\n", len(named(err))-i)
			break
		}
		fmt.Fprintf(&out, "%s\n", o)
		s.events(ctx, &out, o)
		if o.Kind == "Pod" {
			s.lines(ctx, &out, o)
		}
	}
	return s.cover(out.String())
}

// named are the objects that an error and its parts name.
func named(err error) (out []Object) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			out = append(out, named(part)...)
		}
		return out
	}
	if a := (*about)(nil); errors.As(err, &a) {
		out = a.objects
	}
	return out
}

func (s *Stack) events(ctx context.Context, out *strings.Builder, o Object) {
	list, err := s.Kubernetes.CoreV1().Events(o.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": o.Kind, "involvedObject.name": o.Name}.String(),
	})
	if err != nil {
		fmt.Fprintf(out, "  events: not shown: %v\n", err)
		return
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return when(a).Compare(when(b)) })
	for _, e := range list.Items[max(0, len(list.Items)-shownEvents):] {
		message := strings.Join(strings.Fields(e.Message), " ")
		fmt.Fprintf(out, "  event %s %s %s: %s\n", when(e).UTC().Format(time.TimeOnly), e.Type, e.Reason, message)
	}
}

func when(e corev1.Event) time.Time {
	return cmp.Or(e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time)
}

// lines shows the last lines of a pod's containers. They may hold a secret of the pod: without the right to read its secrets, which are
// covered then, no line is shown.
func (s *Stack) lines(ctx context.Context, out *strings.Builder, o Object) {
	pod, err := s.Kubernetes.CoreV1().Pods(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	if err != nil {
		fmt.Fprintf(out, "  lines: not shown: %v\n", err)
		return
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch state := status.State; {
		case state.Waiting != nil:
			fmt.Fprintf(out, "  container %s waits: %s %s\n", status.Name, state.Waiting.Reason, state.Waiting.Message)
		case state.Terminated != nil:
			fmt.Fprintf(out, "  container %s ended with %d: %s\n", status.Name, state.Terminated.ExitCode, state.Terminated.Reason)
		}
	}
	if err := s.learn(ctx, pod); err != nil {
		fmt.Fprintf(out, "  lines: not shown, the pod's secrets could not be covered: %v\n", err)
		return
	}
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		data, err := s.Kubernetes.CoreV1().Pods(o.Namespace).GetLogs(o.Name, &corev1.PodLogOptions{
			Container: container.Name, TailLines: ptr.To(int64(shownLines)), LimitBytes: ptr.To(int64(16 << 10)),
		}).DoRaw(ctx)
		if err != nil {
			fmt.Fprintf(out, "  %s: no lines: %v\n", container.Name, err)
			continue
		}
		for line := range strings.Lines(string(data)) {
			fmt.Fprintf(out, "  %s: %s\n", container.Name, strings.TrimRight(line, "\n"))
		}
	}
}

// learn reads the values of the secrets that a pod uses, so that cover knows them.
func (s *Stack) learn(ctx context.Context, pod *corev1.Pod) error {
	for _, name := range secretsOf(pod) {
		secret, err := s.Kubernetes.CoreV1().Secrets(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, value := range secret.Data {
			// A secret of several lines is printed line by line.
			for line := range strings.Lines(string(value)) {
				line = strings.TrimSpace(line)
				quoted, _ := json.Marshal(line) // a text always is JSON
				for _, form := range []string{
					line, strings.Trim(string(quoted), `"`), url.QueryEscape(line), url.PathEscape(line),
					base64.StdEncoding.EncodeToString([]byte(line)), base64.StdEncoding.EncodeToString(value),
				} {
					if len(form) >= 4 && !slices.Contains(s.secrets, form) {
						s.secrets = append(s.secrets, form)
					}
				}
			}
		}
	}
	// The longest first: one may be a part of another.
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
	return nil
}

func secretsOf(pod *corev1.Pod) (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, e := range c.EnvFrom {
			if e.SecretRef != nil {
				add(e.SecretRef.Name)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				add(e.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil {
			add(v.Secret.SecretName)
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.Secret != nil {
					add(source.Secret.Name)
				}
			}
		}
	}
	return names
}

// secretForms are what is covered wherever it stands: IDs of AWS's access keys
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html), JSON web tokens, and what a name calls a secret.
var secretForms = []*regexp.Regexp{
	regexp.MustCompile(`()\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`),
	regexp.MustCompile(`()\bgh[a-z]_[A-Za-z0-9]{20,}`),
	regexp.MustCompile(`([a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+(@)`),
	regexp.MustCompile(`(?i)((?:authorization|passw(?:or)?d|passphrase|\bpwd|secret|token|key)\w*["']?\s*[:=]\s*(?:bearer |basic )?)` +
		`(?:"[^"]*"|'[^']*'|[^\s"',;&]+)`),
}

// cover takes secrets out of a text.
func (s *Stack) cover(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	for _, form := range secretForms {
		text = form.ReplaceAllString(text, "${1}[secret]${2}")
	}
	return text
}
