package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"expense/rehearsal/internal/faults"
	"expense/rehearsal/internal/stage"

	"golang.org/x/sync/errgroup"
)

// jobs is the number of stages that are played on. Each takes about 1 GiB, and half of a life is waiting.
const jobs = 4

// faultsCommand lets one thing fail at every operation of the dev stack's life, in every way, and checks that docs/recovery.md leads to
// the right stack and, after its destruction, to an empty account. Results are written down, and the next run goes on there. It ends with
// 0 if all was survived.
func faultsCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("faults", flag.ExitOnError)
	only := flags.String("only", "", "play only the cases whose name contains this, again")
	_ = flags.Parse(args) // ends the process

	start := time.Now()
	name := filepath.Join(project, written, "faults", "results.jsonl")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return 1, err
	}
	version, err := versionOf(project)
	if err != nil {
		return 1, err
	}
	var done map[string]faults.Result
	if *only == "" {
		if done, err = faults.Results(name, version); err != nil {
			return 1, err
		}
	}
	if err := playFaults(ctx, project, name, *only, version, done); err != nil {
		return 1, fmt.Errorf("%w\nWhat was played is kept: the same command goes on there", err)
	}
	results, err := faults.Results(name, version)
	if err != nil {
		return 1, err
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
		return 1, fmt.Errorf("%d cases were not survived", len(failed))
	}
	return 0, nil
}

// playFaults plays the remaining cases, each job its share, and writes every result into the file.
func playFaults(ctx context.Context, project, name, only, version string, done map[string]faults.Result) error {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	var writing sync.Mutex
	group, running := errgroup.WithContext(ctx)
	for job := range jobs {
		group.Go(func() error {
			options := stage.Options{Project: project, Tools: toolsOf(project)}
			choice := faults.Choice{Only: only, Worker: job, Workers: jobs}
			return faults.Run(running, options, choice, version, done, func(r faults.Result, played, all int) error {
				line, err := json.Marshal(r)
				if err != nil {
					return err
				}
				word := "ok"
				if r.Problem != "" {
					word = "FAILED"
				}
				writing.Lock()
				defer writing.Unlock()
				fmt.Printf("job %d: %3d of %d  %-6s %5.1f s  %s\n", job+1, played, all, word, r.Seconds, r.Case)
				_, err = file.Write(append(line, '\n'))
				return err
			})
		})
	}
	return group.Wait()
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
