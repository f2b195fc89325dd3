package verify

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

var driftChecks = []Check{
	{
		Name:    "no-drift",
		Promise: "A preview that asks AWS and Kubernetes first shows no change.",
		// What a preview calls, the stack's types decide: docs/ci.md has its rights.
		Access: []string{"get all that the state has, with the rights of a preview (docs/ci.md)"},
		Takes:  3 * time.Minute, Run: checkNoDrift,
	},
}

// checkNoDrift shows the names of what differs, and no value: a value may be a secret. The number of nodes under the autoscaler is no
// difference, because the program ignores it.
func checkNoDrift(ctx context.Context, s *Stack, _ *Work) (string, error) {
	out, err := s.Pulumi(ctx, "preview", "--refresh", "--json")
	if err != nil {
		text := err.Error()
		return "", notSeen("the preview failed, which says nothing about drift: %s", text[max(0, len(text)-500):])
	}
	var preview struct {
		Steps []struct {
			Op, URN      string
			DetailedDiff map[string]any
		}
	}
	if err := json.Unmarshal(out, &preview); err != nil {
		return "", notSeen("the preview: %v", err)
	}
	f, looked := findings{}, 0
	for _, step := range preview.Steps {
		switch step.Op {
		case "refresh":
			looked++
		case "same", "read":
		default:
			urn := strings.Split(step.URN, "::")
			f.problem("an update would %s %s", step.Op, strings.TrimSpace(strings.Join(urn[max(0, len(urn)-2):], " ")+" "+
				strings.Join(slices.Sorted(maps.Keys(step.DetailedDiff)), ", ")))
		}
	}
	if looked == 0 {
		f.problem("the preview has refreshed nothing: is the stack up?")
	}
	f.visit(looked, "resource")
	return f.result()
}
