package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const stackType = "pulumi:pulumi:Stack"

// Read makes the list of changes from the event log of one `pulumi preview`. The log has a replacement as a creation and a deletion, in
// the engine's order.
func Read(log io.Reader) (Stack, error) {
	stack := Stack{Changes: []Change{}}
	successors, deletedFirst := map[string]bool{}, map[string]bool{} // by URN
	made := map[string]string{}
	finished := false
	for event, err := range state.Events(log) {
		switch {
		case err != nil:
			return Stack{}, err
		case event.ResourcePreEvent != nil:
			step := event.ResourcePreEvent.Metadata
			note(made, step)
			switch step.Op {
			case apitype.OpSame:
				if !stack.add(changeOf(step, Update, protection(step))) {
					stack.Unchanged++
				}
			case apitype.OpCreate, apitype.OpDelete:
				stack.Changes = append(stack.Changes, changeOf(step, Operation(step.Op), nil))
			case apitype.OpUpdate:
				stack.Changes = append(stack.Changes, changeOf(step, Update, properties(step)))
			case apitype.OpCreateReplacement:
				successors[step.URN] = true
				stack.Changes = append(stack.Changes, changeOf(step, Replace, properties(step)))
			case apitype.OpDeleteReplaced:
				deletedFirst[step.URN] = !successors[step.URN]
			case apitype.OpReplace: // only ties the creation and the deletion together
			default:
				return Stack{}, fmt.Errorf("event log: %s: a preview of this program has no operation %q", step.URN, step.Op)
			}
		case event.ResOutputsEvent != nil:
			step := event.ResOutputsEvent.Metadata
			if step.Type == stackType && step.Op == apitype.OpSame && stack.add(changeOf(step, Update, outputs(step))) {
				stack.Unchanged--
			}
		case event.DiagnosticEvent != nil && event.DiagnosticEvent.Severity == "warning":
			stack.Warnings = append(stack.Warnings, colors.Never.Colorize(strings.TrimSpace(event.DiagnosticEvent.Message)))
		case event.SummaryEvent != nil:
			finished = true
		}
	}
	if !finished {
		return Stack{}, errors.New("event log: it has no summary: the preview did not finish")
	}
	name := func(v any) (any, bool) {
		text, ok := v.(string)
		name, known := made[text]
		return name, ok && known
	}
	for i, c := range stack.Changes {
		stack.Changes[i].DeletedFirst = c.Operation == Replace && deletedFirst[c.URN]
		for j, p := range c.Properties {
			c.Properties[j].Old, c.Properties[j].New = state.Replace(p.Old, name), state.Replace(p.New, name)
		}
	}
	stack.sort()
	return stack, nil
}

// Order reads from an event log when the engine began with each resource and when it was done, by URN, as places in the log. The last
// step of a resource counts.
func Order(log io.Reader) (began, done map[string]int, err error) {
	began, done = map[string]int{}, map[string]int{}
	i := 0
	for event, err := range state.Events(log) {
		if err != nil {
			return nil, nil, err
		}
		if e := event.ResourcePreEvent; e != nil {
			began[e.Metadata.URN] = i
		}
		if e := event.ResOutputsEvent; e != nil {
			done[e.Metadata.URN] = i
		}
		i++
	}
	return began, done, nil
}

// add adds the change of a resource that the engine calls the same, if something of it changes.
func (s *Stack) add(c Change) bool {
	if len(c.Properties) > 0 {
		s.Changes = append(s.Changes, c)
	}
	return len(c.Properties) > 0
}

func changeOf(step apitype.StepEventMetadata, operation Operation, properties []Property) Change {
	return Change{
		URN: step.URN, Type: step.Type, Name: resource.URN(step.URN).Name(), Operation: operation,
		Protected: step.Old != nil && step.Old.Protect, Properties: properties,
		Balanced: step.Old != nil && step.Type == serviceType && at(step.Old.Inputs, "spec.type") == "LoadBalancer",
	}
}

// properties are what an update or a replacement changes.
func properties(step apitype.StepEventMetadata) []Property {
	var out []Property
	if step.DetailedDiff == nil {
		// The engine names whole properties if the provider gave no details, or if a resource that this one needs is deleted first.
		keys := slices.Concat(step.Diffs, step.Keys)
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			forces := step.Op == apitype.OpCreateReplacement && slices.Contains(step.Keys, key)
			out = append(out, named(key, at(step.Old.Inputs, key), at(step.New.Inputs, key), forces)...)
		}
		return out
	}
	for _, path := range slices.Sorted(maps.Keys(step.DetailedDiff)) {
		diff := step.DetailedDiff[path]
		old, next := at(step.Old.Inputs, path), at(step.New.Inputs, path)
		if old == nil && !diff.InputDiff {
			old = at(step.Old.Outputs, path)
		}
		out = append(out, named(path, old, next, strings.HasSuffix(string(diff.Kind), "-replace"))...)
	}
	return out
}

// named are the differences of a property that the engine names. A secret looks the same before and after.
func named(path string, old, next any, forces bool) []Property {
	if out := differences(path, old, next, forces); len(out) > 0 {
		return out
	}
	return []Property{{Path: path, Old: old, New: next, Forces: forces}}
}

// differences are the places in which two values differ.
func differences(path string, old, next any, forces bool) []Property {
	var out []Property
	switch n := next.(type) {
	case map[string]any:
		if o, ok := old.(map[string]any); ok {
			keys := maps.Clone(o)
			maps.Copy(keys, n)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				below := path + "." + key
				if strings.ContainsAny(key, `.["`) {
					below = fmt.Sprintf("%s[%q]", path, key)
				}
				out = append(out, differences(below, o[key], n[key], forces)...)
			}
			return out
		}
	case []any:
		if o, ok := old.([]any); ok && len(o) == len(n) {
			for i := range n {
				out = append(out, differences(fmt.Sprintf("%s[%d]", path, i), o[i], n[i], forces)...)
			}
			return out
		}
	}
	if reflect.DeepEqual(old, next) {
		return nil
	}
	return []Property{{Path: path, Old: old, New: next, Forces: forces}}
}

// protection is the change of a resource that only becomes protected or unprotected. The engine calls it the same.
func protection(step apitype.StepEventMetadata) []Property {
	if step.Old == nil || step.New == nil || step.Old.Protect == step.New.Protect {
		return nil
	}
	return []Property{{Path: "(protect)", Old: step.Old.Protect, New: step.New.Protect}}
}

// outputs are the stack's outputs that change.
func outputs(step apitype.StepEventMetadata) []Property {
	if step.Old == nil || step.New == nil {
		return nil
	}
	return differences("outputs", state.Plain(step.Old.Outputs), state.Plain(step.New.Outputs), false)
}

// note remembers the ID and the ARN that AWS gave a resource. They are others in every rehearsal, and nobody knows them. An ID that the
// program chose stays.
func note(made map[string]string, step apitype.StepEventMetadata) {
	if step.Old == nil || !strings.HasPrefix(step.Type, "aws:") {
		return
	}
	filledIn, _ := step.Old.Inputs["__defaults"].([]any) // by the provider: automatic names
	chosen := func() bool {
		for key, v := range step.Old.Inputs {
			if text, ok := v.(string); ok && text == step.Old.ID && !slices.Contains(filledIn, any(key)) {
				return true
			}
		}
		return false
	}
	name := step.Type + " " + resource.URN(step.URN).Name()
	if step.Old.ID != "" && !chosen() {
		made[step.Old.ID] = "[" + name + "]"
	}
	if arn, ok := step.Old.Outputs["arn"].(string); ok {
		made[arn] = "[arn of " + name + "]"
	}
}

// at is the value at a path in Pulumi's notation.
func at(properties map[string]any, path string) any {
	keys, err := resource.ParsePropertyPath(path)
	if err != nil {
		keys = resource.PropertyPath{path}
	}
	return state.At(properties, keys...)
}

// value writes a value on one line.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "(none)"
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
