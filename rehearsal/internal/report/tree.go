package report

import (
	"fmt"
	"slices"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"
)

const (
	stackType      = "pulumi:pulumi:Stack"
	providerPrefix = "pulumi:providers:"
)

// node is a resource in the tree of its stack.
type node struct {
	estimate.Resource
	// ID is that of its element.
	ID       string
	Children []*node
	// Needs are the resources that it depends on, as far as the stack has them.
	Needs []*node
	// Operation is what the change does to it, "" for nothing.
	Operation change.Operation
	// Size counts the custom resources from here down, itself among them; Changed those that change.
	Size, Changed int
}

// newTree is the forest of the resources, each below its parent, sorted by type and name; components come last.
func newTree(id string, resources []estimate.Resource, changes map[string]change.Operation) []*node {
	sorted := slices.SortedFunc(slices.Values(resources), byName)
	nodes := map[string]*node{}
	for i, r := range sorted {
		nodes[r.URN] = &node{Resource: r, ID: fmt.Sprintf("%s-r%d", id, i+1), Operation: changes[r.URN]}
	}
	var roots []*node
	for _, r := range sorted {
		n := nodes[r.URN]
		for _, urn := range r.Dependencies {
			if need := nodes[urn]; need != nil {
				n.Needs = append(n.Needs, need)
			}
		}
		if parent := nodes[r.Parent]; parent != nil {
			parent.Children = append(parent.Children, n)
		} else {
			roots = append(roots, n)
		}
	}
	for _, root := range roots {
		root.count()
	}
	return roots
}

func (n *node) count() {
	n.Size, n.Changed = boolean(n.Custom), boolean(n.Operation != "")
	for _, child := range n.Children {
		child.count()
		n.Size += child.Size
		n.Changed += child.Changed
	}
	slices.SortStableFunc(n.Children, func(a, b *node) int { return boolean(len(a.Children) > 0) - boolean(len(b.Children) > 0) })
}

// Direct are the needs without those that another one of them needs: they say nothing more.
func (n *node) Direct() []*node {
	return slices.DeleteFunc(slices.Clone(n.Needs), func(need *node) bool {
		return slices.ContainsFunc(n.Needs, func(other *node) bool {
			return slices.Contains(other.Needs, need) && !slices.Contains(need.Needs, other)
		})
	})
}

// walk visits the node and all below it.
func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, child := range n.Children {
		child.walk(visit)
	}
}

// Open tells that the tree shows what is below without being asked: the stack's own children, and what changes.
func (n *node) Open() bool { return n.Type == stackType || n.Changed > 0 }
