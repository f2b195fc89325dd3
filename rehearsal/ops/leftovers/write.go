package leftovers

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Text writes a report for a person: first what is left over, with why each thing is counted.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Stack %s, account %s, %s: cluster %s, domain %s.\n", r.Stack.Name, r.Account, r.Stack.Region, r.Stack.Cluster,
		r.Stack.Domain)
	for _, note := range r.Notes {
		fmt.Fprintln(&b, note)
	}
	fmt.Fprintln(&b)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	monthly := 0.0
	for _, mark := range []Mark{Leftover, Unknown, Kept, Owned} {
		for _, i := range r.Of(mark) {
			price := ""
			if i.Priced {
				price = fmt.Sprintf("%.2f USD a month", i.Monthly)
			}
			if mark == Leftover && i.Priced {
				monthly += i.Monthly
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", mark, i.Kind, i.label(), price, i.explanation())
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, u := range r.Unchecked {
		fmt.Fprintf(&b, "not checked: %s: %s\n", u.What, u.Problem)
	}
	fmt.Fprintf(&b, "\n%d left over (%.2f USD a month at on-demand list prices of us-east-1, as far as they are known), %d kept by AWS, %d "+
		"owned, %d that could be either.\n",
		len(r.Of(Leftover)), monthly, len(r.Of(Kept)), len(r.Of(Owned)), len(r.Of(Unknown)))
	switch {
	case len(r.Unchecked) > 0:
		fmt.Fprintln(&b, "There may be more: not everything could be checked.")
	case r.Code() == 0:
		fmt.Fprintln(&b, "Nothing is left over.")
	}
	r.writeCommands(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (i Item) label() string {
	if i.Name == "" {
		return i.ID
	}
	return i.ID + " (" + i.Name + ")"
}

// explanation says why a thing is counted, and the reason for its mark if the mark does not say it.
func (i Item) explanation() string {
	if i.Mark == Leftover || i.Mark == Unknown {
		return i.Why
	}
	return i.Why + "; " + i.Reason
}

// writeCommands writes the commands that remove what is left over.
func (r *Report) writeCommands(b *strings.Builder) {
	left := r.Of(Leftover)
	if len(left) == 0 {
		return
	}
	fmt.Fprintf(b, "\nNothing was changed. What is left over goes with these commands, in this order. AWS refuses what is still in use: "+
		"look again some\n"+
		"minutes later, with make leftovers STACK=%s, until nothing is left.\n\n", r.Stack.Name)
	for _, i := range left {
		if i.stays != "" {
			fmt.Fprintf(b, "# %s %s stays: %s\n", i.Kind, i.ID, i.stays)
		}
	}
	b.WriteString(r.Script())
}

// Script has the commands that remove what is left over for a shell, "" if there are none. Without AWS_PAGER the aws CLI shows each answer
// in a pager, which takes the next commands for its keys (https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-pagination.html).
func (r *Report) Script() string {
	commands := r.Commands()
	if len(commands) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintln(&b, "export AWS_PAGER=")
	if assume := r.Stack.assume(); assume != "" {
		fmt.Fprintln(&b, assume)
	}
	for _, command := range commands {
		fmt.Fprintln(&b, typed(command))
	}
	return b.String()
}
