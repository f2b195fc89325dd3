package logging

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// section is a part of fluentd's configuration: <name argument>, parameters and sections in it, </name>.
type section struct {
	name, argument string
	params         map[string]string
	sections       []*section
}

var (
	opening   = regexp.MustCompile(`^<([a-z]+)(?: ([^>]+))?>$`)
	closing   = regexp.MustCompile(`^</([a-z]+)>$`)
	parameter = regexp.MustCompile(`^(@?[a-z][a-z0-9_]*) (\S.*)$`)
	envUse    = regexp.MustCompile(`#\{ENV\['([A-Z_]+)'\]\}`)
)

// parseConf reads the configuration by the rules of https://docs.fluentd.org/configuration/config-file.
func parseConf(t *testing.T, text string) *section {
	open := []*section{{params: map[string]string{}}}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		at := open[len(open)-1]
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if m := opening.FindStringSubmatch(line); m != nil {
			s := &section{name: m[1], argument: m[2], params: map[string]string{}}
			at.sections = append(at.sections, s)
			open = append(open, s)
		} else if m := closing.FindStringSubmatch(line); m != nil {
			require.Equal(t, at.name, m[1], "line %d closes another section", i+1)
			open = open[:len(open)-1]
		} else {
			m := parameter.FindStringSubmatch(line)
			require.NotNil(t, m, "line %d: %s", i+1, line)
			require.NotContains(t, at.params, m[1], "line %d", i+1)
			at.params[m[1]] = m[2]
		}
	}
	require.Len(t, open, 1, "sections that are not closed")
	return open[0]
}

// all are the sections of a name, at any depth.
func (s *section) all(name string) (out []*section) {
	for _, inner := range s.sections {
		if inner.name == name {
			out = append(out, inner)
		}
		out = append(out, inner.all(name)...)
	}
	return out
}

// plugin is the section of a plugin with this ID.
func plugin(t *testing.T, id string) *section {
	conf := parseConf(t, fluentConf)
	for _, name := range []string{"source", "filter", "match"} {
		for _, s := range conf.all(name) {
			if s.params["@id"] == id {
				return s
			}
		}
	}
	require.Fail(t, "no plugin", id)
	return nil
}

// fluentd keeps positions and metrics by a plugin's ID, and two plugins of one position file overwrite each other's.
func TestEveryPluginHasAnIDOfItsOwn(t *testing.T) {
	conf := parseConf(t, fluentConf)
	ids, positions := map[string]bool{}, map[string]bool{}
	for _, name := range []string{"source", "filter", "match"} {
		for _, s := range conf.all(name) {
			assert.NotEmpty(t, s.params["@type"], "<%s %s>", s.name, s.argument)
			id := s.params["@id"]
			assert.NotEmpty(t, id, "<%s %s>", s.name, s.argument)
			assert.NotContains(t, ids, id)
			ids[id] = true
			if position, has := s.params["pos_file"]; has {
				assert.NotContains(t, positions, position)
				positions[position] = true
			}
		}
	}
	assert.Len(t, ids, 6)
	assert.Len(t, positions, 1)
}

// Every ENV['X'] of fluent.conf is set, and nothing is set for it that it does not read.
func TestTheConfigurationAndTheEnvironmentAgree(t *testing.T) {
	out, err := sidecar().Add(app(), web)
	require.NoError(t, err)
	env := envOf(out.InitContainers[1])
	read := map[string]bool{}
	for _, use := range envUse.FindAllStringSubmatch(fluentConf, -1) {
		assert.Contains(t, env, use[1])
		read[use[1]] = true
	}
	assert.Len(t, read, 19)
	assert.Equal(t, len(envUse.FindAllString(fluentConf, -1)), strings.Count(fluentConf, "ENV["), "all uses are of one form")
	// For the image's entrypoint, the allocator and the AWS SDK.
	others := []string{"FLUENTD_CONF", "FLUENTD_OPT", "LD_PRELOAD", "AWS_STS_REGIONAL_ENDPOINTS"}
	for name := range env {
		if !read[name] {
			assert.Contains(t, others, name)
		}
	}
	assert.Len(t, env, len(read)+len(others))
	// fluentd takes a text in double quotes as Ruby does, and any other as it is.
	for _, line := range strings.Split(fluentConf, "\n") {
		if envUse.MatchString(line) {
			assert.Regexp(t, `^ *\S+ ".*"$`, line)
		}
	}
}

// What is read passes the filter and reaches the output, which sends nothing back: a document that waits does so in its chunk.
func TestEveryLineTakesTheWholeWay(t *testing.T) {
	logs, filter, out := plugin(t, "logs"), plugin(t, "expense"), plugin(t, "out_opensearch")
	assert.Equal(t, logs.params["tag"], filter.argument)
	assert.Equal(t, logs.params["tag"], out.argument)
	assert.NotContains(t, out.params, "retry_tag")
	for _, key := range []string{"path_key", "id_key"} {
		assert.NotEmpty(t, logs.params[key])
		assert.Equal(t, logs.params[key], filter.params[key])
	}
	assert.Equal(t, filter.params["id_key"], out.params["id_key"])
	assert.Equal(t, out.params["id_key"], out.params["remove_keys"])
	assert.Equal(t, "create", out.params["write_operation"], "the one that a data stream takes, and that a second time is no second document")
	conf := parseConf(t, fluentConf)
	assert.Empty(t, conf.all("parse"), "the input's own")
	assert.NotContains(t, labels(conf), "@ERROR", "what the buffer does not take would end there")
}

func labels(conf *section) (out []string) {
	for _, label := range conf.all("label") {
		out = append(out, label.argument)
	}
	return out
}

// A chunk is a request. JSON makes six bytes of one at most: of a control character, or of false in an array.
func TestNoChunkIsLargerThanTheDomainTakes(t *testing.T) {
	out := plugin(t, "out_opensearch")
	limit := out.sections[slices.IndexFunc(out.sections, func(s *section) bool { return s.name == "buffer" })].params["chunk_limit_size"]
	kib, err := strconv.Atoi(strings.TrimSuffix(limit, "k"))
	require.NoError(t, err, limit)
	assert.LessOrEqual(t, kib<<10*6, 8<<20)
	assert.GreaterOrEqual(t, kib<<10, 2*(512<<10), "a message and what the filter adds to it")
	// With it a chunk would be several requests, and the answers to one taken for another's.
	assert.NotContains(t, out.params, "bulk_message_request_threshold")
}

// answer is what OpenSearch says to a document, or to a request where Request, and what becomes of it: it is sent, it waits
// for another try, or it is printed.
type answer struct {
	Status  int
	Type    string
	Request bool
	Then    string
	Source  string
}

func answers(t *testing.T) (out []answer) {
	data, err := os.ReadFile("testdata/answers.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &out))
	require.NotEmpty(t, out)
	return out
}

// Every answer is one of three: the plugin's own rules for status 200, 201, 409 and 400, and our output's for all others. The
// real plugin is asked by make fluentd.
func TestEveryAnswerIsSorted(t *testing.T) {
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not on PATH")
	}
	types := []string{"a type that nobody has seen yet"}
	for _, a := range answers(t) {
		types = append(types, a.Type)
	}
	input, err := json.Marshal(map[string]any{"refused": plugin(t, "out_opensearch").params["unrecoverable_record_types"], "types": types})
	require.NoError(t, err)
	command := exec.Command(ruby, "-I", "testdata", "-r", "json", "-e", `
		input = JSON.parse($stdin.read)
		require "fluent/plugin/out_opensearch"
		load "files/out_expense.rb"
		Fluent::Plugin::ExpenseOutput.instance_methods(false).include?(:write) or
			abort "fluentd would not start: it asks for write in the class itself"
		waiting = Fluent::Plugin::ExpenseOutput.new(JSON.parse(input["refused"])).unrecoverable_error_types
		puts JSON.generate(input["types"].to_h { |type| [type, waiting.include?(type)] })`)
	command.Stdin = bytes.NewReader(input)
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	var waits map[string]bool
	require.NoError(t, json.Unmarshal(output, &waits), string(output))
	assert.True(t, waits[types[0]], "whatever is not known waits")
	then := map[string]int{}
	for _, a := range answers(t) {
		then[a.Then]++
		switch {
		case a.Request:
			assert.Equal(t, "waits", a.Then, "%+v", a)
		case a.Status < 300 || a.Status == 409:
			assert.Equal(t, "sent", a.Then, "%+v", a)
		case a.Status == 400:
			assert.Equal(t, "printed", a.Then, "%+v", a)
		default:
			assert.Equal(t, a.Then == "waits", waits[a.Type], "%+v", a)
		}
		assert.NotEmpty(t, a.Source, "%+v", a)
	}
	assert.Len(t, then, 3)
}

// A chunk in which a document waits is sent again as a whole: what is refused in it is printed when nothing waits any more.
func TestARefusedDocumentIsPrintedOnce(t *testing.T) {
	said := ruby(t, `
		require "fluent/plugin/out_opensearch"
		load "files/out_expense.rb"
		handler = Fluent::Plugin::OpenSearchErrorHandler.new(Fluent::Plugin::ExpenseOutput.new(["null_pointer_exception"]))
		puts JSON.generate([[400, 429], [403, 400], [400, 409, 201], [400, 500], [400, 400]].map do |statuses|
			items = statuses.map do |status|
				{ "create" => { "status" => status, "error" => { "type" => status == 500 ? "null_pointer_exception" : "x" } } }
			end
			handler.handle_error({ "items" => items }, 1, 2)
		rescue Fluent::Plugin::OpenSearchErrorHandler::OpenSearchRequestAbortError => e
			e.message
		end)`)
	assert.JSONEq(t, `["429 x", "403 x", 1, 1, 2]`, said)
}

// What waits for its next try when fluentd stops, or is refused then, is tried again; a domain that stays away ends it.
func TestTheLastFlushGoesOn(t *testing.T) {
	said := ruby(t, `
		require "fluent/plugin/out_opensearch"
		load "files/out_expense.rb"
		time = 0
		Fluent::Clock.define_singleton_method(:now) { time += 1 }
		puts JSON.generate([[], [0, 0], [1, 0], [0, 3, 0, 2], [1000, 0], [1000, 0, 0], [0, 1000, 1000, 0, 1, 0]].map do |chunks|
			output = Fluent::Plugin::ExpenseOutput.new([], chunks)
			output.before_shutdown
			output.queue.size
		end)`)
	assert.JSONEq(t, `[0, 0, 0, 0, 1, 1, 2]`, said, "only what is always refused is left")
}

// ruby returns what a script prints.
func ruby(t *testing.T, script string) string {
	t.Helper()
	path, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not on PATH")
	}
	output, err := exec.Command(path, "-I", "testdata", "-r", "json", "-e", script).CombinedOutput()
	require.NoError(t, err, string(output))
	return string(output)
}

// nginxErrors are as nginx writes them (https://nginx.org/en/docs/ngx_core_module.html#error_log; the texts are those of
// ngx_http_log_error and of src/event/ngx_event_openssl.c).
const nginxErrors = `2026/11/25 03:00:00 [notice] 1#1: using the "epoll" event method
2026/11/25 03:00:01 [error] 29#29: *1 open() "/usr/share/nginx/html/x" failed (2: No such file or directory), client: 10.0.0.1, ` +
	`server: , request: "GET /x?q=s3cret HTTP/1.1", host: "web:8080", referrer: "https://example.com/?q=s3cret"
2026/11/25 03:00:02 [warn] 29#29: *9007199254740993 an upstream response is buffered to a temporary file /tmp/proxy/1/00/0000000001 ` +
	`while reading upstream, client: 10.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://10.0.0.2:8080/?q=s3cret", host: "web"
2026/11/25 03:00:03 [crit] 29#29: *3 SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) ` +
	`while SSL handshaking, client: 10.0.0.3, server: 0.0.0.0:443
2026/11/25 03:00:04 [alert] 1#1: worker process 29 exited on signal 11
2026/11/25 03:00:05 [error] 30#30: *4 FastCGI sent in stderr: "PHP message: PHP Fatal error:  Uncaught Exception: x in /a.php:3
  thrown in /a.php on line 3" while reading response header from upstream, client: 10.0.0.1, request: "GET /a HTTP/1.1"
2026/11/25 03:00:06 [emerg] 1#1: bind() to 0.0.0.0:80 failed (13: Permission denied)
`

// Each row of the page's table of losses names a test that there is, or a scenario of make fluentd, or who else can show it.
func TestWhatIsSaidToBeLostIsTested(t *testing.T) {
	page, err := os.ReadFile("../docs/logging.md")
	require.NoError(t, err)
	played, err := os.ReadFile("../rehearsal/fluentd/fluentd_test.go")
	require.NoError(t, err)
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range append(files, "../rehearsal/setup/shape_test.go") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		tests.Write(data)
	}
	_, table, found := strings.Cut(string(page), "| event | what happens | shown by |\n|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	named := map[string]bool{}
	for _, row := range strings.Split(table, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		require.Len(t, cells, 3, row)
		for _, scenario := range regexp.MustCompile(`"[^"]+"`).FindAllString(cells[2], -1) {
			assert.Contains(t, string(played), "{"+scenario+", ", row)
			cells[2] = strings.Replace(cells[2], scenario, "", 1)
			named[scenario] = true
		}
		for _, name := range strings.FieldsFunc(cells[2], func(r rune) bool { return r == ',' || r == ' ' }) {
			if name != "AWS" && name != "Kubernetes" {
				assert.Contains(t, tests.String(), "func "+name+"(t *testing.T)", row)
			}
			named[name] = true
		}
	}
	assert.Greater(t, len(named), 20)
}
