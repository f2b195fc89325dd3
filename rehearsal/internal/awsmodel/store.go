package awsmodel

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Below: helpers for rules; all want the lock held unless they say otherwise.

func (m *Model) put(o *object) {
	if m.objects[o.typ] == nil {
		m.objects[o.typ] = map[string]*object{}
	}
	m.seq++
	o.seq, o.made, o.changed = m.seq, m.clock, m.clock
	m.objects[o.typ][o.id] = o
}

// made enters something that AWS or a controller makes.
func (m *Model) made(typ, id string, origin Origin, out map[string]any) *object {
	if id == "" {
		id = m.newID(typ, "")
	}
	o := &object{
		typ: typ, id: id, origin: origin, status: active, out: props{resource.NewPropertyMapFromMap(out)},
		in: props{resource.PropertyMap{}},
	}
	m.put(o)
	return o
}

func (m *Model) drop(o *object) { delete(m.objects[o.typ], o.id) }

// all lists the objects of a type in the order of their making.
func (m *Model) all(typ string) []*object {
	out := slices.Collect(maps.Values(m.objects[typ]))
	slices.SortFunc(out, func(a, b *object) int { return a.seq - b.seq })
	return out
}

// where lists the objects of a type whose output has the value.
func (m *Model) where(typ, property, value string) []*object {
	var out []*object
	for _, o := range m.all(typ) {
		if property == "id" && o.id == value || property != "id" && o.out.str(property) == value {
			out = append(out, o)
		}
	}
	return out
}

func (m *Model) first(typ, property, value string) *object {
	if value == "" {
		return nil
	}
	if found := m.where(typ, property, value); len(found) > 0 {
		return found[0]
	}
	return nil
}

func (m *Model) checkRefs(r *row, in props) error {
	for _, ref := range r.refs {
		values := in.strs(ref.path)
		if v := in.str(ref.path); v != "" {
			values = append(values, v)
		}
		for _, v := range values {
			if m.first(ref.typ, ref.by, v) == nil {
				return refuse(ref.code, ref.text, v)
			}
		}
	}
	return nil
}

// newID makes an ID of AWS's form, prefix-0 and 16 hex digits, that is the same in every run.
func (m *Model) newID(seed, prefix string) string {
	return prefix + "0" + m.hex(seed)[:16]
}

func (m *Model) hex(seed string) string {
	m.seq++
	sum := sha256.Sum256([]byte(fmt.Sprint(seed, m.seq)))
	return hex.EncodeToString(sum[:])
}

func (m *Model) uuid(seed string) string {
	h := m.hex(seed)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

// arnOf expands {id}, {name} and {path} in service:region-or-nothing:resource.
func (m *Model) arnOf(pattern string, o *object) string {
	r := strings.NewReplacer("{id}", o.id, "{name}", o.name(), "{path}", cmp.Or(o.in.str("path"), "/"), "{region}", m.opts.Region,
		"{cluster}", o.in.str("clusterName"), "{uuid}", m.uuid(o.id))
	service, resource, _ := strings.Cut(pattern, "|")
	region := m.opts.Region
	if service == "iam" {
		region = ""
	}
	return strings.Join([]string{"arn", m.Partition(), service, region, m.opts.Account, r.Replace(resource)}, ":")
}

func (m *Model) outputs(o *object) resource.PropertyMap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.out.m.Copy()
}

func bookkeeping(m resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for k, v := range m {
		if strings.HasPrefix(string(k), "__") {
			out[k] = v
		}
	}
	return out
}

func toAny(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// expandPrefix makes a name of a prefix as the provider does: with a timestamp of 18 digits and a counter of 8
// (terraform-plugin-sdk, helper/id.PrefixedUniqueId).
func (m *Model) expandPrefix(r *row, o *object) {
	if r.name.prefix == "" || o.out.has(r.name.property) || !o.in.has(r.name.prefix) {
		return
	}
	m.seq++
	stamp := strings.Replace(time.Now().UTC().Format("20060102150405.0000"), ".", "", 1)
	o.out.set(r.name.property, fmt.Sprintf("%s%s%08x", o.in.str(r.name.prefix), stamp, m.seq))
}
