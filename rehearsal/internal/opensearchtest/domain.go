package opensearchtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// object is a JSON object.
type object = map[string]any

// domain is what the APIs have been told.
type domain struct {
	roles     map[string]role
	mappings  map[string]mapping
	audit     *auditConfig
	templates map[string]template
	policies  map[string]*policy
	indices   map[string]*index
	saved     map[string]object // saved objects by tenant, type and ID
	writes    int               // to the index of policies so far
	term      int               // primary term of what is written there now
}

func newDomain() *domain {
	return &domain{
		roles: map[string]role{}, mappings: map[string]mapping{}, templates: map[string]template{}, policies: map[string]*policy{},
		indices: map[string]*index{}, saved: map[string]object{}, term: 1,
	}
}

// The bodies that are known; a field beside these is refused.
type (
	// role: https://docs.opensearch.org/latest/security/access-control/api/#create-role
	role struct {
		Description        string            `json:"description"`
		ClusterPermissions []string          `json:"cluster_permissions"`
		IndexPermissions   []indexPermission `json:"index_permissions"`
		TenantPermissions  []struct {
			TenantPatterns []string `json:"tenant_patterns"`
			AllowedActions []string `json:"allowed_actions"`
		} `json:"tenant_permissions"`
	}
	indexPermission struct {
		IndexPatterns  []string `json:"index_patterns"`
		DLS            string   `json:"dls"`
		FLS            []string `json:"fls"`
		MaskedFields   []string `json:"masked_fields"`
		AllowedActions []string `json:"allowed_actions"`
	}
	// mapping: https://docs.opensearch.org/latest/security/access-control/api/#create-role-mapping
	mapping struct {
		BackendRoles    []string `json:"backend_roles"`
		AndBackendRoles []string `json:"and_backend_roles"`
		Hosts           []string `json:"hosts"`
		Users           []string `json:"users"`
		Description     string   `json:"description"`
	}
	// auditConfig: https://docs.opensearch.org/latest/security/audit-logs/index/
	auditConfig struct {
		Enabled bool `json:"enabled"`
		Audit   struct {
			EnableREST                  bool     `json:"enable_rest"`
			DisabledRESTCategories      []string `json:"disabled_rest_categories"`
			EnableTransport             bool     `json:"enable_transport"`
			DisabledTransportCategories []string `json:"disabled_transport_categories"`
			LogRequestBody              bool     `json:"log_request_body"`
			ResolveBulkRequests         bool     `json:"resolve_bulk_requests"`
			ResolveIndices              bool     `json:"resolve_indices"`
			ExcludeSensitiveHeaders     bool     `json:"exclude_sensitive_headers"`
			IgnoreUsers                 []string `json:"ignore_users"`
			IgnoreRequests              []string `json:"ignore_requests"`
		} `json:"audit"`
		Compliance struct {
			Enabled             bool                `json:"enabled"`
			InternalConfig      bool                `json:"internal_config"`
			ExternalConfig      bool                `json:"external_config"`
			ReadMetadataOnly    bool                `json:"read_metadata_only"`
			ReadWatchedFields   map[string][]string `json:"read_watched_fields"`
			ReadIgnoreUsers     []string            `json:"read_ignore_users"`
			WriteMetadataOnly   bool                `json:"write_metadata_only"`
			WriteLogDiffs       bool                `json:"write_log_diffs"`
			WriteWatchedIndices []string            `json:"write_watched_indices"`
			WriteIgnoreUsers    []string            `json:"write_ignore_users"`
		} `json:"compliance"`
	}
	// template: https://docs.opensearch.org/latest/im-plugin/index-templates/
	template struct {
		IndexPatterns []string `json:"index_patterns"`
		Priority      int      `json:"priority"`
		Version       int      `json:"version"`
		Template      struct {
			Settings object `json:"settings"`
			Mappings object `json:"mappings"`
			Aliases  object `json:"aliases"`
		} `json:"template"`
	}
)

// index is one that a bulk request has made.
type index struct {
	Template string // that it was made from
	Policy   string // that manages it
	// PolicySequence is the sequence number of the version of the policy that it has.
	PolicySequence int
	fields         map[string]bool // of its mapping
	documents      map[string]object
}

// State is what the domain was told, in a form to compare. Versions are left out.
type State struct {
	Roles        map[string]any
	Mappings     map[string]any
	Audit        any
	Templates    map[string]any
	Policies     map[string]any
	SavedObjects map[string]any
	Indices      map[string]IndexState
}

// IndexState is one index's part of State.
type IndexState struct {
	Template, Policy string
	// Newest says that the index has the newest version of its policy.
	Newest bool
}

// State is a copy.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.domain
	state := State{
		Roles: generic(d.roles), Mappings: generic(d.mappings), Templates: generic(d.templates), SavedObjects: generic(d.saved),
		Policies: map[string]any{}, Indices: map[string]IndexState{},
	}
	if d.audit != nil {
		state.Audit = *d.audit
	}
	for id, p := range d.policies {
		state.Policies[id] = p.policyBody
	}
	for name, i := range d.indices {
		p := d.policies[i.Policy]
		state.Indices[name] = IndexState{i.Template, i.Policy, p != nil && p.sequence == i.PolicySequence}
	}
	return state
}

func generic[T any](values map[string]T) map[string]any {
	out := map[string]any{}
	for key, value := range values {
		out[key] = value
	}
	return out
}

// decode reads a body of known fields, or says how OpenSearch refuses it.
func decode(c *call, into any) *Reply {
	decoder := json.NewDecoder(bytes.NewReader(c.body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = fmt.Errorf("more than one value")
	}
	if contentType := c.Request.Header.Get("Content-Type"); err == nil && contentType != "application/json" {
		return failure(http.StatusNotAcceptable, "media_type_header_exception", fmt.Sprintf("Content-Type header [%s] is not supported", contentType))
	}
	if err != nil {
		return failure(http.StatusBadRequest, "x_content_parse_exception", err.Error())
	}
	return nil
}

func (s *Server) routes() {
	admin := cluster(restAPI)
	s.handle("GET /{$}", cluster("cluster:monitor/main"), func(*call) *Reply {
		return &Reply{http.StatusOK, object{"cluster_name": "111122223333:test", "version": object{"distribution": "opensearch", "number": "2.19.0"}}}
	})
	s.handle("PUT /_plugins/_security/api/roles/{name}", admin, func(c *call) *Reply { return put(c, s.domain.roles) })
	s.handle("PUT /_plugins/_security/api/rolesmapping/{name}", admin, func(c *call) *Reply {
		if _, exists := s.domain.roles[c.PathValue("name")]; !exists {
			return &Reply{http.StatusNotFound, object{"status": "NOT_FOUND", "message": fmt.Sprintf("role '%s' not found.", c.PathValue("name"))}}
		}
		return put(c, s.domain.mappings)
	})
	s.handle("PUT /_plugins/_security/api/audit/config", admin, s.putAudit)
	s.handle("PUT /_index_template/{name}", cluster("indices:admin/index_template/put"), func(c *call) *Reply {
		var t template
		if refusal := decode(c, &t); refusal != nil {
			return refusal
		}
		return s.domain.putTemplate(c.PathValue("name"), t)
	})
	s.handle("POST /_bulk", cluster("indices:data/write/bulk"), s.bulk)
	for _, method := range []string{"GET", "POST"} {
		s.handle(method+" /{index}/_search", s.searched, s.search)
	}
	s.routeISM()
	s.routeDashboards()
}

// putTemplate refuses what OpenSearch 2.19.1 was seen to refuse, in its words.
func (d *domain) putTemplate(name string, t template) *Reply {
	refuse := func(format string, args ...any) *Reply {
		return failure(http.StatusBadRequest, "illegal_argument_exception", fmt.Sprintf(format, args...))
	}
	if t.IndexPatterns == nil {
		return refuse("Required [index_patterns]")
	}
	if len(t.IndexPatterns) == 0 {
		return refuse("There must be at least one pattern, zero given")
	}
	for other, existing := range d.templates {
		if other != name && existing.Priority == t.Priority && overlap(existing.IndexPatterns, t.IndexPatterns) {
			return refuse("index template [%s] has index patterns %v matching patterns from existing templates [%s] with patterns (%[3]s => %v) "+
				"that have the same priority [%d], multiple index templates may not match during index creation, please use a different priority",
				name, t.IndexPatterns, other, existing.IndexPatterns, t.Priority)
		}
	}
	d.templates[name] = t
	return &Reply{http.StatusOK, object{"acknowledged": true}}
}

// overlap says whether a name exists that both lists of patterns match. The patterns here end in their only *, or have none.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool {
		return slices.ContainsFunc(b, func(other string) bool {
			return matches([]string{one}, strings.TrimSuffix(other, "*")) || matches([]string{other}, strings.TrimSuffix(one, "*"))
		})
	})
}

// put creates or replaces what the security plugin keeps under a name. Its words are those of 2.19.1.
func put[T any](c *call, kept map[string]T) *Reply {
	var value T
	if refusal := decode(c, &value); refusal != nil {
		answer := object{"status": "error", "reason": "Request body required for this action."}
		if _, unknown, found := strings.Cut(fmt.Sprint(refusal.Body), "unknown field "); found {
			answer = object{"status": "error", "reason": "Invalid configuration", "invalid_keys": object{"keys": strings.Split(unknown, `"`)[1]}}
		}
		return &Reply{refusal.Status, answer}
	}
	name := c.PathValue("name")
	_, exists := kept[name]
	kept[name] = value
	if exists {
		return &Reply{http.StatusOK, object{"status": "OK", "message": fmt.Sprintf("'%s' updated.", name)}}
	}
	return &Reply{http.StatusCreated, object{"status": "CREATED", "message": fmt.Sprintf("'%s' created.", name)}}
}

// putAudit refuses a change of the fields that a managed domain only lets read:
// https://github.com/opensearch-project/security/blob/main/src/main/java/org/opensearch/security/dlic/rest/api/AuditApiAction.java
func (s *Server) putAudit(c *call) *Reply {
	var config auditConfig
	if refusal := decode(c, &config); refusal != nil {
		return refusal
	}
	if !config.Audit.ExcludeSensitiveHeaders || !config.Compliance.InternalConfig || config.Compliance.ExternalConfig {
		return &Reply{http.StatusConflict, object{"status": "CONFLICT", "message": "Attempted to update read-only property."}}
	}
	s.domain.audit = &config
	return &Reply{http.StatusOK, object{"status": "OK", "message": "'config' updated."}}
}

// bulk answers with 200 whatever becomes of its lines, each of which has a status of its own
// (https://docs.opensearch.org/latest/api-reference/document-apis/bulk/). What a line takes, beside what the request did:
// requiredIndexPermissions in https://github.com/opensearch-project/security/tree/main/src/main/java/org/opensearch/security/privileges;
// an index or a field that it makes is checked as if made by hand (ActionNameMapping or PrivilegesEvaluator, there).
func (s *Server) bulk(c *call) *Reply {
	if kind := c.Request.Header.Get("Content-Type"); kind != "application/json" && kind != "application/x-ndjson" {
		return failure(http.StatusNotAcceptable, "media_type_header_exception", fmt.Sprintf("Content-Type header [%s] is not supported", kind))
	}
	lines := bytes.Split(bytes.TrimSuffix(c.body, []byte("\n")), []byte("\n"))
	var items []object
	failed := false
	for len(lines) > 0 {
		var head map[string]struct {
			Index string `json:"_index"`
			ID    string `json:"_id"`
		}
		if err := json.Unmarshal(lines[0], &head); err != nil || len(head) != 1 {
			return failure(http.StatusBadRequest, "illegal_argument_exception", fmt.Sprintf("Malformed action/metadata line %q", lines[0]))
		}
		lines = lines[1:]
		for operation, target := range head { // the only one
			var document object
			if operation != "delete" {
				if len(lines) == 0 || json.Unmarshal(lines[0], &document) != nil {
					return failure(http.StatusBadRequest, "illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
				}
				lines = lines[1:]
			}
			result := s.write(c.role, operation, target.Index, target.ID, document)
			failed = failed || result.Status >= 300
			item := object{"_index": target.Index, "_id": target.ID, "status": result.Status}
			maps.Copy(item, result.Body.(object))
			items = append(items, object{operation: item})
		}
	}
	return &Reply{http.StatusOK, object{"took": 1, "errors": failed, "items": items}}
}

// write is one line of a bulk request.
func (s *Server) write(role, operation, name, id string, document object) *Reply {
	action, known := map[string]string{"create": "index", "index": "index", "delete": "delete", "update": "update"}[operation]
	if !known {
		return failure(http.StatusBadRequest, "illegal_argument_exception", "unknown action "+operation)
	}
	needs := []permission{{"indices:data/write/bulk[s]", name}, {"indices:data/write/" + action, name}}
	target, exists := s.domain.indices[name]
	if !exists {
		target = s.domain.newIndex(name)
		needs = append([]permission{{"indices:admin/create", name}}, needs...)
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(document)), func(field string) bool { return !target.fields[field] }) {
		needs = append(needs, permission{"indices:admin/mapping/put", name})
	}
	for _, needed := range needs {
		if !s.allowed(role, needed) {
			refused := s.denied(role, needed)
			return &Reply{refused.Status, object{"error": refused.Body.(object)["error"].(object)["root_cause"].([]object)[0]}}
		}
	}
	s.domain.indices[name] = target
	if !exists && target.Policy != "" {
		s.domain.nextSequence() // ISM writes down that it manages the index
	}
	for field := range document {
		target.fields[field] = true
	}
	_, had := target.documents[id]
	switch {
	case operation == "delete":
		delete(target.documents, id)
	case operation == "create" && had:
		return &Reply{http.StatusConflict, object{"error": object{"type": "version_conflict_engine_exception", "reason": "document already exists"}}}
	default:
		target.documents[id] = document
	}
	if had || operation == "delete" {
		return &Reply{http.StatusOK, object{"result": operation}}
	}
	return &Reply{http.StatusCreated, object{"result": "created"}}
}

// newIndex is made from the template and the policy with the highest priority whose patterns match.
func (d *domain) newIndex(name string) *index {
	made := &index{fields: map[string]bool{}, documents: map[string]object{}}
	best := -1
	for id, t := range d.templates {
		if matches(t.IndexPatterns, name) && t.Priority > best {
			best, made.Template = t.Priority, id
		}
	}
	if properties, ok := d.templates[made.Template].Template.Mappings["properties"].(object); ok {
		for field := range properties {
			made.fields[field] = true
		}
	}
	best = -1
	for id, p := range d.policies {
		for _, t := range p.ISMTemplate {
			if matches(t.IndexPatterns, name) && t.Priority > best {
				best, made.Policy, made.PolicySequence = t.Priority, id, p.sequence
			}
		}
	}
	return made
}

// matching are the names of the indices of an expression, sorted.
func (d *domain) matching(expression string) []string {
	patterns := strings.Split(expression, ",")
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.indices)), func(name string) bool { return !matches(patterns, name) })
}

// searched: a search needs its action on every index that it names.
func (s *Server) searched(c *call) []permission {
	expression := c.PathValue("index")
	names := s.domain.matching(expression)
	if len(names) == 0 {
		names = strings.Split(expression, ",")
	}
	var needs []permission
	for _, name := range names {
		needs = append(needs, permission{"indices:data/read/search", name})
	}
	return needs
}

func (s *Server) search(c *call) *Reply {
	hits := []object{}
	for _, name := range s.domain.matching(c.PathValue("index")) {
		documents := s.domain.indices[name].documents
		for _, id := range slices.Sorted(maps.Keys(documents)) {
			hits = append(hits, object{"_index": name, "_id": id, "_source": documents[id]})
		}
	}
	return &Reply{http.StatusOK, object{"hits": object{"total": object{"value": len(hits), "relation": "eq"}, "hits": hits}}}
}
