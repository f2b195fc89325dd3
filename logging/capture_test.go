package logging

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = 2 * time.Minute

// capturer is what runs a command and copies its output: the script under one shell, or the program.
type capturer struct {
	name    string
	command []string
}

func (c capturer) isProgram() bool { return c.name == "program" }

// programDir has the program, once it is built.
var programDir string

// program builds the program when a test needs it, by the commands of its Dockerfile.
var program = sync.OnceValues(func() (string, error) {
	dockerfile, err := os.ReadFile("capture/Dockerfile")
	if err != nil {
		return "", err
	}
	steps := regexp.MustCompile(`(?m)^COPY (\S+) \./\nRUN (.*)$`).FindStringSubmatch(string(dockerfile))
	if steps == nil {
		return "", fmt.Errorf("the Dockerfile has no COPY and RUN of the expected form")
	}
	if programDir, err = os.MkdirTemp("", "capture"); err != nil {
		return "", err
	}
	path := filepath.Join(programDir, "capture")
	run := strings.Replace(steps[2], "-o /capture ", `-o "$0/capture" `, 1)
	build := exec.Command("sh", "-c", fmt.Sprintf(`set -e; cp capture/%s "$0"; cd "$0"; %s`, steps[1], run), programDir)
	build.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// startedBy is in the environment of each process that the tests start, with the tests' own process ID.
const startedBy = "CAPTURE_TESTS"

func TestMain(m *testing.M) {
	if os.Getenv(startedBy) != "" { // some tests are another's command
		os.Exit(m.Run())
	}
	mark := fmt.Sprint(startedBy, "=", os.Getpid())
	if err := os.Setenv(startedBy, fmt.Sprint(os.Getpid())); err != nil {
		panic(err)
	}
	status := m.Run()
	endProcesses(mark)
	_ = os.RemoveAll(programDir)
	os.Exit(status)
}

// endProcesses ends what has a mark in its environment. A process group would not do: the program's command leads its own.
func endProcesses(mark string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well formed
	for _, path := range paths {
		environ, _ := os.ReadFile(path) // none of another user's, or of one that has ended
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && slices.Contains(strings.Split(string(environ), "\x00"), mark) {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
}

func theProgram(t *testing.T) capturer {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	return capturer{"program", []string{path}}
}

// eachCapturer runs a test with the program, and with the script under each shell that images have as sh, as far as this machine has it.
func eachCapturer(t *testing.T, test func(t *testing.T, by capturer)) {
	t.Run("program", func(t *testing.T) { test(t, theProgram(t)) })
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not on PATH", shell)
			}
			test(t, capturer{shell, []string{path, "files/capture-output.sh"}})
		})
	}
}

// captured is a command whose output is captured, not started yet, and the folder of its log. It ends with the test.
func captured(t *testing.T, by capturer, maxBytes int, command ...string) (*exec.Cmd, string) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	words := slices.Concat(by.command, command)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Env = append(os.Environ(), "LOG_DIR="+dir, fmt.Sprintf("LOG_MAX_BYTES=%d", maxBytes), "LOG_GENERATIONS=3")
	// The command gets its own process group, so that its leftover children end with it.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	t.Cleanup(func() {
		if c.Process != nil {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		}
		cancel()
	})
	return c, dir
}

// output runs the command to its end and returns what it wrote to the container's output and to all files, oldest first,
// and its status. It looks when the script has ended, as that is when a container's other processes are killed.
func output(t *testing.T, c *exec.Cmd, dir string) (container, file string, status int) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "container"))
	require.NoError(t, err)
	defer out.Close()
	c.Stdout = out
	if err := c.Run(); err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	require.False(t, c.ProcessState.Sys().(syscall.WaitStatus).Signaled(), "it did not end by itself")
	said, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(entries), 4, "nothing but the file and its generations is left")
	for _, name := range []string{"output.log.3", "output.log.2", "output.log.1", "output.log"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
		}
		file += string(data)
	}
	return string(said), file, c.ProcessState.ExitCode()
}

// kubectl logs and fluentd see the same bytes, in the order in which they were written.
func TestCapturedOutputIsCopiedAsItIs(t *testing.T) {
	var bytes strings.Builder
	for b := 1; b < 256; b++ {
		if b != '\n' {
			bytes.Write([]byte{'<', byte(b), byte(b), '>', '\n'})
		}
	}
	eachCapturer(t, func(t *testing.T, by capturer) {
		for name, text := range map[string]string{
			"every byte but NUL":        bytes.String(),
			"white space and backslash": "  two  \n\ttab\t\n\\n \\\\ \\\n\n\n-n\n-e x\n%s %d\n",
			"long lines":                strings.Repeat("x", 100_000) + "\nafter\n",
			"nothing":                   "",
			"only an empty line":        "\n",
			// A mark that can be guessed would let whoever is logged end the copy, and with it the container.
			"what once marked the end": "a\x1eend of output\x1e\n\x1eend of output\x1e\nafter\n",
		} {
			t.Run(name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "text")
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
				c, dir := captured(t, by, 1<<20, "cat", path)
				c.Env = append(c.Env, "LC_ALL=C.UTF-8")
				container, file, status := output(t, c, dir)
				assert.Equal(t, text, container)
				assert.Equal(t, text, file)
				assert.Zero(t, status)
			})
		}
	})
}

func TestBothStreamsAreCapturedToTheLastByte(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 1<<20, "sh", "-c", "echo one; echo two >&2; echo three; printf four >&2")
		container, file, _ := output(t, c, dir)
		assert.Equal(t, "one\ntwo\nthree\nfour\n", container, "the last line gets its end")
		assert.Equal(t, container, file)
	})
}

// What ends the copy is nothing that the command can find: not in the names of its open files, and not in its environment.
func TestTheCommandCannotEndItsCapture(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 1<<20, "sh", "-c", `
			for found in $(ls -l /proc/$$/fd /proc/$PPID/fd | grep -o '[0-9a-f]\{8\}-[0-9a-f-]\{27\}') $(env | sed -n 's/^[a-z_]*=//p'); do
				printf '\036%s\036\n%s\n' "$found" "$found"
			done
			echo "$log $pipe $end $random $command $status"`)
		for _, name := range []string{"log", "pipe", "end", "random", "command", "status"} {
			c.Env = append(c.Env, name+"=the-pods")
		}
		container, file, status := output(t, c, dir)
		assert.Zero(t, status)
		assert.Equal(t, container, file)
		if !by.isProgram() {
			assert.Regexp(t, `\x1e[0-9a-f-]{36}\x1e\n`, container, "it finds the pipe")
		}
		assert.True(t, strings.HasSuffix(container, strings.TrimSpace(strings.Repeat("the-pods ", 6))+"\n"), container)
	})
}

// The kubelet decides by the status whether a container failed.
func TestTheCapturedCommandsStatusIsTheContainers(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		for script, expected := range map[string]int{"exit 0": 0, "exit 3": 3, "exit 127": 127, "kill -9 $$": 137, "kill -15 $$": 143} {
			c, dir := captured(t, by, 1<<20, "sh", "-c", "echo last; "+script)
			_, file, status := output(t, c, dir)
			assert.Equal(t, expected, status, script)
			assert.Equal(t, "last\n", file)
		}
		c, dir := captured(t, by, 1<<20, "no-such-command")
		_, file, status := output(t, c, dir)
		assert.Equal(t, 127, status)
		assert.Contains(t, file, "not found", "why the container does not start is worth shipping")
	})
}

// The disk is bounded, the newest lines are the ones that stay, no line is torn, and a writer that is faster than the
// script waits for it: kubectl logs has every line.
func TestCapturedOutputIsBounded(t *testing.T) {
	var all strings.Builder
	for i := 1; i <= 5000; i++ {
		fmt.Fprintf(&all, "ligne numérotée %d\n", i)
	}
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte(all.String()), 0o600))
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 2000, "cat", text)
		c.Env = append(c.Env, "LC_ALL=C.UTF-8")
		container, file, _ := output(t, c, dir)
		assert.Equal(t, all.String(), container)
		assert.True(t, strings.HasSuffix(all.String(), "\n"+file), "the end of it without a gap")
		generations := 0
		for _, name := range []string{"output.log", "output.log.1", "output.log.2", "output.log.3"} {
			info, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			assert.LessOrEqual(t, info.Size(), int64(2000), name)
			generations++
		}
		assert.Equal(t, 4, generations)

		c, dir = captured(t, by, 10, "echo", "a line that is longer than a file may be")
		_, file, _ = output(t, c, dir)
		assert.Equal(t, "a line that is longer than a file may be\n", file)
		assert.NoFileExists(t, filepath.Join(dir, "output.log.1"), "renaming an empty file would help nobody")
	})
}

// A container that is started again goes on in the file that is there, and its bound counts what is in it.
func TestCapturingGoesOnAfterARestart(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 20, "echo", "second")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "output.log"), []byte("first\n"), 0o600))
		_, file, _ := output(t, c, dir)
		assert.Equal(t, "first\nsecond\n", file)

		again, _ := captured(t, by, 20, "echo", "third, which is long")
		again.Env = append(again.Env, "LOG_DIR="+dir)
		_, file, _ = output(t, again, dir)
		assert.Equal(t, "first\nsecond\nthird, which is long\n", file)
		data, err := os.ReadFile(filepath.Join(dir, "output.log.1"))
		require.NoError(t, err)
		assert.Equal(t, "first\nsecond\n", string(data))
	})
}

// A container that is killed loses the end of its output, and nothing else: what is in the file are whole lines from the first.
func TestAKilledCaptureLosesTheEnd(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 1<<20, "sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; done")
		pipe, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		reader := bufio.NewReader(pipe)
		for range 100 {
			_, err := reader.ReadString('\n')
			require.NoError(t, err)
		}
		require.NoError(t, c.Cancel())
		_ = c.Wait()
		data, err := os.ReadFile(filepath.Join(dir, "output.log"))
		require.NoError(t, err)
		lines := strings.Split(string(data), "\n")
		assert.GreaterOrEqual(t, len(lines), 100)
		for i, line := range lines[:len(lines)-1] {
			require.Equal(t, fmt.Sprintf("line %d", i+1), line)
		}
		assert.Empty(t, lines[len(lines)-1], "no line is torn")
	})
}

// A process that outlives the command and holds its output open must not keep the container from ending.
func TestCapturingEndsWithTheCommand(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 1<<20, "sh", "-c", "sleep 3600 & echo $!")
		container, file, status := output(t, c, dir)
		left, err := strconv.Atoi(strings.TrimSpace(container))
		require.NoError(t, err)
		assert.NoError(t, syscall.Kill(left, syscall.SIGKILL), "it has outlived the command")
		assert.Equal(t, container, file)
		assert.Zero(t, status)
	})
}

// What is written after the file was removed is in a new one at once.
func TestARemovedFileIsMadeAgain(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		c, dir := captured(t, by, 1<<20, "sh", "-c", "echo one; rm $LOG_DIR/output.log; echo two; echo three")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "output.log"), nil, 0o600))
		container, file, _ := output(t, c, dir)
		assert.Equal(t, "one\ntwo\nthree\n", container)
		assert.True(t, strings.HasSuffix(file, "two\nthree\n"), "%q", file)
	})
}

// A command may put anything in the place of the files: its lines still go into output.log and nowhere else, and it goes on.
func TestTheCaptureKeepsToItsFiles(t *testing.T) {
	for name, place := range map[string]string{
		"removed":          `rm -f $LOG_DIR/NAME`,
		"a link":           `rm -f $LOG_DIR/NAME; ln -s $ELSEWHERE/file $LOG_DIR/NAME`,
		"a link to itself": `rm -f $LOG_DIR/NAME; ln -s NAME $LOG_DIR/NAME`,
		"a link to a dir":  `rm -f $LOG_DIR/NAME; ln -s $ELSEWHERE $LOG_DIR/NAME`,
		"a FIFO":           `rm -f $LOG_DIR/NAME; mkfifo $LOG_DIR/NAME`,
		"a folder":         `rm -f $LOG_DIR/NAME; mkdir -p $LOG_DIR/NAME/sub`,
		"an older pipe":    `mkdir $LOG_DIR/output.pipe`,
	} {
		for _, file := range []string{"output.log", "output.log.1", "output.log.3"} {
			t.Run(name+" for "+file, func(t *testing.T) {
				eachCapturer(t, func(t *testing.T, by capturer) {
					script := strings.ReplaceAll(place, "NAME", file)
					lines := `i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo "$1 line $i"; done`
					elsewhere := t.TempDir()
					run := func(dir, script string) (lines int) {
						c, _ := captured(t, by, 200, "sh", "-c", script, "sh", "some")
						c.Env = append(c.Env, "LOG_DIR="+dir, "ELSEWHERE="+elsewhere)
						said, err := c.Output()
						require.NoError(t, err)
						data, err := os.ReadFile(filepath.Join(dir, "output.log"))
						require.NoError(t, err)
						assert.True(t, strings.HasSuffix(string(data), "some line 30\n"), "%q", data)
						info, err := os.Lstat(filepath.Join(dir, "output.log"))
						require.NoError(t, err)
						assert.True(t, info.Mode().IsRegular())
						return strings.Count(string(said), "some line ")
					}
					// An earlier container left it.
					dir := t.TempDir()
					left := exec.Command("sh", "-c", script)
					left.Env = append(os.Environ(), "LOG_DIR="+dir, "ELSEWHERE="+elsewhere)
					require.NoError(t, left.Run())
					assert.Equal(t, 30, run(dir, lines), "kubectl logs has every line")
					found, err := os.ReadDir(elsewhere)
					require.NoError(t, err)
					assert.Empty(t, found, "nothing is written elsewhere")
					// The command does it, against a script that keeps putting things right.
					assert.Equal(t, 60, run(t.TempDir(), lines+"; ("+script+") 2>/dev/null; "+lines))
				})
			})
		}
	}
}

// A script that ends its whole group, as many do at their exit, ends itself, and its lines are all there.
func TestACommandMayEndItsGroup(t *testing.T) {
	const lines = `i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo "line $i"; done; `
	eachCapturer(t, func(t *testing.T, by capturer) {
		for script, want := range map[string]int{
			"kill -HUP 0; " + lines:                                   129,
			lines + "kill -HUP 0; sleep 60":                           129,
			`trap "trap - TERM; kill 0" EXIT; ` + lines:               143,
			`trap "" TERM; ` + lines + "kill 0; exit 3":               3,
			`trap "exit 7" TERM; ` + lines + "kill -TERM 0; sleep 60": 7,
		} {
			for range 10 {
				c, dir := captured(t, by, 1<<20, "sh", "-c", script)
				container, file, status := output(t, c, dir)
				if status != 255 || by.name != "bash" { // which loses the end of some
					assert.Equal(t, want, status, script)
				}
				assert.Equal(t, container, file, script)
				if !strings.HasPrefix(script, "kill") {
					assert.Equal(t, 300, strings.Count(file, "line "), script)
				}
			}
		}
	})
}

// The command is told to stop as if it were the container's first process, and what it says then is captured.
func TestCapturedCommandsAreToldToStop(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		for _, sent := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
			t.Run(sent.String(), func(t *testing.T) {
				if signal.Ignored(sent) {
					t.Skipf("whoever started the tests had %s ignored, as nohup does", sent)
				}
				self, err := os.Executable()
				require.NoError(t, err)
				c, dir := captured(t, by, 1<<20, self, "-test.run=^TestCapturedCommand$")
				c.Env = append(c.Env, "CAPTURED_COMMAND=yes")
				pipe, err := c.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, c.Start())
				reader := bufio.NewReader(pipe)
				line, err := reader.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, "ready\n", line)
				require.NoError(t, c.Process.Signal(sent))
				rest, err := io.ReadAll(reader)
				require.NoError(t, err)
				assert.Equal(t, "stopped by "+sent.String()+"\n", string(rest))
				_ = c.Wait()
				assert.Equal(t, 7, c.ProcessState.ExitCode())
				data, err := os.ReadFile(filepath.Join(dir, "output.log"))
				require.NoError(t, err)
				assert.Equal(t, "ready\n"+string(rest), string(data))
			})
		}
	})
}

// TestCapturedCommand is no test but the command of others: it waits for a signal, or fills its output.
func TestCapturedCommand(t *testing.T) {
	if os.Getenv("CAPTURED_COMMAND") == "" {
		t.Skip("runs as another test's command")
	}
	if os.Getenv("CAPTURED_COMMAND") == "does not wait" {
		line := []byte(strings.Repeat("x", 999) + "\n")
		_ = syscall.SetNonblock(1, true)
		for full := 0; full < 100; {
			if _, err := syscall.Write(1, line); err != nil {
				full++
				time.Sleep(10 * time.Millisecond)
			}
		}
		os.Exit(7)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	fmt.Println("ready")
	fmt.Printf("stopped by %v\n", <-signals)
	os.Exit(7)
}

// others is a shell's text that sends a signal to all children of the script but the command, as kill 0 does where the script is the
// container's first process, which a signal that it has no trap for does not end.
const others = `for other in $(cat /proc/$PPID/task/$PPID/children); do [ "$other" = $$ ] || kill -s SIGNAL "$other"; done; `

// A command may send a signal to its process group, in which the copy is: what a shell script does that ends all it has started.
func TestTheCommandsGroupIsNotTheCopys(t *testing.T) {
	const lines = `i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; done; `
	eachCapturer(t, func(t *testing.T, by capturer) {
		scripts := map[string]int{}
		for number := 1; number <= 64; number++ {
			switch signal := syscall.Signal(number); {
			case signal == syscall.SIGKILL || signal == syscall.SIGSTOP || number == 32 || number == 33: // the C library's own
			default:
				scripts[strings.ReplaceAll(others, "SIGNAL", strconv.Itoa(number))+lines+"exit 3"] = 3
			}
		}
		for script, expected := range scripts {
			c, dir := captured(t, by, 1<<20, "sh", "-c", script)
			container, file, status := output(t, c, dir)
			assert.Equal(t, expected, status, script)
			assert.Equal(t, 300, strings.Count(container, "line "), script)
			assert.Equal(t, container, file, script)
		}
		// What nobody can ignore ends the copy, and the container's status is still the command's.
		c, dir := captured(t, by, 1<<20, "sh", "-c", strings.ReplaceAll(others, "SIGNAL", "KILL")+"exit 3")
		_, _, status := output(t, c, dir)
		assert.Equal(t, 3, status)
	})
}

// A command may have its output not wait, which is then so for all who have it from the same opening. It does not keep the container
// from ending when it leaves a pipe that is full.
func TestACommandWhoseOutputDoesNotWait(t *testing.T) {
	eachCapturer(t, func(t *testing.T, by capturer) {
		self, err := os.Executable()
		require.NoError(t, err)
		c, _ := captured(t, by, 1<<20, self, "-test.run=^TestCapturedCommand$")
		c.Env = append(c.Env, "CAPTURED_COMMAND=does not wait")
		pipe, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		copies := 1 // a process of the script
		if by.isProgram() {
			copies = 0
		}
		// Nobody takes the lines, until the command has ended.
		children := fmt.Sprintf("/proc/%d/task/%d/children", c.Process.Pid, c.Process.Pid)
		assert.Eventually(t, func() bool {
			left, err := os.ReadFile(children)
			return err == nil && len(strings.Fields(string(left))) == copies
		}, patience, 10*time.Millisecond, "only the copy is left")
		said, err := io.ReadAll(pipe)
		require.NoError(t, err)
		_ = c.Wait()
		assert.Equal(t, 7, c.ProcessState.ExitCode())
		assert.Greater(t, len(said), 1<<16)
	})
}

func TestCapturingSaysWhatItMisses(t *testing.T) {
	command := exec.Command("sh", "files/capture-output.sh", "echo")
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LOG_DIR=" + t.TempDir()}
	output, err := command.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(output), "LOG_MAX_BYTES")
}
