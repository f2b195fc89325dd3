package image

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
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

// edit changes a file's lines with the setting and no others: `pulumi config set` loses comments
// (https://github.com/pulumi/pulumi/issues/423) and order (https://github.com/pulumi/pulumi/issues/3613). It gives an error for a file
// that it cannot change so.
func edit(data []byte, s setting) ([]byte, error) {
	at := strings.Join(append(slices.Clone(s.path), s.key), ".")
	var document yaml.Node
	var want map[string]any
	if err := errors.Join(yaml.Unmarshal(data, &document), yaml.Unmarshal(data, &want)); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, fmt.Errorf("%s: found an empty file", at)
	}
	name, node := (*yaml.Node)(nil), document.Content[0]
	for _, key := range s.path {
		if name, node = child(node, key); node == nil || node.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s: found no map %s; write by hand: %s", at, key, s.line())
		}
	}
	if err := put(want, s); err != nil {
		return nil, err
	}
	for _, changed := range candidates(data, name, node, s) {
		var got map[string]any
		if yaml.Unmarshal(changed, &got) == nil && reflect.DeepEqual(got, want) {
			return changed, nil
		}
	}
	return nil, fmt.Errorf("%s: cannot be set without touching other lines; write by hand: %s", at, s.line())
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

// candidates are changed files, of which those that mean something else than they shall are of no use: YAML gives a value's start only.
func candidates(data []byte, name, node *yaml.Node, s setting) (out [][]byte) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	replace := func(line int, text string) {
		changed := slices.Clone(lines)
		changed[line-1] = []byte(text)
		out = append(out, bytes.Join(changed, nil))
	}
	insert := func(line int, text string) {
		end := "\n"
		if bytes.HasSuffix(lines[0], []byte("\r\n")) {
			end = "\r\n"
		}
		if previous := lines[line-1]; !bytes.HasSuffix(previous, []byte("\n")) {
			text, end = end+text, ""
		}
		out = append(out, bytes.Join(slices.Insert(slices.Clone(lines), line, []byte(text+end)), nil))
	}
	if key, value := child(node, s.key); key != nil {
		row := string(lines[key.Line-1])
		from := offset(row, value.Column)
		if value.Line != key.Line || value.Tag == "!!null" && value.Value == "" {
			from = offset(row, key.Column) + len(key.Value) + 1
			replace(key.Line, row[:from]+" "+flow(s.value)+row[from:])
			return out
		}
		// Ever longer texts in place of the former, until the rest means what it meant.
		for to := from + 1; to <= len(row); to++ {
			replace(key.Line, row[:from]+flow(s.value)+row[to:])
		}
		return out
	}
	if node.Style&yaml.FlowStyle != 0 {
		row := string(lines[node.Line-1])
		from := offset(row, node.Column) + 1
		if len(node.Content) > 0 {
			replace(node.Line, row[:from]+s.line()+", "+row[from:])
		} else {
			replace(node.Line, row[:from]+s.line()+row[from:])
		}
		return out
	}
	text := strings.Repeat(" ", node.Column-1) + s.line()
	if _, value := child(node, s.after); value != nil {
		insert(last(value), text)
	}
	insert(name.Line, text)
	return out
}

// offset is where a column, counted in characters from 1, is in a line.
func offset(row string, column int) int {
	return len(string([]rune(row)[:min(column-1, len([]rune(row)))]))
}

// last is the line on which the last part of a node begins.
func last(node *yaml.Node) int {
	line := node.Line
	for _, part := range node.Content {
		line = max(line, last(part))
	}
	return line
}
