package verify_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/opensearch"
	"expense/rehearsal/internal/opensearchtest"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// A real OpenSearch has the lines, and the search of the dashboards before it finds them.
func TestLines(t *testing.T) {
	w := newWorld(t)
	archives := filepath.Join(filepath.Dir(w.stage.Tools), "opensearch")
	if reason := opensearch.Missing(archives); reason != "" {
		t.Skip(reason)
	}
	node, err := opensearch.Start(t.Context(), archives)
	require.NoError(t, err)
	t.Cleanup(node.Stop)
	const master = "arn:aws:iam::111122223333:role/master"
	domain, err := opensearchtest.New(node, master)
	require.NoError(t, err)
	t.Cleanup(domain.Close)
	domain.Open()
	stream := w.Settings.Logging.DataStream
	do := func(method, path, body string) {
		code, answer, err := node.Do(opensearch.Admin, method, path, []byte(body))
		require.NoError(t, err)
		require.Less(t, code, 300, "%s", answer)
	}
	keep := func(path, container string, status int, at time.Time) {
		do("POST", "/"+stream+"/_doc?refresh=true", fmt.Sprintf(`{"@timestamp": %q, "path": %q, "container": %q, "status": %d}`,
			at.UTC().Format(time.RFC3339Nano), path, container, status))
	}
	empty := func() {
		code, _, err := node.Do(opensearch.Admin, "DELETE", "/"+stream, nil)
		require.NoError(t, err)
		require.Contains(t, []int{200, 404}, code)
		// The types of config.DocumentFields.
		do("PUT", "/"+stream, `{"mappings": {"properties": {"@timestamp": {"type": "date"}, "path": {"type": "keyword"},
			"container": {"type": "keyword"}, "status": {"type": "short"}}}}`)
	}
	// As the proxy: it signs each request.
	proxy := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		code, answer, err := domain.Send(master, r.Method, r.URL.Path, r.Header, body)
		if err != nil {
			code = http.StatusBadGateway
		}
		w.WriteHeader(code)
		_, _ = w.Write(answer)
	})
	with := func(web http.HandlerFunc) (*kubelet, *verify.Stack) {
		k := &kubelet{t: t, w: w}
		if web != nil {
			at := answering(t, web)
			k.reach = func(*corev1.Pod) map[string]string { return map[string]string{"web:8080": at} }
		}
		s := k.stack()
		s.Forward = func(_ context.Context, pod *corev1.Pod, port int) (string, func(), error) {
			assert.True(t, strings.HasPrefix(pod.Name, "dashboards-"))
			assert.Equal(t, 8080, port)
			return "http://" + proxy, func() {}, nil
		}
		return k, s
	}

	ships := func(container string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			if container != "" {
				keep(r.URL.Path, container, status, time.Now())
			}
		}
	}
	for name, c := range map[string]struct {
		web  http.HandlerFunc
		want want
	}{
		"right":             {ships("web", 404), want{verify.OK, "found "}},
		"never shipped":     {ships("", 0), want{verify.Failed, "no line of it is in " + stream}},
		"of another":        {ships("nginx", 404), want{verify.Failed, `of container "nginx"`}},
		"web does not talk": {nil, want{verify.Unseen, "does not reach web"}},
	} {
		t.Run("line-found, "+name, func(t *testing.T) {
			empty()
			keep("/", "web", 200, time.Now())
			k, s := with(c.web)
			if name != "right" {
				s.Patience = 8 * time.Second
			}
			c.want.of(t, k.judge(s, "line-found"))
		})
	}
	day := 24 * time.Hour
	kept := time.Duration(w.Settings.Logging.RetentionDays) * day
	for name, c := range map[string]struct {
		age  time.Duration
		want want
	}{
		"nothing had to go": {time.Hour, want{verify.OK, "none goes before"}},
		"right":             {kept + day/2, want{verify.OK, "the oldest line is "}},
		"too old":           {kept + 3*day, want{verify.Failed, "days old, expected at most"}},
		"no line":           {0, want{verify.Unseen, "has no line yet"}},
	} {
		t.Run("lines-expire, "+name, func(t *testing.T) {
			empty()
			if c.age > 0 {
				keep("/", "web", 200, time.Now())
				keep("/", "web", 200, time.Now().Add(-c.age))
			}
			k, s := with(nil)
			c.want.of(t, k.judge(s, "lines-expire"))
		})
	}
	t.Run("without dashboards nothing is seen", func(t *testing.T) {
		k, s := with(nil)
		settings := *s.Settings
		settings.Logging.Dashboards.Enabled = false
		s.Settings = &settings
		want{verify.Unseen, "logging.dashboards.enabled is false"}.of(t, k.judge(s, "line-found"))
	})
}
