// Package eksctl holds the table of rehearsal/ops/eksctl against the schema of a ClusterConfig that eksctl publishes in its Go module.
package eksctl

import (
	"encoding/csv"
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	// The schema is a file of this module. To compile the package that has it would take all of AWS's SDK.
	api "github.com/weaveworks/eksctl/pkg/apis/eksctl.io"
)

const table = "../../rehearsal/ops/eksctl"

// schema is a part of the JSON schema.
type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 string            `json:"type"`
	Enum                 []any             `json:"enum"`
	Properties           map[string]schema `json:"properties"`
	Items                *schema           `json:"items"`
	AdditionalProperties json.RawMessage   `json:"additionalProperties"`
	OneOf                []schema          `json:"oneOf"`
	AnyOf                []schema          `json:"anyOf"`
	AllOf                []schema          `json:"allOf"`
	Definitions          map[string]schema `json:"definitions"`
}

// published reads the module's schema.
func published(t *testing.T) schema {
	module, err := build.Import("github.com/weaveworks/eksctl/pkg/apis/"+api.GroupName, ".", build.FindOnly)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(module.Dir, "v1alpha5", "assets", "schema.json"))
	require.NoError(t, err)
	var all schema
	require.NoError(t, json.Unmarshal(data, &all))
	return all
}

// walk visits each field with its kind.
type walk struct {
	definitions map[string]schema
	kinds       map[string]string
}

func (w walk) resolve(s schema) schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/definitions/"); ok {
		return w.definitions[name]
	}
	return s
}

func (w walk) fields(path string, s schema) {
	s = w.resolve(s)
	for key, value := range s.Properties {
		at := strings.TrimPrefix(path+"."+key, ".")
		if w.kinds[at] == "" {
			w.kinds[at] = w.kind(value)
			w.fields(at, value)
		}
	}
	if s.Items != nil {
		w.fields(path+"[]", *s.Items)
	}
	if elements, ok := element(s); ok {
		w.fields(path+".*", elements)
	}
	for _, part := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		w.fields(path, part)
	}
}

// element is what a map of names has, if it says so.
func element(s schema) (schema, bool) {
	var out schema
	return out, len(s.AdditionalProperties) > 0 && json.Unmarshal(s.AdditionalProperties, &out) == nil
}

// kind is what the table calls it.
func (w walk) kind(s schema) string {
	if s.Ref == "#/definitions/ARN" { // an object in Go, a text in the file
		return "text"
	}
	s = w.resolve(s)
	elements, ofElements := element(s)
	switch {
	case len(s.Properties) > 0:
		return "map"
	case s.Type == "array" && w.kind(*s.Items) == "text":
		return "texts"
	case s.Type == "array":
		return "list"
	case s.Type == "string" || len(s.Enum) > 0:
		return "text"
	case s.Type == "integer":
		return "number"
	case s.Type == "number":
		return "decimal"
	case s.Type == "boolean":
		return "bool"
	case ofElements && w.kind(elements) == "text":
		return "labels"
	case ofElements && w.kind(elements) == "map":
		return "sections"
	}
	return "any"
}

// rows are a file's kinds by path.
func rows(t *testing.T, name string) map[string]string {
	file, err := os.Open(filepath.Join(table, name))
	require.NoError(t, err)
	defer file.Close()
	list := csv.NewReader(file)
	list.Comment = '#'
	records, err := list.ReadAll()
	require.NoError(t, err)
	kinds := map[string]string{}
	for _, r := range records {
		if kinds[r[0]] != "" {
			assert.Equal(t, kinds[r[0]], r[1], "%s has two kinds", r[0])
		}
		kinds[r[0]] = r[1]
		assert.NotEmpty(t, r[3], "%s has no decision", r[0])
	}
	return kinds
}

func TestEveryFieldOfTheSchemaHasADecision(t *testing.T) {
	all := published(t)
	w := walk{all.Definitions, map[string]string{}}
	w.fields("", w.resolve(all))
	require.Greater(t, len(w.kinds), 400)
	have, newer := rows(t, "fields.csv"), rows(t, "newer.csv")
	for path, kind := range w.kinds {
		if have[path] == "" {
			assert.Fail(t, "a field without a decision", path)
			continue
		}
		if path == "nodeGroups[].taints" { // eksctl takes a map too: taintsWrapper's UnmarshalJSON in types.go
			kind = "any"
		}
		assert.Equal(t, kind, have[path], path)
	}
	for path := range have {
		assert.NotEmpty(t, w.kinds[path], "a decision on %s, which the schema does not have", path)
	}
	for path := range newer {
		assert.Empty(t, w.kinds[path], "%s is in the module by now: move its rows to fields.csv", path)
	}
}
