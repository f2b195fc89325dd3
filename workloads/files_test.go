package workloads

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = 2 * time.Minute

// start runs a command until the test ends. Its output goes to the writers, and is shown if the test fails.
func start(t *testing.T, command *exec.Cmd, writers ...io.Writer) {
	t.Helper()
	var output strings.Builder
	command.Stdout = io.MultiWriter(append(writers, &output)...)
	command.Stderr = command.Stdout
	// The output of background children must not keep Wait from returning.
	command.WaitDelay = time.Second
	// A group of its own, so that its children end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%v printed:\n%s", command.Args, output.String())
		}
	})
}

// rotating runs a command with the container's script, which rotates the logs in a folder.
func rotating(dir, pidFile string, maxBytes, generations int, command ...string) *exec.Cmd {
	c := exec.Command("sh", append([]string{"files/rotate-logs.sh"}, command...)...)
	c.Env = append(os.Environ(), "LOG_DIR="+dir, fmt.Sprintf("LOG_MAX_BYTES=%d", maxBytes),
		fmt.Sprintf("LOG_GENERATIONS=%d", generations), "LOG_CHECK_SECONDS=0.1", "NGINX_PID_FILE="+pidFile)
	return c
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

// Each file takes at most size x (generations + 1) of disk, and the newest lines stay.
func TestRotationKeepsItsGenerationsAndNoMore(t *testing.T) {
	dir := t.TempDir()
	start(t, rotating(dir, filepath.Join(dir, "pid"), 100, 2, "sleep", "infinity"))
	log := filepath.Join(dir, "access.log")
	for i := 1; i <= 4; i++ {
		require.NoError(t, os.WriteFile(log, []byte(strings.Repeat(fmt.Sprint(i), 200)), 0o600))
		require.Eventually(t, func() bool { return !exists(log)() }, patience, 10*time.Millisecond, "file %d was not renamed", i)
	}
	for name, first := range map[string]string{"access.log.1": "4", "access.log.2": "3"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, first, string(data[:1]), name)
	}
	assert.NoFileExists(t, filepath.Join(dir, "access.log.3"))
}

func TestRotationLeavesSmallFilesAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "small.log"), []byte("line\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "big.log"), make([]byte, 200), 0o600))
	start(t, rotating(dir, filepath.Join(dir, "pid"), 100, 2, "sleep", "infinity"))
	require.Eventually(t, exists(filepath.Join(dir, "big.log.1")), patience, 10*time.Millisecond)
	assert.FileExists(t, filepath.Join(dir, "small.log"))
	assert.NoFileExists(t, filepath.Join(dir, "small.log.1"))
}

func TestRotationSaysWhatItMisses(t *testing.T) {
	for missing, command := range map[string][]string{"LOG_MAX_BYTES": {"nginx"}, "command": nil} {
		c := rotating(t.TempDir(), "", 100, 2, command...)
		if command != nil {
			c.Env = []string{"PATH=" + os.Getenv("PATH"), "LOG_DIR=" + t.TempDir()}
		}
		output, err := c.CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(output), missing)
	}
}

// The container's signals reach nginx, and the container ends with nginx, whether the loop ends or not.
func TestNginxTakesThePlaceOfTheScript(t *testing.T) {
	c := rotating(t.TempDir(), "", 100, 2, "sh", "-c", `echo "$$"; exit 3`)
	// The loop has this test's pipe open as long as the container would live.
	c.WaitDelay = time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var output strings.Builder
	c.Stdout = &output
	_ = c.Run()
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	assert.Equal(t, fmt.Sprintln(c.Process.Pid), output.String())
	assert.Equal(t, 3, c.ProcessState.ExitCode())
}

// A page is whole whenever it is read, its count goes on where an earlier pod left it, and the writer stops at once.
func TestTheWriterGoesOnWhereItStopped(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "count"), []byte("41\n"), 0o600))
	writer := exec.Command("sh", "files/write-page.sh")
	writer.Env = append(os.Environ(), "PAGE_DIR="+dir, "PAGE_SECONDS=60")
	pod, err := os.Hostname()
	require.NoError(t, err)
	output := filepath.Join(t.TempDir(), "output")
	file, err := os.Create(output)
	require.NoError(t, err)
	defer file.Close()
	start(t, writer, file)
	page := filepath.Join(dir, "index.html")
	require.Eventually(t, func() bool {
		said, err := os.ReadFile(output)
		return err == nil && strings.HasSuffix(string(said), "\n")
	}, patience, 10*time.Millisecond)
	said, err := os.ReadFile(output)
	require.NoError(t, err)
	assert.JSONEq(t, `{"level": "info", "message": "page written", "page": 42}`, string(said), "one line for fluentd to take apart")
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(data), "Page 42, written by alma in "+pod+" at ")
	assert.True(t, strings.HasSuffix(string(data), "</p>\n"))

	stopped := make(chan error, 1)
	require.NoError(t, writer.Process.Signal(syscall.SIGTERM))
	go func() { _, err := writer.Process.Wait(); stopped <- err }()
	select {
	case <-stopped:
	case <-time.After(patience):
		assert.Fail(t, "the writer did not stop")
	}
}

// nginxServer is a real nginx with the embedded configuration, its paths moved into a folder of the test's, under the script
// that rotates its logs.
func nginxServer(t *testing.T, maxBytes, generations int) (client *http.Client, logs string) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not on PATH")
	}
	// Short, because the path of a socket may have a hundred characters at the most.
	dir, err := os.MkdirTemp("", "nginx")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"tmp", "logs", "html"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "html", "index.html"), []byte("hello"), 0o600))
	socket := filepath.Join(dir, "socket")
	moves := []string{"/tmp/", dir + "/tmp/", "/var/log/app/", dir + "/logs/", "/usr/share/nginx/html", dir + "/html", "listen 8080;",
		"listen unix:" + socket + ";"}
	config := string(file("nginx.conf"))
	for i := 0; i < len(moves); i += 2 {
		require.Contains(t, config, moves[i])
	}
	config = strings.NewReplacer(moves...).Replace(config)
	if os.Geteuid() == 0 {
		config = "user root;\n" + config
	}
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	output, err := exec.Command("nginx", "-t", "-c", path).CombinedOutput()
	require.NoError(t, err, string(output))

	logs = filepath.Join(dir, "logs")
	start(t, rotating(logs, filepath.Join(dir, "tmp", "nginx.pid"), maxBytes, generations, "nginx", "-c", path, "-g", "daemon off;"))
	// The file is there before nginx listens.
	require.Eventually(t, func() bool {
		connection, err := net.Dial("unix", socket)
		return err == nil && connection.Close() == nil
	}, patience, 10*time.Millisecond)
	client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	return client, logs
}

func get(t *testing.T, client *http.Client, path, agent string, headers ...string) int {
	request, err := http.NewRequest(http.MethodGet, "http://web"+path, nil)
	require.NoError(t, err)
	request.Header.Set("User-Agent", agent)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return response.StatusCode
}

// accessLines are all lines of all generations, once they are as many as expected. A reader that looks while files are
// renamed may find one twice or not at all, so it looks again.
func accessLines(t *testing.T, dir string, expected int) []map[string]any {
	t.Helper()
	var lines []map[string]any
	read := func() (out []map[string]any, err error) {
		paths, err := filepath.Glob(filepath.Join(dir, "access.log*"))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			for text := range strings.Lines(string(data)) {
				var line map[string]any
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					return nil, fmt.Errorf("%s: %q: %w", path, text, err)
				}
				out = append(out, line)
			}
		}
		return out, nil
	}
	var err error
	require.Eventually(t, func() bool {
		lines, err = read()
		return err == nil && len(lines) == expected
	}, patience, 50*time.Millisecond)
	require.NoError(t, err)
	return lines
}

// fluentd and OpenSearch rely on this: one JSON object a line for any request, numbers as numbers, an ID for each request, and no line
// for the kubelet's probes.
func TestNginxWritesJSONThatLoggingCanUse(t *testing.T) {
	client, logs := nginxServer(t, 1<<20, 1)
	assert.Equal(t, 200, get(t, client, "/", `quote " and backslash \`))
	assert.Equal(t, 404, get(t, client, "/missing?token=private", "plain"))
	assert.Equal(t, 200, get(t, client, "/healthz", "kube-probe"))
	lines := accessLines(t, logs, 2)
	assert.Equal(t, `quote " and backslash \`, lines[0]["user_agent"])
	assert.Equal(t, "/", lines[0]["path"], "the path that was asked for, not the file it led to")
	assert.Equal(t, "/missing", lines[1]["path"], "a query may hold secrets")
	ids := map[any]bool{}
	for _, line := range lines {
		for _, number := range []string{"time", "status", "bytes_sent", "request_time"} {
			assert.IsType(t, 0.0, line[number], number)
		}
		assert.Regexp(t, "^[0-9a-f]{32}$", line["request_id"])
		ids[line["request_id"]] = true
	}
	assert.Len(t, ids, 2)
}

// No log has a request's credentials, or its query, which may hold some.
func TestNginxLogsNothingThatARequestKeepsSecret(t *testing.T) {
	client, logs := nginxServer(t, 1<<20, 1)
	secrets := []string{
		"Authorization", "Bearer private", "Cookie", "session=private", "Proxy-Authorization", "Basic private",
		"X-Amz-Security-Token", "private", "Referer", "https://example.com/page?token=private#private",
	}
	assert.Equal(t, 200, get(t, client, "/?token=private", "agent", secrets...))
	assert.Equal(t, 404, get(t, client, "/missing?token=private", "agent", secrets...))
	lines := accessLines(t, logs, 2)
	assert.Equal(t, "https://example.com/page", lines[0]["referer"])
	read := 0
	for _, name := range []string{"access.log", "error.log"} {
		data, err := os.ReadFile(filepath.Join(logs, name))
		require.NoError(t, err)
		assert.NotContains(t, string(data), "private", name)
		read += len(data)
	}
	assert.Positive(t, read)
}

// Renaming and USR1 must lose no line of a server that is being used.
func TestRotatingARunningNginxLosesNoLine(t *testing.T) {
	client, logs := nginxServer(t, 20_000, 50)
	requests := 0
	rotated := func() int {
		generations, err := filepath.Glob(filepath.Join(logs, "access.log.*"))
		require.NoError(t, err)
		return len(generations)
	}
	// As fast as one client can, until it has been rotated a few times under the requests.
	for deadline := time.Now().Add(patience); rotated() < 4; requests++ {
		require.True(t, time.Now().Before(deadline), "rotated %d times after %d requests", rotated(), requests)
		require.Equal(t, 200, get(t, client, "/", fmt.Sprint("agent-", requests)))
	}
	ids := map[any]bool{}
	for _, line := range accessLines(t, logs, requests) {
		ids[line["request_id"]] = true
	}
	assert.Len(t, ids, requests)
}
