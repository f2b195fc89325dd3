// Command backend is a small service to begin with. It logs JSON lines to its output, answers on PORT, reads a secret from a file, asks a
// neighbour, and ends on SIGTERM after its last request. It needs no shell and writes no file.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// longestStop is less than the graceSeconds of its entry, so that it ends before it is killed.
const longestStop = 25 * time.Second

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, log, os.Getenv); err != nil {
		log.Error("failed", "error", err.Error())
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, log *slog.Logger, getenv func(string) string) error {
	token, err := secret(getenv("API_TOKEN_FILE"))
	if err != nil {
		return err
	}
	s := &service{log: log, token: token, neighbour: getenv("NEIGHBOUR_URL"), patience: 10 * time.Second, pause: 100 * time.Millisecond}
	// On all addresses: on 127.0.0.1 no other pod and no probe reaches it.
	listener, err := net.Listen("tcp", ":"+cmp.Or(getenv("PORT"), "8080"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestStop)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		return fmt.Errorf("requests were still under way: %w", err)
	}
	log.Info("stopped")
	return nil
}

// secret reads a secret. It is not in the environment, which ends up in crash reports and child processes.
func secret(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("API_TOKEN_FILE: %w", err)
	}
	if token := strings.TrimSpace(string(data)); token != "" {
		return []byte(token), nil
	}
	return nil, fmt.Errorf("API_TOKEN_FILE: %s is empty", file)
}

type service struct {
	log       *slog.Logger
	token     []byte
	neighbour string
	// patience is how long the neighbour is asked again, and pause how long it waits after the first refusal.
	patience, pause time.Duration
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	// For startup and readiness. It asks nobody else: an outage of the neighbour would take this service away too.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"service": "backend"})
	})
	mux.HandleFunc("GET /neighbour", s.askNeighbour)
	return s.logged(mux)
}

// askNeighbour tells those who know the token how the neighbour answers.
func (s *service) askNeighbour(w http.ResponseWriter, r *http.Request) {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	// Of the sums, because lengths would show in the time otherwise.
	known, got := sha256.Sum256(s.token), sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(known[:], got[:]) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answer(w, http.StatusUnauthorized, map[string]any{"error": "expected the header Authorization: Bearer TOKEN"})
		return
	}
	status, attempts, err := s.ask(r.Context())
	if err != nil {
		s.log.Error("neighbour", "url", s.neighbour, "attempts", attempts, "error", err.Error())
		answer(w, http.StatusBadGateway, map[string]any{"error": "the neighbour does not answer", "attempts": attempts})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": status, "attempts": attempts})
}

// ask asks the neighbour until it answers, for patience, with pauses that double. In a pod's first seconds its network policies are still
// on their way, and when they arrive, answers to what began before are lost
// (https://github.com/aws/aws-network-policy-agent/issues/345).
func (s *service) ask(ctx context.Context) (status, attempts int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for pause := s.pause; ; pause *= 2 {
		attempts++
		if status, err = s.askOnce(ctx); err == nil {
			return status, attempts, nil
		}
		select {
		case <-ctx.Done():
			return 0, attempts, err
		case <-time.After(pause):
		}
	}
}

func (s *service) askOnce(ctx context.Context) (status int, err error) {
	// A lost packet has no answer: the next attempt has to begin before all patience is gone.
	ctx, cancel := context.WithTimeout(ctx, s.patience/5)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.neighbour, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusInternalServerError {
		return 0, errors.New(response.Status)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, err
}

// logged logs each request but the probes', as one JSON line. Nothing of its headers: they have the token.
func (s *service) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, recorder := time.Now(), &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		if r.URL.Path != "/healthz" {
			s.log.Info("request", "method", r.Method, "url_path", r.URL.Path, "http_status", recorder.status,
				"duration_ms", time.Since(start).Milliseconds())
		}
	})
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
