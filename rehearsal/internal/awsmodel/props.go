package awsmodel

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// props reads a property map the way a rule wants it: by dotted path, with a zero value for what is absent or, in a
// preview, not known yet. It never holds secrets, outputs or "__" bookkeeping keys; see plain.
type props struct{ m resource.PropertyMap }

// Plain gives inputs as rules see them: without secret and output wrappers and keys that begin with "__".
func Plain(m resource.PropertyMap) resource.PropertyMap { return plain(m).m }

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

func (p props) has(path string) bool { return !p.value(path).IsNull() }

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
