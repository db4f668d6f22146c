package top

import (
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

// history is the goose periods, and the gaps between them.
type history struct {
	first, last time.Time
	periods     []period
}

// period is a goose period or a gap. It lasts until the next one begins.
type period struct {
	name  string // "": nobody's
	token uint64
	from  time.Time
	odd   bool // alternates between goose periods
}

// periodsKept bounds a history.
const periodsKept = 1000

// add records who is the goose at a moment that is later than all before.
func (h *history) add(at time.Time, g Goose) {
	if h.first.IsZero() {
		h.first = at
	}
	h.last = at
	n := len(h.periods)
	if n > 0 && h.periods[n-1].name == g.Name && h.periods[n-1].token == g.Token {
		return
	}
	p := period{name: g.Name, token: g.Token, from: at}
	for _, before := range slices.Backward(h.periods) {
		if before.name != "" {
			p.odd = !before.odd
			break
		}
	}
	h.periods = append(h.periods, p)
	h.periods = h.periods[max(0, len(h.periods)-periodsKept):]
}

// known reports whether there is any.
func (h *history) known() bool { return len(h.periods) > 0 }

// end is when a period ended, or the last moment known.
func (h *history) end(i int) time.Time {
	if i+1 < len(h.periods) {
		return h.periods[i+1].from
	}
	return h.last
}

// since is when the last period began; older: it may have begun before, because it is the
// first one known.
func (h *history) since() (at time.Time, older bool) {
	if !h.known() {
		return h.last, false
	}
	at = h.periods[len(h.periods)-1].from
	return at, at.Equal(h.first)
}

// reaches are how far back a bar can go.
var reaches = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// reach returns how far back a bar goes: the shortest of reaches that shows everything.
func (h *history) reach() time.Duration {
	i, _ := slices.BinarySearch(reaches, h.last.Sub(h.first))
	return reaches[min(i, len(reaches)-1)]
}

// ticks are the distances of the times below a bar, by its reach.
var ticks = []time.Duration{
	10 * time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour,
}

// scale returns the moment at a bar's right end, and what each of its columns stands for.
func (h *history) scale(width int) (end time.Time, step time.Duration) {
	step = (h.reach() / time.Duration(max(width, 1))).Truncate(time.Millisecond)
	return h.last.Truncate(step).Add(step), step
}

// place returns the column of a moment in a bar.
func place(t, end time.Time, step time.Duration, width int) int {
	return width - 1 - int(end.Sub(t)-1)/int(step)
}

// axis writes the time of day below a bar; each begins at its moment.
func (h *history) axis(width int) string {
	end, step := h.scale(width)
	if width < 1 || step <= 0 {
		return ""
	}
	tick := ticks[slices.Index(reaches, h.reach())]
	layout := "15:04:05"
	if tick >= time.Minute {
		layout = "15:04"
	}
	axis := ""
	for at := h.last.Add(-h.reach()).Truncate(tick); at.Before(end); at = at.Add(tick) {
		text := "|" + at.Format(layout)
		if c := place(at, end, step, width); c >= len(axis) && c+len(text) <= width {
			axis += strings.Repeat(" ", c-len(axis)) + text
		}
	}
	return axis
}

// bar draws the history from reach ago until now. Each column keeps its moments until the
// whole bar moves by one column.
func (h *history) bar(width int, g *glyphs) line {
	end, step := h.scale(width)
	if width < 1 || step <= 0 {
		return line{}
	}
	cells := make([]span, width)
	for c := range cells {
		from := end.Add(-time.Duration(width-c) * step)
		cells[c] = h.cell(from, from.Add(step), g)
	}
	h.label(cells, end, step)
	var l line
	for _, c := range cells {
		if n := len(l.spans); n > 0 && l.spans[n-1].style == c.style {
			l.spans[n-1].text += c.text
		} else {
			l.spans = append(l.spans, c)
		}
	}
	return l
}

// cell draws what was between two moments.
func (h *history) cell(from, to time.Time, g *glyphs) span {
	if !to.After(h.first) || from.After(h.last) {
		return span{" ", plain}
	}
	cell, goose, nobody := span{g.beam, good}, false, false
	for i, p := range h.periods {
		if !p.from.Before(to) || !h.end(i).After(from) && i+1 < len(h.periods) {
			continue
		}
		if p.name == "" {
			nobody = true
			continue
		}
		goose = true
		if cell.style = good; p.odd {
			cell.style = second
		}
	}
	switch {
	case nobody && goose:
		return span{g.broken, bad}
	case nobody:
		return span{g.gap, bad}
	case !goose:
		return span{" ", plain}
	}
	return cell
}

// label writes the names of geese where their periods begin, if there is room.
func (h *history) label(cells []span, end time.Time, step time.Duration) {
	for i, p := range h.periods {
		if p.name == "" || h.end(i).Before(end.Add(-time.Duration(len(cells))*step)) {
			continue
		}
		from, to := max(place(p.from, end, step, len(cells)), 0), place(h.end(i), end, step, len(cells))
		if i > 0 && h.periods[i-1].name == "" && from < len(cells) && cells[from].style == bad {
			from++ // keep the sign of the gap
		}
		name := []rune(api.Clean(p.name))
		if to-from < len(name) || len(name) > 12 {
			continue
		}
		style := good
		if p.odd {
			style = second
		}
		for j, r := range name {
			cells[from+j] = span{string(r), style}
		}
	}
}
