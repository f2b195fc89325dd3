package logging

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

//go:embed files/dashboard.ndjson
var savedObjects []byte

const (
	// setupWaitSeconds is how long the domain may take to answer. AWS has reported it as active before the set-up begins, so
	// that more than a few minutes mean that something is in the way.
	setupWaitSeconds = 15 * 60
	// setupDeniedSeconds is how long it may refuse the set-up's role: IAM and the domain's policy take moments to spread.
	setupDeniedSeconds = 5 * 60
	// keywordLength is the longest value in characters that is indexed. Lucene refuses a term above 32766 bytes, and the
	// line with it; a longer value stays readable in its line
	// (https://docs.opensearch.org/latest/field-types/supported-field-types/keyword/).
	keywordLength = 1024
	// templatePriority is above that of a template somebody makes without thinking of one, 0: of templates that match an
	// index only the highest applies (https://docs.opensearch.org/latest/im-plugin/index-templates/).
	templatePriority = 100
)

// SetupInput is what the documents of the domain depend on.
type SetupInput struct {
	// Endpoint is the domain's, without https://.
	Endpoint string
	Region   string
	// WriterRoleARN is the sidecars' IAM role.
	WriterRoleARN string
	// ReaderRoleARN is the IAM role of the dashboards' proxy; empty without one.
	ReaderRoleARN string
	// IndexPrefix starts the names of the daily indices, PREFIX-YYYY.MM.DD, and names the documents.
	IndexPrefix string
	// RetentionDays is how many days a line is kept at least; its index goes a day later.
	RetentionDays int
	// Replicas is the number of copies of each index beside the first: 0 on one node, 1 or 2 on more.
	Replicas int
	// AuditLogs configures what the domain publishes as its audit log.
	AuditLogs bool
	// Dashboards loads the saved objects; it needs ReaderRoleARN.
	Dashboards bool
}

// object is a JSON object. The encoder sorts its keys, so the same input gives the same bytes.
type object = map[string]any

// setupRequest is one call that the set-up makes; they are made in their order, and each may be made again.
type setupRequest struct {
	// Name is what the set-up calls it when it fails.
	Name   string `json:"name"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   object `json:"body,omitempty"`
	// Versioned is what OpenSearch replaces only for who names the version that is replaced.
	Versioned bool `json:"versioned,omitempty"`
	// AfterFailures sends it only if the answer to the request before it reports failures.
	AfterFailures bool `json:"after_failures,omitempty"`
	// Objects are sent in place of a body, as the file of an import.
	Objects []object `json:"objects,omitempty"`
}

// SetupDocument is everything that the set-up Job sends to the domain, as the JSON that its script reads: roles and who
// has them, the index template, the retention, and, where asked for, audit logs and saved objects. The same input gives
// the same bytes, whose hash names the Job.
func SetupDocument(in SetupInput) ([]byte, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	requests, err := setupRequests(in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Endpoint      string         `json:"endpoint"`
		Region        string         `json:"region"`
		WaitSeconds   int            `json:"wait_seconds"`
		DeniedSeconds int            `json:"denied_seconds"`
		Requests      []setupRequest `json:"requests"`
	}{"https://" + in.Endpoint, in.Region, setupWaitSeconds, setupDeniedSeconds, requests})
}

// setupRequests are the calls in their order. Which calls they are does not depend on what only AWS knows.
func setupRequests(in SetupInput) ([]setupRequest, error) {
	requests := []setupRequest{
		writerRole(in.IndexPrefix),
		roleMapping(in.IndexPrefix+"-writer", in.WriterRoleARN),
		readerRole(in.IndexPrefix),
		roleMapping(in.IndexPrefix+"-reader", in.ReaderRoleARN),
		indexTemplate(in.IndexPrefix, in.Replicas),
	}
	requests = append(requests, retention(in.IndexPrefix, in.RetentionDays)...)
	if in.AuditLogs {
		requests = append(requests, auditLogs())
	}
	if in.Dashboards {
		objects, err := dashboardObjects(savedObjects, in.IndexPrefix)
		if err != nil {
			return nil, err
		}
		requests = append(requests, setupRequest{
			Name: "dashboards", Method: "POST", Path: "/_dashboards/api/saved_objects/_import?overwrite=true", Objects: objects,
		})
	}
	return requests, nil
}

// check finds what would make the set-up lock the sidecars out or delete what must stay; the rest the settings' own rules
// have checked.
func (in SetupInput) check() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("set-up of the domain: "+format, args...))
	}
	if in.Endpoint == "" || strings.ContainsAny(in.Endpoint, ":/") {
		problem("endpoint %q: expected a host name without https://", in.Endpoint)
	}
	if in.Region == "" || in.IndexPrefix == "" {
		problem("region %q, index prefix %q: expected both", in.Region, in.IndexPrefix)
	}
	// A mapping reads * and ? as patterns: such an ARN would let others in
	// (https://docs.opensearch.org/latest/security/access-control/users-roles/).
	if !strings.HasPrefix(in.WriterRoleARN, "arn:") || strings.ContainsAny(in.WriterRoleARN, "*?") {
		problem("writer %q: expected the ARN of one role", in.WriterRoleARN)
	}
	if in.ReaderRoleARN != "" && (!strings.HasPrefix(in.ReaderRoleARN, "arn:") || strings.ContainsAny(in.ReaderRoleARN, "*?")) {
		problem("reader %q: expected the ARN of one role, or nothing", in.ReaderRoleARN)
	}
	if in.Dashboards && in.ReaderRoleARN == "" {
		problem("dashboards without a reader: expected the ARN of the proxy's role")
	}
	if in.RetentionDays < 1 {
		problem("retention of %d days: expected at least 1", in.RetentionDays)
	}
	if in.Replicas < 0 {
		problem("%d replicas: expected 0 or more", in.Replicas)
	}
	return errors.Join(problems...)
}

// indexPattern matches the daily indices of the prefix, and nothing that is not named after it.
func indexPattern(prefix string) string { return prefix + "-*" }

// priority is that of the prefix's templates. OpenSearch and ISM refuse two templates of the same priority whose patterns
// overlap: project-* of a former prefix and project-web-* of a new one. Of two such prefixes one is longer, and it wins
// (addIndexTemplateV2 in
// https://github.com/opensearch-project/OpenSearch/blob/2.19/server/src/main/java/org/opensearch/cluster/metadata/MetadataIndexTemplateService.java
// and findConflictingPolicyTemplates in
// https://github.com/opensearch-project/index-management/blob/2.19/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement/ISMTemplateService.kt).
func priority(prefix string) int { return templatePriority + len(prefix) }

// writerRole lets the sidecars add lines to the indices of the prefix, create the index of the day by it, and add fields
// to its mapping; they read, change and delete nothing. What each call asks for is in the security plugin's evaluator
// (https://github.com/opensearch-project/security/blob/main/src/main/java/org/opensearch/security/privileges/actionlevel/legacy/PrivilegesEvaluator.java):
//   - a bulk request is checked as indices:data/write/bulk for the cluster first, then as indices:data/write/bulk[s] for
//     each index, and each line of it as indices:data/write/index, be it sent to create or to index. So the role could
//     replace a line whose ID it knows; delete and update it cannot, they have actions of their own;
//   - an index that a bulk request makes (indices:admin/auto_create) is checked as indices:admin/create, and the fields that
//     it adds (indices:admin/mapping/auto_put) as indices:admin/mapping/put, in every version since 1.0;
//   - fluentd's one look at the version, GET /, is cluster:monitor/main.
//
// The bulk action has a star because the plugin's own action groups have it: the names behind it vary, and all are bulk.
// Their groups are too wide here: write, crud and cluster_composite_ops delete, read or change aliases
// (https://docs.opensearch.org/latest/security/access-control/default-action-groups/).
func writerRole(prefix string) setupRequest {
	return role(prefix+"-writer", object{
		"description":         "The log sidecars: add lines to the indices " + indexPattern(prefix),
		"cluster_permissions": []string{"cluster:monitor/main", "indices:data/write/bulk"},
		"index_permissions": []object{{
			"index_patterns": []string{indexPattern(prefix)},
			"allowed_actions": []string{
				"indices:admin/create", "indices:admin/mapping/put", "indices:data/write/bulk*", "indices:data/write/index",
			},
		}},
		"tenant_permissions": []object{},
	})
}

// readerRole lets the dashboards' proxy search the indices of the prefix, and see what is saved in OpenSearch Dashboards
// without changing it. It has groups where a newer Dashboards may ask for more of the same: read, and the reading half of
// the composite operations, with which Dashboards fetches several objects and runs several searches at once
// (https://docs.opensearch.org/latest/security/access-control/users-roles/, the read-only user).
//
// AWS asks to map who uses Dashboards to its role opensearch_dashboards_user
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html). This role carries the reading part of
// it in its place: a mapping is replaced as a whole, so that whom somebody mapped there by hand would lose access; that
// role may also write all saved objects; and on domains that were upgraded it has another name
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/rename.html). Its patterns are the names that the
// index of saved objects has had
// (https://github.com/opensearch-project/security/blob/main/src/main/resources/static_config/static_roles.yml).
//
// Nothing can be saved with it, in the private tenant that the plugin gives every user either: a write of one object is a
// bulk request to the cluster first (https://github.com/opensearch-project/security/issues/2336), which it may not make.
func readerRole(prefix string) setupRequest {
	return role(prefix+"-reader", object{
		"description":         "The dashboards' proxy: search the indices " + indexPattern(prefix) + " and see what is saved for all",
		"cluster_permissions": []string{"cluster_composite_ops_ro"},
		"index_permissions": []object{
			{
				"index_patterns":  []string{indexPattern(prefix)},
				"allowed_actions": []string{"read"},
			},
			{
				"index_patterns":  []string{".kibana", ".kibana_*", ".opensearch_dashboards", ".opensearch_dashboards_*"},
				"allowed_actions": []string{"read"},
			},
		},
		"tenant_permissions": []object{{
			"tenant_patterns": []string{"global_tenant"},
			"allowed_actions": []string{"kibana_all_read"},
		}},
	})
}

// role creates or replaces a role (https://docs.opensearch.org/latest/security/access-control/api/#create-role).
func role(name string, body object) setupRequest {
	return setupRequest{Name: "role " + name, Method: "PUT", Path: "/_plugins/_security/api/roles/" + name, Body: body}
}

// roleMapping says which IAM role has the role, which is a backend role to OpenSearch, known by its ARN
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html#fgac-access-control). It replaces the
// mapping as a whole: whoever had the role before loses it, and with an empty ARN nobody has it.
func roleMapping(name, roleARN string) setupRequest {
	backendRoles := []string{}
	if roleARN != "" {
		backendRoles = append(backendRoles, roleARN)
	}
	return setupRequest{
		Name: "who has role " + name, Method: "PUT", Path: "/_plugins/_security/api/rolesmapping/" + name,
		Body: object{"backend_roles": backendRoles, "hosts": []string{}, "users": []string{}},
	}
}

// indexTemplate is what the index of each day is made from (https://docs.opensearch.org/latest/im-plugin/index-templates/).
// It holds for indices made after it: a change shows the next day.
func indexTemplate(prefix string, replicas int) setupRequest {
	return setupRequest{
		Name: "index template", Method: "PUT", Path: "/_index_template/" + prefix,
		Body: object{
			"index_patterns": []string{indexPattern(prefix)},
			"priority":       priority(prefix),
			"template":       object{"settings": indexSettings(replicas), "mappings": indexMappings()},
		},
	}
}

// indexSettings are an index's settings
// (https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/index-settings/).
func indexSettings(replicas int) object {
	return object{
		// AWS's default is five, and a shard costs memory whether it is full or not; of logs one holds up to 50 GiB
		// (https://docs.aws.amazon.com/wellarchitected/latest/amazon-opensearch-service-lens/aosperf01-bp01.html).
		"index.number_of_shards":   1,
		"index.number_of_replicas": replicas,
		// How late a line shows in a search. Each refresh makes a segment that must be merged later: AWS advises a minute where
		// much is written (https://repost.aws/knowledge-center/opensearch-indexing-performance), the default is a second.
		"index.refresh_interval": "10s",
		// Smaller on disk for some CPU. The zstd codecs are faster, but 1.x and 2.x before 2.9 have none
		// (https://docs.opensearch.org/latest/im-plugin/index-codecs/).
		"index.codec": "best_compression",
		// A value that is no number, date or address where the mapping says so is left out of the index, and not its line
		// refused (https://docs.opensearch.org/latest/field-types/mapping-parameters/ignore-malformed/).
		"index.mapping.ignore_malformed": true,
		// Every field is in the state that all nodes hold in memory, for each day's index anew, and a search over all fields
		// has one clause for each, of which 1024 are allowed
		// (https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_AdvancedOptionsStatus.html).
		"index.mapping.total_fields.limit": 1000,
	}
}

// indexMappings are the fields that the sidecars send, and what becomes of those that an application adds to its JSON. A
// field that cannot be indexed must not cost the line, which is kept as it came whatever is indexed of it:
//   - an object is not looked into, so that one application cannot bring thousands of fields by nesting them;
//   - text and booleans share a type that takes any plain value; of another type than the first of its name, a number is
//     indexed as text there, and a text that is no number is left out of a number's index;
//   - a text too long to be a term is left out.
//
// Two cases are left in which OpenSearch refuses a line, with status 400, and the sidecar prints it to its output: an
// object where the same name had a plain value on that day, and a new name when the index has its limit of fields. No
// option leaves only such a field out, and dynamic: false would index nothing of what an application adds
// (https://docs.opensearch.org/latest/mappings/mapping-parameters/dynamic/).
func indexMappings() object {
	properties := object{
		"@timestamp": object{"type": "date"},
		"bytes_sent": object{"type": "long"},
		"connection": object{"type": "long"},
		// What an application logs as JSON, whose names mean something else in each: kept, and not indexed.
		"json":         object{"type": "object", "enabled": false},
		"message":      object{"type": "text"},
		"pid":          object{"type": "integer"},
		"remote_addr":  object{"type": "ip"},
		"request_time": object{"type": "float"},
		"status":       object{"type": "short"},
		// Seconds since 1970, as nginx writes them, where fluentd does not turn them into @timestamp.
		"time": object{"type": "double"},
	}
	for _, name := range []string{
		"cluster", "container", "host", "level", "method", "namespace", "node", "path", "pod", "protocol", "referer",
		"request_id", "stream", "user_agent", "zone",
	} {
		properties[name] = keyword()
	}
	return object{
		"dynamic": true,
		// The first text of a name that looks like a date would make the field a date for all that follow.
		"date_detection": false,
		"dynamic_templates": []object{
			dynamicTemplate("objects", "object", object{"type": "object", "enabled": false}),
			dynamicTemplate("integers", "long", object{"type": "double"}),
			dynamicTemplate("fractions", "double", object{"type": "double"}),
			// A boolean field refuses text; a keyword takes both.
			dynamicTemplate("booleans", "boolean", keyword()),
			dynamicTemplate("strings", "string", keyword()),
		},
		"properties": properties,
	}
}

func keyword() object { return object{"type": "keyword", "ignore_above": keywordLength} }

// dynamicTemplate maps a new field by the type that its first value has in JSON
// (https://docs.opensearch.org/latest/mappings/dynamic-templates/).
func dynamicTemplate(name, jsonType string, mapping object) object {
	return object{name: object{"match_mapping_type": jsonType, "mapping": mapping}}
}

// retention deletes each daily index when all of its lines are older than days: its first line is a day older than its
// last (https://docs.opensearch.org/latest/im-plugin/ism/policies/). The policy attaches itself to indices made after it;
// those that exist are given it, and those that have it are moved to its newest version, because an index keeps the version
// that it was given (https://docs.opensearch.org/latest/im-plugin/ism/api/#update-policy and
// https://github.com/opensearch-project/index-management/issues/813). Both calls answer with 200 and a list of the indices
// that they left alone. Those that have a policy are on the first one's list, and the second is sent only if there are any:
// while no index matches, it fails with 400, "no documents to get" (getManagedIndexMetadata in
// https://github.com/opensearch-project/index-management/blob/2.19/src/main/kotlin/org/opensearch/indexmanagement/indexstatemanagement/transport/action/changepolicy/TransportChangePolicyAction.kt).
func retention(prefix string, days int) []setupRequest {
	policy := object{"policy_id": prefix}
	return []setupRequest{
		{
			Name: "retention policy", Method: "PUT", Path: "/_plugins/_ism/policies/" + prefix, Versioned: true,
			Body: object{"policy": object{
				"description":   fmt.Sprintf("Keep log lines for %d days", days),
				"default_state": "hot",
				"states": []object{
					{
						"name":    "hot",
						"actions": []object{},
						"transitions": []object{{
							"state_name": "delete",
							"conditions": object{"min_index_age": fmt.Sprintf("%dd", days+1)},
						}},
					},
					{
						"name":        "delete",
						"actions":     []object{{"delete": object{}}},
						"transitions": []object{},
					},
				},
				"ism_template": []object{{"index_patterns": []string{indexPattern(prefix)}, "priority": priority(prefix)}},
			}},
		},
		{
			Name: "retention of indices without a policy", Method: "POST", Path: "/_plugins/_ism/add/" + indexPattern(prefix),
			Body: policy,
		},
		{
			Name: "retention of indices with a policy", Method: "POST", Path: "/_plugins/_ism/change_policy/" + indexPattern(prefix),
			Body: policy, AfterFailures: true,
		},
	}
}

// auditLogs makes the domain's audit log say who was refused, who changed which index and who changed the security
// settings themselves; it replaces the configuration as a whole
// (https://docs.opensearch.org/latest/security/audit-logs/index/, AWS's fields and their form in
// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/audit-logs.html).
//
// What is granted is left out: that is every line that is sent and every search. So the sidecars do not log themselves, and
// need not be named as users to ignore, which would also hide the calls they are refused, the very sign of a stolen token.
// Of the rest of their traffic only the fields that bulk requests add to mappings is left out; who changes a mapping by
// hand does it under another name, indices:admin/mapping/put. IAM roles appear in the log by their ARN
// (https://github.com/opensearch-project/OpenSearch/issues/14838).
//
// exclude_sensitive_headers, internal_config and external_config can only be read on a domain: a request that leaves them
// out or has other values than these is answered with 409
// (https://docs.opensearch.org/latest/security/access-control/api/#audit-logs and
// https://github.com/opensearch-project/security/blob/main/src/main/java/org/opensearch/security/dlic/rest/api/AuditApiAction.java).
func auditLogs() setupRequest {
	granted := []string{"AUTHENTICATED", "GRANTED_PRIVILEGES"}
	// Dashboards' own user, who reads its saved objects all the time.
	server := []string{"kibanaserver"}
	return setupRequest{
		Name: "audit logs", Method: "PUT", Path: "/_plugins/_security/api/audit/config",
		Body: object{
			"enabled": true,
			"audit": object{
				"enable_rest":                   true,
				"disabled_rest_categories":      granted,
				"enable_transport":              true,
				"disabled_transport_categories": granted,
				// Bodies hold what people search for and what applications log.
				"log_request_body":          false,
				"resolve_bulk_requests":     false,
				"resolve_indices":           true,
				"exclude_sensitive_headers": true,
				"ignore_users":              server,
				"ignore_requests":           []string{"indices:admin/mapping/auto_put"},
			},
			"compliance": object{
				"enabled":               true,
				"internal_config":       true,
				"external_config":       false,
				"read_metadata_only":    true,
				"read_watched_fields":   object{},
				"read_ignore_users":     server,
				"write_metadata_only":   true,
				"write_log_diffs":       false,
				"write_watched_indices": []string{},
				"write_ignore_users":    server,
			},
		},
	}
}

// dashboardObjects are the saved objects of the file, one a line, with the index pattern's title set to the indices of
// the prefix (https://docs.opensearch.org/latest/dashboards/management/index-patterns/). The index pattern has no list of
// fields: Dashboards asks the indices for it at every visit, so that what applications add is there too; that it may not
// save the list as the reader only shows in the browser's console
// (https://github.com/opensearch-project/OpenSearch-Dashboards/blob/main/src/plugins/data/common/index_patterns/index_patterns/index_patterns.ts).
func dashboardObjects(file []byte, prefix string) ([]object, error) {
	var objects []object
	for number, line := range bytes.Split(bytes.TrimSpace(file), []byte("\n")) {
		var saved object
		if err := json.Unmarshal(line, &saved); err != nil {
			return nil, fmt.Errorf("saved objects of the dashboards, line %d: %w", number+1, err)
		}
		if attributes, ok := saved["attributes"].(object); ok && saved["type"] == "index-pattern" {
			attributes["title"] = indexPattern(prefix)
		}
		objects = append(objects, saved)
	}
	return objects, nil
}
