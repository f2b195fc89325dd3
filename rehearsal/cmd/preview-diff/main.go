// Command preview-diff says what the working tree would do to the stacks of another revision: it brings that one up in the
// rehearsal and runs the real `pulumi preview` of the working tree against it. It needs no account and no network.
//
//	preview-diff -project DIR -tools DIR [-base REVISION] [-stack dev|prod|all]
//
// It ends with 0, with 3 if the guard stops the change, and with 1 if there is no preview.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/preview"
	"expense/rehearsal/internal/report"
	"expense/rehearsal/internal/stage"

	"k8s.io/klog/v2"
)

// stopped is the exit code of a change that the guard stops.
const stopped = 3

// folder is where the result is written and the base is built, below the project's.
const folder = ".preview-diff"

func main() {
	project := flag.String("project", ".", "folder with Pulumi.yaml")
	tools := flag.String("tools", ".tools/bin", "folder with the built tools")
	base := flag.String("base", "", "revision to compare with (default the merge base with main)")
	stack := flag.String("stack", "dev", "stack to preview, or all")
	flag.Parse()
	// What the Kubernetes libraries say of their work is of no interest here.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := run(ctx, *project, *tools, *base, *stack)
	code, say := outcome(result, err, ctx.Err() != nil)
	fmt.Fprint(os.Stderr, say)
	os.Exit(code)
}

// outcome is the exit code and what is said on standard error.
func outcome(result change.Result, err error, interrupted bool) (code int, say string) {
	switch failure := (*stage.PulumiError)(nil); {
	case err != nil && interrupted:
		return 130, "preview-diff: interrupted; its processes have ended and its stage is removed\n"
	case errors.As(err, &failure):
		return 1, fmt.Sprintf("%s\npreview-diff: %v\n", failure.Output, err)
	case err != nil:
		return 1, fmt.Sprintf("preview-diff: %v\n", err)
	case !result.Verdict.Passes():
		return stopped, "preview-diff: the guard stops this change\n"
	}
	return 0, ""
}

func run(ctx context.Context, project, tools, base, stack string) (result change.Result, err error) {
	start := time.Now()
	if project, err = filepath.Abs(project); err != nil {
		return result, err
	}
	if tools, err = filepath.Abs(tools); err != nil {
		return result, err
	}
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
	before := filepath.Join(project, folder, "base")
	if err := preview.Checkout(ctx, project, base, before); err != nil {
		return result, err
	}
	result, err = preview.Compare(ctx, preview.Options{Project: project, Base: before, Stacks: stacks, Tools: tools})
	if err != nil {
		return result, err
	}
	result.Base = commit
	var data, html bytes.Buffer
	if err := errors.Join(result.JSON(&data), page(result).HTML(&html)); err != nil {
		return result, err
	}
	for name, content := range map[string][]byte{"preview.md": []byte(result.Markdown()), "preview.json": data.Bytes(), "report.html": html.Bytes()} {
		if err := os.WriteFile(filepath.Join(project, folder, name), content, 0o600); err != nil {
			return result, err
		}
	}
	if err := result.Text(os.Stdout); err != nil {
		return result, err
	}
	fmt.Printf("\nWritten to %s: report.html to look at, preview.md for a comment, preview.json. It took %.0f s.\n", folder, time.Since(start).Seconds())
	return result, nil
}

// page is the result for people.
func page(result change.Result) report.Report {
	r := report.Report{
		Title: "What this change does", Subtitle: fmt.Sprintf("Compared with %s, as the Pulumi engine previews it in the rehearsal: no AWS account was asked.", result.Base),
		Made: time.Now(), Verdict: &result.Verdict,
	}
	for i := range result.Stacks {
		s := &result.Stacks[i]
		r.Stacks = append(r.Stacks, report.Stack{
			Name: s.Name, Change: s, Resources: s.Resources, Before: s.Estimate.Before, After: s.Estimate.After, Apply: s.Estimate.Apply,
		})
	}
	for _, n := range awsmodel.NotModelled {
		r.NotModelled = append(r.NotModelled, n.Area+": "+n.What)
	}
	return r
}
