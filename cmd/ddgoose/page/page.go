// Package page writes the report pages of soak and bench.
//
// It does without html/template: that looks methods up by name, and a program that does so
// keeps every exported method of the types in use, which made it larger by megabytes.
package page

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
)

// HTML is markup that is written as it is.
type HTML string

// Builder collects markup.
type Builder struct{ text strings.Builder }

// Printf adds markup. Its arguments are escaped, but for those that are HTML.
func (b *Builder) Printf(format string, args ...any) {
	safe := make([]any, len(args))
	for i, a := range args {
		if _, ok := a.(HTML); !ok {
			a = escaped{a}
		}
		safe[i] = a
	}
	fmt.Fprintf(&b.text, format, safe...)
}

// HTML returns what was added.
func (b *Builder) HTML() HTML { return HTML(b.text.String()) }

// escaped is a value that is written by any verb, with its markup escaped.
type escaped struct{ value any }

func (e escaped) Format(s fmt.State, verb rune) {
	_, _ = io.WriteString(s, html.EscapeString(fmt.Sprintf(fmt.FormatString(s, verb), e.value)))
}

//go:embed style.css
var style HTML

// Begin adds all that stands before the header of a page.
func (b *Builder) Begin(title string) {
	b.Printf(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>%s</style>
</head>
<body>
<main>
`, title, style)
}

// End ends a page and writes it.
func (b *Builder) End(w io.Writer) error {
	b.Printf("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, b.text.String())
	return err
}

// Bar is one bar of a chart.
type Bar struct {
	Value float64
	Title string // shown when one points at it
	Edge  string // below its right edge
}

// Bars draws a chart of bars; unit stands below it.
func Bars(label, unit string, bars []Bar) HTML {
	const width, height, base = 560.0, 220.0, 180.0
	most := 0.0
	for i := range bars {
		most = max(most, bars[i].Value)
	}
	var svg Builder
	svg.Printf(`<svg class="chart" viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, label)
	step := width / float64(max(len(bars), 1))
	for i := range bars {
		b := &bars[i]
		x := float64(i)*step + 3
		if b.Value > 0 {
			h, value := (base-20)*b.Value/most, fmt.Sprintf("%.4g", b.Value)
			svg.Printf(`<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s: %s</title></rect>`, x, base-h, step-6, h, b.Title, value)
			svg.Printf(`<text class="value" x="%.1f" y="%.1f">%s</text>`, x+step/2-3, base-h-5, value)
		}
		svg.Printf(`<text class="edge" x="%.1f" y="%g">%s</text>`, x+step-3, base+16, b.Edge)
	}
	svg.Printf(`<line class="axis" x1="0" x2="%g" y1="%g" y2="%g"/>`, width, base, base)
	svg.Printf(`<text class="edge" x="%g" y="%g">%s</text></svg>`, width/2, height-6, unit)
	return svg.HTML()
}
