package opensearchtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	kubejson "sigs.k8s.io/json"
)

// policyForm is the form of a policy (https://docs.opensearch.org/latest/im-plugin/ism/policies/), as far as the program uses it:
// model/Policy.kt, State.kt, Transition.kt, ISMTemplate.kt and ISMActionsParser.kt. Any other field or action is refused.
type policyForm struct {
	Description  *string          `json:"description"`
	DefaultState *string          `json:"default_state"`
	States       []policyState    `json:"states"`
	Templates    []policyTemplate `json:"ism_template"`
}

type policyState struct {
	Name    string `json:"name"`
	Actions []struct {
		Retry    map[string]any `json:"retry"`
		Rollover *rollover      `json:"rollover"`
		Delete   *struct{}      `json:"delete"`
	} `json:"actions"`
	Transitions []struct {
		State      string            `json:"state_name"`
		Conditions map[string]string `json:"conditions"`
	} `json:"transitions"`
}

type rollover struct {
	Age   string `json:"min_index_age"`
	Size  string `json:"min_size"`
	Shard string `json:"min_primary_shard_size"`
}

type policyTemplate struct {
	Patterns []string `json:"index_patterns"`
	Priority float64  `json:"priority"`
}

// The forms of values, and which conditions have which
// (https://github.com/opensearch-project/OpenSearch/tree/2.19.1/libs, TimeValue.java in common and ByteSizeValue.java in core).
var (
	duration   = regexp.MustCompile(`^(-1|0|\d+(nanos|micros|ms|s|m|h|d)|)$`)
	size       = regexp.MustCompile(`(?i)^(-1|0|\d+(\.\d+)?(b|kb?|mb?|gb?|tb?|pb?)|)$`)
	conditions = map[string]*regexp.Regexp{"min_index_age": duration, "min_rollover_age": duration, "min_size": size}
)

// parsePolicy gives the policy of a request, and its templates, or why ISM refuses it.
func parsePolicy(request []byte) (body any, templates []policyTemplate, problem string) {
	var wrapped map[string]json.RawMessage
	if err := json.Unmarshal(request, &wrapped); err != nil || len(wrapped) != 1 || wrapped["policy"] == nil {
		return nil, nil, "Failed to parse object: expecting one policy"
	}
	var form policyForm
	strict, err := kubejson.UnmarshalStrict(wrapped["policy"], &form)
	if err := errors.Join(append(strict, err, json.Unmarshal(wrapped["policy"], &body))...); err != nil {
		return nil, nil, err.Error()
	}
	return body, form.Templates, form.problem()
}

// problem is what ISM has against a policy whose fields are right, in its words.
func (p policyForm) problem() string {
	names := map[string]bool{}
	for _, state := range p.States {
		if problem := state.problem(); problem != "" {
			return problem
		}
		names[state.Name] = true
	}
	for _, template := range p.Templates {
		if template.Priority < 0 || len(template.Patterns) == 0 {
			return "Requires priority to be >= 0 and at least one index pattern"
		}
	}
	for _, state := range p.States {
		for _, transition := range state.Transitions {
			if !names[transition.State] {
				return fmt.Sprintf("Policy contains a transition in state=%s pointing to a nonexistent state=%s", state.Name, transition.State)
			}
		}
	}
	switch {
	case p.Description == nil:
		return "description is null"
	case p.DefaultState == nil:
		return "default_state is null"
	case len(names) != len(p.States):
		return "Policy cannot have duplicate state names"
	case !names[*p.DefaultState]: // so there is one
		return "Policy must have a valid default state"
	}
	return ""
}

func (s policyState) problem() string {
	deletes := false
	for _, action := range s.Actions {
		if deletes {
			return fmt.Sprintf("State=%s must not contain an action after a delete action", s.Name)
		}
		if action.Rollover == nil && action.Delete == nil {
			return "Action inside state is null"
		}
		if r := action.Rollover; r != nil && !(duration.MatchString(r.Age) && size.MatchString(r.Size) && size.MatchString(r.Shard)) {
			return fmt.Sprintf("failed to parse setting of %+v", *r)
		}
		deletes = action.Delete != nil
	}
	if deletes && len(s.Transitions) > 0 {
		return fmt.Sprintf("State=%s cannot contain transitions if using delete action", s.Name)
	}
	for _, transition := range s.Transitions {
		if transition.Conditions != nil && len(transition.Conditions) != 1 {
			return "Cannot provide more than one Transition condition"
		}
		for name, value := range transition.Conditions {
			if form := conditions[name]; form == nil || !form.MatchString(value) {
				return fmt.Sprintf("failed to parse setting [%s] with value [%s]", name, value)
			}
		}
	}
	return ""
}
