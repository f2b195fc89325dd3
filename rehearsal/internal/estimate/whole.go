package estimate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"expense/rehearsal/internal/page"
)

// Whole is the comparison for a page with room: with each operation's place in time, and what the stack is made of.
func (c Comparison) Whole() page.Page {
	p := c.Page()
	add := func(title string, t Timeline) {
		var inner page.Page
		t.table(&inner)
		p.Fold(title+", operation by operation, in AWS's typical time: "+minutes(t.Total), inner)
	}
	if c.Apply != nil && len(c.Apply.Operations) > 0 {
		add("This change", *c.Apply)
	}
	add("Up of the whole stack", c.After.Up)
	add("Destroy", c.After.Destroy)
	var tree page.Page
	tree.Code("", Tree(c.After.Resources))
	p.Fold(fmt.Sprintf("What the stack is made of, and what needs what: %d resources", len(c.After.Resources)), tree)
	return p
}

// table has a row for each operation, with a bar from its start to its end.
func (t Timeline) table(p *page.Page) {
	const width = 40
	var rows [][]string
	for _, o := range t.Operations {
		if strings.HasPrefix(o.Type, "pulumi:") { // a provider takes no time
			continue
		}
		from, to := 0, 0
		if t.Total > 0 {
			from, to = int(o.Start*width/t.Total), int(o.End*width/t.Total)
		}
		bar, path := "░", ""
		if o.Critical {
			bar, path = "█", "yes"
		}
		from = min(from, width-1)
		rows = append(rows, []string{
			path, strings.Repeat("·", from) + strings.Repeat(bar, max(to-from, 1)) + strings.Repeat("·", width-max(to, from+1)),
			minutes(o.Start), minutes(o.End - o.Start), o.Verb + " " + last(o.Type) + " " + o.Name,
		})
	}
	p.Table([]page.Column{
		{Name: "critical"}, {Name: "when", Code: true}, {Name: "after", Number: true}, {Name: "takes", Number: true}, {Name: "operation"},
	}, rows)
}

// Tree shows each resource below the component that it belongs to, with what it needs directly.
func Tree(resources []Resource) string {
	byURN, children := map[string]Resource{}, map[string][]Resource{}
	for _, r := range resources {
		byURN[r.URN] = r
	}
	for _, r := range resources {
		parent := r.Parent
		if _, known := byURN[parent]; !known {
			parent = ""
		}
		children[parent] = append(children[parent], r)
	}
	var b strings.Builder
	var show func(parent, indent string)
	show = func(parent, indent string) {
		sorted := slices.SortedFunc(slices.Values(children[parent]), func(a, b Resource) int {
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.URN, b.URN))
		})
		for _, r := range sorted {
			var needs []string
			for _, urn := range direct(r, byURN) {
				needs = append(needs, last(byURN[urn].Type)+" "+byURN[urn].Name)
			}
			line := indent + last(r.Type) + " " + r.Name
			if len(needs) > 0 {
				line += "  <- " + strings.Join(needs, ", ")
			}
			b.WriteString(line + "\n")
			show(r.URN, indent+"  ")
		}
	}
	show("", "")
	return b.String()
}

// direct are a resource's dependencies without providers, and without those that another one of them needs: they say nothing more.
func direct(r Resource, byURN map[string]Resource) (out []string) {
	for _, urn := range r.Dependencies {
		need, known := byURN[urn]
		if known && !strings.HasPrefix(need.Type, "pulumi:") && !slices.ContainsFunc(r.Dependencies, func(other string) bool {
			return slices.Contains(byURN[other].Dependencies, urn)
		}) {
			out = append(out, urn)
		}
	}
	return out
}

// last is the last part of a type: Vpc, Network.
func last(typ string) string { return typ[strings.LastIndex(typ, ":")+1:] }
