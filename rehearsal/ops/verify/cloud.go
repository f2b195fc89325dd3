package verify

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// cloudChecks ask AWS, and change nothing.
var cloudChecks = slices.Concat(controlPlaneChecks, nodeChecks, domainChecks, accessChecks, storeChecks, driftChecks)

// shown is a value as errors show it: pointers are what they point at, lists are sorted, and nothing is "none".
func shown(value any) string {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return "none"
	case v.Kind() == reflect.Slice:
		items := []string{}
		for i := range v.Len() {
			items = append(items, shown(v.Index(i).Interface()))
		}
		slices.Sort(items)
		if len(items) == 0 {
			return "none"
		}
		return "[" + strings.Join(items, " ") + "]"
	case v.Kind() == reflect.String && v.Len() == 0:
		return "none"
	case v.Kind() == reflect.Map && v.Len() == 0:
		return "none"
	}
	return fmt.Sprint(v.Interface())
}

// value is what a pointer points at, or nothing of its type.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// outputs are a list of texts among a resource's outputs.
func outputs(r apitype.ResourceV3, path ...any) (out []string) {
	values, _ := state.At(r.Outputs, path...).([]any)
	for _, v := range values {
		text, _ := v.(string)
		out = append(out, text)
	}
	return out
}

// only gives the resource of a type of which the stack has one.
func (s *Stack) only(typ string) (apitype.ResourceV3, error) {
	all := s.resources(typ)
	for _, r := range all {
		if len(all) == 1 {
			return r, nil
		}
	}
	return apitype.ResourceV3{}, fmt.Errorf("the state has %s of type %s, expected one: is the stack up whole?",
		plural(len(all), "resource"), typ)
}

// privateSubnets are the IDs of the private subnets by zone. They have the tag by which Kubernetes finds them for internal load balancers
// (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html).
func (s *Stack) privateSubnets() map[string]string {
	out := map[string]string{}
	for _, r := range s.resources("aws:ec2/subnet:Subnet") {
		if output(r, "tags", "kubernetes.io/role/internal-elb") != "" {
			out[output(r, "availabilityZoneId")] = string(r.ID)
		}
	}
	return out
}

// subnetsIn are the private subnets of zones.
func (s *Stack) subnetsIn(zones []string) (out []string) {
	all := s.privateSubnets()
	for _, zone := range zones {
		out = append(out, all[zone])
	}
	return out
}
