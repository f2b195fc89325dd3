package logging

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the program of logging/capture promises beyond the script.

func TestTheProgramCopiesNUL(t *testing.T) {
	text := "a\x00b\n\x00\n\x00"
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	c, dir := captured(t, theProgram(t), 1<<20, "cat", path)
	container, file, _ := output(t, c, dir)
	assert.Equal(t, text+"\n", container)
	assert.Equal(t, container, file)
}

// Neither the memory nor the disk that a line takes grows with the line.
func TestTheProgramBoundsALine(t *testing.T) {
	const most = 1 << 20
	for name, length := range map[string]int{
		"as long as it may be": most - 1, "one longer": most, "two longer": most + 1, "far longer": 40 * most,
	} {
		for _, last := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the last: %v", name, last), func(t *testing.T) {
				text := "before\n" + strings.Repeat("x", length)
				after := ""
				if !last {
					after = "\nafter\n"
				}
				path, memory := filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), "memory")
				require.NoError(t, os.WriteFile(path, []byte(text+after), 0o600))
				c, dir := captured(t, theProgram(t), 64<<20, "sh", "-c", `cat "$0"; sed -n "s/VmHWM:\s*\([0-9]*\) kB/\1/p" /proc/$PPID/status >"$1"`,
					path, memory)
				container, file, _ := output(t, c, dir)
				if last {
					after = "\n"
				}
				assert.True(t, text+after == container, "kubectl logs has all of it")
				assert.True(t, "before\n"+strings.Repeat("x", min(length, most))+after == file, "the file has its first MiB and what comes after it")
				peak, err := os.ReadFile(memory)
				require.NoError(t, err)
				kib, err := strconv.Atoi(strings.TrimSpace(string(peak)))
				require.NoError(t, err)
				assert.Less(t, kib, 16<<10)
			})
		}
	}
}

// signals are all that a program can catch and the program passes on, see passed in capture/main.go.
func signals() (out []syscall.Signal) {
	for number := syscall.Signal(1); number <= 64; number++ {
		switch number {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF, syscall.SIGPIPE, 32, 33, 34:
		default:
			out = append(out, number)
		}
	}
	return out
}

func TestTheProgramPassesEverySignalOn(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	c, _ := captured(t, theProgram(t), 1<<20, self, "-test.run=^TestACommandThatNamesItsSignals$")
	c.Env = append(c.Env, "CAPTURED_COMMAND=yes")
	pipe, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := bufio.NewScanner(pipe)
	require.True(t, lines.Scan())
	require.Equal(t, "ready", lines.Text())
	for _, number := range signals() {
		require.NoError(t, c.Process.Signal(number))
		require.True(t, lines.Scan(), number)
		require.Equal(t, fmt.Sprint("got ", int(number)), lines.Text())
	}
	require.NoError(t, c.Cancel())
	_ = c.Wait()
}

// TestACommandThatNamesItsSignals is no test but the command of another. It ends when nobody reads its output any more.
func TestACommandThatNamesItsSignals(t *testing.T) {
	if os.Getenv("CAPTURED_COMMAND") == "" {
		t.Skip("runs as another test's command")
	}
	got := make(chan os.Signal, 64)
	for _, number := range signals() {
		signal.Notify(got, number)
	}
	fmt.Println("ready")
	for s := range got {
		fmt.Println("got", int(s.(syscall.Signal)))
	}
}

// Whatever is ignored where the program starts, the command has each signal's default, as a container's first process does.
func TestTheProgramsCommandStartsWithoutIgnoredSignals(t *testing.T) {
	by := theProgram(t)
	by.command = append([]string{"sh", "-c", `trap "" HUP INT QUIT PIPE TERM; exec "$@"`, "sh"}, by.command...)
	for _, number := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTERM} {
		c, dir := captured(t, by, 1<<20, "sh", "-c", fmt.Sprintf("echo line; kill -%d $$; exit 3", number))
		_, file, status := output(t, c, dir)
		assert.Equal(t, 128+int(number), status, number)
		assert.Equal(t, "line\n", file)
	}
}

// A container's first process is the parent of every process whose own has ended, and nobody else waits for them.
func TestTheProgramWaitsForEveryProcess(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	by := theProgram(t)
	by.command = append([]string{self, "-test.run=^TestTheProgramAdopts$", "--"}, by.command...)
	c, dir := captured(t, by, 1<<20, "sh", "-c", `
		for n in 1 2 3; do
			left=$(sh -c 'sh -c "exit 5" >/dev/null & echo $!')
			while [ -e /proc/$left ]; do :; done
		done
		exit 3`)
	c.Env = append(c.Env, "CAPTURED_COMMAND=yes")
	_, _, status := output(t, c, dir)
	assert.Equal(t, 3, status, "the command's, not that of another process")
}

// TestTheProgramAdopts is no test: it becomes the program, and the parent of all that its descendants leave behind
// (https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html).
func TestTheProgramAdopts(t *testing.T) {
	if os.Getenv("CAPTURED_COMMAND") == "" {
		t.Skip("runs as another test's command")
	}
	const setChildSubreaper = 36
	if _, _, failed := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); failed != 0 {
		t.Fatal(failed)
	}
	words := os.Args[3:]
	t.Fatal(syscall.Exec(words[0], words, os.Environ()))
}

// A container's output may have no reader any more. The command does not feel it, and the file has its lines.
func TestTheProgramGoesOnWithoutAReader(t *testing.T) {
	c, dir := captured(t, theProgram(t), 1<<20, "sh", "-c", "echo one; echo two; exit 3")
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	c.Stdout = writer
	_ = c.Run()
	require.NoError(t, writer.Close())
	assert.Equal(t, 3, c.ProcessState.ExitCode())
	data, err := os.ReadFile(filepath.Join(dir, "output.log"))
	require.NoError(t, err)
	assert.Equal(t, "one\ntwo\n", string(data))
}

func TestTheProgramSaysWhatItMisses(t *testing.T) {
	for want, args := range map[string][]string{
		"expected a command": {}, "LOG_DIR is not set": {"true"}, `LOG_MAX_BYTES is "many": expected a whole number above 0`: {"true"},
		"LOG_GENERATIONS": {"true"}, "or --install and a path": {"--install"}, "install: ": {"--install", t.TempDir() + "/no/such/folder"},
	} {
		c := exec.Command(theProgram(t).command[0], args...)
		c.Env = []string{"LOG_MAX_BYTES=many"}
		out, err := c.CombinedOutput()
		assert.Error(t, err)
		assert.Contains(t, string(out), want)
	}
	c, dir := captured(t, theProgram(t), 1<<20, "/etc/passwd")
	_, file, status := output(t, c, dir)
	assert.Equal(t, 126, status)
	assert.Contains(t, file, "permission denied", "why the container does not start is worth shipping")
}
