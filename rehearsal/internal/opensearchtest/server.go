package opensearchtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"expense/rehearsal/internal/opensearch"
)

// Region is where the domain is.
const Region = "us-east-1"

// object is a JSON object.
type object = map[string]any

// Server is one domain and one agent; all of it may be used while requests arrive.
type Server struct {
	// URL is the domain's endpoint, with https://.
	URL string
	// Agent answers for one pod.
	Agent *Agent
	// Node is the OpenSearch behind it.
	Node *opensearch.Node

	server   *httptest.Server
	listener *closedListener
	mux      *http.ServeMux // of the stand-ins
	master   string
	tb       testing.TB

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
	// Body is as it was sent, for who intercepts it or is called after it.
	Body []byte
	// Status is what it was answered with; 0 before.
	Status int
}

// Reply is an answer. Body is sent as JSON, bytes as they are.
type Reply struct {
	Status int
	Body   any
}

// Start serves a domain without anything on it, whose master is an IAM role, until the test ends. It refuses connections
// before Open. All tests of a process share one OpenSearch, which Main starts and ends: one has it at a time, the next waits.
// The test is skipped where there is no OpenSearch.
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

// New serves a domain, whose master is an IAM role, before a node, until Close. What was on the node is removed. It refuses
// connections before Open.
func New(node *opensearch.Node, master string) (*Server, error) {
	if err := node.Clean(master); err != nil {
		return nil, err
	}
	s := &Server{
		Node: node, mux: http.NewServeMux(), master: master, issued: map[string]credentials{}, saved: map[string]object{}, ism: newISM(node),
	}
	s.routeISM()
	s.routeDashboards()
	s.handle("PUT /_plugins/_security/api/audit/config", s.putAudit)
	listener, err := listenClosed()
	if err != nil {
		return nil, fmt.Errorf("free port: %w", err)
	}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	_ = s.server.Listener.Close() // the one that httptest opened
	s.listener, s.server.Listener = listener, listener
	s.server.Config.ErrorLog = quiet // refused certificates are a test's subject
	// One for all: with httptest's own, of RSA, handshakes take seconds of a run under the race detector.
	pair, err := certificate()
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.server.StartTLS()
	s.URL = s.server.URL
	s.Agent = startAgent(s, master)
	return s, nil
}

// certificate is the domain's, and its own authority.
var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "domain"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: private}, err
})

// Close ends the domain and the agent; the node goes on.
func (s *Server) Close() {
	s.server.Close()
	s.Agent.server.Close()
}

// Open lets connections in.
func (s *Server) Open() { s.listener.open() }

// CertificatePEM is what a client must trust.
func (s *Server) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
}

// Policy makes f the domain's access policy: an error refuses a role's request, whose action is es:ESHttpGet and the like,
// and whose path is without the query. Before, and with nil, all that is signed is let in.
func (s *Server) Policy(f func(role, action, path string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = f
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

// Requests are all that were made so far, in the order of their answers, without their bodies.
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

// call is one request to a stand-in, on its way through the mux, which knows nothing but HTTP.
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
	if c.role == s.master && json.Unmarshal(c.body, &sent) == nil && (!sent.Audit.Headers || !sent.Compliance.Internal || sent.Compliance.External) {
		return &Reply{http.StatusConflict, object{"status": "CONFLICT", "message": "Attempted to update read-only property."}}
	}
	return s.pass(c.role, c.Request, c.body)
}

// failure is an error as OpenSearch writes them.
func failure(status int, kind, reason string) *Reply {
	cause := object{"type": kind, "reason": reason}
	return &Reply{status, object{"error": object{"root_cause": []object{cause}, "type": kind, "reason": reason}, "status": status}}
}
