package page

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// hostile are texts that would end a cell, code or a row.
var hostile = []string{"a|b", "`", "``` `` ```", "two\nlines", `\|`, "</details>", "", strings.Repeat("`|", 1_000)}

// code is a span of code in Markdown.
var code = regexp.MustCompile("(`+)[^`](.*?[^`])??(`+)")

func TestNothingInATableEndsIt(t *testing.T) {
	var rows [][]string
	for _, text := range hostile {
		rows = append(rows, []string{text, text, text})
	}
	var p Page
	p.Table([]Column{{Name: "plain"}, {Name: "code", Code: true}, {Name: "below", Code: true, Below: true}}, rows)
	lines := strings.Split(strings.TrimSpace(p.Markdown(1_000_000)), "\n")
	assert.Len(t, lines, len(rows)+2)
	for _, line := range lines {
		assert.Equal(t, 4, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
		assert.Less(t, len(line), 4*2*widest)
		if cells := strings.SplitN(line, " | ", 2); strings.Contains(line, "details") {
			assert.NotContains(t, code.ReplaceAllString(cells[1], ""), "details", "it stands in code only")
		}
	}
}

func TestNothingInCodeEndsIt(t *testing.T) {
	for _, text := range hostile {
		var p Page
		p.Code("", text)
		lines := strings.Split(strings.TrimSpace(p.Markdown(1_000_000)), "\n")
		fence := lines[0]
		assert.GreaterOrEqual(t, len(fence), 3)
		assert.Equal(t, fence, lines[len(lines)-1])
		for _, line := range lines[1 : len(lines)-1] {
			assert.NotContains(t, line, fence)
		}
		if text == "" {
			continue
		}
		span := Code(text)
		ticks := len(span) - len(strings.TrimLeft(span, "`"))
		assert.Equal(t, ticks, len(span)-len(strings.TrimRight(span, "`")))
		assert.Less(t, longestRun(span[ticks:len(span)-ticks]), ticks, span)
		assert.NotContains(t, span, "\n")
	}
}

func TestTheTextOfATableIsAligned(t *testing.T) {
	var p Page
	p.Table([]Column{{Name: "item"}, {Name: "usd", Number: true}, {}, {Name: "why", Below: true}},
		[][]string{{"é", "10.00", "note", "one\ntwo"}, {"longer", "1.00", "", ""}})
	assert.Equal(t, strings.Join([]string{
		"  ITEM      USD",
		"  é       10.00  note",
		"      one",
		"      two",
		"  longer   1.00",
		"",
	}, "\n"), p.Text())
}

// Whatever the limit is, the page keeps to it, uses the room, and says how much is left out.
func TestMarkdownIsCutToItsLimit(t *testing.T) {
	var rows [][]string
	var lines []string
	for i := range 500 {
		rows = append(rows, []string{fmt.Sprint(i)})
		lines = append(lines, fmt.Sprint("line ", i))
	}
	var inner, p Page
	inner.Code("", strings.Join(lines, "\n"))
	p.Heading("%d things", 2)
	p.Table([]Column{{Name: "n"}}, rows)
	p.List(lines[:3]...)
	p.Fold("more", inner)
	whole := p.Markdown(1_000_000)
	assert.NotContains(t, whole, "…")
	for limit := 200; limit < len(whole); limit += 97 {
		text := p.Markdown(limit)
		assert.LessOrEqual(t, len(text), limit)
		assert.Greater(t, len(text), limit-100, "the room is used")
		assert.Contains(t, text, "more: see the job's output")
		assert.True(t, strings.HasSuffix(text, "```\n\n</details>\n"), "what is cut is ended")
	}
	assert.Equal(t, whole, p.Markdown(len(whole)))
}

func TestWhatIsEmptyIsNotThere(t *testing.T) {
	var p Page
	p.Table([]Column{{Name: "n"}}, nil)
	p.List()
	assert.Empty(t, p.Text())
	assert.Empty(t, p.Markdown(100))
}

// Whatever stands on it, the page loads nothing and runs nothing, and what is wide is in a box that scrolls.
func TestNothingOnTheHTMLPageIsMarkup(t *testing.T) {
	texts := append(hostile, `<script>alert(1)</script>`, `"><img src=https://example.com/x>`, "<style>*{}</style>", "&amp;")
	var inner, p Page
	var rows [][]string
	for _, text := range texts {
		rows = append(rows, []string{text, text})
	}
	inner.Table([]Column{{Name: "plain"}, {Name: "code", Code: true, Number: true, Below: true}}, rows)
	for i, text := range texts {
		p.Heading("%s", text)
		p.Say("%d %s", i, Code(text))
		p.Code("", text)
		p.List(text)
		p.Fold("more of "+text, inner)
	}
	p.Say("<b>bold</b> and [source](https://example.com/)")
	data, err := p.HTML("a <title>")
	require.NoError(t, err)
	document, err := html.Parse(bytes.NewReader(data))
	require.NoError(t, err)
	elements, links := map[string]int{}, 0
	for node := range document.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		elements[node.Data]++
		for _, attribute := range node.Attr {
			assert.Contains(t, []string{"class", "href", "lang", "charset", "content", "name", "http-equiv"}, attribute.Key)
			if attribute.Key == "href" {
				links++
				assert.Equal(t, "a", node.Data)
			}
		}
		if node.Data == "table" {
			assert.Equal(t, []html.Attribute{{Key: "class", Val: "wide"}}, node.Parent.Attr)
		}
	}
	assert.Equal(t, 1, links)
	assert.Equal(t, 1, elements["style"])
	for _, element := range []string{"script", "img", "b"} {
		assert.Zero(t, elements[element], element)
	}
	assert.Equal(t, len(texts), elements["details"])
	assert.Equal(t, len(texts), elements["h2"])
	assert.Contains(t, string(data), `content="default-src 'none'; style-src 'unsafe-inline'"`)
}
