package awsprovider

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

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

// Diff lists what differs between old and new inputs, and whether any of it replaces the resource. What AWS keeps is no difference
// where it is left out.
func Diff(typ string, olds, news resource.PropertyMap) (changes []Change, replace bool) {
	h := habits[typ]
	o, n := awsmodel.Plain(olds), awsmodel.Plain(news)
	changes = slices.DeleteFunc(differences(o, n), func(c Change) bool {
		return c.Kind == "delete" && awsmodel.Keeps(typ, schemaPath(c.Path))
	})
	replaces := strings.Fields(h.replaces)
	if h.replacesIf != nil {
		replaces = slices.Concat(replaces, h.replacesIf(o, n))
	}
	for i, c := range changes {
		paths := []string{c.Path}
		for _, side := range []resource.PropertyMap{o, n} {
			if c.Kind != "update" && !strings.Contains(c.Path, "[") {
				paths = append(paths, leaves(c.Path, at(side, c.Path))...)
			}
		}
		if slices.ContainsFunc(paths, func(p string) bool { return slices.Contains(replaces, schemaPath(p)) }) {
			changes[i].Replaces, replace = true, true
		}
	}
	return changes, replace
}

// differences takes a null, an empty list and an absent property for the same thing, as the provider does, and so two JSON
// documents that differ only in layout (pulumi-terraform-bridge, TransformJSONDocument).
func differences(olds, news resource.PropertyMap) []Change {
	var out []Change
	diffMaps("", olds, news, &out)
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
		diffValues(path+"["+fmt.Sprint(i)+"]", ov, nv, out)
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

// at is the value at a path, null where there is none.
func at(m resource.PropertyMap, path string) resource.PropertyValue {
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		panic(err)
	}
	v, _ := parsed.Get(resource.NewObjectProperty(m))
	return v
}

// replacesCluster: a cluster that was encrypted cannot be decrypted (eks/cluster.go).
func replacesCluster(olds, news resource.PropertyMap) []string {
	if olds.HasValue("encryptionConfig") && !news.HasValue("encryptionConfig") {
		return []string{"encryptionConfig"}
	}
	return nil
}

// replacesDomain: what was turned on cannot be turned off, and a version that AWS does not upgrade to is a new domain
// (opensearch/domain.go).
func replacesDomain(olds, news resource.PropertyMap) []string {
	on := func(v resource.PropertyValue) bool { return v.IsBool() && v.BoolValue() }
	var out []string
	for _, p := range []string{"encryptAtRest", "nodeToNodeEncryption", "advancedSecurityOptions"} {
		after := at(news, p+".enabled")
		known := !after.IsComputed() && !news[resource.PropertyKey(p)].IsComputed()
		if on(at(olds, p+".enabled")) && known && !on(after) {
			out = append(out, p+".enabled", p)
		}
	}
	if from, to := olds["engineVersion"], news["engineVersion"]; from.IsString() && to.IsString() &&
		!awsmodel.Upgrades(from.StringValue(), to.StringValue()) {
		out = append(out, "engineVersion")
	}
	return out
}

// otherKindOfPeer: ModifySecurityGroupRules changes a range to another range and not to a group
// (ec2/vpc_security_group_ingress_rule.go, ModifyPlan).
func otherKindOfPeer(olds, news resource.PropertyMap) (changed []string) {
	for _, kind := range []resource.PropertyKey{"cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"} {
		if olds.HasValue(kind) != news.HasValue(kind) {
			changed = append(changed, string(kind))
		}
	}
	return changed
}
