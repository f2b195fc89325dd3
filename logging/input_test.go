package logging

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logFolder is a pod's log folder that the real input reads, a step at a time.
type logFolder struct {
	t     *testing.T
	dir   string
	state string
	steps io.Writer
	// process is Ruby's ID.
	process int
	said    *bufio.Scanner
}

// bytesPerDay is the limit of the input: a hundred bytes a second.
const bytesPerDay = 86_400 * 100

// inputEvent is an event that the input hands to the filter.
type inputEvent struct {
	Tag    string         `json:"tag"`
	Time   int64          `json:"time"`
	Record map[string]any `json:"record"`
}

// folder starts the input of fluent.conf on the files CONTAINER/STREAM.log, which are empty.
func folder(t *testing.T, files ...string) *logFolder {
	t.Helper()
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not on PATH")
	}
	f := &logFolder{t: t, dir: t.TempDir()}
	names, err := json.Marshal(files)
	require.NoError(t, err)
	f.state = t.TempDir()
	env := map[string]string{"LOG_DIR": f.dir, "STATE_DIR": f.state, "LOG_FILES": string(names), "BYTES_PER_DAY": fmt.Sprint(bytesPerDay)}
	conf := map[string]string{}
	for name, value := range plugin(t, "logs").params {
		if !strings.HasPrefix(name, "@") {
			conf[name] = envUse.ReplaceAllStringFunc(strings.Trim(value, `"`),
				func(use string) string { return env[envUse.FindStringSubmatch(use)[1]] })
		}
	}
	for _, file := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(f.path(file)), 0o755))
		f.write(file, "")
	}
	command := exec.Command(ruby, "-W", "-I", "testdata", "testdata/tail.rb", "files/in_expense.rb")
	steps, err := command.StdinPipe()
	require.NoError(t, err)
	said, err := command.StdoutPipe()
	require.NoError(t, err)
	var stderr strings.Builder
	command.Stderr = &stderr
	require.NoError(t, command.Start())
	f.process = command.Process.Pid
	t.Cleanup(func() {
		_ = steps.Close()
		assert.NoError(t, command.Wait())
		assert.Empty(t, stderr.String(), "a warning of Ruby's or a failure")
	})
	f.steps, f.said = steps, bufio.NewScanner(said)
	f.said.Buffer(nil, 64<<20)
	require.NoError(t, json.NewEncoder(steps).Encode(conf))
	return f
}

func (f *logFolder) path(file string) string { return filepath.Join(f.dir, file) }

// write adds text to a file.
func (f *logFolder) write(file, text string) {
	f.t.Helper()
	out, err := os.OpenFile(f.path(file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(f.t, err)
	defer out.Close()
	_, err = out.WriteString(text)
	require.NoError(f.t, err)
}

func (f *logFolder) rename(from, to string) {
	f.t.Helper()
	require.NoError(f.t, os.Rename(f.path(from), f.path(to)))
}

// step does steps of testdata/tail.rb, and returns what the input handed over and what it said.
func (f *logFolder) step(steps ...any) (events []inputEvent, said []string) {
	f.t.Helper()
	for _, step := range steps {
		require.NoError(f.t, json.NewEncoder(f.steps).Encode(step))
		require.True(f.t, f.said.Scan(), "the input has ended")
		var answer struct {
			Events []inputEvent
			Said   []string
		}
		require.NoError(f.t, json.Unmarshal(f.said.Bytes(), &answer), f.said.Text())
		events, said = append(events, answer.Events...), append(said, answer.Said...)
	}
	return events, said
}

// texts are the messages of events that the steps bring about, and nothing is said.
func (f *logFolder) texts(steps ...any) []string {
	f.t.Helper()
	events, said := f.step(steps...)
	assert.Empty(f.t, said)
	return texts(events)
}

func texts(events []inputEvent) (out []string) {
	for _, e := range events {
		out = append(out, fmt.Sprint(e.Record["message"]))
	}
	return out
}

func ids(events []inputEvent) (out []any) {
	for _, e := range events {
		out = append(out, e.Record["_hash"])
	}
	return out
}

// A message of several lines is complete with the next one, or two seconds after its first line; a line, with its end.
func TestMessagesAreHandedOverWhole(t *testing.T) {
	const java = "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\n\tat a.B.d(B.java:2)\n" +
		"Caused by: java.io.IOException: why\n\t... 2 more"
	f := folder(t, "app/output.log", "app/access.log")
	f.write("app/output.log", "\tat before.the.First(Line.java:1)\nfirst\n"+java+"\nlast")
	f.write("app/access.log", "{\"a\":1}\n \n{\"b\":")
	assert.Equal(t, []string{"\tat before.the.First(Line.java:1)", "first", `{"a":1}`, " "}, f.texts("look"), "an access log has a line each")
	assert.Empty(t, f.texts("look"))
	f.write("app/access.log", "2}\r\n")
	assert.Equal(t, []string{java, `{"b":2}`}, f.texts(3, "look"))
	assert.Empty(t, f.texts(100, "look"), "a line that has no end is waited for")
	f.write("app/output.log", " line\nnext\n")
	assert.Equal(t, []string{"last line"}, f.texts("look"))
	f.write("app/output.log", " goes on\n")
	assert.Equal(t, []string{"next\n goes on"}, f.texts(3, "look"))
	f.write("app/output.log", "alone after a pause\n")
	assert.Empty(t, f.texts(1, "look"), "the time counts from the message, not from the one before")
	f.write("app/output.log", "no end")
	assert.Equal(t, []string{"alone after a pause", "no end"}, f.texts("stop"))
}

// The head of nginx's errors is taken apart; what only looks like it is a text like any other.
func TestNginxErrorsAreTakenApart(t *testing.T) {
	f := folder(t, "web/error.log")
	f.write("web/error.log", nginxErrors)
	events, _ := f.step("look", "stop")
	require.Len(t, events, 7)
	levels := []any{}
	for i, e := range events {
		assert.Equal(t, "app", e.Tag)
		assert.Equal(t, int64(1795575600+i), e.Time, "UTC, whatever the container's zone")
		assert.Equal(t, f.path("web/error.log"), e.Record["_file"])
		levels = append(levels, e.Record["level"])
	}
	assert.Equal(t, []any{"notice", "error", "warn", "crit", "alert", "error", "emerg"}, levels)
	assert.Equal(t, 29.0, events[1].Record["pid"])
	assert.Equal(t, 1.0, events[1].Record["connection"])
	assert.NotContains(t, events[0].Record, "connection")
	assert.Equal(t, `using the "epoll" event method`, events[0].Record["message"])
	assert.Contains(t, events[5].Record["message"], "/a.php:3\n  thrown in")

	other := folder(t, "app/output.log")
	lines := []string{
		"2026/13/25 03:00:00 [error] 1#1: month", "2026/11/32 03:00:00 [error] 1#1: day", "2026/11/25 24:00:00 [error] 1#1: hour",
		"1026/11/25 03:00:00 [error] 1#1: year", "2026/11/25 03:00:00 [error] 99999999999999999999#1: pid",
		"x 2026/11/25 03:00:00 [error] 1#1: later",
	}
	other.write("app/output.log", strings.Join(lines, "\n")+
		"\n2026/11/25 03:00:00 [error] 1#1: *99999999999999999999 connection\n2026/02/31 03:00:00 [warn] 1#1: no such day\n")
	assert.Equal(t, append(lines, "*99999999999999999999 connection", "no such day"), other.texts("look", "stop"))
}

// Each line of each generation is read once, by the file and not by its name, and the older generation first.
func TestRotatedFilesAreReadOnce(t *testing.T) {
	f := folder(t, "web/access.log")
	f.write("web/access.log", "1\n2\n")
	assert.Equal(t, []string{"1", "2"}, f.texts("look"))
	f.write("web/access.log", "3\n")
	f.rename("web/access.log", "web/access.log.1")
	f.write("web/access.log", "5\n")
	f.write("web/access.log.1", "4\n")
	assert.Equal(t, []string{"3", "4", "5"}, f.texts("look"))
	f.rename("web/access.log.1", "web/access.log.2")
	f.rename("web/access.log", "web/access.log.1")
	f.write("web/access.log.2", "late, by who has the file open\n")
	f.write("web/access.log", "6\n")
	assert.Equal(t, []string{"late, by who has the file open", "6"}, f.texts("look"))

	// A file that is removed with lines that were not read is read to its end: it is open.
	f.write("web/access.log.2", "7\n8")
	require.NoError(t, os.Remove(f.path("web/access.log.2")))
	assert.Equal(t, []string{"7"}, f.texts("look"))
	assert.Equal(t, []string{"8"}, f.texts(3, "look"))
	assert.Empty(t, f.texts(10, "look", "stop"))

	// A file that is emptied in place begins anew.
	f = folder(t, "web/access.log")
	f.write("web/access.log", "one\ntwo\n")
	before, _ := f.step("look")
	require.NoError(t, os.Truncate(f.path("web/access.log"), 0))
	assert.Empty(t, f.texts("look"))
	f.write("web/access.log", "one\n")
	after, _ := f.step("look")
	assert.Equal(t, []string{"one"}, texts(after))
	assert.NotContains(t, ids(before), after[0].Record["_hash"])
}

// A killed sidecar loses no line. A line that is read again is the same document, and two equal lines are two documents.
func TestALineReadTwiceIsOneDocument(t *testing.T) {
	f := folder(t, "app/output.log", "app/access.log")
	f.write("app/output.log", "same\nsame\nsame\nopen\n with")
	f.write("app/access.log", "{\"request_id\":\"0123456789abcdef\"}\n{\"request_id\":\"0123456789abcdef\"}\n")
	first, _ := f.step("look")
	require.Len(t, first, 5)
	seen := map[any]bool{}
	for _, id := range ids(first) {
		assert.Regexp(t, `^[A-Za-z0-9]{16}-\d+$`, id)
		seen[id] = true
	}
	assert.Len(t, seen, 5)

	// What was not complete is still to come, also where the file was renamed meanwhile; what was is not sent again.
	f.rename("app/output.log", "app/output.log.1")
	assert.Empty(t, f.texts("kill", "look"))
	f.write("app/output.log.1", " more\n")
	open, _ := f.step("look", 3, "look")
	assert.Equal(t, []string{"open\n with more"}, texts(open))

	// A buffer that takes nothing keeps the position, and so does a kill in between.
	f.write("app/access.log", "waits\n")
	assert.Empty(t, texts(first[:0]))
	_, said := f.step("full", "look", "stop")
	assert.NotEmpty(t, said)
	again, _ := f.step("room", "kill", "look")
	assert.Equal(t, []string{"waits"}, texts(again))
	_, said = f.step("large")
	assert.Empty(t, said)
	f.write("app/access.log", "larger than a chunk\n")
	_, said = f.step("look")
	require.Len(t, said, 1, "said, as it is lost")
	f.write("app/access.log", "next\n")
	assert.Equal(t, []string{"next"}, f.texts("room", "look"), "and not in the way of the others")
}

// The very same lines are read after a kill that came before their position was kept: they have the same IDs.
func TestWhatIsReadAgainHasItsID(t *testing.T) {
	f := folder(t, "app/output.log")
	f.write("app/output.log", "0\n")
	assert.Equal(t, []string{"0"}, f.texts("look", 3, "look"))
	positions := plugin(t, "logs").params["pos_file"]
	require.Contains(t, positions, "STATE_DIR")
	f.write("app/output.log", "1\n2\n3\n")
	first, _ := f.step("look")
	// As before: the file was written before the events were handed over.
	second, _ := f.step("kill", "look", 3, "look")
	assert.Equal(t, []string{"1", "2"}, texts(first))
	assert.Equal(t, []string{"3"}, texts(second))
	prefix := func(e inputEvent) string { return strings.Split(e.Record["_hash"].(string), "-")[0] }
	assert.Equal(t, prefix(first[0]), prefix(second[0]), "the file's ID outlives the process")
	assert.Equal(t, prefix(first[0])+"-6", second[0].Record["_hash"], "and the position is the line's")
}

// The input reads only the regular files of its list. An application that puts links or pipes in their place cannot have the sidecar's
// token shipped, or block the reading, and each case is logged once.
func TestALogFolderNeedNotBeHonest(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	for name, place := range map[string]func(path string) error{
		"link to a file":     func(path string) error { return os.Symlink(secret, path) },
		"link to a device":   func(path string) error { return os.Symlink("/dev/zero", path) },
		"link to a terminal": func(path string) error { return os.Symlink("/dev/tty", path) },
		"link to a folder":   func(path string) error { return os.Symlink("/", path) },
		"link to itself":     func(path string) error { return os.Symlink(path, path) },
		"FIFO":               func(path string) error { return syscall.Mkfifo(path, 0o666) },
		"folder":             func(path string) error { return os.Mkdir(path, 0o777) },
		"socket": func(path string) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = syscall.Close(fd) })
			return syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := folder(t, "a/x.log", "b/y.log")
			f.write("a/x.log", "before\n")
			f.write("b/y.log", "other\n")
			assert.Equal(t, []string{"before", "other"}, f.texts("look", 3, "look"))
			require.NoError(t, os.Remove(f.path("a/x.log")))
			require.NoError(t, place(f.path("a/x.log")))
			for generation := 1; generation < 4; generation++ {
				require.NoError(t, os.Symlink(secret, f.path(fmt.Sprintf("a/x.log.%d", generation))))
			}
			f.write("b/y.log", "goes on\n")
			events, said := f.step("look", 3, "look", 3, "look", "kill", "look")
			assert.Equal(t, []string{"goes on"}, texts(events))
			assert.Len(t, said, 2*4, "once for each, and again after a start: %q", said)
			assert.NotContains(t, fmt.Sprint(said), "s3cret")
			for generation := 1; generation < 4; generation++ {
				require.NoError(t, os.Remove(f.path(fmt.Sprintf("a/x.log.%d", generation))))
			}
			require.NoError(t, os.Remove(f.path("a/x.log")))
			f.write("a/x.log", "honest again\n")
			assert.Equal(t, []string{"honest again"}, f.texts("look", 3, "look", "stop"))
		})
	}
}

// What nobody asked for is not read, however many files there are of it.
func TestOnlyTheFilesOfTheSourcesAreRead(t *testing.T) {
	f := folder(t, "web/access.log")
	for _, name := range []string{
		"web/debug.log", "web/access.log.gz", "web/access.log.1.gz", "web/access.log-20261126", "web/access.log.10", "web/access.log.1~",
		"web/access.logs", "other/access.log",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(f.path(name)), 0o755))
		f.write(name, "no\n")
	}
	f.write("web/access.log.9", "yes\n")
	assert.Equal(t, []string{"yes"}, f.texts("look", 3, "look", "stop"))
}

// No line and no message takes more than half a MiB of memory, what is behind it goes on, and the filter sees that it was cut.
func TestMessagesHaveABound(t *testing.T) {
	const bound = 512<<10 + 1
	f := folder(t, "app/output.log", "app/access.log")
	long := strings.Repeat("x", 5<<20)
	f.write("app/output.log", "before\n"+long)
	f.write("app/access.log", "{\""+long+"\n{}\n")
	events, said := f.step("look")
	assert.Empty(t, said)
	got := texts(events)
	require.Len(t, got, 4)
	assert.Equal(t, []string{"before", "{}"}, []string{got[0], got[3]})
	assert.Len(t, got[1], bound)
	assert.Len(t, got[2], bound)
	// The rest of the line may come after a kill.
	assert.Empty(t, f.texts("kill", "look"))
	f.write("app/output.log", long+"\nafter\n")
	assert.Equal(t, []string{"after"}, f.texts("look", 3, "look"))

	// A message of lines that all go on with it ends at the bound, and no line is missing.
	f = folder(t, "app/output.log")
	line := " " + strings.Repeat("y", 999) + "\n"
	f.write("app/output.log", "first\n"+strings.Repeat(line, 3000))
	events, _ = f.step("look", 3, "look")
	total := 0
	for _, text := range texts(events) {
		assert.LessOrEqual(t, len(text), bound)
		total += strings.Count(text, "y")
	}
	assert.Equal(t, 3000*999, total)
	assert.Len(t, events, 6)

	// The longest line that is whole, and a long one behind a short message.
	f = folder(t, "app/output.log")
	f.write("app/output.log", strings.Repeat("z", bound-2)+"\n"+" continued\n"+"short\n "+strings.Repeat("w", bound-3)+"\n")
	got = f.texts("look", 3, "look")
	assert.Equal(t, []int{bound - 2, len(" continued"), len("short"), bound - 2}, []int{len(got[0]), len(got[1]), len(got[2]), len(got[3])})
}

// Files that are removed before they are read take no more room than rotated ones. The oldest is dropped, and a log line and a document
// say how much.
func TestFilesThatAreGoneAreBounded(t *testing.T) {
	f := folder(t, "a/x.log", "b/y.log")
	f.step("full")
	var said []string
	for i := range 60 {
		f.write("a/x.log", fmt.Sprintf("line %02d\n", i))
		_, more := f.step(3, "look")
		said = append(said, more...)
		require.NoError(t, os.Remove(f.path("a/x.log")))
	}
	_, more := f.step(31, "look")
	said = append(said, more...)
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", f.process))
	require.NoError(t, err)
	gone := 0
	for _, fd := range open {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, f.dir) && strings.HasSuffix(target, " (deleted)") {
			gone++
		}
	}
	assert.Equal(t, 3, gone, "files that only the input has")
	lost := 0
	for _, text := range said {
		if _, bytes, found := strings.Cut(text, `:bytes=>`); found && strings.HasPrefix(text, "files were removed before they were read") {
			n, err := strconv.Atoi(strings.TrimSuffix(bytes, "}"))
			require.NoError(t, err, text)
			lost += n
		}
	}
	assert.Equal(t, 57*len("line 00\n"), lost, "%q", said)
	f.write("b/y.log", "other\n")
	events, _ := f.step("room", 3, "look")
	assert.Equal(t, []string{"line 57", "other", "line 58", "line 59"}, texts(events))

	f.step("full", 31)
	for range 4 {
		f.write("a/x.log", "lost\n")
		f.step(3, "look")
		require.NoError(t, os.Remove(f.path("a/x.log")))
	}
	f.step("room", 31)
	f.write("a/x.log", "")
	events, _ = f.step("look")
	require.Len(t, events, 4)
	assert.Equal(t, []string{"fluentd: files were removed before they were read: path a/x.log, bytes 5", "lost", "lost", "lost"},
		texts(events))
	assert.Equal(t, f.path("a/x.log"), events[0].Record["_file"])
	assert.Regexp(t, `^[A-Za-z0-9]{16}-0$`, events[0].Record["_hash"])

	// Few files that are large.
	f.step("full", 31)
	for range 3 {
		f.write("a/x.log", strings.Repeat("x", 30<<20))
		f.step(3, "look")
		require.NoError(t, os.Remove(f.path("a/x.log")))
	}
	events, _ = f.step("room", 31, "look")
	assert.Contains(t, texts(events), fmt.Sprintf("fluentd: files were removed before they were read: path a/x.log, bytes %d", 30<<20))
}

// A hole is no text, however large it is.
func TestHolesArePassed(t *testing.T) {
	f := folder(t, "a/x.log")
	// As it is when a file was emptied by somebody else than the one who writes it.
	require.NoError(t, os.Truncate(f.path("a/x.log"), 1<<40+1000))
	f.write("a/x.log", "text\n")
	got := f.texts("look", 3, "look")
	require.Len(t, got, 1)
	assert.Less(t, len(got[0]), 1<<16)
	assert.Equal(t, "text", strings.TrimLeft(got[0], "\x00"))
	require.NoError(t, os.Truncate(f.path("a/x.log"), 2<<40))
	assert.Len(t, f.texts("look", 3, "look"), 1, "a line without an end")
	assert.Empty(t, f.texts("look", 3, "look"))
	require.NoError(t, os.Remove(f.path("a/x.log")))
	assert.Empty(t, f.texts(3, "look", 10, "look", "stop"))
}

// Another file may have the inode of one that was read, or its place: it is read from its beginning, with IDs of its own.
func TestAFileOfTheSameInodeIsAnother(t *testing.T) {
	for name, then := range map[string][]any{"while it is read": {"look"}, "while the sidecar is away": {"kill", "look"}} {
		t.Run(name, func(t *testing.T) {
			f := folder(t, "web/access.log")
			for _, lines := range []int{1, 10, 100} {
				text := ""
				for i := range lines {
					text += fmt.Sprintf("%d old %d\n", lines, i)
				}
				f.write("web/access.log", text)
				before, _ := f.step("look")
				require.Len(t, before, lines)
				require.NoError(t, os.WriteFile(f.path("web/access.log"), []byte(strings.ReplaceAll(text, "old", "newer")+"more\n"), 0o644))
				after, said := f.step(then...)
				assert.Empty(t, said)
				assert.Len(t, after, lines+1)
				for _, id := range ids(after) {
					assert.NotContains(t, ids(before), id)
				}
				require.NoError(t, os.Truncate(f.path("web/access.log"), 0))
				assert.Empty(t, f.texts("look"))
			}
		})
	}
}

// Lines may all be the same: a file that is shorter than it was is another, also where it is longer than what was read of it.
func TestAFileThatIsShorterIsAnother(t *testing.T) {
	for name, then := range map[string][]any{"while it is read": {}, "while the sidecar is away": {"kill"}} {
		t.Run(name, func(t *testing.T) {
			f := folder(t, "web/access.log")
			line := strings.Repeat("x", 999) + "\n"
			f.write("web/access.log", strings.Repeat(line, 16_000))
			f.step("look") // a day's bytes
			require.NoError(t, os.WriteFile(f.path("web/access.log"), []byte(strings.Repeat(line, 12_000)), 0o644))
			f.step(then...)
			lines := 0
			for range 3 {
				events, _ := f.step(86_400, "look")
				for _, text := range texts(events) {
					if !strings.HasPrefix(text, "fluentd: ") {
						lines++
					}
				}
			}
			assert.Equal(t, 12_000, lines)
		})
	}
}

// A process that ends when the buffer has taken the first lines of a file reads them again as the same documents; and a file of
// two names is one.
func TestTheFirstLinesOfAFileAreReadAgainAsTheSame(t *testing.T) {
	f := folder(t, "a/access.log", "b/access.log")
	f.write("a/access.log", "1\n2\n")
	f.write("b/access.log", "3\n")
	first, _ := f.step("last", "look")
	require.Len(t, first, 2)
	second, _ := f.step("room", "kill", "look")
	assert.Equal(t, []string{"1", "2", "3"}, texts(second))
	assert.Equal(t, ids(first), ids(second)[:2])

	f.rename("a/access.log", "a/access.log.1")
	f.write("a/access.log", "4\n")
	first, _ = f.step("last", "look")
	second, _ = f.step("room", "kill", "look")
	assert.Equal(t, []string{"4"}, texts(second))
	assert.Equal(t, ids(first), ids(second))

	require.NoError(t, os.Link(f.path("a/access.log"), f.path("a/access.log.2")))
	assert.Empty(t, f.texts("look", "kill", "look", "kill", "look"))
	f.write("a/access.log", "5\n")
	assert.Equal(t, []string{"5"}, f.texts("look"))
}

// A pod that floods is read at a day's pace once a day's bytes were read, which is said, also in a document; its other container
// has its turn.
func TestAFloodIsBounded(t *testing.T) {
	f := folder(t, "a/flood.log", "b/quiet.log")
	line := strings.Repeat("x", 999) + "\n"
	f.write("a/flood.log", strings.Repeat(line, 2*bytesPerDay/len(line)))
	f.write("b/quiet.log", "quiet\nquiet\n")
	read := func(events []inputEvent) (bytes int) {
		for _, e := range events {
			if !strings.HasPrefix(fmt.Sprint(e.Record["message"]), "fluentd: ") {
				bytes += len(fmt.Sprint(e.Record["message"]))
			}
		}
		return bytes
	}
	const batch = 512 << 10
	events, said := f.step("look")
	assert.InDelta(t, bytesPerDay, read(events), bytesPerDay/10+batch)
	assert.LessOrEqual(t, read(events), bytesPerDay+batch)
	require.Len(t, said, 1)
	assert.Contains(t, said[0], "more than a day's bytes were logged")
	last := events[len(events)-1].Record
	assert.Regexp(t, `^fluentd: more than a day's bytes were logged: .*: path a/flood.log, day 8640000, unread \d{7}$`, last["message"])
	assert.Equal(t, []any{"warn", f.path("a/flood.log")}, []any{last["level"], last["_file"]})

	f.write("b/quiet.log", "goes on\n")
	quiet := false
	bytes := 0
	for range 60 {
		events, _ = f.step(600, "look")
		for _, text := range texts(events) {
			quiet = quiet || text == "quiet"
		}
		bytes += read(events)
	}
	assert.True(t, quiet, "its last line is open until it has waited")
	assert.LessOrEqual(t, bytes, 60*600*100+2*batch, "a hundred bytes a second")
	assert.GreaterOrEqual(t, bytes, 60*600*100*8/10-2*batch)

	// What it wrote is gone: all is as it was, after a day at most.
	require.NoError(t, os.Truncate(f.path("a/flood.log"), 0))
	f.write("a/flood.log", line)
	events, _ = f.step(86_400, "look", 3, "look")
	assert.Len(t, events, 1)
}

// A stop reads what each container said last, however much another has logged, and no more of that one than of others.
func TestAStopReadsOfEachStreamWhateverWasLogged(t *testing.T) {
	f := folder(t, "a/flood.log", "b/quiet.log")
	line := strings.Repeat("x", 999) + "\n"
	f.write("a/flood.log", strings.Repeat(line, 2*bytesPerDay/len(line)))
	f.step("look")
	f.write("b/quiet.log", "last\nwords\n")
	assert.Empty(t, f.texts("look"))
	events, _ := f.step("stop")
	assert.Contains(t, texts(events), "last")
	assert.Contains(t, texts(events), "words")
	assert.LessOrEqual(t, len(events), 5<<20/len(line))
}

// A reading that stands still leaves the rest of a stop its time.
func TestAStopDoesNotWaitForAReadingThatStandsStill(t *testing.T) {
	f := folder(t, "a/x.log")
	f.write("a/x.log", "text\n")
	events, said := f.step("stuck", "stop")
	assert.Empty(t, events)
	require.Len(t, said, 1)
	assert.Contains(t, said[0], "the reading stands still")
}

// Lines that the filter takes long for come in smaller parts, so that no stream waits for long, and a stop does not.
func TestSlowLinesHaveTheirTurnOnly(t *testing.T) {
	f := folder(t, "a/x.log", "b/y.log", "c/z.log")
	for _, file := range []string{"a/x.log", "b/y.log", "c/z.log"} {
		f.write(file, strings.Repeat(strings.Repeat("x", 500)+"\n", 800))
	}
	events, _ := f.step("slow", "look", 3, "look")
	require.Len(t, events, 3*800)
	run, longest := 0, 0
	for i := 3 * 600; i < len(events)-3; i++ {
		if events[i].Record["_file"] != events[i-1].Record["_file"] {
			run = 0
		}
		run++
		longest = max(longest, run)
	}
	assert.LessOrEqual(t, longest, 2)

	f = folder(t, "a/x.log", "b/y.log")
	f.write("a/x.log", strings.Repeat("x\n", 2000))
	f.write("b/y.log", strings.Repeat("x\n", 2000))
	events, said := f.step("slow", "stop")
	assert.LessOrEqual(t, len(events), 500)
	require.Len(t, said, 1)
	assert.Contains(t, said[0], "stopped before all was read")
}

// What stays wrong is said once in half a minute, whatever an application does, and keeps no other file waiting.
func TestWhatStaysWrongIsSaidOnceInAWhile(t *testing.T) {
	for _, wrong := range []string{"full", "disk"} {
		f := folder(t, "a/x.log", "b/y.log")
		f.write("a/x.log", "1\n2\n")
		f.write("b/y.log", "3\n4\n")
		f.step(wrong)
		said := 0
		for range 600 {
			_, more := f.step(0.5, "look")
			said += len(more)
		}
		assert.InDelta(t, 300/30, said, 1, wrong)
		events, _ := f.step("room", 3, "look", 3, "look")
		assert.ElementsMatch(t, []string{"1", "2", "3", "4"}, texts(events))
	}

	f := folder(t, "a/x.log", "b/y.log")
	said := 0
	for i := range 600 {
		require.NoError(t, os.Remove(f.path("a/x.log")))
		if i%2 == 0 {
			require.NoError(t, os.Symlink("/etc/passwd", f.path("a/x.log")))
		} else {
			require.NoError(t, syscall.Mkfifo(f.path("a/x.log"), 0o666))
		}
		_, more := f.step(0.5, "look")
		said += len(more)
	}
	assert.InDelta(t, 300/30, said, 1)
}

// A container that floods does not keep another's lines waiting.
func TestNoStreamWaitsForAnother(t *testing.T) {
	f := folder(t, "a/flood.log", "b/quiet.log")
	f.write("a/flood.log", strings.Repeat("flood\n", 20_000))
	f.write("b/quiet.log", "quiet\nquiet\n")
	events, _ := f.step("look", "stop")
	require.Len(t, events, 20_002)
	first := 0
	for !strings.HasSuffix(events[first].Record["_file"].(string), "quiet.log") {
		first++
	}
	assert.LessOrEqual(t, first, 1000)
}

// A reader that stands still is started again with its process; a buffer that is full is no reason.
func TestAReaderThatStandsStillIsStartedAgain(t *testing.T) {
	f := folder(t, "web/access.log")
	f.write("web/access.log", "a\n")
	for range 3 {
		_, said := f.step("full", 100, "look", "watch")
		assert.NotContains(t, strings.Join(said, "\n"), "ended")
	}
	_, said := f.step(118, "watch")
	assert.Empty(t, said)
	_, said = f.step(1, "watch")
	require.Len(t, said, 2)
	assert.Contains(t, said[0], "the log files were not looked at for 120 seconds")
	assert.Equal(t, "ended 1", said[1])
}
