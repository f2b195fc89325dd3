package logging

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readAt is when the tests' lines are read.
var readAt = time.Date(2026, 11, 25, 3, 1, 0, 0, time.UTC)

// filterInput is what testdata/fluentd.rb reads.
type filterInput struct {
	Filter   map[string]string `json:"filter"`
	Messages []logText         `json:"messages"`
	Now      int64             `json:"now"`
	// Together has all messages handed over at once, in place of each by itself.
	Together bool `json:"together,omitempty"`
	// Measure asks for nothing but the seconds that each hand-over takes.
	Measure bool `json:"measure,omitempty"`
}

// logText is a message as the input hands it over.
type logText struct {
	Path    string `json:"path,omitempty"`
	Message []any  `json:"message"`
	// ID is that of the line's file and its position there; by default the messages are one file's, one after the other.
	ID string `json:"id,omitempty"`
}

type event struct {
	Time   float64        `json:"time"`
	Record map[string]any `json:"record"`
	// Seconds are of the processor, in the first event of what was handed over.
	Seconds float64 `json:"seconds"`
}

// settings are the filter's parameters in fluent.conf, with the environment that a test wants.
func settings(t *testing.T, env map[string]string) map[string]string {
	all := map[string]string{
		"CLUSTER_NAME": "expense", "POD_NAMESPACE": "project", "POD_NAME": "web-1", "NODE_NAME": "node-1", "NODE_ZONE": "us-east-1a",
		"LOG_FIELDS": "{}", "LOG_INDEXED_FIELDS": "{}", "LOG_DROP_LEVELS": "[]", "LOG_REDACT": "[]",
	}
	for name, value := range env {
		require.Contains(t, all, name)
		all[name] = value
	}
	out := map[string]string{}
	for name, value := range plugin(t, "expense").params {
		if !strings.HasPrefix(name, "@") {
			out[name] = envUse.ReplaceAllStringFunc(strings.Trim(value, `"`), func(use string) string {
				return all[envUse.FindStringSubmatch(use)[1]]
			})
		}
	}
	return out
}

// filtered are the events that leave the filter, nil for one that was dropped, or why it does not start.
func filtered(t *testing.T, input filterInput) ([]*event, string) {
	t.Helper()
	events, failure, printed := printing(t, input)
	assert.Empty(t, printed, "a warning of Ruby's or an error of the filter's")
	return events, failure
}

// printing is the same, and what is printed besides.
func printing(t *testing.T, input filterInput) (events []*event, failure, printed string) {
	t.Helper()
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not on PATH")
	}
	input.Now = readAt.UnixMilli()
	text, err := json.Marshal(input)
	require.NoError(t, err)
	command := exec.Command(ruby, "-I", "testdata", "testdata/fluentd.rb", "files/filter_expense.rb")
	command.Stdin = bytes.NewReader(text)
	var stderr strings.Builder
	command.Stderr = &stderr
	data, err := command.Output()
	require.NoError(t, err, stderr.String())
	var output struct {
		Events []*event
		Error  string
	}
	require.NoError(t, json.Unmarshal(data, &output), string(data))
	return output.Events, output.Error, stderr.String()
}

// documents are what becomes of messages of one stream of the container web.
func documents(t *testing.T, stream string, env map[string]string, messages ...string) []map[string]any {
	t.Helper()
	input := filterInput{Filter: settings(t, env)}
	for _, message := range messages {
		part := map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(message))}
		input.Messages = append(input.Messages, logText{Path: "/var/log/pod/web/" + stream + ".log", Message: []any{part}})
	}
	events, failure := filtered(t, input)
	require.Empty(t, failure)
	require.Len(t, events, len(messages))
	out := make([]map[string]any, len(events))
	for i, e := range events {
		if e != nil {
			out[i] = e.Record
			at, err := time.Parse("2006-01-02T15:04:05.000Z", e.Record["@timestamp"].(string))
			require.NoError(t, err, "%q", messages[i])
			assert.InDelta(t, float64(at.UnixMilli())/1000, e.Time, 1e-6, "fluentd's time and the document's are one")
		}
	}
	return out
}

// nginx is a line of the example's access log.
const nginxAccess = `{"time":1795575600.123,"request_id":"0123456789abcdef0123456789abcdef","remote_addr":"10.0.12.34","method":"GET",` +
	`"path":"/products/42",` +
	`"protocol":"HTTP/1.1","status":200,"bytes_sent":5123,"request_time":0.004,"host":"shop.example.com",` +
	`"referer":"https://shop.example.com/",` +
	`"user_agent":"Mozilla/5.0 (X11; Linux x86_64)"}`

// from says where a line is from.
func from(stream string, fields map[string]any) map[string]any {
	out := map[string]any{
		"cluster": "expense", "namespace": "project", "pod": "web-1", "node": "node-1", "zone": "us-east-1a", "container": "web",
		"stream": stream,
	}
	for name, value := range fields {
		out[name] = value
	}
	return out
}

// An access log's fields can be searched, at the line's own time. Other fields are below "json". Of other streams only the level and
// the message are not.
func TestDocumentsHaveTheFieldsOfTheTemplate(t *testing.T) {
	got := documents(t, "access", nil, nginxAccess, `{"severity":"WARN","msg":"slow","team":"a","a":{"b":[1]}}`, "no object")
	assert.Equal(t, "id-0", got[0]["_hash"], "the input's")
	delete(got[0], "_hash")
	assert.Equal(t, from("access", map[string]any{
		"@timestamp": "2026-11-25T03:00:00.123Z", "request_id": "0123456789abcdef0123456789abcdef", "remote_addr": "10.0.12.34", "method": "GET",
		"path": "/products/42", "protocol": "HTTP/1.1", "status": 200.0, "bytes_sent": 5123.0, "request_time": 0.004, "host": "shop.example.com",
		"referer": "https://shop.example.com/", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
	}), got[0])
	delete(got[1], "_hash")
	assert.Equal(t, from("access", map[string]any{
		"@timestamp": "2026-11-25T03:01:00.000Z", "level": "warn", "message": "slow",
		"json": map[string]any{"team": "a", "a": map[string]any{"b": []any{1.0}}},
	}), got[1])
	assert.Equal(t, "no object", got[2]["message"])

	got = documents(t, "output", nil, `{"level":30,"message":{"a":1},"status":200,"list":[{"a":1.5}],"lvl":"Info"}`, "[1]")
	delete(got[0], "_hash")
	assert.Equal(t, from("output", map[string]any{
		"@timestamp": "2026-11-25T03:01:00.000Z", "level": "info",
		"json": map[string]any{"level": 30.0, "message": map[string]any{"a": 1.0}, "status": 200.0, "list": []any{map[string]any{"a": 1.5}}},
	}), got[0], "a number is no level's name, an object no message")
	assert.Equal(t, "[1]", got[1]["message"])
}

// No line can say that it is another pod's or container's, nor choose the document that it becomes, nor unsay the stack's fields,
// nor can these unsay where a line is from.
func TestNoLineSaysWhereItIsFrom(t *testing.T) {
	forged := `{"cluster":"x","namespace":"x","pod":"x","node":"x","zone":"x","container":"x","stream":"x","team":"x","_hash":"x",` +
		`"_file":"/a/b.log","_id":"x",` +
		`"altered":["x"],"claimed_time":"x","json":{"pod":"x"}}`
	env := map[string]string{"LOG_FIELDS": `{"team":"shöp","stream":"y"}`}
	for _, stream := range []string{"access", "output"} {
		got := documents(t, stream, env, forged)[0]
		assert.NotEqual(t, "x", got["_hash"])
		assert.Len(t, got["json"], 14, "all of it is kept")
		delete(got, "json")
		delete(got, "_hash")
		assert.Equal(t, from(stream, map[string]any{"@timestamp": "2026-11-25T03:01:00.000Z", "team": "shöp"}), got)
	}
}

// A line is of the time that it names, in the ways that loggers write, if that can be true; or else of when it was read.
func TestOnlyATimeNearNowIsBelieved(t *testing.T) {
	const read = "2026-11-25T03:01:00.000Z"
	var objects []string
	var wants [][2]any
	for object, want := range map[string][2]any{
		// nginx, zap, pino, a counter of microseconds, Go's UnixNano, and the same as text.
		`{"time":1795575600.123}`:                         {"2026-11-25T03:00:00.123Z"},
		`{"ts":1795575600.1234567}`:                       {"2026-11-25T03:00:00.123Z"},
		`{"time":1795575600123}`:                          {"2026-11-25T03:00:00.123Z"},
		`{"timestamp":1795575600123456}`:                  {"2026-11-25T03:00:00.123Z"},
		`{"time":1795575600123456789}`:                    {"2026-11-25T03:00:00.123Z"},
		`{"timestamp":"1795575600.123"}`:                  {"2026-11-25T03:00:00.123Z"},
		`{"@timestamp":"1795575600123"}`:                  {"2026-11-25T03:00:00.123Z"},
		`{"time":"2026-11-25T03:00:00Z"}`:                 {"2026-11-25T03:00:00.000Z"},
		`{"@t":"2026-11-25T03:00:00.1Z"}`:                 {"2026-11-25T03:00:00.100Z"},
		`{"time":"2026-11-25 03:00:00"}`:                  {"2026-11-25T03:00:00.000Z"},
		`{"time":"2026-11-25 03:00:00,9"}`:                {"2026-11-25T03:00:00.900Z"},
		`{"asctime":"2026-11-25 03:00:00,123"}`:           {"2026-11-25T03:00:00.123Z"},
		`{"time":"2026-11-25T05:30:00.123456789+02:30"}`:  {"2026-11-25T03:00:00.123Z"},
		`{"time":"2026-11-24T22:00:00-0500"}`:             {"2026-11-25T03:00:00.000Z"},
		`{"ts":12.5,"time":"2026-11-25T03:00:00Z"}`:       {"2026-11-25T03:00:00.000Z"},
		`{"@timestamp":"1999-01-01","time":1795575600.5}`: {"2026-11-25T03:00:00.500Z"},
		`{"time":"2026-11-23T03:01:01Z"}`:                 {"2026-11-23T03:01:01.000Z"},
		`{"time":"2026-11-25T04:00:59Z"}`:                 {"2026-11-25T04:00:59.000Z"},
		// Go's log and nginx's errors, access logs, HTTP and mail, C, Java, PostgreSQL, Go's Time.String.
		`{"time":"2026/11/25 03:00:00"}`:                          {"2026-11-25T03:00:00.000Z"},
		`{"ts":"2026/11/25 03:00:00.123456"}`:                     {"2026-11-25T03:00:00.123Z"},
		`{"time":"25/Nov/2026:03:00:00 +0000"}`:                   {"2026-11-25T03:00:00.000Z"},
		`{"time":"[25/Nov/2026:05:00:00 +0200]"}`:                 {"2026-11-25T03:00:00.000Z"},
		`{"timestamp":"Wed, 25 Nov 2026 03:00:00 GMT"}`:           {"2026-11-25T03:00:00.000Z"},
		`{"timestamp":"Tue, 24 Nov 2026 22:00:00 -0500"}`:         {"2026-11-25T03:00:00.000Z"},
		`{"time":"25 Nov 2026 03:00:00,123"}`:                     {"2026-11-25T03:00:00.123Z"},
		`{"asctime":"Wed Nov 25 03:00:00 2026"}`:                  {"2026-11-25T03:00:00.000Z"},
		`{"time":"Wed Nov 25 03:00:00 UTC 2026"}`:                 {"2026-11-25T03:00:00.000Z"},
		`{"time":"2026-11-25T04:00:00.123+01:00[Europe/Berlin]"}`: {"2026-11-25T03:00:00.123Z"},
		`{"time":"2026-11-25 04:00:00.123+01"}`:                   {"2026-11-25T03:00:00.123Z"},
		`{"time":"2026-11-25 03:00:00.123 UTC"}`:                  {"2026-11-25T03:00:00.123Z"},
		`{"time":"2026-11-25 03:00:00.123456789 +0000 UTC"}`:      {"2026-11-25T03:00:00.123Z"},
		`{"time":"25/Now/2026:03:00:00 +0000"}`:                   {read},
		`{"time":"2026/11/32 03:00:00"}`:                          {read},
		`{"time":"1/Nov/2026:03:00:00"}`:                          {read},
		`{"time":"20/Nov/2026:03:00:00 +0000"}`:                   {read, "20/Nov/2026:03:00:00 +0000"},
		// A time that cannot be true is kept as it was written.
		`{"time":"2026-11-23T03:00:59Z"}`:       {read, "2026-11-23T03:00:59Z"},
		`{"time":"2026-11-25T04:01:01Z"}`:       {read, "2026-11-25T04:01:01Z"},
		`{"time":86400}`:                        {read, "86400"},
		`{"time":172800.5}`:                     {read, "172800.5"},
		`{"@timestamp":"1999-01-01T00:00:00Z"}`: {read, "1999-01-01T00:00:00Z"},
		`{"@timestamp":4102444800000}`:          {read, "4102444800000"},
		`{"timestamp":"9999-12-31T23:59:59Z"}`:  {read, "9999-12-31T23:59:59Z"},
		// A value that is not a time stays where it is.
		`{"time":0}`: {read}, `{"time":-1}`: {read}, `{"time":1e300}`: {read}, `{"time":1e400}`: {read}, `{"time":"now"}`: {read},
		`{"time":null}`:          {read},
		`{"@timestamp":{"a":1}}`: {read}, `{"@timestamp":[1,2]}`: {read}, `{"time":true}`: {read}, `{"time":"2026-11-32T00:00:00Z"}`: {read},
		`{"time":"2026-11-25T25:00:00Z"}`: {read}, `{"time":"99999999999999999999"}`: {read}, `{"time":"2026-11-25"}`: {read}, `{}`: {read},
	} {
		objects, wants = append(objects, object), append(wants, want)
	}
	for _, stream := range []string{"access", "output"} {
		for i, got := range documents(t, stream, nil, objects...) {
			assert.Equal(t, wants[i][0], got["@timestamp"], objects[i])
			assert.Equal(t, wants[i][1], got["claimed_time"], objects[i])
			if wants[i][1] != nil {
				assert.Equal(t, []any{"time"}, got["altered"], objects[i])
			}
		}
	}
}

func TestUnwantedLevelsAreDropped(t *testing.T) {
	env := map[string]string{"LOG_DROP_LEVELS": `["debug","NOTICE","info"]`}
	for i, document := range documents(t, "output", env, `{"level":"Debug"}`, `{"lvl":"INFO"}`, `{"severity":"notice"}`, `{"level":"warn"}`,
		"DEBUG in a text") {
		assert.Equal(t, i < 3, document == nil, "%d", i)
	}
}

// A value is in its field only if OpenSearch takes it there, or else below "json", and the document says so.
func TestOnlyValuesThatFitAreInTheirFields(t *testing.T) {
	fits := map[string]string{
		"keyword": `"a" "" 1 1.5 true ["a",1] [] null`,
		"text":    `"a b" 1 false`,
		"boolean": `true false "true" "false" [true]`,
		"long":    `1 -9223372036854775808 9223372036854775807 "42" "-7" [1,2] null`,
		"float":   `1 1.5 -3.4e38 "1.5" "-1e3" 1e-300`,
		"double":  `1 1.7e308 "1e308"`,
		"ip":      `"10.0.0.1" "255.255.255.255" "::" "::1" "2001:db8::1" "::ffff:10.0.0.1"`,
	}
	misfits := map[string]string{
		"keyword": `{} {"a":1} [[1]] [{}] ["a",null]`,
		"text":    `{} [[]]`,
		"boolean": `1 0 "yes" "TRUE" {} [1]`,
		"long":    `1.5 9223372036854775808 "9223372036854775808" "1_000" "0x1" " 1" "" "a" true {} [1,"a"] 1e3`,
		"float":   `3.5e38 "3.5e38" "NaN" "Infinity" 1e400 "1_0" "1." "0x1p3" "1f" {} true`,
		"double":  `1e400 "1e400" "x" {}`,
		"ip":      `"10.0.0" "10.0.0.256" "010.0.0.1" "10.0.0.1/8" "::1%eth0" "1::2::3" "unix:" "" 1 "::1/64"`,
		"date":    `"" "yesterday" -1 0 true {} "2026-13-01T00:00:00Z" "10000-01-01T00:00:00Z" 1e300`,
	}
	declared, err := json.Marshal(map[string]string{
		"keyword": "keyword", "text": "text", "boolean": "boolean", "long": "long", "float": "float", "double": "double", "date": "date",
		"ip": "ip",
	})
	require.NoError(t, err)
	env := map[string]string{"LOG_INDEXED_FIELDS": string(declared)}
	var kinds, objects []string
	fit := 0
	for _, table := range []map[string]string{fits, misfits} {
		for kind, values := range table {
			decoder := json.NewDecoder(strings.NewReader(values))
			for decoder.More() {
				var value json.RawMessage
				require.NoError(t, decoder.Decode(&value))
				kinds, objects = append(kinds, kind), append(objects, `{"`+kind+`":`+string(value)+`}`)
			}
		}
		if fit == 0 {
			fit = len(objects)
		}
	}
	for _, stream := range []string{"access", "output"} {
		for i, got := range documents(t, stream, env, objects...) {
			if i < fit {
				assert.Contains(t, got, kinds[i], objects[i])
				assert.NotContains(t, got, "json", objects[i])
				assert.NotContains(t, got, "altered", objects[i])
			} else {
				assert.NotContains(t, got, kinds[i], objects[i])
				assert.Contains(t, got["json"], kinds[i], objects[i])
				assert.Contains(t, got["altered"], "types", objects[i])
			}
		}
	}
	got := documents(t, "output", env, `{"date":1795575600}`, `{"date":"2026-11-25 04:00:00+01:00"}`,
		`{"date":[1795575600123,"1999-01-01T00:00:00Z"]}`)
	assert.Equal(t, "2026-11-25T03:00:00.000Z", got[0]["date"])
	assert.Equal(t, "2026-11-25T03:00:00.000Z", got[1]["date"])
	assert.Equal(t, []any{"2026-11-25T03:00:00.123Z", "1999-01-01T00:00:00.000Z"}, got[2]["date"])
	got = documents(t, "access", nil,
		`{"status":70000,"pid":3000000000,"remote_addr":"unix:","request_time":"-","path":{"a":1},"bytes_sent":""}`)
	assert.Len(t, got[0]["json"], 6, "nor does an access log's")
}

// What had to be changed is named.
func TestADocumentSaysWhatWasAltered(t *testing.T) {
	long := strings.Repeat("é", 1<<18+1)
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	altered := map[string][]any{
		"plain": nil, "é": nil, `{"a":{}}`: nil, nested(19): nil,
		"a\xffb": {"bytes"}, `{"a":"` + "\xff" + `"}`: {"bytes"},
		nested(20): {"depth"}, `{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}": {"depth"},
		`{"a":9223372036854775808,"b":1e999,"c":-1e999}`: {"types"},
		`{"Bearer s3cret":1}`:                            {"names"},
		long:                                             {"cut"},
		`{"a":"` + long + `"}`:                           {"cut"},
		`{"time":5,"a":9223372036854775808}`:             {"types", "time"},
		`{"a":[` + strings.Repeat("{},", 50000) + `1]}`:  {"many"},
		`{"a":[` + strings.Repeat("1,", 49990) + `1]}`:   nil,
	}
	messages := slices.Sorted(maps.Keys(altered))
	for i, got := range documents(t, "output", nil, messages...) {
		assert.Equal(t, altered[messages[i]], list(got["altered"]), "%.100q", messages[i])
		assert.LessOrEqual(t, len(fmt.Sprint(got["message"])), 1<<19)
	}
}

func list(value any) []any {
	out, _ := value.([]any)
	return out
}

// Each of the odd lines, which a test of OpenSearch sends to a real one, becomes one document with nothing but the template's fields.
func TestOddLinesBecomeDocuments(t *testing.T) {
	data, err := os.ReadFile("testdata/odd-lines.json")
	require.NoError(t, err)
	var lines []struct {
		What, Stream string
		Message      []any
	}
	require.NoError(t, json.Unmarshal(data, &lines))
	require.Greater(t, len(lines), 600)
	input := filterInput{Filter: settings(t, map[string]string{
		"LOG_FIELDS": `{"team":"x"}`,
		"LOG_INDEXED_FIELDS": `{"user_id":"keyword","duration":"float","paid":"boolean","at":"date","ip":"ip","note":"text","n":"long",` +
			`"f":"double"}`,
	})}
	for _, line := range lines {
		input.Messages = append(input.Messages, logText{Path: "/var/log/pod/web/" + line.Stream + ".log", Message: line.Message})
	}
	events, failure := filtered(t, input)
	require.Empty(t, failure)
	require.Len(t, events, len(lines))
	known := strings.Fields("@timestamp message level stream container pod namespace node zone cluster claimed_time altered json _hash team " +
		"user_id duration paid at ip note n f bytes_sent connection host method path pid protocol referer remote_addr request_id request_time " +
		"status user_agent")
	ids := map[any]bool{}
	for i, e := range events {
		for name := range e.Record {
			assert.Contains(t, known, name, lines[i].What)
		}
		text, err := json.Marshal(e.Record)
		require.NoError(t, err, lines[i].What)
		assert.Less(t, len(text), 8<<20, lines[i].What)
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, e.Record["@timestamp"], lines[i].What)
		ids[e.Record["_hash"]] = true
	}
	assert.Len(t, ids, len(lines), "no two are one")
}

// Where much of it is taken out a message grows, and is cut again; of an object it is, too, and an object that is too large for the buffer
// becomes a text.
func TestADocumentIsBounded(t *testing.T) {
	digits := strings.Repeat("1", 1<<16)
	env := map[string]string{"LOG_REDACT": `["[0-9]"]`}
	got := documents(t, "output", env, digits, `{"level":"warn","message":"`+digits+`","a":"x"}`)
	for _, document := range got {
		assert.Len(t, document["message"], 1<<19)
		assert.Equal(t, []any{"cut"}, document["altered"])
	}
	assert.Equal(t, map[string]any{"a": "x"}, got[1]["json"])
	assert.Equal(t, "warn", got[1]["level"])

	for _, object := range []string{
		`{"level":"warn","a":"` + strings.Repeat("://a@", 100000) + `"}`,
		`{"level":"warn","a":"` + strings.Repeat("pwd=a ", 80000) + `"}`,
		`{"level":"warn","a":[` + strings.Repeat(`{"pwd":1},`, 10000) + strings.Repeat(`"pwd=a pwd=a",`, 25000) + `0]}`,
		`{"level":"warn","a":["` + strings.Repeat(digits, 2) + `"]}`,
	} {
		got := documents(t, "output", env, object)[0]
		assert.LessOrEqual(t, len(fmt.Sprint(got)), 1<<20, "%.40s", object)
		assert.Equal(t, []any{"cut"}, got["altered"], "%.40s", object)
		assert.NotContains(t, got, "json", "%.40s", object)
		assert.Len(t, got["message"], 1<<19, "%.40s", object)
		assert.Equal(t, "warn", got["level"], "%.40s", object)
		assert.Regexp(t, `^\{"level":"warn","json":\{"a":.{100,}\[redacted\]`, fmt.Sprintf("%.1000s", got["message"]))
		assert.NotRegexp(t, `://a@|pwd=a|"pwd":1|11`, got["message"], "%.40s", object)
	}
	// The largest that holds no secret stays an object.
	for _, object := range []string{`{"a":[` + strings.Repeat("1e9,", 49000) + `0]}`, `{"a":"` + strings.Repeat("é", 1<<18-10) + `"}`} {
		got := documents(t, "output", nil, object)[0]
		assert.NotContains(t, got, "altered", "%.40s", object)
		assert.Contains(t, got, "json", "%.40s", object)
	}
}

func TestSettingsThatCannotWorkKeepFluentdFromStarting(t *testing.T) {
	for setting, want := range map[[2]string]string{
		{"LOG_REDACT", `["ok","a(b"]`}:              `redact: "a(b" is no regular expression`,
		{"LOG_REDACT", `["x*"]`}:                    `redact: "x*" matches an empty text`,
		{"LOG_INDEXED_FIELDS", `{"a":"geo_point"}`}: `indexed_fields: a is "geo_point", expected one of keyword, text, boolean`,
	} {
		_, failure := filtered(t, filterInput{Filter: settings(t, map[string]string{setting[0]: setting[1]})})
		assert.Contains(t, failure, want)
	}
}

// The filter reads the settings in the form in which the sidecar writes them.
func TestTheFilterTakesTheSidecarsSettings(t *testing.T) {
	s := sidecar()
	s.args.Fields, s.args.DropLevels, s.args.Redact = map[string]string{"team": `a "quoted" <name>`, "price": "5$$ or $(LOG_DIR)$é$"},
		[]string{"debug"}, []string{`"x" & \w+!`, `US\$$`}
	s.args.IndexedFields = map[string]string{"user_id": "keyword"}
	out, err := s.Add(app(), web)
	require.NoError(t, err)
	env := map[string]string{}
	for _, variable := range out.Render().InitContainers.(corev1.ContainerArray)[1].(corev1.ContainerArgs).Env.(corev1.EnvVarArray) {
		v := variable.(corev1.EnvVarArgs)
		if name := string(v.Name.(pulumi.String)); strings.HasPrefix(name, "LOG_") && name != "LOG_DIR" && name != "LOG_FILES" {
			env[name] = expanded(string(v.Value.(pulumi.String)))
		}
	}
	got := documents(t, "output", env, `say "x" & s3cret!`, `{"user_id":7}`, "5 US$")
	assert.Equal(t, "say [redacted]", got[0]["message"])
	assert.Equal(t, `a "quoted" <name>`, got[0]["team"])
	assert.Equal(t, "5$$ or $(LOG_DIR)$é$", got[0]["price"])
	assert.Equal(t, "5 [redacted]", got[2]["message"])
	assert.Equal(t, 7.0, got[1]["user_id"])
}

// expanded is what Kubernetes makes of a variable's value, where LOG_DIR is one that the container has.
func expanded(value string) string {
	return regexp.MustCompile(`\$(\$|\(LOG_DIR\))`).ReplaceAllStringFunc(value, func(found string) string {
		return map[string]string{"$$": "$", "$(LOG_DIR)": "/var/log/pod"}[found]
	})
}

// Whatever goes wrong inside, the line is not printed or sent as it is: its place is kept, its text is not.
func TestALineThatCannotBeSearchedIsNotSent(t *testing.T) {
	events, failure, printed := printing(t, filterInput{Filter: settings(t, nil), Messages: []logText{{Message: []any{"s3cret"}}}})
	require.Empty(t, failure)
	assert.Equal(t, "[redacted: this line could not be searched for secrets]", events[0].Record["message"])
	assert.Equal(t, "web-1", events[0].Record["pod"])
	assert.Equal(t, "2026-11-25T03:01:00.000Z", events[0].Record["@timestamp"])
	assert.Contains(t, printed, "lines could not be searched for secrets")
	assert.NotContains(t, printed, "s3cret")
}

// A pattern of the settings can be fast for each place of a text and slow for all of them: then the line's text is not sent, and the next
// line comes soon. A pattern that can be slow for one place keeps fluentd from starting, where Ruby can tell.
func TestNoPatternHoldsUpTheLogs(t *testing.T) {
	t.Parallel()
	slow := filterInput{Filter: settings(t, map[string]string{"LOG_REDACT": `["a.*b|a"]`})}
	for _, message := range [][]any{{[]any{"a", 1 << 18}}, {"say a"}, {`{"a":"`, []any{"a", 1 << 18}, `","b":"`, []any{"a", 1 << 18}, `"}`}} {
		slow.Messages = append(slow.Messages, logText{Path: "/var/log/pod/web/output.log", Message: message})
	}
	events, failure, _ := printing(t, slow)
	require.Empty(t, failure)
	for i, want := range []string{"[redacted: this line could not be searched for secrets]", "s[redacted]y [redacted]",
		"[redacted: this line could not be searched for secrets]"} {
		assert.Equal(t, want, events[i].Record["message"])
		assert.Positive(t, events[i].Seconds, "%d", i)
		assert.Less(t, events[i].Seconds, 3.0, "%d", i)
	}

	// Nor do many of such lines, together or one after the other, and those between them that are short keep their text.
	for _, together := range []bool{true, false} {
		many := filterInput{Filter: slow.Filter, Together: together}
		for range 40 {
			for _, message := range [][]any{{[]any{"a", 30000}}, {"say a"}} {
				many.Messages = append(many.Messages, logText{Path: "/var/log/pod/web/output.log", Message: message})
			}
		}
		events, failure, printed := printing(t, many)
		require.Empty(t, failure)
		for i, e := range events[len(events)-20:] {
			assert.Equal(t, []string{"[redacted: this line could not be searched for secrets]", "s[redacted]y [redacted]"}[i%2], e.Record["message"])
		}
		if together {
			assert.Equal(t, 1, strings.Count(printed, "\n"), "said once")
		}
		seconds := 0.0
		for _, e := range events {
			seconds += e.Seconds
		}
		assert.Positive(t, seconds)
		assert.Less(t, seconds, 25.0)
	}

	if exec.Command("ruby", "-e", "exit Regexp.respond_to?(:linear_time?)").Run() != nil {
		t.Log("this Ruby is older than 3.2 and does not tell slow patterns")
		return
	}
	for _, pattern := range []string{`(["']).*?(?:x+x+)+y\1`, `(?:[0-9]{4}-){3}[0-9]{4}`, `(?:[0-9]{4}[- ]?)+`} {
		text, err := json.Marshal([]string{pattern})
		require.NoError(t, err)
		_, failure := filtered(t, filterInput{Filter: settings(t, map[string]string{"LOG_REDACT": string(text)})})
		assert.Contains(t, failure, "can take more time than in proportion to a line", pattern)
	}
}
