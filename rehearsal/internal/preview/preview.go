// Package preview compares two versions of the project: it brings the stacks of one up in the rehearsal, and asks the engine what the
// other would do to them.
package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/stage"
)

// Options say what to compare.
type Options struct {
	// Project is the folder with the new version.
	Project string
	// Base is a folder with the version before. A stack is new if Base has no program or no file for it.
	Base string
	// Stacks are the names of the stacks to preview.
	Stacks []string
	// Tools is the folder with pulumi, pulumi-language-go and the control plane's binary.
	Tools string
}

// Compare previews every stack, and lets the guard judge the changes.
func Compare(ctx context.Context, options Options) (change.Result, error) {
	var result change.Result
	added, err := acknowledgements(options.Project, options.Base)
	if err != nil {
		return result, err
	}
	for _, name := range options.Stacks {
		stack, err := compare(ctx, options, name)
		if err != nil {
			return result, fmt.Errorf("stack %s: %w", name, err)
		}
		result.Stacks = append(result.Stacks, stack)
	}
	result.Verdict = change.Guard(result.Stacks, added)
	return result, nil
}

func compare(ctx context.Context, options Options, stack string) (change.Stack, error) {
	c, err := open(ctx, options, stack)
	if err != nil {
		return change.Stack{}, err
	}
	defer c.stage.Stop()
	return c.preview(ctx, options.Project)
}

// Stacks are the stacks that a version of the project has a file for, sorted.
func Stacks(project string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(project, "Pulumi.*.yaml"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml"))
	}
	return names, nil
}

// acknowledgements are those that the project adds to its base's.
func acknowledgements(project, base string) ([]change.Acknowledgement, error) {
	stacks, err := Stacks(project)
	if err != nil {
		return nil, err
	}
	var files [2][]byte
	for i, folder := range []string{project, base} {
		files[i], err = os.ReadFile(filepath.Join(folder, change.AcknowledgementsFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return change.Acknowledgements(files[0], files[1], stacks)
}

// comparison is a stage on which the base's stack is up.
type comparison struct {
	stage *stage.Stage
	stack string
	fresh bool // the base has no such stack: nothing is up
}

// open brings the base's stack up.
func open(ctx context.Context, options Options, stack string) (*comparison, error) {
	c := &comparison{stack: stack}
	from := options.Base
	for _, file := range []string{"main.go", "Pulumi.yaml", "Pulumi." + stack + ".yaml"} {
		if _, err := os.Stat(filepath.Join(options.Base, file)); errors.Is(err, os.ErrNotExist) {
			c.fresh, from = true, options.Project
		} else if err != nil {
			return nil, err
		}
	}
	// If the base names no account, both are of the one that the project names. Two different ones are an error on AWS too.
	account, _, _ := config.FileAccount(from, stack)
	if account.ID() == "" {
		account, _, _ = config.FileAccount(options.Project, stack)
	}
	s, err := stage.New(ctx, stage.Options{
		Project: from, Stack: stack, Account: account.ID(), Tools: options.Tools, Out: io.Discard, SaveAtEnd: true,
	})
	if err != nil {
		return nil, err
	}
	c.stage = s
	if err = s.Pulumi(ctx, "stack", "init", stack); err == nil && !c.fresh {
		if err = s.Configure(ctx); err == nil {
			err = s.Pulumi(ctx, "up", "--yes", "--skip-preview", "--suppress-progress", "--suppress-outputs")
		}
		if err != nil {
			err = fmt.Errorf("the base does not come up: %w", err)
		}
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return c, nil
}

// preview asks the engine what the project would do to what is up.
func (c *comparison) preview(ctx context.Context, project string) (change.Stack, error) {
	if err := c.stage.Use(ctx, project, c.stack); err != nil {
		return change.Stack{}, err
	}
	if err := c.stage.Configure(ctx); err != nil {
		return change.Stack{}, err
	}
	var before []estimate.Resource
	if !c.fresh {
		state, err := c.stage.State(ctx)
		if err != nil {
			return change.Stack{}, err
		}
		before = estimate.FromState(state)
	}
	log, plan := filepath.Join(c.stage.Dir, "events.json"), filepath.Join(c.stage.Dir, "plan.json")
	// The guard judges what is protected: the engine would end the preview at the first such resource.
	diff, err := c.stage.Output(ctx, "preview", "--diff", "--ignore-protect", "--suppress-progress", "--color", "never",
		"--event-log", log, "--save-plan", plan)
	if err != nil {
		return change.Stack{}, err
	}
	events, err1 := os.ReadFile(log)
	planned, err2 := os.ReadFile(plan)
	if err := errors.Join(err1, err2); err != nil {
		return change.Stack{}, err
	}
	stack, err1 := change.Read(bytes.NewReader(events))
	after, err2 := estimate.FromPreview(bytes.NewReader(events), planned)
	stack.Name, stack.New, stack.Diff = c.stack, c.fresh, string(diff)
	apply, day := estimate.Apply(before, after, stack.Steps()), time.Now()
	stack.Estimate = &estimate.Comparison{After: estimate.Of(after, day), Apply: &apply}
	if !c.fresh {
		was := estimate.Of(before, day)
		stack.Estimate.Before = &was
	}
	return stack, errors.Join(err1, err2)
}
