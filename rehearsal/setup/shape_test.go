package setup

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"expense/logging"
	"expense/rehearsal/internal/opensearchtest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// add sends one line, which a search then finds, and returns its status.
func add(t *testing.T, s *opensearchtest.Server, id, line string) int {
	t.Helper()
	status, answer := s.Do(master, "POST", "/_bulk?refresh=true", fmt.Sprintf("{\"create\":{\"_index\":%q,\"_id\":%q}}\n%s\n", name, id, line))
	require.Equal(t, http.StatusOK, status, answer)
	var bulk struct {
		Items []struct{ Create struct{ Status int } }
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &bulk))
	require.Len(t, bulk.Items, 1, answer)
	return bulk.Items[0].Create.Status
}

// line is a line with more fields.
func line(fields string) string {
	return `{"@timestamp":"2026-11-26T10:00:00.000Z","message":"hello"` + fields + `}`
}

// found is how many lines a search finds, and in how many indices it failed.
func found(t *testing.T, s *opensearchtest.Server, query string) (lines, failed int) {
	t.Helper()
	status, answer := s.Do(master, "POST", "/"+name+"/_search", `{"query":`+query+`}`)
	require.Equal(t, http.StatusOK, status, answer)
	var out struct {
		Shards struct{ Failed int } `json:"_shards"`
		Hits   struct{ Total struct{ Value int } }
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &out))
	return out.Hits.Total.Value, out.Shards.Failed
}

// shaped is a document with what makes indices. Roles, audit logs and dashboards would take longer than all of it.
func shaped(t *testing.T, s *opensearchtest.Server, change func(*logging.SetupInput)) map[string]any {
	return only(document(t, s, change), "/_index_template/", "/_cluster/", "/_plugins/_ism/", "/_data_stream/", "/"+name+"/")
}

// declared is a shaped document of a stack that declares fields.
func declared(t *testing.T, s *opensearchtest.Server, fields map[string]string) map[string]any {
	return shaped(t, s, func(in *logging.SetupInput) { in.IndexedFields = fields })
}

// indices are those of the data stream; the last one is written.
func indices(s *opensearchtest.Server) []string { return s.State().Streams[name] }

// The index that is written is made from the template, has the policy, and is in the only data stream.
func TestTheDataStreamIsThereAfterTheFirstRun(t *testing.T) {
	s := start(t)
	succeed(t, s, shaped(t, s, nil))
	state := s.State()
	assert.Equal(t, map[string][]string{name: {".ds-" + name + "-000001"}}, state.Streams)
	first := state.Indices[".ds-"+name+"-000001"]
	assert.Equal(t, name, first.Policy)
	assert.True(t, first.Newest)
	assert.Contains(t, fmt.Sprint(first.Mappings), "shape:")
}

// An added field is found in later lines. Earlier lines keep it below json, and none is lost.
func TestAFieldThatIsAddedIsFoundFromThenOn(t *testing.T) {
	s := start(t)
	succeed(t, s, shaped(t, s, nil))
	require.Equal(t, 201, add(t, s, "before", line(`,"json":{"user_id":"u1"}`)))
	d := declared(t, s, map[string]string{"user_id": "keyword"})
	assert.Contains(t, succeed(t, s, d).stdout.String(), "index of the template's shape: 200\n")
	require.Equal(t, 201, add(t, s, "after", line(`,"user_id":"u1"`)))
	for query, want := range map[string]int{`{"match_all":{}}`: 2, `{"term":{"user_id":"u1"}}`: 1, `{"match":{"message":"hello"}}`: 2} {
		lines, failed := found(t, s, query)
		assert.Equal(t, []int{want, 0}, []int{lines, failed}, query)
	}
	before := s.State()
	require.Len(t, before.Streams[name], 2)
	assert.Contains(t, succeed(t, s, d).stdout.String(), "index of the template's shape: nothing to do\n")
	assert.Equal(t, before, s.State())
	assert.True(t, before.Indices[indices(s)[1]].Newest, "it has the policy")
}

func TestAFieldWhoseTypeChangesIsFoundAsEither(t *testing.T) {
	s := start(t)
	succeed(t, s, declared(t, s, map[string]string{"duration": "keyword"}))
	require.Equal(t, 201, add(t, s, "before", line(`,"duration":"12"`)))
	succeed(t, s, declared(t, s, map[string]string{"duration": "float"}))
	require.Len(t, indices(s), 2)
	require.Equal(t, 201, add(t, s, "after", line(`,"duration":12`)))
	require.Equal(t, 201, add(t, s, "late", line(`,"duration":"long"`)), "from a pod that was not rolled yet")
	for query, want := range map[string][]int{
		`{"match_all":{}}`:                    {3, 0},
		`{"term":{"duration":"12"}}`:          {2, 0},
		`{"range":{"duration":{"gte":11.5}}}`: {2, 0},
		`{"term":{"duration":"no number"}}`:   {0, 1}, // the new index cannot look for it
		`{"exists":{"field":"duration"}}`:     {2, 0},
	} {
		lines, failed := found(t, s, query)
		assert.Equal(t, want, []int{lines, failed}, query)
	}
}

func TestAFieldThatIsTakenAwayIsFoundInTheLinesThatHadIt(t *testing.T) {
	s := start(t)
	succeed(t, s, declared(t, s, map[string]string{"user_id": "keyword"}))
	require.Equal(t, 201, add(t, s, "before", line(`,"user_id":"u1"`)))
	succeed(t, s, shaped(t, s, nil))
	require.Equal(t, 201, add(t, s, "after", line(`,"user_id":"u1"`)), "from a pod that was not rolled yet")
	lines, failed := found(t, s, `{"term":{"user_id":"u1"}}`)
	assert.Equal(t, []int{1, 0}, []int{lines, failed})
	lines, _ = found(t, s, `{"match_all":{}}`)
	assert.Equal(t, 2, lines)
}

// replicaCounts are those of the indices; the last one is written.
func replicaCounts(s *opensearchtest.Server) []string {
	state := s.State()
	var out []string
	for _, index := range state.Streams[name] {
		out = append(out, fmt.Sprint(state.Indices[index].Settings.(map[string]any)["number_of_replicas"]))
	}
	return out
}

// A second node also guards the older lines, without a new index.
func TestTheReplicasOfAllIndicesFollowTheNodes(t *testing.T) {
	s := start(t)
	for _, replicas := range []int{0, 1, 0} {
		d := shaped(t, s, func(in *logging.SetupInput) { in.Replicas = replicas })
		succeed(t, s, d)
		if replicas == 0 && len(indices(s)) == 1 {
			require.Equal(t, 200, do(s, "POST", "/"+name+"/_rollover", ""))
			require.Equal(t, 200, do(s, "POST", "/"+indices(s)[0]+"/_close", ""))
		}
		assert.Equal(t, []string{fmt.Sprint(replicas), fmt.Sprint(replicas)}, replicaCounts(s))
		assert.Contains(t, succeed(t, s, d).stdout.String(), "replicas: nothing to do\n")
	}
}

// do makes a request as the master, and returns the status.
func do(s *opensearchtest.Server, method, path, body string) int {
	status, _ := s.Do(master, method, path, body)
	return status
}

// An index is read-only, or all are because a disk is full: a new retention, which is a remedy, reaches them, and copies go where they
// can.
func TestABlockedIndexStopsNothing(t *testing.T) {
	for block, expected := range map[string]struct {
		indices  string
		replicas []string
	}{
		"read_only":              {".ds-" + name + "-000001", []string{"0", "1"}},
		"read_only_allow_delete": {name, []string{"0", "0"}},
	} {
		t.Run(block, func(t *testing.T) {
			s := start(t)
			succeed(t, s, shaped(t, s, nil))
			require.Equal(t, 200, do(s, "POST", "/"+name+"/_rollover", ""))
			require.Equal(t, 200, do(s, "PUT", "/"+expected.indices+"/_settings", `{"index.blocks.`+block+`":true}`))
			changed := func(in *logging.SetupInput) { in.RetentionDays, in.Replicas = 7, 1 }
			d := shaped(t, s, changed)
			d["wait_seconds"], d["denied_seconds"] = 1, 1 // for one that waits
			p := succeed(t, s, d)
			assert.Contains(t, p.stdout.String(), "replicas of .ds-"+name+"-000001: 4")
			assert.Contains(t, p.stdout.String(), `, left as it is: {"error":{"root_cause":[{"type":"cluster_block_exception"`)
			assert.NotContains(t, p.stdout.String(), "waiting")
			assert.Equal(t, expected.replicas, replicaCounts(s))

			// A new index is impossible, but the retention is changed before.
			d = shaped(t, s, func(in *logging.SetupInput) {
				changed(in)
				in.RetentionDays, in.IndexedFields = 5, map[string]string{"user_id": "keyword"}
			})
			d["wait_seconds"], d["denied_seconds"] = 0.5, 0.1
			assert.Contains(t, fail(t, prepare(t, s, d)), "index of the template's shape: POST /project-logs/_rollover: 4")
			state := s.State()
			assert.Contains(t, fmt.Sprint(state.Policies[name]), "min_rollover_age:5d")
			for _, index := range indices(s) {
				assert.True(t, state.Indices[index].Newest, index)
			}
		})
	}
}

// What needs a new index or a replica fails. Lines go on into the index that is there.
func TestAtTheLimitOfShardsLinesGoOn(t *testing.T) {
	s := start(t)
	succeed(t, s, shaped(t, s, nil))
	require.Equal(t, 200, do(s, "PUT", "/_cluster/settings", `{"persistent":{"cluster.max_shards_per_node":1}}`))
	assert.Equal(t, 201, add(t, s, "1", line("")))
	assert.Regexp(t, `_rollover: 400 .*validation_exception`, fail(t, prepare(t, s, declared(t, s, map[string]string{"user_id": "keyword"}))))
	assert.Regexp(t, `/_settings: 400 .*validation_exception`,
		fail(t, prepare(t, s, shaped(t, s, func(in *logging.SetupInput) { in.Replicas = 1 }))))
	assert.Equal(t, 201, add(t, s, "2", line("")))
	assert.Len(t, indices(s), 1)
}

// The index management gives a new index only an older policy, by two nodes' clocks.
func TestANewIndexHasThePolicyWhateverTheClocksSay(t *testing.T) {
	s := start(t)
	s.ClocksDiffer()
	succeed(t, s, shaped(t, s, nil))
	succeed(t, s, declared(t, s, map[string]string{"user_id": "keyword"}))
	require.Len(t, indices(s), 2)
	state := s.State()
	for _, index := range indices(s) {
		assert.True(t, state.Indices[index].Policy == name && state.Indices[index].Newest, index)
	}
}

// Waiting does not help, though OpenSearch says 500.
func TestANameThatIsTakenFailsAtOnceAndSaysWhatToDo(t *testing.T) {
	for kind, request := range map[string][3]string{
		"an index": {"PUT", "/" + name, ""}, "an alias": {"PUT", "/other", `{"aliases":{"` + name + `":{}}}`},
	} {
		t.Run(kind, func(t *testing.T) {
			s := start(t)
			require.Equal(t, 200, do(s, request[0], request[1], request[2]))
			d := shaped(t, s, nil)
			d["wait_seconds"] = 1 // for one that waits
			p := prepare(t, s, d)
			said := fail(t, p)
			assert.Regexp(t, `data stream: PUT /_data_stream/project-logs: 500 .*conflicts with`, said)
			assert.Contains(t, said, "delete it, or name the data stream otherwise with expense:logging.dataStream")
			assert.NotContains(t, p.stdout.String(), "waiting")
		})
	}
}

// Only another template begins a new index: each is a shard for the whole retention.
func TestOtherChangesBeginNoNewIndex(t *testing.T) {
	s := start(t)
	succeed(t, s, document(t, s, nil))
	for _, change := range []func(*logging.SetupInput){
		func(in *logging.SetupInput) { in.RetentionDays, in.RolloverMiB = 7, 2000 },
		func(in *logging.SetupInput) { in.ReaderRoleARN, in.Dashboards = "", false },
		func(in *logging.SetupInput) { in.AuditLogs = false },
		func(in *logging.SetupInput) { in.WriterRoleARN = nobody },
	} {
		succeed(t, s, document(t, s, change))
		assert.Len(t, indices(s), 1)
	}
}

// Killed between the template and the new index, or after the new index and before its answer.
func TestAChangeThatIsCutShortIsCompletedOnce(t *testing.T) {
	d := func(t *testing.T, s *opensearchtest.Server) map[string]any {
		return declared(t, s, map[string]string{"user_id": "keyword"})
	}
	t.Run("before the new index", func(t *testing.T) {
		s := start(t)
		succeed(t, s, shaped(t, s, nil))
		short := d(t, s)
		all := short["requests"].([]any)
		short["requests"] = all[:slices.IndexFunc(all, func(r any) bool {
			return strings.HasSuffix(r.(map[string]any)["path"].(string), "/_rollover")
		})]
		succeed(t, s, short)
		require.Len(t, indices(s), 1)
		succeed(t, s, d(t, s))
		assert.Len(t, indices(s), 2)
	})
	t.Run("after it", func(t *testing.T) {
		s := start(t)
		succeed(t, s, shaped(t, s, nil))
		lost := false
		s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
			if lost || r.Path != "/"+name+"/_rollover" {
				return nil
			}
			lost = true
			status, answer := s.Do(master, "POST", r.Path, "")
			require.Equal(t, http.StatusOK, status, answer)
			return &opensearchtest.Reply{Status: http.StatusBadRequest, Body: "lost"}
		})
		fail(t, prepare(t, s, d(t, s)))
		succeed(t, s, d(t, s))
		assert.Len(t, indices(s), 2)
	})
}

// The next run mends what somebody did by hand, or leaves what needs no mending.
func TestTheSetUpMendsWhatWasChangedByHand(t *testing.T) {
	const first = ".ds-" + name + "-000001"
	foreign := func(priority int, rest string) string {
		return fmt.Sprintf(`{"index_patterns":["project-*"],"priority":%d,"template":{"settings":{"index.number_of_replicas":0}}%s}`, priority,
			rest)
	}
	for what, c := range map[string]struct {
		requests [][3]string
		indices  int
		says     string // nothing if it succeeds
	}{
		"an index is closed": {[][3]string{
			{"POST", "/" + name + "/_rollover", ""}, {"POST", "/" + first + "/_close", ""},
		}, 2, ""},
		"the policy is removed from the index": {[][3]string{{"POST", "/_plugins/_ism/remove/" + name, ""}}, 1, ""},
		"the policy is deleted":                {[][3]string{{"DELETE", "/_plugins/_ism/policies/" + name, ""}}, 1, ""},
		"the data stream is deleted":           {[][3]string{{"DELETE", "/_data_stream/" + name, ""}}, 1, ""},
		"the template is another, and has been used": {[][3]string{
			{"PUT", "/_index_template/" + name, `{"index_patterns":["project-logs"],"priority":500,"data_stream":{},` +
				`"template":{"settings":{"index.number_of_replicas":0}}}`},
			{"POST", "/" + name + "/_rollover", ""},
		}, 3, ""},
		"a template of lower priority": {[][3]string{{"PUT", "/_index_template/foreign", foreign(499, "")}}, 1, ""},
		"a template of higher priority": {[][3]string{
			{"PUT", "/_index_template/foreign", foreign(501, `,"data_stream":{}`)}, {"POST", "/" + name + "/_rollover", ""},
		}, 3, `index of the template's shape: POST /project-logs/_rollover: the new index has the shape nil, expected "[0-9a-f]{12}": ` +
			`another index template, of a higher priority`},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			succeed(t, s, shaped(t, s, nil))
			for _, r := range c.requests {
				status, answer := s.Do(master, r[0], r[1], r[2])
				require.Equal(t, http.StatusOK, status, answer)
			}
			if c.says != "" {
				assert.Regexp(t, regexp.MustCompile(c.says), fail(t, prepare(t, s, shaped(t, s, nil))))
			} else {
				succeed(t, s, shaped(t, s, nil))
				written := s.State().Indices[indices(s)[c.indices-1]]
				assert.True(t, written.Policy == name && written.Newest)
				assert.Contains(t, fmt.Sprint(written.Mappings), "shape:")
			}
			assert.Len(t, indices(s), c.indices)
		})
	}
}

// OpenSearch refuses the second one, ours or theirs.
func TestATemplateOfTheSamePriorityStopsTheSetUp(t *testing.T) {
	s := start(t)
	status, answer := s.Do(master, "PUT", "/_index_template/foreign", `{"index_patterns":["project-l*"],"priority":500,"template":{}}`)
	require.Equal(t, http.StatusOK, status, answer)
	assert.Regexp(t, `index template: PUT /_index_template/project-logs: 400 .*patterns from existing templates \[foreign\]`,
		fail(t, prepare(t, s, shaped(t, s, nil))))
}

// Before the data stream there were daily indices. The patterns of their template and policy match the stream's name, too.
func TestADomainWithDailyIndicesGetsADataStreamBesideThem(t *testing.T) {
	s := start(t)
	for _, r := range [][3]string{
		{"PUT", "/_index_template/project", `{"index_patterns":["project-*"],"priority":107,"template":{"mappings":{"dynamic":true}}}`},
		{"PUT", "/_plugins/_ism/policies/project", `{"policy":{"description":"Keep log lines for 3 days","default_state":"hot","states":[` +
			`{"name":"hot","actions":[],"transitions":[{"state_name":"delete","conditions":{"min_index_age":"4d"}}]},` +
			`{"name":"delete","actions":[{"delete":{}}],"transitions":[]}],"ism_template":[{"index_patterns":["project-*"],"priority":107}]}}`},
		{"PUT", "/project-2026.11.25", ""},
	} {
		status, answer := s.Do(master, r[0], r[1], r[2])
		require.Contains(t, []int{200, 201}, status, answer)
	}
	for range 2 {
		succeed(t, s, shaped(t, s, nil))
		state := s.State()
		require.Len(t, state.Streams[name], 1)
		assert.Equal(t, name, state.Indices[state.Streams[name][0]].Policy)
		assert.Equal(t, "project", state.Indices["project-2026.11.25"].Policy, "it goes after its retention, as before")
	}
}

// No date, key or value of a line makes an index or a field, costs the line, or harms the node.
func TestNoLineChangesTheIndices(t *testing.T) {
	s := start(t)
	types := []string{"boolean", "date", "double", "float", "ip", "keyword", "long", "text"}
	fields := map[string]string{}
	for _, kind := range types {
		fields["f_"+kind] = kind
	}
	succeed(t, s, declared(t, s, fields))
	before := s.State()
	var lines []string
	for year := 1970; year < 2300; year += 30 {
		lines = append(lines, fmt.Sprintf(`{"@timestamp":"%d-01-01T00:00:00.000Z"}`, year))
	}
	for _, key := range []string{
		"", ".", "..", ".x", "a..b", "a. .b", " .a", "message.x", "_id", strings.Repeat("a.", 2000) + "a", strings.Repeat("k", 200_000),
	} {
		lines = append(lines, line(fmt.Sprintf(`,"json":{%q:{"b":[1,"c",{}]}}`, key)))
	}
	lines = append(lines, line(fmt.Sprintf(`,%q:1`, strings.Repeat("a.", 2000)+"a"))) // this one ended nodes
	lines = append(lines, line(`,"json":`+strings.Repeat(`{"a":`, 600)+"1"+strings.Repeat("}", 600)))
	var many strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&many, `,"key%d":%d`, i, i)
	}
	lines = append(lines, line(many.String()))
	for _, kind := range types {
		for _, value := range []string{
			`"x"`, `""`, "5", "1.5", "1e300", "true", "null", `"2026-01-01T00:00:00Z"`, `"999999999999999999999"`, "[]", "{}", `[1,"x",{"a":1}]`,
			`{"a":{"b":1}}`,
			`"` + strings.Repeat("ü", 40_000) + `"`,
		} {
			lines = append(lines, line(fmt.Sprintf(`,"f_%s":%s`, kind, value)))
		}
	}
	for i, l := range lines {
		assert.Equal(t, 201, add(t, s, fmt.Sprint(i), l), "%.200s", l)
	}
	assert.Equal(t, before, s.State())
	count, failed := found(t, s, `{"match_all":{}}`)
	assert.Equal(t, []int{len(lines), 0}, []int{count, failed})
}

// A good status alone is no success.
func TestAnAnswerThatDoesNotSayItIsDoneFails(t *testing.T) {
	s := start(t)
	succeed(t, s, shaped(t, s, nil))
	for path, body := range map[string]any{
		"/_index_template/" + name:                              map[string]any{"acknowledged": false},
		"/_data_stream/" + name:                                 map[string]any{},
		"/" + name + "/_rollover":                               map[string]any{"acknowledged": false, "rolled_over": false},
		"/_plugins/_ism/add/" + name:                            map[string]any{"updated_indices": 1},
		"/_plugins/_ism/change_policy/" + name:                  map[string]any{"failures": true, "failed_indices": []any{}},
		"/_dashboards/api/saved_objects/_import?overwrite=true": map[string]any{},
	} {
		s.Intercept(func(r opensearchtest.Request) *opensearchtest.Reply {
			if r.Path == path && r.Method != "GET" {
				return &opensearchtest.Reply{Status: http.StatusOK, Body: body}
			}
			return nil
		})
		d := only(document(t, s, func(in *logging.SetupInput) { in.IndexedFields = map[string]string{"a": "long"} }),
			path) // with a shape that is not there
		assert.Contains(t, fail(t, prepare(t, s, d)), path+": 200 {", path)
	}
}
