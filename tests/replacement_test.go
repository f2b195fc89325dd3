package tests

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Two groups of one name cannot exist side by side: with a fixed one the provider deletes the old group first. What the
// engine then does is shown by the rehearsal's previews.
func TestANodeGroupsSuccessorCanComeUpBesideIt(t *testing.T) {
	sweep(t, ofType("aws:eks/nodeGroup:NodeGroup"), func(t *testing.T, _ string, r registered) {
		assert.Equal(t, r.Name+"-", r.Inputs["nodeGroupNamePrefix"], r)
		assert.NotContains(t, r.Inputs, "nodeGroupName", r)
	})
}
