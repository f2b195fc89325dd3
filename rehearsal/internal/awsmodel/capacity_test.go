package awsmodel

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A group of three spot nodes in two zones, through all that EC2 does to it.
func TestSpotNodesComeAndGo(t *testing.T) {
	h := &hook{nodes: map[string]Instance{}}
	w := whole(t, Options{Cluster: h})
	require.Len(t, h.nodes, 3)
	in := func(zone string) (ids []string) {
		for id, n := range h.nodes {
			if n.Zone == zone {
				ids = append(ids, id)
			}
		}
		return slices.Sorted(slices.Values(ids))
	}
	zoneID := map[string]string{"us-east-1b": "use1-az1", "us-east-1c": "use1-az2"}
	full, other := "us-east-1b", "us-east-1c"
	if len(in(full)) == 1 {
		full, other = other, full
	}

	h.log = nil
	taken := in(full)[0]
	require.NoError(t, w.m.Reclaim(t.Context(), taken))
	assert.Equal(t, []string{"+", "-"}, h.log, "the successor is there before the old node is drained")
	assert.NotContains(t, h.nodes, taken)
	assert.Len(t, h.nodes, 3)

	h.log = nil
	w.m.SetSpotCapacity(false, zoneID[full])
	require.NoError(t, w.m.Lose(t.Context(), in(full)...))
	assert.NotContains(t, h.log, "-", "nobody drains what is gone")
	assert.Empty(t, in(full))
	require.NoError(t, w.m.Refill(t.Context()))
	assert.Len(t, in(other), 3, "the other zone has what this one lacks")
	w.m.SetSpotCapacity(true, zoneID[full])
	require.NoError(t, w.m.Refill(t.Context()))
	assert.Len(t, in(full), 1, "and gives one back when it has capacity again")
	assert.Len(t, in(other), 2)

	w.m.SetSpotCapacity(false, "use1-az1", "use1-az2")
	require.NoError(t, w.m.Lose(t.Context(), slices.Collect(maps.Keys(h.nodes))...))
	require.NoError(t, w.m.Refill(t.Context()), "a group without capacity waits, which is no error")
	assert.Empty(t, h.nodes)
	w.m.SetSpotCapacity(true, "use1-az1", "use1-az2")
	require.NoError(t, w.m.Refill(t.Context()))
	assert.Len(t, h.nodes, 3)
	assert.ErrorContains(t, w.m.Lose(t.Context(), "i-0"), "the account has no instance i-0")
	require.NoError(t, w.destroy())
}
