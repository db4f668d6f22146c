// Package page has what the report pages of soak and bench look like.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"
)

//go:embed style.css
var style string

// Style is the style sheet of a page.
func Style() template.CSS { return template.CSS(style) }

// Bar is one bar of a chart.
type Bar struct {
	Value float64
	Title string // shown when one points at it
	Edge  string // below its right edge
}

// Bars draws a chart of bars; unit stands below it.
func Bars(label, unit string, bars []Bar) template.HTML {
	const width, height, base = 560.0, 220.0, 180.0
	most := 0.0
	for i := range bars {
		most = max(most, bars[i].Value)
	}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg class="chart" viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(label))
	step := width / float64(max(len(bars), 1))
	for i := range bars {
		b := &bars[i]
		x := float64(i)*step + 3
		if b.Value > 0 {
			h, value := (base-20)*b.Value/most, fmt.Sprintf("%.4g", b.Value)
			fmt.Fprintf(&svg, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s: %s</title></rect>`, x, base-h, step-6, h, value, template.HTMLEscapeString(b.Title))
			fmt.Fprintf(&svg, `<text class="value" x="%.1f" y="%.1f">%s</text>`, x+step/2-3, base-h-5, value)
		}
		fmt.Fprintf(&svg, `<text class="edge" x="%.1f" y="%g">%s</text>`, x+step-3, base+16, template.HTMLEscapeString(b.Edge))
	}
	fmt.Fprintf(&svg, `<line class="axis" x1="0" x2="%g" y1="%g" y2="%g"/>`, width, base, base)
	fmt.Fprintf(&svg, `<text class="edge" x="%g" y="%g">%s</text></svg>`, width/2, height-6, template.HTMLEscapeString(unit))
	return template.HTML(svg.String())
}
