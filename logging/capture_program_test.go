package logging

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"expense/internal/pod"

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

// A signal that the command sends to its process group is none that the program would send to it once more.
func TestTheProgramsCommandLeadsItsOwnGroup(t *testing.T) {
	script := "read -r id name state parent group session rest </proc/$$/stat; echo $$ $group $session"
	c, dir := captured(t, theProgram(t), 1<<20, "sh", "-c", script)
	_, file, _ := output(t, c, dir)
	ids := strings.Fields(file)
	require.Len(t, ids, 3)
	assert.Equal(t, []string{ids[0], ids[0], ids[0]}, ids)
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
			while [ -e /proc/$left ] && kill -0 $PPID; do :; done
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

// The pod of an image without a shell: its application's folder has nothing but the application and what is mounted. The init container
// runs twice, as it does when a pod is started again. Then both containers' commands run as they are in the pod, the application's as the
// first process of its own.
func TestAnImageWithoutAShellIsCaptured(t *testing.T) {
	root, image := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "app"), "./testdata/scratch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.Link(theProgram(t).command[0], filepath.Join(image, "capture")))

	s := sidecar()
	s.args.CaptureImage = "example.com/capture:1"
	spec := pod.Spec{User: 1000, GraceSeconds: 90, Containers: []pod.Container{{Name: "app", Command: []string{"/app"}}}}
	spec, err = s.Add(spec, pod.LogSource{Container: "app", Output: true, Static: true})
	require.NoError(t, err)
	app, copies := spec.Containers[0], spec.InitContainers[len(spec.InitContainers)-1]
	require.Len(t, app.Mounts, 2)
	for _, m := range app.Mounts {
		require.NoError(t, os.MkdirAll(filepath.Join(root, m.Path), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, captureDir, "capture.new"), []byte("a copy that was cut short"), 0o555))
	for range 2 {
		out, err := exec.Command(image+copies.Command[0], copies.Command[1], root+copies.Command[2]).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	found, err := os.ReadDir(filepath.Join(root, captureDir))
	require.NoError(t, err)
	require.Len(t, found, 1)

	c := &exec.Cmd{Path: app.Command[0], Args: app.Command, SysProcAttr: &syscall.SysProcAttr{
		Chroot: root, Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}}
	for _, v := range app.Env {
		c.Env = append(c.Env, v.Name+"="+v.Text)
	}
	pipe, err := c.StdoutPipe()
	require.NoError(t, err)
	if err := c.Start(); err != nil {
		t.Skipf("this machine lets nobody change the root folder: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	lines := bufio.NewReader(pipe)
	said := ""
	for range 2 {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		said += line
	}
	require.NoError(t, c.Process.Signal(syscall.SIGQUIT))
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	_ = c.Wait()
	assert.Equal(t, 7, c.ProcessState.ExitCode())
	said += string(rest)
	assert.Equal(t, "{\"level\":\"info\",\"msg\":\"listening\",\"user_id\":\"7\"}\nwarning: no database yet\nstopped\n", said)
	data, err := os.ReadFile(filepath.Join(root, outputDir, outputFile))
	require.NoError(t, err)
	assert.Equal(t, said, string(data))
}
