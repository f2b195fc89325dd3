package opensearchtest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// credentials are of one session of a role.
type credentials struct {
	accessKeyID, secretAccessKey, sessionToken string
	role                                       string
	expires                                    time.Time
}

// Agent answers as EKS's Pod Identity agent on a node does
// (https://github.com/aws/eks-pod-identity-agent, pkg/credentials and pkg/errors).
type Agent struct {
	// URL is what AWS_CONTAINER_CREDENTIALS_FULL_URI says in the pod.
	URL string
	// Token is what the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names holds.
	Token string

	mu       sync.Mutex
	role     string
	lifetime time.Duration
	unknown  int
	fetched  int
	secrets  []string
	server   *httptest.Server
}

func startAgent(s *Server, role string) *Agent {
	a := &Agent{Token: rand.Text(), role: role, lifetime: time.Hour}
	a.secrets = []string{a.Token}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/credentials", func(w http.ResponseWriter, r *http.Request) { a.answer(s, w, r) })
	a.server = httptest.NewServer(mux)
	a.URL = a.server.URL + "/v1/credentials"
	return a
}

// Assume gives the pod another role.
func (a *Agent) Assume(role string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.role = role
}

// Lifetime sets how long credentials are valid from now on; at first it is an hour.
func (a *Agent) Lifetime(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lifetime = d
}

// NotFound makes EKS miss the pod's association the next n times
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html#pod-id-considerations: eventually consistent).
func (a *Agent) NotFound(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unknown = n
}

// Fetched is how often credentials were handed out.
func (a *Agent) Fetched() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fetched
}

// Secrets is everything that was handed out and must not be seen.
func (a *Agent) Secrets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.secrets...)
}

func (a *Agent) answer(s *Server, w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != a.Token:
		http.Error(w, "[1]: (InvalidTokenException): The token included in the request is invalid: "+
			r.Header.Get("Authorization")+", fault: client", http.StatusBadRequest)
	case a.unknown > 0:
		a.unknown--
		http.Error(w, "[1]: (ResourceNotFoundException): No association found for the service account, fault: client", http.StatusNotFound)
	default:
		issued := s.issue(a.role, a.lifetime)
		a.fetched++
		a.secrets = append(a.secrets, issued.secretAccessKey, issued.sessionToken)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": issued.accessKeyID, "SecretAccessKey": issued.secretAccessKey, "Token": issued.sessionToken,
			"AccountId": "111122223333", "Expiration": issued.expires.Format(time.RFC3339Nano),
		})
	}
}

// issue makes credentials that the domain knows. The token has base64's characters, which are special in paths and patterns.
func (s *Server) issue(role string, lifetime time.Duration) credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	issued := credentials{
		accessKeyID: "ASIA" + rand.Text()[:16], secretAccessKey: rand.Text() + "+/" + rand.Text(),
		sessionToken: rand.Text() + "/+" + rand.Text() + "==", role: role, expires: time.Now().Add(lifetime).UTC(),
	}
	s.issued[issued.accessKeyID] = issued
	return issued
}
