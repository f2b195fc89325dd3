package leftovers

import (
	"maps"
	"slices"
	"testing"

	"expense/rehearsal/internal/awsapi"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A permission that the page forgets fails on AWS only, and one too many is one too many.
func TestThePagesPolicyAllowsTheCallsThatAreMade(t *testing.T) {
	a := full(t)
	a.lost(t)
	want, err := awsapi.PagePolicy("../../../docs/leftovers.md", "List")
	require.NoError(t, err)
	assert.ElementsMatch(t, want, slices.Collect(maps.Keys(a.api.Calls())))
}
