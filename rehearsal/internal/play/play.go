// Package play plays the life of a stack on a stage: it previews, creates, uses, changes and destroys it, and checks the program's
// promises.
package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/page"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/ops/verify"
)

// Step is one thing that was done or checked, with its outcome.
type Step struct {
	Name     string
	Duration time.Duration
	Err      error
	Note     string
	// Unseen tells that a check could not see here what it looks for. The note says why.
	Unseen bool
}

// Play is the life of a stack, step by step: previewed, created, changed by nothing, used, changed by something,
// destroyed. Every step's outcome is kept for the summary.
type Play struct {
	// Stack is the stack's name.
	Stack string
	// Steps are those that were played.
	Steps []Step
	// Estimate is what the stack costs and how long it takes on AWS, once it is up.
	Estimate *estimate.Comparison

	stage *stage.Stage
}

// New makes a play of the stack on the stage.
func New(stage *stage.Stage, stack string) *Play { return &Play{stage: stage, Stack: stack} }

// do runs one step unless the play has ended.
func (p *Play) do(ctx context.Context, name string, run func(context.Context) (note string, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Fprintf(p.stage.Out, "\n== %s\n", name)
	start := time.Now()
	note, err := run(ctx)
	p.Steps = append(p.Steps, Step{Name: name, Duration: time.Since(start), Err: err, Note: note})
	if err != nil {
		fmt.Fprintf(p.stage.Out, "!! %s: %v\n", name, err)
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// pulumi is a step that is one command of the CLI.
func (p *Play) pulumi(ctx context.Context, name string, args ...string) error {
	return p.do(ctx, name, func(ctx context.Context) (string, error) { return "", p.stage.Pulumi(ctx, args...) })
}

// Init makes the stack and the settings that its file leaves to the user, with the commands of the README.
func (p *Play) Init(ctx context.Context) error {
	return p.do(ctx, "stack init and settings", func(ctx context.Context) (string, error) {
		if err := p.stage.Pulumi(ctx, "stack", "init", p.Stack); err != nil {
			return "", err
		}
		return "", p.stage.Configure(ctx)
	})
}

// Up previews the stack, creates it, and shows that doing so again changes nothing and that nothing drifted.
func (p *Play) Up(ctx context.Context) error {
	if err := p.pulumi(ctx, "preview", "preview"); err != nil {
		return err
	}
	if err := p.pulumi(ctx, "up", "up", "--yes", "--skip-preview"); err != nil {
		return err
	}
	if err := p.pulumi(ctx, "up again changes nothing", "up", "--yes", "--skip-preview", "--expect-no-changes"); err != nil {
		return err
	}
	if err := p.pulumi(ctx, "refresh finds no drift", "refresh", "--yes", "--skip-preview", "--expect-no-changes"); err != nil {
		return err
	}
	state, err := p.stage.State(ctx)
	if err != nil {
		return err
	}
	p.Estimate = &estimate.Comparison{After: estimate.Of(estimate.FromState(state), time.Now())}
	return nil
}

// Use checks the running stack as `make verify` does, and what befalls it in use. All checks run, even if the first ones fail.
func (p *Play) Use(ctx context.Context) error {
	errs := []error{p.verify(ctx)}
	checks, err := newChecks(ctx, p.stage)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, check := range checks.all() {
		if check.takesSpot && !checks.onSpot() {
			p.Steps = append(p.Steps, Step{Name: check.name, Unseen: true, Note: "no node group is on spot"})
			continue
		}
		errs = append(errs, p.do(ctx, check.name, check.run))
	}
	return errors.Join(errs...)
}

// verify makes the checks that hold for a stack in an account too, each a step.
func (p *Play) verify(ctx context.Context) error {
	target, err := Target(ctx, p.stage)
	if err != nil {
		return err
	}
	var errs []error
	verify.Run(ctx, target, verify.Checks(), verify.Options{Level: verify.Breaks, Each: func(c verify.Check, r *verify.Result) {
		if r == nil {
			fmt.Fprintf(p.stage.Out, "\n== %s\n", c.Name)
			return
		}
		s := Step{Name: c.Name + ": " + c.Promise, Duration: r.Took, Note: r.Seen}
		s.Unseen = r.Verdict == verify.Unseen || r.Verdict == verify.Skipped
		if r.Verdict == verify.Failed {
			s.Note, s.Err = "", errors.New(strings.TrimSpace(r.Seen+"\n"+r.Shown))
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, s.Err))
			fmt.Fprintf(p.stage.Out, "!! %s: %v\n", c.Name, s.Err)
		}
		p.Steps = append(p.Steps, s)
	}})
	return errors.Join(errs...)
}

// Destroy destroys the stack and looks for leftovers. If the stack protects its domain, the first attempt must be refused.
func (p *Play) Destroy(ctx context.Context) error {
	protected, err := p.protects()
	if err != nil {
		return err
	}
	if protected {
		if err := p.do(ctx, "destroy is refused while the domain is protected", p.refusesDestroy); err != nil {
			return err
		}
		// With the commands of the README.
		if err := p.pulumi(ctx, "protection is set to false", "config", "set", "--path", "expense:logging.domain.protect", "false"); err != nil {
			return err
		}
		if err := p.pulumi(ctx, "up without protection", "up", "--yes", "--skip-preview"); err != nil {
			return err
		}
	}
	log := filepath.Join(p.stage.Dir, "destroy.json")
	if err := p.pulumi(ctx, "destroy", "destroy", "--yes", "--skip-preview", "--event-log", log); err != nil {
		return err
	}
	var disorder error
	if p.Estimate != nil { // a stack that did not come up whole lacks resources of the order
		disorder = p.do(ctx, "destroy went from the workloads to the network", func(context.Context) (string, error) {
			events, err := os.Open(log)
			if err != nil {
				return "", err
			}
			defer events.Close()
			pairs, err := inOrder(events)
			return fmt.Sprintf("%d pairs in order", pairs), err
		})
	}
	return errors.Join(disorder, p.do(ctx, "nothing is left", p.Leftovers))
}

// protects says whether there is a domain and the stack's settings protect it.
func (p *Play) protects() (bool, error) {
	if !slices.ContainsFunc(p.stage.Model.Inventory(), func(item awsmodel.Item) bool { return item.Type == "aws:opensearch/domain:Domain" }) {
		return false, nil
	}
	settings, err := p.stage.Settings()
	if err != nil {
		return false, err
	}
	return settings.Logging.Domain.Protect, nil
}

// refusesDestroy: nothing of a protected stack is deleted. The preview finds what is protected; without one the engine would first delete
// the unprotected resources that come before it.
func (p *Play) refusesDestroy(ctx context.Context) (string, error) {
	before := len(p.stage.Model.Inventory())
	err := p.stage.Pulumi(ctx, "destroy", "--yes")
	var refused *stage.PulumiError
	switch {
	case err == nil:
		return "", errors.New("the protected stack was destroyed")
	case !errors.As(err, &refused) || !strings.Contains(refused.Output, "protect"):
		return "", err
	case len(p.stage.Model.Inventory()) != before:
		return "", fmt.Errorf("AWS had %d things before, and has %d", before, len(p.stage.Model.Inventory()))
	}
	return fmt.Sprintf("all %d things are there", before), nil
}

// Leftovers is empty when the model, the API server and Pulumi's state hold nothing of the stack but what AWS keeps by
// design, which it names.
func (p *Play) Leftovers(ctx context.Context) (string, error) {
	var kept, left []string
	for _, item := range p.stage.Model.Inventory() {
		line := fmt.Sprintf("%s %s", item.Type, item.ID)
		if item.KeptByDesign != "" {
			kept = append(kept, line+": "+item.KeptByDesign)
		} else {
			left = append(left, line)
		}
	}
	remains, err := kubernetesLeftovers(ctx, p.stage)
	if err != nil {
		return "", err
	}
	left = append(left, remains...)
	state, err := p.stage.State(ctx)
	if err != nil {
		return "", err
	}
	for _, resource := range state.Resources {
		left = append(left, "state "+string(resource.URN))
	}
	if len(left) > 0 {
		return "", fmt.Errorf("%d things are left:\n  %s", len(left), strings.Join(left, "\n  "))
	}
	for _, line := range kept {
		fmt.Fprintf(p.stage.Out, "kept by AWS: %s\n", line)
	}
	return fmt.Sprintf("%d kept by AWS by design", len(kept)), nil
}

// Text is what was played, for a terminal: the outcome comes last, where people read.
func (p *Play) Text() string {
	out := p.cost(estimate.Comparison.Page)
	out.Add(p.outcome())
	return out.Text()
}

// HTML is what was played, for a browser: what failed comes first, with the whole errors.
func (p *Play) HTML() ([]byte, error) {
	var out page.Page
	for _, s := range p.Steps {
		if s.Err != nil {
			out.Heading("FAILED: %s", s.Name)
			out.Code("", s.Err.Error())
		}
	}
	out.Add(p.outcome())
	out.Add(p.cost(estimate.Comparison.Whole))
	return out.HTML("Rehearsal of stack " + p.Stack)
}

// cost is what the stack costs and how long it takes on AWS, if it came up.
func (p *Play) cost(estimated func(estimate.Comparison) page.Page) (out page.Page) {
	if p.Estimate != nil {
		out.Heading("Stack %s on AWS", p.Stack)
		out.Add(estimated(*p.Estimate))
	}
	return out
}

// outcome is a table of the steps.
func (p *Play) outcome() (out page.Page) {
	out.Heading("What was played")
	var rows [][]string
	unseen := 0
	for _, s := range p.Steps {
		result, note := "ok", page.Short(s.Note, 300)
		switch {
		case s.Err != nil:
			result, note = "FAILED", page.Short(s.Err.Error(), 300)
		case s.Unseen:
			result = "not seen"
			unseen++
		}
		rows = append(rows, []string{s.Name, result, fmt.Sprintf("%.1f", s.Duration.Seconds()), note})
	}
	out.Table([]page.Column{{Name: "step"}, {Name: "result"}, {Name: "seconds", Number: true}, {Name: "note"}}, rows)
	if unseen > 0 {
		out.Say("%d checks are not seen here: only a stack in an account shows them (make verify).", unseen)
	}
	return out
}

// Failed names the steps that failed. It is an error that nothing was played.
func (p *Play) Failed() error {
	var failed []string
	for _, s := range p.Steps {
		if s.Err != nil {
			failed = append(failed, s.Name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	if len(p.Steps) == 0 {
		return errors.New("nothing was played")
	}
	return nil
}
