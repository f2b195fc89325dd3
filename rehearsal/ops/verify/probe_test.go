package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"expense/rehearsal/internal/port"
	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// kubelet runs the containers of probes on this machine: their command, with their script from the cluster. The rehearsal's nodes run
// none. What a container would connect to is mapped to what listens here, and everything else to nothing.
type kubelet struct {
	t *testing.T
	w *world
	// reach maps HOST:PORT to an address here, for a pod. "" is no name.
	reach func(pod *corev1.Pod) map[string]string
	// folders are the volumes, by claim. fresh gives each pod another one.
	fresh bool
	// logs are those of containers that are no probes.
	logs func(pod *corev1.Pod) []byte

	mu      sync.Mutex
	output  map[types.UID]*output
	folders map[string]string
}

// output may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}

// stack is the world's with containers.
func (k *kubelet) stack() *verify.Stack {
	if _, err := exec.LookPath("curl"); err != nil {
		k.t.Skip("curl is not on PATH")
	}
	k.output, k.folders = map[types.UID]*output{}, map[string]string{}
	with := *k.w.Stack
	with.Lacks = maps.Clone(with.Lacks)
	delete(with.Lacks, verify.Containers)
	with.Log = k.log
	return &with
}

func (k *kubelet) log(ctx context.Context, pod *corev1.Pod, _ *corev1.PodLogOptions) ([]byte, error) {
	if pod.Labels[verify.RunLabel] == "" {
		return k.logs(pod), nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	out, runs := k.output[pod.UID]
	if !runs {
		out = &output{}
		k.output[pod.UID] = out
		if err := k.run(ctx, pod, out); err != nil {
			return nil, err
		}
	}
	return out.bytes(), nil
}

func (k *kubelet) run(ctx context.Context, pod *corev1.Pod, out *output) error {
	dir := k.t.TempDir()
	container := pod.Spec.Containers[0]
	env := []string{"PATH=" + os.Getenv("PATH"), "CURL_HOME=" + dir, "SETTLE_SECONDS=0", "PATIENCE_SECONDS=1", "WARM_SECONDS=0"}
	paths := map[string]string{}
	for i, mount := range container.VolumeMounts {
		at := filepath.Join(dir, mount.Name)
		switch source := pod.Spec.Volumes[i]; {
		case source.ConfigMap != nil:
			config, err := k.w.Kubernetes.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, source.ConfigMap.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for name, text := range config.Data {
				if err := os.MkdirAll(at, 0o700); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
		case source.PersistentVolumeClaim != nil:
			claim := source.PersistentVolumeClaim.ClaimName
			if k.fresh {
				claim = pod.Name
			}
			if k.folders[claim] == "" {
				k.folders[claim] = k.t.TempDir()
			}
			at = k.folders[claim]
		}
		paths[mount.MountPath] = at
	}
	for _, e := range container.Env {
		value := strings.ReplaceAll(e.Value, "$$", "$")
		if at, is := paths[value]; is {
			value = at
		}
		env = append(env, e.Name+"="+value)
	}
	command := slices.Clone(container.Command)
	for path, at := range paths {
		for i, word := range command {
			if rest, below := strings.CutPrefix(word, path+"/"); below {
				command[i] = filepath.Join(at, rest)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte(k.curlrc(pod)), 0o600); err != nil {
		return err
	}
	c := exec.Command(command[0], command[1:]...)
	c.Env, c.Stdout, c.Stderr, c.WaitDelay = env, out, out, time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	k.t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL); <-ended })
	return nil
}

// curlrc is how curl finds what it looks for.
func (k *kubelet) curlrc(pod *corev1.Pod) string {
	var out strings.Builder
	if k.reach != nil {
		for from, to := range k.reach(pod) {
			if to == "" {
				to = "nowhere.invalid:9" // RFC 6761: no resolver knows it
			}
			fmt.Fprintf(&out, "connect-to = %q\n", from+":"+to)
		}
	}
	out.WriteString("connect-to = \"::127.0.0.1:1\"\nnoproxy = \"*\"\n") // nothing listens there
	return out.String()
}

// judge runs one check.
func (k *kubelet) judge(s *verify.Stack, name string) verify.Result {
	report := verify.Run(k.t.Context(), s, verify.Checks(), verify.Options{Level: verify.Breaks, Only: []string{name}})
	require.Len(k.t, report.Results, 1)
	pods := k.w.Kubernetes.CoreV1().Pods(k.w.Settings.Workloads.Namespace)
	left, err := pods.List(k.t.Context(), metav1.ListOptions{LabelSelector: verify.RunLabel})
	require.NoError(k.t, err)
	assert.Empty(k.t, left.Items, "the run left pods")
	k.t.Log(name, report.Results[0].Verdict, report.Results[0].Seen, report.Results[0].Took)
	return report.Results[0]
}

// answering is the address of a server here.
func answering(t *testing.T, handle http.HandlerFunc) string {
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func saying(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// want is how a check comes out, and a part of what it says.
type want struct {
	verdict verify.Verdict
	says    string
}

func (w want) of(t *testing.T, r verify.Result) {
	t.Helper()
	assert.Equal(t, w.verdict, r.Verdict, "%s\n%s", r.Seen, r.Shown)
	assert.Contains(t, r.Seen, w.says)
}

func (w *world) endpoint(t *testing.T) string {
	for _, r := range w.State.Resources {
		if r.Type == "aws:opensearch/domain:Domain" {
			return r.Outputs["endpoint"].(string)
		}
	}
	require.Fail(t, "no domain")
	return ""
}

func TestDNS(t *testing.T) {
	w := newWorld(t)
	some := answering(t, saying(200))
	names := func(without string) map[string]string {
		out := map[string]string{}
		for _, name := range []string{"kubernetes.default.svc", "web", "sts.us-east-1.amazonaws.com", w.endpoint(t)} {
			out[name+":9"] = some
		}
		if without != "" {
			out[without+":9"] = ""
		}
		return out
	}
	for without, wants := range map[string]want{
		"":                            {verify.OK, "4 names"},
		"sts.us-east-1.amazonaws.com": {verify.Failed, "no address of sts.us-east-1.amazonaws.com"},
		"web":                         {verify.Failed, "no address of web"},
	} {
		k := &kubelet{t: t, w: w, reach: func(*corev1.Pod) map[string]string { return names(without) }}
		wants.of(t, k.judge(k.stack(), "dns"))
	}
}

func TestPorts(t *testing.T) {
	w := newWorld(t)
	open := answering(t, saying(200))
	domain := w.endpoint(t) + ":443"
	ips := func(t *testing.T) (out []string) {
		list, err := w.Kubernetes.CoreV1().Pods(w.Settings.Workloads.Namespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/name=web",
		})
		require.NoError(t, err)
		for _, p := range list.Items {
			out = append(out, p.Status.PodIP+":24231")
		}
		return out
	}
	for name, c := range map[string]struct {
		change func(ships bool, m map[string]string)
		want   want
	}{
		"right": {func(bool, map[string]string) {}, want{verify.OK, "as it should be"}},
		"web closed": {func(ships bool, m map[string]string) { delete(m, "web:8080") },
			want{verify.Failed, "web:8080 is closed, expected open"}},
		"domain closed to a pod that logs": {func(ships bool, m map[string]string) { delete(m, domain) },
			want{verify.Failed, "from a pod with the network policies of nginx"}},
		"domain open to any": {func(ships bool, m map[string]string) { m[domain] = open },
			want{verify.Failed, "from a pod that is no workload"}},
		"a sidecar's port open": {func(ships bool, m map[string]string) {
			for _, ip := range ips(t) {
				m[ip] = open
			}
		}, want{verify.Failed, ":24231 is open, expected closed"}},
		"the internet open": {func(ships bool, m map[string]string) { m["checkip.amazonaws.com:443"] = open },
			want{verify.Failed, "checkip.amazonaws.com:443 is open"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kubelet{t: t, w: w, reach: func(pod *corev1.Pod) map[string]string {
				m := map[string]string{"web:8080": open}
				ships := pod.Labels["app.kubernetes.io/name"] == "nginx"
				if ships {
					m[domain] = open
				}
				c.change(ships, m)
				return m
			}}
			c.want.of(t, k.judge(k.stack(), "ports"))
		})
	}
}

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	domain, web := w.endpoint(t)+":443", answering(t, saying(200))
	asks := answering(t, saying(401)) // IMDSv2 refuses a request without a token
	gives := answering(t, saying(200))
	token := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" {
			w.WriteHeader(401)
		}
	})
	for name, c := range map[string]struct {
		reach map[string]string
		want  want
	}{
		"out of reach":    {map[string]string{domain: web}, want{verify.OK, "nothing from http://169.254.169.254"}},
		"asks for tokens": {map[string]string{domain: web, "169.254.169.254:80": asks}, want{verify.OK, "nothing"}},
		"gives a token":   {map[string]string{domain: web, "169.254.169.254:80": token}, want{verify.Failed, "gives a token"}},
		"gives all":       {map[string]string{domain: web, "169.254.169.254:80": gives}, want{verify.Failed, "metadata without a token"}},
		"gives by IPv6":   {map[string]string{domain: web, "[fd00:ec2::254]:80": token}, want{verify.Failed, "fd00:ec2::254] gives a token"}},
		"no network":      {nil, want{verify.Unseen, "does not reach the domain"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kubelet{t: t, w: w, reach: func(*corev1.Pod) map[string]string { return c.reach }}
			c.want.of(t, k.judge(k.stack(), "metadata"))
		})
	}
}

func TestVolumeKept(t *testing.T) {
	w := newWorld(t)
	for fresh, wants := range map[bool]want{
		false: {verify.OK, "read on node"},
		true:  {verify.Failed, `found "" in the volume of claim`},
	} {
		k := &kubelet{t: t, w: w, fresh: fresh}
		wants.of(t, k.judge(k.stack(), "volume-kept"))
	}
	claims, err := w.Kubernetes.CoreV1().PersistentVolumeClaims(w.Settings.Workloads.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, claims.Items, 1, "a claim is left")
}

func TestWebUninterrupted(t *testing.T) {
	w := newWorld(t)
	for failsAt, wants := range map[int]want{
		0:  {verify.OK, "none failed"},
		13: {verify.Failed, "the first with status 503"},
	} {
		var mu sync.Mutex
		requests := 0
		web := answering(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if requests++; r.URL.Path != "/healthz" || requests == failsAt {
				w.WriteHeader(503)
			}
		})
		k := &kubelet{t: t, w: w, reach: func(*corev1.Pod) map[string]string { return map[string]string{"web:8080": web} }}
		wants.of(t, k.judge(k.stack(), "web-uninterrupted"))
	}
}

// With containers a drain has a client, and a request that fails makes it fail.
func TestADrainIsWatchedByAClient(t *testing.T) {
	w := newWorld(t)
	for failsAt, wants := range map[int]want{
		0:  {verify.OK, "meanwhile, none failed"},
		13: {verify.Failed, "the first with status 503"},
	} {
		webIsSettled(t, w)
		var mu sync.Mutex
		requests := 0
		web := answering(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if requests++; requests == failsAt {
				w.WriteHeader(503)
			}
		})
		k := &kubelet{t: t, w: w, reach: func(*corev1.Pod) map[string]string { return map[string]string{"web:8080": web} }}
		wants.of(t, k.judge(k.stack(), "node-drained"))
	}
}

// A probe that gives no line has seen nothing, and that is no failure.
func TestAProbeThatDoesNotRunSeesNothing(t *testing.T) {
	w := newWorld(t)
	k := &kubelet{t: t, w: w}
	s := k.stack()
	s.Log = func(context.Context, *corev1.Pod, *corev1.PodLogOptions) ([]byte, error) {
		return []byte("sh: not found"), nil
	}
	s.Patience = 2 * time.Second
	for _, c := range verify.Checks() {
		if c.Level == verify.Touches && slices.Contains(c.Needs, verify.Containers) && c.Name != "lines-expire" && c.Name != "line-found" {
			want{verify.Unseen, "not found"}.of(t, k.judge(s, c.Name))
		}
	}
}

// nginxHere is the real one with the program's configuration, on a port here. Its output is the container's log.
func nginxHere(t *testing.T, rotates bool, maxBytes string) (address string, out *output) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not on PATH")
	}
	dir, err := os.MkdirTemp("", "nginx")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, sub := range []string{"tmp", "logs", "html"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "html", "index.html"), []byte("hello"), 0o600))
	files := filepath.Join("..", "..", "..", "workloads", "files")
	text, err := os.ReadFile(filepath.Join(files, "nginx.conf"))
	require.NoError(t, err)
	own, err := port.Keep()
	require.NoError(t, err)
	t.Cleanup(own.Close)
	address = own.Address
	config := strings.NewReplacer("/tmp/", dir+"/tmp/", "/var/log/app/", dir+"/logs/", "/usr/share/nginx/html", dir+"/html",
		"listen 8080;", "listen "+address+";").Replace(string(text))
	if os.Geteuid() == 0 {
		config = "user root;\n" + config
	}
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	command := []string{"nginx", "-c", path, "-g", "daemon off;"}
	if rotates {
		command = append([]string{"sh", filepath.Join(files, "rotate-logs.sh")}, command...)
	}
	out = &output{}
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), "LOG_DIR="+filepath.Join(dir, "logs"), "LOG_MAX_BYTES="+maxBytes, "LOG_GENERATIONS=3",
		"LOG_CHECK_SECONDS=0.1", "NGINX_PID_FILE="+filepath.Join(dir, "tmp", "nginx.pid"))
	// Pipes: a file would be opened again as /dev/stdout.
	c.Stdout, c.Stderr, c.WaitDelay = out, out, time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	own.Lend()
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL); _ = c.Wait() })
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", address)
		return err == nil && connection.Close() == nil
	}, time.Minute, 10*time.Millisecond, "%s", out.bytes())
	return address, out
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	list, err := w.Kubernetes.CoreV1().Pods(w.Settings.Workloads.Namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=web",
	})
	require.NoError(t, err)
	var size string
	for _, e := range list.Items[0].Spec.Containers[0].Env {
		if e.Name == "LOG_MAX_BYTES" {
			size = e.Value
		}
	}
	for rotates, wants := range map[bool]want{
		true:  {verify.OK, "opened a new file after " + size},
		false: {verify.Failed, "the full file was not renamed"},
	} {
		web, out := nginxHere(t, rotates, size)
		k := &kubelet{t: t, w: w, logs: func(*corev1.Pod) []byte { return out.bytes() }}
		k.reach = func(*corev1.Pod) map[string]string { return map[string]string{":8080": web} }
		s := k.stack()
		if !rotates {
			s.Patience = 15 * time.Second
		}
		wants.of(t, k.judge(s, "rotation"))
	}
}
