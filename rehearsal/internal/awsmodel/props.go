package awsmodel

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// props reads a property map the way a rule wants it: by dotted path, with a zero value for what is absent or, in a
// preview, not known yet. It never holds secrets, outputs or "__" bookkeeping keys; see plain.
type props struct{ m resource.PropertyMap }

// plain strips what only the Pulumi engine needs (secret and output wrappers, keys that begin with "__"), so that rules
// compare values and nothing else.
func plain(m resource.PropertyMap) props {
	out := resource.PropertyMap{}
	for k, v := range m {
		if strings.HasPrefix(string(k), "__") {
			continue
		}
		if v := plainValue(v); !v.IsNull() {
			out[k] = v
		}
	}
	return props{out}
}

func plainValue(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsSecret():
		return plainValue(v.SecretValue().Element)
	case v.IsOutput():
		if !v.OutputValue().Known {
			return resource.MakeComputed(resource.NewStringProperty(""))
		}
		return plainValue(v.OutputValue().Element)
	case v.IsResourceReference():
		id, _ := v.ResourceReferenceValue().IDString()
		return resource.NewStringProperty(id)
	case v.IsArray():
		items := make([]resource.PropertyValue, 0, len(v.ArrayValue()))
		for _, e := range v.ArrayValue() {
			items = append(items, plainValue(e))
		}
		return resource.NewArrayProperty(items)
	case v.IsObject():
		return resource.NewObjectProperty(plain(v.ObjectValue()).m)
	}
	return v
}

// value finds a dotted path; list items are not addressable by it (see objs).
func (p props) value(path string) resource.PropertyValue {
	head, rest, nested := strings.Cut(path, ".")
	v, ok := p.m[resource.PropertyKey(head)]
	if !ok {
		return resource.NewNullProperty()
	}
	if !nested {
		return v
	}
	if v.IsObject() {
		return props{v.ObjectValue()}.value(rest)
	}
	if v.IsComputed() {
		return v // everything below an unknown is unknown
	}
	return resource.NewNullProperty()
}

func (p props) has(path string) bool     { return !p.value(path).IsNull() }
func (p props) unknown(path string) bool { return p.value(path).ContainsUnknowns() }

func (p props) str(path string) string {
	if v := p.value(path); v.IsString() {
		return v.StringValue()
	}
	return ""
}

func (p props) num(path string) float64 {
	if v := p.value(path); v.IsNumber() {
		return v.NumberValue()
	}
	return 0
}

// flag reads a boolean with the default that AWS has for it.
func (p props) flag(path string, byDefault bool) bool {
	if v := p.value(path); v.IsBool() {
		return v.BoolValue()
	}
	return byDefault
}

func (p props) strs(path string) []string {
	v := p.value(path)
	if !v.IsArray() {
		return nil
	}
	var out []string
	for _, e := range v.ArrayValue() {
		if e.IsString() {
			out = append(out, e.StringValue())
		}
	}
	return out
}

func (p props) objs(path string) []props {
	v := p.value(path)
	if !v.IsArray() {
		return nil
	}
	var out []props
	for _, e := range v.ArrayValue() {
		if e.IsObject() {
			out = append(out, props{e.ObjectValue()})
		}
	}
	return out
}

func (p props) strMap(path string) map[string]string {
	v := p.value(path)
	if !v.IsObject() {
		return nil
	}
	out := map[string]string{}
	for k, e := range v.ObjectValue() {
		if e.IsString() {
			out[string(k)] = e.StringValue()
		}
	}
	return out
}

// set writes one top-level output.
func (p props) set(key string, v any) { p.m[resource.PropertyKey(key)] = resource.NewPropertyValue(v) }

// setDefault writes an output that AWS fills in when the program leaves it out.
func (p props) setDefault(key string, v any) {
	if !p.has(key) {
		p.set(key, v)
	}
}

// Change is one difference between old and new inputs.
type Change struct {
	// Path is the property path in Pulumi's notation, for example scalingConfig.desiredSize or taints[0].key.
	Path string
	// Kind is add, delete or update.
	Kind string
	// Replaces tells that this change cannot be made in place.
	Replaces bool
}

// Top is the input that the change is in, for example scalingConfig.
func (c Change) Top() string {
	if i := strings.IndexAny(c.Path, ".["); i > 0 {
		return c.Path[:i]
	}
	return c.Path
}

// diff lists the differences between two input maps. A null, an empty list and an absent property are the same thing to
// the provider, and so are two JSON documents that only differ in layout
// (pulumi-terraform-bridge, TransformJSONDocument).
func diff(olds, news props) []Change {
	var out []Change
	diffMaps("", olds.m, news.m, &out)
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func diffMaps(prefix string, olds, news resource.PropertyMap, out *[]Change) {
	keys := map[resource.PropertyKey]bool{}
	for k := range olds {
		keys[k] = true
	}
	for k := range news {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		path := string(k)
		if strings.ContainsAny(path, `.["`) {
			quoted, _ := json.Marshal(path)
			path = "[" + string(quoted) + "]"
		} else if prefix != "" {
			path = "." + path
		}
		diffValues(prefix+path, olds[k], news[k], out)
	}
}

func diffValues(path string, o, n resource.PropertyValue, out *[]Change) {
	switch {
	case empty(o) && empty(n):
	case empty(o):
		*out = append(*out, Change{Path: path, Kind: "add"})
	case empty(n):
		*out = append(*out, Change{Path: path, Kind: "delete"})
	case o.IsObject() && n.IsObject():
		diffMaps(path, o.ObjectValue(), n.ObjectValue(), out)
	case o.IsArray() && n.IsArray() && !n.ContainsUnknowns():
		if !sameList(path, o.ArrayValue(), n.ArrayValue()) {
			diffLists(path, o.ArrayValue(), n.ArrayValue(), out)
		}
	case o.IsString() && n.IsString() && sameJSON(o.StringValue(), n.StringValue()):
	case !o.DeepEquals(n):
		*out = append(*out, Change{Path: path, Kind: "update"})
	}
}

func empty(v resource.PropertyValue) bool {
	return v.IsNull() || v.IsArray() && len(v.ArrayValue()) == 0 || v.IsObject() && len(v.ObjectValue()) == 0
}

// sameList compares lists of strings as sets, because Terraform's schema declares them so; the instance types of a node
// group are the exception, their order is their priority.
func sameList(path string, a, b []resource.PropertyValue) bool {
	if len(a) != len(b) {
		return false
	}
	strs := func(in []resource.PropertyValue) ([]string, bool) {
		var out []string
		for _, v := range in {
			if !v.IsString() {
				return nil, false
			}
			out = append(out, v.StringValue())
		}
		if path != "instanceTypes" {
			slices.Sort(out)
		}
		return out, true
	}
	x, okX := strs(a)
	y, okY := strs(b)
	if okX && okY {
		return slices.Equal(x, y)
	}
	return resource.NewArrayProperty(a).DeepEquals(resource.NewArrayProperty(b))
}

func diffLists(path string, o, n []resource.PropertyValue, out *[]Change) {
	for i := range max(len(o), len(n)) {
		var ov, nv resource.PropertyValue
		if i < len(o) {
			ov = o[i]
		}
		if i < len(n) {
			nv = n[i]
		}
		diffValues(path+"["+itoa(i)+"]", ov, nv, out)
	}
}

func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// leaves lists a changed path and, when a whole object came or went, the paths below it, so that a rule about a nested
// property also sees the object around it appear.
func leaves(path string, v resource.PropertyValue) []string {
	out := []string{path}
	switch {
	case v.IsObject():
		for k, e := range v.ObjectValue() {
			out = append(out, leaves(path+"."+string(k), e)...)
		}
	case v.IsArray():
		for _, e := range v.ArrayValue() {
			out = append(out, leaves(path, e)...)
		}
	}
	return out
}

// schemaPath drops list indices: taints[0].key is taints.key in the table.
func schemaPath(path string) string {
	var b strings.Builder
	depth := 0
	for _, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
