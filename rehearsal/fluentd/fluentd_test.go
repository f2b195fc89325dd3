// Package fluentd lets a real fluentd play what docs/logging.md says of lines: a fluentd on PATH or the sidecar's image, with the
// sidecar's files, before the OpenSearch of the tests. It plays only on demand (make fluentd).
package fluentd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"expense/rehearsal/internal/opensearchtest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scenarios are the rows of the printed table: what is done, and what is seen.
var scenarios = []struct {
	name string
	play func(t *testing.T, d *domain) string
}{
	{"20,000 requests and 2,000 texts, eighteen rotations", rotations},
	{"SIGKILL three times while lines are written", kills},
	{"the domain answers 503 for fifteen seconds", outage},
	{"each answer that OpenSearch gives", sortsAnswers},
	{"hostile lines of three pods, an honest one beside them", hostile},
	{"links, FIFOs, folders in the log folder", dishonest},
	{"155 MB of long lines while the domain is away", longLines},
	{"6 MB of lines that all go on with the first", endless},
	{"the buffer is full: stopped, and started again", fullBuffer},
	{"SIGTERM with 20,000 lines behind", stopBehind},
	{"SIGTERM while the domain is away, and a new start", stopAway},
	{"SIGTERM while the next try is far, and the domain is back", stopInBackOff},
	{"SIGTERM, and one request of the last flush is refused", stopRefused},
	{"SIGTERM, and the first chunk is always refused", stopOneRefused},
	{"a chunk with a document that is refused and one that waits", mixed},
	{"another file has the inode of one that was read", reused},
	{"what rotation removes while the domain is away", removed},
	{"the buffer's folder cannot be written", noDisk},
	{"a pod floods", flood},
	{"a pattern that does not compile", badPattern},
	{"50,000 requests at once", speed},
	{"the memory that each input takes", memories},
}

func TestMain(m *testing.M) { opensearchtest.Main(m) }

func TestFluentd(t *testing.T) {
	if !*play {
		t.Skip("make fluentd plays it")
	}
	run, what := findFluentd()
	if run == nil {
		fmt.Printf("make fluentd: not played: %s\n", what)
		t.Skip(what)
	}
	d := newDomain(t, run)
	fmt.Printf("\n%s\n\n| what | seen |\n|---|---|\n", what)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			began := time.Now()
			seen := "failed"
			defer func() {
				d.refusing(nil)
				fmt.Printf("| %s | %s (%.0f s) |\n", s.name, seen, time.Since(began).Seconds())
			}()
			seen = s.play(t, d)
			if t.Failed() {
				seen = "failed: " + seen
			}
		})
	}
	assert.LessOrEqual(t, d.largest, mostBytes, "bytes of the largest request")
	status, health := d.server.Do(master, http.MethodGet, "/_cluster/health/"+stream, "")
	require.Equal(t, http.StatusOK, status)
	assert.Contains(t, health, `"status":"green"`)
	fmt.Printf("| all of it | %d requests, the largest %.1f MiB unpacked, the stream is green |\n\n", d.bulks, float64(d.largest)/(1<<20))
}

// access is a line of nginx's access log.
func access(n int) string {
	return fmt.Sprintf(`{"time":%.3f,"request_id":"%032x","remote_addr":"10.0.0.1","method":"GET","path":"/item/%d","status":200,`+
		`"bytes_sent":612,"request_time":0.001,"http_user_agent":"kube-probe/1.35"}`+"\n", float64(time.Now().UnixMilli())/1000, n, n)
}

// distinct checks that the documents have so many values of a field.
func distinct(t *testing.T, documents []document, field string, count int) {
	t.Helper()
	seen := map[string]bool{}
	for _, one := range documents {
		if text, has := one.body[field]; has {
			seen[fmt.Sprint(text)] = true
		}
	}
	assert.Equal(t, count, len(seen), "values of %s", field)
}

func rotations(t *testing.T, d *domain) string {
	p := newPod(t, d, "rotations", "web/access.log", "web/error.log").start()
	for i := range 18 {
		var requests, errors strings.Builder
		for n := range 1111 {
			requests.WriteString(access(i*1111 + n))
		}
		for n := range 111 {
			fmt.Fprintf(&errors, "%s [error] 7#7: *%d text %d.%d\n  and its second line\n", time.Now().UTC().Format("2006/01/02 15:04:05"), n+1, i,
				n)
		}
		p.write("web/access.log", requests.String())
		p.write("web/error.log", errors.String())
		time.Sleep(time.Second)
		// A file is kept for three rotations, which take a minute at least where 16 MiB are written at once every five seconds.
		assert.Eventually(t, func() bool { return len(d.of(p)) >= (i-1)*(1111+111) }, patience, 100*time.Millisecond)
		p.rotate("web/access.log")
		p.rotate("web/error.log")
	}
	got := d.arrive(p, 18*(1111+111))
	distinct(t, got, "path", 18*1111)
	distinct(t, got, "message", 18*111)
	for _, one := range got {
		if text, is := one.body["message"].(string); is && !strings.HasSuffix(text, "second line") {
			t.Errorf("a message that is not whole: %q", text)
			break
		}
	}
	return fmt.Sprintf("%d documents, none lost, none twice; %s", len(got), p.memory())
}

func kills(t *testing.T, d *domain) string {
	p := newPod(t, d, "kills", "web/access.log", "app/output.log").start()
	stop := make(chan struct{})
	var writing sync.WaitGroup
	written := 0
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				p.write("web/access.log", access(written))
				p.write("app/output.log", fmt.Sprintf("text %d\n\tat its.second(Line.java:1)\n", written))
				written++
			}
		}
	})
	for range 3 {
		time.Sleep(4 * time.Second)
		p.end(syscall.SIGKILL)
		p.start()
	}
	close(stop)
	writing.Wait()
	got := d.arrive(p, 2*written)
	distinct(t, got, "path", written)
	distinct(t, got, "message", written)
	return fmt.Sprintf("%d lines of each: none lost, none twice", written)
}

func outage(t *testing.T, d *domain) string {
	p := newPod(t, d, "outage", "web/access.log").start()
	d.refusing(away)
	for n := range 3000 {
		p.write("web/access.log", access(n))
	}
	time.Sleep(15 * time.Second)
	retries := p.metric("retry_count")
	assert.Positive(t, retries, "what the alert looks at")
	assert.Contains(t, p.output(), "failed to flush the buffer")
	d.refusing(nil)
	d.arrive(p, 3000)
	return fmt.Sprintf("3000 of 3000 after it, retry_count %.0f, said in its log", retries)
}

// answers is the table that the sidecar's configuration is made for.
func answers(t *testing.T) (out []struct {
	Status  int
	Type    string
	Request bool
	Then    string
}) {
	data, err := os.ReadFile("../../logging/testdata/answers.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

func sortsAnswers(t *testing.T, d *domain) string {
	p := newPod(t, d, "answers", "app/access.log").start()
	counts := map[string]int{}
	for i, a := range answers(t) {
		if a.Status < 300 || a.Status == 409 {
			continue // OpenSearch gives those all the time
		}
		name := fmt.Sprintf("answer-%d-%d-%s", i, a.Status, a.Type)
		tries := 0
		d.refusing(func(documents []document) *opensearchtest.Reply {
			items, refused := []any{}, false
			for _, one := range documents {
				item := map[string]any{"_index": stream, "_id": one.id, "status": http.StatusCreated}
				if one.text("message") == name {
					refused = true
					item["status"], item["error"] = a.Status, map[string]any{"type": a.Type, "reason": "a test's"}
				}
				items = append(items, map[string]any{"create": item})
			}
			tries++
			if tries > 2 || !refused {
				return nil
			}
			if a.Request {
				return &opensearchtest.Reply{
					Status: a.Status,
					Body:   map[string]any{"error": map[string]any{"type": a.Type, "reason": "a test's"}, "status": a.Status},
				}
			}
			return &opensearchtest.Reply{Status: http.StatusOK, Body: map[string]any{"took": 1, "errors": true, "items": items}}
		})
		before := p.metric("retry_count")
		// The documents before and after the refused one.
		p.write("app/access.log", fmt.Sprintf("before %s\n%s\nafter %s\n", name, name, name))
		arrived := func() bool { return d.has(p, name) }
		switch a.Then {
		case "waits":
			assert.Eventually(t, arrived, patience, 100*time.Millisecond, name)
			assert.GreaterOrEqual(t, p.metric("retry_count")-before, 0.0)
			assert.Contains(t, p.output(), "retry")
		case "printed":
			assert.Eventually(t, func() bool { return strings.Contains(p.output(), name) }, patience, 100*time.Millisecond, name)
			d.refusing(nil)
			assert.False(t, arrived())
		}
		counts[a.Then]++
	}
	d.refusing(nil)
	for i, a := range answers(t) {
		if a.Then == "printed" {
			name := fmt.Sprintf("answer-%d-%d-%s", i, a.Status, a.Type)
			// The other two documents are not printed, but may be sent.
			assert.Equal(t, 1, strings.Count(p.output(), `"`+name+`"`)+strings.Count(p.output(), `\"`+name+`\"`), "%s is printed once", name)
		}
	}
	p.write("app/access.log", "the last one\n")
	assert.Eventually(t, func() bool { return d.has(p, "the last one") }, patience, 100*time.Millisecond, "nothing is in the way")
	return fmt.Sprintf("%d wait and are sent, %d are printed once", counts["waits"], counts["printed"])
}

// has says whether OpenSearch took a document with this message.
func (d *domain) has(p *pod, message string) bool {
	return slices.ContainsFunc(d.of(p), func(one document) bool { return one.text("message") == message })
}

// hostileLines are inputs, by name, that have stopped a fluentd, a pod's log or a domain.
func hostileLines() map[string]string {
	days := strings.Builder{}
	for n := range 1303 {
		fmt.Fprintf(&days, `{"time":%d,"n":%d}`+"\n", 86400*(n+1), n)
		fmt.Fprintf(&days, `{"@timestamp":"%04d-01-01T00:00:00Z"}`+"\n", 1900+n)
	}
	keys := strings.Builder{}
	for n := range 1100 {
		fmt.Fprintf(&keys, `"k%d":%d,`, n, n)
	}
	long := strings.Builder{}
	for n := range 20 {
		fmt.Fprintf(&long, `{"%d%s":1}`+"\n", n, strings.Repeat("k", 200_000))
	}
	return map[string]string{
		"twelve lines of control characters": strings.Repeat(strings.Repeat("\x01", 200_000)+"\n", 12),
		"a line of 5 MB":                     strings.Repeat("x", 5<<20) + "\n",
		"claimed dates":                      days.String(),
		"a key of 2000 parts":                `{"` + strings.Repeat("a.", 2000) + `a":1}` + "\n",
		"odd keys": strings.Join([]string{
			`{"":1}`, `{".":1}`, `{"..":1}`, `{"a..b":1}`, `{".x":1}`, `{" .a":1}`, `{"message":"m","message.x":1}`, "",
		}, "\n"),
		"1100 keys":          "{" + keys.String() + `"z":1}` + "\n",
		"20 names of 200 kB": long.String(),
		"5000 levels": `{"a":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5001) + "\n" +
			`{"a":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "}\n",
		"numbers":               `{"n":` + strings.Repeat("9", 5000) + `,"status":1e999,"request_time":"NaN","pid":"x"}` + "\n",
		"types":                 `{"status":{"a":1},"path":[1,{"b":[]}],"message":{"c":null},"@timestamp":{},"_id":"x","_index":"y"}` + "\n",
		"bytes":                 "\xff\xfe\x00 \xed\xa0\x80\n{\"a\":\"\xff\"}\n",
		"forged":                `{"pod":"honest","namespace":"x","container":"web","stream":"x","_hash":"1","_file":"/etc/passwd"}` + "\n",
		"empty arrays of false": `{"a":[` + strings.Repeat("false,", 80_000) + "false]}\n",
	}
}

func hostile(t *testing.T, d *domain) string {
	honest := newPod(t, d, "honest", "web/access.log").start()
	var pods []*pod
	for _, name := range []string{"hostile-1", "hostile-2", "hostile-3"} {
		pods = append(pods, newPod(t, d, name, "app/access.log", "app/output.log").start())
	}
	lines := 0
	for _, name := range sorted(hostileLines()) {
		text := hostileLines()[name]
		lines += strings.Count(text, "\n")
		for _, p := range pods {
			p.write("app/access.log", text)
			p.write("app/output.log", text)
		}
		for n := range 100 {
			honest.write("web/access.log", access(lines*1000+n))
		}
	}
	count := 100 * len(hostileLines())
	distinct(t, d.arrive(honest, count), "path", count)
	took := []string{}
	for _, p := range pods {
		d.arrive(p, 2*lines)
		took = append(took, p.memory())
		assert.NotContains(t, p.output(), "error_class", "nothing was refused\n%s", tail(p.output()))
	}
	assert.Equal(t, 1, d.indices(t), "no line makes an index")
	return fmt.Sprintf("%d hostile lines a pod, %d honest ones: all there; %s", 2*lines, count, strings.Join(took, ", "))
}

// indices counts the stream's indices.
func (d *domain) indices(t *testing.T) int {
	t.Helper()
	status, answer := d.server.Do(master, http.MethodGet, "/_data_stream/"+stream, "")
	require.Equal(t, http.StatusOK, status, answer)
	return strings.Count(answer, `"index_uuid"`)
}

func dishonest(t *testing.T, d *domain) string {
	p := newPod(t, d, "dishonest", "app/output.log", "app/a.log", "app/b.log", "app/c.log", "app/d.log")
	for name, place := range map[string]func(path string) error{
		"app/a.log": func(path string) error { return os.Symlink(p.root+"/token", path) },
		"app/b.log": func(path string) error { return syscall.Mkfifo(path, 0o666) },
		"app/c.log": func(path string) error { return os.Symlink("/dev/zero", path) },
		"app/d.log": func(path string) error { return os.Mkdir(path, 0o777) },
	} {
		require.NoError(t, os.Remove(p.path(name)))
		require.NoError(t, place(p.path(name)))
	}
	p.start()
	p.write("app/output.log", "honest\n")
	d.arrive(p, 1)
	assert.Equal(t, 4, strings.Count(p.output(), "not read"))
	took := p.end(syscall.SIGTERM)
	assert.NotContains(t, p.output(), "web identity")
	return fmt.Sprintf("the honest file's line is there, each other is said once, it ends in %.1f s", took.Seconds())
}

func longLines(t *testing.T, d *domain) string {
	p := newPod(t, d, "long-lines", "app/output.log").start()
	d.refusing(away)
	line := strings.Repeat("x", 250_000) + "\n"
	for range 620 {
		p.write("app/output.log", line)
	}
	assert.Eventually(t, func() bool { return p.metric("buffer_total_bytes") > 120<<20 }, patience, 200*time.Millisecond, "the buffer is full")
	full := p.metric("buffer_total_bytes")
	assert.LessOrEqual(t, full, 134.0*(1<<20))
	d.refusing(nil)
	d.arrive(p, 620)
	return fmt.Sprintf("buffer %.0f MiB of 128, %s, all 620 arrive", full/(1<<20), p.memory())
}

func endless(t *testing.T, d *domain) string {
	p := newPod(t, d, "endless", "app/output.log").start()
	p.write("app/output.log", "first\n")
	line := " " + strings.Repeat("y", 998) + "\n"
	for range 6000 {
		p.write("app/output.log", line)
	}
	assert.Eventually(t, func() bool {
		total := 0
		for _, one := range d.of(p) {
			total += strings.Count(one.text("message"), "y")
		}
		return total == 6000*998
	}, patience, 200*time.Millisecond, "every line is there")
	return fmt.Sprintf("%d documents, no line lost; %s", len(d.of(p)), p.memory())
}

func fullBuffer(t *testing.T, d *domain) string {
	p := newPod(t, d, "full-buffer", "app/access.log")
	p.env["BUFFER_BYTES"] = "2000000"
	p.start()
	d.refusing(away)
	for n := range 10_000 {
		p.write("app/access.log", fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", 400)))
	}
	assert.Eventually(t, func() bool { return p.metric("buffer_total_bytes") > 1_500_000 }, patience, 200*time.Millisecond,
		"the buffer is full")
	took := p.end(syscall.SIGTERM)
	assert.NotContains(t, p.output(), "line 9999 ", "no line is printed in place of being kept")
	p.start()
	d.refusing(nil)
	distinct(t, d.arrive(p, 10_000), "message", 10_000)
	return fmt.Sprintf("stopped in %.1f s, and after a new start all 10,000 lines are there", took.Seconds())
}

func stopBehind(t *testing.T, d *domain) string {
	p := newPod(t, d, "stop-behind", "web/access.log").start()
	var text strings.Builder
	for n := range 20_000 {
		text.WriteString(access(n))
	}
	p.write("web/access.log", text.String()+"no end")
	took := p.end(syscall.SIGTERM)
	d.arrive(p, 20_001)
	return fmt.Sprintf("all, and the last without a line end, in %.1f s", took.Seconds())
}

func stopAway(t *testing.T, d *domain) string {
	p := newPod(t, d, "stop-away", "web/access.log").start()
	d.refusing(away)
	for n := range 1000 {
		p.write("web/access.log", access(n))
	}
	took := p.end(syscall.SIGTERM)
	d.refusing(nil)
	p.start()
	d.arrive(p, 1000)
	return fmt.Sprintf("ended in %.1f s, all 1000 after a new start", took.Seconds())
}

// farTry lets a pod's output wait for a try that is far away, while the domain is back.
func (d *domain) farTry(p *pod) {
	d.refusing(away)
	p.write("web/access.log", access(0))
	assert.Eventually(p.t, func() bool { return p.metric("retry_count") >= 5 }, patience, 100*time.Millisecond, "some 16 seconds to the next")
	d.refusing(nil)
}

func stopInBackOff(t *testing.T, d *domain) string {
	p := newPod(t, d, "stop-in-back-off", "web/access.log").start()
	d.farTry(p)
	for n := range 1000 {
		p.write("web/access.log", access(n+1))
	}
	took := p.end(syscall.SIGTERM)
	d.arrive(p, 1001)
	return fmt.Sprintf("all 1001 without a new start, in %.1f s", took.Seconds())
}

func stopRefused(t *testing.T, d *domain) string {
	p := newPod(t, d, "stop-refused", "web/access.log").start()
	d.farTry(p)
	var tries atomic.Int32
	d.refusing(func([]document) *opensearchtest.Reply {
		if tries.Add(1)%2 == 0 {
			return nil
		}
		return &opensearchtest.Reply{
			Status: http.StatusTooManyRequests,
			Body:   map[string]any{"error": map[string]any{"type": "rejected_execution_exception"}, "status": 429},
		}
	})
	var text strings.Builder
	for n := range 10_000 {
		text.WriteString(access(n + 1))
	}
	p.write("web/access.log", text.String())
	took := p.end(syscall.SIGTERM)
	d.arrive(p, 10_001)
	return fmt.Sprintf("all 10,001 without a new start, %d requests, in %.1f s", tries.Load(), took.Seconds())
}

func stopOneRefused(t *testing.T, d *domain) string {
	p := newPod(t, d, "stop-one-refused", "web/access.log").start()
	d.farTry(p)
	d.refusing(func(documents []document) *opensearchtest.Reply {
		if slices.ContainsFunc(documents, func(one document) bool { return one.text("path") == "/item/0" }) {
			return away(documents)
		}
		return nil
	})
	for n := range 1000 {
		p.write("web/access.log", access(n+1))
	}
	took := p.end(syscall.SIGTERM)
	d.arrive(p, 1000)
	return fmt.Sprintf("all 1000 behind it without a new start, in %.1f s", took.Seconds())
}

func mixed(t *testing.T, d *domain) string {
	p := newPod(t, d, "mixed", "app/access.log").start()
	var tries atomic.Int32
	d.refusing(func(documents []document) *opensearchtest.Reply {
		items := []any{}
		try := tries.Add(1)
		for _, one := range documents {
			item := map[string]any{"_index": stream, "_id": one.id, "status": http.StatusCreated}
			switch text := one.text("message"); {
			case text == "refused for good":
				item["status"], item["error"] = http.StatusBadRequest, map[string]any{"type": "mapper_parsing_exception", "reason": "a test's"}
			case text == "waits" && try < 4:
				item["status"], item["error"] = http.StatusTooManyRequests, map[string]any{"type": "circuit_breaking_exception", "reason": "a test's"}
			}
			items = append(items, map[string]any{"create": item})
		}
		return &opensearchtest.Reply{Status: http.StatusOK, Body: map[string]any{"took": 1, "errors": true, "items": items}}
	})
	p.write("app/access.log", "refused for good\nwaits\n")
	assert.Eventually(t, func() bool { return strings.Contains(p.output(), "400 - Rejected") }, patience, 100*time.Millisecond)
	assert.Equal(t, int32(4), tries.Load(), "it is printed when nothing waits any more")
	assert.Equal(t, 1, strings.Count(p.output(), "refused for good"), "printed once\n%s", tail(p.output()))
	return fmt.Sprintf("printed once in %d tries", tries.Load())
}

func reused(t *testing.T, d *domain) string {
	p := newPod(t, d, "reused", "web/access.log").start()
	p.write("web/access.log", access(0)+access(1))
	d.arrive(p, 2)
	p.end(syscall.SIGKILL)
	// The file system chooses the inode of a new file.
	require.NoError(t, os.Truncate(p.path("web/access.log"), 0))
	for n := range 100 {
		p.write("web/access.log", access(n+2))
	}
	p.start()
	distinct(t, d.arrive(p, 102), "path", 102)
	return "all 100 lines of the other"
}

func removed(t *testing.T, d *domain) string {
	p := newPod(t, d, "removed", "web/access.log")
	p.env["BUFFER_BYTES"] = "300000"
	p.start()
	d.refusing(away)
	rotate := func(i int) {
		var text strings.Builder
		for n := range 1000 {
			text.WriteString(access(1000*i + n))
		}
		p.write("web/access.log", text.String())
		time.Sleep(time.Second) // for a look at the files
		p.rotate("web/access.log")
	}
	for i := range 12 {
		rotate(i)
	}
	assert.Eventually(t, func() bool { return p.deleted() <= 3 }, patience, 100*time.Millisecond, "files that are open and were removed")
	assert.Eventually(t, func() bool { return strings.Contains(p.output(), "files were removed before they were read") }, patience,
		200*time.Millisecond)
	d.refusing(nil)
	last := 12_000
	p.write("web/access.log", access(last))
	path := fmt.Sprintf("/item/%d", last)
	assert.Eventually(t, func() bool {
		return slices.ContainsFunc(d.of(p), func(one document) bool { return one.text("path") == path })
	}, patience, 200*time.Millisecond, "the newest lines")
	got := len(d.of(p))
	assert.GreaterOrEqual(t, got, 3*1000, "what rotation had kept, at least")
	return fmt.Sprintf("%d of 12,001 lines, the newest among them; what is lost is said with its bytes", got)
}

func noDisk(t *testing.T, d *domain) string {
	p := newPod(t, d, "no-disk", "web/access.log").start()
	buffer := p.root + "/state/buffer"
	assert.Eventually(t, func() bool { _, err := os.Stat(buffer); return err == nil }, patience, 100*time.Millisecond)
	require.NoError(t, os.Rename(buffer, buffer+".away"))
	require.NoError(t, os.WriteFile(buffer, nil, 0o600))
	p.measure()
	before, said := p.seconds, len(p.output())
	p.write("web/access.log", access(0))
	assert.Eventually(t, func() bool { return strings.Contains(p.output(), "the buffer does not take more") }, patience, 100*time.Millisecond)
	time.Sleep(20 * time.Second)
	p.measure()
	seconds, text := p.seconds-before, p.output()[said:]
	assert.Less(t, seconds, 10.0, "seconds of the processor in twenty")
	assert.LessOrEqual(t, strings.Count(text, "\n"), 20, text)
	require.NoError(t, os.Remove(buffer))
	require.NoError(t, os.Rename(buffer+".away", buffer))
	d.arrive(p, 1)
	return fmt.Sprintf("%d lines in its log and %.1f s of the processor in 20 s, then the line is sent", strings.Count(text, "\n"), seconds)
}

func flood(t *testing.T, d *domain) string {
	p := newPod(t, d, "flood", "app/output.log", "web/access.log")
	const day = 2_000_000
	p.env["BYTES_PER_DAY"] = fmt.Sprint(day)
	p.start()
	line := strings.Repeat("flood ", 100) + "\n"
	p.write("app/output.log", strings.Repeat(line, 20_000))
	told := func() bool {
		return slices.ContainsFunc(d.of(p), func(one document) bool {
			return strings.HasPrefix(one.text("message"), "fluentd: more than a day's bytes were logged") && one.text("container") == "app"
		})
	}
	assert.Eventually(t, told, patience, 200*time.Millisecond, "said in a document")
	assert.Contains(t, p.output(), "more than a day's bytes were logged")
	assert.Less(t, len(d.of(p)), (day+1<<20)/len(line))
	count := len(d.of(p))
	p.write("web/access.log", "last words\n")
	p.end(syscall.SIGTERM)
	assert.Less(t, len(d.of(p)), count+(3<<20)/len(line), "nor does a stop read what is above, but for the last of each file")
	assert.True(t, d.has(p, "last words"), "of the other container")
	assert.Contains(t, p.output(), "stopped before all was read")
	return fmt.Sprintf("%d of 20,000 lines, said in a document and in the log", count)
}

// memories is the table of the memory for each input, each with its own sidecar.
func memories(t *testing.T, d *domain) string {
	inputs := hostileLines()
	requests, endless := strings.Builder{}, strings.Builder{}
	for n := range 20_000 {
		requests.WriteString(access(n))
	}
	for range 6000 {
		endless.WriteString(" " + strings.Repeat("y", 998) + "\n")
	}
	inputs["nothing"] = ""
	inputs["20,000 requests at once"] = requests.String()
	inputs["6 MB of lines that go on with the first"] = "first\n" + endless.String()
	inputs["100 lines of half a MB"] = strings.Repeat(strings.Repeat("z", 500_000)+"\n", 100)
	inputs["half a MB of empty names, twice"] = strings.Repeat("{"+strings.Repeat(`"":0,`, 100_000)+`"":0}`+"\n", 2)
	most := 0
	for i, name := range sorted(inputs) {
		p := newPod(t, d, fmt.Sprintf("memory-%d", i), "app/access.log", "app/output.log").start()
		p.write("app/access.log", inputs[name])
		p.write("app/output.log", inputs[name])
		p.write("app/access.log", "the last of access\n")
		p.write("app/output.log", "the last of output\n")
		assert.Eventually(t, func() bool { return d.has(p, "the last of access") && d.has(p, "the last of output") }, patience,
			200*time.Millisecond, name)
		fmt.Printf("| memory: %s | %s |\n", name, p.memory())
		most = max(most, p.largest)
		p.end(syscall.SIGKILL)
	}
	return fmt.Sprintf("at most %d MiB of %d", most>>20, memoryLimit>>20)
}

func badPattern(t *testing.T, d *domain) string {
	p := newPod(t, d, "bad-pattern", "web/access.log")
	p.env["LOG_REDACT"] = `["("]`
	p.launch()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Error("fluentd runs")
	}
	p.command = nil
	assert.Contains(t, p.output(), "redact")
	return "it does not start, and says so"
}

func speed(t *testing.T, d *domain) string {
	p := newPod(t, d, "speed", "web/access.log").start()
	p.measure()
	before := p.seconds
	var text strings.Builder
	for n := range 50_000 {
		text.WriteString(access(n))
	}
	p.write("web/access.log", text.String())
	d.arrive(p, 50_000)
	memory := p.memory()
	return fmt.Sprintf("%.0f a CPU second, %s", 50_000/(p.seconds-before), memory)
}
