package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"expense/logging"
	"expense/rehearsal/internal/opensearchtest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const filters = "../../logging/testdata"

// message is what the sidecar's input hands to its filter, see logging/testdata/fluentd.rb.
type message struct {
	What    string
	Stream  string
	Message []any
}

// odd are the lines of logging/testdata/odd-lines.json, and for each type that can be declared values of all kinds.
func odd(t *testing.T, declared map[string]string) []message {
	t.Helper()
	text, err := os.ReadFile(filters + "/odd-lines.json")
	require.NoError(t, err)
	var out []message
	require.NoError(t, json.Unmarshal(text, &out))
	for name := range declared {
		for _, value := range []string{
			`"x"`, `""`, `" 1"`, `"1_0"`, `"1."`, `"1e3"`, `"0x1p3"`, "5", "1.5", "-0.0", "3.5e38", "1e308", "9223372036854775808",
			`"9223372036854775807"`,
			"true", `"true"`, "null", "[]", "{}", `[1,"x",{"a":1}]`, `[[1]]`, `["a",null]`, `{"a":{"b":1}}`, "1795575600", "1795575600123",
			`"2026-11-25T04:00:00Z"`, `"2026-11-25 04:00:00+01:00"`, `"2026-02-30T00:00:00Z"`, `"10000-01-01T00:00:00Z"`, `"0000-01-01T00:00:00Z"`,
			`"-1"`,
			`"10.0.0.1"`, `"010.0.0.1"`, `"::1"`, `"::1%eth0"`, `"1::2::3"`, `"\u0000"`, `"\ud800"`,
		} {
			for _, stream := range []string{"access", "output"} {
				out = append(out, message{name + ": " + value, stream, []any{fmt.Sprintf(`{%q:%s}`, name, value)}})
			}
		}
		out = append(out, message{name + ": long", "access", []any{`{"` + name + `":"`, []any{"ü", 100_000}, `"}`}})
	}
	return out
}

// filtered is what the sidecar's filter makes of the messages.
func filtered(t *testing.T, messages []message, declared map[string]string) []map[string]any {
	t.Helper()
	types, err := json.Marshal(declared)
	require.NoError(t, err)
	var files []any
	for _, m := range messages {
		files = append(files, map[string]any{"path": "/var/log/pod/app/" + m.Stream + ".log", "message": m.Message})
	}
	input, err := json.Marshal(map[string]any{"messages": files, "filter": map[string]string{
		"path_key": "_file", "id_key": "_hash", "cluster": "expense", "namespace": "project", "pod": "web-1", "node": "ip-10-0-0-1",
		"zone":   "us-east-1a",
		"fields": "{}", "indexed_fields": string(types), "drop_levels": "[]", "redact": "[]",
	}})
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "ruby", "-I", filters, filters+"/fluentd.rb", "../../logging/files/filter_expense.rb")
	var stderr bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(input), &stderr
	out, err := command.Output()
	require.NoError(t, err, stderr.String())
	var result struct {
		Events []struct{ Record map[string]any }
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&result), "%.300s", out)
	require.Len(t, result.Events, len(messages))
	var records []map[string]any
	for _, event := range result.Events {
		records = append(records, event.Record)
	}
	return records
}

// pod is what a sidecar does with its documents.
type pod struct {
	s    *opensearchtest.Server
	name string
	body bytes.Buffer
	sent []string
	// wrong is what OpenSearch refused.
	wrong []string
}

// add takes a document. It first sends the earlier ones if the request would become too large.
func (p *pod) add(what string, record map[string]any, most int) {
	record = maps.Clone(record)
	delete(record, "_hash") // two that are equal are two here
	record["pod"] = p.name
	line, err := json.Marshal(record)
	if err != nil {
		p.wrong = append(p.wrong, what+": "+err.Error())
		return
	}
	if p.body.Len() > 0 && p.body.Len()+len(line) > most {
		p.flush()
	}
	fmt.Fprintf(&p.body, "{\"create\":{\"_index\":%q}}\n%s\n", name, line)
	p.sent = append(p.sent, what)
}

func (p *pod) flush() {
	status, answer, err := p.s.Send(writer, "POST", "/_bulk", http.Header{"Content-Type": {"application/x-ndjson"}}, p.body.Bytes())
	var bulk struct {
		Items []struct {
			Create struct {
				Status int
				Error  any
			}
		}
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &bulk) != nil || len(bulk.Items) != len(p.sent) {
		p.wrong = append(p.wrong, fmt.Sprintf("%d documents: %v, status %d: %.500s", len(p.sent), err, status, answer))
	}
	for i, item := range bulk.Items {
		if i < len(p.sent) && item.Create.Status != http.StatusCreated {
			p.wrong = append(p.wrong, fmt.Sprintf("%s: %v", p.sent[i], item.Create.Error))
		}
	}
	p.body.Reset()
	p.sent = nil
}

// OpenSearch takes the filter's document of every line, from three pods at once. No document changes the mapping, harms the node or
// hinders those of an honest pod.
func TestOpenSearchTakesEveryDocumentOfTheFilter(t *testing.T) {
	s := start(t)
	declared := map[string]string{}
	for _, kind := range []string{"boolean", "date", "double", "float", "ip", "keyword", "long", "text"} {
		declared["f_"+kind] = kind
	}
	succeed(t, s, document(t, s, func(in *logging.SetupInput) { in.IndexedFields = declared }))
	before := s.State()
	messages := odd(t, declared)
	require.Greater(t, len(messages), 1000)
	records := filtered(t, messages, declared)
	for i, record := range records {
		require.NotNil(t, record, messages[i].What)
	}
	honest := filtered(t, []message{{"an access line", "access", []any{`{"status":200,"path":"/","request_time":0.001}`}}}, declared)[0]

	const most, lines = 2 << 20, 1000 // bytes of a request, which OpenSearch takes of three at once; lines of the honest pod
	var sending sync.WaitGroup
	pods := []*pod{{s: s, name: "web-1"}, {s: s, name: "hostile-1"}, {s: s, name: "hostile-2"}, {s: s, name: "hostile-3"}}
	for _, p := range pods[1:] {
		sending.Go(func() {
			for i, record := range records {
				p.add(messages[i].What, record, most)
			}
			p.flush()
		})
	}
	sending.Go(func() {
		for range lines {
			pods[0].add("an access line", honest, 10_000)
		}
		pods[0].flush()
	})
	sending.Wait()
	for _, p := range pods {
		assert.Empty(t, p.wrong, p.name)
	}
	assert.Equal(t, before, s.State())
	s.Do(master, "POST", "/"+name+"/_refresh", "")
	count := func(query string) string {
		_, answer := s.Do(reader, "POST", "/"+name+"/_count", query)
		return answer
	}
	assert.Contains(t, count(`{}`), fmt.Sprintf(`"count":%d,`, 3*len(records)+lines))
	assert.Contains(t, count(`{"query":{"bool":{"filter":[{"term":{"pod":"web-1"}},{"term":{"status":200}}]}}}`),
		fmt.Sprintf(`"count":%d,`, lines))
	_, answer := s.Do(master, "GET", "/_cluster/health", "")
	assert.Contains(t, answer, `"status":"green"`)
}

// Each app declares fields of its own. What another app logs by the same names stays in its lines as it was, is not found by them, and
// neither changes the index nor costs a line.
func TestTheFieldsOfAnAppAreItsOwn(t *testing.T) {
	s := start(t)
	shop, other := map[string]string{"user_id": "keyword", "took": "float"}, map[string]string{"total": "float"}
	all := maps.Clone(shop)
	maps.Copy(all, other)
	succeed(t, s, document(t, s, func(in *logging.SetupInput) { in.IndexedFields = all }))
	before := s.State()

	var ours, theirs []message
	for n := range 10 {
		text := fmt.Sprintf(`{"msg":"sold","user_id":"u%d","took":0.5,"cart":{"user_id":["x"]}}`, n)
		ours = append(ours, message{"shop", "output", []any{text}})
	}
	values := []string{
		`"u1"`, `{"a":[1,{"b":null}]}`, `[["u1"],{}]`, "1e300", `{"":{"..":"x"}}`, `{"user_id":"u1"}`, `"2026-01-01T00:00:00Z"`, "false", "{}",
	}
	for _, value := range values {
		text := fmt.Sprintf(`{"msg":"hm","user_id":%s,"took":%[1]s,"total":12.5}`, value)
		theirs = append(theirs, message{"other: " + value, "output", []any{text}})
	}
	for _, p := range []struct {
		pod
		messages []message
		fields   map[string]string
	}{{pod{s: s, name: "other-1"}, theirs, other}, {pod{s: s, name: "shop-1"}, ours, shop}} {
		for i, record := range filtered(t, p.messages, p.fields) {
			p.add(p.messages[i].What, record, 1<<20)
		}
		p.flush()
		assert.Empty(t, p.wrong, p.name)
	}
	assert.Equal(t, before, s.State(), "no mapping, no index")

	s.Do(master, "POST", "/"+name+"/_refresh", "")
	for query, want := range map[string]int{
		`{"match_all":{}}`:            len(ours) + len(theirs),
		`{"term":{"user_id":"u1"}}`:   1,
		`{"range":{"took":{"lt":1}}}`: len(ours),
		`{"term":{"total":12.5}}`:     len(theirs),
		`{"match":{"message":"hm"}}`:  len(theirs),
	} {
		lines, failed := found(t, s, query)
		assert.Equal(t, []int{want, 0}, []int{lines, failed}, query)
	}
	_, answer := s.Do(reader, "POST", "/"+name+"/_search", `{"size":50,"query":{"term":{"pod":"other-1"}}}`)
	var out struct {
		Hits struct {
			Hits []struct {
				Source struct {
					JSON json.RawMessage `json:"json"`
				} `json:"_source"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &out))
	require.Len(t, out.Hits.Hits, len(theirs), "%.600s", answer)
	var kept []string
	for _, hit := range out.Hits.Hits {
		kept = append(kept, string(hit.Source.JSON))
	}
	for _, value := range values {
		want := fmt.Sprintf(`{"user_id":%s,"took":%[1]s}`, value)
		assert.True(t, slices.ContainsFunc(kept, func(one string) bool { return assert.ObjectsAreEqual(parsed(t, want), parsed(t, one)) }),
			"%s is kept whole among %s", want, kept)
	}
}

func parsed(t *testing.T, text string) (out any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	return out
}
