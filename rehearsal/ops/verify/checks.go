package verify

import "slices"

// Checks are all checks, in the order in which they run within a level.
func Checks() []Check { return slices.Concat(cloudChecks, clusterChecks, touchChecks, breakChecks) }
