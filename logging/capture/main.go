//go:build linux

// capture runs a command and copies what it writes to its output and to its standard error, line by line and in the order of writing, to
// this program's output (for `kubectl logs`) and to $LOG_DIR/output.log (for fluentd). It is ../files/capture-output.sh for images
// without a shell, with the same promises:
//
//	capture COMMAND [ARGUMENT...]
//	capture --install FILE
//
// The file is bounded: one that would pass LOG_MAX_BYTES is renamed first, and LOG_GENERATIONS renamed ones are kept. The program ends
// when the command does, with the command's status, or 128 and the number of the signal that ended it, after the last line has been
// copied. A command that writes faster than the lines are copied waits. The command's input is this program's.
//
// Unlike the script it passes every signal on but a few that nobody stops a container with (see passed), and the command starts with none
// of them ignored. The command leads a session of its own, as a container's first process does, so what it sends to its process
// group does not come here. Bytes are copied as they are. Of a line longer than a MiB the file has the first MiB.
//
// As a container's first process it waits for every process that others leave behind.
//
// With --install it only copies itself into FILE, for a container that has nothing of its own to copy it with.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

// The statuses of a shell for a command that it does not find, or cannot run
// (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html, 2.8.2). Its status for a signal is above 128.
const (
	statusUsage     = 2
	statusCannotRun = 126
	statusNotFound  = 127
	statusSignal    = 128
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
	}
	os.Exit(status)
}

func run(args []string) (status int, err error) {
	switch {
	case len(args) == 0 || args[0] == "--install" && len(args) != 2:
		return statusUsage, errors.New("expected a command with its arguments, or --install and a path")
	case args[0] == "--install":
		if err := install(args[1]); err != nil {
			return 1, fmt.Errorf("install: %w", err)
		}
		return 0, nil
	}
	log, err := logFromEnvironment()
	if err != nil {
		return statusUsage, err
	}
	return capture(args, &copier{out: os.Stdout, log: log})
}

// install copies the program. A container that is started again finds an earlier copy.
func install(path string) error {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer program.Close()
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o555)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, program); err != nil {
		_ = out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

func logFromEnvironment() (*logFile, error) {
	dir := os.Getenv("LOG_DIR")
	var problems []error
	if dir == "" {
		problems = append(problems, errors.New("LOG_DIR is not set: expected the folder of output.log"))
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(os.Getenv(name), 10, 64)
		if err != nil || n < 1 {
			problems = append(problems, fmt.Errorf("%s is %q: expected a whole number above 0", name, os.Getenv(name)))
		}
		return n
	}
	log := &logFile{path: filepath.Join(dir, "output.log"), most: number("LOG_MAX_BYTES"), generations: int(number("LOG_GENERATIONS"))}
	return log, errors.Join(problems...)
}

// capture runs the command. An error is why it did not start, which the log has too.
func capture(args []string, c *copier) (status int, err error) {
	// Caught before the command is there, so that none is missed. A signal that is caught is the command's default, also one that this
	// program was started with ignored (os/signal, "Changing the behavior of signals in Go programs").
	signals, ended := make(chan os.Signal, 64), make(chan os.Signal, 1)
	signal.Notify(signals, passed()...)
	signal.Notify(ended, syscall.SIGCHLD)
	// A container's output that nobody reads any more must not end this program: the write then fails, and the file has the line.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	output, command, status, err := start(args)
	if err != nil {
		c.line(fmt.Appendln(nil, "capture:", err))
		return status, nil
	}
	copied := make(chan struct{})
	go func() {
		c.copy(output)
		close(copied)
	}()
	status = wait(command, signals, ended)
	output.commandEnded()
	<-copied
	return status, nil
}

// passed are the signals that are passed on: all that a program can catch, but CHLD, which tells that a process has ended; URG and PROF,
// which are for Go's scheduler and profiler (runtime/signal_unix.go, sigPreempt and sighandler); PIPE, which this program may cause
// itself; and the three that C libraries keep for themselves (runtime/sigtab_linux_generic.go).
func passed() (out []os.Signal) {
	for number := syscall.Signal(1); number <= 64; number++ {
		switch number {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF, syscall.SIGPIPE, 32, 33, 34:
		default:
			out = append(out, number)
		}
	}
	return out
}

// start runs the command with a pipe as its output and its standard error.
func start(args []string) (out *output, command, status int, err error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return nil, 0, statusNotFound, err
		}
		return nil, 0, statusCannotRun, err
	}
	// Not os.Pipe, whose ends both do not wait: the command's has to.
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return nil, 0, statusCannotRun, err
	}
	defer syscall.Close(pipe[1])
	if err := syscall.SetNonblock(pipe[0], true); err != nil {
		return nil, 0, statusCannotRun, err
	}
	input, written := uintptr(syscall.Stdin), uintptr(pipe[1])
	command, err = syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{input, written, written}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, 0, statusCannotRun, fmt.Errorf("%s: %w", path, err)
	}
	return &output{pipe: os.NewFile(uintptr(pipe[0]), "pipe"), left: unknown}, command, 0, nil
}

// wait passes signals on to the command until it ends. Both are done by one goroutine, so that no signal goes to another process that has
// got the command's number.
func wait(command int, signals, ended <-chan os.Signal) (status int) {
	for {
		select {
		case s := <-signals:
			_ = syscall.Kill(command, s.(syscall.Signal))
		case <-ended:
			if status, over := reap(command); over {
				return status
			}
		}
	}
}

// reap waits for all processes that have ended. One signal may stand for several.
func reap(command int) (status int, over bool) {
	for {
		var how syscall.WaitStatus
		process, err := syscall.Wait4(-1, &how, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case process == command && how.Signaled():
			return statusSignal + int(how.Signal()), true
		case process == command:
			return how.ExitStatus(), true
		case process <= 0:
			return 0, false
		}
	}
}
