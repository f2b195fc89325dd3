package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const token = "a-token-that-must-stay-secret"

// must ends the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// build compiles the program of a folder as its Dockerfile does.
func build(t *testing.T, folder string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	command := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	command.Dir, command.Env = folder, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", folder, err, out)
	}
	return program
}

// running is the program, with what it logs.
type running struct {
	t       *testing.T
	command *exec.Cmd
	lines   *bufio.Scanner
	said    strings.Builder
}

// start runs words with the program's environment and nothing else.
func start(t *testing.T, environment []string, words ...string) *running {
	t.Helper()
	// A test that hangs ends.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	r := &running{t: t, command: exec.CommandContext(ctx, words[0], words[1:]...)}
	r.command.Env = append(environment, "PORT=0")
	out := must[io.ReadCloser](t)(r.command.StdoutPipe())
	r.command.Stderr = r.command.Stdout
	r.lines = bufio.NewScanner(out)
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.command.Process.Kill() })
	return r
}

// until reads lines up to one with a message. Each is a JSON object.
func (r *running) until(message string) map[string]any {
	r.t.Helper()
	for r.lines.Scan() {
		r.said.WriteString(r.lines.Text() + "\n")
		var line map[string]any
		if err := json.Unmarshal(r.lines.Bytes(), &line); err != nil {
			r.t.Fatalf("no JSON: %q", r.lines.Text())
		}
		if line["msg"] == message {
			return line
		}
	}
	r.t.Fatalf("found no message %q in:\n%s", message, r.said.String())
	return nil
}

// end reads the rest of the output and gives the exit code.
func (r *running) end() int {
	for r.lines.Scan() {
		r.said.WriteString(r.lines.Text() + "\n")
	}
	_ = r.command.Wait()
	return r.command.ProcessState.ExitCode()
}

// get asks the program, and gives the status and the body.
func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response := must[*http.Response](t)(http.DefaultClient.Do(request))
	defer response.Body.Close()
	return response.StatusCode, strings.TrimSpace(string(must[[]byte](t)(io.ReadAll(response.Body))))
}

func tokenFile(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "API_TOKEN")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The whole life of the program, alone and under what copies its output in a pod.
func TestItServesUntilItIsStopped(t *testing.T) {
	backend := build(t, ".")
	runners := map[string][]string{"alone": nil}
	if runtime.GOOS == "linux" { // both are for containers, and read /proc
		runners["shell"] = []string{"/bin/sh", "../../logging/files/capture-output.sh"}
		runners["static"] = []string{build(t, "../../logging/capture")}
	}
	for name, before := range runners {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			held, release := make(chan bool), make(chan bool)
			neighbour := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				switch asked.Add(1) {
				case 1, 2:
					w.WriteHeader(http.StatusServiceUnavailable)
				case 3:
					w.WriteHeader(http.StatusNoContent)
				default:
					held <- true
					<-release
				}
			}))
			defer neighbour.Close()
			folder := t.TempDir()
			r := start(t, []string{"PATH=" + os.Getenv("PATH"), "API_TOKEN_FILE=" + tokenFile(t), "NEIGHBOUR_URL=" + neighbour.URL,
				"LOG_DIR=" + folder, "LOG_MAX_BYTES=1000000", "LOG_GENERATIONS=1"}, append(before, backend)...)
			_, port, _ := strings.Cut(fmt.Sprint(r.until("listening")["address"]), "]:")
			address := "http://127.0.0.1:" + port

			for _, c := range []struct {
				path, token, body string
				status            int
			}{
				{"/healthz", "", "ok", 200},
				{"/", "", `{"service":"backend"}`, 200},
				{"/other", "", "404 page not found", 404},
				{"/neighbour", "", `{"error":"expected the header Authorization: Bearer TOKEN"}`, 401},
				{"/neighbour", "another", `{"error":"expected the header Authorization: Bearer TOKEN"}`, 401},
				{"/neighbour", token, `{"attempts":3,"status":204}`, 200},
			} {
				if status, body := get(t, address+c.path, c.token); status != c.status || body != c.body {
					t.Errorf("%s: found %d %s, expected %d %s", c.path, status, body, c.status, c.body)
				}
			}

			answered := make(chan int)
			go func() {
				status, _ := get(t, address+"/neighbour", token)
				answered <- status
			}()
			<-held
			if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			r.until("stopping")
			release <- true
			if status := <-answered; status != 200 {
				t.Errorf("a request that was under way: found %d, expected 200", status)
			}
			if code := r.end(); code != 0 {
				t.Errorf("found exit code %d, expected 0", code)
			}
			said := r.said.String()
			if !strings.HasSuffix(strings.TrimSpace(said), `"msg":"stopped"}`) {
				t.Errorf("the last line is missing:\n%s", said)
			}
			if strings.Contains(said, token) {
				t.Errorf("the token is in the log:\n%s", said)
			}
			if strings.Contains(said, "healthz") || strings.Count(said, `"msg":"request"`) != 6 {
				t.Errorf("each request but the probes' has a line:\n%s", said)
			}
			if before != nil {
				if copied := must[[]byte](t)(os.ReadFile(filepath.Join(folder, "output.log"))); string(copied) != said {
					t.Errorf("found in output.log:\n%s\nexpected:\n%s", copied, said)
				}
			}
		})
	}
}

func TestItSaysWhatIsMissing(t *testing.T) {
	backend := build(t, ".")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, expected := range map[string]string{"": "API_TOKEN_FILE", empty: "is empty"} {
		r := start(t, []string{"API_TOKEN_FILE=" + file}, backend)
		if line := r.until("failed"); !strings.Contains(fmt.Sprint(line["error"]), expected) {
			t.Errorf("found %v, expected %s", line, expected)
		}
		if code := r.end(); code != 1 {
			t.Errorf("found exit code %d, expected 1", code)
		}
	}
}

func TestItGivesUpWhenTheCallerDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int32
	neighbour := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 3 {
			cancel()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer neighbour.Close()
	s := &service{log: slog.New(slog.DiscardHandler), neighbour: neighbour.URL, patience: time.Hour, pause: time.Millisecond}
	if _, attempts, err := s.ask(ctx); err == nil || attempts < 3 {
		t.Errorf("found %d attempts and %v, expected 3 and an error", attempts, err)
	}
}

func TestANeighbourThatIsAwayIsAnAnswer(t *testing.T) {
	neighbour := httptest.NewServer(http.NotFoundHandler())
	neighbour.Close()
	s := &service{log: slog.New(slog.DiscardHandler), token: []byte(token), neighbour: neighbour.URL, patience: time.Millisecond}
	server := httptest.NewServer(s.routes())
	defer server.Close()
	if status, body := get(t, server.URL+"/neighbour", token); status != http.StatusBadGateway || !strings.Contains(body, "does not answer") {
		t.Errorf("found %d %s, expected 502", status, body)
	}
}
