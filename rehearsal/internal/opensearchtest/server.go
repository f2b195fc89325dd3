package opensearchtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"expense/rehearsal/internal/opensearch"
	"expense/rehearsal/internal/port"
)

// Region is where a domain is that is not told otherwise.
const Region = "us-east-1"

// object is a JSON object.
type object = map[string]any

// Server is one domain and one agent. All methods may be called while requests arrive.
type Server struct {
	// URL is the domain's endpoint, with https://.
	URL string
	// Region is where it is.
	Region string
	// Agent answers for one pod.
	Agent *Agent
	// Node is the OpenSearch behind it.
	Node *opensearch.Node

	server      *httptest.Server
	certificate []byte         // is its own authority
	port        *port.Kept     // refuses connections until Open
	mux         *http.ServeMux // of the stand-ins
	master      string
	tb          testing.TB
	open        sync.Once

	mu        sync.Mutex
	issued    map[string]credentials // by access key ID
	policy    func(role, action, path string) error
	intercept func(Request) *Reply
	after     func(Request)
	requests  []Request

	standIns sync.Mutex // of what follows
	ism      *ism
	saved    map[string]object // saved objects by tenant, type and ID
}

// Request is one request as the domain got it.
type Request struct {
	// Number counts from 1.
	Number int
	Method string
	// Path is with the query, as it was sent.
	Path string
	// Body is as it was sent; only the functions of Intercept and After see it.
	Body []byte
	// Status is what it was answered with; 0 before.
	Status int
}

// Reply is an answer. Body is sent as JSON, bytes as they are.
type Reply struct {
	Status int
	Body   any
}

// Start is New for a test, which it skips where there is no OpenSearch. All tests of a process share one OpenSearch, which Main ends:
// one test has it at a time, the next waits.
func Start(tb testing.TB, master string) *Server {
	tb.Helper()
	s, err := New(shared(tb), master)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	s.tb = tb
	return s
}

// common is the OpenSearch of a process's tests.
var common struct {
	taken sync.Mutex
	node  *opensearch.Node
}

// shared takes the common OpenSearch until the test ends.
func shared(tb testing.TB) *opensearch.Node {
	tb.Helper()
	archives := archives()
	if reason := opensearch.Missing(archives); reason != "" {
		tb.Skip(reason)
	}
	common.taken.Lock()
	tb.Cleanup(common.taken.Unlock)
	if common.node == nil {
		node, err := opensearch.Start(context.Background(), archives)
		if err != nil {
			tb.Fatal(err)
		}
		common.node = node
	}
	return common.node
}

// archives is .tools/opensearch of the repository that the tests run in.
func archives() string {
	dir, err := os.Getwd()
	for err == nil && filepath.Dir(dir) != dir {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, ".tools", "opensearch")
}

// Main is the TestMain of a package that calls Start: it runs the tests, ends their OpenSearch, and exits.
func Main(m *testing.M) {
	code := m.Run()
	if common.node != nil {
		common.node.Stop()
	}
	os.Exit(code)
}

// New serves a domain before a node until Close, and cleans the node. master is the IAM role that may do everything. The domain refuses
// connections before Open.
func New(node *opensearch.Node, master string) (*Server, error) {
	if err := node.Clean(master); err != nil {
		return nil, err
	}
	s := &Server{
		Region: Region, Node: node, mux: http.NewServeMux(), master: master, issued: map[string]credentials{}, saved: map[string]object{},
		ism: newISM(node),
	}
	s.routeISM()
	s.routeDashboards()
	s.handle("PUT /_plugins/_security/api/audit/config", s.putAudit)
	certificate, key, err := opensearch.Certificate()
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	s.certificate = certificate
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // tests let it refuse certificates
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if s.port, err = port.Keep(); err != nil {
		return nil, err
	}
	s.URL = "https://" + s.port.Address
	s.Agent = startAgent(s, master)
	return s, nil
}

// Open lets connections in.
func (s *Server) Open() {
	s.open.Do(func() {
		_ = s.server.Listener.Close() // the one that httptest opened
		var err error
		if s.server.Listener, err = s.port.Listen(); err != nil {
			panic(err) // the socket is bound
		}
		s.server.StartTLS()
	})
}

// Close ends the domain and the agent; the node goes on.
func (s *Server) Close() {
	s.server.Close()
	s.port.Close()
	s.Agent.server.Close()
}

// CertificatePEM is what a client must trust.
func (s *Server) CertificatePEM() []byte { return s.certificate }

// Policy makes f the domain's access policy: an error refuses the request. The action is es:ESHttpGet and the like, the path has no
// query. Without a policy every signed request is let in.
func (s *Server) Policy(f func(role, action, path string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = f
}

// Intercept asks f before every request. What f returns is the answer, and the request has no effect; after nil the domain answers.
// f may use the Server.
func (s *Server) Intercept(f func(Request) *Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// After calls f for every request between its effect and its answer.
func (s *Server) After(f func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

// Requests are all so far, in the order of their answers, without their bodies.
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
	request := Request{Number: len(s.requests) + 1, Method: r.Method, Path: r.RequestURI, Body: body}
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
	kept := request
	kept.Body = nil
	s.requests = append(s.requests, kept)
	s.mu.Unlock()
	if after != nil {
		after(request)
	}
	content, isText := reply.Body.([]byte)
	if !isText {
		content, _ = json.Marshal(reply.Body) // made here, of what JSON has
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.Status)
	_, _ = w.Write(content)
}

// answer checks who asks, and has a stand-in or OpenSearch do it.
func (s *Server) answer(r *http.Request, body []byte) *Reply {
	s.mu.Lock()
	role, refusal := s.authenticate(r, body, time.Now())
	policy := s.policy
	s.mu.Unlock()
	if refusal != nil {
		return refusal
	}
	if policy != nil {
		if err := policy(role, action(r.Method), r.URL.EscapedPath()); err != nil {
			return &Reply{http.StatusForbidden, object{"Message": err.Error()}}
		}
	}
	if _, pattern := s.mux.Handler(r); pattern != "" {
		c := &call{Request: r, body: body, role: role}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mux.ServeHTTP(c, r)
		return c.reply
	}
	return s.pass(role, r, body)
}

// action is the IAM action of a request by its method
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ac.html#ac-reference).
func action(method string) string {
	return "es:ESHttp" + method[:1] + strings.ToLower(method[1:])
}

// pass has OpenSearch answer a role's request.
func (s *Server) pass(role string, r *http.Request, body []byte) *Reply {
	header := http.Header{}
	for _, name := range []string{"Accept", "Content-Encoding", "Content-Type"} {
		if values := r.Header.Values(name); values != nil {
			header[name] = values
		}
	}
	status, answer, err := s.Node.Send(role, r.Method, r.RequestURI, header, body)
	if err != nil {
		// As AWS's gateway does when no node answers.
		return &Reply{http.StatusServiceUnavailable, object{"message": err.Error()}}
	}
	return &Reply{status, answer}
}

// call is one request to a stand-in. To pass through the mux it is a ResponseWriter, too.
type call struct {
	*http.Request
	body  []byte
	role  string // ARN of who asks
	reply *Reply
}

func (c *call) Header() http.Header       { return http.Header{} }
func (c *call) Write([]byte) (int, error) { return 0, nil }
func (c *call) WriteHeader(status int)    { c.reply = &Reply{status, object{}} }

// handle registers what a stand-in does with a pattern of requests.
func (s *Server) handle(pattern string, do func(*call) *Reply) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		c.Request = r // with the values of the path
		s.standIns.Lock()
		defer s.standIns.Unlock()
		c.reply = do(c)
	})
}

// putAudit refuses a change of the fields that a managed domain only lets read:
// https://github.com/opensearch-project/security/blob/main/src/main/java/org/opensearch/security/dlic/rest/api/AuditApiAction.java
func (s *Server) putAudit(c *call) *Reply {
	var sent struct {
		Audit struct {
			Headers bool `json:"exclude_sensitive_headers"`
		} `json:"audit"`
		Compliance struct {
			Internal bool `json:"internal_config"`
			External bool `json:"external_config"`
		} `json:"compliance"`
	}
	if c.role == s.master && json.Unmarshal(c.body, &sent) == nil &&
		(!sent.Audit.Headers || !sent.Compliance.Internal || sent.Compliance.External) {
		return &Reply{http.StatusConflict, object{"status": "CONFLICT", "message": "Attempted to update read-only property."}}
	}
	return s.pass(c.role, c.Request, c.body)
}

// failure is an error as OpenSearch writes them.
func failure(status int, kind, reason string) *Reply {
	cause := object{"type": kind, "reason": reason}
	return &Reply{status, object{"error": object{"root_cause": []object{cause}, "type": kind, "reason": reason}, "status": status}}
}
