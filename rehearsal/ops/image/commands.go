package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
)

// call is what differs between calls of programs.
type call struct {
	// input is the program's, env its environment, nil this one's.
	input string
	env   []string
	// show shows what the program says while it runs. both gives what is said on standard error too.
	show, both bool
}

// failure is a program that ended with an error.
type failure struct {
	command, said string
	err           error
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v: %s", f.command, f.err, f.said) }

func (f *failure) Unwrap() error { return f.err }

// said tells whether a program ended with an error that has one of the texts.
func said(err error, texts ...string) bool {
	var f *failure
	if !errors.As(err, &f) {
		return false
	}
	for _, text := range texts {
		if strings.Contains(strings.ToLower(f.said), strings.ToLower(text)) {
			return true
		}
	}
	return false
}

// installed says where a program comes from.
var installed = map[string]string{
	"docker": "https://docs.docker.com/engine/install/",
	"aws":    "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
	"git":    "https://git-scm.com/downloads",
}

// runProgram runs a program to its end. Tests put another in its place: a program of their own for each call takes most of their time.
var runProgram = (*exec.Cmd).Run

// run runs a program in the project's folder, and gives what it prints.
func (w *work) run(ctx context.Context, c call, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = w.Project, c.env
	command.Stdin = strings.NewReader(c.input)
	var out, all bytes.Buffer
	said := &alone{Writer: &all}
	if c.show {
		said.Writer = io.MultiWriter(&all, w.Progress)
	}
	command.Stdout, command.Stderr = io.MultiWriter(&out, said), said
	if c.both {
		command.Stderr = command.Stdout
	}
	err := runProgram(command)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("found no %s on PATH: install it, see %s", name, installed[name])
	case err != nil:
		return out.String(), &failure{name + " " + strings.Join(args[:min(2, len(args))], " "), tail(all.String()), err}
	}
	return out.String(), nil
}

// alone is a writer of which a program's output and errors make one text.
type alone struct {
	io.Writer
	mu sync.Mutex
}

func (a *alone) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.Writer.Write(p)
}

// tail is the end of what a program says.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
