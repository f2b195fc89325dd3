package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/estimate"
)

const (
	// hoursOfMonth are those of the estimate's prices.
	hoursOfMonth = 730
	// checking is how long a stack is up between `up` and `destroy` while it is verified and changed: assumed, measured nowhere.
	checking = 2 * time.Hour
	// longest is how long a run may take: the timeouts of e2e.yml's two jobs.
	longest = 8 * time.Hour
)

// estimateCommand says what a stack costs from `pulumi up` to the end of `pulumi destroy`, with two hours between them, and what at most.
// It ends with 3 if that is above a limit. It previews the stack, and changes nothing.
func estimateCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("estimate", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to estimate; it has to be in Pulumi's backend")
	limit := flags.Float64("limit", 0, "the most that a run may cost, in USD")
	_ = flags.Parse(args)                       // ends the process
	if !(*limit > 0) || math.IsInf(*limit, 0) { // NaN is neither above nor below
		return 1, fmt.Errorf("-limit is %g, allowed: a number of USD above 0", *limit)
	}
	e, err := estimateOf(ctx, project, *stack)
	if err != nil {
		return 1, err
	}
	return within(os.Stdout, e, *stack, *limit, time.Now())
}

// within says what a run of a stack costs, and gives 3 if that is above a limit.
func within(out io.Writer, e estimate.Estimate, stack string, limit float64, day time.Time) (code int, err error) {
	hours := (e.Up.Total + checking + e.Destroy.Total).Hours()
	most := estimate.BillOf(widest(e.Resources), day)
	page := estimate.Comparison{After: e}.Page()
	fmt.Fprint(out, page.Text())
	if len(most.Items) == 0 {
		return 1, errors.New("nothing in the preview has a price: it is of no such stack")
	}
	if len(most.Unpriced) > 0 {
		return 1, fmt.Errorf("the run is not started: nobody knows what it costs: %s; take a stack of which all has a price, in %s",
			strings.Join(most.Unpriced, "; "), estimate.Region)
	}
	// Spot instances may have to be replaced by ones on demand.
	run := most.OnDemand / hoursOfMonth * longest.Hours()
	fmt.Fprintf(out, "\nA run of %s takes about %.1f hours and costs about %.2f USD. It costs at most %.2f USD:\n"+
		"for %g hours, with as many nodes as may be, all on demand. Traffic is not in it, logs are as assumed. The limit is %.2f USD.\n",
		stack, hours, e.Bill.OnDemand/hoursOfMonth*hours, run, longest.Hours(), limit)
	if !(run <= limit) {
		return 3, fmt.Errorf("the run is not started: %.2f USD are above the limit of %.2f USD; raise the limit, or take a smaller stack",
			run, limit)
	}
	return 0, nil
}

// widest has each group of nodes at the size that the autoscaler may give it, of the dearest of its instance types.
func widest(resources []estimate.Resource) []estimate.Resource {
	out := slices.Clone(resources)
	for i, r := range out {
		scaling, _ := r.Inputs["scalingConfig"].(map[string]any)
		types, _ := r.Inputs["instanceTypes"].([]any)
		if r.Type != "aws:eks/nodeGroup:NodeGroup" || scaling == nil || len(types) == 0 {
			continue
		}
		r.Inputs, scaling = maps.Clone(r.Inputs), maps.Clone(scaling)
		scaling["desiredSize"] = scaling["maxSize"]
		r.Inputs["scalingConfig"], out[i] = scaling, r
		dearest := slices.MaxFunc(types, func(a, b any) int { return cmp.Compare(monthly(a), monthly(b)) })
		r.Inputs["instanceTypes"] = []any{dearest}
	}
	return out
}

// monthly is what an instance of a type costs. One without a price is the dearest, and the bill names it.
func monthly(instance any) float64 {
	price, known := estimate.PriceOf(fmt.Sprintf("ec2.%v", instance))
	if !known {
		return math.Inf(1)
	}
	return price.Monthly()
}

// estimateOf previews a stack with the pulumi on PATH.
func estimateOf(ctx context.Context, project, stack string) (e estimate.Estimate, err error) {
	dir, err := os.MkdirTemp("", "estimate-")
	if err != nil {
		return e, err
	}
	defer os.RemoveAll(dir)
	log, plan := filepath.Join(dir, "events.json"), filepath.Join(dir, "plan.json")
	command := exec.CommandContext(ctx, "pulumi", "preview", "--stack", stack, "--non-interactive", "--suppress-progress",
		"--suppress-outputs", "--color", "never", "--event-log", log, "--save-plan", plan)
	// It hides --event-log otherwise.
	command.Dir, command.Env = project, append(os.Environ(), "PULUMI_DEBUG_COMMANDS=true")
	said, err := command.CombinedOutput()
	if err != nil {
		return e, fmt.Errorf("pulumi preview --stack %s: %w\n%s", stack, err, said)
	}
	events, err1 := os.ReadFile(log)
	planned, err2 := os.ReadFile(plan)
	if err := errors.Join(err1, err2); err != nil {
		return e, err
	}
	resources, err := estimate.FromPreview(bytes.NewReader(events), planned)
	if err != nil {
		return e, err
	}
	return estimate.Of(resources, time.Now()), nil
}
