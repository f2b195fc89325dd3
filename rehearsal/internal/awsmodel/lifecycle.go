package awsmodel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsrules"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Check gives what the provider refuses before it calls AWS: missing properties, values outside an enumeration, names and
// documents of a wrong form. Unknown values pass. An unknown type is one failure without a property.
func (m *Model) Check(typ string, news resource.PropertyMap) []CheckFailure {
	r, err := rowOf(typ)
	if err != nil {
		return []CheckFailure{{Reason: err.Error()}}
	}
	c := &checker{props: plain(news)}
	for _, path := range r.required.all() {
		if !c.has(path) {
			c.fail(path, "Missing required argument. The argument %q is required, but no definition was found", path)
		}
	}
	if c.str(r.name.prefix) != "" && c.has(r.name.property) {
		c.fail(r.name.prefix, "%q: conflicts with %s", r.name.prefix, r.name.property)
	}
	// https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
	if n := len(c.strMap("tags")); r.tagged && n > 50 {
		c.fail("tags", "at most 50 tags, found %d", n)
	}
	if r.check != nil {
		r.check(c)
	}
	for _, f := range awsrules.Check(typ, c.m) {
		c.fail(f.At, "%s", f.Reason)
	}
	slices.SortStableFunc(c.failures, func(a, b CheckFailure) int { return strings.Compare(a.Property, b.Property) })
	return c.failures
}

// Create makes a resource: it checks the inputs, what they refer to and what AWS asks of them. name is the logical name, and the
// physical one where the inputs have none. If AWS refuses, id is empty. If the resource was made and did not come up, or ctx has
// ended, id and outputs come with the error: the thing exists and must stay in the state.
func (m *Model) Create(ctx context.Context, typ, name string, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	r, err := rowOf(typ)
	if err != nil {
		return "", nil, err
	}
	if failures := m.Check(typ, inputs); len(failures) > 0 {
		var errs []error
		for _, f := range failures {
			errs = append(errs, fmt.Errorf("%s %q: %s", typ, name, f.Reason))
		}
		return "", nil, errors.Join(errs...)
	}
	in := plain(inputs)
	if p := r.name.property; p != "" && !in.has(p) && !in.has(r.name.prefix) {
		in.set(p, name)
	}
	o := &object{typ: typ, logical: name, in: in, out: props{in.m.Copy()}, origin: Program, status: creating,
		bookkeeping: bookkeeping(inputs)}

	if err := m.request(ctx, r, r.ops.all()[0], o, func() error { return m.admit(r, o) }); err != nil {
		return "", nil, err
	}
	err = m.bringUp(ctx, r, o)
	return o.id, m.outputs(o), err
}

// admit validates against the account and enters the object, still CREATING.
func (m *Model) admit(r *row, o *object) error {
	if err := m.checkRefs(r, o.in); err != nil {
		return err
	}
	m.expandPrefix(r, o)
	if r.create != nil {
		if err := r.create(m, o); err != nil {
			return err
		}
	}
	if o.id == "" {
		o.id = r.makeID(m, o)
	}
	if _, taken := m.objects[o.typ][o.id]; taken {
		what := cmp.Or(destination(o.in), cmp.Or(o.name(), o.id))
		text := strings.ReplaceAll(cmp.Or(r.takenText, "The specified resource already exists: %s"), "%s", what) // some name nothing
		return refuse(cmp.Or(r.takenCode, "ResourceAlreadyExistsException"), "%s", text)
	}
	m.fill(r, o)
	m.put(o)
	return nil
}

// fill computes the outputs from the inputs; it runs again after an update and changes nothing that is already there.
func (m *Model) fill(r *row, o *object) {
	if r.arn != "" {
		o.out.setDefault("arn", m.arnOf(r.arn, o))
	}
	if r.tagged {
		o.out.set("tagsAll", toAny(o.in.strMap("tags")))
	}
	if r.owned {
		o.out.setDefault("ownerId", m.opts.Account)
	}
	for k, v := range r.defaults {
		o.out.setDefault(k, v)
	}
	for _, k := range r.blank.all() {
		o.out.setDefault(k, "")
	}
	if r.fill != nil {
		r.fill(m, o)
	}
}

// bringUp ends a creation. An object that cannot come up fails at once.
func (m *Model) bringUp(ctx context.Context, r *row, o *object) error {
	m.mu.Lock()
	spoiled := m.spoiled[o.typ+" "+o.logical]
	err := spoiled
	if err == nil && r.settle != nil {
		err = r.settle(m, o)
	}
	if err != nil {
		o.fail()
		o.degraded = spoiled == nil && strings.Contains(err.Error(), "'DEGRADED'")
		m.mu.Unlock()
		return errors.Join(err, ctx.Err())
	}
	o.status = active
	if o.out.has("status") {
		o.out.set("status", active)
	}
	m.finish(o, r.creation(o))
	o.made = o.changed
	m.mu.Unlock()
	if r.after != nil {
		// AWS finishes what it has begun, also after Ctrl-C.
		if err := r.after(context.WithoutCancel(ctx), m, o); err != nil {
			m.mu.Lock()
			o.fail()
			m.mu.Unlock()
			return err
		}
	}
	return ctx.Err()
}

// Spoil makes creations with this logical name fail from now on: AWS makes the thing, gives up on it and says why. With "" that ends;
// a thing that failed stays failed.
func (m *Model) Spoil(typ, logical, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.spoiled, typ+" "+logical)
	if why != "" {
		m.spoiled[typ+" "+logical] = errors.New(why)
	}
}

// fail is the end of what did not come up. A node group that is CREATE_FAILED and a cluster that is FAILED stay so
// (https://github.com/aws/containers-roadmap/issues/764, https://github.com/crossplane-contrib/provider-aws/issues/1447).
func (o *object) fail() {
	o.status = failed
	if o.out.has("status") {
		o.out.set("status", map[bool]string{true: failed, false: "CREATE_FAILED"}[o.typ == tCluster])
	}
}

// Read gives the inputs and outputs of what exists; found is false if nothing does.
func (m *Model) Read(typ, id string) (inputs, outputs resource.PropertyMap, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[typ][id]
	if !ok || o.status == pending {
		return nil, nil, false
	}
	if o.degraded && table[typ].settle(m, o) == nil { // EKS has gone on trying
		o.status, o.degraded = active, false
	}
	inputs = o.in.m.Copy()
	maps.Copy(inputs, o.bookkeeping)
	return inputs, o.out.m.Copy(), true
}

// Update changes a resource in place. The caller knows whether that is possible. Outputs that come with an error are of a change that
// AWS has taken.
func (m *Model) Update(ctx context.Context, typ, id string, news resource.PropertyMap) (resource.PropertyMap, error) {
	r, err := rowOf(typ)
	if err != nil {
		return nil, err
	}
	if failures := m.Check(typ, news); len(failures) > 0 {
		return nil, fmt.Errorf("%s %q: %s", typ, id, failures[0].Reason)
	}
	m.mu.Lock()
	o, ok := m.objects[typ][id]
	if !ok && r.upserts {
		o = &object{
			typ: typ, id: id, logical: id, in: props{resource.PropertyMap{}}, out: props{resource.PropertyMap{}}, origin: Program,
			status: active,
		}
	} else if !ok {
		m.mu.Unlock()
		return nil, errors.New("couldn't find resource")
	}
	in := plain(news)
	if p := r.name.property; p != "" && !in.has(p) && o.in.has(p) {
		in.m[resource.PropertyKey(p)] = o.in.value(p)
	}
	before, beforeOut := o.in, o.out
	o.bookkeeping = bookkeeping(news)
	m.mu.Unlock()
	err = m.request(ctx, r, r.ops.all()[1], o, func() error {
		o.in, o.out = in, props{beforeOut.m.Copy()}
		for k := range before.m {
			if !r.keeps.has(string(k)) {
				delete(o.out.m, k)
			}
		}
		maps.Copy(o.out.m, in.m)
		err := m.checkRefs(r, in)
		if err == nil && r.update != nil {
			err = r.update(m, o, before)
		}
		if err != nil {
			o.in, o.out = before, beforeOut
			return err
		}
		m.fill(r, o)
		if m.objects[typ][id] == nil {
			m.put(o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.finish(o, r.times.update)
	m.mu.Unlock()
	if err = ctx.Err(); err == nil && r.after != nil {
		err = r.after(ctx, m, o)
	}
	return m.outputs(o), err
}

// Delete removes a resource. It refuses one that is in use, and takes one that is gone for done.
func (m *Model) Delete(ctx context.Context, typ, id string) error {
	r, err := rowOf(typ)
	if err != nil {
		return err
	}
	m.mu.Lock()
	o, ok := m.objects[typ][id]
	m.mu.Unlock()
	if !ok && r.missed != nil {
		return r.named(r.ops.all()[2], r.missed(m, id))
	}
	if !ok {
		return nil
	}
	gone := false
	err = m.request(ctx, r, r.ops.all()[2], o, func() error {
		if gone = m.objects[typ][id] != o || o.status == pending; gone {
			return nil
		}
		if r.remove != nil {
			if err := r.remove(m, o); err != nil {
				return err
			}
		}
		o.status = deleting
		return nil
	})
	if err != nil || gone {
		return err
	}
	if r.drain != nil {
		if err := r.drain(context.WithoutCancel(ctx), m, o); err != nil {
			m.mu.Lock()
			o.status = failed
			m.mu.Unlock()
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finish(o, r.times.remove)
	if r.gone == nil || !r.gone(m, o) {
		delete(m.objects[typ], id)
	}
	return ctx.Err()
}
