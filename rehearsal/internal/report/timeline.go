package report

import (
	"fmt"
	"time"

	"expense/rehearsal/internal/estimate"
)

// shortest is what an operation takes to have a row: those that take less have none, because a hundred
// of them would hide the few that matter.
const shortest = 10 * time.Second

// timelineView is a timeline as rows of bars.
type timelineView struct {
	Title string
	// Key is unique in the stack.
	Key   string
	Total time.Duration
	// Rows are the operations that take long, Short the others, both by start.
	Rows, Short []bar
	// Critical are all operations that the whole waits for, by start.
	Critical []bar
	// Ticks are the places on the axis; the last one is its end.
	Ticks   []tick
	Untimed []string
}

// bar is an operation, with its place in percent of the axis.
type bar struct {
	estimate.Operation
	X, Width string
}

// Brief tells that the operation has no row of its own.
func (b bar) Brief() bool { return b.Takes() < shortest }

// Takes is how long the operation runs.
func (b bar) Takes() time.Duration { return b.End - b.Start }

type tick struct {
	X    string
	Text string
	Last bool
}

func newTimeline(title, key string, t estimate.Timeline) timelineView {
	view := timelineView{Title: title, Key: key, Total: t.Total, Untimed: t.Untimed}
	end, step := axis(t.Total)
	for at := time.Duration(0); at <= end; at += step {
		view.Ticks = append(view.Ticks, tick{percent(at, end), minutes(at), at == end})
	}
	for _, o := range t.Operations {
		b := bar{Operation: o, X: percent(o.Start, end), Width: percent(o.End-o.Start, end)}
		if o.Critical {
			view.Critical = append(view.Critical, b)
		}
		if b.Brief() {
			view.Short = append(view.Short, b)
		} else {
			view.Rows = append(view.Rows, b)
		}
	}
	return view
}

// axis is where an axis ends that holds the total, and the distance of its ticks: at most seven, so that a phone shows them.
func axis(total time.Duration) (end, step time.Duration) {
	const most = 6
	for _, step = range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute} {
		if total <= most*step {
			break
		}
	}
	for total > most*step {
		step *= 2
	}
	return max(step, (total+step-1)/step*step), step
}

func percent(part, whole time.Duration) string {
	return fmt.Sprintf("%.3f%%", 100*float64(part)/float64(whole))
}

// minutes is a place on the axis: 0, 5, 0.5.
func minutes(d time.Duration) string { return fmt.Sprintf("%.3g", d.Minutes()) }
