// Package setup runs the script of the set-up Job, with this machine's Ruby, against a domain on loopback.
package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
	script  = "../../logging/files/setup.rb"
	master  = "arn:aws:iam::111122223333:role/setup"
	writer  = "arn:aws:iam::111122223333:role/writer"
	reader  = "arn:aws:iam::111122223333:role/reader"
	nobody  = "arn:aws:iam::111122223333:role/nobody"
	patient = 120 * time.Second // for a script that does not end; nothing waits so long otherwise
)

var missing = sync.OnceValue(func() string {
	if out, err := exec.Command("ruby", "-e", `require "aws-sigv4"`).CombinedOutput(); err != nil {
		return fmt.Sprintf("the set-up's script needs ruby and its gem aws-sigv4 (Debian: ruby, ruby-aws-sigv4): %v %s", err, out)
	}
	return ""
})

// start serves a domain that is ready.
func start(t *testing.T) *opensearchtest.Server {
	t.Helper()
	t.Parallel()
	if reason := missing(); reason != "" {
		t.Skip(reason)
	}
	s := opensearchtest.Start(t, master)
	s.Open()
	return s
}

// document is what the Job gets, with the times of a test.
func document(t *testing.T, s *opensearchtest.Server, change func(*logging.SetupInput)) map[string]any {
	t.Helper()
	in := logging.SetupInput{
		Endpoint: "vpc-expense.us-east-1.es.amazonaws.com", Region: opensearchtest.Region, WriterRoleARN: writer, ReaderRoleARN: reader,
		IndexPrefix: "project", RetentionDays: 30, AuditLogs: true, Dashboards: true,
	}
	if change != nil {
		change(&in)
	}
	text, err := logging.SetupDocument(in)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out))
	require.Equal(t, "https://"+in.Endpoint, out["endpoint"])
	out["endpoint"], out["wait_seconds"], out["denied_seconds"], out["poll_seconds"] = s.URL, 60, 10, 0.01
	return out
}

// process is a script that runs, or has run.
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

// prepare makes a process of the script in a pod's environment, to be changed before it is run.
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

// fail runs the script with a document, and returns what it says at its end.
func fail(t *testing.T, p *process) string {
	t.Helper()
	require.Equal(t, 1, p.run(), p.stdout.String())
	assert.LessOrEqual(t, len(p.failure()), 1300)
	return p.failure()
}

func paths(s *opensearchtest.Server) []string {
	var out []string
	for _, r := range s.Requests() {
		out = append(out, fmt.Sprint(r.Method, " ", r.Path, " ", r.Status))
	}
	return out
}

// write adds a line to an index, and returns the status of the request and, if it got so far, that of the line.
func write(s *opensearchtest.Server, role, operation, index string) (int, int) {
	body := fmt.Sprintf("{%q:{\"_index\":%q,\"_id\":\"1\"}}\n", operation, index)
	if operation != "delete" {
		body += `{"message":"hello","time":1.5,"a field of the app":1}` + "\n"
	}
	status, answer := s.Do(role, "POST", "/_bulk", body)
	var bulk struct {
		Items []map[string]struct{ Status int }
	}
	if json.Unmarshal([]byte(answer), &bulk) != nil || len(bulk.Items) != 1 {
		return status, 0
	}
	return status, bulk.Items[0][operation].Status
}

func TestTheFirstRunMakesEveryRequestOnceAndSaysSo(t *testing.T) {
	s := start(t)
	p := succeed(t, s, document(t, s, nil))
	assert.Equal(t, []string{
		"PUT /_plugins/_security/api/roles/project-writer 201",
		"PUT /_plugins/_security/api/rolesmapping/project-writer 201",
		"PUT /_plugins/_security/api/roles/project-reader 201",
		"PUT /_plugins/_security/api/rolesmapping/project-reader 201",
		"PUT /_index_template/project 200",
		"GET /_plugins/_ism/policies/project 404",
		"PUT /_plugins/_ism/policies/project 201",
		"POST /_plugins/_ism/add/project-* 200",
		"PUT /_plugins/_security/api/audit/config 200",
		"POST /_dashboards/api/saved_objects/_import?overwrite=true 200",
	}, paths(s))
	assert.Equal(t, "role project-writer: 201\nwho has role project-writer: 201\nrole project-reader: 201\nwho has role project-reader: 201\n"+
		"index template: 200\nretention policy: 201\nretention of indices without a policy: 200\nretention of indices with a policy: nothing to do\n"+
		"audit logs: 200\ndashboards: 200\n", p.stdout.String())
	assert.Equal(t, 1, s.Agent.Fetched(), "credentials are kept while they last")

	state := s.State()
	assert.Len(t, state.Roles, 2)
	assert.Len(t, state.Mappings, 2)
	assert.Contains(t, state.Templates, "project")
	assert.Contains(t, state.Policies, "project")
	assert.NotNil(t, state.Audit)
	require.NotEmpty(t, state.SavedObjects)
	for key := range state.SavedObjects {
		assert.Regexp(t, "^global/", key, "whoever opens the dashboards sees it")
	}
}

func TestASecondRunChangesNothingButVersions(t *testing.T) {
	s := start(t)
	succeed(t, s, document(t, s, nil))
	before := s.State()
	succeed(t, s, document(t, s, nil)) // still without an index
	assert.Equal(t, before, s.State())
	status, line := write(s, writer, "create", "project-2026.01.01")
	require.Equal(t, []int{200, 201}, []int{status, line})
	before = s.State()
	require.Equal(t, 2, s.PolicyVersion("project"))
	s.RestartNode()
	for version := 3; version < 5; version++ { // the version that is replaced is of the term before, and of this one
		succeed(t, s, document(t, s, nil))
		assert.Equal(t, before, s.State())
		assert.Equal(t, version, s.PolicyVersion("project"))
	}
}

// The former prefix's template and policy stay, and their patterns may match the new prefix's indices.
func TestAChangedPrefixIsSetUpBesideTheFormer(t *testing.T) {
	for _, prefixes := range [][]string{{"project", "project-web"}, {"project-web", "project"}, {"project", "other"}} {
		t.Run(strings.Join(prefixes, " to "), func(t *testing.T) {
			s := start(t)
			for _, prefix := range prefixes {
				for range 2 {
					succeed(t, s, document(t, s, func(in *logging.SetupInput) { in.IndexPrefix = prefix }))
				}
				_, line := write(s, writer, "create", prefix+"-2026.01.01")
				require.Equal(t, 201, line)
				assert.Equal(t, opensearchtest.IndexState{Template: prefix, Policy: prefix, Newest: true}, s.State().Indices[prefix+"-2026.01.01"])
			}
		})
	}
}

// A policy that is not there is a failure, whichever call finds that out.
func TestAPolicyThatIsGoneFails(t *testing.T) {
	for _, call := range []string{"add", "change_policy"} {
		t.Run(call, func(t *testing.T) {
			s := start(t)
			succeed(t, s, document(t, s, nil))
			_, line := write(s, writer, "create", "project-2026.01.01")
			require.Equal(t, 201, line)
			d := document(t, s, nil)
			for _, r := range d["requests"].([]any) {
				if r := r.(map[string]any); r["path"] == "/_plugins/_ism/"+call+"/project-*" {
					r["body"] = map[string]any{"policy_id": "gone"}
				}
			}
			assert.Regexp(t, "POST /_plugins/_ism/"+call+`/project-\*: 404 .*Could not find policy=gone`, fail(t, prepare(t, s, d)))
		})
	}
}

func TestAChangedRetentionReachesTheIndicesThatExist(t *testing.T) {
	s := start(t)
	_, line := write(s, master, "create", "project-2025.12.31") // before there was a policy
	require.Equal(t, 201, line)
	succeed(t, s, document(t, s, nil))
	_, line = write(s, writer, "create", "project-2026.01.01")
	require.Equal(t, 201, line)
	managed := opensearchtest.IndexState{Template: "project", Policy: "project", Newest: true}
	unmade := opensearchtest.IndexState{Policy: "project", Newest: true}
	require.Equal(t, map[string]opensearchtest.IndexState{"project-2025.12.31": unmade, "project-2026.01.01": managed}, s.State().Indices)

	before := s.State()
	_, found := s.Do(master, "GET", "/_plugins/_ism/policies/project", "")
	var version struct {
		Sequence int `json:"_seq_no"`
		Term     int `json:"_primary_term"`
	}
	require.NoError(t, json.Unmarshal([]byte(found), &version))
	succeed(t, s, document(t, s, func(in *logging.SetupInput) { in.RetentionDays = 60 }))
	after := s.State()
	assert.NotEqual(t, before.Policies, after.Policies)
	assert.Contains(t, fmt.Sprintf("%v", after.Policies["project"]), "61d")
	assert.Equal(t, before.Indices, after.Indices, "all have the newest version")
	assert.Contains(t, paths(s), fmt.Sprintf("PUT /_plugins/_ism/policies/project?if_seq_no=%d&if_primary_term=%d 200", version.Sequence, version.Term))
}

// The roles are those that the set-up makes; nobody can do anything before.
func TestTheWriterOnlyAddsLinesAndTheReaderOnlyReads(t *testing.T) {
	s := start(t)
	status, _ := write(s, writer, "create", "project-2026.01.01")
	assert.Equal(t, http.StatusForbidden, status, "before the set-up")
	succeed(t, s, document(t, s, nil))

	const today, other = "project-2026.01.01", "accounts-2026.01.01"
	for _, c := range []struct {
		role, operation, index string
		status, line           int
	}{
		{writer, "create", today, 200, 201},
		{writer, "create", today, 200, 409}, // a line that is sent again
		{writer, "create", "project-2026.01.02", 200, 201},
		{writer, "delete", today, 200, 403},
		{writer, "update", today, 200, 403},
		{writer, "create", other, 200, 403},
		{writer, "create", "project", 200, 403},
		{writer, "create", ".kibana_1", 200, 403},
		{reader, "create", today, 403, 0},
		{reader, "delete", today, 403, 0},
		{reader, "index", ".kibana_1", 403, 0}, // no dashboard either
		{nobody, "create", today, 403, 0},
		{master, "create", other, 200, 201},
	} {
		status, line := write(s, c.role, c.operation, c.index)
		assert.Equal(t, []int{c.status, c.line}, []int{status, line}, "%s: %s in %s", c.role, c.operation, c.index)
	}
	for _, c := range []struct {
		role, method, path, body string
		status                   int
	}{
		{writer, "GET", "/", "", 200}, // fluentd's look at the version
		{writer, "GET", "/project-*/_search", "", 403},
		{writer, "PUT", "/_index_template/project", `{"index_patterns":["project-*"]}`, 403},
		{writer, "GET", "/_plugins/_ism/policies/project", "", 403},
		{writer, "PUT", "/_plugins/_security/api/roles/project-writer", `{"cluster_permissions":["*"]}`, 403},
		{reader, "GET", "/project-*/_search", "", 200},
		{reader, "POST", "/project-2026.01.01/_search", "{}", 200},
		{reader, "GET", "/accounts-*/_search", "", 403},
		{reader, "GET", "/*/_search", "", 403},
		{reader, "PUT", "/_plugins/_security/api/rolesmapping/project-writer", `{"backend_roles":["*"]}`, 403},
		{nobody, "GET", "/", "", 403},
		{nobody, "GET", "/project-*/_search", "", 403},
	} {
		status, answer := s.Do(c.role, c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s: %s %s: %s", c.role, c.method, c.path, answer)
	}
	_, answer := s.Do(reader, "GET", "/project-2026.01.01/_search", "")
	assert.Contains(t, answer, `"value":1`)
}

// Without dashboards nobody is the reader: whoever was before is not any more.
func TestAReaderThatIsNoMoreLosesAccess(t *testing.T) {
	s := start(t)
	succeed(t, s, document(t, s, nil))
	write(s, writer, "create", "project-2026.01.01")
	succeed(t, s, document(t, s, func(in *logging.SetupInput) { in.ReaderRoleARN, in.Dashboards = "", false }))
	status, _ := s.Do(reader, "GET", "/project-*/_search", "")
	assert.Equal(t, http.StatusForbidden, status)
}

func TestAWrongRoleFailsWithTheCallTheStatusAndTheBody(t *testing.T) {
	s := start(t)
	s.Agent.Assume(nobody)
	d := document(t, s, nil)
	d["denied_seconds"] = 0.2
	assert.Equal(t, `set-up of the domain: role project-writer: PUT /_plugins/_security/api/roles/project-writer: 403 `+
		`{"message":"No permission to access REST API: User `+nobody+` with Security roles [] does not have any role privileged for admin access. `+
		`No ssl info found in request.","status":"FORBIDDEN"}`,
		fail(t, prepare(t, s, d)))
	assert.Greater(t, len(s.Requests()), 1, "it was tried again")
	assert.Empty(t, s.State().Roles)
}

// IAM roles, policies and the master's access take a moment to spread, and credentials from before may stay worthless.
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
	assert.Equal(t, 1, strings.Count(p.stdout.String(), "waiting to send role project-writer: 403 "))
}

func TestItWaitsWhileTheDomainStarts(t *testing.T) {
	t.Parallel()
	if reason := missing(); reason != "" {
		t.Skip(reason)
	}
	s := opensearchtest.Start(t, master)
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
	assert.Regexp(t, `^waiting to send role project-writer: Errno::ECONNREFUSED: `, p.stdout.String())
	assert.Equal(t, 1, strings.Count(p.stdout.String(), "waiting"), "one line a minute")
	assert.Len(t, s.Requests(), 22+10)
}

func TestItDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	if reason := missing(); reason != "" {
		t.Skip(reason)
	}
	s := opensearchtest.Start(t, master) // never opened
	d := document(t, s, nil)
	d["wait_seconds"] = 0.2
	assert.Regexp(t, `^set-up of the domain: role project-writer: PUT /\S+: Errno::ECONNREFUSED: `, fail(t, prepare(t, s, d)))

	ready := opensearchtest.Start(t, master)
	ready.Open()
	ready.Intercept(func(opensearchtest.Request) *opensearchtest.Reply {
		return &opensearchtest.Reply{Status: 503, Body: "starting"}
	})
	d = document(t, ready, nil)
	d["wait_seconds"] = 0.2
	assert.Contains(t, fail(t, prepare(t, ready, d)), `: 503 "starting"`)
}

// Whatever it was doing when its node went away: the next pod ends in the same state.
func TestKilledAtAnyPointItCanBeRunAgain(t *testing.T) {
	s := start(t)
	succeed(t, s, document(t, s, nil))
	expected, all := s.State(), len(s.Requests())
	require.Equal(t, 10, all)
	for k := 1; k <= all; k++ {
		t.Run(fmt.Sprint("after request ", k), func(t *testing.T) {
			s := start(t)
			p := prepare(t, s, document(t, s, nil))
			s.After(func(r opensearchtest.Request) {
				if r.Number == k {
					p.signal(syscall.SIGKILL) // before it has the answer
				}
			})
			require.Equal(t, -1, p.run())
			require.Len(t, s.Requests(), k)
			s.After(nil)
			succeed(t, s, document(t, s, nil))
			assert.Equal(t, expected, s.State())
		})
	}
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
	assert.Len(t, s.Requests(), 3+10)
}

func TestAnAssociationMayTakeAWhileToBeFound(t *testing.T) {
	s := start(t)
	s.Agent.NotFound(5)
	p := succeed(t, s, document(t, s, nil))
	assert.Contains(t, p.stdout.String(), "waiting to send credentials of the pod: 404 [1]: (ResourceNotFoundException)")
	assert.Len(t, s.Requests(), 10)
}

func TestAnAssociationThatIsNeverFoundFails(t *testing.T) {
	s := start(t)
	s.Agent.NotFound(1 << 30)
	d := document(t, s, nil)
	d["denied_seconds"] = 0.2
	assert.Regexp(t, `^set-up of the domain: credentials of the pod: GET http://\S+/v1/credentials: 404 .*ResourceNotFoundException`, fail(t, prepare(t, s, d)))
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
	assert.Regexp(t, `role project-writer: PUT \S+: OpenSSL::SSL::SSLError: .*certificate verify failed`, fail(t, p))
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
	assert.Contains(t, paths(s)[4], "PUT /_index_template/project 500")
	assert.Contains(t, paths(s)[5], "PUT /_index_template/project 200")
	assert.Len(t, s.Requests(), 11)
}

func TestARequestThatIsWrongFailsAtOnce(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	wrong := d["requests"].([]any)[4].(map[string]any)
	wrong["body"].(map[string]any)["tempalte"] = strings.Repeat("long\n", 1000)
	wrong["body"].(map[string]any)["a very long name"+strings.Repeat("g", 2000)] = 1
	said := fail(t, prepare(t, s, d))
	assert.Regexp(t, `^set-up of the domain: index template: PUT /_index_template/project: 400 .*json: unknown field`, said)
	assert.Less(t, len(said), 1100)
	assert.Len(t, s.Requests(), 5, "neither again nor any further")
}

// Whatever the container's locale is; here there is none.
func TestTextThatIsNotASCIIGoesBothWays(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	role := d["requests"].([]any)[0].(map[string]any)
	role["name"], role["body"].(map[string]any)["description"] = "größte Rolle", "Zeilen für später"
	assert.Contains(t, succeed(t, s, d).stdout.String(), "größte Rolle: 201\n")
	assert.Contains(t, fmt.Sprint(s.State().Roles["project-writer"]), "Zeilen für später")

	s.Intercept(func(opensearchtest.Request) *opensearchtest.Reply {
		return &opensearchtest.Reply{Status: 400, Body: "zu groß"}
	})
	assert.Contains(t, fail(t, prepare(t, s, d)), `größte Rolle: PUT /_plugins/_security/api/roles/project-writer: 400 "zu groß"`)
}

// Somebody who edits the policy at the same moment is not overwritten unseen.
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
			p := prepare(t, s, document(t, s, nil))
			require.Equal(t, exit, p.run())
			assert.Equal(t, races, raced)
			if exit != 0 {
				assert.Contains(t, p.failure(), `retention policy: PUT /_plugins/_ism/policies/project: 409 {"error":"version conflict"}`)
			}
		})
	}
}

// The status says 200, the body says otherwise.
func TestAFailureThatIsReportedAsSuccessFails(t *testing.T) {
	failed := func(reason string) map[string]any {
		return map[string]any{"updated_indices": 0, "failures": true, "failed_indices": []any{
			map[string]any{"index_name": "project-2026.01.01", "reason": "This index already has a policy, use the update policy API to update index policies"},
			map[string]any{"index_name": "project-2026.01.02", "reason": reason},
		}}
	}
	for name, c := range map[string]struct {
		path string
		body any
		exit int
	}{
		"an index that ISM cannot write down": {"/_plugins/_ism/change_policy/project-*", failed("failed to index"), 1},
		"an index that is being deleted":      {"/_plugins/_ism/change_policy/project-*", failed("Cannot change policy while transitioning to new state"), 0},
		"a closed index":                      {"/_plugins/_ism/add/project-*", failed("This index is closed"), 0},
		"a closed index without a policy":     {"/_plugins/_ism/change_policy/project-*", failed("This index is not being managed"), 0},
		"failures that are not listed":        {"/_plugins/_ism/add/project-*", map[string]any{"failures": true}, 1},
		"failures without a reason":           {"/_plugins/_ism/add/project-*", map[string]any{"failures": true, "failed_indices": []any{map[string]any{"reason": nil}}}, 1},
		"no word about failures":              {"/_plugins/_ism/add/project-*", map[string]any{}, 1},
		"a list":                              {"/_plugins/_ism/add/project-*", []any{}, 1},
		"an import":                           {"/_dashboards/api/saved_objects/_import?overwrite=true", map[string]any{"success": false, "errors": []any{"missing_references"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			succeed(t, s, document(t, s, nil))
			_, line := write(s, writer, "create", "project-2026.01.01")
			require.Equal(t, 201, line)
			intercepted := 0
			s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
				if r.Path == c.path {
					intercepted++
					return &opensearchtest.Reply{Status: 200, Body: c.body}
				}
				return nil
			})
			p := prepare(t, s, document(t, s, nil))
			require.Equal(t, c.exit, p.run())
			assert.Equal(t, 1, intercepted)
			if c.exit != 0 {
				assert.Contains(t, p.failure(), "POST "+c.path+": 200 ")
			}
		})
	}
}

// The server itself finds what an import refers to and lacks.
func TestDashboardsWithoutTheirIndexPatternAreRefused(t *testing.T) {
	s := start(t)
	d := document(t, s, nil)
	requests := d["requests"].([]any)
	saved := requests[len(requests)-1].(map[string]any)
	saved["objects"] = []any{map[string]any{
		"type": "dashboard", "id": "web", "attributes": map[string]any{"title": "web"},
		"references": []any{map[string]any{"type": "index-pattern", "id": "gone", "name": "pattern"}},
	}}
	assert.Contains(t, fail(t, prepare(t, s, d)), "missing_references")
}
