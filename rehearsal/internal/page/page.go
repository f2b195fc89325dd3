// Package page writes one page for three readers: as text for a terminal, as Markdown for a comment on a pull request, and as HTML for a
// browser.
package page

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// Page is headings, paragraphs, tables, lists and code, one below the other.
type Page struct{ parts []part }

type part struct {
	text string
	// The part in Markdown: its lines can be cut, and more is the begin of the note on those that are left out.
	head, tail, more string
	lines            []string
	html             string
	// inner is a page within the part, and summary its title.
	inner   Page
	summary string
}

// Column is a column of a table.
type Column struct {
	Name string
	// Number aligns the column to the right.
	Number bool
	// Code shows the cells as code: in Markdown nothing in them is markup then.
	Code bool
	// Below puts the lines of the cells below their row in the text. It is for the last column.
	Below bool
}

// widest is where Markdown cuts lines.
const widest = 400

// Add adds another page.
func (p *Page) Add(other Page) { p.parts = append(p.parts, other.parts...) }

// Heading adds a heading.
func (p *Page) Heading(format string, args ...any) {
	title := fmt.Sprintf(format, args...)
	p.parts = append(p.parts, part{text: "== " + title + "\n", head: "### " + title + "\n", html: "<h2>" + escape(title) + "</h2>\n"})
}

// Say adds a paragraph. It is Markdown in the text too.
func (p *Page) Say(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	p.parts = append(p.parts, part{text: text, head: text, html: paragraph(text)})
}

// Fold adds a page that Markdown and HTML hide behind its title.
func (p *Page) Fold(title string, inner Page) {
	p.parts = append(p.parts, part{
		text: "== " + title + "\n\n" + inner.Text(),
		head: "<details><summary>" + title + "</summary>\n\n", inner: inner, tail: "\n</details>\n",
		summary: title,
	})
}

// Code adds lines that are shown as they are. In Markdown, long ones are cut if they have no language.
func (p *Page) Code(language, text string) {
	text = strings.Trim(text, "\n")
	fence := strings.Repeat("`", max(3, longestRun(text)+1))
	code := part{text: text + "\n", head: fence + language + "\n", tail: fence + "\n", html: "<pre>" + escape(text) + "</pre>\n"}
	for line := range strings.SplitSeq(text, "\n") {
		if language == "" { // all else is to be copied
			line = clip(line, widest)
		}
		code.lines = append(code.lines, line)
	}
	if language == "yaml" {
		code.more = "# "
	}
	p.parts = append(p.parts, code)
}

// List adds a list, if it has lines.
func (p *Page) List(lines ...string) {
	if len(lines) == 0 {
		return
	}
	list := part{text: "  " + strings.Join(lines, "\n  ") + "\n", more: "- ", html: items(lines)}
	for _, line := range lines {
		list.lines = append(list.lines, "- "+Short(line, widest))
	}
	p.parts = append(p.parts, list)
}

// Table adds a table, if it has rows. Only cells of a column that is Below may have several lines.
func (p *Page) Table(columns []Column, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	table := part{head: "|", more: strings.Repeat("| ", len(columns))}
	rule := "|"
	for _, c := range columns {
		table.head += " " + c.Name + " |"
		rule += map[bool]string{false: "---|", true: "--:|"}[c.Number]
	}
	table.head += "\n" + rule + "\n"
	for _, row := range rows {
		line := "|"
		for i, c := range columns {
			if !c.Below {
				row[i] = strings.Join(strings.Fields(row[i]), " ")
			}
			line += " " + c.markdown(row[i]) + " |"
		}
		table.lines = append(table.lines, line)
	}
	table.text, table.html = text(columns, rows), grid(columns, rows)
	p.parts = append(p.parts, table)
}

func (c Column) markdown(cell string) string {
	if cell == "" {
		return ""
	}
	lines := strings.Split(cell, "\n")
	for i, line := range lines {
		if c.Code {
			lines[i] = Code(line)
		} else {
			lines[i] = strings.ReplaceAll(Short(line, widest), "|", `\|`)
		}
	}
	return strings.Join(lines, "<br>")
}

// text is a table for a terminal.
func text(columns []Column, rows [][]string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		if !c.Below {
			names[i] = strings.ToUpper(c.Name)
		}
	}
	var b strings.Builder
	widths := make([]int, len(columns))
	rows = slices.Insert(slices.Clone(rows), 0, names)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line, below := "", ""
		for i, c := range columns {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(row[i]))
			switch {
			case c.Below && row[i] != "":
				below = "\n      " + strings.ReplaceAll(row[i], "\n", "\n      ")
			case c.Number:
				line += "  " + space + row[i]
			default:
				line += "  " + row[i] + space
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + below + "\n")
	}
	return b.String()
}

// Text is the page for a terminal.
func (p Page) Text() string {
	var texts []string
	for _, part := range p.parts {
		texts = append(texts, part.text)
	}
	return strings.Join(texts, "\n")
}

// Markdown is the page for a comment of so many bytes. If there is no room for all lines, long parts are cut to the same number of
// lines.
func (p Page) Markdown(limit int) string {
	return p.markdown(sort.Search(limit, func(most int) bool { return len(p.markdown(most+1)) > limit }))
}

func (p Page) markdown(most int) string {
	var texts []string
	for _, part := range p.parts {
		lines := slices.Clone(part.lines[:min(most, len(part.lines))])
		if rest := len(part.lines) - most; rest > 0 {
			lines = append(lines, fmt.Sprintf("%s… %d more: see the job's output", part.more, rest))
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		texts = append(texts, part.head+part.inner.markdown(most)+strings.Join(lines, "\n")+part.tail)
	}
	return strings.Join(texts, "\n")
}

// Short is the text on one line, cut to a width.
func Short(text string, width int) string {
	return clip(strings.Join(strings.Fields(text), " "), width)
}

func clip(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

// Code is the text as code in Markdown, which nothing in it can end; also in a table.
func Code(text string) string {
	fence := strings.Repeat("`", longestRun(text)+1)
	text = strings.ReplaceAll(Short(text, widest), "|", `\|`)
	if len(fence) > 1 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}

// longestRun is the length of the longest run of backticks.
func longestRun(text string) int {
	longest, run := 0, 0
	for _, r := range text {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
