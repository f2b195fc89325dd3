// Command rehearse plays the whole life of a stack on this machine: the real program under the real Pulumi engine and a
// real Kubernetes API server, in front of stand-ins for AWS. It needs no account and no network.
//
//	rehearse -project DIR -tools DIR [-stack dev] [-keep] [-plugins DIR]
//	rehearse -project DIR -down
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/report"
	"expense/rehearsal/internal/stage"

	"k8s.io/klog/v2"
)

// kept is the folder, below the project's, in which a rehearsal that is left up says where it is.
const kept = ".rehearsal"

// reports is the folder, below the project's, in which the report is written.
const reports = ".rehearse"

func main() {
	project := flag.String("project", ".", "folder with Pulumi.yaml")
	tools := flag.String("tools", ".tools/bin", "folder with the built tools")
	stack := flag.String("stack", "dev", "stack to rehearse")
	keep := flag.Bool("keep", false, "leave the stack up after its checks")
	down := flag.Bool("down", false, "end the rehearsal that was left up")
	scale := flag.Float64("scale", 0, "how much of AWS's typical time the model takes, 0 to 1")
	plugins := flag.String("plugins", "", "folder with real plugins, as ~/.pulumi/plugins, to be used in place of the stand-ins for kubernetes and eks")
	child := flag.Bool("child", false, "run the rehearsal that -keep leaves up; for the command itself")
	flag.Parse()
	// What the Kubernetes libraries say of their work is of no interest here.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case *down:
		err = end(ctx, *project)
	case *keep && !*child:
		err = detach(*project)
	default:
		err = rehearse(ctx, stage.Options{Stack: *stack, Scale: *scale, Plugins: *plugins, Out: os.Stdout}, *project, *tools, *keep)
	}
	switch {
	case ctx.Err() != nil && !*down && err != nil:
		fmt.Fprintln(os.Stderr, "rehearse: interrupted; its processes have ended and its folder is removed")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "rehearse:", err)
		os.Exit(1)
	}
}

func rehearse(ctx context.Context, options stage.Options, project, tools string, keep bool) (err error) {
	if options.Project, err = filepath.Abs(project); err != nil {
		return err
	}
	if options.Tools, err = filepath.Abs(tools); err != nil {
		return err
	}
	if options.Plugins != "" {
		if options.Plugins, err = filepath.Abs(options.Plugins); err != nil {
			return err
		}
	}
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
		if err := write(p, options.Project); err != nil {
			return err
		}
		return stay(ctx, s, p, options.Project)
	}
	if ctx.Err() == nil {
		// After a failure too: what can be destroyed is part of the picture.
		err = errors.Join(err, p.Destroy(ctx))
	}
	if !p.Summary(os.Stdout) && err == nil {
		err = errors.New("a step failed")
	}
	return errors.Join(err, write(p, options.Project))
}

// write writes the report.
func write(p *play.Play, project string) error {
	var html bytes.Buffer
	if err := page(p).HTML(&html); err != nil {
		return err
	}
	file := filepath.Join(project, reports, "report.html")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, html.Bytes(), 0o600)); err != nil {
		return err
	}
	fmt.Printf("\nReport: %s\n", filepath.Join(reports, "report.html"))
	return nil
}

// page is what was played, for people.
func page(p *play.Play) report.Report {
	s := report.Stack{Name: p.Stack, Resources: p.Made}
	if p.Estimate != nil {
		s.After = p.Estimate.After
	}
	for _, step := range p.Steps {
		check := report.Check{Name: step.Name, Held: step.Err == nil, Note: step.Note, Duration: step.Duration}
		if step.Err != nil {
			check.Note = step.Err.Error()
		}
		s.Checks = append(s.Checks, check)
	}
	r := report.Report{
		Title: "Rehearsal of stack " + p.Stack, Subtitle: "Its whole life under the real Pulumi engine and a real Kubernetes API server, in front of stand-ins for AWS.",
		Made: time.Now(), Stacks: []report.Stack{s},
	}
	for _, n := range awsmodel.NotModelled {
		r.NotModelled = append(r.NotModelled, n.Area+": "+n.What)
	}
	return r
}

// stay says how to look at the stack, lets the parent go, and waits to be ended.
func stay(ctx context.Context, s *stage.Stage, p *play.Play, project string) error {
	folder := filepath.Join(project, kept)
	kubeconfig := filepath.Join(folder, "kubeconfig")
	data, err := s.ControlPlane.Kubeconfig("rehearsal")
	if err != nil {
		return err
	}
	if err := errors.Join(
		os.MkdirAll(folder, 0o700),
		os.WriteFile(kubeconfig, data, 0o600),
		os.WriteFile(filepath.Join(folder, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600),
	); err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if !p.Summary(os.Stdout) {
		return errors.New("a step failed")
	}
	fmt.Printf("\nThe stack stays up until `make rehearse-down`. Look at it with kubectl (one is in .tools/bin):\n\nexport KUBECONFIG=%s\n", kubeconfig)
	// The parent waits for the end of this output.
	os.Stdout.Close()
	os.Stderr.Close()
	<-ctx.Done()
	return nil
}

// detach runs the rehearsal in a process of its own that outlives this one, and shows its output until it stays.
func detach(project string) error {
	if pid, err := running(project); err == nil {
		return fmt.Errorf("a rehearsal is up already (process %d): end it with `make rehearse-down`", pid)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self, append([]string{"-child"}, os.Args[1:]...)...)
	// A session of its own: closing the terminal does not end it. Ctrl-C before it stays must.
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
	if _, err := running(project); err == nil {
		return command.Process.Release()
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("the rehearsal failed: %w", err)
	}
	return nil
}

// end ends the rehearsal that was left up, and waits until it is gone.
func end(ctx context.Context, project string) error {
	pid, err := running(project)
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

// running is the process of the rehearsal that is up.
func running(project string) (int, error) {
	data, err := os.ReadFile(filepath.Join(project, kept, "pid"))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(pid, 0); err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return pid, nil
}
