package opensearchtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"expense/rehearsal/internal/opensearch"
)

// The stand-in for Index State Management answers as 2.19.1.0 does, read off its source:
// https://github.com/opensearch-project/index-management/tree/2.19.1.0/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement,
// below which are the files that are named here. Which indices there are, it asks OpenSearch.

// configIndex keeps the policies, and of each index which one it has. ISM makes it with the first policy.
const configIndex = ".opendistro-ism-config"

// ism is what Index State Management knows.
type ism struct {
	node     *opensearch.Node
	policies map[string]*policy
	managed  map[string]management // by the index's UUID; whoever was looked at is in it
	made     bool                  // the index of policies is there
	silent   bool                  // it keeps no history
	late     bool                  // the clock of who makes indices is behind that of who writes policies
	writes   int                   // to it so far
	term     int                   // primary term of what is written there now
}

// management says which policy an index has, and the sequence number of its version; "" is none.
type management struct {
	policy   string
	sequence int
}

// policy is as it was sent.
type policy struct {
	body                    object
	version, sequence, term int
}

// index is one that OpenSearch has.
type index struct {
	Name   string `json:"index"`
	UUID   string `json:"uuid"`
	Status string `json:"status"` // open or close
	stream string // that it is a part of
}

func newISM(node *opensearch.Node) *ism {
	return &ism{node: node, policies: map[string]*policy{}, managed: map[string]management{}, term: 1}
}

// routeISM: what each route may be used for, is in transport/action. Here only the master may.
func (s *Server) routeISM() {
	s.handle("PUT /_cluster/settings", s.putSettings)
	for pattern, route := range map[string]struct {
		action string
		do     func(*ism, *call) *Reply
	}{
		"GET /_plugins/_ism/policies/{id}":            {"policy/get", (*ism).getPolicy},
		"PUT /_plugins/_ism/policies/{id}":            {"policy/write", (*ism).putPolicy},
		"DELETE /_plugins/_ism/policies/{id}":         {"policy/delete", (*ism).deletePolicy},
		"POST /_plugins/_ism/add/{indices}":           {"managedindex/add", (*ism).addPolicy},
		"POST /_plugins/_ism/remove/{indices}":        {"managedindex/remove", (*ism).removePolicy},
		"POST /_plugins/_ism/change_policy/{indices}": {"managedindex/change", (*ism).changePolicy},
	} {
		s.handle(pattern, func(c *call) *Reply {
			if c.role != s.master {
				return failure(http.StatusForbidden, "security_exception", fmt.Sprintf(
					"no permissions for [cluster:admin/opendistro/ism/%s] and User [name=%s, backend_roles=[%[2]s], requestedTenant=null]", route.action, c.role))
			}
			if method := c.Method; method == http.MethodPut || method == http.MethodPost {
				if kind := c.Request.Header.Get("Content-Type"); kind != "application/json" {
					return &Reply{http.StatusNotAcceptable, object{"error": fmt.Sprintf("Content-Type header [%s] is not supported", kind), "status": http.StatusNotAcceptable}}
				}
			}
			if err := s.ism.sweep(); err != nil {
				return failure(http.StatusInternalServerError, "stand_in_exception", err.Error())
			}
			return route.do(s.ism, c)
		})
	}
}

// historySetting is the one of ISM's settings that a managed domain lets one change besides turning ISM off
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ism.html#ism-diff-settings).
const historySetting = "plugins.index_state_management.history.enabled"

// putSettings takes ISM's own setting out of those of the cluster, and has OpenSearch do the rest. It knows the form in which AWS
// takes them, whole names
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-operations.html#version_api_notes-cs).
func (s *Server) putSettings(c *call) *Reply {
	var sent map[string]object
	if json.Unmarshal(c.body, &sent) != nil || c.role != s.master {
		return s.pass(c.role, c.Request, c.body)
	}
	if value, has := sent["persistent"][historySetting]; has {
		s.ism.silent = value == false
		delete(sent["persistent"], historySetting)
		if len(sent["persistent"])+len(sent["transient"]) == 0 { // OpenSearch refuses nothing at all
			return &Reply{http.StatusOK, object{"acknowledged": true, "persistent": object{historySetting: value}, "transient": object{}}}
		}
	}
	body, _ := json.Marshal(sent) // it was JSON
	return s.pass(c.role, c.Request, body)
}

// NextTerm is what the loss of a node does to the index of policies: the primary term of what is written after it rises.
func (s *Server) NextTerm() {
	s.standIns.Lock()
	defer s.standIns.Unlock()
	s.ism.term++
}

// ClocksDiffer makes the clock of the node that makes indices fall behind that of the one that writes policies: no index gets a
// policy by its template, because each policy seems to be newer (ManagedIndexCoordinator.kt, findMatchingPolicy).
func (s *Server) ClocksDiffer() {
	s.standIns.Lock()
	defer s.standIns.Unlock()
	s.ism.late = true
}

// PolicyVersion is how often a policy was written; 0 when there is none.
func (s *Server) PolicyVersion(id string) int {
	s.standIns.Lock()
	defer s.standIns.Unlock()
	if p := s.ism.policies[id]; p != nil {
		return p.version
	}
	return 0
}

// indices are all that OpenSearch has by their names, hidden and closed ones too.
func (i *ism) indices() ([]index, error) {
	var all []index
	if _, err := i.ask("/_cat/indices?format=json&h=index,uuid,status&expand_wildcards=all", &all); err != nil {
		return nil, err
	}
	var streams struct {
		Streams []struct {
			Name    string
			Indices []struct {
				Name string `json:"index_name"`
			}
		} `json:"data_streams"`
	}
	if _, err := i.ask("/_data_stream", &streams); err != nil {
		return nil, err
	}
	for _, stream := range streams.Streams {
		for _, part := range stream.Indices {
			for n := range all {
				if all[n].Name == part.Name {
					all[n].stream = stream.Name
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b index) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// ask gets what OpenSearch has at a path; an answer other than 200 is returned as it is.
func (i *ism) ask(path string, into any) (*Reply, error) {
	status, answer, err := i.node.Do(opensearch.Admin, "GET", path, nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return &Reply{status, answer}, nil
	}
	return nil, json.Unmarshal(answer, into)
}

// sweep gives indices that are new the policy whose template has the highest priority; an index of a data stream is known by
// the stream's name (ManagedIndexCoordinator.kt, getMatchingIndicesUpdateRequests and findMatchingPolicy). It comes before
// each change of the policies, because a policy gets no index that was there before it.
func (i *ism) sweep() error {
	all, err := i.indices()
	if err != nil {
		return err
	}
	for _, one := range all {
		if _, known := i.managed[one.UUID]; known {
			continue
		}
		name := one.Name
		if one.stream != "" {
			name = one.stream
		}
		var found management
		best := -1.0
		for _, id := range slices.Sorted(maps.Keys(i.policies)) {
			for _, template := range templates(i.policies[id].body) {
				if i.late {
					continue
				}
				if priority, _ := template["priority"].(float64); priority > best && slices.ContainsFunc(texts(template["index_patterns"]), func(p string) bool { return like(p, name) }) {
					best, found = priority, management{id, i.policies[id].sequence}
				}
			}
		}
		i.managed[one.UUID] = found
		if found.policy != "" {
			i.nextSequence() // it is written down
		}
	}
	return nil
}

// nextSequence is the sequence number of the next write to the index of the policies. What ISM writes down about each index
// that it manages is a write to it, too, so a policy's numbers jump.
func (i *ism) nextSequence() int {
	i.writes++
	return i.writes - 1
}

// getPolicy: getpolicy/TransportGetPolicyAction.kt.
func (i *ism) getPolicy(c *call) *Reply {
	id := c.PathValue("id")
	if !i.made {
		return failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", configIndex))
	}
	p, exists := i.policies[id]
	if !exists {
		return failure(http.StatusNotFound, "status_exception", "Policy not found")
	}
	return &Reply{http.StatusOK, object{
		"_id": id, "_version": p.version, "_seq_no": p.sequence, "_primary_term": p.term, "policy": readBack(p.body, id, 21),
	}}
}

// putPolicy creates without sequence numbers and replaces with those of the version that is there, and nothing else:
// indexpolicy/TransportIndexPolicyAction.kt.
func (i *ism) putPolicy(c *call) *Reply {
	var wrapped map[string]object
	if err := json.Unmarshal(c.body, &wrapped); err != nil || len(wrapped) != 1 {
		return failure(http.StatusBadRequest, "parsing_exception", "Failed to parse object: expecting one policy")
	}
	var body object
	for _, body = range wrapped {
	}
	if problem := policyProblem(body); problem != "" {
		return failure(http.StatusBadRequest, "illegal_argument_exception", problem)
	}
	i.made = true
	id, query := c.PathValue("id"), c.URL.Query()
	for _, mine := range templates(body) {
		for other, p := range i.policies {
			for _, theirs := range templates(p.body) {
				if other != id && priority(mine) == priority(theirs) && overlap(texts(mine["index_patterns"]), texts(theirs["index_patterns"])) {
					return failure(http.StatusBadRequest, "index_management_exception", fmt.Sprintf("New policy %s has an ISM template with index pattern %v "+
						"matching existing policy templates, please use a different priority than %v", id, mine["index_patterns"], priority(mine)))
				}
			}
		}
	}

	current, exists := i.policies[id]
	sequence, term := query.Get("if_seq_no"), query.Get("if_primary_term")
	named := sequence != "" && term != ""
	fits := named && exists && sequence == strconv.Itoa(current.sequence) && term == strconv.Itoa(current.term)
	if named != exists || exists && !fits {
		return failure(http.StatusConflict, "version_conflict_engine_exception", fmt.Sprintf("[%s]: version conflict", id))
	}
	written := &policy{body: body, version: 1, sequence: i.nextSequence(), term: i.term}
	status := http.StatusCreated
	if exists {
		written.version, status = current.version+1, http.StatusOK
	}
	i.policies[id] = written
	return &Reply{status, object{
		"_id": id, "_version": written.version, "_seq_no": written.sequence, "_primary_term": written.term,
		"policy": object{"policy": readBack(body, id, 1)},
	}}
}

// deletePolicy leaves the indices that have the policy as they are: deletepolicy/TransportDeletePolicyAction.kt.
func (i *ism) deletePolicy(c *call) *Reply {
	id := c.PathValue("id")
	if !i.made {
		return failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", configIndex))
	}
	if i.policies[id] == nil {
		return failure(http.StatusNotFound, "status_exception", fmt.Sprintf("Policy %s is not found", id))
	}
	delete(i.policies, id)
	i.nextSequence()
	return &Reply{http.StatusOK, object{"_id": id, "result": "deleted"}}
}

// matching are the indices of an expression, of which a data stream's name stands for all of its own. Leniently a name that is
// not there is none, and hidden ones match patterns.
func (i *ism) matching(c *call, lenient bool) ([]index, *Reply) {
	expand := "open,closed"
	if lenient {
		expand = "all"
	}
	wanted := map[string]bool{}
	for _, part := range strings.Split(c.PathValue("indices"), ",") {
		var resolved struct {
			Indices []struct{ Name string }
			Streams []struct {
				Indices []string `json:"backing_indices"`
			} `json:"data_streams"`
		}
		refusal, err := i.ask("/_resolve/index/"+url.PathEscape(part)+"?expand_wildcards="+expand, &resolved)
		if err != nil {
			return nil, failure(http.StatusInternalServerError, "stand_in_exception", err.Error())
		}
		if refusal != nil {
			return nil, refusal
		}
		if !lenient && !strings.Contains(part, "*") && len(resolved.Indices)+len(resolved.Streams) == 0 {
			return nil, failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", part))
		}
		for _, one := range resolved.Indices {
			wanted[one.Name] = true
		}
		for _, stream := range resolved.Streams {
			for _, name := range stream.Indices {
				wanted[name] = true
			}
		}
	}
	all, err := i.indices()
	if err != nil {
		return nil, failure(http.StatusInternalServerError, "stand_in_exception", err.Error())
	}
	return slices.DeleteFunc(all, func(one index) bool { return !wanted[one.Name] }), nil
}

// addPolicy gives a policy to indices that have none. It looks for indices before it looks for the policy, and is content
// with none: addpolicy/TransportAddPolicyAction.kt, getClusterState.
func (i *ism) addPolicy(c *call) *Reply {
	found, refusal := i.matching(c, true)
	if refusal != nil {
		return refusal
	}
	if len(found) == 0 {
		return managed(0, []object{})
	}
	return i.manage(c, found, func(one index) string {
		switch {
		case one.Status == "close":
			return "This index is closed"
		case i.managed[one.UUID].policy != "":
			return "This index already has a policy, use the update policy API to update index policies"
		}
		return ""
	})
}

// changePolicy gives the newest version of a policy to indices that have one. It looks for the policy before it looks for
// indices; a name that is no pattern must exist; and of none at all it gets the metadata with a multi-get without documents,
// which OpenSearch refuses: changepolicy/TransportChangePolicyAction.kt, getClusterState and getManagedIndexMetadata, and
// validate in
// https://github.com/opensearch-project/OpenSearch/blob/2.19.1/server/src/main/java/org/opensearch/action/get/MultiGetRequest.java.
func (i *ism) changePolicy(c *call) *Reply {
	if refusal := i.known(c); refusal != nil {
		return refusal
	}
	if _, refusal := i.matching(c, false); refusal != nil {
		return refusal
	}
	found, refusal := i.matching(c, true)
	if refusal != nil {
		return refusal
	}
	if len(found) == 0 {
		return failure(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: no documents to get;")
	}
	return i.manage(c, found, func(one index) string {
		if i.managed[one.UUID].policy == "" {
			return "This index is not being managed"
		}
		return ""
	})
}

// removePolicy takes the policy from indices: removepolicy/TransportRemovePolicyAction.kt.
func (i *ism) removePolicy(c *call) *Reply {
	found, refusal := i.matching(c, false)
	if refusal != nil {
		return refusal
	}
	updated, failed := 0, []object{}
	for _, one := range found {
		switch {
		case one.Status == "close":
			failed = append(failed, failedIndex(one, "This index is closed"))
		case i.managed[one.UUID].policy == "":
			failed = append(failed, failedIndex(one, "This index does not have a policy to remove"))
		default:
			i.managed[one.UUID] = management{}
			i.nextSequence()
			updated++
		}
	}
	return managed(updated, failed)
}

// known refuses a policy that is not there.
func (i *ism) known(c *call) *Reply {
	id := policyID(c)
	if id == "" {
		return failure(http.StatusBadRequest, "illegal_argument_exception", "Missing policy_id")
	}
	if i.policies[id] == nil {
		return failure(http.StatusNotFound, "status_exception", "Could not find policy="+id)
	}
	return nil
}

func policyID(c *call) string {
	var body struct {
		PolicyID string `json:"policy_id"`
	}
	_ = json.Unmarshal(c.body, &body) // what is no JSON names none
	return body.PolicyID
}

// manage gives indices the newest version of a policy, but for those of which unfit has something to say.
func (i *ism) manage(c *call, found []index, unfit func(index) string) *Reply {
	if refusal := i.known(c); refusal != nil {
		return refusal
	}
	id := policyID(c)
	updated, failed := 0, []object{}
	for _, one := range found {
		if reason := unfit(one); reason != "" {
			failed = append(failed, failedIndex(one, reason))
			continue
		}
		i.managed[one.UUID] = management{id, i.policies[id].sequence}
		i.nextSequence()
		updated++
	}
	return managed(updated, failed)
}

func failedIndex(one index, reason string) object {
	return object{"index_name": one.Name, "index_uuid": one.UUID, "reason": reason}
}

// managed: transport/action/ISMStatusResponse.kt.
func managed(updated int, failed []object) *Reply {
	return &Reply{http.StatusOK, object{"updated_indices": updated, "failures": len(failed) > 0, "failed_indices": failed}}
}

// like compares with a pattern in which * is any text.
func like(pattern, name string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(name)
}

// overlap says whether a name exists that both lists of patterns match. The patterns here end in their only *, or have none.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool {
		return slices.ContainsFunc(b, func(other string) bool {
			return like(one, strings.TrimSuffix(other, "*")) || like(other, strings.TrimSuffix(one, "*"))
		})
	})
}
