package awsapi

import (
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"
)

// whole is what the model has of a thing under the names that the SDK's type has, and its tags. Provider and API agree in most names but
// for their case; a row adds the others.
func whole[T any](o awsmodel.Object) obj {
	return with(like(reflect.TypeFor[T](), o.Properties), same(reflect.TypeFor[T](), awsmodel.Object{Item: o.Item}))
}

// formed is an object among a thing's properties in the form of an SDK's type.
func formed[T any](o awsmodel.Object, name string) obj {
	return like(reflect.TypeFor[T](), part(o, name))
}

// part is an object among a thing's properties, empty if there is none.
func part(o awsmodel.Object, name string) obj {
	p, _ := o.Properties[name].(obj)
	return p
}

// filtered reads EC2's filters. It refuses a filter whose name is not among those that the row knows.
func (c *call) filtered(known ...string) (map[string][]string, error) {
	c.read["Filters"] = true
	out := map[string][]string{}
	for _, f := range c.filters() {
		name := *f.Name
		if !slices.Contains(known, name) {
			return nil, refuse("InvalidParameterValue", "the model filters by %s, not by %s", strings.Join(known, ", "), name)
		}
		out[name] = f.Values
	}
	return out, nil
}

// passes tells whether a value is one of a filter's, if there is such a filter.
func passes(filters map[string][]string, name, value string) bool {
	values, asked := filters[name]
	return !asked || slices.Contains(values, value)
}
