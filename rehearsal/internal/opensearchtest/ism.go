package opensearchtest

import (
	"fmt"
	"net/http"
	"strconv"
)

// primaryTerm of the index that keeps the policies; another would need a node that failed.
const primaryTerm = 1

// policyBody: https://docs.opensearch.org/latest/im-plugin/ism/policies/
type policyBody struct {
	Description  string `json:"description"`
	DefaultState string `json:"default_state"`
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
	version, sequence int
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

// Actions: https://github.com/opensearch-project/index-management/tree/main/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement/transport/action
func (s *Server) routeISM() {
	const action = "cluster:admin/opendistro/ism/"
	s.handle("GET /_plugins/_ism/policies/{id}", cluster(action+"policy/get"), s.getPolicy)
	s.handle("PUT /_plugins/_ism/policies/{id}", cluster(action+"policy/write"), s.putPolicy)
	s.handle("POST /_plugins/_ism/add/{indices}", cluster(action+"managedindex/add"), func(c *call) *Reply {
		return s.manage(c, func(i *index) string {
			if i.Policy != "" {
				return "This index already has a policy, use the update policy API to update index policies"
			}
			return ""
		})
	})
	s.handle("POST /_plugins/_ism/change_policy/{indices}", cluster(action+"managedindex/change"), func(c *call) *Reply {
		return s.manage(c, func(i *index) string {
			if i.Policy == "" {
				return "This index is not being managed"
			}
			return ""
		})
	})
}

func (s *Server) getPolicy(c *call) *Reply {
	id := c.PathValue("id")
	p, exists := s.domain.policies[id]
	if !exists {
		return failure(http.StatusNotFound, "status_exception", "Policy not found")
	}
	return &Reply{http.StatusOK, object{"_id": id, "_version": p.version, "_seq_no": p.sequence, "_primary_term": primaryTerm, "policy": p.policyBody}}
}

// putPolicy creates without sequence numbers and replaces with those of the version that is there, and nothing else:
// putPolicy in TransportIndexPolicyAction.kt (see routeISM).
func (s *Server) putPolicy(c *call) *Reply {
	var body struct {
		Policy policyBody `json:"policy"`
	}
	if refusal := decode(c, &body); refusal != nil {
		return refusal
	}
	states := map[string]bool{}
	for _, state := range body.Policy.States {
		states[state.Name] = true
	}
	if !states[body.Policy.DefaultState] {
		return failure(http.StatusBadRequest, "illegal_argument_exception", "Policy must have a valid default state")
	}
	for _, state := range body.Policy.States {
		for _, transition := range state.Transitions {
			if !states[transition.StateName] {
				return failure(http.StatusBadRequest, "illegal_argument_exception", fmt.Sprintf("Policy contains a transition in state=%s pointing to a nonexistent state=%s", state.Name, transition.StateName))
			}
		}
	}

	id, query := c.PathValue("id"), c.URL.Query()
	current, exists := s.domain.policies[id]
	sequence, term := query.Get("if_seq_no"), query.Get("if_primary_term")
	named := sequence != "" && term != ""
	fits := named && exists && sequence == strconv.Itoa(current.sequence) && term == strconv.Itoa(primaryTerm)
	if named != exists || exists && !fits {
		return failure(http.StatusConflict, "version_conflict_engine_exception", fmt.Sprintf("[%s]: version conflict", id))
	}
	written := &policy{policyBody: body.Policy, version: 1, sequence: s.domain.writes}
	status := http.StatusCreated
	if exists {
		written.version, status = current.version+1, http.StatusOK
	}
	s.domain.writes++
	s.domain.policies[id] = written
	return &Reply{status, object{
		"_id": id, "_version": written.version, "_seq_no": written.sequence, "_primary_term": primaryTerm,
		"policy": object{"policy": written.policyBody},
	}}
}

// manage gives indices the newest version of a policy, but for those of which unfit has something to say: onBulkResponse in
// TransportChangePolicyAction.kt and getExistingManagedIndices in TransportAddPolicyAction.kt (see routeISM).
func (s *Server) manage(c *call, unfit func(*index) string) *Reply {
	var body struct {
		PolicyID string `json:"policy_id"`
	}
	if refusal := decode(c, &body); refusal != nil {
		return refusal
	}
	names := s.domain.matching(c.PathValue("indices"))
	if len(names) == 0 {
		return failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", c.PathValue("indices")))
	}
	p, exists := s.domain.policies[body.PolicyID]
	if !exists {
		return failure(http.StatusNotFound, "status_exception", "Could not find policy="+body.PolicyID)
	}
	updated, failed := 0, []object{}
	for _, name := range names {
		i := s.domain.indices[name]
		if reason := unfit(i); reason != "" {
			failed = append(failed, object{"index_name": name, "index_uuid": name, "reason": reason})
			continue
		}
		i.Policy, i.PolicySequence = body.PolicyID, p.sequence
		updated++
	}
	return &Reply{http.StatusOK, object{"updated_indices": updated, "failures": len(failed) > 0, "failed_indices": failed}}
}
