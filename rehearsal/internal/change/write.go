package change

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/page"
)

// JSON writes the whole result.
func (r Result) JSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Text is the result for a terminal. The whole difference comes first, because people read the last lines.
func (r Result) Text() string {
	var p page.Page
	for _, stack := range r.Stacks {
		stack.difference(&p)
	}
	p.Heading("Compared with %s", r.Base)
	for _, stack := range r.Stacks {
		p.Heading("Stack %s: %s", stack.Name, stack.Counts())
		if stack.New {
			p.Say("The base does not have it: everything is new.")
		} else {
			p.Add(stack.table())
		}
		warnings(&p, stack)
		if stack.Estimate != nil {
			p.Add(stack.Estimate.Page())
		}
	}
	p.Add(r.Verdict.acknowledged())
	p.Add(r.Verdict.stops())
	return p.Text()
}

// commentLimit is in bytes. The workflow that writes the comment cuts it at 60,000, and adds characters before.
const commentLimit = 50_000

const title = "What this change does"

// Markdown is the result for a comment on a pull request: the summary first, the rest folded.
func (r Result) Markdown() string {
	var p page.Page
	p.Heading(title)
	p.Add(r.page(estimate.Comparison.Page))
	return p.Markdown(commentLimit)
}

// HTML is the result for a browser, with what there is no room for elsewhere.
func (r Result) HTML() ([]byte, error) { return r.page(estimate.Comparison.Whole).HTML(title) }

func (r Result) page(estimated func(estimate.Comparison) page.Page) (p page.Page) {
	p.Say("Compared with %s, as the Pulumi engine previews it in the rehearsal: no AWS account was asked.", page.Code(r.Base))
	p.Add(r.summary())
	p.Add(r.Verdict.stops())
	p.Add(r.Verdict.acknowledged())
	warnings(&p, r.Stacks...)
	changes := 0
	for _, stack := range r.Stacks {
		if len(stack.Changes) > 0 {
			p.Fold(stack.Name+": "+stack.Counts(), stack.table())
		}
		changes += len(stack.Changes)
	}
	if changes == 0 {
		p.Say("Nothing changes.")
	}
	for _, stack := range r.Stacks {
		stack.difference(&p)
	}
	for _, stack := range r.Stacks {
		if stack.Estimate != nil {
			p.Fold(stack.Name+": cost and time", estimated(*stack.Estimate))
		}
	}
	return p
}

// summary has a row for each stack.
func (r Result) summary() (p page.Page) {
	columns := []page.Column{{Name: "stack"}}
	for _, o := range operations {
		columns = append(columns, page.Column{Name: string(o), Number: true})
	}
	columns = append(columns, page.Column{Name: "unchanged", Number: true}, page.Column{Name: "cost and time, estimated"})
	var rows [][]string
	for _, stack := range r.Stacks {
		row := []string{stack.Name}
		if stack.New {
			row[0] += " (new)"
		}
		for _, o := range operations {
			row = append(row, fmt.Sprint(stack.count(o)))
		}
		row = append(row, fmt.Sprint(stack.Unchanged), "")
		if stack.Estimate != nil {
			row[len(row)-1] = stack.Estimate.Summary()
		}
		rows = append(rows, row)
	}
	p.Table(columns, rows)
	return p
}

// difference is what the engine printed.
func (s Stack) difference(p *page.Page) {
	if len(s.Changes) > 0 {
		var diff page.Page
		diff.Code("", s.Diff)
		p.Fold(s.Name+": the whole difference", diff)
	}
}

// warnings are what the program says of the stacks.
func warnings(p *page.Page, stacks ...Stack) {
	var lines []string
	for _, stack := range stacks {
		for _, warning := range stack.Warnings {
			lines = append(lines, stack.Name+": "+strings.Join(strings.Fields(warning), " "))
		}
	}
	if len(lines) > 0 {
		p.Say("The program warns:")
		p.Code("", strings.Join(lines, "\n"))
	}
}

// table has a row for each change.
func (s Stack) table() (p page.Page) {
	var rows [][]string
	for _, c := range s.Changes {
		how := c.how()
		if c.Protected && (c.Operation == Replace || c.Operation == Delete) {
			how += ", protected: pulumi up refuses"
		}
		rows = append(rows, []string{how, c.Resource(), strings.Join(c.summary(), "\n")})
	}
	p.Table([]page.Column{{Name: "change"}, {Name: "resource", Code: true}, {Name: "properties", Code: true, Below: true}}, rows)
	return p
}

// summary are the properties that matter most: those that force a replacement, of other changes the first ones.
func (c Change) summary() []string {
	const most, width = 4, 100
	var out []string
	rest := 0
	for _, p := range c.Properties {
		switch {
		case c.Operation == Replace && !p.Forces:
		case len(out) == most:
			rest++
		default:
			out = append(out, page.Short(p.String(), width))
		}
	}
	if rest > 0 {
		out = append(out, fmt.Sprintf("and %d more", rest))
	}
	return out
}

const stops = "The guard stops this change: "

func (v Verdict) stops() (p page.Page) {
	stack, resource := page.Column{Name: "stack"}, page.Column{Name: "resource", Code: true}
	how := page.Column{Name: "change", Code: true, Below: true}
	if len(v.Stopped) > 0 {
		p.Heading(stops+"%d that hold data or carry the platform are at stake", len(v.Stopped))
		for _, kind := range Kinds {
			var rows [][]string
			for _, f := range v.Stopped {
				if f.Kind == kind.Name {
					rows = append(rows, []string{f.Stack, f.Resource, f.Cause})
				}
			}
			if len(rows) > 0 {
				p.Say("%s: %s ([source](%s))", kind.Name, kind.Meanwhile, kind.Source)
				p.Table([]page.Column{stack, resource, how}, rows)
			}
		}
		p.Say("How to make each of these changes safely: docs/changes.md")
		var list page.Page
		list.Code("yaml", entries(v.Stopped))
		p.Fold("To go on all the same, add to "+AcknowledgementsFile+", with a reason for each:", list)
	}
	if len(v.Unused) > 0 {
		var rows [][]string
		for _, a := range v.Unused {
			rows = append(rows, []string{a.Stack, a.Resource, a.Change})
		}
		p.Heading(stops+"entries of %s acknowledge what does not happen, take them out", AcknowledgementsFile)
		p.Table([]page.Column{stack, resource, how}, rows)
	}
	return p
}

func (v Verdict) acknowledged() (p page.Page) {
	if len(v.Acknowledged) > 0 {
		var rows [][]string
		for _, f := range v.Acknowledged {
			rows = append(rows, []string{f.Stack, f.Kind, f.Resource, f.Reason, f.Cause})
		}
		p.Heading("Acknowledged")
		p.Table([]page.Column{
			{Name: "stack"}, {Name: "kind"}, {Name: "resource", Code: true}, {Name: "reason", Code: true},
			{Name: "change", Code: true, Below: true},
		}, rows)
	}
	return p
}
