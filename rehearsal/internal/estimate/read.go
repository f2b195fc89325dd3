package estimate

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

const stackType = "pulumi:pulumi:Stack"

// FromState gives the resources that a stack has, in the order in which they were made.
func FromState(deployment apitype.DeploymentV3) []Resource {
	var resources []Resource
	for _, r := range deployment.Resources {
		if r.Type == stackType || r.Delete {
			continue
		}
		parent := string(r.Parent)
		if r.Parent.IsValid() && r.Parent.Type() == stackType {
			parent = ""
		}
		resources = append(resources, Resource{
			URN: string(r.URN), Type: string(r.Type), Name: r.URN.Name(), Parent: parent, Custom: r.Custom,
			Dependencies: needs(r), Inputs: state.Plain(r.Inputs).(map[string]any),
		})
	}
	return resources
}

// FromPreview reads the event log and the plan of one `pulumi preview`: the resources that would be there after it. The
// log has their inputs, the plan what they depend on.
func FromPreview(log io.Reader, plan []byte) ([]Resource, error) {
	var planned apitype.DeploymentPlanV1
	if err := json.Unmarshal(plan, &planned); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	var after apitype.DeploymentV3
	for event, err := range state.Events(log) {
		if err != nil {
			return nil, err
		}
		if event.ResourcePreEvent == nil {
			continue
		}
		step := event.ResourcePreEvent.Metadata
		goal := planned.ResourcePlans[resource.URN(step.URN)].Goal
		// A replacement has a step for the new resource, and others for the old one and for both.
		if step.New == nil || step.Op == apitype.OpReplace || goal == nil {
			continue
		}
		after.Resources = append(after.Resources, apitype.ResourceV3{
			URN: resource.URN(step.URN), Type: tokens.Type(step.Type), Parent: resource.URN(step.New.Parent), Custom: step.New.Custom,
			Inputs: step.New.Inputs, Dependencies: goal.Dependencies, PropertyDependencies: goal.PropertyDependencies, Provider: goal.Provider,
		})
	}
	return FromState(after), nil
}

// needs are all dependencies. A provider is referred to by its URN and its ID.
func needs(r apitype.ResourceV3) []string {
	var out []string
	for _, urns := range append(slices.Collect(maps.Values(r.PropertyDependencies)), r.Dependencies) {
		for _, urn := range urns {
			out = append(out, string(urn))
		}
	}
	if i := strings.LastIndex(r.Provider, "::"); i > 0 {
		out = append(out, r.Provider[:i])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
