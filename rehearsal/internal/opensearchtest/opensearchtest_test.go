package opensearchtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
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

func TestMain(m *testing.M) { Main(m) }

func started(t *testing.T) *Server {
	t.Helper()
	s := Start(t, master)
	s.Open()
	return s
}

// What AWS refuses must be refused here, or a wrong signer would pass.
func TestOnlyWhatWasSignedIsAnswered(t *testing.T) {
	const (
		body     = `{"index_patterns":["a-*"]}`
		mismatch = "does not match the signature you provided"
		invalid  = "security token included in the request is invalid"
	)
	s, accepted := started(t), 0
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
		"as it should be":                        {},
		"with a clock that is a bit off":         {sign: func(s *signing) { s.date = now.Add(-4 * time.Minute) }},
		"with another header that is not signed": {change: func(r *http.Request) { r.Header.Set("X-Other", "1") }},
		"with another secret":                    {sign: func(s *signing) { s.credentials.secretAccessKey = rand.Text() }, says: mismatch},
		"another body": {
			change: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"index_patterns":["b-*"]}`)) },
			says:   mismatch,
		},
		"another path":   {change: func(r *http.Request) { r.URL.Path = "/_index_template/b" }, says: mismatch},
		"another query":  {change: func(r *http.Request) { r.URL.RawQuery = "cause=*&create=false" }, says: mismatch},
		"another method": {change: func(r *http.Request) { r.Method = "POST" }, says: mismatch},
		"another host":   {change: func(r *http.Request) { r.Host = "another.host" }, says: mismatch},
		"another value of a header that is signed": {
			change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			says:   mismatch,
		},
		"with a hash of something else": {sign: func(s *signing) { s.hash = hashOf(nil) }, says: mismatch},
		"claiming another hash": {
			change: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf(nil)) },
			says:   "does not match the body",
		},
		"without the token":   {change: func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, says: invalid},
		"with an unknown key": {sign: func(s *signing) { s.credentials.accessKeyID = "ASIAUNKNOWN" }, says: invalid},
		"for another region":  {sign: func(s *signing) { s.region = "eu-west-1" }, says: "valid region"},
		"for another service": {sign: func(s *signing) { s.service = "aoss" }, says: "valid region and service"},
		"too early":           {sign: func(s *signing) { s.date = now.Add(-6 * time.Minute) }, says: "Signature expired"},
		"too late":            {sign: func(s *signing) { s.date = now.Add(6 * time.Minute) }, says: "Signature expired"},
		"not at all": {
			change: func(r *http.Request) { r.Header.Del("Authorization") },
			says:   "anonymous is not authorized",
		},
	} {
		t.Run(name, func(t *testing.T) {
			with := signing{s.issue(master, time.Hour), Region, service, now, hashOf([]byte(body))}
			if c.sign != nil {
				c.sign(&with)
			}
			r := httptest.NewRequest("PUT", "/_index_template/a-b?cause=*&create=true", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			require.NoError(t, v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{
				AccessKeyID:     with.credentials.accessKeyID,
				SecretAccessKey: with.credentials.secretAccessKey,
				SessionToken:    with.credentials.sessionToken,
			}, r, with.hash, with.service, with.region, with.date))
			if c.change != nil {
				c.change(r)
			}
			answer := httptest.NewRecorder()
			s.serve(answer, r)
			if c.says == "" {
				assert.Equal(t, http.StatusOK, answer.Code, answer.Body)
				accepted++
				s.Do(master, "DELETE", "/_index_template/*", "")
				return
			}
			assert.Equal(t, http.StatusForbidden, answer.Code)
			assert.Contains(t, answer.Body.String(), c.says)
			assert.Empty(t, s.State().Templates)
		})
	}
	assert.Equal(t, 3, accepted)
}

func TestCredentialsExpire(t *testing.T) {
	s := started(t)
	issued := s.issue(master, -time.Second)
	r := httptest.NewRequest("GET", "/", nil)
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{
		AccessKeyID: issued.accessKeyID, SecretAccessKey: issued.secretAccessKey, SessionToken: issued.sessionToken,
	}, r, hashOf(nil), service, Region, time.Now().UTC()))
	answer := httptest.NewRecorder()
	s.serve(answer, r)
	assert.Contains(t, answer.Body.String(), "The security token included in the request is expired")
}

// OpenSearch's Ruby client, which fluentd's plugin has, signs the user agent; AWS's SDKs do not.
func TestAnyHeaderMayBeSigned(t *testing.T) {
	s := started(t)
	for agent, status := range map[string]int{"opensearch-ruby  3": http.StatusOK, "another": http.StatusForbidden} {
		issued, now := s.issue(master, time.Hour), time.Now().UTC()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Amz-Date", now.Format(dateFormat))
		r.Header.Set("X-Amz-Security-Token", issued.sessionToken)
		r.Header.Set("User-Agent", "opensearch-ruby 3")
		headers := []string{"host", "user-agent", "x-amz-date", "x-amz-security-token"}
		signature := sign(canonical(r, headers, hashOf(nil)), issued.secretAccessKey, Region, now)
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
			issued.accessKeyID, now.Format("20060102"), Region, service, strings.Join(headers, ";"), signature))
		r.Header.Set("User-Agent", agent)
		answer := httptest.NewRecorder()
		s.serve(answer, r)
		assert.Equal(t, status, answer.Code, answer.Body)
	}
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
	const body = `{"policy":{"description":"","default_state":"hot","states":[{"name":"hot","actions":[{"delete":{}}]}],` +
		`"ism_template":[{"index_patterns":["a-*"]}]}}`
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
		{"?if_seq_no=2&if_primary_term=1", `"_primary_term":2,"_seq_no":3,`, s.NextTerm, 200, 3},
		{"?if_seq_no=3&if_primary_term=2", `"_primary_term":2,"_seq_no":5,`, func() {
			s.Do(master, "POST", "/_plugins/_ism/change_policy/a-1", `{"policy_id":"p"}`)
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
}

// What the stand-ins answer: status and, of an error, its type and reason.
func TestTheStandInsAnswerAsTheRealOnesDo(t *testing.T) {
	const (
		policies = "/_plugins/_ism/policies/"
		policy   = `{"policy":{"description":"","default_state":"a","states":[{"name":"a"}],` +
			`"ism_template":[{"index_patterns":["p-*","stream"],"priority":1}]}}`
		first   = ".ds-stream-000001"
		nothing = `{"failed_indices":[],"failures":false,"updated_indices":0}`
		one     = `{"failed_indices":[],"failures":false,"updated_indices":1}`
	)
	states := func(states string) string {
		return `{"policy":{"description":"","default_state":"a","states":` + states + `}}`
	}
	s := started(t)
	for _, c := range []struct {
		role, method, path, body string
		status                   int
		says                     string
	}{
		// The audit configuration's fields that AWS only lets read.
		{master, "PUT", "/_plugins/_security/api/audit/config", `{"enabled":true}`, 409, ""},
		{other, "PUT", "/_plugins/_security/api/audit/config", `{"enabled":true}`, 403, "does not have any role privileged for admin access"},

		// Index State Management, before there is a policy
		{other, "GET", policies + "p", ``, 403, "no permissions for [cluster:admin/opendistro/ism/policy/get] and User [name=" + other},
		{other, "POST", "/_plugins/_ism/add/p-*", `{"policy_id":"p"}`, 403, "security_exception"},
		{master, "GET", policies + "p", ``, 404, "no such index [.opendistro-ism-config]"},
		{master, "POST", "/_plugins/_ism/add/p-*", `{"policy_id":"p"}`, 500, "takes one name"},
		{master, "POST", "/_plugins/_ism/add/p-1", `{"policy_id":"p"}`, 200, nothing},
		{master, "POST", "/_plugins/_ism/change_policy/p-1", `{"policy_id":"p"}`, 404, "Could not find policy=p"},

		// a policy's form
		{master, "PUT", policies + "p", `{"policy":{"default_state":"a","states":[{"name":"a"}]}}`, 400, "description is null"},
		{master, "PUT", policies + "p", `{"policy":{"description":"","states":[{"name":"a"}]}}`, 400, "default_state is null"},
		{
			master, "PUT", policies + "p", `{"policy":{"description":"","default_state":"a","states":[],"state":1}}`,
			400, `unknown field \"state\"`,
		},
		{master, "PUT", policies + "p", states(`[]`), 400, "valid default state"},
		{master, "PUT", policies + "p", states(`[{"name":"b"}]`), 400, "valid default state"},
		{master, "PUT", policies + "p", states(`[{"name":"a"},{"name":"a"}]`), 400, "duplicate state names"},
		{master, "PUT", policies + "p", states(`[{"name":"a","transitions":[{"state_name":"b"}]}]`), 400, "nonexistent state=b"},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"rollver":{}}]}]`),
			400, `unknown field \"states[0].actions[0].rollver\"`,
		},
		{master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"retry":{}}]}]`), 400, "Action inside state is null"},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"rollover":{"min_rollover_age":"1d"}}]}]`),
			400, `rollover.min_rollover_age\"`,
		},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"rollover":{"min_index_age":"1 day"}}]}]`),
			400, "failed to parse setting of {Age:1 day",
		},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"delete":{}},{"delete":{}}]}]`),
			400, "must not contain an action after a delete action",
		},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"delete":{}}],"transitions":[{"state_name":"a"}]}]`),
			400, "cannot contain transitions if using delete action",
		},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","transitions":[{"state_name":"a","conditions":{}}]}]`),
			400, "more than one Transition condition",
		},
		{
			master, "PUT", policies + "p",
			states(`[{"name":"a","transitions":[{"state_name":"a","conditions":{"min_index_age":"1d","min_size":"1gb"}}]}]`),
			400, "more than one Transition condition",
		},
		{
			master, "PUT", policies + "p", states(`[{"name":"a","transitions":[{"state_name":"a","conditions":{"min_age":"1d"}}]}]`),
			400, "failed to parse setting [min_age]",
		},
		{master, "PUT", policies + "p", states(`[{"name":"a"}],"ism_template":[{"index_patterns":[]}]`), 400, "at least one index pattern"},
		{master, "PUT", policies + "p", `{"default_state":"a"}`, 400, ""},
		{master, "PUT", policies + "p", states(`[{"name":"a","actions":[{"rollover":{"min_index_age":"1d","min_primary_shard_size":"10gb"}}],` +
			`"transitions":[{"state_name":"b","conditions":{"min_rollover_age":"30d"}}]},{"name":"b","actions":[{"delete":{}}]}]`), 201, ""},
		{master, "DELETE", policies + "p", ``, 200, "deleted"},

		// which index has which policy
		{master, "POST", "/_bulk", `{"create":{"_index":"p-0"}}` + "\n{}\n", 200, `"status":201`},
		{master, "PUT", policies + "p", policy, 201, ""},
		{master, "GET", policies + "q", ``, 404, "Policy not found"},
		{master, "POST", "/_plugins/_ism/change_policy/p-0", `{"policy_id":"p"}`, 200, "This index is not being managed"},
		{master, "DELETE", "/p-0", ``, 200, ""},
		{master, "POST", "/_plugins/_ism/change_policy/p-1", `{"policy_id":"p"}`, 404, "index_not_found_exception"},
		{master, "POST", "/_plugins/_ism/change_policy/stream", `{"policy_id":"p"}`, 404, "index_not_found_exception"},
		{master, "POST", "/_bulk", `{"create":{"_index":"p-1"}}` + "\n{}\n", 200, `"status":201`},
		{master, "POST", "/_plugins/_ism/add/p-1", `{"policy_id":"q"}`, 404, "Could not find policy=q"},
		{master, "POST", "/_plugins/_ism/add/p-1", `{}`, 400, "Missing policy_id"},
		{master, "POST", "/_plugins/_ism/add/p-1", `{"policy_id":"p"}`, 200, "This index already has a policy"},
		{master, "POST", "/_plugins/_ism/change_policy/p-1", `{"policy_id":"p"}`, 200, one},
		{master, "POST", "/_plugins/_ism/remove/p-1", ``, 200, one},
		{master, "POST", "/p-1/_close", ``, 200, ""},
		{master, "POST", "/_plugins/_ism/add/p-1", `{"policy_id":"p"}`, 200, "This index is closed"},
		{master, "DELETE", "/p-1", ``, 200, ""},

		// a data stream's indices are known by the stream's name
		{master, "PUT", "/_index_template/stream", `{"index_patterns":["stream"],"data_stream":{}}`, 200, ""},
		{master, "PUT", "/_data_stream/stream", ``, 200, ""},
		{master, "POST", "/_plugins/_ism/add/stream", `{"policy_id":"p"}`, 200, `"index_name":"` + first + `"`},
		{master, "POST", "/_plugins/_ism/change_policy/stream", `{"policy_id":"p"}`, 200, one},
		{master, "POST", "/stream/_rollover", ``, 200, ""},
		{master, "POST", "/_plugins/_ism/change_policy/stream", `{"policy_id":"p"}`, 200, `"updated_indices":2`},
		{master, "DELETE", policies + "p", ``, 200, ""},
		{master, "POST", "/stream/_rollover", ``, 200, ""},
		{master, "POST", "/_plugins/_ism/change_policy/stream", `{"policy_id":"p"}`, 404, "Could not find policy=p"},

		// a setting of the index management's, which OpenSearch does not know without it
		{
			master, "PUT", "/_cluster/settings", `{"persistent":{"plugins.index_state_management.history.enabled":false}}`,
			200, `"acknowledged":true`,
		},
		{
			master, "PUT", "/_cluster/settings",
			`{"persistent":{"plugins.index_state_management.history.enabled":false,"cluster.max_shards_per_node":900}}`, 200, `"900"`,
		},
		{master, "PUT", "/_cluster/settings", `{"persistent":{"plugins.index_state_management.job_interval":1}}`, 400, "not recognized"},
		{
			other, "PUT", "/_cluster/settings", `{"persistent":{"plugins.index_state_management.history.enabled":true}}`,
			403, "cluster:admin/settings/update",
		},

		// Dashboards
		{master, "POST", "/_dashboards/api/saved_objects/_import", `{}`, 400, "osd-xsrf"},
		{other, "POST", "/_dashboards/api/saved_objects/_import", `{}`, 403, ""},
		{other, "POST", "/_dashboards/internal/search/opensearch", `{}`, 400, "osd-xsrf"},
	} {
		status, answer := s.Do(c.role, c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %s %s: %s", c.method, c.path, c.body, answer)
		assert.Contains(t, answer, c.says, "%s %s %s", c.method, c.path, c.body)
	}
	state := s.State()
	assert.False(t, state.History)
	assert.Equal(t, map[string][]string{"stream": {first, ".ds-stream-000002", ".ds-stream-000003"}}, state.Streams)
	for number, has := range map[string]string{"1": "p", "2": "p", "3": ""} {
		assert.Equal(t, has, state.Indices[".ds-stream-00000"+number].Policy)
	}
}

// A browser searches by way of Dashboards, as who asks.
func TestASearchInDashboardsIsOnesOwn(t *testing.T) {
	s := started(t)
	s.Do(master, "PUT", "/_plugins/_security/api/roles/r", `{"index_permissions":[{"index_patterns":["mine"],"allowed_actions":["read"]}]}`)
	s.Do(master, "PUT", "/_plugins/_security/api/rolesmapping/r", fmt.Sprintf(`{"backend_roles":[%q]}`, other))
	s.Do(master, "POST", "/_bulk?refresh=true",
		`{"create":{"_index":"mine"}}`+"\n"+`{"text":"hello"}`+"\n"+`{"create":{"_index":"yours"}}`+"\n{}\n")
	for index, expected := range map[string]int{"mine": 200, "yours": 403, "nobodys": 403} {
		status, answer, err := s.Send(other, "POST", "/_dashboards/internal/search/opensearch",
			http.Header{"Content-Type": {"application/json"}, "Osd-Xsrf": {"true"}},
			[]byte(fmt.Sprintf(`{"params":{"index":%q,"body":{"query":{"match":{"text":"hello"}}}}}`, index)))
		require.NoError(t, err)
		assert.Equal(t, expected, status, "%s", answer)
		if status == 200 {
			assert.Contains(t, string(answer), `"total":1`)
		} else {
			assert.Contains(t, string(answer), "no permissions for [indices:data/read/search]")
		}
	}
}

func TestTheAccessPolicyIsAskedBeforeOpenSearch(t *testing.T) {
	s := started(t)
	var asked []string
	s.Policy(func(role, action, path string) error {
		asked = append(asked, action+" "+path)
		if role == other {
			return errors.New("no policy allows it")
		}
		return nil
	})
	status, _ := s.Do(master, "GET", "/a%20b,c*/_search?size=1", "")
	assert.Equal(t, http.StatusNotFound, status)
	status, answer := s.Do(other, "POST", "/_bulk", "")
	assert.Equal(t, http.StatusForbidden, status)
	assert.Equal(t, `{"Message":"no policy allows it"}`, answer)
	assert.Equal(t, []string{"es:ESHttpGet /a%20b,c*/_search", "es:ESHttpPost /_bulk"}, asked)
}

// AWS's smallest limit, of the body as it is unpacked.
func TestARequestAboveTheLimitIsRefused(t *testing.T) {
	s := started(t)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write([]byte(`{"create":{"_index":"a"}}` + "\n" + `{"text":"` + strings.Repeat("x", 10<<20) + "\"}\n"))
	require.NoError(t, errors.Join(err, writer.Close()))
	require.Less(t, packed.Len(), 1<<20)
	header := http.Header{"Content-Type": {"application/x-ndjson"}, "Content-Encoding": {"gzip"}}
	status, answer, err := s.Send(master, "POST", "/_bulk", header, packed.Bytes())
	require.NoError(t, err)
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
	assert.Empty(t, answer)
}

// Each test begins with a domain on which nothing was done.
func TestNothingIsLeftForTheNext(t *testing.T) {
	var before State
	t.Run("one", func(t *testing.T) {
		s := started(t)
		before = s.State()
		for _, request := range [][3]string{
			{"PUT", "/_plugins/_security/api/roles/r", `{"cluster_permissions":["*"]}`},
			{"PUT", "/_plugins/_security/api/rolesmapping/r", `{"backend_roles":["*"]}`},
			{
				"PUT", "/_plugins/_security/api/audit/config",
				`{"enabled":false,"audit":{"exclude_sensitive_headers":true},"compliance":{"internal_config":true}}`,
			},
			{"PUT", "/_index_template/t", `{"index_patterns":["stream"],"data_stream":{}}`},
			{"PUT", "/_data_stream/stream", ""},
			{"PUT", "/index", ""},
			{"PUT", "/.hidden", `{"settings":{"index.hidden":true}}`},
			{
				"PUT", "/_cluster/settings",
				`{"persistent":{"cluster.max_shards_per_node":3},"transient":{"cluster.routing.allocation.enable":"none"}}`,
			},
		} {
			status, answer := s.Do(master, request[0], request[1], request[2])
			require.Less(t, status, 300, answer)
		}
		assert.NotEqual(t, before, s.State())
	})
	t.Run("next", func(t *testing.T) {
		s := Start(t, other)
		s.Open()
		assert.Equal(t, before, s.State())
		status, answer := s.Do(master, "GET", "/", "")
		assert.Equal(t, http.StatusForbidden, status, "the former master: %s", answer)
		_, answer = s.Do(other, "GET", "/_cluster/settings", "")
		assert.JSONEq(t, `{"persistent":{},"transient":{}}`, answer)
	})
}

func TestNobodyConnectsBeforeOpen(t *testing.T) {
	s := Start(t, master)
	_, err := http.Get(s.URL)
	assert.ErrorContains(t, err, "connection refused")
	s.Open()
	status, _ := s.Do(master, "GET", "/", "")
	assert.Equal(t, http.StatusOK, status)
}
