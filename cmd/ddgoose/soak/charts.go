package soak

import (
	"fmt"
	"strings"
	"time"

	"duckduckgoose/cmd/ddgoose/page"
)

// bucketEnds are the ends of the histogram's buckets.
var bucketEnds = []time.Duration{
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond,
	400 * time.Millisecond, 500 * time.Millisecond, 600 * time.Millisecond, 800 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
}

// Histogram draws the distribution of the times without a goose.
func (r *Report) Histogram() page.HTML {
	bars := make([]page.Bar, len(bucketEnds)+1)
	for i := range bars {
		from, to := "0ms", "longer"
		if i > 0 {
			from = short(bucketEnds[i-1])
		}
		if i < len(bucketEnds) {
			to = short(bucketEnds[i])
			bars[i].Edge = fmt.Sprint(bucketEnds[i].Milliseconds())
		}
		bars[i].Title = fmt.Sprintf("%s to %s", from, to)
	}
	for i := range r.Gaps {
		b := 0
		for b < len(bucketEnds) && r.Gaps[i].Lasts() >= bucketEnds[b] {
			b++
		}
		bars[b].Value++
	}
	return page.Bars("how long there was no goose", "milliseconds", bars)
}

// Chart is one small chart and its caption.
type Chart struct {
	Title, Range string
	SVG          page.HTML
}

// Memory draws the resident memory of every agent.
func (r *Report) Memory() []Chart {
	return r.charts("MB", func(s Sample) float64 { return s.RSS })
}

// Goroutines draws the goroutines of every agent.
func (r *Report) Goroutines() []Chart {
	return r.charts("", func(s Sample) float64 { return float64(s.Goroutines) })
}

// charts draws one chart an agent, all with one scale.
func (r *Report) charts(unit string, of func(Sample) float64) (all []Chart) {
	top := 1.0
	for _, samples := range r.Samples {
		for _, s := range samples {
			top = max(top, of(s))
		}
	}
	for _, name := range r.Agents {
		samples := r.Samples[name]
		if len(samples) == 0 {
			continue
		}
		least, most := of(samples[0]), of(samples[0])
		for _, s := range samples {
			least, most = min(least, of(s)), max(most, of(s))
		}
		all = append(all, Chart{name, strings.TrimSpace(fmt.Sprintf("%.0f to %.0f %s", least, most, unit)), r.lines(samples, top, of)})
	}
	return all
}

// lines draws a line for each life of an agent's process.
func (r *Report) lines(samples []Sample, top float64, of func(Sample) float64) page.HTML {
	const width, height = 260.0, 70.0
	// Points closer than a pixel would not be visible.
	every := max(len(samples)/int(width), 1)
	var svg page.Builder
	svg.Printf(`<svg class="spark" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img">`, width, height)
	for _, life := range lives(samples) {
		var points []string
		for i, s := range life {
			if i%every == 0 || i == len(life)-1 {
				points = append(points, fmt.Sprintf("%.1f,%.1f", width*float64(s.At)/float64(max(r.Until, 1)), height-2-(height-6)*of(s)/top))
			}
		}
		if len(points) == 1 {
			points = append(points, points[0])
		}
		svg.Printf(`<polyline points="%s"/>`, strings.Join(points, " "))
	}
	svg.Printf("</svg>")
	return svg.HTML()
}
