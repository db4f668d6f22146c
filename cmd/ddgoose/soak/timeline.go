package soak

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"duckduckgoose/cmd/ddgoose/page"
)

// The sizes of a strip of the timeline, in units of its view box.
const (
	stripWidth  = 1200.0
	stripGutter = 76.0
	stripRow    = 18.0
	stripAxis   = 18.0
	// leastWidth makes short times visible.
	leastWidth = 1.2
)

// strip draws the time between two moments: a row for faults of the whole network, one
// for the times without a goose, and one for each agent.
type strip struct {
	r        *Report
	from, to time.Duration
	svg      page.Builder
}

// maxStrips bounds the strips of the details.
const maxStrips = 24

// stripLengths are the possible lengths of a strip.
var stripLengths = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// Overview draws the whole run.
func (r *Report) Overview() page.HTML { return r.draw(0, r.Until) }

// Strips draws the run in pieces; none if the overview has the same scale.
func (r *Report) Strips() (all []page.HTML) {
	length := fitting(stripLengths, r.Until, maxStrips)
	if r.Until <= length {
		return nil
	}
	for from := time.Duration(0); from < r.Until; from += length {
		all = append(all, r.draw(from, from+length))
	}
	return all
}

// fitting returns the shortest length of which n cover all; the longest if none does.
func fitting(lengths []time.Duration, all, n time.Duration) time.Duration {
	i := slices.IndexFunc(lengths, func(l time.Duration) bool { return all <= n*l })
	return lengths[(i+len(lengths))%len(lengths)]
}

func (r *Report) draw(from, to time.Duration) page.HTML {
	s := &strip{r: r, from: from, to: to}
	rows := float64(len(r.Agents) + 2)
	height := rows*stripRow + stripAxis + 4
	s.svg.Printf(`<svg class="strip" viewBox="0 0 %g %g" role="img" aria-label="timeline from %s to %s">`, stripWidth, height, clock(from), clock(to))
	s.axis(rows * stripRow)
	s.network(0)
	s.gaps(1)
	for i, name := range r.Agents {
		s.agent(float64(i+2), name)
	}
	for i := range r.Violations {
		if v := &r.Violations[i]; v.At >= from && v.At < to {
			s.rect(0, rows, v.At, v.At, "violation", v.Promise+" "+v.Text)
		}
	}
	s.svg.Printf("</svg>")
	return s.svg.HTML()
}

func (s *strip) x(at time.Duration) float64 {
	at = min(max(at, s.from), s.to)
	return stripGutter + (stripWidth-stripGutter)*float64(at-s.from)/float64(s.to-s.from)
}

// rect draws a box over some rows, if it overlaps the strip.
func (s *strip) rect(row, rows float64, from, to time.Duration, class, title string) {
	if to < s.from || from >= s.to {
		return
	}
	x, w := s.x(from), s.x(to)-s.x(from)
	s.svg.Printf(`<rect class="%s" x="%.2f" y="%g" width="%.2f" height="%g" rx="2"><title>%s</title></rect>`,
		class, x, row*stripRow+2, max(w, leastWidth), rows*stripRow-4, title)
}

func (s *strip) text(x, y float64, class, text string) {
	s.svg.Printf(`<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x, y, text)
}

func (s *strip) label(row float64, text string) {
	s.text(stripGutter-8, row*stripRow+stripRow-5, "label", text)
}

// ticks are the possible distances between the marks of an axis.
var ticks = []time.Duration{
	5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// maxTicks bounds the marks of an axis.
const maxTicks = 12

func (s *strip) axis(bottom float64) {
	step := fitting(ticks, s.to-s.from, maxTicks)
	for at := (s.from + step - 1) / step * step; at <= s.to; at += step {
		s.svg.Printf(`<line class="grid" x1="%.1f" x2="%.1f" y1="0" y2="%g"/>`, s.x(at), s.x(at), bottom+4)
		class := "tick"
		switch at {
		case s.from:
			class += " first"
		case s.to:
			class += " last"
		}
		s.text(s.x(at), bottom+stripAxis-2, class, clock(at))
	}
}

// network draws the faults of the whole network.
func (s *strip) network(row float64) {
	s.label(row, "network")
	for _, f := range s.r.Struck {
		if f.Agent == "" && f.Skipped == "" {
			s.rect(row, 1, f.From, f.To, "fault "+f.Kind, faultTitle(f))
		}
	}
	for _, stall := range s.r.Stalls {
		s.rect(row, float64(len(s.r.Agents)+2), stall.From, stall.To, "stall", "this machine stalled for "+short(stall.To-stall.From))
	}
}

// gaps draws the times without a goose.
func (s *strip) gaps(row float64) {
	s.label(row, "no goose")
	for i := range s.r.Gaps {
		g := &s.r.Gaps[i]
		s.rect(row, 1, g.From, g.To, "gap", fmt.Sprintf("%s without a goose, from %s on: %s, then %s (%s)", short(g.Lasts()), clock(g.From), g.Old, cmp.Or(g.New, "nobody"), g.Cause))
	}
}

// agent draws one agent: its states, when it was the goose, and its faults.
func (s *strip) agent(row float64, name string) {
	s.label(row, name)
	for _, span := range s.r.Spans[name] {
		s.rect(row, 1, span.From, span.To, "state "+span.State, name+": "+span.State+" for "+short(span.To-span.From))
	}
	for i := range s.r.GoosePeriods {
		if g := &s.r.GoosePeriods[i]; g.Agent == name {
			s.rect(row, 1, g.From, g.To, "goose", fmt.Sprintf("%s is the goose of token %d for %s", name, g.Token, short(g.To-g.From)))
		}
	}
	for _, f := range s.r.Struck {
		if f.Agent == name && f.Skipped == "" {
			s.rect(row, 1, f.From, f.To, "fault "+f.Kind, faultTitle(f))
		}
	}
	for i := range s.r.Crashes {
		if c := &s.r.Crashes[i]; c.Agent == name {
			s.rect(row, 1, c.At, c.At, "violation", "crash: "+c.How)
		}
	}
}

func faultTitle(f *Struck) string {
	title := fmt.Sprintf("%s %s %s at %s for %s", f.Kind, f.Agent, f.Detail, clock(f.From), short(f.To-f.From))
	if f.Refused != "" {
		title += ": " + f.Refused
	}
	return title
}

// clock writes a moment as minutes and seconds.
func clock(d time.Duration) string {
	d = d.Round(time.Second)
	if h := int(d.Hours()); h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, int(d.Minutes())%60, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// shortMS is short for milliseconds.
func shortMS(ms float64) string { return short(millis(ms)) }

// short writes a time with three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.0fms", float64(d)/float64(time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
