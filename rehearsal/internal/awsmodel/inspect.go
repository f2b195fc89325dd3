package awsmodel

import "github.com/pulumi/pulumi/sdk/v3/go/common/resource"

// Object is one thing in the account with what a service's own API shows of it.
type Object struct {
	Item
	// Properties are the provider's outputs, and more for what the program did not make itself.
	Properties map[string]any
}

// Objects lists the things of a type, oldest first. It also knows types that have no row in the table, because AWS, a
// controller or Plant makes them.
func (m *Model) Objects(typ string) []Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Object
	for _, o := range m.all(typ) {
		out = append(out, Object{o.item(), o.out.m.Copy().Mappable()}) // a copy: what the model holds may change
	}
	return out
}

// Plant puts a thing into the account that nothing in the model would make: what another program made, or what was left
// behind. An empty id gets one of EC2's form with the given prefix. No rule is asked, so that any state can be set up.
func (m *Model) Plant(typ, id, prefix string, origin Origin, properties map[string]any) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id == "" {
		id = m.newID(typ, prefix)
	}
	o := m.made(typ, id, origin, properties)
	o.in = props{resource.NewPropertyMapFromMap(properties)}
	if typ == tInstance {
		o.node = &Instance{ID: id}
	}
	return id
}

// Uproot takes a thing away without asking a rule; false tells that it was not there.
func (m *Model) Uproot(typ, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, found := m.objects[typ][id]
	if found {
		m.drop(o)
	}
	return found
}

// Set changes what a thing shows of itself, as AWS does when something happens to it.
func (m *Model) Set(typ, id, property string, value any) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, found := m.objects[typ][id]
	if found {
		o.out.set(property, value)
	}
	return found
}
