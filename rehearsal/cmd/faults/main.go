// Command faults lets one thing go wrong at every operation of the dev stack's life, in every way, and checks that what
// docs/recovery.md says leads to the stack as it must be and to an empty account after its destruction.
//
//	faults -project DIR -tools DIR [-only TEXT] [-every N] [-jobs N]
//
// What has been played is in .faults/results.jsonl: a run that was ended goes on there. It ends with 0 if all was survived.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"expense/rehearsal/internal/faults"
	"expense/rehearsal/internal/stage"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// folder is where results are kept, below the project's.
const folder = ".faults"

func main() {
	var options stage.Options
	var choice faults.Choice
	flag.StringVar(&options.Project, "project", ".", "folder with Pulumi.yaml")
	flag.StringVar(&options.Tools, "tools", ".tools/bin", "folder with the built tools")
	flag.StringVar(&choice.Only, "only", "", "play only the cases whose name contains this, again")
	flag.IntVar(&choice.Every, "every", 1, "play one life of so many")
	jobs := flag.Int("jobs", 4, "how many stages to play on, each of which takes about 1 GiB; half of a life is waiting")
	flag.IntVar(&choice.Worker, "worker", -1, "play one job's share; for the command itself")
	flag.IntVar(&choice.Workers, "workers", 1, "how many jobs there are; for the command itself")
	flag.Parse()
	// What the Kubernetes libraries say of their work is of no interest here.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := prepare(&options)
	switch {
	case err != nil:
	case choice.Worker >= 0:
		err = work(ctx, options, choice)
	default:
		err = play(ctx, options, choice, *jobs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func prepare(options *stage.Options) (err error) {
	if options.Project, err = filepath.Abs(options.Project); err != nil {
		return err
	}
	if options.Tools, err = filepath.Abs(options.Tools); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(options.Project, folder), 0o700)
}

// versionOf names the program, its settings and this command.
func versionOf(project string) (string, error) {
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join("bin", "expense"), ".")
	build.Dir = project
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("program: go build: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, file := range []string{self, filepath.Join(project, "bin", "expense"), filepath.Join(project, "Pulumi.dev.yaml")} {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		sum.Write(data)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// work plays one job's share.
func work(ctx context.Context, options stage.Options, choice faults.Choice) error {
	version, err := versionOf(options.Project)
	if err != nil {
		return err
	}
	name := filepath.Join(options.Project, folder, "results.jsonl")
	done, err := faults.Results(name, version)
	if err != nil {
		return err
	}
	if choice.Only != "" {
		done = nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	return faults.Run(ctx, options, choice, version, done, func(r faults.Result, played, all int) error {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		word := "ok"
		if r.Problem != "" {
			word = "FAILED"
		}
		fmt.Printf("job %d: %3d of %d  %-6s %5.1f s  %s\n", choice.Worker+1, played, all, word, r.Seconds, r.Case)
		_, err = file.Write(append(line, '\n'))
		return err
	})
}

// play starts the jobs, each a process of its own because a stage takes the process's PATH, and sums up.
func play(ctx context.Context, options stage.Options, choice faults.Choice, jobs int) error {
	start := time.Now()
	version, err := versionOf(options.Project)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	for i := range jobs {
		group.Go(func() error {
			worker := exec.CommandContext(running, self, "-project", options.Project, "-tools", options.Tools, "-only", choice.Only,
				"-every", strconv.Itoa(choice.Every), "-worker", strconv.Itoa(i), "-workers", strconv.Itoa(jobs))
			worker.Stdout, worker.Stderr = os.Stdout, os.Stderr
			worker.Env = append(os.Environ(), "GOGC=400")            // an eighth less work for processor, engine and control plane included
			worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches it once, through Cancel
			worker.Cancel = func() error { return worker.Process.Signal(os.Interrupt) }
			worker.WaitDelay = time.Minute
			return worker.Run()
		})
	}
	err = group.Wait()
	results, readErr := faults.Results(filepath.Join(options.Project, folder, "results.jsonl"), version)
	if err = errors.Join(err, readErr); err != nil {
		return fmt.Errorf("%w\nWhat was played is kept: the same command goes on there", err)
	}
	var failed []string
	for name, r := range results {
		if r.Problem != "" {
			failed = append(failed, name)
		}
	}
	slices.Sort(failed)
	fmt.Printf("\n%d cases, %d survived, in %.0f minutes of this run.\n", len(results), len(results)-len(failed), time.Since(start).Minutes())
	for _, name := range failed {
		fmt.Printf("\n%s\n%s\nAgain: make faults ONLY='%s'\n", name, results[name].Problem, name)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d cases were not survived", len(failed))
	}
	return nil
}
