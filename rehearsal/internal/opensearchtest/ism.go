package opensearchtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"expense/rehearsal/internal/opensearch"
)

// The stand-in for Index State Management answers as 2.19.1.0 does, according to its source:
// https://github.com/opensearch-project/index-management/tree/2.19.1.0/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement.
// The files named here are below it. OpenSearch itself says which indices there are. An expression for indices is one name.

// configIndex keeps the policies, and for each index which one it has. ISM makes it with the first policy.
const configIndex = ".opendistro-ism-config"

// ism is what Index State Management knows.
type ism struct {
	node     *opensearch.Node
	policies map[string]*policy
	managed  map[string]management // by the UUID of each index that ISM has seen
	made     bool                  // the index of policies is there
	silent   bool                  // it keeps no history
	late     bool                  // the clock of the node that makes indices is behind that of the node that writes policies
	writes   int                   // to the index of policies so far
	term     int                   // primary term of the next write
}

// management says which policy an index has, and the sequence number of its version; "" is none.
type management struct {
	policy   string
	sequence int
}

// policy is one as it was sent.
type policy struct {
	body                    any
	templates               []policyTemplate
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

// routeISM: transport/action says what permission each route needs. Here only the master has them.
func (s *Server) routeISM() {
	s.handle("PUT /_cluster/settings", s.putSettings)
	for pattern, route := range map[string]struct {
		action string
		do     func(*ism, *call) *Reply
	}{
		"GET /_plugins/_ism/policies/{id}":         {"policy/get", (*ism).getPolicy},
		"PUT /_plugins/_ism/policies/{id}":         {"policy/write", (*ism).putPolicy},
		"DELETE /_plugins/_ism/policies/{id}":      {"policy/delete", (*ism).deletePolicy},
		"POST /_plugins/_ism/add/{name}":           {"managedindex/add", (*ism).addPolicy},
		"POST /_plugins/_ism/remove/{name}":        {"managedindex/remove", (*ism).removePolicy},
		"POST /_plugins/_ism/change_policy/{name}": {"managedindex/change", (*ism).changePolicy},
	} {
		s.handle(pattern, func(c *call) *Reply {
			if c.role != s.master {
				return failure(http.StatusForbidden, "security_exception", fmt.Sprintf(
					"no permissions for [cluster:admin/opendistro/ism/%s] and User [name=%s, backend_roles=[%[2]s], requestedTenant=null]",
					route.action, c.role))
			}
			kind := c.Request.Header.Get("Content-Type")
			if (c.Method == http.MethodPut || c.Method == http.MethodPost) && kind != "application/json" {
				return &Reply{http.StatusNotAcceptable, object{
					"error": fmt.Sprintf("Content-Type header [%s] is not supported", kind), "status": http.StatusNotAcceptable,
				}}
			}
			if err := s.ism.sweep(); err != nil {
				return failure(http.StatusInternalServerError, "stand_in_exception", err.Error())
			}
			return route.do(s.ism, c)
		})
	}
}

// historySetting is ISM's only setting, beside the one that turns ISM off, that a managed domain lets its users change
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ism.html#ism-diff-settings).
const historySetting = "plugins.index_state_management.history.enabled"

// putSettings takes ISM's setting out of the cluster's, and passes the rest to OpenSearch. Names are whole, as AWS wants them
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/supported-operations.html#version_api_notes-cs).
func (s *Server) putSettings(c *call) *Reply {
	var sent map[string]object
	if json.Unmarshal(c.body, &sent) != nil || c.role != s.master {
		return s.pass(c.role, c.Request, c.body)
	}
	if value, has := sent["persistent"][historySetting]; has {
		s.ism.silent = value == false
		delete(sent["persistent"], historySetting)
		if len(sent["persistent"])+len(sent["transient"]) == 0 { // OpenSearch refuses an empty request
			return &Reply{http.StatusOK, object{"acknowledged": true, "persistent": object{historySetting: value}, "transient": object{}}}
		}
	}
	body, _ := json.Marshal(sent) // it was JSON
	return s.pass(c.role, c.Request, body)
}

// NextTerm is what the loss of a node does to the index of policies: the primary term of the next writes rises.
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

// indices are all that OpenSearch has, by name, with hidden and closed ones.
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

// sweep gives new indices the policy whose template has the highest priority; an index of a data stream goes by the stream's name
// (ManagedIndexCoordinator.kt, getMatchingIndicesUpdateRequests and findMatchingPolicy). It comes before each change of the
// policies, because a policy gets no older index.
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
			for _, template := range i.policies[id].templates {
				if !i.late && template.Priority > best && slices.ContainsFunc(template.Patterns, func(pattern string) bool {
					fits, err := path.Match(pattern, name) // no index has a slash in its name
					return err == nil && fits
				}) {
					best, found = template.Priority, management{id, i.policies[id].sequence}
				}
			}
		}
		i.managed[one.UUID] = found
		if found.policy != "" {
			i.nextSequence()
		}
	}
	return nil
}

// nextSequence is the sequence number of the next write to the index of policies. ISM also writes there about each index that it
// manages, so a policy's numbers jump.
func (i *ism) nextSequence() int {
	i.writes++
	return i.writes - 1
}

// getPolicy: getpolicy/TransportGetPolicyAction.kt. What ISM adds to a policy is left out.
func (i *ism) getPolicy(c *call) *Reply {
	id := c.PathValue("id")
	if !i.made {
		return failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", configIndex))
	}
	p, exists := i.policies[id]
	if !exists {
		return failure(http.StatusNotFound, "status_exception", "Policy not found")
	}
	return p.written(id, http.StatusOK)
}

func (p *policy) written(id string, status int) *Reply {
	return &Reply{status, object{"_id": id, "_version": p.version, "_seq_no": p.sequence, "_primary_term": p.term, "policy": p.body}}
}

// putPolicy creates only without sequence numbers, and replaces only with those of the existing version:
// indexpolicy/TransportIndexPolicyAction.kt.
func (i *ism) putPolicy(c *call) *Reply {
	body, templates, problem := parsePolicy(c.body)
	if problem != "" {
		return failure(http.StatusBadRequest, "illegal_argument_exception", problem)
	}
	i.made = true
	id, query := c.PathValue("id"), c.URL.Query()
	current, exists := i.policies[id]
	named := query.Has("if_seq_no") || query.Has("if_primary_term")
	fits := exists && query.Get("if_seq_no") == strconv.Itoa(current.sequence) && query.Get("if_primary_term") == strconv.Itoa(current.term)
	if named != exists || exists && !fits {
		return failure(http.StatusConflict, "version_conflict_engine_exception", fmt.Sprintf("[%s]: version conflict", id))
	}
	written := &policy{body: body, templates: templates, version: 1, sequence: i.nextSequence(), term: i.term}
	status := http.StatusCreated
	if exists {
		written.version, status = current.version+1, http.StatusOK
	}
	i.policies[id] = written
	return written.written(id, status)
}

// deletePolicy leaves the indices that have the policy as they are: deletepolicy/TransportDeletePolicyAction.kt.
func (i *ism) deletePolicy(c *call) *Reply {
	delete(i.policies, c.PathValue("id"))
	i.nextSequence()
	return &Reply{http.StatusOK, object{"_id": c.PathValue("id"), "result": "deleted"}}
}

// named are the index or the indices of the data stream that a request names.
func (i *ism) named(c *call) ([]index, *Reply) {
	name := c.PathValue("name")
	if strings.ContainsAny(name, "*,") {
		return nil, failure(http.StatusInternalServerError, "stand_in_exception", "the stand-in for ISM takes one name")
	}
	all, err := i.indices()
	if err != nil {
		return nil, failure(http.StatusInternalServerError, "stand_in_exception", err.Error())
	}
	return slices.DeleteFunc(all, func(one index) bool { return one.Name != name && one.stream != name }), nil
}

// newest is the newest version of the policy that a request names.
func (i *ism) newest(c *call) (management, *Reply) {
	var body struct {
		PolicyID string `json:"policy_id"`
	}
	_ = json.Unmarshal(c.body, &body) // what is no JSON names none
	p := i.policies[body.PolicyID]
	switch {
	case body.PolicyID == "":
		return management{}, failure(http.StatusBadRequest, "illegal_argument_exception", "Missing policy_id")
	case p == nil:
		return management{}, failure(http.StatusNotFound, "status_exception", "Could not find policy="+body.PolicyID)
	}
	return management{body.PolicyID, p.sequence}, nil
}

// addPolicy gives a policy to indices that have none. It looks for indices before it looks for the policy, and is content with none:
// addpolicy/TransportAddPolicyAction.kt, getClusterState.
func (i *ism) addPolicy(c *call) *Reply {
	found, refusal := i.named(c)
	if refusal != nil || len(found) == 0 {
		return cmp.Or(refusal, managed(0, []object{}))
	}
	newest, refusal := i.newest(c)
	if refusal != nil {
		return refusal
	}
	return i.manage(found, newest, func(one index) string {
		switch {
		case one.Status == "close":
			return "This index is closed"
		case i.managed[one.UUID].policy != "":
			return "This index already has a policy, use the update policy API to update index policies"
		}
		return ""
	})
}

// changePolicy gives the newest version of a policy to indices that have one. It looks for the policy before it looks for indices,
// and wants at least one: changepolicy/TransportChangePolicyAction.kt, getClusterState.
func (i *ism) changePolicy(c *call) *Reply {
	newest, refusal := i.newest(c)
	if refusal != nil {
		return refusal
	}
	found, refusal := i.named(c)
	if refusal != nil {
		return refusal
	}
	if len(found) == 0 {
		return failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", c.PathValue("name")))
	}
	return i.manage(found, newest, func(one index) string {
		if i.managed[one.UUID].policy == "" {
			return "This index is not being managed"
		}
		return ""
	})
}

// removePolicy takes the policy from indices: removepolicy/TransportRemovePolicyAction.kt.
func (i *ism) removePolicy(c *call) *Reply {
	found, refusal := i.named(c)
	if refusal != nil {
		return refusal
	}
	return i.manage(found, management{}, func(index) string { return "" })
}

// manage changes what indices have, except those for which unfit gives a reason.
func (i *ism) manage(found []index, has management, unfit func(index) string) *Reply {
	updated, failed := 0, []object{}
	for _, one := range found {
		if reason := unfit(one); reason != "" {
			failed = append(failed, object{"index_name": one.Name, "index_uuid": one.UUID, "reason": reason})
			continue
		}
		i.managed[one.UUID] = has
		i.nextSequence()
		updated++
	}
	return managed(updated, failed)
}

// managed: transport/action/ISMStatusResponse.kt.
func managed(updated int, failed []object) *Reply {
	return &Reply{http.StatusOK, object{"updated_indices": updated, "failures": len(failed) > 0, "failed_indices": failed}}
}
