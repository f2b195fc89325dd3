package main

import (
	"fmt"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/report"
)

// newReport is a report with what the model does not have.
func newReport(title, subtitle string, stacks ...report.Stack) report.Report {
	r := report.Report{Title: title, Subtitle: subtitle, Made: time.Now(), Stacks: stacks}
	for _, n := range awsmodel.NotModelled {
		r.NotModelled = append(r.NotModelled, n.Area+": "+n.What)
	}
	return r
}

// played is what was played, for people.
func played(p *play.Play) report.Report {
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
	return newReport("Rehearsal of stack "+p.Stack,
		"Its whole life under the real Pulumi engine and a real Kubernetes API server, in front of stand-ins for AWS.", s)
}

// previewed is what a change does, for people.
func previewed(result change.Result) report.Report {
	var stacks []report.Stack
	for i := range result.Stacks {
		s := &result.Stacks[i]
		stacks = append(stacks, report.Stack{
			Name: s.Name, Change: s, Resources: s.Resources, Before: s.Estimate.Before, After: s.Estimate.After, Apply: s.Estimate.Apply,
		})
	}
	r := newReport("What this change does",
		fmt.Sprintf("Compared with %s, as the Pulumi engine previews it in the rehearsal: no AWS account was asked.", result.Base), stacks...)
	r.Verdict = &result.Verdict
	return r
}
