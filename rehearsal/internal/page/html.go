package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/yuin/goldmark"
)

var (
	//go:embed page.css
	style string

	// The policy lets nothing be loaded or run, whatever stands on the page.
	document = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>{{.Style}}</style>
<h1>{{.Title}}</h1>
{{.Body}}`))

	escape = template.HTMLEscapeString
)

// HTML is the page as one file for a browser. It has no script and loads nothing.
func (p Page) HTML(title string) ([]byte, error) {
	var b bytes.Buffer
	// Values are escaped where parts are added.
	err := document.Execute(&b, struct {
		Title string
		Style template.CSS
		Body  template.HTML
	}{title, template.CSS(style), template.HTML(p.html())})
	return b.Bytes(), err
}

func (p Page) html() string {
	var b strings.Builder
	for _, part := range p.parts {
		if part.summary != "" {
			fmt.Fprintf(&b, "<details><summary>%s</summary>\n%s</details>\n", escape(part.summary), part.inner.html())
		}
		b.WriteString(part.html)
	}
	return b.String()
}

// paragraph is Markdown without the HTML that may be in it.
func paragraph(markdown string) string {
	var b strings.Builder
	if err := goldmark.Convert([]byte(markdown), &b); err != nil { // its writer never fails
		return "<p>" + escape(markdown) + "</p>\n"
	}
	return b.String()
}

func items(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("<li>" + escape(line) + "\n")
	}
	return "<ul>\n" + b.String() + "</ul>\n"
}

// grid is a table, which scrolls by itself where it is wider than the page.
func grid(columns []Column, rows [][]string) string {
	var b strings.Builder
	row := func(tag string, cell func(i int, c Column) string) {
		b.WriteString("<tr>")
		for i, c := range columns {
			class := ""
			if c.Number {
				class = ` class="number"`
			}
			fmt.Fprintf(&b, "<%s%s>%s", tag, class, cell(i, c))
		}
		b.WriteString("\n")
	}
	row("th", func(_ int, c Column) string { return escape(c.Name) })
	for _, cells := range rows {
		row("td", func(i int, c Column) string {
			text := strings.ReplaceAll(escape(cells[i]), "\n", "<br>")
			if c.Code && text != "" {
				return "<code>" + text + "</code>"
			}
			return text
		})
	}
	return `<div class="wide"><table>` + "\n" + b.String() + "</table></div>\n"
}
