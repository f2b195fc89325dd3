// Package setup runs the script of the set-up Job with this machine's Ruby against a domain on loopback: a real OpenSearch, behind
// what AWS has before it.
package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"expense/logging"
	"expense/rehearsal/internal/opensearchtest"
)

const (
	script = "../../logging/files/setup.rb"
	master = "arn:aws:iam::111122223333:role/setup"
	writer = "arn:aws:iam::111122223333:role/writer"
	reader = "arn:aws:iam::111122223333:role/reader"
	nobody = "arn:aws:iam::111122223333:role/nobody"
	// name begins the names of all that the logs have in the domain.
	name    = "project-logs"
	patient = 10 * time.Minute // then a script that does not end fails its test
)

func TestMain(m *testing.M) { opensearchtest.Main(m) }

var missing = sync.OnceValue(func() string {
	if out, err := exec.Command("ruby", "-e", `require "aws-sigv4"`).CombinedOutput(); err != nil {
		return fmt.Sprintf("the set-up's script needs ruby and its gem aws-sigv4 (Debian: ruby, ruby-aws-sigv4): %v %s", err, out)
	}
	return ""
})

// start serves a domain that is ready.
func start(t *testing.T) *opensearchtest.Server {
	t.Helper()
	s := startClosed(t)
	s.Open()
	return s
}

// startClosed serves a domain that takes no connections yet.
func startClosed(t *testing.T) *opensearchtest.Server {
	t.Helper()
	if reason := missing(); reason != "" {
		t.Skip(reason)
	}
	return opensearchtest.Start(t, master)
}

// document is what the Job gets, with the times of a test.
func document(t *testing.T, s *opensearchtest.Server, change func(*logging.SetupInput)) map[string]any {
	t.Helper()
	in := logging.SetupInput{
		Endpoint: "vpc-expense.us-east-1.es.amazonaws.com", Region: opensearchtest.Region, WriterRoleARN: writer, ReaderRoleARN: reader,
		DataStream: name, RetentionDays: 30, RolloverMiB: 1280, AuditLogs: true, Dashboards: true,
	}
	if change != nil {
		change(&in)
	}
	text, err := logging.SetupDocument(in)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out))
	require.Equal(t, "https://"+in.Endpoint, out["endpoint"])
	out["endpoint"], out["wait_seconds"], out["denied_seconds"], out["poll_seconds"] = s.URL, 300, 60, 0.01
	return out
}

// process is one run of the script.
type process struct {
	*exec.Cmd
	t              *testing.T
	s              *opensearchtest.Server
	stdout, stderr bytes.Buffer
	onLine         func(string) // of stdout
	started        chan struct{}
}

// signal may be called while it starts.
func (p *process) signal(signal os.Signal) {
	<-p.started
	_ = p.Process.Signal(signal) // it may have ended
}

// Write gets stdout.
func (p *process) Write(b []byte) (int, error) {
	if p.onLine != nil {
		p.onLine(string(b))
	}
	return p.stdout.Write(b)
}

// prepare makes a process of the script in a pod's environment. A test may change it before it runs.
func prepare(t *testing.T, s *opensearchtest.Server, document map[string]any) *process {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(document)
	require.NoError(t, err)
	files := map[string][]byte{"setup.json": text, "token": []byte(s.Agent.Token), "ca.pem": s.CertificatePEM()}
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	p := &process{Cmd: exec.Command("ruby", "-W", script, filepath.Join(dir, "setup.json")), t: t, s: s, started: make(chan struct{})}
	p.Env = []string{
		"PATH=" + os.Getenv("PATH"), "SSL_CERT_FILE=" + filepath.Join(dir, "ca.pem"),
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + s.Agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + filepath.Join(dir, "token"),
	}
	p.Stdout, p.Stderr = p, &p.stderr
	return p
}

// run runs it to its end and returns its exit code, -1 after a signal.
func (p *process) run() int {
	p.t.Helper()
	require.NoError(p.t, p.Start())
	close(p.started)
	late := time.AfterFunc(patient, func() { p.signal(syscall.SIGKILL) })
	err := p.Wait()
	require.True(p.t, late.Stop(), "the script did not end: %s", p.stdout.String())
	if err != nil {
		require.ErrorAs(p.t, err, new(*exec.ExitError))
	}
	for _, secret := range p.s.Agent.Secrets() {
		assert.NotContains(p.t, p.stdout.String()+p.stderr.String(), secret)
	}
	return p.ProcessState.ExitCode()
}

// failure is the last line of stderr.
func (p *process) failure() string {
	lines := strings.Split(strings.TrimSuffix(p.stderr.String(), "\n"), "\n")
	return lines[len(lines)-1]
}

// succeed runs the script with a document.
func succeed(t *testing.T, s *opensearchtest.Server, document map[string]any) *process {
	t.Helper()
	p := prepare(t, s, document)
	require.Zero(t, p.run(), p.stderr.String())
	assert.Empty(t, p.stderr.String())
	return p
}

// fail runs the script with a document, and returns its last line.
func fail(t *testing.T, p *process) string {
	t.Helper()
	require.Equal(t, 1, p.run(), p.stdout.String())
	assert.LessOrEqual(t, len(p.failure()), 1300)
	return p.failure()
}

// refused is how many requests failed at first.
func refused(s *opensearchtest.Server) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Status >= 400 && r.Status != 404 {
			n++
		}
	}
	return n
}

// assertOnce: no request had its effect twice, except those that only read.
func assertOnce(t *testing.T, s *opensearchtest.Server) {
	t.Helper()
	seen := map[string]int{}
	for _, r := range s.Requests() {
		if r.Method != "GET" && r.Status < 300 {
			seen[r.Method+" "+r.Path]++
		}
	}
	assert.Greater(t, len(seen), 7)
	for request, times := range seen {
		expected := 1
		if strings.Contains(request, "/_ism/add/") { // before the new index, and after it
			expected = 2
		}
		assert.Equal(t, expected, times, request)
	}
}

func paths(s *opensearchtest.Server) []string {
	var out []string
	for _, r := range s.Requests() {
		out = append(out, fmt.Sprint(r.Method, " ", r.Path, " ", r.Status))
	}
	return out
}

// request is the document's first request to a path with this start.
func request(t *testing.T, d map[string]any, start string) map[string]any {
	t.Helper()
	for _, r := range d["requests"].([]any) {
		if r := r.(map[string]any); strings.HasPrefix(r["path"].(string), start) {
			return r
		}
	}
	t.Fatalf("the set-up has no request to %s", start)
	return nil
}

// only keeps the requests of a document to paths with these starts.
func only(d map[string]any, starts ...string) map[string]any {
	d["requests"] = slices.DeleteFunc(d["requests"].([]any), func(r any) bool {
		return !slices.ContainsFunc(starts, func(start string) bool { return strings.HasPrefix(r.(map[string]any)["path"].(string), start) })
	})
	return d
}

// write adds a line, which a search then finds, and returns the status of the request and of the line.
func write(s *opensearchtest.Server, role, operation, index, id string) (int, int) {
	body := fmt.Sprintf("{%q:{\"_index\":%q,\"_id\":%q}}\n", operation, index, id)
	switch operation {
	case "delete":
	case "update":
		body += `{"doc":{"message":"other"}}` + "\n"
	default:
		body += `{"@timestamp":"2026-01-01T00:00:00.000Z","message":"hello"}` + "\n"
	}
	status, answer := s.Do(role, "POST", "/_bulk?refresh=true", body)
	var bulk struct {
		Items []map[string]struct{ Status int }
	}
	if json.Unmarshal([]byte(answer), &bulk) != nil || len(bulk.Items) != 1 {
		return status, 0
	}
	return status, bulk.Items[0][operation].Status
}

// Without the requests that only look.
func TestTheFirstRunMakesEveryRequestOnceAndSaysSo(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	p := succeed(t, s, d)
	var expected, sent []string
	for _, r := range d["requests"].([]any) {
		r := r.(map[string]any)
		expected = append(expected, fmt.Sprint(r["method"], " ", r["path"]))
	}
	for _, r := range s.Requests() {
		if r.Method != "GET" {
			assert.Contains(t, []int{200, 201}, r.Status, r.Path)
			sent = append(sent, r.Method+" "+r.Path)
		}
	}
	said := strings.Split(strings.TrimSuffix(p.stdout.String(), "\n"), "\n")
	require.Len(t, said, len(expected))
	for i, line := range slices.Backward(said) {
		if strings.HasSuffix(line, ": nothing to do") {
			expected = slices.Delete(expected, i, i+1)
		}
	}
	assert.Equal(t, expected, sent)
	assert.Equal(t, 1, s.Agent.Fetched(), "credentials are kept while they last")

	state := s.State()
	assert.Len(t, state.Roles, 2)
	assert.Len(t, state.Mappings, 2)
	assert.Contains(t, state.Templates, name)
	assert.Contains(t, state.Policies, name)
	assert.False(t, state.History)
	require.NotEmpty(t, state.SavedObjects)
	for key := range state.SavedObjects {
		assert.Regexp(t, "^global/", key, "whoever opens the dashboards sees it")
	}
}

func TestASecondRunChangesNothingButVersions(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	succeed(t, s, d)
	before := s.State()
	succeed(t, s, d) // still without a line
	assert.Equal(t, before, s.State())
	status, line := write(s, writer, "create", name, "1")
	require.Equal(t, []int{200, 201}, []int{status, line})
	before = s.State()
	require.Equal(t, 2, s.PolicyVersion(name))
	s.NextTerm()
	for version := 3; version < 5; version++ { // the version that is replaced is of the term before, and of this one
		succeed(t, s, d)
		assert.Equal(t, before, s.State())
		assert.Equal(t, version, s.PolicyVersion(name))
	}
}

// What has the former name stays.
func TestAChangedNameIsSetUpBesideTheFormer(t *testing.T) {
	for _, names := range [][]string{{"project", "project-web"}, {"project-web", "project"}} {
		t.Run(strings.Join(names, " to "), func(t *testing.T) {
			s := start(t)
			for _, name := range names {
				d := only(document(t, s, func(in *logging.SetupInput) { in.DataStream = name }), "/_plugins/", "/_index_template/", "/_data_stream/",
					"/"+name+"/")
				for range 2 {
					succeed(t, s, d)
				}
				_, line := write(s, writer, "create", name, "1")
				require.Equal(t, 201, line)
				managed := 0
				for _, index := range s.State().Indices {
					if index.Policy == name {
						assert.True(t, index.Newest)
						managed++
					}
				}
				assert.Positive(t, managed)
			}
		})
	}
}

// Without its policy the set-up fails, in either call.
func TestAPolicyThatIsGoneFails(t *testing.T) {
	for _, call := range []string{"add", "change_policy"} {
		t.Run(call, func(t *testing.T) {
			s := start(t)
			d := shaped(t, s, nil)
			succeed(t, s, d)
			_, line := write(s, master, "create", name, "1")
			require.Equal(t, 201, line)
			r := request(t, d, "/_plugins/_ism/"+call)
			r["body"] = map[string]any{"policy_id": "gone"}
			assert.Regexp(t, "POST "+regexp.QuoteMeta(r["path"].(string))+`: 404 .*Could not find policy=gone`, fail(t, prepare(t, s, d)))
		})
	}
}

func TestAChangedRetentionReachesTheIndicesThatExist(t *testing.T) {
	s := start(t)
	d := shaped(t, s, nil)
	succeed(t, s, d)
	_, line := write(s, master, "create", name, "1")
	require.Equal(t, 201, line)
	before := s.State()
	_, found := s.Do(master, "GET", "/_plugins/_ism/policies/"+name, "")
	var version struct {
		Sequence int `json:"_seq_no"`
		Term     int `json:"_primary_term"`
	}
	require.NoError(t, json.Unmarshal([]byte(found), &version))
	succeed(t, s, shaped(t, s, func(in *logging.SetupInput) { in.RetentionDays = 60 }))
	after := s.State()
	assert.NotEqual(t, before.Policies, after.Policies)
	assert.Regexp(t, "6[01]d", fmt.Sprintf("%v", after.Policies[name]))
	assert.Equal(t, before.Indices, after.Indices, "all have the newest version")
	assert.Contains(t, paths(s),
		fmt.Sprintf("PUT /_plugins/_ism/policies/%s?if_seq_no=%d&if_primary_term=%d 200", name, version.Sequence, version.Term))
}

// The set-up gives an index the policy again that somebody took from it by hand.
func TestAnIndexWithoutAPolicyGetsItAgain(t *testing.T) {
	s := start(t)
	d := shaped(t, s, nil)
	succeed(t, s, d)
	_, line := write(s, master, "create", name, "1")
	require.Equal(t, 201, line)
	before := s.State()
	status, answer := s.Do(master, "POST", "/_plugins/_ism/remove/"+name, "")
	require.Equal(t, http.StatusOK, status, answer)
	require.NotEqual(t, before.Indices, s.State().Indices)
	succeed(t, s, d)
	assert.Equal(t, before, s.State())
}

// All rights come from the roles that the set-up makes. OpenSearch itself refuses the writer's calls that the access policy refuses.
func TestTheWriterOnlyAddsLinesAndTheReaderOnlyReads(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	logs := name
	const other = "accounts"
	status, _ := write(s, writer, "create", logs, "1")
	assert.Equal(t, http.StatusForbidden, status, "before the set-up")
	succeed(t, s, d)
	for _, c := range []struct {
		role, operation, index string
		status, line           int
	}{
		{writer, "create", logs, 200, 201},
		{writer, "create", logs, 200, 409}, // a line that is sent again
		{writer, "create", other, 200, 403},
		{writer, "create", "project", 200, 403},
		{writer, "create", name + "x", 200, 403},
		{writer, "create", ".kibana_1", 200, 403},
		{writer, "index", ".opendistro_security", 200, 403},
		{reader, "create", logs, 403, 0},
		{reader, "delete", logs, 403, 0},
		{reader, "index", ".kibana_1", 403, 0}, // no dashboard either
		{nobody, "create", logs, 403, 0},
		{master, "create", other, 200, 201},
		{master, "create", ".kibana_1", 200, 201},
	} {
		status, line := write(s, c.role, c.operation, c.index, "1")
		assert.Equal(t, []int{c.status, c.line}, []int{status, line}, "%s: %s in %s", c.role, c.operation, c.index)
	}
	for _, operation := range []string{"delete", "update"} {
		_, line := write(s, writer, operation, logs, "1")
		assert.Contains(t, []int{400, 403}, line, operation) // a data stream takes neither from anybody
	}
	before := s.State()
	reads := []string{
		"GET /LOGS/_search", "POST /LOGS/_search", "POST /LOGS/_msearch", "GET /LOGS/_count", "GET /LOGS/_field_caps?fields=*",
		"POST /LOGS/_search?scroll=1m",
		"POST /LOGS/_search/point_in_time?keep_alive=1m", "GET /_resolve/index/LOGS",
	}
	refusedForBoth := []string{
		"GET /_cluster/health", "GET /_cluster/settings", "GET /_cluster/state", "GET /_cat/indices", "GET /_nodes", "GET /_tasks",
		"GET /LOGS/_settings", "GET /LOGS/_stats", "GET /LOGS/_recovery", "PUT /LOGS/_settings", "PUT /LOGS/_alias/a",
		"POST /LOGS/_close", "POST /LOGS/_open", "POST /LOGS/_refresh", "POST /LOGS/_flush", "POST /LOGS/_forcemerge", "POST /LOGS/_rollover",
		"DELETE /LOGS",
		"POST /LOGS/_update/1", "DELETE /LOGS/_doc/1",
		"PUT /accounts", "PUT /accounts/_doc/1", "DELETE /accounts", "PUT /_data_stream/accounts", "DELETE /_data_stream/LOGS",
		"PUT /_all/_settings",
		"GET /_index_template", "PUT /_index_template/x", "DELETE /_index_template/project-logs", "PUT /_component_template/x",
		"PUT /_template/x",
		"PUT /_ingest/pipeline/x", "PUT /_scripts/x", "PUT /_snapshot/x", "PUT /_cluster/settings", "POST /_cluster/reroute",
		"GET /_plugins/_ism/policies/project-logs", "PUT /_plugins/_ism/policies/project-logs", "DELETE /_plugins/_ism/policies/project-logs",
		"POST /_plugins/_ism/remove/LOGS", "GET /_plugins/_security/api/roles", "PUT /_plugins/_security/api/roles/project-logs-writer",
		"PUT /_plugins/_security/api/rolesmapping/all_access", "PATCH /_plugins/_security/api/roles", "PUT /_plugins/_security/api/audit/config",
		"GET /accounts/_search", "GET /.opendistro_security/_search", "GET /*/_search", "POST /_dashboards/api/saved_objects/_import",
	}
	for _, c := range []struct {
		role    string
		allowed []string // with 2xx
		refused []string // with 403
	}{
		{writer, []string{"GET /"}, slices.Concat(reads, refusedForBoth, []string{"GET /LOGS/_mapping", "GET /LOGS/_alias"})},
		{reader, append(reads, "GET /.kibana_1/_search"), append(refusedForBoth, "POST /_bulk", "POST /LOGS/_bulk", "PUT /.kibana_1/_doc/1")},
		{nobody, nil, append(reads, "GET /", "POST /_bulk")},
	} {
		for verdict, calls := range map[bool][]string{true: c.allowed, false: c.refused} {
			for _, call := range calls {
				method, path, _ := strings.Cut(strings.ReplaceAll(call, "LOGS", logs), " ")
				status, answer := s.Do(c.role, method, path, bodies[call])
				assert.Equal(t, verdict, status < 300, "%s: %s: %d %s", c.role, call, status, answer)
				assert.Equal(t, !verdict, status == 403, "%s: %s: %d %s", c.role, call, status, answer)
			}
		}
	}
	assert.Equal(t, before, s.State())
	_, answer := s.Do(reader, "GET", "/"+logs+"/_search", "")
	assert.Contains(t, answer, `"value":1`)
}

// bodies are those of the calls that need one.
var bodies = map[string]string{
	"POST /LOGS/_msearch": "{}\n{}\n", "PUT /LOGS/_settings": `{"index.refresh_interval":"1s"}`,
	"PUT /_all/_settings":  `{"index.refresh_interval":"1s"}`,
	"POST /LOGS/_update/1": `{"doc":{}}`, "PUT /accounts/_doc/1": "{}",
	"PUT /_index_template/x":     `{"index_patterns":["*"],"priority":1000,"template":{"settings":{}}}`,
	"PUT /_component_template/x": `{"template":{}}`, "PUT /_template/x": `{"index_patterns":["*"]}`,
	"PUT /_ingest/pipeline/x": `{"processors":[]}`, "PUT /_scripts/x": `{"script":{"lang":"painless","source":"1"}}`,
	"PUT /_snapshot/x":       `{"type":"fs"}`,
	"PUT /_cluster/settings": `{"persistent":{"cluster.max_shards_per_node":1}}`, "POST /_cluster/reroute": "{}",
	"PUT /_plugins/_ism/policies/project-logs":              `{"policy":{}}`,
	"PUT /_plugins/_security/api/roles/project-logs-writer": `{"cluster_permissions":["*"]}`,
	"PUT /_plugins/_security/api/rolesmapping/all_access":   `{"backend_roles":["*"]}`,
	"PATCH /_plugins/_security/api/roles":                   `[{"op":"remove","path":"/project-logs-writer"}]`,
	"PUT /_plugins/_security/api/audit/config":              `{"enabled":false}`, "POST /_bulk": `{"index":{"_index":"a"}}` + "\n{}\n",
	"POST /LOGS/_bulk":      `{"create":{}}` + "\n{}\n",
	"PUT /.kibana_1/_doc/1": "{}",
}

// The writer needs each of its permissions.
func TestTheWriterNeedsEachOfItsPermissions(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	succeed(t, s, d)
	role := request(t, d, "/_plugins/_security/api/roles/"+name+"-writer")
	text, err := json.Marshal(role["body"])
	require.NoError(t, err)
	number := 0
	for _, list := range []struct{ name, start string }{{"cluster", `"cluster_permissions":[`}, {"index", `"allowed_actions":[`}} {
		_, after, found := strings.Cut(string(text), list.start)
		require.True(t, found)
		before, _, _ := strings.Cut(after, "]")
		for _, permission := range strings.Split(before, ",") {
			without := strings.Replace(string(text), permission, `"none"`, 1)
			status, answer := s.Do(master, "PUT", role["path"].(string), without)
			require.Equal(t, http.StatusOK, status, answer)
			version, _ := s.Do(writer, "GET", "/", "")
			number++
			_, answer = s.Do(writer, "POST", "/_bulk", fmt.Sprintf("{\"create\":{\"_index\":%q}}\n{\"@timestamp\":0,\"new%d\":1}\n", name, number))
			assert.False(t, version == 200 && strings.Contains(answer, `"status":201`), "without %s: %s", permission, answer)
		}
	}
}

// Without dashboards there is no reader: the former one loses the role until they are back.
func TestAReaderThatIsNoMoreLosesAccess(t *testing.T) {
	s := start(t)
	for _, on := range []bool{true, false, true} {
		succeed(t, s, only(document(t, s, func(in *logging.SetupInput) {
			if in.Dashboards = on; !on {
				in.ReaderRoleARN = ""
			}
		}), "/_plugins/_security/api/role", "/_index_template/", "/_data_stream/"))
		_, line := write(s, writer, "create", name, fmt.Sprint(on))
		require.Contains(t, []int{201, 409}, line)
		status, _ := s.Do(reader, "GET", "/"+name+"/_search", "")
		assert.Equal(t, on, status == http.StatusOK)
		assert.Equal(t, on, status != http.StatusForbidden)
	}
}

func TestAWrongRoleFailsWithTheCallTheStatusAndTheBody(t *testing.T) {
	s := start(t)
	s.Agent.Assume(nobody)
	d := document(t, s, nil)
	d["denied_seconds"] = 0.2
	assert.Equal(t, `set-up of the domain: role project-logs-writer: PUT /_plugins/_security/api/roles/project-logs-writer: 403 `+
		`{"status":"FORBIDDEN","message":"No permission to access REST API: User `+nobody+
		` with Security roles [] does not have any role privileged for `+
		`admin access. No ssl info found in request."}`,
		fail(t, prepare(t, s, d)))
	assert.Greater(t, len(s.Requests()), 1, "it was tried again")
	assert.Empty(t, s.State().Roles)
}

// IAM roles, policies and the master's access take a moment to spread. Older credentials may stay worthless.
func TestAccessMayTakeAWhileToBecomeEffective(t *testing.T) {
	s := start(t)
	s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
		if r.Number <= 5 {
			return &opensearchtest.Reply{Status: 401 + 2*(r.Number%2), Body: map[string]any{"Message": "not authorized"}}
		}
		return nil
	})
	p := succeed(t, s, document(t, s, nil))
	assert.Equal(t, 6, s.Agent.Fetched(), "once for each try")
	assert.Equal(t, 1, strings.Count(p.stdout.String(), "waiting to send role project-logs-writer: 403 "))
}

func TestItWaitsWhileTheDomainStarts(t *testing.T) {
	s := startClosed(t)
	s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
		switch {
		case r.Number <= 20:
			return &opensearchtest.Reply{Status: http.StatusServiceUnavailable, Body: "OpenSearch Security not initialized."}
		case r.Number <= 22:
			return &opensearchtest.Reply{Status: http.StatusTooManyRequests, Body: "429 Too Many Requests"}
		}
		return nil
	})
	p := prepare(t, s, document(t, s, nil))
	p.onLine = func(line string) {
		if strings.HasPrefix(line, "waiting") {
			s.Open()
		}
	}
	require.Zero(t, p.run(), p.stderr.String())
	assert.Regexp(t, `^waiting to send role project-logs-writer: Errno::ECONNREFUSED: `, p.stdout.String())
	assert.Equal(t, 1, strings.Count(p.stdout.String(), "waiting"), "one line a minute")
	assert.Equal(t, 22, refused(s))
	assertOnce(t, s)
}

func TestItDoesNotWaitForEver(t *testing.T) {
	s := startClosed(t) // never opened
	d := document(t, s, nil)
	d["wait_seconds"] = 0.2
	assert.Regexp(t, `^set-up of the domain: role project-logs-writer: PUT /\S+: Errno::ECONNREFUSED: `, fail(t, prepare(t, s, d)))

	s.Open()
	s.Intercept(func(opensearchtest.Request) *opensearchtest.Reply {
		return &opensearchtest.Reply{Status: 503, Body: "starting"}
	})
	assert.Contains(t, fail(t, prepare(t, s, d)), `: 503 "starting"`)
}

// A node may go away at any moment: the next pod goes on, and the last ends in the same state. Each run finds what the one before left
// when it was killed at its first request, its second, and so on.
func TestKilledAtAnyPointItCanBeRunAgain(t *testing.T) {
	var expected opensearchtest.State
	var all int
	t.Run("not at all", func(t *testing.T) {
		s := start(t)
		succeed(t, s, document(t, s, nil))
		expected, all = s.State(), len(s.Requests())
		require.Greater(t, all, 8)
	})
	t.Run("after each request", func(t *testing.T) {
		s := start(t)
		for k := 1; k <= all; k++ {
			before := len(s.Requests())
			p := prepare(t, s, document(t, s, nil))
			s.After(func(r opensearchtest.Request) {
				if r.Number == before+k {
					p.signal(syscall.SIGKILL) // before it has the answer
				}
			})
			require.Equal(t, -1, p.run())
			require.Len(t, s.Requests(), before+k)
		}
		s.After(nil)
		succeed(t, s, document(t, s, nil))
		assert.Equal(t, expected, s.State())
	})
}

func TestItEndsWhenItIsToldTo(t *testing.T) {
	s := start(t)
	s.Intercept(func(opensearchtest.Request) *opensearchtest.Reply {
		return &opensearchtest.Reply{Status: 503, Body: "starting"}
	})
	d := document(t, s, nil)
	d["poll_seconds"] = 100
	p := prepare(t, s, d)
	p.onLine = func(string) { p.signal(syscall.SIGTERM) }
	assert.Equal(t, -1, p.run())
}

func TestCredentialsAreFetchedAnewBeforeTheyExpire(t *testing.T) {
	s := start(t)
	s.Agent.Lifetime(299 * time.Second)
	succeed(t, s, document(t, s, nil))
	assert.Equal(t, len(s.Requests()), s.Agent.Fetched())
}

func TestExpiredCredentialsAreReplaced(t *testing.T) {
	s := start(t)
	s.Agent.Lifetime(-time.Second)
	s.After(func(r opensearchtest.Request) {
		if r.Number == 3 {
			s.Agent.Lifetime(time.Hour)
		}
	})
	p := succeed(t, s, document(t, s, nil))
	assert.Contains(t, p.stdout.String(), "The security token included in the request is expired")
	assert.Equal(t, 3, refused(s))
	assertOnce(t, s)
}

func TestAnAssociationMayTakeAWhileToBeFound(t *testing.T) {
	s := start(t)
	s.Agent.NotFound(5)
	p := succeed(t, s, document(t, s, nil))
	assert.Contains(t, p.stdout.String(), "waiting to send credentials of the pod: 404 [1]: (ResourceNotFoundException)")
	assertOnce(t, s)
}

func TestAnAssociationThatIsNeverFoundFails(t *testing.T) {
	s := start(t)
	s.Agent.NotFound(1 << 30)
	d := document(t, s, nil)
	d["denied_seconds"] = 0.2
	assert.Regexp(t, `^set-up of the domain: credentials of the pod: GET http://\S+/v1/credentials: 404 .*ResourceNotFoundException`,
		fail(t, prepare(t, s, d)))
	assert.Empty(t, s.Requests())
}

// The agent here repeats the token that it refuses.
func TestABadTokenFailsWithoutBeingPrinted(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	d["denied_seconds"] = 0.2
	p := prepare(t, s, d)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("a+bad/token=="), 0o600))
	p.Env = append(p.Env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+file)
	said := fail(t, p)
	assert.Contains(t, said, "InvalidTokenException")
	assert.Contains(t, said, "[hidden]")
	assert.NotContains(t, p.stdout.String()+said, "a+bad/token")
}

// AWS repeats the headers of a request whose signature it finds wrong.
func TestWhatADomainRepeatsIsNotPrinted(t *testing.T) {
	s := start(t)
	s.Intercept(func(opensearchtest.Request) *opensearchtest.Reply {
		return &opensearchtest.Reply{Status: 403, Body: map[string]any{"message": "x-amz-security-token:" + strings.Join(s.Agent.Secrets(), " ")}}
	})
	d := document(t, s, nil)
	d["denied_seconds"] = 0
	assert.Contains(t, fail(t, prepare(t, s, d)), "x-amz-security-token:[hidden] [hidden] [hidden]")
}

func TestACertificateThatIsNotTrustedIsRefused(t *testing.T) {
	s := start(t)
	p := prepare(t, s, document(t, s, nil))
	p.Env = append(p.Env, "SSL_CERT_FILE=/dev/null")
	assert.Regexp(t, `role project-logs-writer: PUT \S+: OpenSSL::SSL::SSLError: .*certificate verify failed`, fail(t, p))
	assert.Empty(t, s.Requests())
	assert.NotContains(t, p.stdout.String(), "waiting")
}

func TestAPodWithoutIdentityFailsAtOnce(t *testing.T) {
	s := start(t)
	for variable, expected := range map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set: ",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is not set: ",
	} {
		p := prepare(t, s, document(t, s, nil))
		for i, assignment := range p.Env {
			if strings.HasPrefix(assignment, variable) {
				p.Env[i] = "UNSET=1"
			}
		}
		assert.Contains(t, fail(t, p), expected)
	}
	p := prepare(t, s, document(t, s, nil))
	p.Env = append(p.Env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/nowhere")
	assert.Contains(t, fail(t, p), "token of the pod: No such file or directory")
	assert.Empty(t, s.Requests())
}

func TestAFailureOfTheDomainIsTriedAgain(t *testing.T) {
	s := start(t)
	s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
		if r.Number == 5 {
			return &opensearchtest.Reply{Status: 500, Body: "oops"}
		}
		return nil
	})
	succeed(t, s, document(t, s, nil))
	assert.Contains(t, paths(s)[4], "PUT /_index_template/project-logs 500")
	assert.Contains(t, paths(s)[5], "PUT /_index_template/project-logs 200")
	assert.Equal(t, 1, refused(s))
	assertOnce(t, s)
}

func TestARequestThatIsWrongFailsAtOnce(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	wrong := request(t, d, "/_index_template/")
	wrong["body"].(map[string]any)["a very long name"+strings.Repeat("g", 2000)] = 1
	said := fail(t, prepare(t, s, d))
	assert.Regexp(t, `^set-up of the domain: index template: PUT /_index_template/project-logs: 400 .*x_content_parse_exception`, said)
	assert.Less(t, len(said), 1150)
	assert.Len(t, s.Requests(), 5, "neither again nor any further")
}

// The container's locale does not matter; here there is none.
func TestTextThatIsNotASCIIGoesBothWays(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	role := d["requests"].([]any)[0].(map[string]any)
	role["name"], role["body"].(map[string]any)["description"] = "größte Rolle", "Zeilen für später"
	assert.Contains(t, succeed(t, s, d).stdout.String(), "größte Rolle: 201\n")
	assert.Contains(t, fmt.Sprint(s.State().Roles[name+"-writer"]), "Zeilen für später")

	s.Intercept(func(opensearchtest.Request) *opensearchtest.Reply {
		return &opensearchtest.Reply{Status: 400, Body: "zu groß"}
	})
	assert.Contains(t, fail(t, prepare(t, s, d)), `größte Rolle: PUT /_plugins/_security/api/roles/project-logs-writer: 400 "zu groß"`)
}

// An edit of the policy at the same moment is not overwritten unseen.
func TestARacedPolicyIsLookedAtAgain(t *testing.T) {
	for races, exit := range map[int]int{1: 0, 4: 0, 5: 1} {
		t.Run(fmt.Sprint(races, " times"), func(t *testing.T) {
			s := start(t)
			raced := 0
			s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
				if r.Method == "PUT" && strings.HasPrefix(r.Path, "/_plugins/_ism/") && raced < races {
					raced++
					return &opensearchtest.Reply{Status: http.StatusConflict, Body: map[string]any{"error": "version conflict"}}
				}
				return nil
			})
			p := prepare(t, s, only(document(t, s, nil), "/_plugins/_ism/policies/"))
			require.Equal(t, exit, p.run())
			assert.Equal(t, races, raced)
			if exit != 0 {
				assert.Contains(t, p.failure(), `retention policy: PUT /_plugins/_ism/policies/project-logs: 409 {"error":"version conflict"}`)
			}
		})
	}
}

// The status says 200, the body says otherwise.
func TestAFailureThatIsReportedAsSuccessFails(t *testing.T) {
	failed := func(reason string) map[string]any {
		return map[string]any{"updated_indices": 0, "failures": true, "failed_indices": []any{
			map[string]any{"index_name": "one", "reason": "This index already has a policy, use the update policy API to update index policies"},
			map[string]any{"index_name": "another", "reason": reason},
		}}
	}
	const imports = "/_dashboards/api/saved_objects/_import"
	imported := func(kinds ...string) map[string]any {
		var errors []any
		for _, kind := range kinds {
			errors = append(errors, map[string]any{"id": "a", "type": "search", "error": map[string]any{"type": kind}})
		}
		return map[string]any{"success": false, "errors": errors}
	}
	s := start(t)
	for name, c := range map[string]struct {
		path string // starts so
		body any
		exit int
	}{
		"an index that ISM cannot write down": {"/_plugins/_ism/change_policy/", failed("failed to index"), 1},
		"an index that is being deleted": {
			"/_plugins/_ism/change_policy/", failed("Cannot change policy while transitioning to new state"), 0,
		},
		"a closed index":                  {"/_plugins/_ism/add/", failed("This index is closed"), 0},
		"a closed index without a policy": {"/_plugins/_ism/change_policy/", failed("This index is not being managed"), 0},
		"failures that are not listed":    {"/_plugins/_ism/add/", map[string]any{"failures": true}, 1},
		"failures without a reason": {
			"/_plugins/_ism/add/", map[string]any{"failures": true, "failed_indices": []any{map[string]any{"reason": nil}}}, 1,
		},
		"no word about failures":             {"/_plugins/_ism/add/", map[string]any{}, 1},
		"a list":                             {"/_plugins/_ism/add/", []any{}, 1},
		"an import":                          {imports, imported("missing_references"), 1},
		"an import without a reason":         {imports, imported(), 1},
		"an import of what is there":         {imports, imported("conflict", "conflict"), 0},
		"an import of what is there in part": {imports, imported("conflict", "missing_references"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			intercepted := 0
			s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
				if strings.HasPrefix(r.Path, c.path) {
					intercepted++
					return &opensearchtest.Reply{Status: 200, Body: c.body}
				}
				return nil
			})
			p := prepare(t, s, only(document(t, s, nil), c.path))
			require.Equal(t, c.exit, p.run(), p.stderr.String())
			assert.Positive(t, intercepted)
			if c.path == imports && c.exit == 0 {
				assert.Contains(t, p.stdout.String(), "dashboards: 200, nothing was imported: 2 of the objects are there")
			}
			if c.exit != 0 {
				assert.Regexp(t, "POST "+c.path+`\S*: 200 `, p.failure())
			}
		})
	}
}

// The server finds the missing references of an import.
func TestDashboardsWithoutTheirIndexPatternAreRefused(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	saved := request(t, d, "/_dashboards")
	saved["objects"] = []any{map[string]any{
		"type": "dashboard", "id": "web", "attributes": map[string]any{"title": "web"},
		"references": []any{map[string]any{"type": "index-pattern", "id": "gone", "name": "pattern"}},
	}}
	assert.Contains(t, fail(t, prepare(t, s, d)), "missing_references")
}
