package image

import (
	"encoding/csv"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"expense/internal/config"
	"expense/rehearsal/internal/port"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// answering is the address of an app that answers on / and fails on /broken.
func answering(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/moved":
			http.Redirect(w, r, "/broken", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// greeting is an app that says something to who connects, so that a probe need not wait.
func greeting(t *testing.T) string {
	return accepting(t, func(connection net.Conn) { fmt.Fprint(connection, "220 ready\r\n") })
}

// hangsUp is Docker's proxy in front of an app that does not listen.
func hangsUp(t *testing.T) string { return accepting(t, func(net.Conn) {}) }

func accepting(t *testing.T, do func(connection net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			do(connection)
			connection.Close()
		}
	}()
	return listener.Addr().String()
}

func TestAProbeIsTheKubelets(t *testing.T) {
	address := answering(t)
	for path, good := range map[string]bool{"": true, "/": true, "/moved": true, "/broken": false} {
		err := probe(t.Context(), address, config.Health{Path: path})
		assert.Equal(t, good, err == nil, "%s: %v", path, err)
	}
	assert.Error(t, probe(t.Context(), hangsUp(t), config.Health{}))
	nobody, err := port.Keep()
	require.NoError(t, err)
	t.Cleanup(nobody.Close)
	assert.Error(t, probe(t.Context(), nobody.Address, config.Health{}))
}

func TestAProbeAsksTheHealthServiceOfGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	service, server := health.NewServer(), grpc.NewServer()
	healthpb.RegisterHealthServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	require.NoError(t, probe(t.Context(), listener.Addr().String(), config.Health{GRPC: true}))
	service.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	require.ErrorContains(t, probe(t.Context(), listener.Addr().String(), config.Health{GRPC: true}), "its health service says NOT_SERVING")
	require.Error(t, probe(t.Context(), answering(t), config.Health{GRPC: true}))
}

// A trial is as restricted as a pod, and has what the entry gives it. Its words are none of docker's flags.
func TestATrialIsAsTheClusterRunsIt(t *testing.T) {
	s := aStack(t, `      backend:
        build: {dir: images/backend}
        command: [--odd, "$(URL)", "$$(URL)", $(hostname)]
        args: [--fast]
        user: 2000
        env: {URL: "http://$(HOST):$(PORT)/$$x", HOST: $(NAME), NAME: web, TOKEN: $(SECRET), AGAIN: "$$(AGAIN)", LOGS: a}
        secrets: {SECRET: env}
        iam: [{actions: [s3:GetObject], resources: ['arn:aws:s3:::b/*']}]
        files: {"/etc/app/a,b.yaml": {content: "a: b"}, /etc/app/list: {source: images/list}}
        writable: [/var/cache/app]
        health: /
        logs: {dir: /var/log/app, files: [app.log]}
`, func(w *world) { w.Address = answering(t) })
	s.write("images/list", "from the project")
	require.NoError(t, os.Chmod(filepath.Join(s.folder, "images/list"), 0o600))
	texts := map[string]string{}
	inner := runProgram
	runProgram = func(c *exec.Cmd) error {
		for _, arg := range c.Args {
			line, is := strings.CutPrefix(arg, "--mount=")
			if !is {
				continue
			}
			words, err := csv.NewReader(strings.NewReader(line)).Read()
			require.NoError(t, err)
			assert.Equal(t, []string{"type=bind", "readonly"}, []string{words[0], words[3]})
			source, target := strings.TrimPrefix(words[1], "source="), strings.TrimPrefix(words[2], "target=")
			assert.True(t, strings.HasPrefix(source, filepath.Join(s.folder, ".out", "image", "backend-")), "only copies are mounted: %s", source)
			data, err := os.ReadFile(source)
			require.NoError(t, err)
			info, err := os.Stat(source)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o644), info.Mode(), "the container's user reads it")
			texts[target] = string(data)
		}
		return inner(c)
	}
	_, calls, err := s.run()
	require.NoError(t, err, calls)
	assert.Equal(t, map[string]string{"/etc/app/a,b.yaml": "a: b", "/etc/app/list": "from the project"}, texts)
	var created string
	for _, call := range calls {
		if strings.HasPrefix(call, "docker create") && !strings.HasSuffix(call, " none") {
			created = call
		}
	}
	for _, want := range []string{
		" --platform=linux/amd64 ", " --user=2000:2000 ", " --read-only ", " --cap-drop=ALL ", " --security-opt=no-new-privileges ",
		" --tmpfs=/tmp:rw,exec,mode=1777,size=64m ", " --tmpfs=/var/cache/app:rw,exec,mode=1777,size=64m ", " --tmpfs=/var/log/app:",
		" --publish=127.0.0.1::8080 ", " --env=PORT=8080 ", " --env=URL=http://web:8080/$x ", " --env=TOKEN=$(SECRET) ",
		" --env=AGAIN=$(AGAIN) ", " --env=AWS_REGION=us-east-1 ", " --env=LOG_DIR=/var/log/app ", " --entrypoint=--odd mine/backend:",
	} {
		assert.Contains(t, created, want)
	}
	assert.True(t, strings.HasSuffix(created, " http://web:8080/$x $(URL) $(hostname) --fast"), created)
	assert.Contains(t, calls, "docker rm --force --volumes c0ffee")
	assert.Contains(t, s.out.String(), "backend: runs as user 2000 with a read-only root and no capabilities.")
}

// What broke is said, with what helps.
func TestATrialSaysWhatBroke(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		// more are lines of the entry; only tells that it is said only.
		more string
		want []string
		only bool
	}{
		"no such program": {func(w *world) {
			w.Fail["docker start"] = `Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime ` +
				`create failed: runc create failed: unable to start container process: exec: "/app/server": stat /app/server: no such file or ` +
				`directory: unknown`
		}, "        secrets: {KEY: env}\n", []string{"does not start", "stat /app/server: no such file", "that user 1234 may run"}, false},
		"it ends": {func(w *world) {
			w.States, w.Logs = []string{`{"Running": true}`, `{"Running": false, "ExitCode": 3}`}, "one\nno database\n"
			w.Address = ""
		}, "", []string{"it ended with 3", "its last lines:\none\nno database"}, false},
		"it ends for want of a secret": {func(w *world) {
			w.States, w.Logs = []string{`{"Running": false, "ExitCode": 3}`}, "no password\n"
		}, "        secrets: {KEY: env}\n", []string{"which may be because it has no secrets here", "no password"}, true},
		"it calls a neighbour": {func(w *world) {
			w.States = []string{`{"Running": false, "ExitCode": 3}`}
		}, "      other: {image: 'x:1', inbound: [backend]}\n", []string{"has no neighbours here"}, true},
		"it writes": {func(w *world) {
			w.States, w.Logs = []string{`{"Running": false, "ExitCode": 1}`}, "open /data/x: read-only file system\n"
		}, "        secrets: {KEY: env}\n", []string{"add the folder that it writes to as writable: [/FOLDER]"}, false},
		"another machine's program": {func(w *world) {
			w.States, w.Logs = []string{`{"Running": false, "ExitCode": 1}`}, "exec /app/server: exec format error\n"
		}, "", []string{"the program is not for linux/amd64"}, false},
		"it is not its file": {func(w *world) {
			w.States, w.Logs = []string{`{"Running": false, "ExitCode": 1}`}, "open /app/key: permission denied\n"
		}, "", []string{"it runs as user 1234", "COPY --chown=1234"}, false},
		"its health is bad": {func(w *world) { w.Address = answering(t) }, "        health: {path: /broken, start: 10s}\n",
			[]string{"after 10s it does not answer on port 8080", "/broken is answered with 503",
				"the port that PORT says, on all addresses"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := aStack(t, backend+c.more, c.change)
			file, calls, err := s.run()
			said := s.out.String()
			if c.only {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
				said = err.Error()
				assert.Equal(t, start+backend+c.more, file, "nothing is written")
				assert.NotContains(t, strings.Join(calls, "\n"), "docker push")
			}
			for _, want := range c.want {
				assert.Contains(t, said, want)
			}
			assert.Contains(t, calls, "docker rm --force --volumes c0ffee")
		})
	}
}

// An app without a port has to run for a while.
func TestAnAppWithoutAPortRuns(t *testing.T) {
	s := aStack(t, backend, func(w *world) {
		w.Image.Config.ExposedPorts = nil
		w.States = []string{`{"Running": true}`, `{"Running": true}`, `{"Running": false, "ExitCode": 0}`}
	})
	_, _, err := s.run()
	require.ErrorContains(t, err, "it ended with 0")
	s = aStack(t, backend, func(w *world) { w.Image.Config.ExposedPorts = nil })
	file, _, err := s.run()
	require.NoError(t, err)
	assert.NotContains(t, file, "port:")
	s = aStack(t, backend+"        ports: {}\n", func(w *world) { w.Image.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}} })
	file, calls, err := s.run()
	require.NoError(t, err)
	assert.NotContains(t, file, "port:")
	assert.NotContains(t, strings.Join(calls, "\n"), "--publish")
	values, encrypted, err := config.File(s.folder, "dev")
	require.NoError(t, err)
	_, err = config.ReadIn(s.folder, values, encrypted)
	assert.NotContains(t, err.Error(), "backend.port")
}
