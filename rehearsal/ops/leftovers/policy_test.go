package leftovers

import (
	"maps"
	"slices"
	"testing"

	"expense/rehearsal/internal/awshttp"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A permission that the page forgets fails on AWS only, and one too many is one too many.
func TestThePagesPolicyAllowsTheCallsThatAreMade(t *testing.T) {
	a := full(t)
	a.lost(t)
	want, err := awshttp.PagePolicy("../../../docs/leftovers.md", "List")
	require.NoError(t, err)
	assert.ElementsMatch(t, want, slices.Collect(maps.Keys(a.server.Calls())))
}
