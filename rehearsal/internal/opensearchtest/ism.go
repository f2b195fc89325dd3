package opensearchtest

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// configIndex keeps the policies, and of each index which one it has. ISM makes it with the first policy.
const configIndex = ".opendistro-ism-config"

// policyBody: https://docs.opensearch.org/latest/im-plugin/ism/policies/
type policyBody struct {
	Description  *string `json:"description"`
	DefaultState *string `json:"default_state"`
	States       []struct {
		Name        string   `json:"name"`
		Actions     []object `json:"actions"`
		Transitions []struct {
			StateName  string `json:"state_name"`
			Conditions object `json:"conditions"`
		} `json:"transitions"`
	} `json:"states"`
	ISMTemplate []struct {
		IndexPatterns []string `json:"index_patterns"`
		Priority      int      `json:"priority"`
	} `json:"ism_template"`
}

type policy struct {
	policyBody
	version, sequence, term int
}

// readBack is how ISM writes a policy, with what it adds: toXContent in Policy.kt and State.kt
// (https://github.com/opensearch-project/index-management/tree/2.19/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement/model)
// and in Action.kt and ActionRetry.kt
// (https://github.com/opensearch-project/index-management/tree/2.19/spi/src/main/kotlin/org.opensearch.indexmanagement.spi/indexstatemanagement).
// schema is 1 for a policy as it was sent and 21 for one that is kept.
func (p *policy) readBack(id string, schema int) object {
	const now = 1764000000000
	states := []object{}
	for _, state := range p.States {
		actions := []object{}
		for _, action := range state.Actions {
			written := object{"retry": object{"count": 3, "backoff": "exponential", "delay": "1m"}}
			maps.Copy(written, action)
			actions = append(actions, written)
		}
		states = append(states, object{"name": state.Name, "actions": actions, "transitions": state.Transitions})
	}
	out := object{
		"policy_id": id, "description": p.Description, "last_updated_time": now, "schema_version": schema, "error_notification": nil,
		"default_state": p.DefaultState, "states": states,
	}
	if p.ISMTemplate != nil {
		templates := []object{}
		for _, t := range p.ISMTemplate {
			templates = append(templates, object{"index_patterns": t.IndexPatterns, "priority": t.Priority, "last_updated_time": now})
		}
		out["ism_template"] = templates
	}
	return out
}

// PolicyVersion is how often a policy was written; 0 when there is none.
func (s *Server) PolicyVersion(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.domain.policies[id]; p != nil {
		return p.version
	}
	return 0
}

// transport is where ISM's actions are, in the version that the stacks run:
// https://github.com/opensearch-project/index-management/tree/2.19/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement/transport/action
func (s *Server) routeISM() {
	const action = "cluster:admin/opendistro/ism/"
	s.handle("GET /_plugins/_ism/policies/{id}", cluster(action+"policy/get"), s.getPolicy)
	s.handle("PUT /_plugins/_ism/policies/{id}", cluster(action+"policy/write"), s.putPolicy)
	s.handle("POST /_plugins/_ism/add/{indices}", cluster(action+"managedindex/add"), s.addPolicy)
	s.handle("POST /_plugins/_ism/change_policy/{indices}", cluster(action+"managedindex/change"), s.changePolicy)
}

// RestartNode is what raises the primary term of what is written after it.
func (s *Server) RestartNode() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.domain.term++
}

// getPolicy: getpolicy/TransportGetPolicyAction.kt (see routeISM).
func (s *Server) getPolicy(c *call) *Reply {
	id := c.PathValue("id")
	if len(s.domain.policies) == 0 {
		return noSuchIndex(configIndex)
	}
	p, exists := s.domain.policies[id]
	if !exists {
		return failure(http.StatusNotFound, "status_exception", "Policy not found")
	}
	return &Reply{http.StatusOK, object{
		"_id": id, "_version": p.version, "_seq_no": p.sequence, "_primary_term": p.term, "policy": p.readBack(id, 21),
	}}
}

// putPolicy creates without sequence numbers and replaces with those of the version that is there, and nothing else:
// indexpolicy/TransportIndexPolicyAction.kt (see routeISM), and the rules of Policy.kt (see readBack).
func (s *Server) putPolicy(c *call) *Reply {
	var body struct {
		Policy policyBody `json:"policy"`
	}
	if refusal := decode(c, &body); refusal != nil {
		return refusal
	}
	id, query := c.PathValue("id"), c.URL.Query()
	if problem := body.Policy.problem(); problem != "" {
		return failure(http.StatusBadRequest, "illegal_argument_exception", problem)
	}
	for _, mine := range body.Policy.ISMTemplate {
		for other, p := range s.domain.policies {
			for _, theirs := range p.ISMTemplate {
				if other != id && mine.Priority == theirs.Priority && overlap(mine.IndexPatterns, theirs.IndexPatterns) {
					return failure(http.StatusBadRequest, "index_management_exception", fmt.Sprintf("New policy %s has an ISM template with index pattern %v "+
						"matching existing policy templates, please use a different priority than %d", id, mine.IndexPatterns, mine.Priority))
				}
			}
		}
	}

	current, exists := s.domain.policies[id]
	sequence, term := query.Get("if_seq_no"), query.Get("if_primary_term")
	named := sequence != "" && term != ""
	fits := named && exists && sequence == strconv.Itoa(current.sequence) && term == strconv.Itoa(current.term)
	if named != exists || exists && !fits {
		return failure(http.StatusConflict, "version_conflict_engine_exception", fmt.Sprintf("[%s]: version conflict", id))
	}
	written := &policy{policyBody: body.Policy, version: 1, sequence: s.domain.nextSequence(), term: s.domain.term}
	status := http.StatusCreated
	if exists {
		written.version, status = current.version+1, http.StatusOK
	}
	s.domain.policies[id] = written
	return &Reply{status, object{
		"_id": id, "_version": written.version, "_seq_no": written.sequence, "_primary_term": written.term,
		"policy": object{"policy": written.readBack(id, 1)},
	}}
}

// problem is why ISM refuses a policy, in its words.
func (p policyBody) problem() string {
	if p.Description == nil {
		return "description is null"
	}
	if p.DefaultState == nil {
		return "default_state is null"
	}
	states := map[string]bool{}
	for _, state := range p.States {
		states[state.Name] = true
	}
	for _, state := range p.States {
		for _, transition := range state.Transitions {
			if !states[transition.StateName] {
				return fmt.Sprintf("Policy contains a transition in state=%s pointing to a nonexistent state=%s", state.Name, transition.StateName)
			}
		}
	}
	if len(p.States) == 0 {
		return "Policy must contain at least one State"
	}
	if !states[*p.DefaultState] {
		return "Policy must have a valid default state"
	}
	return ""
}

// nextSequence is the sequence number of the next write to the index of the policies. What ISM writes down about each index
// that it manages is a write to it, too, so a policy's numbers jump.
func (d *domain) nextSequence() int {
	d.writes++
	return d.writes - 1
}

// addPolicy gives a policy to indices that have none. It looks for indices before it looks for the policy, and is content
// with none: addpolicy/TransportAddPolicyAction.kt, getClusterState (see routeISM).
func (s *Server) addPolicy(c *call) *Reply {
	id, refusal := policyID(c)
	if refusal != nil {
		return refusal
	}
	names := s.domain.matching(c.PathValue("indices"))
	if len(names) == 0 {
		return managed(0, []object{})
	}
	p, exists := s.domain.policies[id]
	if !exists {
		return noPolicy(id)
	}
	return s.manage(names, id, p, func(i *index) string {
		if i.Policy != "" {
			return "This index already has a policy, use the update policy API to update index policies"
		}
		return ""
	})
}

// changePolicy gives the newest version of a policy to indices that have one. It looks for the policy before it looks for
// indices; a name that is no pattern must exist; and of none at all it gets the metadata with a multi-get without documents,
// which OpenSearch refuses: changepolicy/TransportChangePolicyAction.kt, getClusterState and getManagedIndexMetadata (see
// routeISM), and validate in
// https://github.com/opensearch-project/OpenSearch/blob/2.19/server/src/main/java/org/opensearch/action/get/MultiGetRequest.java.
func (s *Server) changePolicy(c *call) *Reply {
	id, refusal := policyID(c)
	if refusal != nil {
		return refusal
	}
	p, exists := s.domain.policies[id]
	if !exists {
		return noPolicy(id)
	}
	for _, name := range strings.Split(c.PathValue("indices"), ",") {
		if _, exists := s.domain.indices[name]; !exists && !strings.Contains(name, "*") {
			return noSuchIndex(name)
		}
	}
	names := s.domain.matching(c.PathValue("indices"))
	if len(names) == 0 {
		return failure(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: no documents to get;")
	}
	return s.manage(names, id, p, func(i *index) string {
		if i.Policy == "" {
			return "This index is not being managed"
		}
		return ""
	})
}

func policyID(c *call) (string, *Reply) {
	var body struct {
		PolicyID string `json:"policy_id"`
	}
	refusal := decode(c, &body)
	return body.PolicyID, refusal
}

// manage gives indices the newest version of a policy, but for those of which unfit has something to say.
func (s *Server) manage(names []string, id string, p *policy, unfit func(*index) string) *Reply {
	updated, failed := 0, []object{}
	for _, name := range names {
		i := s.domain.indices[name]
		if reason := unfit(i); reason != "" {
			failed = append(failed, object{"index_name": name, "index_uuid": name, "reason": reason})
			continue
		}
		i.Policy, i.PolicySequence = id, p.sequence
		s.domain.nextSequence()
		updated++
	}
	return managed(updated, failed)
}

// managed: ISMStatusResponse.kt (see routeISM).
func managed(updated int, failed []object) *Reply {
	return &Reply{http.StatusOK, object{"updated_indices": updated, "failures": len(failed) > 0, "failed_indices": failed}}
}

func noPolicy(id string) *Reply {
	return failure(http.StatusNotFound, "status_exception", "Could not find policy="+id)
}
