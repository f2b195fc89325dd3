package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the stack's settings.
type Problem struct {
	// Path is the setting's path as for "pulumi config set --path", without the project's name: cluster.nodeGroups.expense.minSize or
	// cluster.nodeGroups.expense.labels["example.com/team"].
	Path string
	// Found is the wrong value. It never holds a value of expense:secrets.
	Found string
	// Allowed is what the setting takes.
	Allowed string
	// Remedy is the next step. It is empty if Allowed suffices.
	Remedy string
}

// String is the problem in one line.
func (p Problem) String() string {
	line := fmt.Sprintf("%s: found %s; allowed: %s", p.Path, p.Found, p.Allowed)
	if p.Remedy != "" {
		line += "; " + p.Remedy
	}
	return line
}

// Problems are everything that is wrong with the stack's settings, sorted by path. Load returns them as its error.
type Problems []Problem

// Error lists every problem, one to a line.
func (ps Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stack settings: %d to correct (Pulumi.yaml describes each key):", len(ps))
	for _, p := range ps {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// child is the path of a map's entry. Keys that are not plain are quoted, because they may contain dots.
func child(path, key string) string {
	if plainKey.MatchString(key) {
		return path + "." + key
	}
	return fmt.Sprintf("%s[%q]", path, key)
}

// report collects problems while settings are decoded and checked.
type report struct {
	problems Problems
	// given are the paths that the stack sets.
	given map[string]bool
	// secretSizes are the sizes of the secrets' values, by app and key.
	secretSizes map[string]map[string]int
}

// add notes a problem, unless its path or a parent has one. What could not be decoded is a zero value, and a second problem about it
// would only confuse.
func (r *report) add(path, found, allowed, remedy string) {
	if r.ok(path) {
		r.problems = append(r.problems, Problem{Path: path, Found: found, Allowed: allowed, Remedy: remedy})
	}
}

// ok says whether the paths and their parents have no problem. Rules that read several settings ask first.
func (r *report) ok(paths ...string) bool {
	return !slices.ContainsFunc(r.problems, func(p Problem) bool {
		return slices.ContainsFunc(paths, func(path string) bool {
			rest, within := strings.CutPrefix(path, p.Path)
			return within && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
	})
}

// clean says whether neither the paths nor anything above or below them has a problem.
func (r *report) clean(paths ...string) bool {
	return r.ok(paths...) && !slices.ContainsFunc(r.problems, func(p Problem) bool {
		return slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(p.Path, path) })
	})
}

// require notes a problem if the stack does not set the path. It says whether there is a decoded value.
func (r *report) require(path, allowed, remedy string) bool {
	if !r.given[path] {
		r.add(path, "nothing", allowed, remedy)
	}
	return r.given[path] && r.ok(path)
}

// regionOr is the stack's region for a command that is shown, or REGION if the stack has none.
func (c *Config) regionOr() string { return cmp.Or(c.Region, "REGION") }

// between notes a problem if n is outside of low to high. unit follows the numbers, as in " GiB".
func (r *report) between(path string, n, low, high int, unit string) {
	if n < low || n > high {
		r.add(path, fmt.Sprint(n), fmt.Sprintf("%d to %d%s", low, high, unit), "")
	}
}

// sorted returns the problems in the order of their paths, or nil.
func (r *report) sorted() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return r.problems
}
