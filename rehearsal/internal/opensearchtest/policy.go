package opensearchtest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// The form of a policy (https://docs.opensearch.org/latest/im-plugin/ism/policies/), as the files that ism.go speaks of read
// and write it.

// actions are those of ISMActionsParser.kt, with the fields of those that are looked at; nil is any.
var actions = map[string][]string{
	"alias": nil, "allocation": nil, "close": nil, "delete": {}, "force_merge": nil, "index_priority": nil, "notification": nil, "open": {},
	"read_only": {}, "read_write": {}, "replica_count": nil, "rollover": {"copy_alias", "min_doc_count", "min_index_age", "min_primary_shard_size", "min_size"},
	"rollup": nil, "shrink": nil, "snapshot": nil, "transform": nil,
}

// conditions are those of a transition, of which it has one (model/Transition.kt).
var conditions = []string{"cron", "min_doc_count", "min_index_age", "min_rollover_age", "min_size"}

// units are the forms of values, by the name of a condition
// (https://github.com/opensearch-project/OpenSearch/tree/2.19.1/libs, TimeValue.java in common and ByteSizeValue.java in core).
var units = map[string]*regexp.Regexp{
	"min_index_age": duration, "min_rollover_age": duration, "min_size": size, "min_primary_shard_size": size,
}

var (
	duration = regexp.MustCompile(`^(-1|0|\d+(nanos|micros|ms|s|m|h|d))$`)
	size     = regexp.MustCompile(`(?i)^(-1|0|\d+(\.\d+)?(b|kb?|mb?|gb?|tb?|pb?))$`)
)

// policyProblem is why ISM refuses a policy, in its words: model/Policy.kt, State.kt, Transition.kt and ISMTemplate.kt, parts
// before the whole. "" is nothing.
func policyProblem(body object) string {
	if problem := unknown(body, "Policy", "default_state", "description", "error_notification", "ism_template", "last_updated_time", "policy_id",
		"schema_version", "states", "user"); problem != "" {
		return problem
	}
	names := map[string]bool{}
	for _, state := range objects(body["states"]) {
		if problem := stateProblem(state); problem != "" {
			return problem
		}
		names[fmt.Sprint(state["name"])] = true
	}
	for _, template := range templates(body) {
		if problem := unknown(template, "ISMTemplate", "index_patterns", "last_updated_time", "priority"); problem != "" {
			return problem
		}
		if priority(template) < 0 {
			return "Requires priority to be >= 0"
		}
		if len(texts(template["index_patterns"])) == 0 {
			return "Requires at least one index pattern"
		}
	}
	for _, name := range []string{"description", "default_state"} {
		if _, isText := body[name].(string); !isText {
			return name + " is null"
		}
	}
	for _, state := range objects(body["states"]) {
		for _, transition := range objects(state["transitions"]) {
			if name := fmt.Sprint(transition["state_name"]); !names[name] {
				return fmt.Sprintf("Policy contains a transition in state=%v pointing to a nonexistent state=%s", state["name"], name)
			}
		}
	}
	switch {
	case len(names) != len(objects(body["states"])):
		return "Policy cannot have duplicate state names"
	case len(names) == 0:
		return "Policy must contain at least one State"
	case !names[body["default_state"].(string)]:
		return "Policy must have a valid default state"
	}
	return ""
}

func stateProblem(state object) string {
	if problem := unknown(state, "State", "actions", "name", "transitions"); problem != "" {
		return problem
	}
	deletes := false
	for _, action := range objects(state["actions"]) {
		found := false
		for name, value := range action {
			if name == "retry" || name == "timeout" {
				continue
			}
			fields, known := actions[name]
			if !known {
				return fmt.Sprintf("Invalid field: [%s] found in Actions.", name)
			}
			settings, _ := value.(object)
			if problem := unknown(settings, "RolloverAction", fields...); fields != nil && problem != "" {
				return problem
			}
			if problem := valueProblem(settings); problem != "" {
				return problem
			}
			if deletes {
				return fmt.Sprintf("State=%v must not contain an action after a delete action", state["name"])
			}
			found, deletes = true, name == "delete"
		}
		if !found {
			return "Action inside state is null"
		}
	}
	for _, transition := range objects(state["transitions"]) {
		if problem := unknown(transition, "Transition", "conditions", "state_name"); problem != "" {
			return problem
		}
		if given, is := transition["conditions"].(object); is {
			if problem := unknown(given, "Conditions", conditions...); problem != "" {
				return problem
			}
			if problem := valueProblem(given); problem != "" {
				return problem
			}
			if len(given) != 1 {
				return "Cannot provide more than one Transition condition"
			}
		}
		if deletes {
			return fmt.Sprintf("State=%v cannot contain transitions if using delete action", state["name"])
		}
	}
	return ""
}

// unknown is how ISM refuses a field beside those that a thing has.
func unknown(thing object, name string, fields ...string) string {
	for _, field := range slices.Sorted(maps.Keys(thing)) {
		if !slices.Contains(fields, field) {
			return fmt.Sprintf("Invalid field: [%s] found in %s.", field, name)
		}
	}
	return ""
}

func valueProblem(values object) string {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if form := units[name]; form != nil && !form.MatchString(fmt.Sprint(values[name])) {
			return fmt.Sprintf("failed to parse setting [%s] with value [%v]", name, values[name])
		}
	}
	return ""
}

// readBack is how ISM writes a policy, with what it adds: toXContent in model/Policy.kt and State.kt, populateAction in
// action/RolloverAction.kt, and in Action.kt and ActionRetry.kt
// (https://github.com/opensearch-project/index-management/tree/2.19.1.0/spi/src/main/kotlin/org.opensearch.indexmanagement.spi/indexstatemanagement).
// schema is 1 for a policy as it was sent and 21 for one that is kept.
func readBack(body object, id string, schema int) object {
	const now = 1764000000000
	states := []object{}
	for _, state := range objects(body["states"]) {
		actions := []object{}
		for _, action := range objects(state["actions"]) {
			written := object{"retry": object{"count": 3, "backoff": "exponential", "delay": "1m"}}
			maps.Copy(written, action)
			if settings, is := written["rollover"].(object); is {
				written["rollover"] = with(settings, "copy_alias", false)
			}
			actions = append(actions, written)
		}
		states = append(states, object{"name": state["name"], "actions": actions, "transitions": objects(state["transitions"])})
	}
	out := object{
		"policy_id": id, "description": body["description"], "last_updated_time": now, "schema_version": schema,
		"error_notification": body["error_notification"], "default_state": body["default_state"], "states": states,
	}
	if found := templates(body); found != nil {
		written := []object{}
		for _, template := range found {
			written = append(written, object{"index_patterns": template["index_patterns"], "priority": priority(template), "last_updated_time": now})
		}
		out["ism_template"] = written
	}
	return out
}

// with is a copy with a value where the object has none.
func with(o object, name string, value any) object {
	out := object{name: value}
	maps.Copy(out, o)
	return out
}

// templates are the policy's, of which it may have one without a list.
func templates(body object) []object {
	if one, is := body["ism_template"].(object); is {
		return []object{one}
	}
	return objects(body["ism_template"])
}

func priority(template object) float64 {
	number, _ := template["priority"].(float64)
	return number
}

// objects are those of a list, nil of anything else.
func objects(list any) []object {
	items, _ := list.([]any)
	var out []object
	for _, item := range items {
		one, _ := item.(object)
		out = append(out, one)
	}
	return out
}

// texts are those of a list.
func texts(list any) []string {
	items, _ := list.([]any)
	var out []string
	for _, item := range items {
		text, _ := item.(string)
		out = append(out, text)
	}
	return out
}
