package verify

import (
	"fmt"
	"slices"
	"strings"
)

// Checks are all checks, in the order in which they run within a level.
func Checks() []Check { return slices.Concat(cloudChecks, clusterChecks, touchChecks, breakChecks) }

// Known is an error if no check has one of the names.
func Known(names []string) error {
	var known []string
	for _, c := range Checks() {
		known = append(known, c.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("found no check %q; allowed: %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}
