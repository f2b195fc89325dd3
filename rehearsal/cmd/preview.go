package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/preview"
	"expense/rehearsal/internal/stage"
)

// stopped is the exit code of a change that the guard stops.
const stopped = 3

// previews has the result and the built base.
var previews = filepath.Join(written, "preview-diff")

// previewCommand says what the working tree would do to the stacks of another revision: it brings that one up in the rehearsal and
// runs the real `pulumi preview` of the working tree against it. It needs no account and no network. It ends with 0, with 3 if the
// guard stops the change, and with 1 if there is no preview.
func previewCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("preview-diff", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to preview, or all")
	base := flags.String("base", "", "revision to compare with (default the merge base with main)")
	_ = flags.Parse(args) // ends the process
	result, err := compare(ctx, project, *base, *stack)
	return outcome(result, err, ctx.Err() != nil)
}

// outcome is the exit code and what is said on standard error.
func outcome(result change.Result, err error, interrupted bool) (int, error) {
	switch failure := (*stage.PulumiError)(nil); {
	case err != nil && interrupted:
		return 130, errors.New("interrupted; its processes have ended and its stage is removed")
	case errors.As(err, &failure):
		return 1, fmt.Errorf("%w\n%s", err, failure.Output)
	case err != nil:
		return 1, err
	case !result.Verdict.Passes():
		return stopped, errors.New("the guard stops this change")
	}
	return 0, nil
}

func compare(ctx context.Context, project, base, stack string) (result change.Result, err error) {
	start := time.Now()
	stacks, err := preview.Stacks(project)
	if err != nil {
		return result, err
	}
	if stack != "all" {
		if !slices.Contains(stacks, stack) {
			return result, fmt.Errorf("found no file Pulumi.%s.yaml: STACK is one of %s, or all", stack, strings.Join(stacks, ", "))
		}
		stacks = []string{stack}
	}
	if base == "" {
		if base, err = preview.MergeBase(ctx, project); err != nil {
			return result, err
		}
	}
	commit, err := preview.Commit(ctx, project, base)
	if err != nil {
		return result, err
	}
	fmt.Printf("Builds the working tree and %q, and brings the latter up in the rehearsal.\n", commit)
	before := filepath.Join(project, previews, "base")
	if err := preview.Checkout(ctx, project, base, before); err != nil {
		return result, err
	}
	result, err = preview.Compare(ctx, preview.Options{Project: project, Base: before, Stacks: stacks, Tools: toolsOf(project)})
	if err != nil {
		return result, err
	}
	result.Base = commit
	var data bytes.Buffer
	html, err := result.HTML()
	if err := errors.Join(err, result.JSON(&data)); err != nil {
		return result, err
	}
	for name, content := range map[string][]byte{
		"report.html": html, "preview.md": []byte(result.Markdown()), "preview.json": data.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(project, previews, name), content, 0o600); err != nil {
			return result, err
		}
	}
	fmt.Print(result.Text())
	fmt.Printf("\nWritten to %s: report.html to look at, preview.md for a comment, preview.json. It took %.0f s.\n",
		previews, time.Since(start).Seconds())
	return result, nil
}
