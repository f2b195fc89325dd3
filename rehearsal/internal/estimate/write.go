package estimate

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	pricesAre   = "estimated from list prices of " + Region + ", in USD for a month of 730 hours"
	durationsAt = "estimated from AWS's typical durations, measured in no account of this project"
)

// Text writes the comparison for a terminal.
func (c Comparison) Text(out io.Writer) error {
	fmt.Fprintf(out, "  What it costs, %s:\n", pricesAre)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	before, after, onDemand := c.totals()
	if c.Before == nil {
		fmt.Fprintln(table, "    ITEM\tQUANTITY\tA MONTH\tON DEMAND\t")
		for _, row := range c.Rows() {
			fmt.Fprintf(table, "    %s\t%s\t%.2f\t%.2f\t%s\n", row.Name, row.Quantity, row.After, row.OnDemand, row.remark("*"))
		}
		fmt.Fprintf(table, "    together\t\t%.2f\t%.2f\t\n", after, onDemand)
	} else {
		fmt.Fprintln(table, "    ITEM\tQUANTITY\tBEFORE\tAFTER\tON DEMAND\t")
		for _, row := range c.Rows() {
			fmt.Fprintf(table, "    %s\t%s\t%.2f\t%.2f\t%.2f\t%s\n", row.Name, row.Quantity, row.Before, row.After, row.onDemand(), row.remark("*"))
		}
		fmt.Fprintf(table, "    together\t\t%.2f\t%.2f\t%.2f\t%s\n", before, after, onDemand, difference(after-before))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range c.remarks() {
		fmt.Fprintf(out, "    %s\n", line)
	}
	fmt.Fprintf(out, "  How long AWS takes, %s:\n", durationsAt)
	for _, line := range c.times() {
		fmt.Fprintf(out, "    %s: %s\n", line.what, line.text)
	}
	for _, line := range c.untimed() {
		fmt.Fprintf(out, "    not in it: %s\n", line)
	}
	return nil
}

// Markdown writes the comparison for a comment.
func (c Comparison) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "What it costs, %s:\n\n| item | quantity | before | after | on demand | |\n|---|---|--:|--:|--:|---|\n", pricesAre)
	for _, row := range c.Rows() {
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f | %.2f | %s |\n", cell(row.Name), cell(row.Quantity), row.Before, row.After, row.onDemand(), cell(row.remark(`\*`)))
	}
	before, after, onDemand := c.totals()
	fmt.Fprintf(&b, "| **together** | | **%.2f** | **%.2f** | **%.2f** | %s |\n", before, after, onDemand, difference(after-before))
	for _, line := range c.remarks() {
		fmt.Fprintf(&b, "\n%s\n", strings.Replace(cell(line), "*", `\*`, 1))
	}
	fmt.Fprintf(&b, "\nHow long AWS takes, %s:\n\n", durationsAt)
	for _, line := range c.times() {
		fmt.Fprintf(&b, "- %s: %s\n", line.what, cell(line.text))
	}
	for _, line := range c.untimed() {
		fmt.Fprintf(&b, "- not in it: %s\n", cell(line))
	}
	return b.String()
}

// Summary is the comparison on one line.
func (c Comparison) Summary() string {
	before, after, _ := c.totals()
	text := fmt.Sprintf("%.0f USD a month", after)
	if c.Before != nil {
		text += " (" + difference(after-before) + ")"
	}
	if c.Apply != nil {
		text += fmt.Sprintf(", %s to apply", minutes(c.Apply.Total))
	}
	return text
}

func (c Comparison) totals() (before, after, onDemand float64) {
	if c.Before != nil {
		before = c.Before.Bill.Monthly
	}
	return before, c.After.Bill.Monthly, c.After.Bill.OnDemand
}

// onDemand is nothing for an item that is gone.
func (r Row) onDemand() float64 {
	if r.After == 0 {
		return 0
	}
	return r.OnDemand
}

// remark is the note, after a mark if the price was not verified.
func (r Row) remark(mark string) string {
	if r.Verified {
		return r.Note
	}
	return strings.TrimSpace(mark + " " + r.Note)
}

// remarks say what of the bill is uncertain and what is not in it.
func (c Comparison) remarks() []string {
	var sources, lines []string
	for _, row := range c.Rows() {
		if !row.Verified {
			sources = append(sources, row.Sources...)
		}
	}
	slices.Sort(sources)
	if sources = slices.Compact(sources); len(sources) > 0 {
		lines = append(lines, "* the price was not seen in its source, look it up: "+strings.Join(sources, ", "))
	}
	for _, line := range c.After.Bill.Unpriced {
		lines = append(lines, "not in it: "+line)
	}
	return lines
}

type line struct{ what, text string }

// times are the timelines, each with the operations that decide how long it takes.
func (c Comparison) times() []line {
	var lines []line
	if c.Apply != nil {
		lines = append(lines, line{"this change", minutes(c.Apply.Total) + c.Apply.path()})
	}
	for _, whole := range []struct {
		what string
		of   func(Estimate) Timeline
	}{
		{"up of the whole stack", func(e Estimate) Timeline { return e.Up }},
		{"destroy", func(e Estimate) Timeline { return e.Destroy }},
	} {
		after := whole.of(c.After)
		text := minutes(after.Total)
		if c.Before != nil {
			text = fmt.Sprintf("%s before, %s after", minutes(whole.of(*c.Before).Total), text)
		}
		lines = append(lines, line{whole.what, text + after.path()})
	}
	return lines
}

func (c Comparison) untimed() []string {
	var lines []string
	for _, typ := range c.After.Up.Untimed {
		lines = append(lines, typ+", of which no duration is known")
	}
	return lines
}

// path names what of the critical path takes a minute or more.
func (t Timeline) path() string {
	var parts []string
	for _, o := range t.CriticalPath() {
		if took := o.End - o.Start; took >= time.Minute {
			parts = append(parts, fmt.Sprintf("%s %s %s", o.Type[strings.LastIndex(o.Type, ":")+1:], o.Name, minutes(took)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", of which " + strings.Join(parts, ", then ")
}

func minutes(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

func difference(usd float64) string {
	if -0.005 < usd && usd < 0.005 {
		return "no difference"
	}
	return fmt.Sprintf("%+.2f", usd)
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
