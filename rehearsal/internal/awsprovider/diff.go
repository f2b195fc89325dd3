package awsprovider

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

// Diff lists what differs between old and new inputs by property path, and whether any of it replaces the resource. An input that AWS
// keeps may be left out.
func Diff(typ string, olds, news resource.PropertyMap) (changes map[string]plugin.PropertyDiff, replace bool) {
	h := habits[typ]
	o, n := awsmodel.Plain(olds), awsmodel.Plain(news)
	changes = plugin.NewDetailedDiffFromObjectDiff(asSeen(o, o).Diff(asSeen(o, n)), true)
	replaces := strings.Fields(h.replaces)
	if h.replacesIf != nil {
		replaces = slices.Concat(replaces, h.replacesIf(o, n))
	}
	for path, change := range changes {
		if change.Kind == plugin.DiffDelete && awsmodel.Keeps(typ, schemaPath(path)) {
			delete(changes, path)
			continue
		}
		paths := []string{path}
		if change.Kind != plugin.DiffUpdate && !strings.Contains(path, "[") {
			paths = slices.Concat(paths, leaves(path, at(o, path)), leaves(path, at(n, path)))
		}
		if slices.ContainsFunc(paths, func(p string) bool { return slices.Contains(replaces, schemaPath(p)) }) {
			change.Kind, replace = change.Kind.AsReplace(), true
			changes[path] = change
		}
	}
	return changes, replace
}

// top is the input that a path is in, for example scalingConfig.
func top(path string) string {
	if i := strings.IndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return path
}

// asSeen are new inputs as the provider compares them with the old ones: without what is empty, which is the same as absent, and with
// the old values in place of equal ones.
func asSeen(olds, news resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for k, n := range news {
		if v := valueSeen(string(k), olds[k], n); !empty(v) {
			out[k] = v
		}
	}
	return out
}

func valueSeen(name string, o, n resource.PropertyValue) resource.PropertyValue {
	switch {
	case n.IsObject() && o.IsObject():
		return resource.NewObjectProperty(asSeen(o.ObjectValue(), n.ObjectValue()))
	case n.IsObject():
		return resource.NewObjectProperty(asSeen(nil, n.ObjectValue()))
	case n.IsArray() && n.ContainsUnknowns():
		return resource.MakeComputed(resource.NewStringProperty(""))
	case n.IsArray() && o.IsArray() && sameSet(name, o.ArrayValue(), n.ArrayValue()):
		return o
	case n.IsString() && o.IsString() && sameJSON(o.StringValue(), n.StringValue()):
		return o
	}
	return n
}

func empty(v resource.PropertyValue) bool {
	return v.IsNull() || v.IsArray() && len(v.ArrayValue()) == 0 || v.IsObject() && len(v.ObjectValue()) == 0
}

// sameSet compares lists of strings as sets, because Terraform's schema declares them so; the instance types of a node
// group are the exception, their order is their priority.
func sameSet(name string, a, b []resource.PropertyValue) bool {
	sorted := func(list []resource.PropertyValue) []string {
		var out []string
		for _, v := range list {
			if v.IsString() {
				out = append(out, v.StringValue())
			}
		}
		slices.Sort(out)
		return out
	}
	x, y := sorted(a), sorted(b)
	return name != "instanceTypes" && len(x) == len(a) && len(y) == len(b) && slices.Equal(x, y)
}

// sameJSON tells whether two documents differ only in layout (pulumi-terraform-bridge, TransformJSONDocument).
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
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

var subscripts = regexp.MustCompile(`\[("(\\.|[^"\\])*"|\d+)\]`)

// schemaPath drops list indices and keys of maps: taints[0].key is taints.key in the table.
func schemaPath(path string) string { return subscripts.ReplaceAllString(path, "") }

// at is the value at a path, or null.
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

// requiredClaims: what replaces is the map, and so each of its entries (eks/identity_provider_config.go).
func requiredClaims(olds, news resource.PropertyMap) (paths []string) {
	for _, side := range []resource.PropertyMap{olds, news} {
		if claims := at(side, "oidc.requiredClaims"); claims.IsObject() {
			for name := range claims.ObjectValue() {
				paths = append(paths, "oidc.requiredClaims."+string(name))
			}
		}
	}
	return paths
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
