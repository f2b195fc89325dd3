package eksctl

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// parents are the fields that enclose a field, the outermost first.
func parents(path string) (out []string) {
	for parent, _ := split(path); parent != ""; parent, _ = split(parent) {
		out = append(out, strings.TrimSuffix(strings.TrimSuffix(parent, ".*"), "[]"))
	}
	slices.Reverse(out)
	return out
}

// reached tells that a field is decided on its own, because its parents' parts are.
func reached(path string) bool {
	return !slices.ContainsFunc(parents(path), func(parent string) bool {
		return !slices.ContainsFunc(table[parent], func(row Row) bool { return row.Decision == Parts })
	})
}

func TestTheTableIsWhole(t *testing.T) {
	used := map[string]bool{}
	for path, rows := range table {
		for i, row := range rows {
			assert.Contains(t, kinds, row.Kind, path)
			assert.Contains(t, []Decision{Carried, Same, Changed, Unsupported, Parts}, row.Decision, path)
			assert.Equal(t, i == len(rows)-1, row.Value == "", "%s: the last row is that of any other value", path)
			if strings.HasPrefix(row.Value, "(") {
				assert.Contains(t, conditions, row.Value, path)
			}
			used[row.Value] = true
			switch row.Decision {
			case Carried:
				assert.NotEmpty(t, row.Here, path)
				if reached(path) {
					assert.Contains(t, carry, path)
				}
			case Changed, Unsupported, Same:
				assert.NotEmpty(t, row.Why, path)
			case Parts:
				assert.Contains(t, []string{"map", "list"}, row.Kind, path)
			}
			if as, inherited := strings.CutPrefix(row.Why, "as "); inherited {
				assert.Contains(t, parents(path), as)
				assert.False(t, reached(path), path)
			}
		}
		for _, parent := range parents(path) {
			assert.Contains(t, table, parent, path)
		}
	}
	for path := range carry {
		assert.True(t, slices.ContainsFunc(table[path], func(r Row) bool { return r.Decision == Carried }), path)
	}
	for name := range conditions {
		assert.True(t, used[name], name)
	}
	for path := range changes {
		assert.Contains(t, table, path)
	}
	for _, a := range assumed {
		assert.Contains(t, table, a.path)
		if a.why == "" {
			assert.Equal(t, Changed, (&conversion{}).row(a.path, &yaml.Node{Kind: yaml.ScalarNode, Value: a.value}).Decision, a.path)
		}
	}
}

// samples are values of each kind.
var samples = map[string][]any{
	"text": {"x"}, "number": {1, 0, 3000000}, "decimal": {0.5}, "bool": {true, false}, "texts": {[]any{"x"}},
	"labels": {map[string]any{"a": "b"}}, "any": {map[string]any{"a": "b"}}, "map": {map[string]any{}}, "list": {[]any{map[string]any{}}},
	"sections": {map[string]any{"a": map[string]any{}}},
}

// put sets a field in what a file means.
func put(in map[string]any, path string, value any) {
	key, rest, deeper := strings.Cut(path, ".")
	name, isList := strings.CutSuffix(key, "[]")
	switch {
	case !deeper:
		in[name] = value
	case isList:
		list, _ := in[name].([]any)
		if len(list) == 0 {
			list = []any{map[string]any{}}
		}
		in[name] = list
		put(list[0].(map[string]any), rest, value)
	default:
		next, is := in[name].(map[string]any)
		if !is {
			next = map[string]any{}
			in[name] = next
		}
		if star, after, ok := strings.Cut(rest, "."); ok && star == "*" {
			element := map[string]any{}
			next["us-east-1a"] = element
			put(element, after, value)
			return
		}
		put(next, rest, value)
	}
}

var index = regexp.MustCompile(`\[[0-9]+\]`)

// Each field, with each of its values in the table and some others, is told of in the table or in an error.
func TestEachFieldIsToldOf(t *testing.T) {
	visited := 0
	for path, rows := range table {
		values := slices.Clone(samples[rows[0].Kind])
		for _, row := range rows {
			switch {
			case row.Value == "" || strings.HasPrefix(row.Value, "("):
			case row.Kind == "texts":
				texts := []any{}
				for _, text := range strings.Split(row.Value, ",") {
					texts = append(texts, text)
				}
				values = append(values, texts)
			case row.Kind == "text":
				values = append(values, row.Value)
			case row.Kind == "number" || row.Kind == "bool":
				var value any
				require.NoError(t, yaml.Unmarshal([]byte(row.Value), &value))
				values = append(values, value)
			}
		}
		for _, value := range values {
			var file map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(seven), &file))
			if strings.HasPrefix(path, "addons[].") {
				put(file, "addons[].name", "coredns")
			}
			put(file, path, value)
			text, err := yaml.Marshal(file)
			require.NoError(t, err)
			told(t, path, string(text))
			visited++
		}
	}
	assert.Greater(t, visited, len(table))
}

// told checks that a file's conversion says something of a field, of one in it or of one around it.
func told(t *testing.T, path, text string) {
	root, problems := read([]byte(text))
	if path != "apiVersion" && path != "kind" {
		require.Empty(t, problems, text)
	}
	if len(problems) > 0 {
		return
	}
	c := convert(root)
	c.complete(nil)
	c.text("eks.yml", nil)
	around := append(parents(path), path)
	says := func(name string) bool {
		name = strings.TrimSuffix(index.ReplaceAllString(name, "[]"), "[]")
		return slices.Contains(around, name) || strings.HasPrefix(name, path+".") || strings.HasPrefix(name, path+"[]")
	}
	ok := slices.ContainsFunc(c.lines, func(l Line) bool { return l.Decision != "" && says(l.Field) }) ||
		slices.ContainsFunc(slices.Concat(c.problems, c.unsupported), func(p Problem) bool { return says(p.Path) })
	switch table[path][0].Kind {
	case "map", "list", "sections": // empty ones say nothing
	default:
		assert.True(t, ok, "nothing is said of %s:\n%s", path, text)
	}
}
