package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"expense/rehearsal/ops/login"
)

// findings are what a check has found.
type findings struct {
	problems, unseen []error
	// objects are those in the cluster that problems are about.
	objects []Object
	// visited counts what the check has looked at, by the noun.
	visited []string
	notes   []string
}

// problem is something that is not as it should be.
func (f *findings) problem(format string, args ...any) {
	f.problems = append(f.problems, fmt.Errorf(format, args...))
}

// add is a problem of an object in the cluster.
func (f *findings) add(o Object, format string, args ...any) {
	f.problem("%s: %s", o, fmt.Sprintf(format, args...))
	if !slices.Contains(f.objects, o) {
		f.objects = append(f.objects, o)
	}
}

// err is all problems, nil if there are none.
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return &about{errors.Join(f.problems...), f.objects}
}

// with are all of them and an error that ended the search for more.
func (f *findings) with(err error) error { return errors.Join(f.err(), err) }

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
const remedy = "if somebody changed it by hand, `pulumi preview --refresh --diff` shows it and `pulumi up --refresh` sets it back"

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
