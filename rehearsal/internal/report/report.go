// Package report writes what was found out about stacks as one HTML file for people: what a change does, how long AWS takes
// for it, what the stack is made of, what it costs, what was checked. The file needs nothing else: it has no script, loads
// nothing, and its content security policy says so.
package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"
)

// Report is what the reader gets. Values in it are shown as they are: secrets must have been masked before.
type Report struct {
	// Title is the first heading, Subtitle one sentence below it: what was compared or rehearsed.
	Title, Subtitle string
	// Made is when the report was made.
	Made   time.Time
	Stacks []Stack
	// Verdict is what the guard says, nil in a rehearsal.
	Verdict *change.Verdict
	// NotModelled says, one sentence each, what the report cannot show.
	NotModelled []string
}

// Stack is all about one stack.
type Stack struct {
	Name string
	// Change is what happens to the stack, nil in a rehearsal.
	Change *change.Stack
	// Resources are those after the change.
	Resources []estimate.Resource
	// Before is nil where the stack is new, and in a rehearsal.
	Before *estimate.Estimate
	After  estimate.Estimate
	// Apply is the change's own timeline, nil in a rehearsal.
	Apply  *estimate.Timeline
	Checks []Check
}

// Check is one thing that a rehearsal did or looked at.
type Check struct {
	Name string
	Held bool
	// Note is what was seen, or the error.
	Note string
	// Duration is on the machine of the rehearsal: it says nothing about AWS.
	Duration time.Duration
}

var (
	//go:embed report.html.tmpl
	text string
	//go:embed report.css
	styles string

	pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
		"duration": duration, "money": money, "signed": signed, "styles": func() template.CSS { return template.CSS(styles) },
		"value": value, "plural": plural, "lines": diffLines, "source": source, "brief": brief, "short": shortType,
	}).Parse(text))
)

// HTML writes the report. The same report gives the same bytes.
func (r Report) HTML(out io.Writer) error {
	view := pageView{Report: r}
	for i, s := range r.Stacks {
		view.Views = append(view.Views, newStackView(fmt.Sprintf("stack%d", i+1), s))
	}
	if err := pageTemplate.Execute(out, view); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// pageView is what the template shows.
type pageView struct {
	Report
	Views []stackView
}

type stackView struct {
	Stack
	// ID begins every ID of the stack's elements.
	ID        string
	Timelines []timelineView
	Picture   picture
	Tree      []*node
	Bill      billView
	// Custom counts the resources for which something is made, Components those that group others.
	Custom, Components int
	Failed             int
}

func newStackView(id string, s Stack) stackView {
	view := stackView{Stack: s, ID: id, Bill: newBill(s.Before, s.After)}
	view.Checks = slices.Clone(s.Checks)
	slices.SortStableFunc(view.Checks, func(a, b Check) int { return boolean(a.Held) - boolean(b.Held) })
	for _, c := range s.Checks {
		view.Failed += boolean(!c.Held)
	}
	for _, r := range s.Resources {
		view.Custom += boolean(r.Custom)
		view.Components += boolean(!r.Custom && r.Type != stackType)
	}
	changes := map[string]change.Operation{}
	if s.Change != nil {
		for _, c := range s.Change.Changes {
			changes[c.URN] = c.Operation
		}
	}
	view.Tree = newTree(id, s.Resources, changes)
	view.Picture = newPicture(view.Tree, s.After.Up)
	if s.Apply != nil {
		view.Timelines = append(view.Timelines, newTimeline("This change", "change", *s.Apply))
	}
	view.Timelines = append(view.Timelines, newTimeline("Create everything", "up", s.After.Up), newTimeline("Destroy everything", "destroy", s.After.Destroy))
	return view
}

// Counts has one text for each operation that the change has, and one for what stays.
func (s stackView) Counts() []count {
	counts := map[change.Operation]int{}
	for _, c := range s.Change.Changes {
		counts[c.Operation]++
	}
	var out []count
	for _, m := range marks {
		if n := counts[m.operation]; n > 0 {
			out = append(out, count{n, m.operation})
		}
	}
	return out
}

type count struct {
	N         int
	Operation change.Operation
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// marks are the signs of the operations, the worst first.
var marks = []struct {
	operation change.Operation
	sign      string
}{{change.Delete, "−"}, {change.Replace, "±"}, {change.Update, "~"}, {change.Create, "+"}}

// duration is a time for people: 40 s, 12 min, 2 min 30 s, 1 h 5 min.
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	var parts []string
	if h > 0 {
		parts = append(parts, fmt.Sprintf("%d h", h))
	}
	if m > 0 {
		parts = append(parts, fmt.Sprintf("%d min", m))
	}
	if s > 0 && h == 0 || len(parts) == 0 {
		parts = append(parts, fmt.Sprintf("%d s", s))
	}
	return strings.Join(parts, " ")
}

// brief is a time in one unit: 40 s, 13 min.
func brief(d time.Duration) string {
	if d < time.Minute {
		return duration(d)
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shortType is a type without its module's file: aws:ec2:Vpc, cluster:Network.
func shortType(typ string) string {
	parts := strings.Split(typ, ":")
	if len(parts) != 3 {
		return typ
	}
	module, _, _ := strings.Cut(parts[1], "/")
	if parts[0] == "kubernetes" {
		module = parts[1]
	}
	return parts[0] + ":" + module + ":" + parts[2]
}

// kind is the last part of a type: Vpc, Network.
func kind(typ string) string { return typ[strings.LastIndex(typ, ":")+1:] }

// value is a property's value for people, "" for none.
func value(v any) string {
	const most = 400
	if v == nil {
		return ""
	}
	if text, ok := v.(string); ok {
		if text == "" {
			return `""`
		}
		return clip(text, most)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return clip(string(text), most)
}

// clip cuts a text that is too long.
func clip(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// line is one line of a difference, with what it does.
type line struct{ Class, Text string }

// diffLines classes the lines of `pulumi preview --diff` by the sign that they begin with.
func diffLines(diff string) []line {
	var out []line
	for text := range strings.Lines(diff) {
		class := ""
		switch trimmed := strings.TrimLeft(text, " "); {
		case strings.HasPrefix(trimmed, "+-"), strings.HasPrefix(trimmed, "-+"):
			class = "replace"
		case strings.HasPrefix(trimmed, "+"):
			class = "create"
		case strings.HasPrefix(trimmed, "-"):
			class = "delete"
		case strings.HasPrefix(trimmed, "~"):
			class = "update"
		}
		if n := len(out); n > 0 && out[n-1].Class == class {
			out[n-1].Text += text
			continue
		}
		out = append(out, line{class, text})
	}
	return out
}

func byName(a, b estimate.Resource) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.URN, b.URN))
}
