package logging

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
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
	assert.Len(t, ids, 10)
	assert.Len(t, positions, 2)
}

// Every ENV['X'] of fluent.conf is set, and nothing is set for it that it does not read.
func TestTheConfigurationAndTheEnvironmentAgree(t *testing.T) {
	out, err := sidecar().Add(pod(), web)
	require.NoError(t, err)
	env := envOf(t, containers(t, out.InitContainers)[1])
	read := map[string]bool{}
	for _, use := range envUse.FindAllStringSubmatch(fluentConf, -1) {
		assert.Contains(t, env, use[1])
		read[use[1]] = true
	}
	assert.Len(t, read, 16)
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

// What is read passes both filters and reaches the output; what the output takes back passes no filter again.
func TestEveryLineTakesTheWholeWay(t *testing.T) {
	for _, id := range []string{"access", "text"} {
		assert.Regexp(t, `^app\.[a-z]+$`, plugin(t, id).params["tag"])
	}
	assert.Equal(t, "app.*", plugin(t, "expense").argument)
	assert.Equal(t, "app.*", plugin(t, "pod").argument)
	out := plugin(t, "out_opensearch")
	assert.Equal(t, "app.** retry.**", out.argument)
	assert.Equal(t, "retry.app", out.params["retry_tag"])
	assert.Equal(t, plugin(t, "expense").params["id_key"], out.params["id_key"])
	assert.Equal(t, out.params["id_key"], out.params["remove_keys"])
	for _, id := range []string{"access", "text"} {
		assert.Equal(t, plugin(t, "expense").params["path_key"], plugin(t, id).params["path_key"])
	}
}

// What only fluentd itself acts on: without one of these, lines are lost or read twice, or get the wrong time.
func TestTheSourcesReadEveryLineOnce(t *testing.T) {
	access, text := plugin(t, "access").params, plugin(t, "text").params
	for _, source := range []map[string]string{access, text} {
		assert.Equal(t, "true", source["follow_inodes"], "a renamed file is the same file")
		assert.Equal(t, "true", source["read_from_head"], "what was written before the first look")
		assert.Equal(t, "2s", source["refresh_interval"])
		assert.NotContains(t, source, "encoding", "bytes are the filter's to read")
	}
	assert.Equal(t, access["path"], text["exclude_path"], "one of the two reads a file")
	assert.Equal(t, "2s", text["multiline_flush_interval"], "the last message is sent without a next one")
	assert.Equal(t, "true", text["emit_unmatched_lines"], "what comes before a file's first message")
	assert.Equal(t, "true", plugin(t, "text").sections[0].params["utc"], "nginx's container has no zone")
}

// filterInput is what testdata/fluentd.rb reads.
type filterInput struct {
	Filter    map[string]string `json:"filter"`
	Multiline map[string]string `json:"multiline,omitempty"`
	Files     []logText         `json:"files,omitempty"`
	Records   []any             `json:"records,omitempty"`
}

type logText struct {
	Path  string `json:"path"`
	Bytes []byte `json:"bytes"`
}

type event struct {
	Time   float64        `json:"time"`
	Record map[string]any `json:"record"`
}

// settings are the filter's parameters in fluent.conf, with the environment that a test wants.
func settings(t *testing.T, env map[string]string) map[string]string {
	all := map[string]string{"POD_NAME": "web-1", "LOG_FIELDS": "{}", "LOG_DROP_LEVELS": "[]", "LOG_REDACT": "[]"}
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
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not on PATH")
	}
	text, err := json.Marshal(input)
	require.NoError(t, err)
	command := exec.Command(ruby, "-I", "testdata", "testdata/fluentd.rb", "files/filter_expense.rb")
	command.Stdin = bytes.NewReader(text)
	var stderr strings.Builder
	command.Stderr = &stderr
	data, err := command.Output()
	require.NoError(t, err, stderr.String())
	assert.Empty(t, stderr.String(), "a warning of Ruby's or an error of the filter's")
	var output struct {
		Events []*event
		Error  string
	}
	require.NoError(t, json.Unmarshal(data, &output), string(data))
	return output.Events, output.Error
}

// read are the events of a log file, read by the source of fluent.conf with this ID.
func read(t *testing.T, id, path, text string, env map[string]string) []*event {
	t.Helper()
	return readAll(t, id, []logText{{Path: path, Bytes: []byte(text)}}, env)
}

func readAll(t *testing.T, id string, files []logText, env map[string]string) []*event {
	t.Helper()
	input := filterInput{Filter: settings(t, env), Files: files}
	parse := plugin(t, id).all("parse")[0].params
	if parse["@type"] == "multiline" {
		input.Multiline = parse
	} else {
		require.Equal(t, "none", parse["@type"])
	}
	events, failure := filtered(t, input)
	require.Empty(t, failure)
	return events
}

// messages are the events' messages.
func messages(events []*event) (out []any) {
	for _, e := range events {
		out = append(out, e.Record["message"])
	}
	return out
}

// nginxErrors are as nginx writes them (https://nginx.org/en/docs/ngx_core_module.html#error_log; the texts are those of
// ngx_http_log_error and of src/event/ngx_event_openssl.c).
const nginxErrors = `2026/11/25 03:00:00 [notice] 1#1: using the "epoll" event method
2026/11/25 03:00:01 [error] 29#29: *1 open() "/usr/share/nginx/html/x" failed (2: No such file or directory), client: 10.0.0.1, server: , request: "GET /x?q=s3cret HTTP/1.1", host: "web:8080", referrer: "https://example.com/?q=s3cret"
2026/11/25 03:00:02 [warn] 29#29: *9007199254740993 an upstream response is buffered to a temporary file /tmp/proxy/1/00/0000000001 while reading upstream, client: 10.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://10.0.0.2:8080/?q=s3cret", host: "web"
2026/11/25 03:00:03 [crit] 29#29: *3 SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking, client: 10.0.0.3, server: 0.0.0.0:443
2026/11/25 03:00:04 [alert] 1#1: worker process 29 exited on signal 11
2026/11/25 03:00:05 [error] 30#30: *4 FastCGI sent in stderr: "PHP message: PHP Fatal error:  Uncaught Exception: x in /a.php:3
  thrown in /a.php on line 3" while reading response header from upstream, client: 10.0.0.1, request: "GET /a HTTP/1.1"
2026/11/25 03:00:06 [emerg] 1#1: bind() to 0.0.0.0:80 failed (13: Permission denied)
`

func TestNginxErrorsAreParsed(t *testing.T) {
	events := read(t, "text", "/var/log/pod/web/error.log", nginxErrors, nil)
	require.Len(t, events, 7)
	levels := []any{}
	for i, e := range events {
		assert.InDelta(t, 1795575600+i, e.Time, 0.1, "UTC, whatever the container's zone")
		assert.Equal(t, "error", e.Record["stream"])
		assert.Equal(t, "web", e.Record["container"])
		levels = append(levels, e.Record["level"])
	}
	assert.Equal(t, []any{"notice", "error", "warn", "crit", "alert", "error", "emerg"}, levels)
	assert.Equal(t, 29.0, events[1].Record["pid"])
	assert.Equal(t, 1.0, events[1].Record["connection"])
	assert.NotContains(t, events[0].Record, "connection")
	assert.Equal(t, `open() "/usr/share/nginx/html/x" failed (2: No such file or directory), client: 10.0.0.1, server: , `+
		`request: "GET /x?[redacted] HTTP/1.1", host: "web:8080", referrer: "https://example.com/?[redacted]"`, events[1].Record["message"])
	assert.Contains(t, events[2].Record["message"], `upstream: "http://10.0.0.2:8080/?[redacted]", host: "web"`)
	assert.Contains(t, events[5].Record["message"], "/a.php:3\n  thrown in")
	assert.NotContains(t, fmt.Sprint(messages(events)), "s3cret")
}

// A text may look like nginx's as far as it likes: what is no time and no number is text, and every line is in an event.
func TestNoTextIsRefused(t *testing.T) {
	lines := []string{
		"plain", "", " ", "2026/13/25 03:00:00 [error] 1#1: month", "2026/11/32 03:00:00 [error] 1#1: day", "2026/02/31 03:00:00 [error] 1#1: no such day",
		"2026/11/25 24:00:00 [error] 1#1: hour", "1026/11/25 03:00:00 [error] 1#1: year", "2026/11/25 03:00:00 [error] 99999999999999999999#1: pid",
		"2026/11/25 03:00:00 [error] 1#1: *99999999999999999999 connection", "2026/11/25 03:00:00 [error] 1#1: ", "{", "[]", `{"a":`, "null",
		`{"time":"2026-11-25T03:00:00Z"}`, `{"time":1e400}`, `{"n":99999999999999999999}`, strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
		"\xff\xfe broken", "{\"a\":\"\xff\"}", "\x00", "\ttab",
	}
	for id, path := range map[string]string{"access": "/var/log/pod/web/access.log", "text": "/var/log/pod/web/app.log"} {
		var files []logText
		for _, line := range lines {
			files = append(files, logText{Path: path, Bytes: []byte(line + "\n")})
		}
		events := readAll(t, id, files, nil)
		require.Len(t, events, len(lines))
		for i, e := range events {
			require.NotNil(t, e, "%s %q", id, lines[i])
			assert.NotContains(t, fmt.Sprint(e.Record), "could not be searched", "%s %q", id, lines[i])
		}
	}
	events := read(t, "text", "/var/log/pod/web/app.log", "2026/11/25 03:00:00 [error] 99999999999999999999#1: pid\n", nil)
	assert.Equal(t, "2026/11/25 03:00:00 [error] 99999999999999999999#1: pid", events[0].Record["message"])
}

// A stack trace is one event, and two messages are two, whatever a file begins or ends with.
func TestStackTracesAreKeptWhole(t *testing.T) {
	const java = "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\n\tat a.B.d(B.java:2)\nCaused by: java.io.IOException: why\n\t... 2 more"
	events := read(t, "text", "/var/log/pod/app/output.log.2", "\tat before.the.First(Line.java:1)\n\tand another\nfirst\n"+java+"\nlast", nil)
	assert.Equal(t, []any{"\tat before.the.First(Line.java:1)", "\tand another", "first", java, "last"}, messages(events))
	assert.Equal(t, "output", events[0].Record["stream"], "the name before rotation")
	assert.Equal(t, "app", events[0].Record["container"])
}

// The access log's object is the record, at its own time; request_id makes a second delivery the same document.
func TestAccessLinesBecomeRecords(t *testing.T) {
	const line = `{"time":1795575600.123,"request_id":"0123456789abcdef0123456789abcdef","status":200,"path":"/"}` + "\n"
	for _, path := range []string{"/var/log/pod/web/access.log", "/var/log/pod/web/access.log.1"} {
		events := read(t, "access", path, line, nil)
		require.Len(t, events, 1)
		assert.InDelta(t, 1795575600.123, events[0].Time, 1e-6)
		assert.Equal(t, map[string]any{
			"request_id": "0123456789abcdef0123456789abcdef", "status": 200.0, "path": "/", "container": "web", "stream": "access",
			"_hash": "web-1.web.0123456789abcdef0123456789abcdef",
		}, events[0].Record)
	}
	// What is no time of 32 bits, as seconds, stays a field.
	for _, time := range []string{`"2026-11-25T03:00:00Z"`, "1795575600123", "-1", "0"} {
		events := read(t, "access", "/var/log/pod/web/access.log", `{"time":`+time+`}`, nil)
		assert.Contains(t, events[0].Record, "time", time)
	}
}

// Two lines with one request's ID in a log that is not nginx's access log are two documents.
func TestOnlyAccessLinesAreOneForARequest(t *testing.T) {
	const line = `{"request_id":"0123456789abcdef0123456789abcdef","message":"step"}` + "\n"
	ids := map[any]bool{}
	for _, e := range read(t, "text", "/var/log/pod/app/output.log", line+line+"text\ntext\n", nil) {
		ids[e.Record["_hash"]] = true
	}
	for _, e := range read(t, "access", "/var/log/pod/app/access.log", strings.Repeat(`{"request_id":""}`+"\n"+`{"request_id":7}`+"\n"+"text\n", 2), nil) {
		ids[e.Record["_hash"]] = true
	}
	assert.Len(t, ids, 10)
}

// An application's JSON keeps its names apart from everybody else's, but for its level and its message.
func TestJSONInATextIsTakenApart(t *testing.T) {
	events := read(t, "text", "/var/log/pod/app/output.log",
		`{"time":"now","severity":"WARN","msg":"slow","status":"ok","n":99999999999999999999,"list":[{"a":1.5}]}`+"\n"+`{"level":30,"message":{"a":1}}`+"\n[1]\n", nil)
	require.Len(t, events, 3)
	assert.Equal(t, "warn", events[0].Record["level"])
	assert.Equal(t, "slow", events[0].Record["message"])
	assert.Equal(t, map[string]any{"time": "now", "status": "ok", "n": "99999999999999999999", "list": []any{map[string]any{"a": 1.5}}}, events[0].Record["json"])
	assert.Equal(t, map[string]any{"level": 30.0, "message": map[string]any{"a": 1.0}}, events[1].Record["json"], "a number is no level's name")
	assert.Equal(t, "[1]", events[2].Record["message"])
	// No line can say that it is another pod's or container's, nor choose the document that it becomes.
	events = read(t, "access", "/var/log/pod/app/access.log", `{"container":"web","stream":"x","_hash":"y","_file":"/a/b.log"}`, nil)
	assert.Equal(t, "app", events[0].Record["container"])
	assert.Equal(t, "access", events[0].Record["stream"])
	assert.NotEqual(t, "y", events[0].Record["_hash"])
}

func TestUnwantedLevelsAreDropped(t *testing.T) {
	events := read(t, "text", "/var/log/pod/app/error.log",
		nginxErrors+`{"level":"Debug","message":"a"}`+"\n"+`{"lvl":"INFO","message":"b"}`+"\n"+"DEBUG in a text\n",
		map[string]string{"LOG_DROP_LEVELS": `["debug","NOTICE","info"]`})
	dropped := 0
	for _, e := range events {
		if e == nil {
			dropped++
		}
	}
	assert.Equal(t, 3, dropped)
	assert.Len(t, events, 10)
}

// Fields are the stack's word about its lines: an application cannot unsay them, nor can they unsay where a line is from.
func TestFieldsAreAdded(t *testing.T) {
	events := read(t, "access", "/var/log/pod/app/access.log", `{"team":"mine"}`, map[string]string{"LOG_FIELDS": `{"team":"shöp","stream":"x"}`})
	assert.Equal(t, "shöp", events[0].Record["team"])
	assert.Equal(t, "access", events[0].Record["stream"])
	assert.Contains(t, plugin(t, "pod").sections[0].params, "zone", "and cluster, namespace, pod, node come after")
}

func TestAPatternThatCannotWorkKeepsFluentdFromStarting(t *testing.T) {
	for patterns, want := range map[string]string{
		`["ok","a(b"]`: `redact: "a(b" is no regular expression`, `["x*"]`: `redact: "x*" matches an empty text`,
	} {
		_, failure := filtered(t, filterInput{Filter: settings(t, map[string]string{"LOG_REDACT": patterns}), Records: []any{}})
		assert.Contains(t, failure, want)
	}
}

// encoded is a text whose bytes are not UTF-8, for the filter's input.
func encoded(text string) map[string]string {
	return map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(text))}
}

// Every secret of these texts has "s3cret" in it, and none leaves the pod; what is around it stays readable.
func TestSecretsAreRedacted(t *testing.T) {
	texts := map[string]string{
		// Headers, to the end of the line or of the quotes.
		"Authorization: Bearer s3cret.s3cret":                                 "Authorization: [redacted]",
		"> authorization: Digest username=\"s3cret\", nonce=\"s3cret\"\n> ok": "> authorization: [redacted]\n> ok",
		"Proxy-Authorization: Basic czNjs3cret==":                             "Proxy-Authorization: [redacted]",
		"curl -H 'Cookie: a=s3cret; b=s3cret' x":                              "curl -H 'Cookie: [redacted]",
		"Set-Cookie: id=s3cret; HttpOnly; Secure":                             "Set-Cookie: [redacted]",
		"X-Amz-Security-Token: s3cret":                                        "X-Amz-Security-Token: [redacted]",
		`sent {"Authorization": "Bearer s3cret", "Accept": "*/*"}`:            `sent {"Authorization": [redacted], "Accept": "*/*"}`,
		`sent {\"Cookie\":\"a=s3cret; b=s3cret\",\"x\":1}`:                    `sent {\"Cookie\":[redacted],\"x\":1}`,
		"authorization=Bearer s3cret status=401":                              "authorization=[redacted] status=401",
		"authorization=s3cret status=401":                                     "authorization=[redacted] status=401",
		// Schemes without a header.
		"got Bearer s3cret from 10.0.0.1":    "got Bearer [redacted] from 10.0.0.1",
		"BASIC czNj+s3cret/== is not enough": "BASIC [redacted] is not enough",
		// Assignments.
		"password=s3cret user=bob":                                "password=[redacted] user=bob",
		"DB_PASSWORD: s3cret":                                     "DB_PASSWORD: [redacted]",
		`pwd = "s3cret with \" and s3cret" next`:                  `pwd = [redacted] next`,
		"passwd => 's3cret s3cret'":                               "passwd => [redacted]",
		"aws_secret_access_key = abc/s3cret+EXAMPLE":              "aws_secret_access_key = [redacted]",
		"AWS_SESSION_TOKEN=s3cret//////////":                      "AWS_SESSION_TOKEN=[redacted]",
		"SecretAccessKey:s3cret":                                  "SecretAccessKey:[redacted]",
		"client_secret=s3cret":                                    "client_secret=[redacted]",
		"api-key: s3cret":                                         "api-key: [redacted]",
		"apikey=s3cret&page=2":                                    "apikey=[redacted]",
		"GET https://b.s3.amazonaws.com/k?X-Amz-Signature=s3cret": "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=[redacted]",
		`[{"access_token":"s3cret"},{"page":1}]`:                  `[{"access_token":[redacted]},{"page":1}]`,
		// URLs.
		"cloning https://bob:s3cret@example.com/x.git":   "cloning https://[redacted]@example.com/x.git",
		"postgres://bob:s3@cret@db:5432/x?sslmode=off":   "postgres://[redacted]@db:5432/x?sslmode=off",
		"https://s3cret@example.com and https://x.y/a@b": "https://[redacted]@example.com and https://x.y/a@b",
		// Configured.
		"card 4111-s3cret-1111 paid": "card [redacted] paid",
		"ключ s3cret-é":              "ключ [redacted]é",
	}
	for _, text := range []string{
		"tokens=12 used", "a basic, thing", "secretary of state", "keyboard: qwerty", "https://example.com/a?b=c", "Grüße, 東京", "authorized: yes",
		"the password was changed", `request: "GET /a HTTP/1.1", host: "web"`,
	} {
		texts[text] = text
	}
	env := map[string]string{"LOG_REDACT": `["\\d{4}-s3cret-\\d{4}","(?<=ключ )\\S+-"]`}
	input := filterInput{Filter: settings(t, env)}
	order := slices.Sorted(maps.Keys(texts))
	for _, text := range order {
		input.Records = append(input.Records, map[string]any{"message": text, "_file": "/var/log/pod/app/output.log"})
	}
	events, failure := filtered(t, input)
	require.Empty(t, failure)
	require.Len(t, events, len(texts))
	for i, e := range events {
		assert.Equal(t, texts[order[i]], e.Record["message"], "%s", order[i])
		assert.NotContains(t, e.Record["message"], "s3cret", "%s", order[i])
	}
}

// A key says that its value is a secret, however deep it is and whatever the value is.
func TestValuesOfSecretKeysAreRedacted(t *testing.T) {
	secret := map[string]any{"a": []any{"s3cret", map[string]any{"b": "s3cret"}}}
	record := map[string]any{"_file": "/var/log/pod/app/access.log", "deep": []any{map[string]any{"list": []any{[]any{map[string]any{}}}}}}
	inner := record["deep"].([]any)[0].(map[string]any)["list"].([]any)[0].([]any)[0].(map[string]any)
	keys := []string{
		"authorization", "Authorization", "PROXY-AUTHORIZATION", "cookie", "cookies", "Set-Cookie", "x-amz-security-token", "password", "passwd", "dbPassword",
		"secret", "client_secret", "token", "accessToken", "api_key", "apiKey", "API-KEY", "secret_access_key", "private key", "credentials",
	}
	for i, key := range keys {
		value := []any{"s3cret", secret, 5.0}[i%3]
		record[key], inner[key] = value, value
	}
	record["token_count"], record["ok"], record["none"] = 7, true, "none"
	record["Bearer s3cret"] = "a key is a text too"
	record["bytes"] = encoded("\xffpassword=s3cret\xff")
	record["message"] = encoded("\xff" + `{"broken":"","password":"s3cret"}`)
	events, failure := filtered(t, filterInput{Filter: settings(t, nil), Records: []any{record, map[string]any{
		"_file": "/var/log/pod/app/access.log", "message": encoded(`{"a":"` + "\xff" + `","password":"s3cret","b":[{"Cookie":"s3cret"}]}`),
	}}})
	require.Empty(t, failure)
	text, err := json.Marshal(events)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "s3cret")
	for _, key := range keys {
		assert.Equal(t, "[redacted]", events[0].Record[key], key)
	}
	assert.Equal(t, 7.0, events[0].Record["token_count"])
	assert.Equal(t, "a key is a text too", events[0].Record["Bearer [redacted]"])
	assert.Equal(t, "?password=[redacted]", events[0].Record["bytes"])
	assert.Len(t, events[0].Record, len(record)+2, "nothing is missing")
	assert.Equal(t, "?", events[1].Record["a"])
	assert.Equal(t, []any{map[string]any{"Cookie": "[redacted]"}}, events[1].Record["b"])
}

// Whatever goes wrong inside, the line is not printed or sent as it is: its place is kept, its text is not.
func TestALineThatCannotBeSearchedIsNotSent(t *testing.T) {
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not on PATH")
	}
	text, err := json.Marshal(filterInput{Filter: settings(t, nil), Records: []any{map[string]any{"message": "s3cret", "_file": nil}}})
	require.NoError(t, err)
	command := exec.Command(ruby, "-I", "testdata", "testdata/fluentd.rb", "files/filter_expense.rb")
	command.Stdin = bytes.NewReader(text)
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Contains(t, string(output), "[redacted: this line could not be searched for secrets]")
	assert.NotContains(t, string(output), "s3cret")
}

// The settings as the sidecar writes them are what the filter reads.
func TestTheFilterTakesTheSidecarsSettings(t *testing.T) {
	s := sidecar()
	s.args.Fields, s.args.DropLevels, s.args.Redact = map[string]string{"team": `a "quoted" <name>`}, []string{"debug"}, []string{`"x" & \w+!`}
	out, err := s.Add(pod(), web)
	require.NoError(t, err)
	env := map[string]string{}
	for name, value := range envOf(t, containers(t, out.InitContainers)[1]) {
		if strings.HasPrefix(name, "LOG_") && name != "LOG_DIR" {
			env[name] = string(value.(pulumi.String))
		}
	}
	events := read(t, "text", "/var/log/pod/app/output.log", `say "x" & s3cret!`, env)
	assert.Equal(t, "say [redacted]", events[0].Record["message"])
	assert.Equal(t, `a "quoted" <name>`, events[0].Record["team"])
}
