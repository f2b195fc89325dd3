package opensearchtest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// permission is one action that a request takes, on one index or, with index "", on the cluster. Which of the two an action
// is: https://github.com/opensearch-project/security/blob/main/src/main/java/org/opensearch/security/privileges/PrivilegesEvaluator.java,
// isClusterPerm.
type permission struct{ action, index string }

func cluster(action string) func(*call) []permission {
	return func(*call) []permission { return []permission{{action: action}} }
}

// restAPI is no action: the security plugin's own API is for its administrators
// (https://docs.opensearch.org/latest/security/access-control/api/#access-control-for-the-api).
const restAPI = "restapi"

// actionGroups are those that come with the security plugin and that a log's writer or reader may have:
// https://github.com/opensearch-project/security/blob/main/src/main/resources/static_config/static_action_groups.yml
var actionGroups = map[string][]string{
	"cluster_all":              {"cluster:*"},
	"cluster_monitor":          {"cluster:monitor/*"},
	"cluster_composite_ops":    {"indices:data/write/bulk", "indices:admin/aliases*", "indices:data/write/reindex", "cluster_composite_ops_ro"},
	"cluster_composite_ops_ro": {"indices:data/read/mget", "indices:data/read/msearch", "indices:data/read/mtv", "indices:admin/aliases/exists*", "indices:admin/aliases/get*", "indices:data/read/scroll", "indices:admin/resolve/index"},
	"create_index":             {"indices:admin/create", "indices:admin/mapping/put"},
	"crud":                     {"read", "write"},
	"delete":                   {"indices:data/write/delete*"},
	"get":                      {"indices:data/read/get*", "indices:data/read/mget*"},
	"index":                    {"indices:data/write/index*", "indices:data/write/update*", "indices:admin/mapping/put", "indices:data/write/bulk*"},
	"indices_all":              {"indices:*"},
	"read":                     {"indices:data/read*", "indices:admin/mappings/fields/get*", "indices:admin/resolve/index"},
	"search":                   {"indices:data/read/search*", "indices:data/read/msearch*", "indices:admin/resolve/index", "suggest"},
	"suggest":                  {"indices:data/read/suggest*"},
	"unlimited":                {"*"},
	"write":                    {"indices:data/write*", "indices:admin/mapping/put"},
}

// allowed says whether a role may: the master may do everything, others what the roles allow that have theirs as a backend
// role (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html).
func (s *Server) allowed(role string, needed permission) bool {
	if role == s.master {
		return true
	}
	for name, mapping := range s.domain.mappings {
		granted, exists := s.domain.roles[name]
		if !exists || !matches(mapping.BackendRoles, role) {
			continue
		}
		if needed.index == "" && matches(expand(granted.ClusterPermissions), needed.action) {
			return true
		}
		for _, part := range granted.IndexPermissions {
			if needed.index != "" && matches(part.IndexPatterns, needed.index) && matches(expand(part.AllowedActions), needed.action) {
				return true
			}
		}
	}
	return false
}

// expand replaces action groups by their actions.
func expand(actions []string) []string {
	var expanded []string
	for _, action := range actions {
		if group, is := actionGroups[action]; is {
			expanded = append(expanded, expand(group)...)
		} else {
			expanded = append(expanded, action)
		}
	}
	return expanded
}

// matches says whether one of the patterns, in which * stands for anything and ? for one character, is all of the text.
func matches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		return regexp.MustCompile("^(?s:" + quoted + ")$").MatchString(text)
	})
}

// denied is in the words of 2.19.1.
func (s *Server) denied(role string, needed permission) *Reply {
	if needed.action == restAPI {
		has := slices.DeleteFunc(slices.Sorted(maps.Keys(s.domain.mappings)), func(name string) bool {
			return !matches(s.domain.mappings[name].BackendRoles, role)
		})
		return &Reply{http.StatusForbidden, object{"status": "FORBIDDEN", "message": fmt.Sprintf("No permission to access REST API: User %s with Security "+
			"roles [%s] does not have any role privileged for admin access. No ssl info found in request.", role, strings.Join(has, ", "))}}
	}
	return failure(http.StatusForbidden, "security_exception", fmt.Sprintf("no permissions for [%s] and User [name=%s, backend_roles=[%s], requestedTenant=null]", needed.action, role, role))
}

func noSuchIndex(name string) *Reply {
	return failure(http.StatusNotFound, "index_not_found_exception", fmt.Sprintf("no such index [%s]", name))
}

// failure is an error as OpenSearch writes them.
func failure(status int, kind, reason string) *Reply {
	cause := object{"type": kind, "reason": reason}
	return &Reply{status, object{"error": object{"root_cause": []object{cause}, "type": kind, "reason": reason}, "status": status}}
}
