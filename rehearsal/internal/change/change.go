// Package change says what a new version of the program does to its stacks, after the engine's own preview: which resources it
// creates, updates, replaces and deletes, and because of which properties. The guard stops a change that takes away what holds data or
// carries the platform, unless somebody acknowledged it.
package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/state"
)

// Operation is what happens to a resource.
type Operation string

// The operations. The worst comes first, here and in every list.
const (
	Delete  Operation = "delete"
	Replace Operation = "replace"
	Update  Operation = "update"
	Create  Operation = "create"
)

var operations = []Operation{Delete, Replace, Update, Create}

// Texts that stand for a value which is not shown.
const (
	Secret  = state.Secret
	Unknown = state.Unknown // before the change is made; AWS or Kubernetes says it then
)

// Property is one property that changes.
type Property struct {
	// Path is in Pulumi's notation: scalingConfig.maxSize, instanceTypes[0].
	Path string `json:"path"`
	// Old and New are JSON values, nil where there is none. Secret and Unknown stand for values that are not shown, and a resource's
	// name in brackets for the ID or ARN that it has in the rehearsal.
	Old any `json:"old"`
	New any `json:"new"`
	// Forces tells that the resource is replaced because of it.
	Forces bool `json:"forces,omitempty"`
}

// Change is what happens to one resource.
type Change struct {
	URN       string    `json:"urn"`
	Type      string    `json:"type"`
	Name      string    `json:"name"`
	Operation Operation `json:"operation"`
	// DeletedFirst tells that a replaced resource goes before its successor is there.
	DeletedFirst bool `json:"deletedFirst,omitempty"`
	// Protected tells that `pulumi up` refuses to delete the resource while it is protected.
	Protected bool `json:"protected,omitempty"`
	// Balanced tells that it was a Service with a load balancer.
	Balanced   bool       `json:"balanced,omitempty"`
	Properties []Property `json:"properties,omitempty"`
}

// Resource names the resource for people: its type and its name in the program.
func (c Change) Resource() string { return c.Type + " " + c.Name }

// how is the operation and, of a replacement, its order.
func (c Change) how() string {
	if c.Operation != Replace {
		return string(c.Operation)
	}
	return "replace, " + map[bool]string{false: "successor first", true: "deleted first"}[c.DeletedFirst]
}

// Cause says in one line what happens and, of a replacement, which properties force it. An acknowledgement repeats it.
func (c Change) Cause() string {
	var forcing []string
	for _, p := range c.Properties {
		if c.Operation == Replace && p.Forces {
			forcing = append(forcing, p.String())
		}
	}
	if len(forcing) == 0 {
		return c.how()
	}
	return c.how() + ": " + strings.Join(forcing, "; ")
}

// String is the property with its values.
func (p Property) String() string {
	// The old value may be an ID, which says nothing and is another one in every rehearsal.
	if p.New == Unknown {
		return p.Path + " -> " + Unknown
	}
	return p.Path + ": " + value(p.Old) + " -> " + value(p.New)
}

// Stack is what happens to one stack.
type Stack struct {
	Name string `json:"name"`
	// New tells that the base has no such stack.
	New bool `json:"new,omitempty"`
	// Changes are sorted: deletions, replacements, updates, creations. Those that only follow from others come last among each.
	Changes []Change `json:"changes"`
	// Unchanged is the number of resources that stay as they are.
	Unchanged int `json:"unchanged"`
	// Warnings are the program's.
	Warnings []string `json:"warnings,omitempty"`
	// Diff is what `pulumi preview --diff` printed.
	Diff string `json:"diff"`
	// Estimate is what the stack costs and how long AWS takes for it, before and after the change. It can be nil in tests.
	Estimate *estimate.Comparison `json:"estimate,omitempty"`
}

// Steps are the changes as the estimate of their time takes them.
func (s Stack) Steps() map[string]estimate.Step {
	steps := map[string]estimate.Step{}
	for _, c := range s.Changes {
		steps[c.URN] = estimate.Step{Verb: string(c.Operation), DeletedFirst: c.DeletedFirst}
	}
	return steps
}

// Counts says how many resources are changed how: "1 to update, 2 to create, 106 unchanged".
func (s Stack) Counts() string {
	if len(s.Changes) == 0 {
		return fmt.Sprintf("no change, %d resources", s.Unchanged)
	}
	var parts []string
	for _, o := range operations {
		if n := s.count(o); n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, o))
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d unchanged", s.Unchanged)), ", ")
}

func (s Stack) count(operation Operation) (n int) {
	for _, c := range s.Changes {
		if c.Operation == operation {
			n++
		}
	}
	return n
}

func (s *Stack) sort() {
	slices.SortStableFunc(s.Changes, func(a, b Change) int {
		return cmp.Or(
			cmp.Compare(slices.Index(operations, a.Operation), slices.Index(operations, b.Operation)),
			cmp.Compare(a.follows(), b.follows()), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name),
		)
	})
}

// follows is 1 if the change only follows from another resource's: no property that matters has a known new value.
func (c Change) follows() int {
	for _, p := range c.Properties {
		if p.New != Unknown && (p.Forces || c.Operation != Replace) {
			return 0
		}
	}
	return min(len(c.Properties), 1)
}

// Result is what happens to the stacks, and what the guard says about it.
type Result struct {
	// Base is the commit that the change is compared with.
	Base    string  `json:"base"`
	Stacks  []Stack `json:"stacks"`
	Verdict Verdict `json:"verdict"`
}
