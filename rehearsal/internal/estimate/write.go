package estimate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/page"
)

// Page shows the comparison.
func (c Comparison) Page() (p page.Page) {
	p.Say("What it costs, estimated from list prices of " + Region + ", in USD for a month of 730 hours:")
	c.bill(&p)
	p.List(c.remarks()...)
	p.Say("How long AWS takes, estimated from AWS's typical durations, measured in no account of this project:")
	p.List(c.times()...)
	return p
}

func (c Comparison) bill(p *page.Page) {
	columns := []page.Column{
		{Name: "item"}, {Name: "quantity"}, {Name: "before", Number: true}, {Name: "after", Number: true}, {Name: "on demand", Number: true}, {},
	}
	var rows [][]string
	add := func(name, quantity string, before, after, onDemand float64, note string) {
		rows = append(rows, []string{name, quantity, usd(before), usd(after), usd(onDemand), note})
	}
	for _, row := range c.Rows() {
		onDemand := row.OnDemand
		if row.After == 0 { // it is gone
			onDemand = 0
		}
		add(row.Name, row.Quantity, row.Before, row.After, onDemand, row.remark())
	}
	before, after := c.totals()
	difference := ""
	if c.Before != nil {
		difference = changed(after - before)
	}
	add("together", "", before, after, c.After.Bill.OnDemand, difference)
	if c.Before == nil {
		columns = slices.Delete(columns, 2, 3)
		columns[2].Name = "a month"
		for i := range rows {
			rows[i] = slices.Delete(rows[i], 2, 3)
		}
	}
	p.Table(columns, rows)
}

// Summary is the comparison on one line.
func (c Comparison) Summary() string {
	before, after := c.totals()
	text := fmt.Sprintf("%.0f USD a month", after)
	if c.Before != nil {
		text += " (" + changed(after-before) + ")"
	}
	if c.Apply != nil {
		text += fmt.Sprintf(", %s to apply", minutes(c.Apply.Total))
	}
	return text
}

func (c Comparison) totals() (before, after float64) {
	if c.Before != nil {
		before = c.Before.Bill.Monthly
	}
	return before, c.After.Bill.Monthly
}

const unseen = "price not seen in its source"

// remark is the note, after what makes the price uncertain.
func (r Row) remark() string {
	switch {
	case r.Verified:
		return r.Note
	case r.Note == "":
		return unseen
	}
	return unseen + "; " + r.Note
}

// remarks say what of the bill is uncertain and what is not in it.
func (c Comparison) remarks() (lines []string) {
	var sources []string
	for _, row := range c.Rows() {
		if !row.Verified {
			sources = append(sources, row.Sources...)
		}
	}
	slices.Sort(sources)
	if sources = slices.Compact(sources); len(sources) > 0 {
		lines = append(lines, unseen+": look it up, "+strings.Join(sources, ", "))
	}
	for _, line := range c.After.Bill.Unpriced {
		lines = append(lines, "not in it: "+line)
	}
	for _, line := range c.After.Bill.Crowded {
		lines = append(lines, "WARNING: "+line)
	}
	return lines
}

// times are the timelines, each with the operations that decide how long it takes.
func (c Comparison) times() (lines []string) {
	if c.Apply != nil {
		lines = append(lines, "this change: "+minutes(c.Apply.Total)+c.Apply.path())
	}
	for _, whole := range []struct {
		what string
		of   func(Estimate) Timeline
	}{
		{"up of the whole stack: ", func(e Estimate) Timeline { return e.Up }},
		{"destroy: ", func(e Estimate) Timeline { return e.Destroy }},
	} {
		after := whole.of(c.After)
		text := minutes(after.Total)
		if c.Before != nil {
			text = fmt.Sprintf("%s before, %s after", minutes(whole.of(*c.Before).Total), text)
		}
		lines = append(lines, whole.what+text+after.path())
	}
	for _, typ := range c.After.Up.Untimed {
		lines = append(lines, "not in it: "+typ+", no duration of this type is known")
	}
	return lines
}

// path names what of the critical path takes a minute or more.
func (t Timeline) path() string {
	var parts []string
	for _, o := range t.CriticalPath() {
		if took := o.End - o.Start; took >= time.Minute {
			parts = append(parts, fmt.Sprintf("%s %s %s", last(o.Type), o.Name, minutes(took)))
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

func usd(amount float64) string { return fmt.Sprintf("%.2f", amount) }

func changed(usd float64) string {
	if -0.005 < usd && usd < 0.005 {
		return "no difference"
	}
	return fmt.Sprintf("%+.2f", usd)
}
