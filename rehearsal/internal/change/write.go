package change

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// JSON writes the whole result.
func (r Result) JSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Text writes the result for a terminal: the whole difference first, because the last lines are those that are read.
func (r Result) Text(out io.Writer) error {
	var b strings.Builder
	for _, stack := range r.Stacks {
		if len(stack.Changes) > 0 {
			fmt.Fprintf(&b, "== The whole difference of stack %s\n\n%s\n", stack.Name, stack.Diff)
		}
	}
	fmt.Fprintf(&b, "== Compared with %s\n", r.Base)
	for _, stack := range r.Stacks {
		fmt.Fprintf(&b, "\nStack %s: %s\n", stack.Name, stack.Counts())
		if stack.New {
			fmt.Fprintln(&b, "  The base does not have it: everything is new.")
		} else {
			for _, c := range stack.Changes {
				fmt.Fprintf(&b, "  %-2s %s%s\n", sign(c.Operation), c.Resource(), remark(c))
				for _, p := range c.summary() {
					fmt.Fprintf(&b, "       %s\n", p)
				}
			}
		}
		for _, warning := range stack.Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", warning)
		}
		if stack.Estimate != nil {
			if err := stack.Estimate.Text(&b); err != nil {
				return err
			}
		}
	}
	b.WriteString(r.Verdict.text())
	_, err := io.WriteString(out, b.String())
	return err
}

func sign(operation Operation) string { return operations[rank(operation)].sign }

// remark is what the sign does not say.
func remark(c Change) string {
	var remarks []string
	if c.Operation == Replace {
		remarks = append(remarks, map[bool]string{false: "successor first", true: "deleted first"}[c.DeletedFirst])
	}
	if c.Protected && (c.Operation == Replace || c.Operation == Delete) {
		remarks = append(remarks, "protected: `pulumi up` refuses")
	}
	if len(remarks) == 0 {
		return ""
	}
	return " (" + strings.Join(remarks, "; ") + ")"
}

// summary are the properties that matter most: what forces a replacement, or else the first ones.
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
			out = append(out, short(p.String(), width))
		}
	}
	if rest > 0 {
		out = append(out, fmt.Sprintf("and %d more", rest))
	}
	return out
}

// short is the text on one line, cut to a width.
func short(text string, width int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) <= width {
		return string(runes)
	}
	return string(runes[:width-1]) + "…"
}

const (
	guide   = "docs/changes.md"
	toGoOn  = "To go on all the same, add to " + AcknowledgementsFile + ", with a reason for each:"
	toClear = "entries of " + AcknowledgementsFile + " acknowledge what does not happen, take them out:"
)

func (v Verdict) text() string {
	var b strings.Builder
	for _, f := range v.Acknowledged {
		fmt.Fprintf(&b, "\nAcknowledged: stack %s, %s %s\n  %s\n  Reason: %s\n", f.Stack, f.Kind, f.Resource, f.Cause, f.Reason)
	}
	if len(v.Stopped) > 0 {
		fmt.Fprintf(&b, "\n== The guard stops this change: %d that hold data or carry the platform are at stake\n", len(v.Stopped))
		for i, f := range v.Stopped {
			if i == 0 || f.Kind != v.Stopped[i-1].Kind {
				fmt.Fprintf(&b, "\n%s: %s\n(%s)\n", f.Kind, f.Meanwhile, f.Source)
			}
			fmt.Fprintf(&b, "  stack %s, %s\n    %s\n", f.Stack, f.Resource, f.Cause)
		}
		fmt.Fprintf(&b, "\nHow to make each of these changes safely: %s\n%s\n\n%s", guide, toGoOn, entries(v.Stopped))
	}
	if len(v.Unused) > 0 {
		fmt.Fprintf(&b, "\n== The guard stops this change: %s\n\n", toClear)
		for _, a := range v.Unused {
			fmt.Fprintf(&b, "  stack %s, %s: %s\n", a.Stack, a.Resource, a.Change)
		}
	}
	return b.String()
}

// Markdown limits, in bytes, which are never fewer than the characters that GitHub counts: a comment has 65,536 at most
// (https://github.com/dead-claudia/github-limits). What the rest leaves goes to the differences.
const (
	markdownLimit  = 65_000
	verdictLimit   = 20_000
	warningsLimit  = 5_000  // of all stacks together
	tablesLimit    = 20_000 // of all stacks together
	estimatesLimit = 12_000 // of all stacks together
)

// Markdown is the result for a comment on a pull request: the summary first, the rest folded, cut to what a comment holds.
func (r Result) Markdown() string {
	var head strings.Builder
	fmt.Fprintf(&head, "### What this change does\n\nCompared with %s, as the Pulumi engine previews it in the rehearsal: no AWS account was asked.\n\n", code(r.Base))
	head.WriteString("| stack | delete | replace | update | create | unchanged | cost and time, estimated |\n|---|---|---|---|---|---|---|\n")
	for _, stack := range r.Stacks {
		counts := map[Operation]int{}
		for _, c := range stack.Changes {
			counts[c.Operation]++
		}
		name := stack.Name
		if stack.New {
			name += " (new)"
		}
		fmt.Fprintf(&head, "| %s | %d | %d | %d | %d | %d | %s |\n", name, counts[Delete], counts[Replace], counts[Update], counts[Create], stack.Unchanged, stack.summary())
	}
	head.WriteString(r.Verdict.markdown())

	var changed []Stack
	var warnings, estimates strings.Builder
	for _, stack := range r.Stacks {
		for _, warning := range stack.Warnings {
			fmt.Fprintf(&warnings, "%s: %s\n", stack.Name, strings.Join(strings.Fields(warning), " "))
		}
		if len(stack.Changes) > 0 {
			changed = append(changed, stack)
		}
		if stack.Estimate == nil {
			continue
		}
		estimate := cut(strings.Split(stack.Estimate.Markdown(), "\n"), estimatesLimit/len(r.Stacks), "… %d more lines: see the job's output")
		fmt.Fprintf(&estimates, "\n<details><summary>%s: cost and time</summary>\n\n%s\n</details>\n", stack.Name, estimate)
	}
	if fence := fenceOf(warnings.String()); warnings.Len() > 0 {
		lines := strings.Split(strings.TrimSpace(warnings.String()), "\n")
		fmt.Fprintf(&head, "\nThe program warns:\n\n%s\n%s%s\n", fence, cut(lines, warningsLimit, "… %d more lines: see the job's output"), fence)
	}
	if len(changed) == 0 {
		return head.String() + "\nNothing changes.\n" + estimates.String()
	}
	var tables []string
	room := markdownLimit - head.Len() - estimates.Len()
	for _, stack := range changed {
		lines := []string{"| | resource | properties |", "|---|---|---|"}
		for _, c := range stack.Changes {
			properties := c.summary()
			for i := range properties {
				properties[i] = code(properties[i])
			}
			lines = append(lines, fmt.Sprintf("| %s | %s%s | %s |", code(sign(c.Operation)), code(c.Resource()), remark(c), strings.Join(properties, "<br>")))
		}
		table := cut(lines, tablesLimit/len(changed), "| | … %d more | |")
		tables = append(tables, table)
		room -= len(table)
	}
	var b strings.Builder
	b.WriteString(head.String())
	for i, stack := range changed {
		lines := strings.Split(strings.Trim(stack.Diff, "\n"), "\n")
		fence := fenceOf(stack.Diff)
		diff := cut(lines, room/len(changed)-400-2*len(fence), "… %d more lines: see the job's output")
		fmt.Fprintf(&b, "\n<details><summary>%s: %s</summary>\n\n%s\n</details>\n", stack.Name, stack.Counts(), tables[i])
		fmt.Fprintf(&b, "\n<details><summary>%s: the whole difference</summary>\n\n%s\n%s%s\n</details>\n", stack.Name, fence, diff, fence)
	}
	return b.String() + estimates.String()
}

// summary is the estimate on one line.
func (s Stack) summary() string {
	if s.Estimate == nil {
		return ""
	}
	return s.Estimate.Summary()
}

func (v Verdict) markdown() string {
	if v.Passes() && len(v.Acknowledged) == 0 {
		return ""
	}
	var b strings.Builder
	if len(v.Stopped) > 0 {
		fmt.Fprintf(&b, "\n**The guard stops this change: %d that hold data or carry the platform are at stake.**\n\n", len(v.Stopped))
		var lines []string
		for i, f := range v.Stopped {
			if i == 0 || f.Kind != v.Stopped[i-1].Kind {
				lines = append(lines, fmt.Sprintf("- **%s**: %s ([source](%s))", f.Kind, f.Meanwhile, f.Source))
			}
			lines = append(lines, fmt.Sprintf("  - %s: %s<br>%s", f.Stack, code(f.Resource), code(short(f.Cause, 300))))
		}
		b.WriteString(cut(lines, verdictLimit/2, "- … %d more lines"))
		list := entries(v.Stopped)
		fence := fenceOf(list)
		fmt.Fprintf(&b, "\nHow to make each of these changes safely: `%s`.\n\n<details><summary>%s</summary>\n\n%syaml\n%s%s\n</details>\n",
			guide, toGoOn, fence, cut(strings.Split(strings.TrimSpace(list), "\n"), verdictLimit/2, "# … %d more lines: see the job's output"), fence)
	}
	if len(v.Unused) > 0 {
		fmt.Fprintf(&b, "\n**The guard stops this change:** %s\n\n", toClear)
		var lines []string
		for _, a := range v.Unused {
			lines = append(lines, fmt.Sprintf("- %s: %s, %s", a.Stack, code(a.Resource), code(short(a.Change, 300))))
		}
		b.WriteString(cut(lines, verdictLimit/4, "- … and %d more"))
	}
	if len(v.Acknowledged) > 0 {
		b.WriteString("\nAcknowledged:\n\n")
		var lines []string
		for _, f := range v.Acknowledged {
			lines = append(lines, fmt.Sprintf("- %s: %s %s, %s: %s", f.Stack, f.Kind, code(f.Resource), code(short(f.Cause, 300)), code(short(f.Reason, 300))))
		}
		b.WriteString(cut(lines, verdictLimit/4, "- … and %d more"))
	}
	return b.String()
}

// cut is as many of the lines as fit, and a note on the rest.
func cut(lines []string, room int, note string) string {
	var b strings.Builder
	for i, line := range lines {
		if b.Len()+len(line)+len(note)+10 > room {
			fmt.Fprintf(&b, note+"\n", len(lines)-i)
			break
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// code is the text as code, which nothing in it can end; also in a table.
func code(text string) string {
	fence := strings.Repeat("`", longestRun(text)+1)
	text = strings.ReplaceAll(short(text, 400), "|", `\|`)
	if len(fence) > 1 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}

// fenceOf is a fence that the text cannot end.
func fenceOf(text string) string { return strings.Repeat("`", max(3, longestRun(text)+1)) }

// longestRun is the length of the longest run of backticks.
func longestRun(text string) int {
	longest, run := 0, 0
	for _, r := range text {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
