package estimate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const stackType = "pulumi:pulumi:Stack"

// FromState gives the resources that a stack has, in the order in which they were made.
func FromState(deployment apitype.DeploymentV3) []Resource {
	var resources []Resource
	for _, r := range deployment.Resources {
		if r.Type == stackType || r.Delete {
			continue
		}
		resources = append(resources, Resource{
			URN: string(r.URN), Type: string(r.Type), Name: r.URN.Name(), Parent: parent(string(r.Parent)), Custom: r.Custom,
			Dependencies: needs(r.Dependencies, r.PropertyDependencies, r.Provider), Inputs: state.Plain(r.Inputs).(map[string]any),
		})
	}
	return resources
}

// FromPreview reads the event log and the plan of one `pulumi preview`: the resources that would be there after it. The
// log has their inputs, the plan what they depend on.
func FromPreview(events io.Reader, plan []byte) ([]Resource, error) {
	var planned apitype.DeploymentPlanV1
	if err := json.Unmarshal(plan, &planned); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	var resources []Resource
	for decoder := json.NewDecoder(events); ; {
		var event apitype.EngineEvent
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return resources, nil
		} else if err != nil {
			return nil, fmt.Errorf("event log: %w", err)
		}
		if event.ResourcePreEvent == nil {
			continue
		}
		step := event.ResourcePreEvent.Metadata
		goal := planned.ResourcePlans[resource.URN(step.URN)].Goal
		// A replacement has a step for the new resource, and others for the old one and for both.
		if step.New == nil || step.Type == stackType || step.Op == apitype.OpReplace || goal == nil {
			continue
		}
		resources = append(resources, Resource{
			URN: step.URN, Type: step.Type, Name: resource.URN(step.URN).Name(), Parent: parent(step.New.Parent), Custom: step.New.Custom,
			Dependencies: needs(goal.Dependencies, goal.PropertyDependencies, goal.Provider), Inputs: state.Plain(step.New.Inputs).(map[string]any),
		})
	}
}

func parent(urn string) string {
	if resource.URN(urn).IsValid() && resource.URN(urn).Type() == stackType {
		return ""
	}
	return urn
}

// needs are all dependencies. A provider is referred to by its URN and its ID.
func needs(dependencies []resource.URN, properties map[resource.PropertyKey][]resource.URN, provider string) []string {
	var out []string
	for _, urn := range dependencies {
		out = append(out, string(urn))
	}
	for _, urns := range properties {
		for _, urn := range urns {
			out = append(out, string(urn))
		}
	}
	if i := strings.LastIndex(provider, "::"); i > 0 {
		out = append(out, provider[:i])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
