package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"expense/internal/config"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var touchChecks = []Check{
	{
		Name: "web-replaced", Level: Touches, Promise: "A web pod that is deleted has a successor.",
		Disturbs: "one pod of web is deleted",
		Access:   []string{"get deployments", "list pods", "delete pods"},
		Takes:    30 * time.Second, Run: webReplaced,
	},
	{
		Name: "web-uninterrupted", Level: Touches, Promise: "No request to web fails while one of its pods is deleted.",
		Disturbs: "one pod of web is deleted", Makes: "a probe that asks web five times a second, without a line in its log",
		Access: slices.Concat(probeAccess, []string{"get deployments", "get services", "get pods", "delete pods"}),
		Needs:  []Ability{Containers}, Takes: 3 * time.Minute, Run: webUninterrupted,
	},
	{
		Name: "scaled-up", Level: Touches, Promise: "Load adds pods to web, as measured.",
		Disturbs: "web is busy for minutes, and keeps the pods that were added for five minutes more",
		Makes:    "a probe that asks web as fast as it can, without a line in its log",
		Access:   slices.Concat(probeAccess, []string{"get deployments", "get services", "get horizontalpodautoscalers"}),
		Takes:    4 * time.Minute, Run: scaledUp,
	},
	{
		Name: "dns", Level: Touches, Promise: "A pod finds names of the cluster, of AWS and of the domain.",
		Makes: "a probe", Access: probeAccess, Needs: []Ability{Containers}, Takes: 30 * time.Second, Run: dns,
	},
	{
		Name: "ports", Level: Touches, Promise: "A pod reaches web's port and, if it logs, the domain, and nothing else.",
		Makes:  "a probe as a neighbour, and one with the network policies of a pod that logs",
		Access: slices.Concat(probeAccess, []string{"get services", "get deployments"}),
		Needs:  []Ability{Containers}, Takes: 2 * time.Minute, Run: ports,
	},
	{
		Name: "metadata", Level: Touches, Promise: "No pod gets anything from its node's instance metadata.",
		Makes: "a probe, and a network policy that opens the metadata's address to it", Needs: []Ability{Containers},
		Access: slices.Concat(probeAccess, []string{"create networkpolicies", "delete networkpolicies"}),
		Takes:  2 * time.Minute, Run: metadata,
	},
	{
		Name: "volume-kept", Level: Touches, Promise: "A volume of the default class keeps what is written when its pod is replaced in its zone.",
		Makes: "a claim of 1 GiB and two probes, one after the other",
		Access: slices.Concat(probeAccess, []string{
			"create persistentvolumeclaims", "get persistentvolumeclaims", "delete persistentvolumeclaims", "get nodes",
		}),
		Needs: []Ability{Containers}, Takes: 2 * time.Minute, Run: volumeKept,
	},
	{
		Name: "rotation", Level: Touches, Promise: "A full log file of nginx is renamed, and nginx goes on in a new one.",
		Disturbs: "one pod of web writes a full log file, which goes to the domain", Makes: "a probe",
		Access: slices.Concat(probeAccess, []string{"get deployments", "get pods"}),
		Needs:  []Ability{Containers}, Takes: 2 * time.Minute, Run: rotation,
	},
	{
		Name: "line-found", Level: Touches, Promise: "A line that web writes is found in the domain.",
		Disturbs: "web writes one line", Makes: "a probe", Needs: []Ability{Containers},
		Access: slices.Concat(probeAccess, []string{"get services", "get deployments", "create pods/portforward"}),
		Takes:  2 * time.Minute, Run: lineFound,
	},
	{
		Name: "lines-expire", Level: Reads, Promise: "The domain has no line that is older than the retention.",
		Access: []string{"list pods", "create pods/portforward"},
		Needs:  []Ability{Containers}, Takes: 10 * time.Second, Run: linesExpire,
	},
}

// web is the Deployment that heals itself.
type web struct{ *Stack }

func (w web) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	d, err := w.Kubernetes.AppsV1().Deployments(w.Settings.Workloads.Namespace).Get(ctx, config.WebName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("deployment %s: %w", config.WebName, err)
	}
	return d, nil
}

// pods are those that serve: Ready, and not about to end.
func (w web) pods(ctx context.Context) ([]corev1.Pod, error) {
	d, err := w.deployment(ctx)
	if err != nil {
		return nil, err
	}
	of := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)}
	list, err := w.Kubernetes.CoreV1().Pods(d.Namespace).List(ctx, of)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !takesRequests(p) }), nil
}

// takesRequests tells whether a pod takes requests and goes on to.
func takesRequests(p corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// whole is an error while web has fewer pods than it wants.
func (w web) whole(ctx context.Context) error {
	d, err := w.deployment(ctx)
	if err != nil {
		return err
	}
	if want := ptr.Deref(d.Spec.Replicas, 1); d.Status.AvailableReplicas < want || d.Status.ObservedGeneration < d.Generation {
		return failure(w.objects(), "web has %s, expected %d", plural(int(d.Status.AvailableReplicas), "available pod"), want)
	}
	return nil
}

func (w web) objects() []Object {
	return []Object{{"Deployment", w.Settings.Workloads.Namespace, config.WebName}}
}

// address is HOST:PORT of web's Service in its namespace, and health the address of the path that nginx does not log.
func (w web) address(ctx context.Context) (address, health string, err error) {
	d, err := w.deployment(ctx)
	if err != nil {
		return "", "", err
	}
	service, err := w.Kubernetes.CoreV1().Services(d.Namespace).Get(ctx, config.WebName, metav1.GetOptions{})
	if err != nil {
		return "", "", fmt.Errorf("service %s: %w", config.WebName, err)
	}
	if len(service.Spec.Ports) == 0 {
		return "", "", failure(w.objects(), "service %s has no port", config.WebName)
	}
	address = fmt.Sprintf("%s:%d", service.Name, service.Spec.Ports[0].Port)
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.ReadinessProbe != nil && c.ReadinessProbe.HTTPGet != nil {
			return address, "http://" + address + c.ReadinessProbe.HTTPGet.Path, nil
		}
	}
	return "", "", failure(w.objects(), "deployment %s has no readiness probe by HTTP", config.WebName)
}

// replace deletes a pod of web and waits for its successor.
func (w web) replace(ctx context.Context) (victim corev1.Pod, took time.Duration, err error) {
	before, err := w.pods(ctx)
	if err != nil {
		return victim, 0, err
	}
	if len(before) == 0 {
		return victim, 0, failure(w.objects(), "web has no pod that serves")
	}
	known := map[types.UID]bool{}
	for _, p := range before {
		known[p.UID] = true
	}
	victim = before[0]
	start := time.Now()
	if err := w.Kubernetes.CoreV1().Pods(victim.Namespace).Delete(ctx, victim.Name, metav1.DeleteOptions{
		Preconditions: metav1.NewUIDPreconditions(string(victim.UID)),
	}); err != nil {
		return victim, 0, fmt.Errorf("pod %s: %w", victim.Name, err)
	}
	err = w.until(ctx, func(ctx context.Context) error {
		after, err := w.pods(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(after, func(p corev1.Pod) bool { return !known[p.UID] }) {
			return failure(w.objects(), "pod %s is deleted, and web has no new pod that serves", victim.Name)
		}
		return w.whole(ctx)
	})
	return victim, time.Since(start), err
}

func webReplaced(ctx context.Context, s *Stack, _ *Work) (string, error) {
	victim, took, err := web{s}.replace(ctx)
	return fmt.Sprintf("%s has a successor after %.1f s", victim.Name, took.Seconds()), err
}

// client is a probe that asks web all the time.
type client struct {
	*started
	saw struct {
		Requests int    `json:"requests"`
		Failed   int    `json:"failed"`
		First    string `json:"first"`
	}
}

// enough is how many requests a client makes before and after what it watches.
const enough = 10

// client starts one, and waits until its requests are answered.
func (w *Work) client(ctx context.Context, off string) (*client, error) {
	_, health, err := web{w.stack}.address(ctx)
	if err != nil {
		return nil, err
	}
	r, err := w.start(ctx, probe{name: "client", env: map[string]string{"URL": health}, off: off})
	if err != nil {
		return nil, err
	}
	c := &client{started: r}
	return c, c.goOn(ctx)
}

// goOn waits until it has made enough more requests. It is an error if one has failed.
func (c *client) goOn(ctx context.Context) error {
	pod, err := c.tells(ctx, &c.saw)
	from := c.saw.Requests
	if err != nil {
		return err
	}
	err = c.stack.until(ctx, func(ctx context.Context) error {
		if pod, err = c.said(ctx, &c.saw); err == nil && c.saw.Requests < from+enough {
			err = fmt.Errorf("after %s", plural(c.saw.Requests, "request"))
		}
		return err
	})
	if c.saw.Failed > 0 {
		return failure([]Object{{"Pod", pod.Namespace, pod.Name}}, "%d of %s to web failed, the first with %s",
			c.saw.Failed, plural(c.saw.Requests, "request"), c.saw.First)
	}
	if err != nil && !unseen(err) {
		err = notSeen("probe %s makes no more requests: %v", c.name, err)
	}
	return err
}

func webUninterrupted(ctx context.Context, s *Stack, w *Work) (string, error) {
	c, err := w.client(ctx, "")
	if err != nil {
		return "", err
	}
	victim, _, err := web{s}.replace(ctx)
	if err != nil {
		return "", err
	}
	// It answers for a while after its end has begun.
	if err := s.gone(ctx, victim); err != nil {
		return "", err
	}
	if err := c.goOn(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s while %s ended, none failed", plural(c.saw.Requests, "request"), victim.Name), nil
}

// gone waits until a pod is no more.
func (s *Stack) gone(ctx context.Context, pod corev1.Pod) error {
	return s.until(ctx, func(ctx context.Context) error {
		got, err := s.Kubernetes.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case isGone(err), err == nil && got.UID != pod.UID:
			return nil
		case err != nil:
			return err
		}
		return failure(podObject(pod), "pod %s does not end", pod.Name)
	})
}

func scaledUp(ctx context.Context, s *Stack, w *Work) (string, error) {
	settings, namespace := s.Settings.Workloads.Web, s.Settings.Workloads.Namespace
	if settings.MinReplicas == settings.MaxReplicas {
		return "", notSeen("workloads.web has minReplicas and maxReplicas %d: nothing scales it", settings.MaxReplicas)
	}
	scalers := s.Kubernetes.AutoscalingV2().HorizontalPodAutoscalers(namespace)
	scaler := []Object{{"HorizontalPodAutoscaler", namespace, config.WebName}}
	full := fmt.Errorf("web has %d pods all the time, as many as workloads.web.maxReplicas allows", settings.MaxReplicas)
	var before int32
	if err := s.until(ctx, func(ctx context.Context) error {
		h, err := scalers.Get(ctx, config.WebName, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("autoscaler %s: %w", config.WebName, err)
		}
		if before = h.Status.CurrentReplicas; len(h.Status.CurrentMetrics) == 0 || h.Status.DesiredReplicas == 0 {
			return failure(scaler, "autoscaler %s has no metrics", h.Name)
		}
		if int(before) >= settings.MaxReplicas {
			return full // it comes down by itself, if nobody else puts load on it
		}
		return nil
	}); err == full {
		return "", notSeen("%v", err)
	} else if err != nil {
		return "", err
	}
	stop, err := w.load(ctx)
	if err != nil {
		return "", err
	}
	start, now := time.Now(), int32(0)
	err = s.until(ctx, func(ctx context.Context) error {
		d, err := web{s}.deployment(ctx)
		if err != nil {
			return err
		}
		if now = d.Status.AvailableReplicas; now <= before {
			return failure(slices.Concat(scaler, web{s}.objects()), "web has %d available pods under load, expected more than %d", now, before)
		}
		return nil
	})
	took := time.Since(start)
	if err != nil {
		// The autoscaler tolerates a tenth (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/).
		use, known := s.webUse(ctx)
		if aim := settings.TargetCPUPercent; known && use*10 <= aim*11 {
			err = notSeen("the load makes web use %d %% of its CPU, and workloads.web.targetCpuPercent %d takes more to add a pod",
				use, aim)
		}
	}
	if err := errors.Join(err, stop(ctx)); err != nil {
		return "", err
	}
	if int(now) > settings.MaxReplicas {
		return "", failure(scaler, "web has %d pods, expected at most %d", now, settings.MaxReplicas)
	}
	// It comes down after five minutes (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/, stabilization window),
	// which nothing waits for.
	stopped := time.Now()
	w.atEnd = func(ctx context.Context) string {
		d, err := web{s}.deployment(ctx)
		if err != nil {
			return ""
		}
		return fmt.Sprintf("; %d when the checks ended, %.0f s after the load", d.Status.Replicas, time.Since(stopped).Seconds())
	}
	return fmt.Sprintf("%d to %d pods in %.0f s", before, now, took.Seconds()), nil
}

// webUse is the CPU use of web that the autoscaler has measured, in percent of the request.
func (s *Stack) webUse(ctx context.Context) (int, bool) {
	scalers := s.Kubernetes.AutoscalingV2().HorizontalPodAutoscalers(s.Settings.Workloads.Namespace)
	h, err := scalers.Get(ctx, config.WebName, metav1.GetOptions{})
	if err != nil {
		return 0, false
	}
	for _, m := range h.Status.CurrentMetrics {
		if m.ContainerResource != nil && m.ContainerResource.Current.AverageUtilization != nil {
			return int(*m.ContainerResource.Current.AverageUtilization), true
		}
	}
	return 0, false
}

// loadClients keep the cores busy that their node has to spare. nginx takes about a quarter of what they take: on two cores it used a fifth
// of one and more, where three pods need that for the usual aim.
const loadClients = 4

// load puts load on web until it is stopped, or the check ends.
func (w *Work) load(ctx context.Context) (stop func(context.Context) error, err error) {
	if w.stack.Load != nil {
		if stop, err = w.stack.Load(ctx); err == nil {
			w.later("load", stop)
		}
		return stop, err
	}
	if why := w.stack.missing([]Ability{Containers}); why != "" {
		return nil, notSeen("%s", why)
	}
	_, health, err := web{w.stack}.address(ctx)
	if err != nil {
		return nil, err
	}
	r, err := w.start(ctx, probe{name: "load", env: map[string]string{"URL": health, "CLIENTS": fmt.Sprint(loadClients)}})
	if err != nil {
		return nil, err
	}
	var began struct{ Clients int }
	_, err = r.tells(ctx, &began)
	return func(context.Context) error { return nil }, err // it goes when the check ends
}
