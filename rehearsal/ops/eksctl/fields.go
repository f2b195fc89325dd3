package eksctl

import (
	_ "embed"
	"encoding/csv"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed fields.csv
var fieldsFile string

//go:embed newer.csv
var newerFile string

// Decision is what becomes of a field.
type Decision string

const (
	// Carried fields become settings.
	Carried Decision = "carried"
	// Same is what the stack is anyway.
	Same Decision = "same"
	// Changed is what the stack does otherwise on purpose.
	Changed Decision = "changed"
	// Unsupported fields are errors.
	Unsupported Decision = "unsupported"
	// Parts are decided field by field.
	Parts Decision = "parts"
)

// Row is a decision on a field, or on one value of it.
type Row struct {
	// Path is the field's: managedNodeGroups[].labels. [] is an element of a list, * a name.
	Path string
	// Kind is what it holds, one of kinds.
	Kind string
	// Value is the one that the row is for. "" is any other, and a text in brackets a condition.
	Value    string
	Decision Decision
	// Here is the setting, Why the reason.
	Here, Why string
}

// Fields are the rows of each field of a ClusterConfig, by path.
func Fields() map[string][]Row { return rows(fieldsFile) }

// Newer are the rows of fields that the newest published module does not have.
func Newer() map[string][]Row { return rows(newerFile) }

// table has all rows.
var table = func() map[string][]Row {
	all := Fields()
	for path, rows := range Newer() {
		all[path] = rows
	}
	return all
}()

// rows panics on a broken file, because the file is part of the program.
func rows(text string) map[string][]Row {
	file := csv.NewReader(strings.NewReader(text))
	file.Comment, file.FieldsPerRecord = '#', 6
	records, err := file.ReadAll()
	if err != nil {
		panic(err)
	}
	all := map[string][]Row{}
	for _, r := range records {
		all[r[0]] = append(all[r[0]], Row{r[0], r[1], r[2], Decision(r[3]), r[4], r[5]})
	}
	return all
}

// keysBelow are the keys of the map at a path, sorted.
func keysBelow(path string) (keys []string) {
	for p := range table {
		if parent, key := split(p); parent == path {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// split gives the path of the map that a field is in, and its key there.
func split(path string) (parent, key string) {
	i := strings.LastIndex(path, ".")
	return path[:max(i, 0)], path[i+1:]
}

// below is the path of a map's key.
func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// row is the decision on a value of a field.
func (c *conversion) row(pattern string, node *yaml.Node) Row {
	all := table[pattern]
	for _, row := range all {
		if condition, ok := conditions[row.Value]; ok && condition(c, node) || row.Value != "" && row.Value == plain(node) {
			return row
		}
	}
	return all[len(all)-1]
}

// plain is a scalar's text, or those of a list, sorted.
func plain(node *yaml.Node) string {
	switch {
	case node.Tag == "!!bool":
		return strings.ToLower(node.Value) // YAML has True and TRUE too
	case node.Kind != yaml.SequenceNode:
		return node.Value
	}
	texts := textsOf(node)
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

// textsOf are the texts of a list.
func textsOf(node *yaml.Node) (texts []string) {
	for _, item := range node.Content {
		texts = append(texts, item.Value)
	}
	return texts
}
