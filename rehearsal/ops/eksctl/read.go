package eksctl

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
)

const (
	apiVersion = "eksctl.io/v1alpha5"
	kind       = "ClusterConfig"
	// mostValues is the number of values that a file may have, with what its aliases stand for.
	mostValues = 20_000
)

// kinds are the kinds of the table, as an error names them.
var kinds = map[string]string{
	"text": "text", "number": "a whole number", "decimal": "a number", "bool": "true or false", "texts": "a list of texts",
	"labels": "a map of texts", "list": "a list of maps", "map": "a map", "sections": "a map of maps", "any": "a map or list",
}

// Problem is one thing that is wrong with the file.
type Problem struct {
	// Line counts from 1; 0 is the whole file.
	Line int
	// Path is the field's, "" for none.
	Path                   string
	Found, Allowed, Remedy string
}

func (p Problem) String() string {
	text := fmt.Sprintf("found %s; allowed: %s", p.Found, p.Allowed)
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Line > 0 {
		text = fmt.Sprintf("line %d: %s", p.Line, text)
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return printable(text)
}

// reader collects what is wrong with a file.
type reader struct{ problems []Problem }

func (r *reader) add(node *yaml.Node, path, found, allowed, remedy string) {
	r.problems = append(r.problems, Problem{node.Line, path, found, allowed, remedy})
}

// read gives the file's one document, without aliases and of the table's kinds.
func read(data []byte) (*yaml.Node, []Problem) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" ")) // JSON has tabs between values only, and YAML has none there
	}
	var found []*yaml.Node
	for documents := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document yaml.Node
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, []Problem{malformed(data, err)}
		}
		if len(document.Content) > 0 && document.Content[0].Tag != "!!null" {
			found = append(found, document.Content[0])
		}
	}
	switch len(found) {
	case 0:
		return nil, []Problem{{0, "", "an empty file", "a " + kind, ""}}
	case 1:
	default:
		return nil, []Problem{{found[1].Line, "", fmt.Sprintf("%d documents", len(found)), "one " + kind,
			"give each a file of its own"}}
	}
	left := mostValues
	root, err := expand(found[0], &left, 0)
	if err != nil {
		return nil, []Problem{{found[0].Line, "", err.Error(), "maps and lists as eksctl has them", "write it without aliases"}}
	}
	r := &reader{}
	r.header(root)
	if len(r.problems) == 0 || root.Kind == yaml.MappingNode && r.problems[0].Path == "kind" {
		r.check("", "", "map", root)
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
	return root, r.problems
}

var (
	atLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)
	tabbed = regexp.MustCompile(`(?m)^ *\t`)
)

// malformed says what is wrong with a text that is no YAML.
func malformed(data []byte, err error) Problem {
	if at := tabbed.FindIndex(data); at != nil {
		return Problem{1 + bytes.Count(data[:at[0]], []byte("\n")), "", "a tab in front of the text", "spaces",
			"replace each tab by two spaces"}
	}
	line := 0
	if m := atLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	return Problem{line, "", "no YAML: " + atLine.ReplaceAllString(err.Error(), ""), "YAML or JSON",
		"look at that line and the one before it: spaces in front, a colon and a space behind each key, closed quotes"}
}

// expand copies a value, with what its aliases and merge keys stand for.
func expand(node *yaml.Node, left *int, depth int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, fmt.Errorf("more than %d values", mostValues)
	}
	if depth > 100 {
		return nil, errors.New("values more than 100 deep")
	}
	if node.Kind == yaml.AliasNode {
		return expand(node.Alias, left, depth+1)
	}
	out := *node
	out.Content = nil
	var merged []*yaml.Node
	for i, part := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Tag == "!!merge" {
			continue
		}
		if part.Tag == "!!merge" {
			value, err := expand(node.Content[i+1], left, depth+1)
			if err != nil {
				return nil, err
			}
			if value.Kind == yaml.SequenceNode {
				merged = append(merged, value.Content...)
			} else {
				merged = append(merged, value)
			}
			continue
		}
		value, err := expand(part, left, depth+1)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, value)
	}
	for _, from := range merged {
		for i := 0; from.Kind == yaml.MappingNode && i+1 < len(from.Content); i += 2 {
			if child(&out, from.Content[i].Value) == nil {
				out.Content = append(out.Content, from.Content[i:i+2]...)
			}
		}
	}
	return &out, nil
}

// child is the value of a map's key, nil for one that it does not have or that is null.
func child(node *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		var next *yaml.Node
		for i := 0; node != nil && node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key && node.Content[i+1].Tag != "!!null" {
				next = node.Content[i+1]
			}
		}
		node = next
	}
	return node
}

// header checks that the file is one for eksctl.
func (r *reader) header(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		r.add(root, "", kindOf(root), "a "+kind+", a map", "")
		return
	}
	for key, want := range map[string]string{"apiVersion": apiVersion, "kind": kind} {
		switch node := child(root, key); {
		case node == nil:
			r.problems = append(r.problems, Problem{1, key, "nothing", want, "add the line: " + key + ": " + want})
		case node.Value != want:
			r.add(node, key, quote(node.Value), want, "")
		}
	}
}

// check looks at a value of a kind, and at all in it. path is what an error calls it.
func (r *reader) check(pattern, path, kind string, node *yaml.Node) {
	if node.Tag == "!!null" {
		return
	}
	switch kind {
	case "map":
		if r.is(node, yaml.MappingNode, path, kind) {
			r.keys(pattern, path, node)
		}
	case "list":
		if r.is(node, yaml.SequenceNode, path, kind) {
			for i, item := range node.Content {
				at := fmt.Sprintf("%s[%d]", path, i)
				if r.is(item, yaml.MappingNode, at, "map") {
					r.keys(pattern+"[]", at, item)
				}
			}
		}
	case "texts":
		if r.is(node, yaml.SequenceNode, path, kind) {
			for i, item := range node.Content {
				r.scalar(fmt.Sprintf("%s[%d]", path, i), "text", item)
			}
		}
	case "labels", "sections":
		if r.is(node, yaml.MappingNode, path, kind) {
			r.twice(path, node)
			for i := 0; i+1 < len(node.Content); i += 2 {
				key, value := node.Content[i], node.Content[i+1]
				if kind == "labels" {
					r.scalar(below(path, key.Value), "text", value)
				} else if r.is(value, yaml.MappingNode, below(path, key.Value), "map") {
					r.keys(pattern+".*", below(path, key.Value), value)
				}
			}
		}
	case "any":
		if node.Kind == yaml.ScalarNode {
			r.add(node, path, kindOf(node), kinds[kind], "")
		}
	default:
		r.scalar(path, kind, node)
	}
}

// keys checks a map's keys, and what they hold.
func (r *reader) keys(pattern, path string, node *yaml.Node) {
	r.twice(path, node)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		rows, known := table[below(pattern, key.Value)]
		if key.Kind != yaml.ScalarNode || !known {
			known := keysBelow(pattern)
			allowed, remedy := strings.Join(known, ", "), meant(pattern, key.Value, known)
			if remedy != "" {
				allowed = fmt.Sprintf("one of eksctl's %d", len(known))
			}
			r.add(key, below(path, shorten(key.Value)), "an unknown key", allowed, remedy)
			continue
		}
		r.check(below(pattern, key.Value), below(path, key.Value), rows[0].Kind, value)
	}
}

// twice notes keys that a map has more than once.
func (r *reader) twice(path string, node *yaml.Node) {
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if line, again := first[key.Value]; again {
			r.add(key, below(path, shorten(key.Value)), "the key again", fmt.Sprintf("each key once; line %d has it", line), "")
		} else {
			first[key.Value] = key.Line
		}
	}
}

// meant proposes the key that may be meant: the nearest one of the map, or the one place nearest to the top where there is such a key.
func meant(pattern, key string, known []string) string {
	distance := func(other string) int { return levenshtein.Distance(strings.ToLower(key), strings.ToLower(other), nil) }
	if len(known) > 0 {
		nearest := slices.MinFunc(known, func(a, b string) int { return distance(a) - distance(b) })
		if d := distance(nearest); d <= 2 && 2*d <= len(nearest) {
			return "did you mean " + nearest + "?"
		}
	}
	var places []string
	for path := range table {
		if parent, k := split(path); k == key && parent != pattern && !strings.HasPrefix(path, "nodeGroups[]") {
			places = append(places, parent)
		}
	}
	depth := func(path string) int { return strings.Count(path, ".") }
	slices.SortFunc(places, func(a, b string) int { return cmp.Or(depth(a)-depth(b), strings.Compare(a, b)) })
	if len(places) == 1 || len(places) > 1 && depth(places[0]) < depth(places[1]) {
		return "did you mean it below " + strings.TrimSuffix(places[0], "[]") + "?"
	}
	return ""
}

// is notes a value that is no map or list.
func (r *reader) is(node *yaml.Node, want yaml.Kind, path, kind string) bool {
	if node.Kind == want {
		return true
	}
	remedy := ""
	switch {
	case want == yaml.SequenceNode && node.Kind == yaml.ScalarNode:
		remedy = "write it as [" + shorten(node.Value) + "]"
	case want == yaml.SequenceNode && node.Kind == yaml.MappingNode:
		remedy = "begin each element with a dash and a space"
	}
	if path == "" {
		path = "the file"
	}
	r.add(node, path, kindOf(node), kinds[kind], remedy)
	return false
}

// scalar checks a single value.
func (r *reader) scalar(path, kind string, node *yaml.Node) {
	if node.Kind != yaml.ScalarNode {
		remedy := ""
		if kind == "text" && node.Kind == yaml.SequenceNode && len(node.Content) == 1 {
			remedy = "write it without brackets and dashes"
		}
		r.add(node, path, kindOf(node), kinds[kind], remedy)
		return
	}
	_, key := split(path)
	ok, remedy := false, ""
	switch kind {
	case "text":
		if ok = node.Tag == "!!str" || node.Tag == "!!null"; !ok {
			// YAML reads 1.30 as the number 1.3.
			remedy = fmt.Sprintf("put it in quotes: %s: %q", key, shorten(node.Value))
		}
	case "number":
		var n int
		ok = node.Tag == "!!int" && node.Decode(&n) == nil
	case "decimal":
		var n float64
		ok = (node.Tag == "!!int" || node.Tag == "!!float") && node.Decode(&n) == nil
	case "bool":
		if ok = node.Tag == "!!bool"; !ok {
			switch strings.ToLower(node.Value) {
			case "yes", "on", "y", "true", "enabled":
				remedy = fmt.Sprintf("write %s: true", key)
			case "no", "off", "n", "false", "disabled":
				remedy = fmt.Sprintf("write %s: false", key)
			}
		}
	}
	if (kind == "number" || kind == "decimal") && !ok {
		if n, err := strconv.Atoi(node.Value); err == nil {
			remedy = fmt.Sprintf("write it without quotes: %s: %d", key, n)
		}
	}
	if !ok {
		r.add(node, path, found(node), kinds[kind], remedy)
	}
}

// found is a scalar for an error.
func found(node *yaml.Node) string {
	if node.Tag == "!!str" {
		return quote(node.Value) + " (text)"
	}
	return fmt.Sprintf("%s (%s)", shorten(node.Value), kindOf(node))
}

func kindOf(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a map"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	}
	switch node.Tag {
	case "!!null":
		return "no value"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}

func quote(s string) string { return strconv.Quote(shorten(s)) }

// shorten is the first line of a text, and no more than 60 characters.
func shorten(s string) string {
	line, _, cut := strings.Cut(s, "\n")
	if runes := []rune(line); len(runes) > 60 {
		line, cut = string(runes[:60]), true
	}
	if cut {
		line += "..."
	}
	return line
}
