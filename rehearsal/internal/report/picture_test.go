package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/estimate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func pictureOfFixture(t *testing.T) (picture, []*node, estimate.Timeline) {
	list := resources(t)
	tree := newTree("s", list, nil)
	up := timeline(list, "create")
	return newPicture(tree, up), tree, up
}

// owner is the box of each node.
func owner(p picture) map[*node]*box {
	of := map[*node]*box{}
	for _, b := range p.Boxes {
		for _, top := range b.Nodes {
			top.walk(func(n *node) { of[n] = b })
		}
	}
	return of
}

func TestEveryEdgePointsForwardAndNoneIsMissing(t *testing.T) {
	p, _, _ := pictureOfFixture(t)
	require.Greater(t, len(p.Boxes), 15)
	require.Greater(t, len(p.Edges), 15)
	drawn := map[*box]map[*box]bool{}
	for _, e := range p.Edges {
		assert.Less(t, e.From.Layer, e.To.Layer)
		assert.Less(t, e.From.Y+boxHeight, e.To.Y)
		if drawn[e.To] == nil {
			drawn[e.To] = map[*box]bool{}
		}
		assert.False(t, drawn[e.To][e.From], "drawn twice")
		drawn[e.To][e.From] = true
	}
	var leads func(to, from *box) bool
	leads = func(to, from *box) bool {
		for via := range drawn[to] {
			if via == from || leads(via, from) {
				return true
			}
		}
		return false
	}
	of, needs := owner(p), 0
	for n, b := range of {
		for _, need := range throughProviders(n) {
			if other := of[need]; other != nil && other != b {
				needs++
				assert.True(t, leads(b, other), "%s needs %s", n.URN, need.URN)
			}
		}
	}
	assert.Greater(t, needs, 50)
}

func TestTheCriticalPathInThePictureIsTheOneInTheData(t *testing.T) {
	p, _, up := pictureOfFixture(t)
	operations := map[string]estimate.Operation{}
	for _, o := range up.Operations {
		operations[o.URN] = o
	}
	critical, last := map[*box]bool{}, map[*box]time.Duration{}
	of := map[string]*box{}
	for n, b := range owner(p) {
		of[n.URN] = b
		critical[b] = critical[b] || operations[n.URN].Critical
		last[b] = max(last[b], operations[n.URN].End)
	}
	boxes := 0
	for _, b := range p.Boxes {
		assert.Equal(t, critical[b], b.Critical, b.Label())
		assert.Equal(t, last[b], b.Ready, b.Label())
		boxes += boolean(b.Critical)
	}
	assert.Greater(t, boxes, 2)

	// From box to box the path goes where an operation begins at the moment at which one that it waited for ended.
	parents := map[string]string{}
	for _, r := range resources(t) {
		parents[r.URN] = r.Parent
	}
	under := func(urn, top string) bool {
		for ; urn != ""; urn = parents[urn] {
			if urn == top {
				return true
			}
		}
		return false
	}
	hops, drawn := map[[2]string]bool{}, map[[2]string]bool{}
	for _, r := range resources(t) {
		for _, o := range up.Operations {
			for _, need := range r.Dependencies {
				from, to := of[o.URN], of[r.URN]
				if o.Critical && operations[r.URN].Critical && o.End == operations[r.URN].Start && under(o.URN, need) && from != nil && to != nil && from != to {
					hops[[2]string{from.Label(), to.Label()}] = true
				}
			}
		}
	}
	for _, e := range p.Edges {
		if e.Critical {
			drawn[[2]string{e.From.Label(), e.To.Label()}] = true
		}
	}
	assert.NotEmpty(t, hops)
	assert.Equal(t, hops, drawn)
}

func TestBoxesDoNotOverlapAndStayInThePicture(t *testing.T) {
	hostile := newTree("s", hostile().Stacks[0].Resources, nil)
	fixture, _, _ := pictureOfFixture(t)
	for _, p := range []picture{fixture, newPicture(hostile, estimate.Timeline{})} {
		for i, a := range p.Boxes {
			assert.True(t, a.X >= 0 && a.Y >= 0 && a.X+boxWidth <= p.Width && a.Y+boxHeight <= p.Height, a.Label())
			for _, b := range p.Boxes[i+1:] {
				assert.True(t, math.Abs(a.X-b.X) >= boxWidth || math.Abs(a.Y-b.Y) >= boxHeight, "%s, %s", a.Label(), b.Label())
			}
		}
	}
}

func resource(name string, needs ...string) estimate.Resource {
	return estimate.Resource{URN: name, Type: "t", Name: name, Custom: true, Dependencies: needs}
}

func in(parent string, r estimate.Resource) estimate.Resource {
	r.Parent = parent
	return r
}

func TestWhatAnotherWaySaysIsNotDrawn(t *testing.T) {
	p := newPicture(newTree("s", []estimate.Resource{resource("a"), resource("b", "a"), resource("c", "a", "b")}, nil), estimate.Timeline{})
	var drawn []string
	for _, e := range p.Edges {
		drawn = append(drawn, e.From.Below()+e.To.Below())
	}
	assert.Equal(t, []string{"ab", "bc"}, drawn)
}

func TestTheCriticalPathIsDrawnThoughAnotherWaySaysIt(t *testing.T) {
	list := []estimate.Resource{resource("a"), resource("b", "a"), {URN: "C", Type: "t", Name: "C"}, in("C", resource("short", "b")), in("C", resource("long", "a"))}
	p := newPicture(newTree("s", list, nil), estimate.Timeline{Operations: []estimate.Operation{
		{URN: "a", End: time.Minute, Critical: true}, {URN: "b", Start: time.Minute, End: 2 * time.Minute},
		{URN: "long", Start: time.Minute, End: time.Hour, Critical: true}, {URN: "short", Start: 2 * time.Minute, End: 3 * time.Minute},
	}})
	critical := map[string]bool{}
	for _, e := range p.Edges {
		critical[e.From.Below()+e.To.Below()] = e.Critical
	}
	assert.Equal(t, map[string]bool{"ab": false, "bC": false, "aC": true}, critical)
}

// Two components can need each other though none of their resources do.
func TestComponentsThatNeedEachOtherAreOneBox(t *testing.T) {
	p := newPicture(newTree("s", []estimate.Resource{
		{URN: "A", Type: "t", Name: "A"}, {URN: "B", Type: "t", Name: "B"}, {URN: "C", Type: "t", Name: "C"},
		in("A", resource("a1")), in("B", resource("b1", "a1")), in("C", resource("c1", "b1")), in("A", resource("a2", "c1")), resource("after", "a2"),
	}, nil), estimate.Timeline{})
	require.Len(t, p.Boxes, 2)
	assert.Len(t, p.Boxes[0].Nodes, 3)
	assert.Equal(t, 4, p.Boxes[0].Size)
	require.Len(t, p.Edges, 1)
	assert.True(t, strings.HasPrefix(p.Edges[0].Path, "M"))
}

// A provider has no box: what needs it needs what it needs.
func TestNeedsGoThroughProviders(t *testing.T) {
	p := newPicture(newTree("s", []estimate.Resource{
		resource("cluster"), {URN: "p", Type: "pulumi:providers:kubernetes", Name: "p", Custom: true, Dependencies: []string{"cluster"}}, resource("pod", "p"),
	}, nil), estimate.Timeline{})
	require.Len(t, p.Boxes, 2)
	require.Len(t, p.Edges, 1)
	assert.Equal(t, "cluster", p.Edges[0].From.Below())
}
