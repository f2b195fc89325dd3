package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"expense/internal/config"

	"go.yaml.in/yaml/v3"
)

// block are words whose entries have a line each.
var block = []string{"env", "files", "outbound", "iam"}

// words are an app as the stack's file has it, in the order of config.App and without what is not set.
func words(app config.App) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	all := reflect.ValueOf(app)
	for i := range all.NumField() {
		if all.Field(i).IsZero() {
			continue
		}
		key := all.Type().Field(i).Tag.Get("json")
		value := word(all.Field(i))
		if !slices.Contains(block, key) {
			value.Style = yaml.FlowStyle
			if line := key + ": " + encoded(value); len(line) > 120 || strings.Contains(line, "\n") {
				value.Style = 0
			}
			if value.Kind == yaml.ScalarNode {
				value.Style = 0
			}
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
	}
	return out
}

// word is one value, in its short form if it has one.
func word(value reflect.Value) *yaml.Node {
	var in any
	switch v := value.Interface().(type) {
	case config.Replicas:
		if in = v.Min; v.Min != v.Max {
			in = given(v)
		}
	case config.Health:
		if in = v.Path; v != (config.Health{Path: v.Path}) {
			in = given(v)
		}
	case config.Writable:
		if in = v.Path; v.SizeMiB != 0 {
			in = given(v)
		}
	default:
		in = given(v)
	}
	var out yaml.Node
	if node, is := in.(*yaml.Node); is {
		return node
	}
	_ = out.Encode(in) // Texts and numbers can be encoded.
	return &out
}

// given is what is set of a struct, and of those in a map or a list.
func given(in any) *yaml.Node {
	value := reflect.ValueOf(in)
	out := &yaml.Node{Kind: yaml.MappingNode}
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			if field := value.Field(i); !field.IsZero() || value.Type() == reflect.TypeFor[config.AppFile]() && i == 0 {
				out.Content = append(out.Content, scalar(value.Type().Field(i).Tag.Get("json")), word(field))
			}
		}
		out.Style = yaml.FlowStyle
		if value.Type() == reflect.TypeFor[config.AppFile]() {
			out.Style = 0
		}
	case reflect.Map:
		keys := value.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			out.Content = append(out.Content, scalar(key.String()), word(value.MapIndex(key)))
		}
	case reflect.Slice:
		out.Kind = yaml.SequenceNode
		for i := range value.Len() {
			out.Content = append(out.Content, word(value.Index(i)))
		}
	default:
		_ = out.Encode(in)
	}
	return out
}

func scalar(text string) *yaml.Node {
	var out yaml.Node
	_ = out.Encode(text)
	return &out
}

func encoded(node *yaml.Node) string {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	_ = encoder.Encode(node) // It is made of texts and numbers.
	_ = encoder.Close()
	return strings.TrimSuffix(b.String(), "\n")
}

// text is the entry as lines of the file.
func (e *entry) text() string {
	name := scalar(e.name)
	if e.comment != "" {
		name.HeadComment = e.comment
	}
	return encoded(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{name, words(e.app)}})
}

// appsPath leads to the apps in a stack's file.
var appsPath = []string{"config", "expense:workloads", "apps"}

// add puts entries into a stack's file, and touches no other line: comments and order stay. An entry that is there is an error.
func add(data []byte, entries []*entry) ([]byte, error) {
	var document yaml.Node
	var want map[string]any
	if err := errors.Join(yaml.Unmarshal(data, &document), yaml.Unmarshal(data, &want)); err != nil {
		return nil, err
	}
	var texts []string
	for _, e := range entries {
		texts = append(texts, e.text())
	}
	entered := strings.Join(texts, "\n")
	text := entered
	byHand := func(why string) error {
		return fmt.Errorf("workloads.apps: found %s; allowed: a map with a line for each key; write by hand in expense:workloads:\napps:\n%s",
			why, indented(entered, 2))
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil, byHand("no map in the file")
	}
	var there problems
	if err := put(want, text, &there); err != nil {
		return nil, byHand(err.Error())
	}
	if len(there) > 0 {
		return nil, errors.New(strings.Join(there, "\n"))
	}
	node, depth, line := document.Content[0], 0, 0
	for depth < len(appsPath) {
		name, next := child(node, appsPath[depth])
		if name == nil {
			break
		}
		node, line, depth = next, name.Line, depth+1
		if next.Kind != yaml.MappingNode || len(next.Content) == 0 {
			break
		}
	}
	column := 0
	if len(node.Content) > 0 {
		column, line = node.Content[0].Column-1, last(node)
	} else if depth > 0 {
		column = 2 * depth
	}
	for _, key := range slices.Backward(appsPath[depth:]) {
		text = key + ":\n" + indented(text, 2)
	}
	text = indented(text, column)
	all := lines(data)
	end := "\n"
	if len(all) > 0 && strings.HasSuffix(all[0], "\r\n") { // as an editor of Windows leaves it
		end = "\r\n"
	}
	text = strings.ReplaceAll(text+"\n", "\n", end)
	if len(node.Content) == 0 && depth > 0 && line <= len(all) {
		// An empty map, as apps: {}, or nothing.
		all[line-1] = emptyValue.ReplaceAllString(all[line-1], ":$1")
	}
	for ; line <= len(all); line++ {
		changed := strings.Join(slices.Insert(slices.Clone(all), line, text), "")
		if line > 0 && !strings.HasSuffix(all[line-1], "\n") {
			changed = strings.Join(all[:line], "") + end + text
		}
		var got map[string]any
		if yaml.Unmarshal([]byte(changed), &got) == nil && reflect.DeepEqual(got, want) {
			return []byte(changed), nil
		}
	}
	return nil, byHand("a file that cannot be changed without touching other lines")
}

// emptyValue is the value of a key that has nothing in it.
var emptyValue = regexp.MustCompile(`:[ \t]*(?:\{[ \t]*\}|null|~)?([ \t]*(?:#.*)?\r?\n?)$`)

func lines(data []byte) []string {
	return slices.DeleteFunc(strings.SplitAfter(string(data), "\n"), func(l string) bool { return l == "" })
}

// put sets the entries in what the file means.
func put(in map[string]any, text string, there *problems) error {
	for _, key := range appsPath {
		next, is := in[key].(map[string]any)
		if !is && in[key] != nil {
			return fmt.Errorf("%s that is no map", key)
		}
		if next == nil {
			next = map[string]any{}
			in[key] = next
		}
		in = next
	}
	var entries map[string]any
	if err := yaml.Unmarshal([]byte(text), &entries); err != nil {
		return err
	}
	for name, value := range entries {
		if _, is := in[name]; is {
			there.add("workloads.apps."+name, "an entry that is there", "names of apps that are not there",
				"remove it, or take its manifest out of FILE")
		}
		in[name] = value
	}
	slices.Sort(*there)
	return nil
}

func indented(text string, by int) string {
	all := strings.Split(text, "\n")
	for i, line := range all {
		if line != "" {
			all[i] = strings.Repeat(" ", by) + line
		}
	}
	return strings.Join(all, "\n")
}

// last is the line on which the last part of a node begins.
func last(node *yaml.Node) int {
	line := node.Line
	for _, part := range node.Content {
		line = max(line, last(part))
	}
	return line
}
