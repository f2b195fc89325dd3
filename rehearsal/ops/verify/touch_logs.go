package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"expense/internal/config"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/utils/ptr"
)

// fillLine is the least that one of the probe's requests adds to the log, see files/fill.sh.
const fillLine = 14000

// reopened is what nginx says after it was told of the renamed file
// (https://github.com/nginx/nginx/blob/master/src/os/unix/ngx_process_cycle.c).
const reopened = "reopening logs"

// rotation fills the log of one pod of web, and waits until its nginx says that it opened a new file.
func rotation(ctx context.Context, s *Stack, w *Work) (string, error) {
	pods, err := web{s}.pods(ctx)
	if err != nil {
		return "", err
	}
	if len(pods) == 0 {
		return "", failure(web{s}.objects(), "web has no pod that serves")
	}
	pod := pods[0]
	server, size, err := rotating(pod)
	if err != nil {
		return "", err
	}
	began := metav1.NewTime(s.now())
	var filled struct{ Failed *int }
	_, err = w.asked(ctx, probe{name: "fill", env: map[string]string{
		"URL": fmt.Sprintf("http://%s:%d/", pod.Status.PodIP, server.Ports[0].ContainerPort), "COUNT": fmt.Sprint(size/fillLine + 1),
	}}, &filled)
	if err != nil {
		return "", err
	}
	if filled.Failed == nil {
		return "", notSeen("the probe does not reach pod %s: the network policies may not know it yet", pod.Name)
	}
	if *filled.Failed != 0 {
		return "", failure(podObject(pod), "a request to pod %s failed while its log was filled: curl ended with %d", pod.Name, *filled.Failed)
	}
	if err := s.until(ctx, func(ctx context.Context) error {
		text, err := s.log(ctx, &pod, &corev1.PodLogOptions{
			Container: server.Name, SinceTime: &began, TailLines: ptr.To(int64(5000)), LimitBytes: ptr.To(int64(4 << 20)),
		})
		if err != nil {
			return fmt.Errorf("log of pod %s: %w", pod.Name, err)
		}
		if !strings.Contains(string(text), reopened) {
			return failure(podObject(pod), "pod %s has got %d bytes of log lines, and its nginx does not say %q: the full file was not renamed",
				pod.Name, size, reopened)
		}
		return nil
	}); err != nil {
		return "", err
	}
	after, err := s.Kubernetes.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err == nil && !takesRequests(*after) {
		err = failure(podObject(pod), "pod %s does not serve after its log was renamed", pod.Name)
	}
	return fmt.Sprintf("nginx of %s opened a new file after %d bytes", pod.Name, size), err
}

// rotating is the container that rotates its logs, and at which size.
func rotating(pod corev1.Pod) (corev1.Container, int, error) {
	for _, c := range pod.Spec.Containers {
		for _, e := range c.Env {
			if size, err := strconv.Atoi(e.Value); e.Name == "LOG_MAX_BYTES" && err == nil && len(c.Ports) > 0 {
				return c, size, nil
			}
		}
	}
	return corev1.Container{}, 0, failure(podObject(pod), "pod %s has no container with a port and LOG_MAX_BYTES, the size of its log files",
		pod.Name)
}

func lineFound(ctx context.Context, s *Stack, w *Work) (string, error) {
	d, err := s.dashboards(ctx)
	if err != nil {
		return "", err
	}
	defer d.stop()
	address, _, err := web{s}.address(ctx)
	if err != nil {
		return "", err
	}
	path := "/verify-" + w.ID
	var answer struct{ Status string }
	asks, err := w.start(ctx, probe{name: "request", env: map[string]string{"URL": "http://" + address + path}})
	if err != nil {
		return "", err
	}
	if _, err := asks.tells(ctx, &answer); err != nil {
		return "", err
	}
	if answer.Status == "" || answer.Status == "000" {
		return "", notSeen("the probe does not reach web: the network policies may not know it yet")
	}
	start := time.Now()
	query := map[string]any{"query": map[string]any{"term": map[string]any{"path": path}}}
	var hits []hit
	err = s.until(ctx, func(ctx context.Context) error {
		found, err := d.search(ctx, query)
		if err != nil {
			return err
		}
		if hits = found.Hits; len(hits) == 0 {
			return failure(web{s}.objects(), "%.0f s after web answered a request for %s, no line of it is in %s",
				time.Since(start).Seconds(), path, s.Settings.Logging.DataStream)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	took := time.Since(start)
	if got := hits[0].Source; got.Container != config.WebName || fmt.Sprint(got.Status) != answer.Status {
		return "", failure(web{s}.objects(), "the line of %s is of container %q with status %d, expected %q and %s",
			path, got.Container, got.Status, config.WebName, answer.Status)
	}
	return fmt.Sprintf("found %.1f s after web's answer was known", took.Seconds()), nil
}

// A line is kept for up to a day more than the retention (docs/logging.md), and the policy's job looks now and then
// (https://docs.opensearch.org/latest/im-plugin/ism/settings/, job_interval: 5 minutes).
const retentionSlack = 26 * time.Hour

func linesExpire(ctx context.Context, s *Stack, _ *Work) (string, error) {
	d, err := s.dashboards(ctx)
	if err != nil {
		return "", err
	}
	defer d.stop()
	found, err := d.search(ctx, map[string]any{"size": 1, "sort": []any{map[string]any{"@timestamp": "asc"}}})
	if err != nil {
		return "", err
	}
	if len(found.Hits) == 0 {
		return "", notSeen("data stream %s has no line yet", s.Settings.Logging.DataStream)
	}
	age := s.now().Sub(found.Hits[0].Source.Time)
	keeps := time.Duration(s.Settings.Logging.RetentionDays) * 24 * time.Hour
	switch days := age.Hours() / 24; {
	case age > keeps+retentionSlack:
		return "", fmt.Errorf("the oldest line of %s is %.1f days old, expected at most %d and one more: "+
			"GET _plugins/_ism/explain/%[1]s says why the indices stay", s.Settings.Logging.DataStream, days, s.Settings.Logging.RetentionDays)
	case age < keeps:
		return fmt.Sprintf("the oldest line is %.1f days old, and none goes before %d days", days, s.Settings.Logging.RetentionDays), nil
	default:
		return fmt.Sprintf("the oldest line is %.1f days old", days), nil
	}
}

// dashboardsName is that of the proxy that signs requests to the domain, see logging/dashboards.go.
const dashboardsName = "dashboards"

// dashboards is the way of a person to the domain.
type dashboards struct {
	address string
	stream  string
	stop    func()
}

// dashboards opens the way through the proxy: the domain is in the VPC and takes signed requests only.
func (s *Stack) dashboards(ctx context.Context) (*dashboards, error) {
	if !s.Settings.Logging.Dashboards.Enabled {
		return nil, notSeen("the way to the domain is the dashboards' proxy, and logging.dashboards.enabled is false")
	}
	of := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + dashboardsName}
	list, err := s.Kubernetes.CoreV1().Pods(config.LoggingNamespace).List(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, pod := range list.Items {
		if !takesRequests(pod) {
			continue
		}
		address, stop, err := s.forward(ctx, &pod, int(pod.Spec.Containers[0].Ports[0].ContainerPort))
		if err != nil {
			return nil, fmt.Errorf("port of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		return &dashboards{address, s.Settings.Logging.DataStream, stop}, nil
	}
	return nil, failure([]Object{{"Deployment", config.LoggingNamespace, dashboardsName}}, "deployment %s/%s has no pod that serves",
		config.LoggingNamespace, dashboardsName)
}

// forward is `kubectl port-forward`. The kubelet connects inside of the pod, where no network policy applies.
func (s *Stack) forward(ctx context.Context, pod *corev1.Pod, port int) (string, func(), error) {
	if s.Forward != nil {
		return s.Forward(ctx, pod, port)
	}
	transport, upgrader, err := spdy.RoundTripperFor(s.REST)
	if err != nil {
		return "", nil, err
	}
	url := s.Kubernetes.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ports := []string{fmt.Sprintf("0:%d", port)}
	f, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, ports, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return "", nil, err
	}
	go func() { ended <- f.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return "", nil, errors.Join(err, ctx.Err())
	case <-ctx.Done():
		close(stop)
		return "", nil, ctx.Err()
	}
	at, err := f.GetPorts()
	if err != nil {
		close(stop)
		return "", nil, err
	}
	return fmt.Sprintf("http://127.0.0.1:%d", at[0].Local), func() { close(stop) }, nil
}

type hit struct {
	Source struct {
		Container string    `json:"container"`
		Status    int       `json:"status"`
		Time      time.Time `json:"@timestamp"`
	} `json:"_source"`
}

type found struct {
	Hits []hit `json:"hits"`
}

// search is the search of a browser in OpenSearch Dashboards
// (https://github.com/opensearch-project/OpenSearch-Dashboards/tree/main/src/plugins/data/server/search/routes). The proxy's role may do no
// more.
func (d *dashboards) search(ctx context.Context, query map[string]any) (found, error) {
	body, err := json.Marshal(map[string]any{"params": map[string]any{"index": d.stream, "body": query}})
	if err != nil {
		return found{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url := d.address + "/_dashboards/internal/search/opensearch"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return found{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("osd-xsrf", "true")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return found{}, fmt.Errorf("search through the dashboards: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return found{}, err
	}
	var answer struct {
		RawResponse struct{ Hits found } `json:"rawResponse"`
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil {
		return found{}, fmt.Errorf("search through the dashboards: %s %.300s", response.Status, text)
	}
	return answer.RawResponse.Hits, nil
}
