package logging

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"expense/internal/config"
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
	// priority is that of the index template and of the policy's template. Of those that match a name only the highest applies, and
	// two of one priority may not match the same (https://docs.opensearch.org/latest/im-plugin/index-templates/). It is above what
	// somebody makes without thinking of it, 0 or AWS's example of 100, and above 100 to 344: those are what this program has left
	// for project-* and the like on domains that it set up with daily indices.
	priority = 500
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
	// DataStream is the name of the data stream that the lines go to, and of all that is made for it.
	DataStream string
	// Fields are the names of the fields that are added to every line, and IndexedFields those that applications declare, with
	// their OpenSearch types. No name is in both or has a type of its own in the template.
	Fields        []string
	IndexedFields map[string]string
	// RetentionDays is how many days a line is kept at least, and one more at most.
	RetentionDays int
	// RolloverMiB is the size at which an index is full before its day is over.
	RolloverMiB int
	// Replicas is the number of copies of each index beside the first: 0 on one node, 1 or 2 on more.
	Replicas int
	// AuditLogs configures what the domain publishes as its audit log.
	AuditLogs bool
	// Dashboards loads the saved objects; it needs ReaderRoleARN.
	Dashboards bool
}

// acknowledged is the key by which OpenSearch says that what was asked for has become part of its state.
const acknowledged = "acknowledged"

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
	// Exists is the type of the error that says that what is asked for is there already, which is a success.
	Exists string `json:"exists,omitempty"`
	// Reports is the key of the answer that has to be true; "failures" has to be false, or to be of those that leave an index as it
	// has to be, and "success" may be false if all that failed is there already. Without it a status of 2xx says it all.
	Reports string `json:"reports,omitempty"`
	// Unless keeps it from being sent while the index that is written has a shape, and has the shape looked at after it.
	Unless *writtenShape `json:"unless,omitempty"`
	// EachIndex has it sent to each index of the data stream whose settings the path shows and that has others than the body. One that
	// is blocked stays as it is.
	EachIndex bool `json:"each_index,omitempty"`
	// Objects are sent in place of a body, as the file of an import.
	Objects []object `json:"objects,omitempty"`
}

// writtenShape is what the newest index of a data stream is made after.
type writtenShape struct {
	// Path is that of the mappings of the data stream.
	Path string `json:"path"`
	// Shape is the note that they have to have.
	Shape string `json:"shape"`
}

// SetupDocument is everything that the set-up Job sends to the domain, as the JSON that its script reads: roles and who
// has them, the data stream with its template and its retention, and, where asked for, audit logs and saved objects. The same input gives
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
	stream := in.DataStream
	template, shape, err := indexTemplate(in)
	if err != nil {
		return nil, err
	}
	requests := []setupRequest{
		writerRole(stream),
		roleMapping(stream+"-writer", in.WriterRoleARN),
		readerRole(stream),
		roleMapping(stream+"-reader", in.ReaderRoleARN),
		template,
		withoutHistory(),
		// Before the first index, which gets its policy from it.
		retentionPolicy(stream, in.RetentionDays, in.RolloverMiB),
		dataStream(stream),
		// Before what an index that is blocked stops: a new index, and copies.
		addPolicy("retention of indices without a policy", stream),
		changePolicy(stream),
		rollover(stream, shape),
		addPolicy("retention of the index of the template's shape", stream),
	}
	if in.AuditLogs {
		requests = append(requests, auditLogs())
	}
	if in.Dashboards {
		objects, err := dashboardObjects(savedObjects, stream)
		if err != nil {
			return nil, err
		}
		requests = append(requests, setupRequest{
			Name: "dashboards", Method: "POST", Path: "/_dashboards/api/saved_objects/_import?overwrite=true", Objects: objects, Reports: "success",
		})
	}
	return append(requests, replicas(stream, in.Replicas)), nil
}

// check refuses what would let others in or lock the sidecars out. It looks at what comes from AWS: the settings are checked already.
func (in SetupInput) check() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("set-up of the domain: "+format, args...))
	}
	if in.Endpoint == "" || strings.ContainsAny(in.Endpoint, ":/") {
		problem("endpoint %q: expected a host name without https://", in.Endpoint)
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
	return errors.Join(problems...)
}

// writerRole lets the sidecars add lines to the data stream and do nothing else. OpenSearch's action groups are too wide for that
// (docs/decisions/opensearch-roles.md). The bulk action has a star because the names behind it vary.
func writerRole(stream string) setupRequest {
	return role(stream+"-writer", object{
		"description":         "The log sidecars: add lines to the data stream " + stream,
		"cluster_permissions": []string{"cluster:monitor/main", "indices:data/write/bulk"},
		"index_permissions": []object{{
			"index_patterns":  []string{stream},
			"allowed_actions": []string{"indices:data/write/bulk*", "indices:data/write/index"},
		}},
		"tenant_permissions": []object{},
	})
}

// readerRole lets the dashboards' proxy search the data stream, and see what is saved in OpenSearch Dashboards without changing it.
// It takes the place of AWS's opensearch_dashboards_user, which may write (docs/decisions/opensearch-roles.md).
func readerRole(stream string) setupRequest {
	return role(stream+"-reader", object{
		"description":         "The dashboards' proxy: search the data stream " + stream + " and see what is saved for all",
		"cluster_permissions": []string{"cluster_composite_ops_ro"},
		"index_permissions": []object{
			{
				"index_patterns":  []string{stream},
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

// indexTemplate is what every new index of the data stream is made from
// (https://docs.opensearch.org/latest/im-plugin/data-streams/), and the note in it that tells indices of this shape from others:
// the one that is written shows by it whether it was made from this template. The replicas are no part of the shape, because those of
// an index that exists can be changed.
func indexTemplate(in SetupInput) (setupRequest, string, error) {
	settings, mappings := indexSettings(), indexMappings(in)
	text, err := json.Marshal([]object{settings, mappings})
	if err != nil {
		return setupRequest{}, "", err
	}
	sum := sha256.Sum256(text)
	shape := hex.EncodeToString(sum[:6])
	mappings["_meta"] = object{"shape": shape}
	settings[replicaCount] = in.Replicas
	return setupRequest{
		Name: "index template", Method: "PUT", Path: "/_index_template/" + in.DataStream, Reports: acknowledged,
		Body: object{
			"index_patterns": []string{in.DataStream},
			"priority":       priority,
			"data_stream":    object{"timestamp_field": object{"name": "@timestamp"}},
			"template":       object{"settings": settings, "mappings": mappings},
		},
	}, shape, nil
}

// dataStream makes the data stream with its first index, .ds-STREAM-000001
// (https://docs.opensearch.org/latest/im-plugin/data-streams/). AWS's guide lets the first line make it, which nobody here may.
func dataStream(stream string) setupRequest {
	return setupRequest{
		Name: "data stream", Method: "PUT", Path: "/_data_stream/" + stream, Exists: "resource_already_exists_exception", Reports: acknowledged,
	}
}

// replicas gives the indices that exist as many copies as new ones get, so that a second node guards what was written before it
// (https://docs.opensearch.org/latest/api-reference/index-apis/update-settings/). It goes to one index at a time: of several that
// are named together, one that is blocked keeps the others from it. Blocked are all while the disk is too full for a copy anyway
// (status 429), and those that somebody has made read-only (403).
func replicas(stream string, count int) setupRequest {
	return setupRequest{
		Name: "replicas", Method: "PUT", Path: "/" + stream + "/_settings", Body: object{replicaCount: count}, Reports: acknowledged,
		EachIndex: true,
	}
}

// withoutHistory keeps the index management from writing down what it did in an index a day, more than the indices of most stacks
// (docs/decisions/data-stream.md). AWS lets one change this setting, in this form
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ism.html#ism-diff-settings and
// supported-operations.html#version_api_notes-cs).
func withoutHistory() setupRequest {
	return setupRequest{
		Name: "no history of the index management", Method: "PUT", Path: "/_cluster/settings",
		Body: object{"persistent": object{"plugins.index_state_management.history.enabled": false}}, Reports: acknowledged,
	}
}

// rollover gives the data stream a new index to write to, which is the way of a changed template into a data stream that is
// there. The indices before it stay as they are, and searches go on to find their lines
// (https://docs.opensearch.org/latest/im-plugin/data-streams/).
func rollover(stream, shape string) setupRequest {
	return setupRequest{
		Name: "index of the template's shape", Method: "POST", Path: "/" + stream + "/_rollover", Reports: acknowledged,
		Unless: &writtenShape{Path: "/" + stream + "/_mapping", Shape: shape},
	}
}

// replicaCount is the setting of an index's copies beside the first.
const replicaCount = "index.number_of_replicas"

// indexSettings are an index's settings but for its replicas
// (https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/index-settings/).
func indexSettings() object {
	return object{
		// AWS's default is five, and a shard costs memory whether it is full or not; of logs one holds up to 50 GiB
		// (https://docs.aws.amazon.com/wellarchitected/latest/amazon-opensearch-service-lens/aosperf01-bp01.html).
		"index.number_of_shards": 1,
		// How late a line shows in a search. Each refresh makes a segment that must be merged later: AWS advises a minute where
		// much is written (https://repost.aws/knowledge-center/opensearch-indexing-performance), the default is a second.
		"index.refresh_interval": "10s",
		// Smaller on disk for some CPU. The zstd codecs are faster, but 1.x and 2.x before 2.9 have none
		// (https://docs.opensearch.org/latest/im-plugin/index-codecs/).
		"index.codec": "best_compression",
		// The sidecar sends what fits. Should a value be no number, date or address where the mapping says so, it is left out of
		// the index, and not its line refused (https://docs.opensearch.org/latest/field-types/mapping-parameters/ignore-malformed/).
		"index.mapping.ignore_malformed": true,
	}
}

// indexMappings are the fields that can be searched: the sidecar's own, and what the settings name. No line can bring another:
// OpenSearch looks into no field that has no name here (dynamic: false), and keeps it with its line as it came
// (docs/decisions/data-stream.md).
func indexMappings(in SetupInput) object {
	properties := object{}
	for _, name := range in.Fields {
		properties[name] = mapping("keyword")
	}
	for _, fields := range []map[string]string{config.DocumentFields, in.IndexedFields} {
		for name, kind := range fields {
			if kind != "" {
				properties[name] = mapping(kind)
			}
		}
	}
	return object{"dynamic": false, "properties": properties}
}

// mapping is that of a field of a type. An object is kept and not searched.
func mapping(kind string) object {
	switch kind {
	case "keyword":
		return object{"type": kind, "ignore_above": keywordLength}
	case "object":
		return object{"type": kind, "enabled": false}
	}
	return object{"type": kind}
}

// retentionPolicy rolls the data stream over to a new index every day, or when the index is full, and deletes an index when its last
// line is older than days. Each action is tried again without end, because ISM would give the index up for good otherwise. The names
// of states and actions must stay, or indices that are there do not change to a new policy (docs/decisions/index-retention.md).
func retentionPolicy(stream string, days, rolloverMiB int) setupRequest {
	action := func(name string, arguments object) []object {
		return []object{{name: arguments, "retry": object{"count": 100_000, "backoff": "constant", "delay": "10m"}}}
	}
	return setupRequest{
		Name: "retention policy", Method: "PUT", Path: "/_plugins/_ism/policies/" + stream, Versioned: true,
		Body: object{"policy": object{
			"description":   fmt.Sprintf("Keep log lines for %d days", days),
			"default_state": "hot",
			"states": []object{
				{
					"name":    "hot",
					"actions": action("rollover", object{"min_index_age": "1d", "min_size": fmt.Sprintf("%dmb", rolloverMiB)}),
					"transitions": []object{{
						"state_name": "delete",
						"conditions": object{"min_rollover_age": fmt.Sprintf("%dd", days)},
					}},
				},
				{
					"name":        "delete",
					"actions":     action("delete", object{}),
					"transitions": []object{},
				},
			},
			"ism_template": []object{{"index_patterns": []string{stream}, "priority": priority}},
		}},
	}
}

// addPolicy gives the policy to indices that have none: somebody took it away, or they were made a moment before it
// (docs/decisions/index-retention.md). The answer is 200 with a list of the indices that were left alone.
func addPolicy(name, stream string) setupRequest {
	return setupRequest{
		Name: name, Method: "POST", Path: "/_plugins/_ism/add/" + stream, Body: object{"policy_id": stream}, Reports: "failures",
	}
}

// changePolicy moves the indices that have the policy to its newest version: an index keeps the version that it was given
// (docs/decisions/index-retention.md).
func changePolicy(stream string) setupRequest {
	return setupRequest{
		Name: "retention of indices with a policy", Method: "POST", Path: "/_plugins/_ism/change_policy/" + stream,
		Body: object{"policy_id": stream}, Reports: "failures",
	}
}

// auditLogs makes the domain's audit log say who was refused, who changed which index and who changed the security settings. It
// replaces the configuration as a whole. What is granted is left out: every line that is sent, and every search. The fields that can
// only be read must be there with these values (docs/decisions/audit-logs.md).
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
				"ignore_requests":           []string{},
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

// dashboardObjects are the saved objects of the file, one a line, with the index pattern's title set to the data stream
// (https://docs.opensearch.org/latest/dashboards/management/index-patterns/). The index pattern has no list of fields:
// Dashboards asks the indices for it at every visit, so that what the settings declare is there too. That it may not save the list as
// the reader only shows in the browser's console (index_patterns.ts in https://github.com/opensearch-project/OpenSearch-Dashboards).
func dashboardObjects(file []byte, stream string) ([]object, error) {
	var objects []object
	for number, line := range bytes.Split(bytes.TrimSpace(file), []byte("\n")) {
		var saved object
		if err := json.Unmarshal(line, &saved); err != nil {
			return nil, fmt.Errorf("saved objects of the dashboards, line %d: %w", number+1, err)
		}
		if attributes, ok := saved["attributes"].(object); ok && saved["type"] == "index-pattern" {
			attributes["title"] = stream
		}
		objects = append(objects, saved)
	}
	return objects, nil
}
