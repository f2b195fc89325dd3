package estimate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/state"
)

// durations of one type's operations.
type durations struct{ create, update, remove time.Duration }

// inCluster are the Kubernetes objects that the provider waits for, on nodes that have to pull images. The times are guesses from daily
// use, and small beside AWS's own.
var inCluster = map[string]durations{
	"kubernetes:apps/v1:Deployment":            {45 * time.Second, 60 * time.Second, 30 * time.Second},
	"kubernetes:batch/v1:Job":                  {60 * time.Second, 60 * time.Second, 5 * time.Second},
	"kubernetes:core/v1:Namespace":             {1 * time.Second, 1 * time.Second, 15 * time.Second},
	"kubernetes:core/v1:PersistentVolumeClaim": {10 * time.Second, 10 * time.Second, 15 * time.Second},
	"kubernetes:core/v1:Pod":                   {45 * time.Second, 45 * time.Second, 40 * time.Second},
	"kubernetes:core/v1:Service":               {5 * time.Second, 5 * time.Second, 5 * time.Second},
}

// balanced is a Service with a load balancer, which AWS makes in minutes.
var balanced = durations{3 * time.Minute, 1 * time.Minute, 1 * time.Minute}

// durationsOf are a resource's; known is false if its type has none. Components and providers take no time.
func durationsOf(r Resource) (d durations, known bool) {
	switch {
	case !r.Custom || strings.HasPrefix(r.Type, "pulumi:"):
		return d, true
	case strings.HasPrefix(r.Type, "kubernetes:"):
		if state.At(r.Inputs, "spec", "type") == "LoadBalancer" {
			return balanced, true
		}
		if d, known = inCluster[r.Type]; !known {
			second := time.Second
			d = durations{second, second, second}
		}
		return d, true
	}
	d.create, d.update, d.remove, known = awsmodel.Typical(r.Type)
	return d, known
}

// Of estimates a stack as a whole.
func Of(resources []Resource, day time.Time) Estimate {
	return Estimate{Resources: resources, Bill: BillOf(resources, day), Up: Up(resources), Destroy: Destroy(resources)}
}

// Up is the creation of everything. The engine begins with a resource as soon as all that it needs is there. Its limit of operations at
// once (`--parallel`, four for each processor) is left out.
func Up(resources []Resource) Timeline {
	var t timeline
	t.forward(resources, func(r Resource, d durations) (string, time.Duration) { return "create", d.create })
	return t.finish()
}

// Destroy is the deletion of everything, in the engine's layers.
func Destroy(resources []Resource) Timeline {
	var t timeline
	t.backward(resources, 0)
	return t.finish()
}

// Step is what a change does to one resource.
type Step struct {
	// Verb is create, update, replace or delete.
	Verb string
	// DeletedFirst tells that a replaced resource goes before its successor is there.
	DeletedFirst bool
}

// Apply is a change of a stack from before to after, with its steps by URN: creations, updates and successors first, then
// deletions in layers. An update takes as long as its type's longest kind of update typically does.
func Apply(before, after []Resource, steps map[string]Step) Timeline {
	var t timeline
	t.forward(after, func(r Resource, d durations) (string, time.Duration) {
		step := steps[r.URN]
		takes := map[string]time.Duration{"create": d.create, "update": d.update, "replace": d.create}[step.Verb]
		if step.DeletedFirst {
			takes += d.remove
		}
		return step.Verb, takes
	})
	var gone []Resource
	for _, r := range before {
		if step := steps[r.URN]; step.Verb == "delete" || step.Verb == "replace" && !step.DeletedFirst {
			gone = append(gone, r)
		}
	}
	t.backward(gone, t.Total)
	return t.finish()
}

// timeline is a Timeline in the making.
type timeline struct{ Timeline }

// forward places each resource after what it needs. Resources are in the order of the state: needs come first.
func (t *timeline) forward(resources []Resource, work func(Resource, durations) (verb string, takes time.Duration)) {
	ends, last := map[string]time.Duration{}, map[string]string{} // by URN; what a resource waited for at the end
	parents := map[string]string{}
	operations := map[string]Operation{}
	for _, r := range resources {
		parents[r.URN] = r.Parent
		var start time.Duration
		for _, need := range r.Dependencies {
			if later := ends[need] > start || ends[need] == start && start > 0 && need < last[r.URN]; later && !within(r.URN, need, parents) {
				start, last[r.URN] = ends[need], need
			}
		}
		d, known := durationsOf(r)
		if !known {
			t.Untimed = append(t.Untimed, r.Type)
		}
		verb, takes := work(r, d)
		ends[r.URN] = start + takes
		if verb != "" && r.Custom {
			operations[r.URN] = Operation{URN: r.URN, Type: r.Type, Name: r.Name, Verb: verb, Start: start, End: start + takes}
		}
		// A component is there when all of its parts are.
		for parent := r.Parent; parent != ""; parent = parents[parent] {
			if ends[r.URN] > ends[parent] {
				ends[parent], last[parent] = ends[r.URN], r.URN
			}
		}
	}
	urn := ""
	for _, r := range resources {
		if r.Custom && (urn == "" || ends[r.URN] > ends[urn] || ends[r.URN] == ends[urn] && r.URN < urn) {
			urn = r.URN
		}
	}
	t.Total = max(t.Total, ends[urn])
	for ; urn != ""; urn = last[urn] {
		if o, ok := operations[urn]; ok && o.End > o.Start {
			o.Critical = true
			operations[urn] = o
		}
	}
	for _, o := range operations {
		t.Operations = append(t.Operations, o)
	}
}

// within tells whether a resource is another one or belongs to it, directly or through others.
func within(urn, component string, parents map[string]string) bool {
	for ; urn != ""; urn = parents[urn] {
		if urn == component {
			return true
		}
	}
	return false
}

// backward deletes the resources from a time on, layer by layer: a layer begins when the one before is gone, so each takes as long as its
// slowest deletion. A resource's layer is its longest way to the roots
// (https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/resource/deploy/step_generator.go, ScheduleDeletes).
func (t *timeline) backward(resources []Resource, start time.Duration) {
	depths, parents := map[string]int{}, map[string]string{}
	var layers [][]Resource
	for i, r := range resources {
		depth := 0
		below := func(urn string) {
			if d, ok := depths[urn]; ok {
				depth = max(depth, d+1)
			}
		}
		parents[r.URN] = r.Parent
		below(r.Parent)
		for _, need := range r.Dependencies {
			for _, part := range resources[:i] { // a component stands for its parts
				if within(part.URN, need, parents) {
					below(part.URN)
				}
			}
		}
		depths[r.URN] = depth
		for len(layers) <= depth {
			layers = append(layers, nil)
		}
		layers[depth] = append(layers[depth], r)
	}
	for _, layer := range slices.Backward(layers) {
		var longest time.Duration
		slowest := -1
		for _, r := range layer {
			d, known := durationsOf(r)
			if !known {
				t.Untimed = append(t.Untimed, r.Type)
			}
			if !r.Custom {
				continue
			}
			t.Operations = append(t.Operations,
				Operation{URN: r.URN, Type: r.Type, Name: r.Name, Verb: "delete", Start: start, End: start + d.remove})
			if d.remove > longest || d.remove == longest && slowest >= 0 && r.URN < t.Operations[slowest].URN {
				longest, slowest = d.remove, len(t.Operations)-1
			}
		}
		if longest > 0 {
			t.Operations[slowest].Critical = true
		}
		start += longest
	}
	t.Total = max(t.Total, start)
}

func (t *timeline) finish() Timeline {
	slices.SortFunc(t.Operations, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.URN, b.URN), cmp.Compare(a.Verb, b.Verb))
	})
	slices.Sort(t.Untimed)
	t.Untimed = slices.Compact(t.Untimed)
	return t.Timeline
}

// CriticalPath are the operations that decide how long the whole takes, in their order.
func (t Timeline) CriticalPath() []Operation {
	var path []Operation
	for _, o := range t.Operations {
		if o.Critical {
			path = append(path, o)
		}
	}
	return path
}
