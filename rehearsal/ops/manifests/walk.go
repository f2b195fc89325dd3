package manifests

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// field is a field of an object that has a value.
type field struct {
	// path is where it is, as spec.containers[0].image. general is what the decisions call it, as spec.containers[].image.
	path, general string
	line          int
	text          string
	// empty is a map or a list without anything in it.
	empty bool
}

// opaque are types that are written as one value.
var opaque = []reflect.Type{
	reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.Time](),
	reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[metav1.FieldsV1](), reflect.TypeFor[[]byte](),
}

// walk compares an object with its type, and notes its fields. The API's own strict reader knows no lines, and stops at a wrong type.
type walk struct {
	o  *object
	ps *problems
}

func (w walk) value(path, general string, node *yaml.Node, t reflect.Type) {
	if node = resolved(node); node.Tag == "!!null" {
		return // as if it were not there
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if path != "" {
		w.o.lines[path] = node.Line
	}
	switch {
	case t == reflect.TypeFor[metav1.FieldsV1]():
		w.leaf(path, general, node)
	case slices.Contains(opaque, t):
		if w.is(path, node, yaml.ScalarNode, "one value") {
			w.leaf(path, general, node)
		}
	case t.Kind() == reflect.Struct:
		if w.is(path, node, yaml.MappingNode, "a map") {
			w.fields(path, general, node, fieldsOf(t))
		}
	case t.Kind() == reflect.Map:
		if w.is(path, node, yaml.MappingNode, "a map") {
			w.entries(path, general, node, t.Elem())
		}
	case t.Kind() == reflect.Slice:
		if w.is(path, node, yaml.SequenceNode, "a list") {
			for i, item := range node.Content {
				w.value(fmt.Sprintf("%s[%d]", path, i), general+"[]", item, t.Elem())
			}
			if len(node.Content) == 0 {
				w.leaf(path, general, node)
			}
		}
	default:
		w.scalar(path, general, node, t)
	}
}

func (w walk) fields(path, general string, node *yaml.Node, known map[string]reflect.Type) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		t, ok := known[key.Value]
		switch at := w.at(key, path); {
		case !ok && key.Value == "<<":
			w.ps.add(at, "the merge key <<", "keys that are written out", "")
		case !ok:
			remedy := ""
			if near := nearest(key.Value, slices.Sorted(maps.Keys(known))); near != "" {
				remedy = "did you mean " + near + "?"
			}
			w.ps.add(at, "the unknown key "+strconv.Quote(key.Value), strings.Join(slices.Sorted(maps.Keys(known)), ", "), remedy)
		case w.once(node, i, at):
			w.value(dotted(path, key.Value), dotted(general, key.Value), node.Content[i+1], t)
		}
	}
	if len(node.Content) == 0 {
		w.leaf(path, general, node)
	}
}

func (w walk) entries(path, general string, node *yaml.Node, t reflect.Type) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if w.once(node, i, w.at(key, path)) {
			w.value(path+"["+key.Value+"]", general+"["+key.Value+"]", node.Content[i+1], t)
		}
	}
	if len(node.Content) == 0 {
		w.leaf(path, general, node)
	}
}

// once notes a key that is there twice.
func (w walk) once(node *yaml.Node, i int, at string) bool {
	for j := 0; j < i; j += 2 {
		if node.Content[j].Value == node.Content[i].Value {
			w.ps.add(at, "the key "+strconv.Quote(node.Content[i].Value)+" again", fmt.Sprintf("each key once; line %d has it",
				node.Content[j].Line), "")
			return false
		}
	}
	return true
}

// former are the words that kubectl's reader takes for true and false (https://yaml.org/type/bool.html).
var former = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$`)

func (w walk) scalar(path, general string, node *yaml.Node, t reflect.Type) {
	allowed, tag := "", ""
	switch t.Kind() {
	case reflect.String:
		allowed, tag = "text", "!!str"
	case reflect.Bool:
		allowed, tag = "true or false", "!!bool"
	case reflect.Int, reflect.Int32, reflect.Int64:
		allowed, tag = "a whole number", "!!int"
	default:
		panic(fmt.Sprintf("manifests: %s has type %s, which no rule reads", general, t))
	}
	if !w.is(path, node, yaml.ScalarNode, allowed) {
		return
	}
	found, remedy := node.Tag, "write "+allowed+" without quotes"
	if found == "!!str" && node.Style == 0 && former.MatchString(node.Value) {
		found = "!!bool"
	}
	if tag == "!!str" {
		remedy = fmt.Sprintf("put it in quotes, as in %s: \"%s\"", path[strings.LastIndex(path, ".")+1:], w.shown(general, node.Value))
	}
	if found != tag {
		w.ps.add(w.at(node, path), w.shown(general, node.Value)+", which is "+nameOf(found), allowed, remedy)
		return
	}
	w.leaf(path, general, node)
}

// is notes a node of another form.
func (w walk) is(path string, node *yaml.Node, kind yaml.Kind, allowed string) bool {
	if node.Kind == kind {
		return true
	}
	w.ps.add(w.at(node, path), nameOf(node.Tag), allowed, "")
	return false
}

func nameOf(tag string) string {
	if name, known := map[string]string{"!!str": "text", "!!bool": "a boolean", "!!int": "a whole number", "!!float": "a number",
		"!!map": "a map", "!!seq": "a list", "!!timestamp": "a time"}[tag]; known {
		return name
	}
	return "a value with a tag of its own" // It may be a secret that begins with an exclamation mark.
}

// shown is a value for a message, unless it may be a secret.
func (w walk) shown(general, value string) string {
	if w.o.kind == "Secret" && strings.Contains(strings.ToLower(general), "data") {
		return "a value"
	}
	return shorten(value)
}

func shorten(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:60]) + "..."
	}
	return text
}

func (w walk) leaf(path, general string, node *yaml.Node) {
	w.o.fields = append(w.o.fields, field{
		path, general, node.Line, w.shown(general, node.Value), node.Kind != yaml.ScalarNode && len(node.Content) == 0,
	})
}

func (w walk) at(node *yaml.Node, path string) string {
	return strings.TrimSuffix(fmt.Sprintf("%s:%d: %s %s: %s", w.o.file, node.Line, w.o.kind, w.o.name, path), ": ")
}

// fieldsOf are a struct's fields by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "":
			maps.Copy(out, fieldsOf(t.Field(i).Type))
		default:
			out[name] = t.Field(i).Type
		}
	}
	return out
}

func dotted(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

// nearest is the name that may be meant by another, or "".
func nearest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(k), nil); d < least && 2*d <= len(k) {
			best, least = k, d
		}
	}
	return best
}
