package opensearchtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
	// Dashboards asks for tenants, and for the index of its saved objects; only the master may here.
	s.handle("POST /_dashboards/api/saved_objects/_import", cluster("dashboards"), s.importObjects)
}

// importObjects: https://github.com/opensearch-project/OpenSearch-Dashboards/tree/main/src/core/server/saved_objects,
// routes/import.ts and import/. Of a file with conflicts or missing references nothing is imported, and the status is 200.
func (s *Server) importObjects(c *call) *Reply {
	bad := func(format string, args ...any) *Reply {
		return &Reply{http.StatusBadRequest, object{"statusCode": 400, "error": "Bad Request", "message": fmt.Sprintf(format, args...)}}
	}
	if c.Request.Header.Get("osd-xsrf") == "" {
		return bad("Request must contain a osd-xsrf header.")
	}
	reader, err := c.MultipartReader()
	if err != nil {
		return bad("%v", err)
	}
	part, err := reader.NextPart()
	if err != nil || part.FormName() != "file" {
		return bad("[request body.file]: expected value of type [Stream]")
	}
	if extension := path.Ext(part.FileName()); extension != ".ndjson" {
		return bad("Invalid file extension %s", extension)
	}
	content, err := io.ReadAll(part)
	if err != nil {
		return bad("%v", err)
	}
	if _, err := reader.NextPart(); err != io.EOF {
		return bad("more than the file")
	}

	tenant := c.Request.Header.Get("securitytenant")
	if tenant == "" {
		tenant = "private" // or global: the domain's configuration decides
	}
	key := func(kind, id string) string { return strings.Join([]string{tenant, kind, id}, "/") }
	found := map[string]savedObject{}
	var order []string
	for _, line := range bytes.Split(bytes.TrimSpace(content), []byte("\n")) {
		var saved savedObject
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&saved); err != nil || saved.ID == "" || saved.Type == "" {
			return bad("saved object %q: %v", line, err)
		}
		order = append(order, key(saved.Type, saved.ID))
		found[key(saved.Type, saved.ID)] = saved
	}
	if len(order) != len(found) {
		return bad("Non-unique import objects detected")
	}
	var complaints []object
	for _, k := range order {
		saved := found[k]
		complain := func(what object) {
			complaints = append(complaints, object{"id": saved.ID, "type": saved.Type, "error": what})
		}
		if _, exists := s.domain.saved[k]; exists && c.URL.Query().Get("overwrite") != "true" {
			complain(object{"type": "conflict"})
		}
		for _, reference := range saved.References {
			_, comes := found[key(reference.Type, reference.ID)]
			if _, exists := s.domain.saved[key(reference.Type, reference.ID)]; !exists && !comes {
				complain(object{"type": "missing_references", "references": []object{{"type": reference.Type, "id": reference.ID}}})
			}
		}
	}
	if complaints != nil {
		return &Reply{http.StatusOK, object{"success": false, "successCount": len(order) - len(complaints), "errors": complaints}}
	}
	for k, saved := range found {
		s.domain.saved[k] = object{"attributes": saved.Attributes, "references": saved.References}
	}
	return &Reply{http.StatusOK, object{"success": true, "successCount": len(order)}}
}
