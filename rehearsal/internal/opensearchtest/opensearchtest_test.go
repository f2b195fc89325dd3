package opensearchtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	master = "arn:aws:iam::111122223333:role/master"
	other  = "arn:aws:iam::111122223333:role/other"
)

func started(t *testing.T) *Server {
	s := Start(t, master)
	s.Open()
	return s
}

// What AWS refuses must be refused here, or a wrong signer would pass.
func TestOnlyWhatWasSignedIsAnswered(t *testing.T) {
	const body = `{"index_patterns":["a-*"]}`
	now := time.Now().UTC()
	type signing struct {
		credentials     credentials
		region, service string
		date            time.Time
		hash            string
	}
	for name, c := range map[string]struct {
		sign   func(*signing)
		change func(*http.Request)
		says   string // "" is accepted
	}{
		"as it should be":                          {},
		"with a clock that is a bit off":           {sign: func(s *signing) { s.date = now.Add(-4 * time.Minute) }},
		"with another header that is not signed":   {change: func(r *http.Request) { r.Header.Set("X-Other", "1") }},
		"with another secret":                      {sign: func(s *signing) { s.credentials.secretAccessKey = rand.Text() }, says: "does not match the signature you provided"},
		"another body":                             {change: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"index_patterns":["b-*"]}`)) }, says: "does not match the signature"},
		"another path":                             {change: func(r *http.Request) { r.URL.Path = "/_index_template/b" }, says: "does not match the signature"},
		"another query":                            {change: func(r *http.Request) { r.URL.RawQuery = "a=2&b=*" }, says: "does not match the signature"},
		"another method":                           {change: func(r *http.Request) { r.Method = "POST" }, says: "does not match the signature"},
		"another host":                             {change: func(r *http.Request) { r.Host = "another.host" }, says: "does not match the signature"},
		"another value of a header that is signed": {change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, says: "does not match the signature"},
		"with a hash of something else":            {sign: func(s *signing) { s.hash = hashOf(nil) }, says: "does not match the signature"},
		"claiming another hash":                    {change: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf(nil)) }, says: "does not match the body"},
		"without the token":                        {change: func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, says: "security token included in the request is invalid"},
		"with an unknown key":                      {sign: func(s *signing) { s.credentials.accessKeyID = "ASIAUNKNOWN" }, says: "security token included in the request is invalid"},
		"for another region":                       {sign: func(s *signing) { s.region = "eu-west-1" }, says: "valid region"},
		"for another service":                      {sign: func(s *signing) { s.service = "aoss" }, says: "valid region and service"},
		"too early":                                {sign: func(s *signing) { s.date = now.Add(-6 * time.Minute) }, says: "Signature expired"},
		"too late":                                 {sign: func(s *signing) { s.date = now.Add(6 * time.Minute) }, says: "Signature expired"},
		"not at all":                               {change: func(r *http.Request) { r.Header.Del("Authorization") }, says: "anonymous is not authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			s := started(t)
			with := signing{s.issue(master, time.Hour), Region, service, now, hashOf([]byte(body))}
			if c.sign != nil {
				c.sign(&with)
			}
			r := httptest.NewRequest("PUT", "/_index_template/a-*?a=1&b=*", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			require.NoError(t, v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{
				AccessKeyID: with.credentials.accessKeyID, SecretAccessKey: with.credentials.secretAccessKey, SessionToken: with.credentials.sessionToken,
			}, r, with.hash, with.service, with.region, with.date))
			if c.change != nil {
				c.change(r)
			}
			answer := httptest.NewRecorder()
			s.serve(answer, r)
			if c.says == "" {
				assert.Equal(t, http.StatusOK, answer.Code, answer.Body)
				return
			}
			assert.Equal(t, http.StatusForbidden, answer.Code)
			assert.Contains(t, answer.Body.String(), c.says)
			assert.Empty(t, s.State().Templates)
		})
	}
}

func TestCredentialsExpire(t *testing.T) {
	s := started(t)
	body := []byte(nil)
	issued := s.issue(master, -time.Second)
	r := httptest.NewRequest("GET", "/", nil)
	_, err := sign(r, issued, hashOf(body), time.Now().UTC())
	require.NoError(t, err)
	answer := httptest.NewRecorder()
	s.serve(answer, r)
	assert.Contains(t, answer.Body.String(), "The security token included in the request is expired")
}

// The rule that a policy is replaced by who names its version, and by nobody else.
func TestAPolicyIsWrittenOnlyByWhoKnowsItsVersion(t *testing.T) {
	s := started(t)
	const path, body = "/_plugins/_ism/policies/p", `{"policy":{"description":"","default_state":"hot","states":[{"name":"hot"}]}}`
	for _, c := range []struct {
		query  string
		status int
	}{
		{"?if_seq_no=0&if_primary_term=1", 409}, // there is none
		{"", 201},
		{"", 409},
		{"?if_seq_no=1&if_primary_term=1", 409},
		{"?if_seq_no=0&if_primary_term=2", 409},
		{"?if_seq_no=0", 409},
		{"?if_seq_no=0&if_primary_term=1", 200},
		{"?if_seq_no=0&if_primary_term=1", 409},
		{"?if_seq_no=1&if_primary_term=1", 200},
	} {
		status, answer := s.Do(master, "PUT", path+c.query, body)
		assert.Equal(t, c.status, status, "%q: %s", c.query, answer)
	}
	_, answer := s.Do(master, "GET", path, "")
	assert.Contains(t, answer, `"_seq_no":2`)
	assert.Equal(t, 3, s.PolicyVersion("p"))
}

// The numbers name the policy's last write among all writes to one index, and the term is that of the write.
func TestAPolicysNumbersJumpAndItsTermRises(t *testing.T) {
	s := started(t)
	const path = "/_plugins/_ism/policies/p"
	const body = `{"policy":{"description":"","default_state":"hot","states":[{"name":"hot","actions":[{"delete":{}}]}],"ism_template":[{"index_patterns":["a-*"]}]}}`
	for _, c := range []struct {
		query        string
		numbers      string
		before       func()
		status, reps int
	}{
		{"", `"_primary_term":1,"_seq_no":0,`, nil, 201, 1},
		{"?if_seq_no=0&if_primary_term=1", `"_primary_term":1,"_seq_no":2,`, func() {
			s.Do(master, "POST", "/_bulk", `{"create":{"_index":"a-1"}}`+"\n{}\n")
		}, 200, 2},
		{"?if_seq_no=2&if_primary_term=1", `"_primary_term":2,"_seq_no":3,`, s.RestartNode, 200, 3},
		{"?if_seq_no=3&if_primary_term=2", `"_primary_term":2,"_seq_no":5,`, func() {
			s.Do(master, "POST", "/_plugins/_ism/change_policy/a-*", `{"policy_id":"p"}`)
		}, 200, 4},
	} {
		if c.before != nil {
			c.before()
		}
		status, answer := s.Do(master, "PUT", path+c.query, body)
		assert.Equal(t, c.status, status, answer)
		_, answer = s.Do(master, "GET", path, "")
		assert.Contains(t, answer, c.numbers)
		assert.Equal(t, c.reps, s.PolicyVersion("p"))
	}
	_, answer := s.Do(master, "GET", path, "")
	for _, added := range []string{
		`"policy_id":"p"`, `"schema_version":21`, `"error_notification":null`, `"last_updated_time":1`,
		`"actions":[{"delete":{},"retry":{"backoff":"exponential","count":3,"delay":"1m"}}]`,
	} {
		assert.Contains(t, answer, added)
	}
}

// Answers are status and, where it is an error, its type and reason. The rows "seen" are what OpenSearch 2.19.1 with its
// security plugin answered to the same; those of ISM are read off its source.
func TestWhatIsRefusedIsRefusedAsOpenSearchDoes(t *testing.T) {
	const policy = `{"policy":{"description":"","default_state":"a","states":[{"name":"a"}],"ism_template":[{"index_patterns":["p-*"],"priority":1}]}}`
	s := started(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		// seen
		{"PUT", "/_plugins/_security/api/roles/r", `{"cluster_permission":[]}`, 400, `{"invalid_keys":{"keys":"cluster_permission"},"reason":"Invalid configuration","status":"error"}`},
		{"PUT", "/_plugins/_security/api/roles/r", `{} {}`, 400, "Request body required for this action."},
		{"PUT", "/_plugins/_security/api/roles/r", ``, 400, "Request body required for this action."},
		{"PUT", "/_plugins/_security/api/rolesmapping/nobody", `{"backend_roles":["a"]}`, 404, "role 'nobody' not found."},
		{"PUT", "/_index_template/t", `{"priority":1}`, 400, `{"reason":"Required [index_patterns]","type":"illegal_argument_exception"}`},
		{"PUT", "/_index_template/t", `{"index_patterns":[]}`, 400, "There must be at least one pattern, zero given"},
		{"PUT", "/_index_template/t", `{"index_patterns":["a"],"settings":{}}`, 400, "x_content_parse_exception"},
		{"PUT", "/_index_template/t", `{"index_patterns":["t-*"],"priority":1}`, 200, ""},
		{"PUT", "/_index_template/t", `{"index_patterns":["t-*"],"priority":1}`, 200, ""},
		{"PUT", "/_index_template/u", `{"index_patterns":["t-u-*"],"priority":2}`, 200, ""},
		{"PUT", "/_index_template/u", `{"index_patterns":["t-u-*"],"priority":1}`, 400, "index template [u] has index patterns [t-u-*] matching patterns from existing templates [t] with patterns"},
		{"PUT", "/_index_template/v", `{"index_patterns":["tu-*"],"priority":1}`, 200, ""},
		{"PUT", "/_plugins/_nothing", `{}`, 400, "no handler found for uri [/_plugins/_nothing] and method [PUT]"},
		// from the sources
		{"PUT", "/_plugins/_security/api/audit/config", `{"enabled":true}`, 409, ""},
		{"GET", "/_plugins/_ism/policies/p", ``, 404, "no such index [.opendistro-ism-config]"},
		{"POST", "/_plugins/_ism/add/p-*", `{"policy_id":"p"}`, 200, `{"failed_indices":[],"failures":false,"updated_indices":0}`},
		{"POST", "/_plugins/_ism/change_policy/p-*", `{"policy_id":"p"}`, 404, "Could not find policy=p"},
		{"PUT", "/_plugins/_ism/policies/p", `{"policy":{"default_state":"a","states":[{"name":"a"}]}}`, 400, "description is null"},
		{"PUT", "/_plugins/_ism/policies/p", `{"policy":{"description":"","states":[{"name":"a"}]}}`, 400, "default_state is null"},
		{"PUT", "/_plugins/_ism/policies/p", `{"policy":{"description":"","default_state":"a","states":[]}}`, 400, "at least one State"},
		{"PUT", "/_plugins/_ism/policies/p", `{"policy":{"description":"","default_state":"b","states":[{"name":"a"}]}}`, 400, "valid default state"},
		{"PUT", "/_plugins/_ism/policies/p", `{"policy":{"description":"","default_state":"a","states":[{"name":"a","transitions":[{"state_name":"b"}]}]}}`, 400, "nonexistent state=b"},
		{"PUT", "/_plugins/_ism/policies/p", `{"default_state":"a"}`, 400, ""},
		{"PUT", "/_plugins/_ism/policies/p", policy, 201, ""},
		{"PUT", "/_plugins/_ism/policies/q", policy, 400, "index_management_exception"},
		{"GET", "/_plugins/_ism/policies/q", ``, 404, "Policy not found"},
		{"POST", "/_plugins/_ism/add/p-*", `{"policy_id":"p"}`, 200, `{"failed_indices":[],"failures":false,"updated_indices":0}`},
		{"POST", "/_plugins/_ism/change_policy/p-*", `{"policy_id":"p"}`, 400, `{"reason":"Validation Failed: 1: no documents to get;","type":"action_request_validation_exception"}`},
		{"POST", "/_plugins/_ism/change_policy/p-1", `{"policy_id":"p"}`, 404, "index_not_found_exception"},
		{"POST", "/_bulk", `{"create":{"_index":"p-1"}}` + "\n{}\n", 200, `"status":201`},
		{"POST", "/_plugins/_ism/add/p-*", `{"policy_id":"q"}`, 404, "Could not find policy=q"},
		{"POST", "/_plugins/_ism/add/p-*", `{"policy_id":"p"}`, 200, "This index already has a policy"},
		{"POST", "/_plugins/_ism/change_policy/p-*", `{"policy_id":"p"}`, 200, `{"failed_indices":[],"failures":false,"updated_indices":1}`},
		{"POST", "/_dashboards/api/saved_objects/_import", `{}`, 400, ""},
		{"POST", "/_bulk", `{"create":{"_index":"a"}}`, 400, ""},
	} {
		status, answer := s.Do(master, c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %s %s: %s", c.method, c.path, c.body, answer)
		assert.Contains(t, answer, c.says, "%s %s %s", c.method, c.path, c.body)
	}
	state := s.State()
	assert.Empty(t, state.Roles)
	assert.Empty(t, state.Mappings)
	assert.Nil(t, state.Audit)
	assert.Len(t, state.Templates, 3)
	assert.Len(t, state.Policies, 1)
	assert.Len(t, state.Indices, 1)
}

// Each permission of a bulk request is needed: without any one of them the line is refused.
func TestABulkRequestNeedsEachOfItsPermissions(t *testing.T) {
	all := []string{"indices:admin/create", "indices:admin/mapping/put", "indices:data/write/bulk[s]", "indices:data/write/index"}
	for left := -1; left < len(all); left++ {
		s := started(t)
		granted := append([]string(nil), all...)
		expected := `"status":201`
		if left >= 0 {
			granted[left] = "none"
			expected = fmt.Sprintf("no permissions for [%s]", all[left])
		}
		s.Do(master, "PUT", "/_plugins/_security/api/roles/r", fmt.Sprintf(
			`{"cluster_permissions":["cluster_composite_ops"],"index_permissions":[{"index_patterns":["a-?"],"allowed_actions":["%s"]}]}`, strings.Join(granted, `","`)))
		s.Do(master, "PUT", "/_plugins/_security/api/rolesmapping/r", fmt.Sprintf(`{"backend_roles":[%q]}`, other))
		status, answer := s.Do(other, "POST", "/_bulk", `{"create":{"_index":"a-1","_id":"1"}}`+"\n"+`{"field":1}`+"\n")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, answer, expected)
		_, answer = s.Do(other, "POST", "/_bulk", `{"create":{"_index":"a-10","_id":"1"}}`+"\n"+`{"field":1}`+"\n")
		assert.Contains(t, answer, "no permissions for")
	}
}

func TestNobodyConnectsBeforeOpen(t *testing.T) {
	s := Start(t, master)
	_, err := http.Get(s.URL)
	assert.ErrorContains(t, err, "connection refused")
	s.Open()
	status, _ := s.Do(master, "GET", "/", "")
	assert.Equal(t, http.StatusOK, status)
}
