package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

func page(t *testing.T, r Report) string {
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	return b.String()
}

func TestTheSameReportGivesTheSameBytes(t *testing.T) {
	for range 5 {
		assert.Equal(t, page(t, changed(t, resources(t))), page(t, changed(t, resources(t))))
	}
}

// all are the elements of a page.
func all(t *testing.T, text string) []*html.Node {
	root, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	var out []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			out = append(out, n)
		}
	}
	return out
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// values are an attribute's values in the page, sorted.
func values(t *testing.T, text, key string) []string {
	var out []string
	for _, n := range all(t, text) {
		if v := attribute(n, key); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

func TestHostileTextsStayTexts(t *testing.T) {
	text := page(t, hostile())
	known := map[string]bool{}
	for _, n := range all(t, page(t, changed(t, resources(t)))) {
		known[n.Data] = true
	}
	for _, n := range all(t, page(t, rehearsed(resources(t)))) {
		known[n.Data] = true
	}
	elements := 0
	for _, n := range all(t, text) {
		elements++
		assert.True(t, known[n.Data] || n.Data == "nav", n.Data)
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
			assert.NotEqual(t, "src", a.Key)
			if a.Key == "href" {
				assert.False(t, strings.HasPrefix(a.Val, "javascript:"), a.Val)
			}
		}
	}
	assert.Greater(t, elements, 10000)
	assert.False(t, known["img"] || known["script"])
}

// Every element that begins also ends, in the right order, and every ID is there once and every link within the page leads
// to one.
func TestThePageIsWellFormed(t *testing.T) {
	for name, r := range map[string]Report{"change": changed(t, resources(t)), "rehearsal": rehearsed(resources(t)), "hostile": hostile(), "empty": {Stacks: []Stack{{}}}} {
		text := page(t, r)
		var open []string
		z := html.NewTokenizer(strings.NewReader(text))
		for z.Next() != html.ErrorToken {
			switch token := z.Token(); token.Type {
			case html.StartTagToken:
				if !slices.Contains([]string{"meta", "br", "img"}, token.Data) {
					open = append(open, token.Data)
				}
			case html.EndTagToken:
				require.NotEmpty(t, open, name)
				require.Equal(t, open[len(open)-1], token.Data, name)
				open = open[:len(open)-1]
			}
		}
		assert.Empty(t, open, name)
		if name != "hostile" {
			assert.NotContains(t, text, "ZgotmplZ", "html/template refused a value: %s", name)
		}
		ids := values(t, text, "id")
		assert.Equal(t, slices.Compact(slices.Clone(ids)), ids, name)
		for _, key := range []string{"href", "aria-labelledby"} {
			for _, v := range values(t, text, key) {
				if !strings.Contains(v, "://") && !strings.HasPrefix(v, "#ZgotmplZ") {
					assert.Contains(t, ids, strings.TrimPrefix(v, "#"), name)
				}
			}
		}
	}
}

func TestEveryResourceChangeAndOperationAppearsOnce(t *testing.T) {
	list := resources(t)
	r := changed(t, list)
	text := page(t, r)
	var urns, changes []string
	for _, resource := range list {
		urns = append(urns, resource.URN)
	}
	for _, c := range r.Stacks[0].Change.Changes {
		changes = append(changes, c.URN)
	}
	assert.ElementsMatch(t, urns, values(t, text, "data-urn"))
	assert.ElementsMatch(t, changes, values(t, text, "data-change"))

	stack := r.Stacks[0]
	timelines := map[string]estimate.Timeline{"up": stack.After.Up, "destroy": stack.After.Destroy, "change": *stack.Apply}
	for _, n := range all(t, text) {
		key := attribute(n, "data-timeline")
		if key == "" {
			continue
		}
		var operations, found, critical, foundCritical []string
		for _, o := range timelines[key].Operations {
			operations = append(operations, o.Verb+" "+o.URN)
			if o.Critical {
				critical = append(critical, o.URN)
			}
		}
		for d := range n.Descendants() {
			if v := attribute(d, "data-operation"); v != "" {
				found = append(found, v)
			}
			if v := attribute(d, "data-critical"); v != "" {
				foundCritical = append(foundCritical, v)
			}
		}
		assert.NotEmpty(t, found)
		assert.ElementsMatch(t, operations, found, key)
		assert.Equal(t, critical, foundCritical, "the critical path, in its order: %s", key)
		delete(timelines, key)
	}
	assert.Empty(t, timelines, "timelines that the page does not have")
}

func TestAFailedCheckIsFirstAndOpen(t *testing.T) {
	var first *html.Node
	for _, n := range all(t, page(t, rehearsed(resources(t)))) {
		if attribute(n, "class") == "checks" {
			first = n.FirstChild.NextSibling
		}
	}
	require.NotNil(t, first)
	assert.Equal(t, "failed", attribute(first, "class"))
	require.Equal(t, "details", first.FirstChild.Data)
	assert.True(t, slices.ContainsFunc(first.FirstChild.Attr, func(a html.Attribute) bool { return a.Key == "open" }))
}

func TestTheVerdictIsTheGuards(t *testing.T) {
	for text, verdict := range map[string]change.Verdict{
		"The guard lets this change pass": {},
		"The guard stops this change":     {Stopped: []change.Finding{{Kind: "VPC"}}},
		"take these entries out":          {Unused: []change.Acknowledgement{{Resource: "r"}}},
		"the reason of somebody":          {Acknowledged: []change.Finding{{Reason: "the reason of somebody"}}},
	} {
		assert.Contains(t, page(t, Report{Verdict: &verdict}), text)
	}
	assert.NotContains(t, page(t, Report{}), "The guard")
}

func TestDurationsAreForPeople(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0 s": 0, "40 s": 40 * time.Second, "12 min": 12 * time.Minute, "2 min 30 s": 150 * time.Second, "1 h 5 min": 65 * time.Minute, "2 h": 2 * time.Hour, "1 min": 59900 * time.Millisecond,
	} {
		assert.Equal(t, want, duration(d))
	}
}

func TestMoneyHasSignsAndGroups(t *testing.T) {
	for want, usd := range map[string]float64{"$0.00": 0.001, "$1,234,567.50": 1234567.5, "−$12.30": -12.3, "$999.00": 999} {
		assert.Equal(t, want, money(usd))
	}
	for want, usd := range map[string]float64{"±$0": 0.004, "+$3.00": 3, "−$3.00": -3} {
		assert.Equal(t, want, signed(usd))
	}
}

func TestABillPairsItsItems(t *testing.T) {
	before := estimate.Estimate{Bill: estimate.Bill{Monthly: 30, Items: []estimate.Item{{Name: "a", Monthly: 10}, {Name: "a", Monthly: 15}, {Name: "gone", Monthly: 5}}}}
	after := estimate.Estimate{Bill: estimate.Bill{Monthly: 28, Items: []estimate.Item{{Name: "new", Monthly: 1}, {Name: "a", Monthly: 12}, {Name: "a", Monthly: 15}}}}
	view := newBill(&before, after)
	var got []string
	sum := 0.0
	for _, l := range view.Lines {
		text := l.Name + " " + signed(l.Difference())
		if l.New {
			text += " new"
		}
		if l.Gone {
			text += " gone"
		}
		got = append(got, text)
		sum += l.Difference()
	}
	assert.Equal(t, []string{"new +$1.00 new", "a +$2.00", "a ±$0", "gone −$5.00 gone"}, got)
	assert.InDelta(t, view.Total.Difference(), sum, 0.001)
}

func TestAnAxisHoldsItsBarsWithFewTicks(t *testing.T) {
	for _, total := range []time.Duration{0, time.Second, time.Minute, 18 * time.Minute, time.Hour, 5 * time.Hour, 40 * time.Hour} {
		view := newTimeline("", "", estimate.Timeline{Total: total})
		assert.LessOrEqual(t, len(view.Ticks), 7, total)
		assert.GreaterOrEqual(t, len(view.Ticks), 2, total)
		assert.Equal(t, "100.000%", view.Ticks[len(view.Ticks)-1].X)
		end, _ := axis(total)
		assert.GreaterOrEqual(t, end, total)
	}
}

func TestADifferenceIsShownWhole(t *testing.T) {
	var b strings.Builder
	classes := map[string]bool{}
	for _, l := range diffLines(diff) {
		b.WriteString(l.Text)
		classes[l.Class] = true
	}
	assert.Equal(t, diff, b.String())
	assert.Equal(t, map[string]bool{"": true, "create": true, "update": true, "delete": true, "replace": true}, classes)
}
