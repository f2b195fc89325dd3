package opensearchtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
)

// savedObject: https://github.com/opensearch-project/OpenSearch-Dashboards/blob/main/src/core/server/saved_objects/types.ts
type savedObject struct {
	ID               string            `json:"id"`
	Type             string            `json:"type"`
	Attributes       object            `json:"attributes"`
	MigrationVersion map[string]string `json:"migrationVersion"`
	Version          string            `json:"version"`
	UpdatedAt        string            `json:"updated_at"`
	References       []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"references"`
}

func (s *Server) routeDashboards() {
	s.handle("POST /_dashboards/api/saved_objects/_import", s.importObjects)
	s.handle("POST /_dashboards/internal/search/opensearch", s.searchLogs)
}

// foreign refuses what another web page could send: a request that is no reading needs one of two headers
// (https://github.com/opensearch-project/OpenSearch-Dashboards/blob/main/src/core/server/http/lifecycle_handlers.ts).
func foreign(c *call) *Reply {
	if c.Request.Header.Get("osd-xsrf") == "" && c.Request.Header.Get("osd-version") == "" {
		return badRequest("Request must contain a osd-xsrf header.")
	}
	return nil
}

// badRequest is an error as Dashboards writes them.
func badRequest(format string, args ...any) *Reply {
	return &Reply{http.StatusBadRequest, object{"statusCode": 400, "error": "Bad Request", "message": fmt.Sprintf(format, args...)}}
}

// searchLogs is how a browser searches: Dashboards asks OpenSearch in the user's name, and writes the number of hits as a number
// (https://github.com/opensearch-project/OpenSearch-Dashboards/tree/main/src/plugins/data/server/search, routes/search.ts,
// routes/shim_hits_total.ts and opensearch_search/opensearch_search_strategy.ts).
func (s *Server) searchLogs(c *call) *Reply {
	if refusal := foreign(c); refusal != nil {
		return refusal
	}
	var sent struct {
		Params struct {
			Index string          `json:"index"`
			Body  json.RawMessage `json:"body"`
		} `json:"params"`
	}
	if err := json.Unmarshal(c.body, &sent); err != nil {
		return badRequest("%v", err)
	}
	status, answer, err := s.Node.Do(c.role, "POST", "/"+sent.Params.Index+"/_search", sent.Params.Body)
	if err != nil {
		return &Reply{http.StatusServiceUnavailable, object{"message": err.Error()}}
	}
	var found object
	if status != http.StatusOK || json.Unmarshal(answer, &found) != nil {
		return &Reply{status, object{"statusCode": status, "error": http.StatusText(status), "message": string(answer)}}
	}
	if hits, is := found["hits"].(object); is {
		if total, is := hits["total"].(object); is {
			hits["total"] = total["value"]
		}
	}
	return &Reply{http.StatusOK, object{"isPartial": false, "isRunning": false, "rawResponse": found}}
}

// importObjects: https://github.com/opensearch-project/OpenSearch-Dashboards/tree/main/src/core/server/saved_objects,
// routes/import.ts and import/. Of a file with conflicts or missing references nothing is imported, and the status is 200.
func (s *Server) importObjects(c *call) *Reply {
	if c.role != s.master { // Dashboards' tenants and its index are left out
		return &Reply{http.StatusForbidden, object{"statusCode": 403, "error": "Forbidden", "message": "no permission for the saved objects"}}
	}
	if refusal := foreign(c); refusal != nil {
		return refusal
	}
	if err := c.ParseMultipartForm(1 << 20); err != nil {
		return badRequest("%v", err)
	}
	files := c.MultipartForm.File["file"]
	if len(files) != 1 || len(c.MultipartForm.File)+len(c.MultipartForm.Value) != 1 {
		return badRequest("[request body.file]: expected value of type [Stream]")
	}
	if extension := path.Ext(files[0].Filename); extension != ".ndjson" {
		return badRequest("Invalid file extension %s", extension)
	}
	file, err := files[0].Open()
	if err != nil {
		return badRequest("%v", err)
	}
	defer func() { _ = file.Close() }()

	tenant := c.Request.Header.Get("securitytenant")
	if tenant == "" {
		tenant = "private" // or global: the domain's configuration decides
	}
	key := func(kind, id string) string { return strings.Join([]string{tenant, kind, id}, "/") }
	found := map[string]savedObject{}
	var order []string
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	for decoder.More() {
		var saved savedObject
		if err := decoder.Decode(&saved); err != nil || saved.ID == "" || saved.Type == "" {
			return badRequest("saved object %+v: %v", saved, err)
		}
		order = append(order, key(saved.Type, saved.ID))
		found[key(saved.Type, saved.ID)] = saved
	}
	if len(order) != len(found) {
		return badRequest("Non-unique import objects detected")
	}
	var complaints []object
	for _, k := range order {
		saved := found[k]
		complain := func(what object) {
			complaints = append(complaints, object{"id": saved.ID, "type": saved.Type, "error": what})
		}
		if _, exists := s.saved[k]; exists && c.URL.Query().Get("overwrite") != "true" {
			complain(object{"type": "conflict"})
		}
		for _, reference := range saved.References {
			_, comes := found[key(reference.Type, reference.ID)]
			if _, exists := s.saved[key(reference.Type, reference.ID)]; !exists && !comes {
				complain(object{"type": "missing_references", "references": []object{{"type": reference.Type, "id": reference.ID}}})
			}
		}
	}
	if complaints != nil {
		return &Reply{http.StatusOK, object{"success": false, "successCount": len(order) - len(complaints), "errors": complaints}}
	}
	for k, saved := range found {
		s.saved[k] = object{"attributes": saved.Attributes, "references": saved.References}
	}
	return &Reply{http.StatusOK, object{"success": true, "successCount": len(order)}}
}
