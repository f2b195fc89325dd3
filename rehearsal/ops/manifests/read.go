package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
)

// kinds are the types that are read, by apiVersion and kind.
var kinds = map[string]reflect.Type{
	"v1 Namespace":                           reflect.TypeFor[corev1.Namespace](),
	"v1 Pod":                                 reflect.TypeFor[corev1.Pod](),
	"v1 Service":                             reflect.TypeFor[corev1.Service](),
	"v1 ConfigMap":                           reflect.TypeFor[corev1.ConfigMap](),
	"v1 Secret":                              reflect.TypeFor[corev1.Secret](),
	"v1 ServiceAccount":                      reflect.TypeFor[corev1.ServiceAccount](),
	"apps/v1 Deployment":                     reflect.TypeFor[appsv1.Deployment](),
	"autoscaling/v1 HorizontalPodAutoscaler": reflect.TypeFor[autoscalingv1.HorizontalPodAutoscaler](),
	"autoscaling/v2 HorizontalPodAutoscaler": reflect.TypeFor[autoscalingv2.HorizontalPodAutoscaler](),
	"networking.k8s.io/v1 NetworkPolicy":     reflect.TypeFor[networkingv1.NetworkPolicy](),
	"policy/v1 PodDisruptionBudget":          reflect.TypeFor[policyv1.PodDisruptionBudget](),
}

// object is one object of a manifest.
type object struct {
	file                        string
	line                        int
	apiVersion, kind, namespace string
	name                        string
	node                        *yaml.Node
	// value is a pointer to the object in the API's type.
	value any
	// lines are those of all fields, and fields are those with a value, in the order of the file.
	lines  map[string]int
	fields []field
	// lacking are the paths that the words of an app do not have.
	lacking []string
}

// root is how the decisions name the object's type: its kind, and the version of one with several.
func (o *object) root() string {
	if o.kind == "HorizontalPodAutoscaler" {
		return o.kind + "/" + strings.TrimPrefix(o.apiVersion, "autoscaling/")
	}
	return o.kind
}

// at is the place of a field for a message: its own line, or that of the nearest one that has it.
func (o *object) at(path string) string {
	for p := path; p != ""; p = parent(p) {
		if line := o.lines[p]; line != 0 {
			return fmt.Sprintf("%s:%d: %s %s: %s", o.file, line, o.kind, o.name, path)
		}
	}
	return fmt.Sprintf("%s:%d: %s %s: %s", o.file, o.line, o.kind, o.name, path)
}

// parent is the path of what has the field.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// problems are what is wrong with the manifests, each one line.
type problems []string

func (ps *problems) add(at, found, allowed, remedy string) {
	line := fmt.Sprintf("%s: found %s; allowed: %s", at, found, allowed)
	if remedy != "" {
		line += "; " + remedy
	}
	*ps = append(*ps, line)
}

// files are the manifests that kubectl reads of a file or a folder, without its subfolders
// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/staging/src/k8s.io/cli-runtime/pkg/resource/builder.go, FileExtensions).
func files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("found no file or folder %s: FILE names the manifests", path)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(entry.Name())) {
			out = append(out, filepath.Join(path, entry.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("found no .yaml, .yml or .json in %s: FILE names a manifest, or a folder with them in it, not below it", path)
	}
	return out, nil
}

// yamlLine is how the YAML reader begins an error.
var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

// read reads all objects of a file. unread has those of kinds that are not read, which do not stop the rest from being looked at.
func read(file string, data []byte, ps, unread *problems) (out []*object) {
	if name, _, _ := strings.Cut(filepath.Base(file), "."); strings.EqualFold(name, "kustomization") {
		unread.add(file, "a kustomization", "manifests", "name as FILE what kustomize writes: kubectl kustomize "+
			shell(filepath.Dir(file))+" >all.yaml")
		return nil
	}
	before := len(*ps)
	defer func() {
		if len(*ps) > before && bytes.Contains(data, []byte("{{")) {
			ps.add(file, "{{, as templates have it", "manifests", "name as FILE what helm writes: helm template CHART >all.yaml")
		}
	}()
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			*ps = append(*ps, syntax(file, data, err))
			return out
		}
		if len(document.Content) == 1 && document.Content[0].Tag != "!!null" {
			if left := mostValues; !light(document.Content[0], &left, 0) {
				ps.add(fmt.Sprintf("%s:%d", file, document.Content[0].Line), fmt.Sprintf("more than %d values, or values more than %d deep",
					mostValues, mostDeep), "objects of the API", "write out what the aliases stand for")
				continue
			}
			out = append(out, readObject(file, document.Content[0], ps, unread)...)
		}
	}
}

// What a document may have, with what its aliases stand for: one that names what it is in has no end.
const (
	mostValues = 1_000_000
	mostDeep   = 100
)

// light tells that a document keeps to that.
func light(node *yaml.Node, left *int, depth int) bool {
	if *left--; *left < 0 || depth > mostDeep {
		return false
	}
	if node.Kind == yaml.AliasNode {
		return light(node.Alias, left, depth+1)
	}
	return !slices.ContainsFunc(node.Content, func(part *yaml.Node) bool { return !light(part, left, depth+1) })
}

// syntax says what is wrong with text that is no YAML. The reader counts some lines from 0.
func syntax(file string, data []byte, err error) string {
	for i, text := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(strings.TrimLeft(text, " "), "\t") && strings.TrimSpace(text) != "" {
			return fmt.Sprintf("%s:%d: found a tab that begins a line; allowed: spaces, as YAML indents with them only", file, i+1)
		}
	}
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Sprintf("%s: found no YAML: %v", file, err)
	}
	if m[1] != "" {
		file += ":" + m[1]
	}
	why := m[2]
	if strings.HasPrefix(why, "unknown anchor") { // It may be a secret.
		why = "an alias without an anchor; put a text that begins with * into quotes"
	}
	return fmt.Sprintf("%s: found no YAML: %s", file, why)
}

// readObject reads one object, or those of a List as kubectl get -o yaml prints them.
func readObject(file string, node *yaml.Node, ps, unread *problems) []*object {
	at := fmt.Sprintf("%s:%d", file, node.Line)
	if node.Kind != yaml.MappingNode {
		ps.add(at, "no map", "an object with apiVersion, kind and metadata", "")
		return nil
	}
	o := &object{file: file, line: node.Line, node: node, lines: map[string]int{}}
	before := len(*ps)
	o.apiVersion, o.kind = text(ps, file, node, "apiVersion"), text(ps, file, node, "kind")
	if len(*ps) > before {
		return nil
	}
	if o.apiVersion == "v1" && o.kind == "List" {
		var out []*object
		if _, items := child(node, "items"); items != nil {
			if items.Kind != yaml.SequenceNode && items.Tag != "!!null" {
				ps.add(fmt.Sprintf("%s:%d: List: items", file, items.Line), nameOf(items.Tag), "a list of objects", "")
				return nil
			}
			for _, item := range items.Content {
				out = append(out, readObject(file, resolved(item), ps, unread)...)
			}
		}
		return out
	}
	kind, known := kinds[o.apiVersion+" "+o.kind]
	if !known {
		unknownKind(at, o, ps, unread)
		return nil
	}
	if _, meta := child(node, "metadata"); meta != nil {
		if _, name := child(meta, "name"); name != nil {
			o.name = name.Value
		}
		if _, namespace := child(meta, "namespace"); namespace != nil {
			o.namespace = namespace.Value
		}
	}
	w := walk{o, ps}
	w.value("", "", node, kind)
	if len(*ps) > before {
		return nil
	}
	if o.name == "" {
		ps.add(o.at("metadata"), "no name", "a name", "")
		return nil
	}
	if err := o.decode(kind); err != nil {
		ps.add(at, fmt.Sprintf("what the API's type %s does not take: %v", kind, err), "what kubectl explain "+o.kind+" says", "")
		return nil
	}
	if o.names(ps); len(*ps) > before {
		return nil
	}
	return []*object{o}
}

// names checks names and keys as the API server does, which may not be there: they go into messages, commands and Go.
func (o *object) names(ps *problems) {
	check := func(path, found string, refused []string) {
		if len(refused) > 0 {
			ps.add(o.at(path), strconv.Quote(found), "what the API server takes: "+strings.Join(refused, ", "), "")
		}
	}
	check("metadata.name", o.name, validation.IsDNS1123Subdomain(o.name))
	if o.namespace != "" {
		check("metadata.namespace", o.namespace, validation.IsDNS1123Label(o.namespace))
	}
	for _, f := range o.fields {
		at, key, is := strings.Cut(strings.TrimSuffix(f.path, "]"), "[")
		switch at {
		case "metadata.annotations", "metadata.labels", template + "metadata.annotations", template + "metadata.labels":
			if is {
				check(f.path, key, validation.IsQualifiedName(strings.ToLower(key)))
			}
		case "data", "stringData", "binaryData":
			if is {
				check(f.path, key, validation.IsConfigMapKey(key))
			}
		}
	}
}

// decode fills the object's value.
func (o *object) decode(kind reflect.Type) error {
	var value any
	if err := o.node.Decode(&value); err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	o.value = reflect.New(kind).Interface()
	strict, err := kjson.UnmarshalStrict(data, o.value)
	return errors.Join(append(strict, err)...)
}

// text is a key of the object that has to be text.
func text(ps *problems, file string, node *yaml.Node, key string) string {
	name, value := child(node, key)
	if value != nil && value.Kind == yaml.ScalarNode && value.Tag == "!!str" && value.Value != "" {
		return value.Value
	}
	at, found, remedy := fmt.Sprintf("%s:%d: %s", file, node.Line, key), "nothing", ""
	if name != nil {
		at, found = fmt.Sprintf("%s:%d: %s", file, name.Line, key), "no text"
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if k := node.Content[i]; k.Value != key && strings.EqualFold(k.Value, key) {
			at, found = fmt.Sprintf("%s:%d", file, k.Line), "the unknown key "+k.Value
			remedy = "did you mean " + key + "?"
		}
	}
	ps.add(at, found, "the key "+key+", as in "+map[string]string{"apiVersion": "apiVersion: v1", "kind": "kind: Pod"}[key], remedy)
	return ""
}

// lifecycle is what the API's former types say of themselves.
type lifecycle interface {
	APILifecycleRemoved() (major, minor int)
	APILifecycleReplacement() schema.GroupVersionKind
}

// unknownKind says what is meant by a kind that is not read, or by a version that is gone.
func unknownKind(at string, o *object, ps, unread *problems) {
	var known []string
	for name, kind := range kinds {
		known = append(known, kind.Name())
		if version, _, _ := strings.Cut(name, " "); kind.Name() == o.kind && version != "autoscaling/v1" {
			former := ""
			if group, err := schema.ParseGroupVersion(o.apiVersion); err == nil {
				if value, err := scheme.Scheme.New(group.WithKind(o.kind)); err == nil {
					if gone, is := value.(lifecycle); is {
						major, minor := gone.APILifecycleRemoved()
						former = fmt.Sprintf(", which Kubernetes %d.%d removed", major, minor)
						version = gone.APILifecycleReplacement().GroupVersion().String()
					}
				}
			}
			ps.add(at+": apiVersion", strconv.Quote(o.apiVersion)+former, version+" for "+o.kind, "write apiVersion: "+version+
				"; kubectl explain "+o.kind+" has its fields")
			return
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	if near := nearest(o.kind, known); near != "" {
		ps.add(at+": kind", strconv.Quote(o.kind), strings.Join(known, ", "), "did you mean "+near+"?")
		return
	}
	remedy := "write what it does in Go, or leave it out of FILE and apply it with kubectl"
	if strings.HasPrefix(o.apiVersion, "eksctl.io/") {
		remedy = "make from-eksctl reads it"
	}
	unread.add(at+": kind", strconv.Quote(o.kind), strings.Join(known, ", "), remedy)
}

// child gives the nodes of a map's key and its value, nil for a key that it does not have.
func child(node *yaml.Node, key string) (name, value *yaml.Node) {
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], resolved(node.Content[i+1])
		}
	}
	return nil, nil
}

func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
