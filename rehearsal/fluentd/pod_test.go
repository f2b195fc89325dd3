package fluentd

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"expense/rehearsal/internal/port"
)

var play = flag.Bool("play", false, "have a real fluentd play the scenarios, for some twenty minutes")

// files is the folder of the sidecar's files.
const files = "../../logging/files"

// memoryLimit is the sidecar's, in bytes.
const memoryLimit = 384 << 20

// runner starts a fluentd on folders of this machine: a command without its environment.
type runner func(p *pod) *exec.Cmd

// findFluentd is a fluentd on PATH, or else the sidecar's image where docker runs.
func findFluentd() (runner, string) {
	if path, err := exec.LookPath("fluentd"); err == nil {
		return func(p *pod) *exec.Cmd {
			c := exec.Command(path, "-c", filepath.Join(p.etc, "fluent.conf"), "-p", filepath.Join(p.etc, "plugins"), "--no-supervisor")
			c.Env = os.Environ()
			for name, value := range p.env {
				c.Env = append(c.Env, name+"="+value)
			}
			return c
		}, path
	}
	docker, err := exec.LookPath("docker")
	if err != nil || exec.Command(docker, "info").Run() != nil {
		return nil, "found neither fluentd on PATH nor a docker that runs"
	}
	source, err := os.ReadFile("../../internal/config/load.go")
	image := string(regexp.MustCompile(`docker\.io/fluent/fluentd-kubernetes-daemonset:[\w.-]+`).Find(source))
	if err != nil || image == "" {
		return nil, "found no image of the sidecar in internal/config/load.go"
	}
	if out, err := exec.Command(docker, "pull", "--quiet", image).CombinedOutput(); err != nil {
		return nil, fmt.Sprintf("docker has no %s: %s", image, out)
	}
	return func(p *pod) *exec.Cmd {
		args := []string{
			"run", "--rm", "--name", p.container, "--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
			"--user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "--memory", strconv.Itoa(memoryLimit), "--tmpfs", "/tmp:mode=1777",
			"--volume", p.etc + ":/fluentd/etc:ro", "--volume", p.etc + "/plugins:/fluentd/plugins:ro", "--volume", p.root + ":" + p.root,
		}
		for name, value := range p.env {
			args = append(args, "--env", name+"="+value)
		}
		return exec.Command(docker, append(args, "--env", "FLUENTD_OPT=--no-supervisor", "--env", "FLUENTD_CONF=fluent.conf",
			"--env", "LD_PRELOAD=/usr/lib/libjemalloc.so.2", image)...)
	}, image
}

// pod is a pod's log folder with a sidecar.
type pod struct {
	t               *testing.T
	run             runner
	name            string
	root, logs, etc string
	address         string // of its metrics
	env             map[string]string
	container       string
	command         *exec.Cmd
	ended           chan struct{}
	said            *os.File
	largest         int // bytes of memory, of all its processes so far
	seconds         float64
}

// newPod has a log folder with empty files, CONTAINER/STREAM.log, and a sidecar that has not started.
func newPod(t *testing.T, d *domain, name string, logFiles ...string) *pod {
	root := t.TempDir()
	p := &pod{
		t:         t,
		run:       d.run,
		name:      name,
		root:      root,
		logs:      filepath.Join(root, "logs"),
		etc:       filepath.Join(root, "etc"),
		container: filepath.Base(filepath.Dir(root)) + "-" + name,
	}
	own, err := port.Keep()
	require.NoError(t, err)
	t.Cleanup(own.Close)
	own.Lend()
	p.address = own.Address
	for _, dir := range []string{p.etc + "/plugins", root + "/state", p.logs} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	for from, to := range map[string]string{
		"fluent.conf": "fluent.conf", "in_expense.rb": "plugins/in_expense.rb", "filter_expense.rb": "plugins/filter_expense.rb",
		"out_expense.rb": "plugins/out_expense.rb",
	} {
		data, err := os.ReadFile(filepath.Join(files, from))
		require.NoError(t, err)
		// Several sidecars share this machine's network.
		data = bytes.ReplaceAll(data, []byte("port 24231"), []byte("port "+strings.TrimPrefix(p.address, "127.0.0.1:")))
		require.NoError(t, os.WriteFile(filepath.Join(p.etc, to), data, 0o644))
	}
	names, err := json.Marshal(logFiles)
	require.NoError(t, err)
	for path, content := range map[string][]byte{"/ca.pem": d.server.CertificatePEM(), "/token": []byte("web identity")} {
		require.NoError(t, os.WriteFile(root+path, content, 0o644))
	}
	for _, file := range logFiles {
		p.write(file, "")
	}
	p.env = map[string]string{
		"LOG_DIR": p.logs, "LOG_FILES": string(names), "STATE_DIR": root + "/state", "BUFFER_BYTES": strconv.Itoa(128 << 20),
		"BYTES_PER_DAY": strconv.Itoa(1 << 30), "DATA_STREAM": stream,
		"OPENSEARCH_URL": d.server.URL, "AWS_REGION": region, "AWS_ROLE_ARN": writer, "AWS_WEB_IDENTITY_TOKEN_FILE": root + "/token",
		"AWS_ENDPOINT_URL_STS": d.sts.URL, "SSL_CERT_FILE": root + "/ca.pem", "CLUSTER_NAME": "expense", "POD_NAMESPACE": "project",
		"POD_NAME":  name,
		"NODE_NAME": "node-1", "NODE_ZONE": "us-east-1a", "LOG_FIELDS": "{}", "LOG_INDEXED_FIELDS": "{}", "LOG_DROP_LEVELS": "[]",
		"LOG_REDACT": "[]",
	}
	p.said, err = os.Create(root + "/said")
	require.NoError(t, err)
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		_ = p.said.Close()
	})
	return p
}

func (p *pod) path(file string) string { return filepath.Join(p.logs, file) }

// write adds to a file.
func (p *pod) write(file, text string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(filepath.Dir(p.path(file)), 0o755))
	out, err := os.OpenFile(p.path(file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(p.t, err)
	defer out.Close()
	_, err = out.WriteString(text)
	require.NoError(p.t, err)
}

// rotate renames a file as rotate-logs.sh does, and the next write makes a new one.
func (p *pod) rotate(file string) {
	p.t.Helper()
	for n := 3; n > 1; n-- {
		if err := os.Rename(fmt.Sprintf("%s.%d", p.path(file), n-1), fmt.Sprintf("%s.%d", p.path(file), n)); err != nil {
			require.ErrorIs(p.t, err, os.ErrNotExist)
		}
	}
	require.NoError(p.t, os.Rename(p.path(file), p.path(file)+".1"))
	p.write(file, "")
}

// start starts the sidecar and returns when it is there.
func (p *pod) start() *pod {
	p.t.Helper()
	p.launch()
	deadline := time.Now().Add(patience)
	for {
		if _, err := p.metrics(); err == nil {
			return p
		}
		select {
		case <-p.ended:
			require.Fail(p.t, "fluentd ended", p.output())
		case <-time.After(200 * time.Millisecond):
			require.True(p.t, time.Now().Before(deadline), "fluentd does not start: %s", p.output())
		}
	}
}

func (p *pod) launch() {
	p.t.Helper()
	p.command = p.run(p)
	p.command.Stdout, p.command.Stderr = p.said, p.said
	require.NoError(p.t, p.command.Start())
	p.ended = make(chan struct{})
	go func(c *exec.Cmd, ended chan struct{}) {
		_ = c.Wait()
		close(ended)
	}(p.command, p.ended)
}

// end sends a signal and waits; it returns how long the sidecar took.
func (p *pod) end(signal syscall.Signal) time.Duration {
	if p.command == nil {
		return 0
	}
	p.measure()
	began := time.Now()
	if strings.HasSuffix(p.command.Path, "docker") {
		_ = exec.Command(p.command.Path, "kill", "--signal", strconv.Itoa(int(signal)), p.container).Run()
	} else {
		_ = p.command.Process.Signal(signal)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		p.t.Errorf("%s did not end within %s of %s", p.name, patience, signal)
	}
	p.command = nil
	return time.Since(began)
}

// output is all that fluentd printed.
func (p *pod) output() string {
	data, err := os.ReadFile(p.said.Name())
	require.NoError(p.t, err)
	return string(data)
}

var sample = regexp.MustCompile(`(?m)^(fluentd_output_status_[a-z_]+)\{[^}]*plugin_id="out_opensearch"[^}]*\} (\S+)$`)

// metrics are those of the output.
func (p *pod) metrics() (map[string]float64, error) {
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + p.address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	out := map[string]float64{}
	for _, m := range sample.FindAllStringSubmatch(string(body), -1) {
		out[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	return out, err
}

func (p *pod) metric(name string) float64 {
	all, err := p.metrics()
	require.NoError(p.t, err)
	return all["fluentd_output_status_"+name]
}

// processes are the sidecar's, by their IDs.
func (p *pod) processes() []int {
	first := p.command.Process.Pid
	if strings.HasSuffix(p.command.Path, "docker") {
		out, err := exec.Command(p.command.Path, "inspect", "--format", "{{.State.Pid}}", p.container).Output()
		if err != nil {
			return nil
		}
		first, _ = strconv.Atoi(strings.TrimSpace(string(out)))
	}
	all := []int{first}
	for i := 0; i < len(all); i++ {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", all[i], all[i]))
		for _, child := range strings.Fields(string(data)) {
			id, _ := strconv.Atoi(child)
			all = append(all, id)
		}
	}
	return all
}

// deleted counts the sidecar's open files without a name.
func (p *pod) deleted() (count int) {
	for _, id := range p.processes() {
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", id))
		for _, fd := range open {
			if target, err := os.Readlink(fd); err == nil && strings.HasSuffix(target, " (deleted)") && strings.Contains(target, "access.log") {
				count++
			}
		}
	}
	return count
}

var peak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// measure notes how much memory and time the sidecar has taken.
func (p *pod) measure() {
	memory, ticks := 0, 0
	for _, id := range p.processes() {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
		if m := peak.FindSubmatch(status); m != nil {
			kib, _ := strconv.Atoi(string(m[1]))
			memory += kib << 10
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
		if _, rest, found := strings.Cut(string(stat), ") "); found {
			fields := strings.Fields(rest)
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			ticks += user + system
		}
	}
	p.largest, p.seconds = max(p.largest, memory), float64(ticks)/100
}

// memory is the most that the sidecar took.
func (p *pod) memory() string {
	p.measure()
	if p.largest > memoryLimit {
		p.t.Errorf("%s took %d MiB, expected at most %d", p.name, p.largest>>20, memoryLimit>>20)
	}
	return fmt.Sprintf("%d MiB", p.largest>>20)
}

func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
