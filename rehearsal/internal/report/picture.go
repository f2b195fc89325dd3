package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"
)

// Measures of the picture, in CSS pixels.
const (
	boxWidth, boxHeight   = 168.0, 62.0
	columnGap, layerGap   = 22.0, 40.0
	laneWidth, pictureRim = 12.0, 8.0 // a lane is where an edge passes a layer
)

// picture is the graph of a stack's components: a box for each of the stack's children, an edge where something in a box
// needs something in another one and no longer way says so, or where the critical path goes. What is needed stands above what needs it.
type picture struct {
	Width, Height       float64
	BoxWidth, BoxHeight float64
	Boxes               []*box
	Edges               []edge
}

type box struct {
	// Nodes are what the box stands for: one child of the stack, or several that need each other.
	Nodes []*node
	Layer int
	X, Y  float64
	// Ready is when all in it is there, in the timeline that creates the stack.
	Ready time.Duration
	// Critical tells that something in it is on that timeline's critical path.
	Critical bool
	// Size counts the resources in it, Counts says how many of them change how.
	Size   int
	Counts string
	// needs are the boxes that it needs; true where the critical path comes from there.
	needs map[*box]bool
}

type edge struct {
	From, To *box
	// Critical tells that the critical path goes along it.
	Critical bool
	// Path is in SVG's notation.
	Path string
}

// Begin is where the picture is looked at first, if it does not fit: the first box.
func (p picture) Begin() float64 { return p.Boxes[0].X }

// Name is what the box is called: a component's kind.
func (b *box) Name() string {
	var names []string
	for _, n := range b.Nodes {
		names = append(names, kind(n.Type))
	}
	return strings.Join(names, " + ")
}

// Below is the line under the name.
func (b *box) Below() string { return b.Nodes[0].Name }

// ID is the element of the tree that the box leads to.
func (b *box) ID() string { return b.Nodes[0].ID }

// Label is the box in words.
func (b *box) Label() string {
	text := fmt.Sprintf("%s %s, %s, ready after %s", b.Name(), b.Below(), plural(b.Size, "resource"), duration(b.Ready))
	if b.Critical {
		text += ", on the critical path"
	}
	if b.Counts != "" {
		text += ", changes: " + b.Counts
	}
	return text
}

func newPicture(tree []*node, up estimate.Timeline) picture {
	boxes := newBoxes(tree, up)
	p := picture{BoxWidth: boxWidth, BoxHeight: boxHeight, Boxes: boxes}
	if len(boxes) == 0 {
		return p
	}
	layer(boxes)
	for _, to := range boxes {
		for _, from := range boxes {
			if critical, ok := to.needs[from]; ok && (critical || !longer(to, from)) {
				p.Edges = append(p.Edges, edge{From: from, To: to, Critical: critical})
			}
		}
	}
	p.place()
	return p
}

// newBoxes makes the boxes. Providers have none: what needs one needs what the provider needs.
func newBoxes(tree []*node, up estimate.Timeline) []*box {
	operations := map[string]estimate.Operation{}
	for _, o := range up.Operations {
		operations[o.URN] = o
	}
	var boxes []*box
	of := map[*node]*box{}
	for _, root := range tree {
		tops := []*node{root}
		if root.Type == stackType {
			tops = root.Children
		}
		for _, top := range tops {
			if strings.HasPrefix(top.Type, providerPrefix) {
				continue
			}
			b := &box{Nodes: []*node{top}, needs: map[*box]bool{}}
			boxes = append(boxes, b)
			top.walk(func(n *node) { of[n] = b })
		}
	}
	for _, b := range boxes {
		counts := map[change.Operation]int{}
		b.Nodes[0].walk(func(n *node) {
			o := operations[n.URN]
			b.Ready, b.Critical = max(b.Ready, o.End), b.Critical || o.Critical
			b.Size += boolean(n.Custom)
			counts[n.Operation]++
			for _, need := range throughProviders(n) {
				if other := of[need]; other != nil && other != b {
					critical := b.needs[other]
					need.walk(func(n *node) {
						before := operations[n.URN]
						critical = critical || o.Critical && before.Critical && before.End == o.Start
					})
					b.needs[other] = critical
				}
			}
		})
		var parts []string
		for _, m := range marks {
			if n := counts[m.operation]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s%d", m.sign, n))
			}
		}
		b.Counts = strings.Join(parts, " ")
	}
	return merge(boxes)
}

// throughProviders are the needs of a node, with those of its providers in their place.
func throughProviders(n *node) []*node {
	var out []*node
	for _, need := range n.Needs {
		if strings.HasPrefix(need.Type, providerPrefix) {
			out = append(out, need.Needs...)
		} else {
			out = append(out, need)
		}
	}
	return out
}

// merge makes one box of those that need each other: only so is there an order.
func merge(boxes []*box) []*box {
	for i := 0; i < len(boxes); i++ {
		for j := i + 1; j < len(boxes); {
			a, b := boxes[i], boxes[j]
			if !reaches(a, b) || !reaches(b, a) {
				j++
				continue
			}
			a.Nodes, a.Size = append(a.Nodes, b.Nodes...), a.Size+b.Size
			a.Ready, a.Critical = max(a.Ready, b.Ready), a.Critical || b.Critical
			a.Counts = strings.TrimSpace(a.Counts + " " + b.Counts)
			for need, critical := range b.needs {
				a.needs[need] = a.needs[need] || critical
			}
			boxes = slices.Delete(boxes, j, j+1)
			for _, other := range boxes {
				if critical, ok := other.needs[b]; ok {
					delete(other.needs, b)
					other.needs[a] = other.needs[a] || critical
				}
			}
			delete(a.needs, a)
			delete(a.needs, b)
			j = i + 1
		}
	}
	return boxes
}

// reaches tells that a needs b, or needs something that does.
func reaches(a, b *box) bool {
	seen := map[*box]bool{}
	var visit func(*box) bool
	visit = func(at *box) bool {
		for need := range at.needs {
			if need == b {
				return true
			}
			if !seen[need] {
				seen[need] = true
				if visit(need) {
					return true
				}
			}
		}
		return false
	}
	return visit(a)
}

// longer tells that another way leads from what needs to what is needed.
func longer(to, from *box) bool {
	for need := range to.needs {
		if need != from && reaches(need, from) {
			return true
		}
	}
	return false
}

// layer gives every box the layer below the lowest one that it needs.
func layer(boxes []*box) {
	done := map[*box]bool{}
	var visit func(*box)
	visit = func(b *box) {
		if done[b] {
			return
		}
		done[b] = true
		for need := range b.needs {
			visit(need)
			b.Layer = max(b.Layer, need.Layer+1)
		}
	}
	for _, b := range boxes {
		visit(b)
	}
	// What needs nothing stands right above what needs it first.
	for _, b := range boxes {
		if len(b.needs) > 0 {
			continue
		}
		lowest := math.MaxInt
		for _, other := range boxes {
			if _, ok := other.needs[b]; ok {
				lowest = min(lowest, other.Layer-1)
			}
		}
		if lowest != math.MaxInt {
			b.Layer = lowest
		}
	}
}

// spot is a place in a layer: a box, or a lane of an edge that passes.
type spot struct {
	box      *box
	x, width float64
	up, down []*spot
}

// middle is the mean of the neighbours' places, the spot's own if it has none.
func (s *spot) middle(neighbours []*spot) float64 {
	if len(neighbours) == 0 {
		return s.x
	}
	sum := 0.0
	for _, n := range neighbours {
		sum += n.x
	}
	return sum / float64(len(neighbours))
}

// place sets where everything is, in the way of Sugiyama: edges get a lane in every layer that they pass, the spots of each
// layer are ordered by their neighbours' places, and then moved towards them as far as there is room
// (https://en.wikipedia.org/wiki/Layered_graph_drawing).
func (p *picture) place() {
	layers, routes := p.spots()
	best, fewest := [][]*spot(nil), math.MaxInt
	for round := range 24 {
		for i := range layers {
			at, towards := i, func(s *spot) []*spot { return s.up }
			if round%2 == 1 {
				at, towards = len(layers)-1-i, func(s *spot) []*spot { return s.down }
			}
			slices.SortStableFunc(layers[at], func(a, b *spot) int { return cmp.Compare(a.middle(towards(a)), b.middle(towards(b))) })
			number(layers[at])
		}
		if n := crossings(layers); n < fewest {
			fewest, best = n, nil
			for _, l := range layers {
				best = append(best, slices.Clone(l))
			}
		}
	}
	for _, l := range best {
		x := 0.0
		for _, s := range l {
			s.x = x + s.width/2
			x += s.width + columnGap
		}
	}
	for round := range 60 {
		for i := range best {
			at := i
			if round%2 == 1 {
				at = len(best) - 1 - i
			}
			relax(best[at], round%2 == 1)
		}
	}
	p.draw(best, routes)
}

// spots are the layers, and the way of each edge through them.
func (p *picture) spots() (layers [][]*spot, routes [][]*spot) {
	of := map[*box]*spot{}
	for _, b := range p.Boxes {
		for len(layers) <= b.Layer {
			layers = append(layers, nil)
		}
		of[b] = &spot{box: b, width: boxWidth}
		layers[b.Layer] = append(layers[b.Layer], of[b])
	}
	for _, e := range p.Edges {
		route := []*spot{of[e.From]}
		for l := e.From.Layer + 1; l < e.To.Layer; l++ {
			lane := &spot{width: laneWidth}
			layers[l] = append(layers[l], lane)
			route = append(route, lane)
		}
		route = append(route, of[e.To])
		for i := 1; i < len(route); i++ {
			route[i-1].down = append(route[i-1].down, route[i])
			route[i].up = append(route[i].up, route[i-1])
		}
		routes = append(routes, route)
	}
	for _, l := range layers {
		number(l)
	}
	return layers, routes
}

func number(l []*spot) {
	for i, s := range l {
		s.x = float64(i)
	}
}

// crossings counts the edges that cross between two layers.
func crossings(layers [][]*spot) int {
	n := 0
	for _, l := range layers {
		for i, a := range l {
			for _, b := range l[i+1:] {
				for _, x := range a.down {
					for _, y := range b.down {
						n += boolean(x.x > y.x)
					}
				}
			}
		}
	}
	return n
}

// relax moves each spot of a layer towards its neighbours, those above or those below, and keeps the order and the distances.
func relax(l []*spot, down bool) {
	wanted := make([]float64, len(l))
	for i, s := range l {
		if wanted[i] = s.middle(s.up); down {
			wanted[i] = s.middle(s.down)
		}
	}
	distance := func(i int) float64 { return (l[i].width+l[i+1].width)/2 + columnGap }
	// From both sides each spot is pushed as far as its neighbour's wish makes it go; the mean of the two keeps distances.
	right, left := slices.Clone(wanted), slices.Clone(wanted)
	for i := 1; i < len(l); i++ {
		right[i] = max(right[i], right[i-1]+distance(i-1))
	}
	for i := len(l) - 2; i >= 0; i-- {
		left[i] = min(left[i], left[i+1]-distance(i))
	}
	for i, s := range l {
		s.x = (left[i] + right[i]) / 2
	}
}

// draw sets the places of boxes and the paths of edges.
func (p *picture) draw(layers [][]*spot, routes [][]*spot) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, l := range layers {
		for _, s := range l {
			least, most = min(least, s.x-s.width/2), max(most, s.x+s.width/2)
		}
	}
	p.Width, p.Height = math.Ceil(most-least+2*pictureRim), float64(len(layers))*(boxHeight+layerGap)-layerGap+2*pictureRim
	top := func(l int) float64 { return pictureRim + float64(l)*(boxHeight+layerGap) }
	for i, l := range layers {
		for _, s := range l {
			s.x += pictureRim - least
			if s.box != nil {
				s.box.X, s.box.Y = math.Round(s.x-boxWidth/2), top(i)
			}
		}
	}
	// The order of reading, also for who goes through them by keyboard.
	slices.SortStableFunc(p.Boxes, func(a, b *box) int { return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.X, b.X)) })
	for i, route := range routes {
		e := &p.Edges[i]
		var b strings.Builder
		x, y := port(route[0], route[1], route[0].down), top(e.From.Layer)+boxHeight
		fmt.Fprintf(&b, "M%.1f %.1f", x, y)
		for j, s := range route[1:] {
			l := e.From.Layer + 1 + j
			nx, ny := s.x, top(l)
			if s.box != nil {
				nx = port(s, route[j], s.up)
				ny -= 5 // room for the arrow's head
			}
			bend := (ny - y) / 2
			fmt.Fprintf(&b, "C%.1f %.1f %.1f %.1f %.1f %.1f", x, y+bend, nx, ny-bend, nx, ny)
			if s.box == nil {
				ny += boxHeight
				fmt.Fprintf(&b, "V%.1f", ny)
			}
			x, y = nx, ny
		}
		e.Path = b.String()
	}
}

// port is where on a box's side the edge to a neighbour begins or ends: side by side, in the neighbours' order.
func port(s, neighbour *spot, neighbours []*spot) float64 {
	sorted := slices.SortedStableFunc(slices.Values(neighbours), func(a, b *spot) int { return cmp.Compare(a.x, b.x) })
	at := float64(slices.Index(sorted, neighbour)) - float64(len(sorted)-1)/2
	return s.x + at*min(18, (boxWidth-24)/float64(len(sorted)))
}
