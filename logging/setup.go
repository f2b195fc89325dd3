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
	// setupWaitSeconds is how long the domain may take to answer. AWS has reported it as active before the set-up begins, so more than
	// a few minutes mean that something is wrong.
	setupWaitSeconds = 15 * 60
	// setupDeniedSeconds is how long it may refuse the set-up's role: IAM and the domain's policy need moments to take effect.
	setupDeniedSeconds = 5 * 60
	// keywordLength is the longest value in characters that is indexed. Longer values stay readable in their lines. Lucene refuses a
	// line with a term above 32766 bytes
	// (https://docs.opensearch.org/latest/field-types/supported-field-types/keyword/).
	keywordLength = 1024
	// priority is the priority of the index template and of the policy's template. Only the highest one that matches a name applies, and
	// two of one priority may not match the same name (https://docs.opensearch.org/latest/im-plugin/index-templates/). It is above usual
	// ones, 0 or AWS's example of 100, and above 100 to 344, which this program gave templates of daily indices before.
	priority = 500
)

// SetupInput is the input of the set-up's document.
type SetupInput struct {
	// Endpoint is the domain's, without https://.
	Endpoint string
	Region   string
	// WriterRoleARN is the sidecars' IAM role.
	WriterRoleARN string
	// ReaderRoleARN is the IAM role of the dashboards' proxy; empty without one.
	ReaderRoleARN string
	// DataStream is the name of the data stream of the lines. It starts the names of what is made for it.
	DataStream string
	// Fields are the names of the fields that are added to every line. IndexedFields are the applications' fields with their OpenSearch
	// types. No name is in both or in config.DocumentFields.
	Fields        []string
	IndexedFields map[string]string
	// RetentionDays is the number of days that a line is kept at least. It is kept for one more at most.
	RetentionDays int
	// RolloverMiB is the size at which an index is full before its day is over.
	RolloverMiB int
	// Replicas is the number of copies of each index beside the original: 0 on one node, 1 on more.
	Replicas int
	// AuditLogs configures the domain's audit log.
	AuditLogs bool
	// Dashboards loads the saved objects. It needs ReaderRoleARN.
	Dashboards bool
}

// acknowledged is the key by which OpenSearch says that a change is part of its state.
const acknowledged = "acknowledged"

// object is a JSON object. The encoder sorts its keys, so the same input gives the same bytes.
type object = map[string]any

// setupRequest is one of the set-up's calls. They are made in order, and each may be repeated.
type setupRequest struct {
	// Name is the call's name in error messages.
	Name   string `json:"name"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   object `json:"body,omitempty"`
	// Versioned is for what OpenSearch replaces only if the request names the current version.
	Versioned bool `json:"versioned,omitempty"`
	// Exists is the type of the error for something that exists already, which is a success.
	Exists string `json:"exists,omitempty"`
	// Reports is the key of the answer that must be true. "failures" must be false, or only have failures that leave an index as it should
	// be. "success" may be false if everything that failed exists already. Without Reports a status of 2xx suffices.
	Reports string `json:"reports,omitempty"`
	// Unless skips the request if the newest index has the shape. After the request the shape is checked.
	Unless *writtenShape `json:"unless,omitempty"`
	// EachIndex sends the request to each index of the data stream whose settings differ from the body. A blocked index stays as it is.
	EachIndex bool `json:"each_index,omitempty"`
	// Objects are sent as the file of an import, instead of a body.
	Objects []object `json:"objects,omitempty"`
}

// writtenShape is the shape that the newest index of a data stream should have.
type writtenShape struct {
	// Path is the path of the data stream's mappings.
	Path string `json:"path"`
	// Shape is the note that the mappings should have.
	Shape string `json:"shape"`
}

// SetupDocument is everything that the set-up Job sends to the domain, as JSON for its script: roles and their mappings, the data stream
// with its template and retention, and optionally audit logs and saved objects. The same input gives the same bytes. Their hash is in
// the Job's name.
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

// setupRequests are the calls in their order. Their methods and paths do not depend on AWS's outputs.
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
		// Before the first index, which gets its policy from this template.
		retentionPolicy(stream, in.RetentionDays, in.RolloverMiB),
		dataStream(stream),
		// Before the calls that a blocked index stops: the roll-over and the replicas.
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
	// A mapping reads * and ? as patterns, so such an ARN would let others in
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

// writerRole lets the sidecars only add lines to the data stream. OpenSearch's action groups allow more
// (docs/decisions/opensearch-roles.md). The bulk action has a star because the actions below it vary.
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

// readerRole lets the dashboards' proxy search the data stream and read the saved objects of OpenSearch Dashboards. AWS's
// opensearch_dashboards_user may also write (docs/decisions/opensearch-roles.md).
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

// roleMapping gives the role to one IAM role, which OpenSearch knows as a backend role by its ARN
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html#fgac-access-control). It replaces the whole mapping,
// so others lose the role. With an empty ARN nobody has it.
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

// indexTemplate is the template of new indices of the data stream
// (https://docs.opensearch.org/latest/im-plugin/data-streams/), and the shape: a note in it that identifies indices of this template. The
// replicas are not part of the shape, because those of an existing index can be changed.
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
// (https://docs.opensearch.org/latest/im-plugin/data-streams/). In AWS's guide the first line makes it, but the writer may not.
func dataStream(stream string) setupRequest {
	return setupRequest{
		Name: "data stream", Method: "PUT", Path: "/_data_stream/" + stream, Exists: "resource_already_exists_exception", Reports: acknowledged,
	}
}

// replicas gives existing indices as many copies as new ones get, so that a second node protects older lines too
// (https://docs.opensearch.org/latest/api-reference/index-apis/update-settings/). It is sent to one index at a time, because a blocked
// index would stop a request for several. All are blocked while the disk is too full for a copy (status 429), and an index that
// somebody has made read-only (403).
func replicas(stream string, count int) setupRequest {
	return setupRequest{
		Name: "replicas", Method: "PUT", Path: "/" + stream + "/_settings", Body: object{replicaCount: count}, Reports: acknowledged,
		EachIndex: true,
	}
}

// withoutHistory turns off the index management's history, which would be one index a day: more than all others of most stacks
// (docs/decisions/data-stream.md). AWS allows this setting in this form
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ism.html#ism-diff-settings and
// supported-operations.html#version_api_notes-cs).
func withoutHistory() setupRequest {
	return setupRequest{
		Name: "no history of the index management", Method: "PUT", Path: "/_cluster/settings",
		Body: object{"persistent": object{"plugins.index_state_management.history.enabled": false}}, Reports: acknowledged,
	}
}

// rollover begins a new index in the data stream, so that a changed template takes effect. Older indices stay as they are, and searches
// still find their lines (https://docs.opensearch.org/latest/im-plugin/data-streams/).
func rollover(stream, shape string) setupRequest {
	return setupRequest{
		Name: "index of the template's shape", Method: "POST", Path: "/" + stream + "/_rollover", Reports: acknowledged,
		Unless: &writtenShape{Path: "/" + stream + "/_mapping", Shape: shape},
	}
}

// replicaCount is the setting with the number of an index's copies.
const replicaCount = "index.number_of_replicas"

// indexSettings are an index's settings without its replicas
// (https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/index-settings/).
func indexSettings() object {
	return object{
		// AWS's default is five. Each shard costs memory, and one holds up to 50 GiB of logs
		// (https://docs.aws.amazon.com/wellarchitected/latest/amazon-opensearch-service-lens/aosperf01-bp01.html).
		"index.number_of_shards": 1,
		// The delay of lines in searches. Each refresh makes a segment that must be merged later. AWS advises a minute for heavy writing
		// (https://repost.aws/knowledge-center/opensearch-indexing-performance). The default is a second.
		"index.refresh_interval": "10s",
		// It saves disk for some CPU. The zstd codecs are faster, but versions before 2.9 lack them
		// (https://docs.opensearch.org/latest/im-plugin/index-codecs/).
		"index.codec": "best_compression",
		// The sidecar sends values that fit. A value that still does not is not indexed, and its line is not refused
		// (https://docs.opensearch.org/latest/field-types/mapping-parameters/ignore-malformed/).
		"index.mapping.ignore_malformed": true,
	}
}

// indexMappings are the fields that can be searched: the sidecar's own and the settings'. A line cannot add one: OpenSearch keeps other
// fields with their line and does not index them (dynamic: false, docs/decisions/data-stream.md).
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

// retentionPolicy rolls the data stream over to a new index every day or when the index is full, and deletes an index when its last line
// is older than days. Each action is retried without end, because otherwise ISM gives an index up for good. The names of states and
// actions must stay, or existing indices do not change to a new policy (docs/decisions/index-retention.md).
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

// addPolicy gives the policy to indices without one: somebody removed it, or they were made a moment before it
// (docs/decisions/index-retention.md). The answer is 200 with a list of the indices that it skipped.
func addPolicy(name, stream string) setupRequest {
	return setupRequest{
		Name: name, Method: "POST", Path: "/_plugins/_ism/add/" + stream, Body: object{"policy_id": stream}, Reports: "failures",
	}
}

// changePolicy moves indices with the policy to its newest version. An index keeps the version that it got
// (docs/decisions/index-retention.md).
func changePolicy(stream string) setupRequest {
	return setupRequest{
		Name: "retention of indices with a policy", Method: "POST", Path: "/_plugins/_ism/change_policy/" + stream,
		Body: object{"policy_id": stream}, Reports: "failures",
	}
}

// auditLogs logs who was refused, who changed which index and who changed the security settings. It replaces the whole configuration.
// Granted requests are not logged: they are every line and every search. Read-only fields must have these values
// (docs/decisions/audit-logs.md).
func auditLogs() setupRequest {
	granted := []string{"AUTHENTICATED", "GRANTED_PRIVILEGES"}
	// Dashboards' own user. It reads the saved objects all the time.
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
				// Bodies hold searches and log lines.
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

// dashboardObjects are the saved objects of the file, one a line, with the data stream as the index pattern's title
// (https://docs.opensearch.org/latest/dashboards/management/index-patterns/). The index pattern has no list of fields: at every visit
// Dashboards asks the indices, so the settings' fields are there too. The reader may not save the list, which shows only in the
// browser's console (index_patterns.ts in https://github.com/opensearch-project/OpenSearch-Dashboards).
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
