package fluentd

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"expense/logging"
	"expense/rehearsal/internal/opensearchtest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	region = opensearchtest.Region
	master = "arn:aws:iam::111122223333:role/setup"
	writer = "arn:aws:iam::111122223333:role/writer"
	stream = "project-logs"
	// patience is how long a test waits before it fails.
	patience = 5 * time.Minute
	// mostBytes is the limit of a request, unpacked.
	mostBytes = 8 << 20
)

// document is what a sidecar sent of a line.
type document struct {
	id   string
	body map[string]any
}

func (d document) text(name string) string { return fmt.Sprint(d.body[name]) }

// domain is the OpenSearch of the tests after the set-up, with the STS of the sidecars.
type domain struct {
	server *opensearchtest.Server
	sts    *httptest.Server
	run    runner

	mu      sync.Mutex
	refuse  func(documents []document) *opensearchtest.Reply
	taken   map[string]document // by ID, what was in requests that OpenSearch itself answered with 200
	largest int
	bulks   int
}

func newDomain(t *testing.T, run runner) *domain {
	t.Helper()
	d := &domain{run: run, server: opensearchtest.Start(t, master), taken: map[string]document{}}
	d.server.Open()
	setUp(t, d.server)
	d.server.Agent.Assume(writer)
	d.sts = httptest.NewServer(http.HandlerFunc(d.assume))
	t.Cleanup(d.sts.Close)
	refused := map[*byte]bool{} // by the first byte of the request's body
	d.server.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
		if !strings.HasPrefix(r.Path, "/_bulk") {
			return nil
		}
		documents, size, err := unpack(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.bulks++
		d.largest = max(d.largest, size)
		if err != nil {
			return &opensearchtest.Reply{Status: http.StatusBadRequest, Body: map[string]any{"error": err.Error()}}
		}
		if d.refuse == nil {
			return nil
		}
		reply := d.refuse(documents)
		if reply != nil {
			refused[&r.Body[0]] = true
		}
		return reply
	})
	d.server.After(func(r opensearchtest.Request) {
		if !strings.HasPrefix(r.Path, "/_bulk") || r.Status != http.StatusOK {
			return
		}
		documents, _, _ := unpack(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		if refused[&r.Body[0]] {
			delete(refused, &r.Body[0])
			return
		}
		for _, one := range documents {
			d.taken[one.id] = one
		}
	})
	return d
}

// setUp runs the script of the set-up Job.
func setUp(t *testing.T, s *opensearchtest.Server) {
	t.Helper()
	text, err := logging.SetupDocument(logging.SetupInput{
		Endpoint: "vpc-expense.us-east-1.es.amazonaws.com", Region: region, WriterRoleARN: writer, ReaderRoleARN: writer,
		DataStream: stream, RetentionDays: 3, RolloverMiB: 1280,
	})
	require.NoError(t, err)
	text = bytes.Replace(text, []byte("https://vpc-expense.us-east-1.es.amazonaws.com"), []byte(s.URL), 1)
	dir := t.TempDir()
	for name, content := range map[string][]byte{"setup.json": text, "token": []byte(s.Agent.Token), "ca.pem": s.CertificatePEM()} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	command := exec.Command("ruby", filepath.Join(files, "setup.rb"), filepath.Join(dir, "setup.json"))
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "SSL_CERT_FILE=" + filepath.Join(dir, "ca.pem"),
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + s.Agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + filepath.Join(dir, "token"),
	}
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

// unpack reads a bulk request.
func unpack(body []byte) (documents []document, size int, err error) {
	packed, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	plain, err := io.ReadAll(packed)
	if err != nil {
		return nil, 0, err
	}
	lines := bytes.Split(bytes.TrimSuffix(plain, []byte("\n")), []byte("\n"))
	for i := 0; i+1 < len(lines); i += 2 {
		var head struct {
			Create struct {
				ID string `json:"_id"`
			} `json:"create"`
		}
		one := document{}
		if err := json.Unmarshal(lines[i], &head); err != nil {
			return nil, 0, err
		}
		if err := json.Unmarshal(lines[i+1], &one.body); err != nil {
			return nil, 0, err
		}
		one.id = head.Create.ID
		documents = append(documents, one)
	}
	return documents, len(plain), nil
}

// assume answers AssumeRoleWithWebIdentity with the credentials that the domain's stand-in of AWS hands out
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html).
func (d *domain) assume(w http.ResponseWriter, r *http.Request) {
	ask, _ := http.NewRequest(http.MethodGet, d.server.Agent.URL, nil)
	ask.Header.Set("Authorization", d.server.Agent.Token)
	answer, err := http.DefaultClient.Do(ask)
	if err != nil || r.FormValue("RoleArn") != writer {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	defer answer.Body.Close()
	var out struct {
		XMLName     xml.Name `json:"-" xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
		Credentials struct {
			AccessKeyID     string `json:"AccessKeyId" xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string `json:"Token"`
			Expiration      time.Time
		} `json:"-" xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	_ = json.NewDecoder(answer.Body).Decode(&out.Credentials)
	_ = xml.NewEncoder(w).Encode(out)
}

// refusing lets f answer the next bulk requests, which then have no effect; nil ends that.
func (d *domain) refusing(f func(documents []document) *opensearchtest.Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = f
}

// away answers as a gateway without a node.
func away([]document) *opensearchtest.Reply {
	return &opensearchtest.Reply{Status: http.StatusServiceUnavailable, Body: map[string]any{"message": "no healthy upstream"}}
}

// of are OpenSearch's documents of a pod.
func (d *domain) of(p *pod) (out []document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.taken {
		if one.text("pod") == p.name {
			out = append(out, one)
		}
	}
	return out
}

// arrive waits until a pod has so many documents, here and in OpenSearch.
func (d *domain) arrive(p *pod, count int) []document {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for len(d.of(p)) < count && time.Now().Before(deadline) {
		time.Sleep(200 * time.Millisecond)
	}
	got := d.of(p)
	assert.Equal(p.t, count, len(got), "documents of %s\n%s", p.name, tail(p.output()))
	assert.Equal(p.t, len(got), d.count(p.t, `{"query":{"term":{"pod":"`+p.name+`"}}}`), "documents of %s that a search finds", p.name)
	return got
}

// count is how many documents a search finds.
func (d *domain) count(t *testing.T, query string) int {
	t.Helper()
	status, answer := d.server.Do(master, http.MethodPost, "/"+stream+"/_refresh", "")
	require.Equal(t, http.StatusOK, status, answer)
	status, answer = d.server.Do(master, http.MethodPost, "/"+stream+"/_count", query)
	require.Equal(t, http.StatusOK, status, answer)
	var out struct{ Count int }
	require.NoError(t, json.Unmarshal([]byte(answer), &out))
	return out.Count
}

func tail(text string) string {
	return text[max(0, len(text)-4000):]
}
