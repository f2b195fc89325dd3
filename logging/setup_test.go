package logging

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateSetup = flag.Bool("update-setup", false, "write testdata/setup-*.json anew from what SetupDocument says")

const (
	setupWriter = "arn:aws:iam::111122223333:role/expense-writer-1a2b3c4"
	setupReader = "arn:aws:iam::111122223333:role/expense-reader-1a2b3c4"
)

// smallSetup is a stack without what can be left out, largeSetup one with all of it.
func smallSetup() SetupInput {
	return SetupInput{
		Endpoint: "vpc-expense-abc.us-east-1.es.amazonaws.com", Region: "us-east-1",
		WriterRoleARN: setupWriter, DataStream: "project-logs", RetentionDays: 7, RolloverMiB: 1280,
	}
}

func largeSetup() SetupInput {
	in := smallSetup()
	in.ReaderRoleARN, in.RetentionDays, in.Replicas, in.AuditLogs, in.Dashboards = setupReader, 30, 2, true, true
	in.Fields = []string{"team"}
	in.IndexedFields = map[string]string{
		"a": "keyword", "b": "text", "c": "boolean", "d": "long", "e": "float", "f": "double", "g": "date", "h": "ip",
	}
	return in
}

// sentRequest has the fields of a request that the script reads.
type sentRequest struct {
	Name, Method, Path string
	Body               map[string]any
	Versioned          bool
	Exists, Reports    string
	Unless             *writtenShape
	EachIndex          bool `json:"each_index"`
	Objects            []map[string]any
}

func requestsOf(t *testing.T, in SetupInput) []sentRequest {
	data, err := SetupDocument(in)
	require.NoError(t, err)
	var doc struct {
		Endpoint      string
		Region        string
		WaitSeconds   int `json:"wait_seconds"`
		DeniedSeconds int `json:"denied_seconds"`
		Requests      []sentRequest
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&doc))
	return doc.Requests
}

// requestTo is the one request for a path.
func requestTo(t *testing.T, in SetupInput, path string) sentRequest {
	all := requestsOf(t, in)
	index := slices.IndexFunc(all, func(r sentRequest) bool { return r.Path == path })
	require.GreaterOrEqual(t, index, 0, path)
	return all[index]
}

// decodeAs reads a part of a request as what it means.
func decodeAs[T any](t *testing.T, part any) T {
	data, err := json.Marshal(part)
	require.NoError(t, err)
	var out T
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

func TestSetupDocumentsAreReviewedWhole(t *testing.T) {
	for name, in := range map[string]SetupInput{"small": smallSetup(), "large": largeSetup()} {
		file := "testdata/setup-" + name + ".json"
		got, err := SetupDocument(in)
		require.NoError(t, err)
		if *updateSetup {
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, got, "", "  "))
			require.NoError(t, os.MkdirAll("testdata", 0o700))
			require.NoError(t, os.WriteFile(file, append(pretty.Bytes(), '\n'), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(got),
			"%s: after a look at the difference, go test ./logging -run SetupDocuments -update-setup", file)
	}
}

// The Job's name is a hash of the document: bytes that vary would run it on every update.
func TestSetupOfTheSameInputIsTheSameBytes(t *testing.T) {
	want, err := SetupDocument(largeSetup())
	require.NoError(t, err)
	for range 20 {
		got, err := SetupDocument(largeSetup())
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
	changed := largeSetup()
	changed.RetentionDays++
	other, err := SetupDocument(changed)
	require.NoError(t, err)
	assert.NotEqual(t, string(want), string(other))
}

// A ConfigMap holds 1 MiB (https://kubernetes.io/docs/concepts/configuration/configmap/).
func TestSetupDocumentFitsIntoAConfigMap(t *testing.T) {
	data, err := SetupDocument(largeSetup())
	require.NoError(t, err)
	assert.Less(t, len(data), 256*1024)
}

func TestSetupNamesEachRequestOnceAndOnlyChangesWhatItOwns(t *testing.T) {
	own := regexp.MustCompile(`^/(_plugins/_security/api/(roles|rolesmapping)/project-logs-(writer|reader)|` +
		`(_index_template|_data_stream)/project-logs|_plugins/_ism/(policies|add|change_policy)/project-logs|` +
		`project-logs/_(settings|rollover)|_cluster/settings|_plugins/_security/api/audit/config|` +
		`_dashboards/api/saved_objects/_import\?overwrite=true)$`)
	names := map[string]bool{}
	all := requestsOf(t, largeSetup())
	for _, r := range all {
		assert.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		assert.Regexp(t, own, r.Path)
		assert.Contains(t, []string{"PUT", "POST"}, r.Method, r.Name)
		assert.False(t, r.Body != nil && r.Objects != nil, "%s: either a body or objects", r.Name)
	}
	assert.Len(t, all, 15)
	assert.Len(t, requestsOf(t, smallSetup()), 13)
}

// securityRole has the fields that the security plugin reads.
type securityRole struct {
	Cluster []string `json:"cluster_permissions"`
	Index   []struct {
		Patterns []string `json:"index_patterns"`
		Actions  []string `json:"allowed_actions"`
	} `json:"index_permissions"`
	Tenants []struct {
		Patterns []string `json:"tenant_patterns"`
		Actions  []string `json:"allowed_actions"`
	} `json:"tenant_permissions"`
}

// actionGroups are the plugin's own that the roles use, as of version 3
// (https://github.com/opensearch-project/security/blob/main/src/main/resources/static_config/static_action_groups.yml).
var actionGroups = map[string][]string{
	"read": {"indices:data/read*", "indices:admin/mappings/fields/get*", "indices:admin/resolve/index"},
	"cluster_composite_ops_ro": {
		"indices:data/read/mget", "indices:data/read/msearch", "indices:data/read/mtv", "indices:admin/aliases/exists*",
		"indices:admin/aliases/get*", "indices:data/read/scroll", "indices:admin/resolve/index",
	},
}

// patternMatches says whether a pattern of the plugin's, in which * is any text, covers a name.
func patternMatches(pattern, name string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(name)
}

func actionsAllow(actions []string, action string) bool {
	return slices.ContainsFunc(actions, func(pattern string) bool {
		if group, ok := actionGroups[pattern]; ok {
			return actionsAllow(group, action)
		}
		return patternMatches(pattern, action)
	})
}

func (r securityRole) cluster(action string) bool { return actionsAllow(r.Cluster, action) }

func (r securityRole) index(index, action string) bool {
	for _, permission := range r.Index {
		if slices.ContainsFunc(permission.Patterns, func(pattern string) bool { return patternMatches(pattern, index) }) &&
			actionsAllow(permission.Actions, action) {
			return true
		}
	}
	return false
}

func roleOf(t *testing.T, in SetupInput, name string) securityRole {
	return decodeAs[securityRole](t, requestTo(t, in, "/_plugins/_security/api/roles/"+name).Body)
}

// foreignIndices are names that neither role may touch: shorter and longer ones, and OpenSearch's own.
var foreignIndices = []string{
	"project", "project-logs2", "project-logs-2026.11.24", "a-project-logs", "logs", ".opendistro_security",
	".opendistro-ism-config", ".tasks",
}

// The writer has the permissions that the security plugin checks for GET / and for bulk requests that create lines, and no others. The
// indices of a data stream have the permissions of its name.
func TestSetupLetsTheWriterAddLinesAndNothingElse(t *testing.T) {
	writer := roleOf(t, largeSetup(), "project-logs-writer")
	for _, action := range []string{"cluster:monitor/main", "indices:data/write/bulk"} {
		assert.True(t, writer.cluster(action), action)
	}
	for _, action := range []string{"indices:data/write/bulk[s]", "indices:data/write/index"} {
		assert.True(t, writer.index("project-logs", action), action)
		for _, index := range append(foreignIndices, ".kibana_1") {
			assert.False(t, writer.index(index, action), "%s on %s", action, index)
		}
	}
	for _, action := range []string{
		"indices:data/write/delete", "indices:data/write/update", "indices:data/write/delete/byquery", "indices:data/write/update/byquery",
		"indices:data/read/search", "indices:data/read/get", "indices:data/read/field_caps", "indices:admin/delete", "indices:admin/close",
		"indices:admin/aliases", "indices:admin/settings/update", "indices:admin/mappings/get", "indices:admin/get", "indices:monitor/stats",
		"indices:admin/create", "indices:admin/auto_create", "indices:admin/mapping/put", "indices:admin/mapping/auto_put",
		"indices:admin/rollover",
		"indices:admin/data_stream/create", "indices:admin/data_stream/delete",
	} {
		assert.False(t, writer.index("project-logs", action), action)
	}
	for _, action := range []string{
		"cluster:monitor/state", "cluster:admin/settings/update", "cluster:admin/opendistro/ism/policy/write", "indices:data/read/mget",
		"indices:data/read/msearch",
		"indices:data/read/scroll", "indices:data/write/reindex", "indices:admin/template/put", "indices:admin/index_template/put",
	} {
		assert.False(t, writer.cluster(action), action)
	}
	assert.Empty(t, writer.Tenants)
}

func TestSetupLetsTheReaderSearchAndChangeNothing(t *testing.T) {
	reader := roleOf(t, largeSetup(), "project-logs-reader")
	for _, action := range []string{"indices:data/read/mget", "indices:data/read/msearch", "indices:data/read/scroll"} {
		assert.True(t, reader.cluster(action), action)
	}
	readable := []string{"project-logs", ".kibana", ".kibana_1", ".opensearch_dashboards_2"}
	for _, index := range readable {
		for _, action := range []string{
			"indices:data/read/search", "indices:data/read/get", "indices:data/read/mget[shard]", "indices:data/read/field_caps",
			"indices:admin/resolve/index",
		} {
			assert.True(t, reader.index(index, action), "%s on %s", action, index)
		}
	}
	for _, index := range append(readable, foreignIndices...) {
		for _, action := range []string{
			"indices:data/write/index", "indices:data/write/bulk[s]", "indices:data/write/delete", "indices:data/write/update",
			"indices:admin/create", "indices:admin/delete", "indices:admin/mapping/put", "indices:admin/aliases", "indices:admin/settings/update",
			"indices:admin/rollover", "indices:admin/data_stream/delete",
		} {
			assert.False(t, reader.index(index, action), "%s on %s", action, index)
		}
	}
	for _, index := range foreignIndices {
		assert.False(t, reader.index(index, "indices:data/read/search"), index)
	}
	for _, action := range []string{"indices:data/write/bulk", "indices:data/write/reindex", "cluster:admin/settings/update",
		"indices:admin/index_template/put"} {
		assert.False(t, reader.cluster(action), action)
	}
	require.Len(t, reader.Tenants, 1)
	assert.Equal(t, []string{"global_tenant"}, reader.Tenants[0].Patterns)
	assert.Equal(t, []string{"kibana_all_read"}, reader.Tenants[0].Actions)
}

// A mapping is replaced as a whole, so one that is sent without holders takes a former proxy's access away.
func TestSetupGivesEachRoleToOneHolderAndWithoutAProxyNobodyReads(t *testing.T) {
	holders := func(in SetupInput, role string) string {
		body, err := json.Marshal(requestTo(t, in, "/_plugins/_security/api/rolesmapping/"+role).Body)
		require.NoError(t, err)
		return string(body)
	}
	assert.JSONEq(t, `{"backend_roles": ["`+setupWriter+`"], "hosts": [], "users": []}`, holders(largeSetup(), "project-logs-writer"))
	assert.JSONEq(t, `{"backend_roles": ["`+setupReader+`"], "hosts": [], "users": []}`, holders(largeSetup(), "project-logs-reader"))
	assert.JSONEq(t, `{"backend_roles": [], "hosts": [], "users": []}`, holders(smallSetup(), "project-logs-reader"))
}

// The plugin refuses to map a role that it does not know.
func TestSetupMakesARoleBeforeItGivesItAway(t *testing.T) {
	known := map[string]bool{}
	mapped := 0
	for _, r := range requestsOf(t, largeSetup()) {
		dir, name := path.Split(r.Path)
		switch dir {
		case "/_plugins/_security/api/roles/":
			known[name] = true
		case "/_plugins/_security/api/rolesmapping/":
			assert.True(t, known[name], name)
			mapped++
		}
	}
	assert.Equal(t, 2, mapped)
}

type sentTemplate struct {
	Patterns   []string `json:"index_patterns"`
	Priority   int
	DataStream struct {
		Timestamp struct{ Name string } `json:"timestamp_field"`
	} `json:"data_stream"`
	Template struct {
		Settings map[string]any
		Mappings struct {
			Dynamic    *bool
			Meta       struct{ Shape string } `json:"_meta"`
			Templates  any                    `json:"dynamic_templates"`
			Properties map[string]map[string]any
		}
	}
}

func templateOf(t *testing.T, in SetupInput) sentTemplate {
	return decodeAs[sentTemplate](t, requestTo(t, in, "/_index_template/project-logs").Body)
}

// indexedType is the type that the index has for a field; none has no field of the name.
func indexedType(t *testing.T, field string) string {
	name, _ := templateOf(t, largeSetup()).Template.Mappings.Properties[field]["type"].(string)
	return name
}

func TestSetupMapsEveryFieldThatTheSidecarsSend(t *testing.T) {
	conf, err := os.ReadFile("../workloads/files/nginx.conf")
	require.NoError(t, err)
	fields := []string{
		"@timestamp", "level", "pid", "connection", "message", "stream", "cluster", "namespace", "pod", "node", "zone", "container",
		"claimed_time", "altered", "json", "team",
	}
	for _, match := range regexp.MustCompile(`'"([a-z_]+)":`).FindAllStringSubmatch(string(conf), -1) {
		if match[1] != "time" { // it becomes @timestamp or claimed_time
			fields = append(fields, match[1])
		}
	}
	require.GreaterOrEqual(t, len(fields), 24, "fields of nginx's log format")
	for _, field := range fields {
		assert.NotEmpty(t, indexedType(t, field), field)
	}
	for field, want := range map[string]string{
		"@timestamp": "date", "remote_addr": "ip", "status": "short", "bytes_sent": "long", "request_time": "float", "message": "text",
		"pod": "keyword",
	} {
		assert.Equal(t, want, indexedType(t, field), field)
	}
}

// A setting's field with the name of one that the sidecar sets would change its type, or be lost. The unmapped names are fluent.conf's
// keys, and the name of a line's own time.
func TestTheSettingsKnowEachFieldThatTheSidecarSets(t *testing.T) {
	var unmapped []string
	for name, kind := range config.DocumentFields {
		if kind == "" {
			unmapped = append(unmapped, name)
		}
	}
	filter := plugin(t, "expense").params
	assert.ElementsMatch(t, []string{"time", filter["path_key"], filter["id_key"]}, unmapped)
	for name := range templateOf(t, smallSetup()).Template.Mappings.Properties {
		assert.Contains(t, config.DocumentFields, name)
	}
}

// One shard holds a day; a copy on a domain of one node would never find a place, and the domain would stay yellow. With more nodes
// the indices that are there need one too.
func TestSetupMakesIndicesOfOneShardWithTheReplicasAskedFor(t *testing.T) {
	for _, in := range []SetupInput{smallSetup(), largeSetup()} {
		got := templateOf(t, in)
		assert.Equal(t, []string{"project-logs"}, got.Patterns)
		assert.Equal(t, "@timestamp", got.DataStream.Timestamp.Name)
		assert.EqualValues(t, 1, got.Template.Settings["index.number_of_shards"])
		assert.EqualValues(t, in.Replicas, got.Template.Settings["index.number_of_replicas"])
		assert.EqualValues(t, in.Replicas, requestTo(t, in, "/project-logs/_settings").Body["index.number_of_replicas"])
	}
}

// A domain that was set up with daily indices has templates whose patterns match the data stream's name, as project-* does
// project-logs. Their priority was 100 and the length of the prefix.
func TestTheTemplatesStandAboveThoseOfDailyIndices(t *testing.T) {
	assert.Greater(t, templateOf(t, smallSetup()).Priority, 100+244)
	assert.Equal(t, templateOf(t, smallSetup()).Priority, policyOf(t, smallSetup()).Templates[0].Priority)
}

// A field of an application's cannot take the place of another's, and none can make the mapping grow.
func TestNoLineCanChangeTheMapping(t *testing.T) {
	got := templateOf(t, largeSetup()).Template.Mappings
	require.NotNil(t, got.Dynamic, "it is on by default")
	assert.False(t, *got.Dynamic)
	assert.Nil(t, got.Templates)
	assert.Equal(t, map[string]any{"type": "object", "enabled": false}, got.Properties["json"])
	for name, field := range got.Properties {
		assert.NotContains(t, name, ".")
		assert.NotContains(t, []any{"flat_object", "nested", nil}, field["type"], name)
		assert.True(t, field["type"] != "object" || name == "json", name)
	}
}

// Lucene refuses a term above 32766 bytes, and OpenSearch a value of another type than the field's, each with its line.
func TestSetupLosesTheIndexOfAFieldBeforeTheLine(t *testing.T) {
	got := templateOf(t, largeSetup()).Template
	assert.Equal(t, true, got.Settings["index.mapping.ignore_malformed"])
	keywords := 0
	for _, field := range got.Mappings.Properties {
		if field["type"] == "keyword" {
			// A character has up to four bytes.
			assert.LessOrEqual(t, field["ignore_above"], 32766.0/4)
			assert.NotZero(t, field["ignore_above"])
			keywords++
		}
	}
	assert.Equal(t, 19, keywords)
}

func TestDeclaredFieldsCanBeSearchedAsTheirTypes(t *testing.T) {
	in := largeSetup()
	for name, kind := range in.IndexedFields {
		assert.Equal(t, kind, indexedType(t, name))
	}
	assert.Equal(t, "keyword", indexedType(t, "team"), "added to every line")
}

// The index that is written shows what it was made from: every change of the template must change the note in it, and nothing
// else may.
func TestTheShapeFollowsTheTemplateAndNothingElse(t *testing.T) {
	shape := func(edit func(*SetupInput)) string {
		in := largeSetup()
		edit(&in)
		rollover := requestTo(t, in, "/project-logs/_rollover")
		require.NotNil(t, rollover.Unless)
		assert.Equal(t, "/project-logs/_mapping", rollover.Unless.Path)
		assert.Equal(t, templateOf(t, in).Template.Mappings.Meta.Shape, rollover.Unless.Shape)
		return rollover.Unless.Shape
	}
	same := shape(func(*SetupInput) {})
	assert.Regexp(t, "^[0-9a-f]{12}$", same)
	for _, edit := range []func(*SetupInput){
		func(in *SetupInput) { in.RetentionDays++ },
		func(in *SetupInput) { in.RolloverMiB++ },
		func(in *SetupInput) { in.Replicas++ },
		func(in *SetupInput) { in.Dashboards, in.ReaderRoleARN = false, "" },
		func(in *SetupInput) { in.AuditLogs = false },
		func(in *SetupInput) { in.WriterRoleARN += "2" },
	} {
		assert.Equal(t, same, shape(edit))
	}
	shapes := map[string]bool{same: true}
	for _, edit := range []func(*SetupInput){
		func(in *SetupInput) { in.Fields = nil },
		func(in *SetupInput) { in.IndexedFields = map[string]string{"a": "long"} },
		func(in *SetupInput) { in.IndexedFields = map[string]string{"a": "keyword"} },
	} {
		shapes[shape(edit)] = true
	}
	assert.Len(t, shapes, 4)
}

type sentPolicy struct {
	Default string `json:"default_state"`
	States  []struct {
		Name    string
		Actions []struct {
			Rollover map[string]string
			Delete   *struct{}
			Retry    struct {
				Count          int
				Backoff, Delay string
			}
		}
		Transitions []struct {
			State      string            `json:"state_name"`
			Conditions map[string]string `json:"conditions"`
		}
	}
	Templates []struct {
		Patterns []string `json:"index_patterns"`
		Priority int
	} `json:"ism_template"`
}

func policyOf(t *testing.T, in SetupInput) sentPolicy {
	return decodeAs[sentPolicy](t, requestTo(t, in, "/_plugins/_ism/policies/project-logs").Body["policy"])
}

// The age of an index counts from its first line, that of its roll-over from its last.
func TestSetupKeepsTheLastLineOfAnIndexForTheWholeRetention(t *testing.T) {
	for days, want := range map[int]string{1: "1d", 30: "30d"} {
		in := smallSetup()
		in.RetentionDays = days
		got := policyOf(t, in)
		require.Len(t, got.States, 2)
		written, over := got.States[0], got.States[1]
		assert.Equal(t, got.Default, written.Name)
		require.Len(t, written.Actions, 1)
		assert.Equal(t, map[string]string{"min_index_age": "1d", "min_size": "1280mb"}, written.Actions[0].Rollover)
		require.Len(t, written.Transitions, 1)
		assert.Equal(t, over.Name, written.Transitions[0].State)
		assert.Equal(t, map[string]string{"min_rollover_age": want}, written.Transitions[0].Conditions)
		require.Len(t, over.Actions, 1)
		assert.NotNil(t, over.Actions[0].Delete)
		assert.Empty(t, over.Transitions)
		require.Len(t, got.Templates, 1)
		assert.Equal(t, []string{"project-logs"}, got.Templates[0].Patterns)
	}
}

// After three retries, which is the default, ISM leaves an index to itself.
func TestNothingEndsTheRollOverAndTheDeletion(t *testing.T) {
	for _, state := range policyOf(t, smallSetup()).States {
		for _, action := range state.Actions {
			assert.Greater(t, action.Retry.Count, 365*24*6, "%s: a year of failures", state.Name)
			assert.Equal(t, "constant", action.Retry.Backoff, "%s: the others grow beyond all days", state.Name)
			assert.Equal(t, "10m", action.Retry.Delay, state.Name)
		}
	}
}

// An index keeps the version of the policy that it was given, so a new retention must be brought to those that exist; and the
// policy must be there before the first index, which gets it from its template.
func TestSetupBringsTheRetentionToEveryIndex(t *testing.T) {
	var calls []string
	for _, r := range requestsOf(t, smallSetup()) {
		if strings.HasPrefix(r.Path, "/_plugins/_ism/") || strings.HasPrefix(r.Path, "/_data_stream/") ||
			strings.HasSuffix(r.Path, "/_rollover") {
			calls = append(calls, r.Method+" "+r.Path)
		}
		assert.Equal(t, strings.HasPrefix(r.Path, "/_plugins/_ism/policies/"), r.Versioned,
			"%s: OpenSearch answers 409 to who replaces a policy without its version", r.Path)
	}
	assert.Equal(t, []string{
		"PUT /_plugins/_ism/policies/project-logs", "PUT /_data_stream/project-logs", "POST /_plugins/_ism/add/project-logs",
		"POST /_plugins/_ism/change_policy/project-logs", "POST /project-logs/_rollover", "POST /_plugins/_ism/add/project-logs",
	}, calls)
}

// An index that is blocked refuses copies: nothing else of the set-up may wait for them.
func TestReplicasComeLastAndToEachIndexForItself(t *testing.T) {
	for _, in := range []SetupInput{smallSetup(), largeSetup()} {
		all := requestsOf(t, in)
		for i, r := range all {
			assert.Equal(t, i == len(all)-1, r.EachIndex, r.Name)
			assert.Equal(t, r.EachIndex, strings.HasSuffix(r.Path, "/"+in.DataStream+"/_settings"), r.Name)
		}
	}
}

// In the form that AWS takes, and nothing else that holds for the whole domain.
func TestSetupTurnsOffTheHistoryOfTheIndexManagement(t *testing.T) {
	assert.Equal(t, map[string]any{"persistent": map[string]any{"plugins.index_state_management.history.enabled": false}},
		requestTo(t, smallSetup(), "/_cluster/settings").Body)
}

// What is answered with 2xx and did not happen says so in its body: OpenSearch's own calls, ISM's and those of Dashboards.
func TestSetupTakesForSuccessOnlyWhatItKnows(t *testing.T) {
	got := map[string]string{}
	for _, r := range requestsOf(t, largeSetup()) {
		if !strings.HasPrefix(r.Path, "/_plugins/_security/") && !r.Versioned {
			got[r.Path] = r.Reports
		}
		assert.Equal(t, r.Path == "/_data_stream/project-logs", r.Exists == "resource_already_exists_exception", r.Path)
	}
	assert.Equal(t, map[string]string{
		"/_index_template/project-logs":                         "acknowledged",
		"/_data_stream/project-logs":                            "acknowledged",
		"/_plugins/_ism/add/project-logs":                       "failures",
		"/_plugins/_ism/change_policy/project-logs":             "failures",
		"/project-logs/_rollover":                               "acknowledged",
		"/project-logs/_settings":                               "acknowledged",
		"/_cluster/settings":                                    "acknowledged",
		"/_dashboards/api/saved_objects/_import?overwrite=true": "success",
	}, got)
}

func TestSetupAuditsWhatIsRefusedAndChangedAndNotEveryLine(t *testing.T) {
	const config = "/_plugins/_security/api/audit/config"
	body := requestTo(t, largeSetup(), config).Body
	type audit struct {
		Enabled bool
		Audit   struct {
			Rest           bool     `json:"enable_rest"`
			Transport      bool     `json:"enable_transport"`
			RestOff        []string `json:"disabled_rest_categories"`
			TransportOff   []string `json:"disabled_transport_categories"`
			Body           bool     `json:"log_request_body"`
			Exclude        bool     `json:"exclude_sensitive_headers"`
			IgnoreUsers    []string `json:"ignore_users"`
			IgnoreRequests []string `json:"ignore_requests"`
		}
		Compliance struct {
			Internal bool  `json:"internal_config"`
			External *bool `json:"external_config"`
		}
	}
	got := decodeAs[audit](t, body)
	assert.True(t, got.Enabled && got.Audit.Rest && got.Audit.Transport)
	for _, off := range [][]string{got.Audit.RestOff, got.Audit.TransportOff} {
		assert.ElementsMatch(t, []string{"GRANTED_PRIVILEGES", "AUTHENTICATED"}, off, "failed logins, refused calls and index events stay on")
	}
	assert.False(t, got.Audit.Body)
	assert.NotContains(t, got.Audit.IgnoreUsers, setupWriter, "what a stolen token is refused must show")
	assert.Empty(t, got.Audit.IgnoreRequests, "no line changes a mapping, and who tries shows")

	// Read-only on a domain: other values, or none, are answered with 409.
	assert.True(t, got.Audit.Exclude)
	assert.True(t, got.Compliance.Internal)
	require.NotNil(t, got.Compliance.External)
	assert.False(t, *got.Compliance.External)

	for _, r := range requestsOf(t, smallSetup()) {
		assert.NotEqual(t, config, r.Path)
	}
}

func TestSetupRefusesWhatWouldLetInOrLockOutOthers(t *testing.T) {
	_, err := SetupDocument(SetupInput{
		Endpoint: "https://domain/", WriterRoleARN: "arn:aws:iam::111122223333:role/*", ReaderRoleARN: "reader",
	})
	require.Error(t, err)
	assert.Equal(t, []string{
		`set-up of the domain: endpoint "https://domain/": expected a host name without https://`,
		`set-up of the domain: writer "arn:aws:iam::111122223333:role/*": expected the ARN of one role`,
		`set-up of the domain: reader "reader": expected the ARN of one role, or nothing`,
	}, strings.Split(err.Error(), "\n"))

	in := largeSetup()
	in.ReaderRoleARN = ""
	_, err = SetupDocument(in)
	assert.ErrorContains(t, err, "dashboards without a reader")
}

// savedObject is what OpenSearch Dashboards imports; the texts hold JSON of their own.
type savedObject struct {
	Type       string
	ID         string
	Migrated   map[string]string `json:"migrationVersion"`
	Attributes struct {
		Title       string
		Columns     []string
		Sort        [][]string
		TimeField   string `json:"timeFieldName"`
		VisState    string
		PanelsJSON  string
		OptionsJSON string
		UIStateJSON string
		Meta        struct {
			SearchSourceJSON string
		} `json:"kibanaSavedObjectMeta"`
	}
	References []struct{ Name, Type, ID string }
}

type savedSource struct {
	Query    struct{ Language, Query string }
	Filter   []any
	IndexRef string `json:"indexRefName"`
}

type savedVisualization struct {
	Title, Type string
	Params      map[string]any
	Aggs        []struct {
		ID, Type, Schema string
		Params           struct {
			Field   string
			OrderBy string
			Filters []struct {
				Input struct{ Language, Query string }
				Label string
			}
		}
	}
}

type dashboardPanel struct {
	PanelIndex string
	PanelRef   string `json:"panelRefName"`
	Grid       struct {
		X, Y, W, H int
		I          string
	} `json:"gridData"`
}

func parsed[T any](t *testing.T, text, of string) T {
	var out T
	require.NoError(t, json.Unmarshal([]byte(text), &out), of)
	return out
}

func dashboardObjectsOf(t *testing.T) []savedObject {
	objects := decodeAs[[]savedObject](t, requestTo(t, largeSetup(), "/_dashboards/api/saved_objects/_import?overwrite=true").Objects)
	require.Len(t, objects, len(strings.Split(strings.TrimSpace(string(savedObjects)), "\n")), "one object a line")
	return objects
}

// The structure follows the exports of OpenSearch Dashboards 2 and 3, and the versions are the newest of their migrations
// (https://github.com/opensearch-project/OpenSearch-Dashboards/tree/main/src/plugins). No Dashboards was there to load them.
func TestDashboardObjectsAreWholeThoughNoRealDashboardsHasLoadedThem(t *testing.T) {
	objects := dashboardObjectsOf(t)
	known := map[string]bool{}
	count := map[string]int{}
	for _, o := range objects {
		assert.False(t, known[o.Type+"/"+o.ID], "%s twice", o.ID)
		known[o.Type+"/"+o.ID] = true
		count[o.Type]++
		assert.Equal(t, map[string]string{o.Type: map[string]string{
			"index-pattern": "7.6.0", "visualization": "7.10.0", "search": "7.9.3", "dashboard": "7.9.3",
		}[o.Type]}, o.Migrated, o.ID)
	}
	assert.Equal(t, map[string]int{"index-pattern": 1, "visualization": 6, "search": 1, "dashboard": 1}, count)

	for _, o := range objects {
		var used []string
		if text := o.Attributes.Meta.SearchSourceJSON; assert.Equal(t, o.Type == "index-pattern", text == "", o.ID) && text != "" {
			source := parsed[savedSource](t, text, o.ID)
			assert.Equal(t, "kuery", source.Query.Language, o.ID)
			if source.IndexRef != "" {
				used = append(used, source.IndexRef)
			}
		}
		switch o.Type {
		case "index-pattern":
			assert.Equal(t, "expense-logs", o.ID)
			assert.Equal(t, "project-logs", o.Attributes.Title)
			assert.Equal(t, "@timestamp", o.Attributes.TimeField)
		case "visualization":
			vis := parsed[savedVisualization](t, o.Attributes.VisState, o.ID)
			assert.Equal(t, o.Attributes.Title, vis.Title)
			assert.NotEmpty(t, vis.Params, o.ID)
			if kind, ok := vis.Params["type"]; ok {
				assert.Equal(t, vis.Type, kind, o.ID)
			}
			parsed[map[string]any](t, o.Attributes.UIStateJSON, o.ID)
		case "dashboard":
			parsed[map[string]any](t, o.Attributes.OptionsJSON, o.ID)
			for _, p := range parsed[[]dashboardPanel](t, o.Attributes.PanelsJSON, o.ID) {
				used = append(used, p.PanelRef)
				assert.Equal(t, p.PanelIndex, p.Grid.I)
			}
		}
		var named []string
		for _, reference := range o.References {
			named = append(named, reference.Name)
			assert.True(t, known[reference.Type+"/"+reference.ID], "%s: reference to %s", o.ID, reference.ID)
		}
		assert.ElementsMatch(t, named, used, "%s: every reference is used, and every use has its reference", o.ID)
	}
}

// Types that an aggregation takes (https://docs.opensearch.org/latest/aggregations/).
var aggregates = map[string][]string{
	"count": {""}, "filters": {""},
	"date_histogram": {"date"},
	"percentiles":    {"short", "integer", "long", "float", "double"},
	"terms":          {"keyword", "ip", "short", "integer", "long"},
}

// comparison is one of a query's: a field, and whether a value is equal or above or below.
var comparison = regexp.MustCompile(`([@\w.]+)\s*(:|>=|<=|>|<)`)

// A panel with a field that the index does not have, or not of that type, is an error message in its place.
func TestDashboardUsesFieldsThatTheIndexHasAndTheAggregationsCanWorkOn(t *testing.T) {
	var fields, queries int
	query := func(of, text string) {
		if text == "" {
			return
		}
		queries++
		found := comparison.FindAllStringSubmatch(text, -1)
		assert.NotEmpty(t, found, "%s: %s", of, text)
		for _, match := range found {
			kind := indexedType(t, match[1])
			assert.NotEmpty(t, kind, "%s: field %s", of, match[1])
			if match[2] != ":" {
				assert.Contains(t, []string{"date", "short", "integer", "long", "float", "double"}, kind, "%s: %s", of, match[0])
			}
			fields++
		}
	}
	for _, o := range dashboardObjectsOf(t) {
		if o.Type == "index-pattern" {
			assert.Equal(t, "date", indexedType(t, o.Attributes.TimeField))
			continue
		}
		query(o.ID, parsed[savedSource](t, o.Attributes.Meta.SearchSourceJSON, o.ID).Query.Query)
		for _, column := range o.Attributes.Columns {
			assert.NotEmpty(t, indexedType(t, column), "%s: column %s", o.ID, column)
			fields++
		}
		for _, sort := range o.Attributes.Sort {
			assert.NotContains(t, []string{"", "text"}, indexedType(t, sort[0]), "%s: sorted by %s", o.ID, sort[0])
			fields++
		}
		if o.Type != "visualization" {
			continue
		}
		vis := parsed[savedVisualization](t, o.Attributes.VisState, o.ID)
		ids := map[string]string{}
		for _, agg := range vis.Aggs {
			assert.Empty(t, ids[agg.ID], "%s: aggregation %s twice", o.ID, agg.ID)
			ids[agg.ID] = agg.Schema
			kind := ""
			if agg.Params.Field != "" {
				kind = indexedType(t, agg.Params.Field)
				fields++
			}
			assert.Contains(t, aggregates[agg.Type], kind, "%s: %s of %q", o.ID, agg.Type, agg.Params.Field)
			for _, filter := range agg.Params.Filters {
				assert.Equal(t, "kuery", filter.Input.Language)
				assert.NotEmpty(t, filter.Label, o.ID)
				query(o.ID, filter.Input.Query)
			}
		}
		for _, agg := range vis.Aggs {
			if agg.Params.OrderBy != "" {
				assert.Equal(t, "metric", ids[agg.Params.OrderBy], "%s: ordered by %s", o.ID, agg.Params.OrderBy)
			}
		}
	}
	assert.Greater(t, fields, 30)
	assert.Greater(t, queries, 15)
}

// A dashboard is a grid of 48 columns.
func TestDashboardPanelsFillTheirGridAndDoNotOverlap(t *testing.T) {
	objects := dashboardObjectsOf(t)
	dashboard := objects[slices.IndexFunc(objects, func(o savedObject) bool { return o.Type == "dashboard" })]
	panels := parsed[[]dashboardPanel](t, dashboard.Attributes.PanelsJSON, dashboard.ID)
	require.Len(t, panels, 7)
	taken := map[[2]int]string{}
	bottom := 0
	for _, p := range panels {
		bottom = max(bottom, p.Grid.Y+p.Grid.H)
		assert.True(t, p.Grid.X >= 0 && p.Grid.Y >= 0 && p.Grid.W > 0 && p.Grid.H > 0 && p.Grid.X+p.Grid.W <= 48, p.PanelRef)
		for x := range p.Grid.W {
			for y := range p.Grid.H {
				place := [2]int{p.Grid.X + x, p.Grid.Y + y}
				require.Empty(t, taken[place], "%s lies on it", p.PanelRef)
				taken[place] = p.PanelRef
			}
		}
	}
	assert.Len(t, taken, 48*bottom, "no gaps")
}

// The pods of the Deployment web are named web-SET-POD; of what the sidecars send, only their name tells them from the
// other pods with nginx in them.
func TestDashboardShowsTheWebWorkload(t *testing.T) {
	shown := map[string]bool{}
	for _, o := range dashboardObjectsOf(t) {
		switch o.Type {
		case "dashboard":
			source := parsed[savedSource](t, o.Attributes.Meta.SearchSourceJSON, o.ID)
			assert.Equal(t, "pod: web-*", source.Query.Query)
			assert.Empty(t, source.Filter)
		case "search":
			shown["errors"] = true
			assert.Equal(t, [][]string{{"@timestamp", "desc"}}, o.Attributes.Sort, "the newest first")
		case "visualization":
			vis := parsed[savedVisualization](t, o.Attributes.VisState, o.ID)
			assert.Equal(t, "status: *", parsed[savedSource](t, o.Attributes.Meta.SearchSourceJSON, o.ID).Query.Query, "%s: requests only", o.ID)
			for _, agg := range vis.Aggs {
				for _, filter := range agg.Params.Filters {
					shown[filter.Label] = true
				}
				shown[agg.Type+" "+agg.Params.Field] = true
			}
		}
	}
	for _, what := range []string{
		"2xx", "3xx", "4xx", "5xx", "failed (5xx)", "percentiles request_time", "terms pod", "terms zone", "date_histogram @timestamp", "errors",
	} {
		assert.True(t, shown[what], what)
	}
}

func TestDashboardFileWithALineThatIsNoObjectIsAnError(t *testing.T) {
	_, err := dashboardObjects([]byte("{\"type\": \"search\"}\n{\n"), "project-logs")
	assert.ErrorContains(t, err, "saved objects of the dashboards, line 2: ")
}
