package leftovers

import (
	"context"
	"maps"
	"slices"
	"testing"

	"expense/rehearsal/internal/awshttp"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func allowed(t *testing.T, sid string) []string {
	actions, err := awshttp.PagePolicy("../../../docs/leftovers.md", sid)
	require.NoError(t, err)
	return actions
}

// A permission that the page forgets fails on AWS only, and one too many is one too many.
func TestThePagesPoliciesAllowTheCallsThatAreMade(t *testing.T) {
	a := full(t)
	a.find(t)
	reads := a.server.Calls()
	assert.ElementsMatch(t, slices.Collect(maps.Keys(reads)), allowed(t, "List"))

	b := newAccount(t)
	b.forget()
	for _, p := range plants {
		if p.kind != "EKS cluster" && p.kind != "role" {
			b.model.Plant(p.typ, p.id, p.prefix, "", maps.Clone(p.properties))
		}
	}
	for _, p := range orphans {
		p.plant(b, "orphan", stackTags())
	}
	after, err := Remove(context.Background(), b.options(), b.find(t))
	require.NoError(t, err)
	require.Empty(t, ids(after, Leftover))
	calls := b.server.Calls()
	maps.DeleteFunc(calls, func(action string, _ int) bool { return reads[action] > 0 })
	assert.ElementsMatch(t, slices.Collect(maps.Keys(calls)), allowed(t, "Delete"))
}
