package top

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"duckduckgoose/agent/api"
)

// column is one column of the table.
type column struct {
	name  string
	right bool
	drop  int // narrow windows drop the column with the highest number first; 0: never
	least int // a usual width, so that the column does not move
	cell  func(m *model, a *Agent, g Goose) string
}

var columns = []column{
	{"AGENT", false, 0, 0, func(_ *model, a *Agent, _ Goose) string { return a.Name }},
	{"ROLE", false, 0, len("no answer"), func(_ *model, a *Agent, g Goose) string { return a.role(g) }},
	{"LEASE", false, 7, leaseWidth, leaseBar},
	{"LEFT", true, 1, len("999ms"), func(_ *model, a *Agent, _ Goose) string {
		if a.State != StateUp || a.Status.Role != api.RoleGoose {
			return ""
		}
		return fmt.Sprintf("%dms", a.Left.Milliseconds())
	}},
	{"FOLLOWS", false, 2, 0, func(_ *model, a *Agent, _ Goose) string {
		switch {
		case a.State != StateUp:
			return ""
		case a.Status.Goose == nil:
			return "nobody"
		}
		return a.Status.Goose.Name
	}},
	{"TERM", true, 4, 0, ifUp(func(s *api.Status) string { return strconv.FormatUint(s.Term, 10) })},
	{"TOKEN", true, 11, 0, ifUp(func(s *api.Status) string { return strconv.FormatUint(s.Token, 10) })},
	{"VOTERS", true, 12, 0, ifUp(func(s *api.Status) string { return strconv.Itoa(len(s.Config.Voters)) })},
	{"PROMISE", false, 10, 0, func(_ *model, a *Agent, _ Goose) string { return promise(a.Promise) }},
	{"RTT", true, 3, len("suspect"), func(_ *model, a *Agent, _ Goose) string { return cmp.Or(a.Seen, rtt(a.RTT)) }},
	{"LAST MINUTE", false, 8, 0, lastMinute},
	{"LOSS", true, 5, 0, func(_ *model, a *Agent, _ Goose) string { return loss(a.Loss) }},
	{"AGE", true, 6, len("59m59s"), func(_ *model, a *Agent, _ Goose) string { return age(a.Age) }},
	{"PID", true, 13, 0, func(_ *model, a *Agent, _ Goose) string { return strings.TrimLeft(strconv.Itoa(a.PID), "0") }},
	{"ADDRESS", false, 9, 0, func(_ *model, a *Agent, _ Goose) string { return a.addr() }},
	{"", false, 0, 0, func(_ *model, a *Agent, _ Goose) string { return a.Note }},
}

func ifUp(f func(*api.Status) string) func(*model, *Agent, Goose) string {
	return func(_ *model, a *Agent, _ Goose) string {
		if a.State != StateUp {
			return ""
		}
		return f(&a.Status)
	}
}

// leaseWidth is how many columns a whole lease takes.
const leaseWidth = 8

// leaseBar draws what is left of a lease.
func leaseBar(m *model, a *Agent, _ Goose) string {
	if a.State != StateUp || a.Status.Role != api.RoleGoose || a.Status.LeaseMS <= 0 {
		return ""
	}
	full := int(a.Left.Seconds()*1000/a.Status.LeaseMS*leaseWidth + 0.5)
	full = max(0, min(full, leaseWidth))
	return strings.Repeat(m.glyphs.full, full) + strings.Repeat(m.glyphs.empty, leaseWidth-full)
}

// wide is a window that has room for more than numbers.
const wide = 120

// lastMinute draws an agent's round trips in a wide window.
func lastMinute(m *model, a *Agent, _ Goose) string {
	s := m.shown()
	t := s.roundTrips[a.Name]
	if m.steady.width < wide || !t.measured() {
		return ""
	}
	signs := 20
	switch {
	case m.steady.width >= 200:
		signs = 60
	case m.steady.width >= 140:
		signs = 30
	}
	return t.draw(s.picture.At, signs, m.glyphs)
}

// rtt writes a round trip with three digits.
func rtt(d *time.Duration) string {
	if d == nil {
		return ""
	}
	unit := time.Microsecond
	for unit < time.Millisecond && *d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}

func loss(ratio *float64) string {
	switch {
	case ratio == nil:
		return ""
	case *ratio > 0 && *ratio < 0.1:
		return fmt.Sprintf("%.1f%%", 100**ratio)
	}
	return fmt.Sprintf("%.0f%%", 100**ratio)
}

// age writes how long something has lasted.
func age(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case d == 0:
		return ""
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 48*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
}

// table draws the head and as many rows as fit, always with the selected one.
func (m *model) table(width, height int) []line {
	rows := m.rows()
	goose := m.shown().picture.Goose()
	at := m.at(rows)
	room := max(height-1, 1)
	if len(rows) > room && room > 1 { // say so in the last line
		room--
	}
	first := max(0, min(at-room/2, len(rows)-room))
	last := min(first+room, len(rows))
	shown, cells, widths := m.layout(rows, goose, width)
	var lines []line
	for r, row := range cells {
		if r > 0 && (r-1 < first || r-1 >= last) {
			continue
		}
		l := line{selected: r > 0 && r-1 == at}
		for i, text := range row {
			s := strong
			if r > 0 {
				s = cellStyle(rows[r-1], shown[i].name, goose)
			}
			pad := strings.Repeat(" ", max(0, widths[i]-displaywidth.String(text)))
			if shown[i].right {
				text = pad + text
			} else if i+1 < len(row) {
				text += pad
			}
			if i > 0 {
				l.add(plain, "  ")
			}
			l.add(s, text)
		}
		lines = append(lines, l.clip(width, m.glyphs))
	}
	switch {
	case len(rows) == 0 && m.filter != "":
		lines = append(lines, says(faint, "none matches "+m.filter))
	case last-first < len(rows):
		lines = append(lines, says(faint, fmt.Sprintf("%d to %d of %d", first+1, last, len(rows))).clip(width, m.glyphs))
	}
	return lines
}

// cellStyle returns the style of a cell: the goose is bright, agents that take no part are
// faint.
func cellStyle(a *Agent, column string, g Goose) style {
	role := a.role(g)
	switch {
	case column == "":
		return notice
	case column == "LOSS" && a.Loss != nil && *a.Loss >= 0.05:
		return notice
	case column == "RTT" && a.Seen != "":
		return notice
	case column == "FOLLOWS" && a.State == StateUp && a.Status.Goose == nil:
		return bad
	case role == api.RoleGoose && a.Name != g.Name: // another leads by a higher token
		return bad
	case role == api.RoleGoose:
		return good
	case role == api.RoleCandidate, a.State == StateSuspect, a.State == StateStarting:
		return notice
	case column == "ROLE" && (a.State == StateFailed || a.State == StateSilent || a.State == StateEnded):
		return bad
	case !a.live():
		return faint
	}
	return plain
}
