package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"expense/logging"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const filters = "../../logging/testdata"

// message is one as the sidecar's input hands it over, see logging/testdata/fluentd.rb.
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
			`"x"`, `""`, `" 1"`, `"1_0"`, `"1."`, `"1e3"`, `"0x1p3"`, "5", "1.5", "-0.0", "3.5e38", "1e308", "9223372036854775808", `"9223372036854775807"`,
			"true", `"true"`, "null", "[]", "{}", `[1,"x",{"a":1}]`, `[[1]]`, `["a",null]`, `{"a":{"b":1}}`, "1795575600", "1795575600123",
			`"2026-11-25T04:00:00Z"`, `"2026-11-25 04:00:00+01:00"`, `"2026-02-30T00:00:00Z"`, `"10000-01-01T00:00:00Z"`, `"0000-01-01T00:00:00Z"`, `"-1"`,
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
		"path_key": "_file", "id_key": "_hash", "cluster": "expense", "namespace": "project", "pod": "web-1", "node": "ip-10-0-0-1", "zone": "us-east-1a",
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

// Whatever is in a line, OpenSearch takes the document that the filter makes of it; none changes the mapping or harms the node.
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

	const most = 8 << 20 // of one request
	var body bytes.Buffer
	var sent []string
	taken := 0
	flush := func() {
		status, answer, err := s.Send(writer, "POST", "/_bulk", http.Header{"Content-Type": {"application/x-ndjson"}}, body.Bytes())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, "%.500s", answer)
		var bulk struct {
			Items []struct {
				Create struct {
					Status int
					Error  any
				}
			}
		}
		require.NoError(t, json.Unmarshal(answer, &bulk))
		require.Len(t, bulk.Items, len(sent))
		for i, item := range bulk.Items {
			if assert.Equal(t, http.StatusCreated, item.Create.Status, "%s: %v", sent[i], item.Create.Error) {
				taken++
			}
		}
		body.Reset()
		sent = nil
	}
	for i, record := range records {
		require.NotNil(t, record, messages[i].What)
		delete(record, "_hash") // two that are equal are two here
		line, err := json.Marshal(record)
		require.NoError(t, err)
		if body.Len()+len(line) > most {
			flush()
		}
		fmt.Fprintf(&body, "{\"create\":{\"_index\":%q}}\n%s\n", name, line)
		sent = append(sent, messages[i].What)
	}
	flush()
	assert.Equal(t, len(records), taken)
	assert.Equal(t, before, s.State())
	s.Do(master, "POST", "/"+name+"/_refresh", "")
	_, answer := s.Do(reader, "GET", "/"+name+"/_count", "")
	assert.Contains(t, answer, fmt.Sprintf(`"count":%d,`, len(records)))
	_, answer = s.Do(master, "GET", "/_cluster/health", "")
	assert.Contains(t, answer, `"status":"green"`)
}
