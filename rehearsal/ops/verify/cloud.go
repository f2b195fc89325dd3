package verify

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/login"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// cloudChecks ask AWS, and change nothing.
var cloudChecks = slices.Concat(controlPlaneChecks, nodeChecks, domainChecks, accessChecks, storeChecks, driftChecks)

// findings are what a check has found.
type findings struct {
	problems, unseen []error
	// visited counts what the check has looked at, by the noun.
	visited []string
	notes   []string
}

// problem is something that is not as it should be.
func (f *findings) problem(format string, args ...any) {
	f.problems = append(f.problems, fmt.Errorf(format, args...))
}

// want compares what AWS says of a thing with what the stack says. Lists are compared as sets.
func (f *findings) want(thing, what string, found, wanted any) {
	if a, b := shown(found), shown(wanted); a != b {
		f.problem("%s: %s is %s, the stack says %s", thing, what, a, b)
	}
}

// asked notes how a call came out, and tells whether it has an answer. A thing that AWS does not have is a problem. Any other error says
// nothing about the stack.
func (f *findings) asked(thing string, err error) bool {
	switch {
	case err == nil:
		return true
	case login.Missing(err):
		f.problem("%s: AWS has none: %s", thing, login.Code(err))
	default:
		f.unseen = append(f.unseen, notSeen("%s: could not look: %v", thing, err))
	}
	return false
}

// visit counts things that were looked at.
func (f *findings) visit(n int, noun string) { f.visited = append(f.visited, plural(n, noun)) }

// note adds to what was seen.
func (f *findings) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// remedy ends a failure.
const remedy = "If somebody changed it by hand, `pulumi preview --refresh --diff` shows it and `pulumi up --refresh` sets it back."

// result is what a check gives.
func (f *findings) result() (string, error) {
	errs := slices.Concat(f.problems, f.unseen)
	if len(f.problems) > 0 {
		errs = append(errs, errors.New(remedy))
	}
	if len(errs) == 0 && len(f.visited) == 0 {
		errs = append(errs, errors.New("nothing was looked at"))
	}
	return strings.Join(slices.Concat(f.visited, f.notes), ", "), errors.Join(errs...)
}

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
