package opensearchtest

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Region is where the domain is.
const Region = "us-east-1"

// Server is one domain and one agent; all of it may be used while requests arrive.
type Server struct {
	// URL is the domain's endpoint, with https://.
	URL string
	// Agent answers for one pod.
	Agent *Agent

	server   *httptest.Server
	listener *closedListener
	mux      *http.ServeMux
	master   string
	tb       testing.TB

	mu        sync.Mutex
	issued    map[string]credentials // by access key ID
	intercept func(Request) *Reply
	after     func(Request)
	requests  []Request
	domain    *domain
}

// Request is one request as the domain got it.
type Request struct {
	// Number counts from 1.
	Number int
	Method string
	// Path is with the query, as it was sent.
	Path string
	// Status is what it was answered with; 0 before.
	Status int
}

// Reply is an answer. Body is sent as JSON.
type Reply struct {
	Status int
	Body   any
}

// Start serves a domain whose master is an IAM role, until the test ends. It refuses connections before Open.
func Start(tb testing.TB, master string) *Server {
	tb.Helper()
	s := &Server{mux: http.NewServeMux(), master: master, tb: tb, issued: map[string]credentials{}, domain: newDomain()}
	s.routes()
	listener, err := listenClosed()
	if err != nil {
		tb.Fatalf("free port: %v", err)
	}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	_ = s.server.Listener.Close() // the one that httptest opened
	s.listener, s.server.Listener = listener, listener
	s.server.Config.ErrorLog = quiet // refused certificates are a test's subject
	s.server.StartTLS()
	s.URL = s.server.URL
	tb.Cleanup(s.server.Close)
	s.Agent = startAgent(tb, s, master)
	return s
}

// Open lets connections in.
func (s *Server) Open() { s.listener.open() }

// CertificatePEM is what a client must trust.
func (s *Server) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
}

// Intercept asks f before every request; what it returns is the answer, and the request has no effect. With nil the domain
// decides. f may use the Server.
func (s *Server) Intercept(f func(Request) *Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// After calls f for every request that had its effect, before it is answered.
func (s *Server) After(f func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

// Requests are all that were made so far, in the order of their answers.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	s.mu.Lock()
	request := Request{Number: len(s.requests) + 1, Method: r.Method, Path: r.RequestURI}
	intercept, after := s.intercept, s.after
	s.mu.Unlock()

	var reply *Reply
	if intercept != nil {
		reply = intercept(request)
	}
	if reply == nil {
		reply = s.answer(r, body)
	}
	request.Status = reply.Status
	s.mu.Lock()
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	if after != nil {
		after(request)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.Status)
	_ = json.NewEncoder(w).Encode(reply.Body)
}

// answer checks who asks, and has the domain do it.
func (s *Server) answer(r *http.Request, body []byte) *Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	role, refusal := s.authenticate(r, body, time.Now())
	if refusal != nil {
		return refusal
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		// https://github.com/opensearch-project/OpenSearch/blob/main/server/src/main/java/org/opensearch/rest/RestController.java
		return &Reply{http.StatusBadRequest, object{"error": fmt.Sprintf("no handler found for uri [%s] and method [%s]", r.RequestURI, r.Method)}}
	}
	c := &call{Request: r, body: body, role: role}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mux.ServeHTTP(c, r)
	return c.reply
}

// call is one request on its way through the mux, which knows nothing but HTTP.
type call struct {
	*http.Request
	body  []byte
	role  string // ARN of who asks
	reply *Reply
}

func (c *call) Header() http.Header       { return http.Header{} }
func (c *call) Write([]byte) (int, error) { return 0, nil }
func (c *call) WriteHeader(status int)    { c.reply = &Reply{status, object{}} }

// handle registers what the domain does with a pattern of requests, for whom the permissions let.
func (s *Server) handle(pattern string, needs func(*call) []permission, do func(*call) *Reply) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		c.Request = r // with the values of the path
		for _, needed := range needs(c) {
			if !s.allowed(c.role, needed) {
				c.reply = s.denied(c.role, needed)
				return
			}
		}
		c.reply = do(c)
	})
}
