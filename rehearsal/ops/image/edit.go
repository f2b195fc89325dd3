package image

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// setting is a value for one key of a map in a YAML file.
type setting struct {
	// path leads to the map, key is in it.
	path []string
	key  string
	// value is a text, a number, or a list or map of them.
	value any
	// after is the key behind which a new one goes.
	after string
}

// line is the setting as a line of the file.
func (s setting) line() string { return s.key + ": " + flow(s.value) }

// edit changes a file's lines with the settings and no others: `pulumi config set` loses comments
// (https://github.com/pulumi/pulumi/issues/423) and order (https://github.com/pulumi/pulumi/issues/3613). It gives an error with all
// lines to type by hand for a file that it cannot change so.
func edit(data []byte, settings ...setting) ([]byte, error) {
	changed := data
	for _, s := range settings {
		var err error
		if changed, err = editOne(changed, s); err != nil {
			var byHand strings.Builder
			for _, s := range settings {
				fmt.Fprintf(&byHand, "\n  %s: %s", strings.Join(s.path, "."), s.line())
			}
			return nil, fmt.Errorf("%s.%s: %w; write by hand:%s", strings.Join(s.path, "."), s.key, err, &byHand)
		}
	}
	return changed, nil
}

func editOne(data []byte, s setting) ([]byte, error) {
	var document yaml.Node
	var want map[string]any
	if err := errors.Join(yaml.Unmarshal(data, &document), yaml.Unmarshal(data, &want)); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, errors.New("found an empty file")
	}
	name, node := (*yaml.Node)(nil), document.Content[0]
	for _, key := range s.path {
		if name, node = child(node, key); node == nil || node.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("found no map %s", key)
		}
	}
	if err := put(want, s); err != nil {
		return nil, err
	}
	for _, changed := range append([][]byte{data}, candidates(data, name, node, s)...) {
		var got map[string]any
		if yaml.Unmarshal(changed, &got) == nil && reflect.DeepEqual(got, want) {
			return changed, nil
		}
	}
	return nil, errors.New("cannot be set without touching other lines")
}

// child gives the nodes of a map's key and its value, nil for a key that it does not have.
func child(node *yaml.Node, key string) (name, value *yaml.Node) {
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// put sets the value in what the file means.
func put(in map[string]any, s setting) error {
	for _, key := range s.path {
		next, ok := in[key].(map[string]any)
		if !ok {
			return fmt.Errorf("%s is no map", key)
		}
		in = next
	}
	// As the file would have it: numbers and lists of YAML.
	var value any
	if err := yaml.Unmarshal([]byte(flow(s.value)), &value); err != nil {
		return err
	}
	in[s.key] = value
	return nil
}

// flow is a value on one line.
func flow(value any) string {
	var node yaml.Node
	_ = node.Encode(value) // Texts, numbers, lists and maps can all be encoded.
	if node.Kind != yaml.ScalarNode {
		node.Style = yaml.FlowStyle
	}
	out, _ := yaml.Marshal(&node)
	return strings.TrimSpace(string(out))
}

// lineEnd is where YAML ends a line (https://yaml.org/spec/1.1/#id871136, which go.yaml.in/yaml has).
var lineEnd = regexp.MustCompile(`\r\n|[\n\r\x{85}\x{2028}\x{2029}]`)

// lines are a file's, with their ends.
func lines(data []byte) (out []string) {
	from := 0
	for _, end := range lineEnd.FindAllIndex(data, -1) {
		out = append(out, string(data[from:end[1]]))
		from = end[1]
	}
	return append(out, string(data[from:]))
}

// candidates are changed files, of which those that mean something else than they shall are of no use. Each has one line more, or one
// other value in a line.
func candidates(data []byte, name, node *yaml.Node, s setting) (out [][]byte) {
	all := lines(data)
	replace := func(line, from, to int, text string) {
		row := all[line-1]
		changed := slices.Clone(all)
		changed[line-1] = row[:from] + text + row[to:]
		out = append(out, []byte(strings.Join(changed, "")))
	}
	insert := func(line int, text string) {
		if end := lineEnd.FindString(all[line-1]); end != "" {
			text += end
		} else { // the last line
			text = cmp.Or(lineEnd.FindString(all[0]), "\n") + text
		}
		out = append(out, []byte(strings.Join(slices.Insert(slices.Clone(all), line, text), "")))
	}
	key, value := child(node, s.key)
	switch {
	case key != nil && value.Kind == yaml.ScalarNode && value.Tag == "!!null" && value.Value == "":
		if _, to, ok := written(all, key); ok {
			to += len(toColon.FindString(all[key.Line-1][to:]))
			replace(key.Line, to, to, " "+flow(s.value))
		}
	case key != nil:
		if from, to, ok := written(all, value); ok {
			replace(value.Line, from, to, flow(s.value))
		}
	case node.Style&yaml.FlowStyle != 0:
		if from, ok := offset(all, node); ok && strings.HasPrefix(all[node.Line-1][from:], "{") {
			text := s.line()
			if len(node.Content) > 0 {
				text += ", "
			}
			replace(node.Line, from+1, from+1, text)
		}
	case len(node.Content) > 0:
		text := strings.Repeat(" ", node.Content[0].Column-1) + s.line()
		if _, value := child(node, s.after); value != nil && last(value) <= len(all) {
			insert(last(value), text)
		}
		if name != nil && name.Line <= len(all) {
			insert(name.Line, text)
		}
	}
	return out
}

var (
	toColon  = regexp.MustCompile(`^[ \t]*:`)
	isDouble = regexp.MustCompile(`^"(?:[^"\\]|\\.)*"`)
	isSingle = regexp.MustCompile(`^'(?:[^']|'')*'`)
	isEmpty  = regexp.MustCompile(`^(?:\{[ \t]*\}|\[[ \t]*\])`)
)

// written is where a value is in its line, if it is a text or an empty map or list on one line, without an anchor or a tag.
func written(all []string, node *yaml.Node) (from, to int, ok bool) {
	from, ok = offset(all, node)
	if !ok {
		return 0, 0, false
	}
	rest, found := all[node.Line-1][from:], ""
	switch {
	case node.Kind == yaml.ScalarNode && node.Style == yaml.DoubleQuotedStyle:
		found = isDouble.FindString(rest)
	case node.Kind == yaml.ScalarNode && node.Style == yaml.SingleQuotedStyle:
		found = isSingle.FindString(rest)
	case node.Kind == yaml.ScalarNode && node.Style == 0 && strings.HasPrefix(rest, node.Value):
		found = node.Value
	case node.Kind != yaml.ScalarNode && len(node.Content) == 0:
		found = isEmpty.FindString(rest)
	}
	return from, from + len(found), found != ""
}

// offset is where a node, whose column is counted in characters from 1, begins in its line.
func offset(all []string, node *yaml.Node) (int, bool) {
	if node.Line < 1 || node.Line > len(all) {
		return 0, false
	}
	row := []rune(all[node.Line-1])
	if node.Column < 1 || node.Column > len(row)+1 {
		return 0, false
	}
	return len(string(row[:node.Column-1])), true
}

// last is the line on which the last part of a node begins.
func last(node *yaml.Node) int {
	line := node.Line
	for _, part := range node.Content {
		line = max(line, last(part))
	}
	return line
}
