package opensearch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// own are the indices that the node makes for itself.
const own = ".opendistro_security"

// Clean brings the node back to its state after the start, and lets one more backend role do everything, as the master user of a
// managed domain may; "" is none. It leaves what is right: after each change the security plugin reads its whole configuration again,
// which takes longer than all else here.
func (n *Node) Clean(master string) error {
	if err := n.removeStreams(); err != nil {
		return err
	}
	for _, kind := range []string{"roles", "rolesmapping"} {
		made, err := n.Made(kind)
		if err != nil {
			return err
		}
		var patch []map[string]string
		for _, name := range slices.Sorted(maps.Keys(made)) {
			patch = append(patch, map[string]string{"op": "remove", "path": "/" + name})
		}
		if patch != nil {
			if err := n.admin("PATCH", "/_plugins/_security/api/"+kind, patch, nil); err != nil {
				return err
			}
		}
	}
	audit, err := n.Audit()
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(audit, n.audit) {
		if err := n.admin("PUT", "/_plugins/_security/api/audit/config", n.audit, nil); err != nil {
			return err
		}
	}
	const all = "/_plugins/_security/api/rolesmapping/all_access"
	var mapping map[string]struct {
		BackendRoles []string `json:"backend_roles"`
	}
	if err := n.admin("GET", all, nil, &mapping); err != nil {
		return err
	}
	wanted := []string{Admin}
	if master != "" {
		wanted = append(wanted, master)
	}
	if slices.Equal(mapping["all_access"].BackendRoles, wanted) {
		return nil
	}
	return n.admin("PUT", all, map[string]any{"backend_roles": wanted}, nil)
}

// removeStreams removes settings of the whole cluster, data streams and indices, and what they are made from.
func (n *Node) removeStreams() error {
	nothing := map[string]any{"*": nil}
	if err := n.admin("PUT", "/_cluster/settings", map[string]any{"persistent": nothing, "transient": nothing}, nil); err != nil {
		return err
	}
	if err := n.admin("DELETE", "/_data_stream/*", nil, nil); err != nil {
		return err
	}
	var indices []struct{ Index string }
	if err := n.admin("GET", "/_cat/indices?format=json&h=index&expand_wildcards=all", nil, &indices); err != nil {
		return err
	}
	var names []string
	for _, index := range indices {
		if index.Index != own {
			names = append(names, index.Index)
		}
	}
	if names != nil {
		if err := n.admin("DELETE", "/"+strings.Join(names, ","), nil, nil); err != nil {
			return err
		}
	}
	for _, path := range []string{"/_index_template/*", "/_component_template/*", "/_template/*"} {
		if err := n.admin("DELETE", path, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// Made are the roles, or the mappings of roles ("rolesmapping"), that the node did not have when it had started.
func (n *Node) Made(kind string) (map[string]any, error) {
	var all map[string]map[string]any
	if err := n.admin("GET", "/_plugins/_security/api/"+kind, nil, &all); err != nil {
		return nil, err
	}
	made := map[string]any{}
	for name, one := range all {
		if one["reserved"] != true && name != "all_access" {
			made[name] = one
		}
	}
	return made, nil
}

// Audit is the configuration of the audit log.
func (n *Node) Audit() (any, error) {
	var found struct{ Config any }
	err := n.admin("GET", "/_plugins/_security/api/audit", nil, &found)
	return found.Config, err
}

// admin makes a request as Admin that must succeed; its body and the answer's are JSON, and nil is none.
func (n *Node) admin(method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	status, answer, err := n.Do(Admin, method, path, text)
	if err == nil && status != http.StatusOK && status != http.StatusCreated {
		err = fmt.Errorf("opensearch: %s %s: %d %s", method, path, status, answer)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}
