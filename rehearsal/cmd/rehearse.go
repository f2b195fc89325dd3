package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/ops/verify"
)

// rehearsals has the report, and how to reach a rehearsal that is left up.
var rehearsals = filepath.Join(written, "rehearse")

// rehearseCommand plays the whole life of a stack on this machine: the real program under the real Pulumi engine and a real Kubernetes
// API server, in front of stand-ins for AWS. It needs no account and no network.
func rehearseCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("rehearse", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to rehearse")
	keep := flags.Bool("keep", false, "leave the stack up after its checks")
	down := flags.Bool("down", false, "end the rehearsal that was left up")
	plugins := flags.String("plugins", "", "folder with real plugins, as ~/.pulumi/plugins, in place of the stand-ins for kubernetes and eks")
	child := flags.Bool("child", false, "run the rehearsal that -keep leaves up; for the command itself")
	_ = flags.Parse(args) // ends the process
	if *down {
		return 0, end(ctx, project)
	}
	options := stage.Options{Project: project, Stack: *stack, Tools: toolsOf(project), Out: os.Stdout}
	if *plugins != "" {
		if options.Plugins, err = filepath.Abs(*plugins); err != nil {
			return 1, err
		}
	}
	if *keep && !*child {
		err = detach(project, args)
	} else {
		err = rehearse(ctx, options, *keep)
	}
	if err != nil && ctx.Err() != nil {
		return 130, errors.New("interrupted; its processes have ended and its folder is removed")
	}
	return 0, err
}

func rehearse(ctx context.Context, options stage.Options, keep bool) error {
	start := time.Now()
	s, err := stage.New(ctx, options)
	if err != nil {
		return err
	}
	defer s.Stop()
	fmt.Printf("The control plane and the stand-ins are up after %.1f s.\n", time.Since(start).Seconds())

	p := play.New(s, options.Stack)
	err = p.Init(ctx)
	if err == nil {
		err = p.Up(ctx)
	}
	if err == nil {
		err = p.Use(ctx)
	}
	if keep && err == nil {
		return stay(ctx, s, p, options.Project)
	}
	if ctx.Err() == nil {
		// After a failure too: the report shows whether the stack can be destroyed.
		err = errors.Join(err, p.Destroy(ctx))
	}
	if err = errors.Join(err, say(p, options.Project)); err == nil {
		err = p.Failed()
	}
	return err
}

// say prints what was played, and writes it as a page for a browser.
func say(p *play.Play, project string) error {
	fmt.Print("\n", p.Text())
	html, err := p.HTML()
	if err != nil {
		return err
	}
	file := filepath.Join(rehearsals, "report.html")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(project, rehearsals), 0o700), os.WriteFile(filepath.Join(project, file), html, 0o600),
	); err != nil {
		return err
	}
	fmt.Printf("\nReport: %s\n", file)
	return nil
}

// stay says how to look at the stack, lets the parent go, and waits to be ended.
func stay(ctx context.Context, s *stage.Stage, p *play.Play, project string) error {
	kubeconfig, pid := filepath.Join(project, rehearsals, "kubeconfig"), filepath.Join(project, rehearsals, "pid")
	data, err := s.ControlPlane.Kubeconfig("rehearsal")
	if err != nil {
		return err
	}
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(pid), 0o700),
		os.WriteFile(kubeconfig, data, 0o600),
		os.WriteFile(pid, fmt.Appendf(nil, "%d %s", os.Getpid(), p.Stack), 0o600),
	); err != nil {
		return err
	}
	defer os.Remove(kubeconfig)
	defer os.Remove(pid)
	if err := errors.Join(say(p, project), p.Failed()); err != nil {
		return err
	}
	_ = os.Remove(socket) // of a rehearsal that was killed
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := http.Server{
		Handler:     answer(project, func(ctx context.Context) (*verify.Stack, error) { return play.Target(ctx, s) }),
		BaseContext: func(net.Listener) context.Context { return ctx }, ReadHeaderTimeout: time.Minute,
	}
	defer server.Close()
	go func() { _ = server.Serve(listener) }() // it ends with Close
	fmt.Printf("\nThe stack stays up until `make rehearse-down`. Check it with `make verify STACK=%s`. Look at it with kubectl (one is in "+
		".tools/bin):\n\nexport KUBECONFIG=%s\n", p.Stack, kubeconfig)
	// The parent waits for the end of this output.
	os.Stdout.Close()
	os.Stderr.Close()
	<-ctx.Done()
	return nil
}

// detach runs the rehearsal in a process of its own that outlives this one, and shows its output until it stays.
func detach(project string, args []string) error {
	if pid, _, err := running(project); err == nil {
		return fmt.Errorf("a rehearsal is up already (process %d): end it with `make rehearse-down`", pid)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self, append([]string{"rehearse", "-child"}, args...)...)
	// A session of its own: it outlives the terminal. Until it stays up, Ctrl-C ends it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return err
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range interrupts {
			_ = command.Process.Signal(syscall.SIGTERM)
		}
	}()
	if _, err := os.Stdout.ReadFrom(output); err != nil {
		return err
	}
	if _, _, err := running(project); err == nil {
		return command.Process.Release()
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("the rehearsal failed: %w", err)
	}
	return nil
}

// end ends the rehearsal that was left up, and waits until it is gone.
func end(ctx context.Context, project string) error {
	pid, _, err := running(project)
	if err != nil {
		return fmt.Errorf("no rehearsal is up: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	fmt.Println("The rehearsal has ended.")
	return nil
}

// running is the process of the rehearsal that is up, and its stack.
func running(project string) (pid int, stack string, err error) {
	data, err := os.ReadFile(filepath.Join(project, rehearsals, "pid"))
	if err != nil {
		return 0, "", err
	}
	if _, err := fmt.Sscanf(string(data), "%d %s", &pid, &stack); err != nil {
		return 0, "", err
	}
	if err := syscall.Kill(pid, 0); err != nil {
		return 0, "", fmt.Errorf("process %d: %w", pid, err)
	}
	return pid, stack, nil
}
