package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/monitor"
)

// view returns the height lines of the screen. It limits the scroll to the page's lines.
func (m *model) view(width, height int) []line {
	if width < 1 || height < 1 {
		return nil
	}
	var lines []line
	switch {
	case m.help:
		lines = m.page(width, height, "Keys and words", helpLines(width, m.glyphs), &m.helpAt)
	case m.looking != "":
		lines = m.page(width, height, m.looking, m.linesInside(width), &m.scroll)
	default:
		lines = m.main(width, height)
	}
	lines = lines[:min(len(lines), height)]
	for i, l := range lines {
		lines[i] = l.clip(width, m.glyphs).spell(m.glyphs)
	}
	return append(lines, make([]line, height-len(lines))...)
}

// budget is how many lines are left.
type budget int

// take returns as many lines as are wanted and left; 0 if that is less than least.
func (b *budget) take(want, least int) int {
	n := min(want, int(*b))
	if n < least {
		return 0
	}
	*b -= budget(n)
	return n
}

const (
	// newsLeast and newsMost are how many lines of news stand below the table; a wide window is filled.
	newsLeast, newsMost = 3, 8
	// A window below low lines shows only the table; from high lines on, the table leaves
	// lines to other parts.
	low, high = 4, 16
)

// main returns the table, and around it what else fits. The least useful part is dropped
// first.
func (m *model) main(width, height int) []line {
	if height < low {
		return m.table(width, height)
	}
	left := budget(height - 2) // without the first line and the line of keys
	rows := 1 + max(1, len(m.rows()))
	table := rows
	if height >= high { // with many agents, some rows make room for the news
		table = min(rows, (height-2)*2/3)
	}
	table = left.take(table, 1)
	facts, faults, past, hints := m.facts(), m.faults(), m.timeline(width), m.hintLines()
	facts = facts[:left.take(len(facts), 1)]
	faults = faults[:left.take(len(faults), 1)]
	past = spaced(past, left.take(1+len(past), 1+len(past)))
	news := left.take(1+newsLeast, 2)
	hints = spaced(hints, left.take(1+len(hints), 1+len(hints)))
	air := left.take(1, 1)
	table += left.take(rows-table, 1)
	if news > 0 {
		most := newsMost
		if width >= wide {
			most = recentKept
		}
		news += left.take(most-newsLeast, 1)
	}
	lines := slices.Concat([]line{m.headline(width)}, facts, faults, make([]line, air), m.table(width, table), past)
	lines = append(lines, spaced(newsLines(m.shown().recent, news-1), news)...)
	for len(lines)+len(hints)+1 < height {
		lines = append(lines, line{})
	}
	return append(slices.Concat(lines, hints), m.keyLine(width))
}

// spaced puts an empty line before lines, if there is room for n.
func spaced(lines []line, n int) []line {
	if n < 2 || len(lines) == 0 {
		return nil
	}
	return append([]line{{}}, lines...)
}

// headline returns the first line: who is the goose.
func (m *model) headline(width int) line {
	s := m.shown()
	p := &s.picture
	goose := p.Goose()
	since, older := s.history.since()
	lasts := age(max(p.At.Sub(since), time.Second))
	left := m.paused()
	switch {
	case p.Trouble != "":
		left.add(badBadge, " "+p.Trouble+" ")
	case goose.Token == 0:
		left.add(badBadge, " NO GOOSE ")
		left.add(bad, " for "+lasts)
	default:
		left.add(goodBadge, " "+goose.Name+" is the goose ")
		if older {
			lasts += " or more"
		}
		left.add(plain, fmt.Sprintf(" for %s, term %d, token %d", lasts, goose.Term, goose.Token))
	}
	return apart(left, says(faint, api.Clean(p.Title)), width)
}

// paused begins a line with a sign if the screen is paused.
func (m *model) paused() (l line) {
	if m.frozen != nil {
		l.add(badBadge, " PAUSED ")
		l.add(plain, " ")
	}
	return l
}

// facts returns the line of numbers about the flock.
func (m *model) facts() []line {
	p := &m.shown().picture
	live := 0
	for i := range p.Agents {
		if p.Agents[i].live() {
			live++
		}
	}
	words := []string{fmt.Sprintf("%d agents, %d live", len(p.Agents), live)}
	s := p.best()
	if n := len(p.Voters()); n > 0 {
		words = append(words, fmt.Sprintf("%d voters, %d are a majority", n, n/2+1))
	}
	if p.From != "" {
		words = append(words, "RTT from "+p.From)
	}
	if s != nil {
		words = append(words, fmt.Sprintf("lease %vms, heartbeat %vms", s.LeaseMS, s.Heartbeat))
	}
	return []line{says(plain, api.Clean(strings.Join(words, m.glyphs.dot)))}
}

func (m *model) faults() []line {
	if f := m.shown().picture.Faults; f != "" {
		return []line{says(notice, api.Clean("Faults: "+f))}
	}
	return nil
}

// timeline returns who was the goose, and since when.
func (m *model) timeline(width int) []line {
	h := &m.shown().history
	if !h.known() {
		return nil
	}
	_, older := h.since()
	var who line
	who.add(strong, "Who was the goose: ")
	for i, told := len(h.periods)-1, 0; i >= 0 && told < 8; i-- {
		p := h.periods[i]
		lasted := h.end(i).Sub(p.from)
		switch {
		case p.name == "" && told == 0:
			who.add(bad, "nobody since "+p.from.Format("15:04:05"))
		case p.name == "":
			continue
		case told == 0 && older:
			who.add(plain, p.name+" since before "+p.from.Format("15:04:05"))
		case told == 0:
			who.add(plain, p.name+" since "+p.from.Format("15:04:05"))
		default:
			who.add(plain, fmt.Sprintf("%s%s for %s", m.glyphs.dot, p.name, cmp.Or(age(lasted), "0s")))
		}
		told++
	}
	left, right := brief(h.reach())+" ago ", " now"
	room := width - len(left) - len(right)
	bar := line{}
	bar.add(faint, left)
	bar.spans = append(bar.spans, h.bar(room, m.glyphs).spans...)
	bar.add(faint, right)
	if width < wide {
		return []line{who, bar}
	}
	return []line{who, bar, says(faint, strings.Repeat(" ", len(left))+h.axis(room))}
}

// brief writes a whole number of minutes or hours.
func brief(d time.Duration) string {
	if d >= time.Hour {
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dm", int(d.Minutes()))
}

func newsLines(recent []dated, most int) (lines []line) {
	for _, e := range recent[max(0, len(recent)-max(most, 0)):] {
		lines = append(lines, line{spans: []span{{e.at, faint}, {api.Clean(e.text), e.style}}})
	}
	return lines
}

func (m *model) hintLines() (lines []line) {
	if m.hints == nil {
		return nil
	}
	lines = []line{says(faint, "Try, in another terminal:")}
	for _, h := range m.hints(m.shown().picture.Goose().Name) {
		lines = append(lines, line{spans: []span{{fmt.Sprintf("  %-18s ", h.What), faint}, {h.Command, plain}}})
	}
	return lines
}

// keyLine shows the keys, or the filter while it is typed.
func (m *model) keyLine(width int) line {
	if m.pending != nil {
		return m.confirmLine(width)
	}
	if m.editing {
		var l line
		l.add(strong, "filter: ")
		l.add(plain, m.filter+"_")
		return apart(l, says(faint, "enter keeps it, esc drops it"), width)
	}
	sort := "sort: " + orders[m.order].name
	filter := "filter"
	if m.filter != "" {
		filter += ": " + m.filter
	}
	all := [][2]string{{"q", m.ends}, {m.glyphs.arrows, "select"}, {"enter", "look into"}, {"s", sort}, {"/", filter}, {"?", "help"}}
	for _, a := range m.actions {
		all = append(all, [2]string{a.Key, a.Word})
	}
	return m.keys(width, append(all, [2]string{"r", "reverse"}, [2]string{"p", "pause"}))
}

// confirmLine asks to confirm the pending action.
func (m *model) confirmLine(width int) line {
	l := says(notice, api.Clean(m.pending.String())+"? ")
	return apart(l, m.keys(width, [][2]string{{"y", "yes"}, {"n", "no"}}), width)
}

// keys returns a line of as many keys as fit.
func (m *model) keys(width int, all [][2]string) (l line) {
	for _, k := range all {
		next := line{spans: slices.Clone(l.spans)}
		if len(next.spans) > 0 {
			next.add(plain, "  ")
		}
		next.add(strong, k[0])
		next.add(faint, " "+k[1])
		if next.width() <= width {
			l = next
		}
	}
	return l
}

// page is a screen of its own: a title, lines that scroll, and how to get back.
func (m *model) page(width, height int, title string, lines []line, at *int) []line {
	room := max(height-2, 1)
	*at = max(0, min(*at, len(lines)-room))
	shown := lines[*at:min(len(lines), *at+room)]
	if height < 3 {
		return shown
	}
	left := m.paused()
	left.add(goodBadge, " "+title+" ")
	where := ""
	if len(lines) > room {
		where = fmt.Sprintf("%d to %d of %d lines", *at+1, *at+len(shown), len(lines))
	}
	all := [][2]string{{"esc", "back"}, {"q", m.ends}, {m.glyphs.arrows, "scroll"}, {"tab", "the next one"}, {"p", "pause"}, {"?", "help"}}
	if m.help {
		all = [][2]string{{"esc", "back"}, {"q", m.ends}, {m.glyphs.arrows, "scroll"}}
	}
	out := append([]line{apart(left, says(faint, where), width)}, shown...)
	for len(out) < height-1 {
		out = append(out, line{})
	}
	if m.pending != nil {
		return append(out, m.confirmLine(width))
	}
	return append(out, m.keys(width, all))
}

// promise writes what a voter has promised.
func promise(p *monitor.Promise) string {
	switch {
	case p == nil:
		return ""
	case p.Waits > 0:
		return fmt.Sprintf("waits %dms", p.Waits.Milliseconds())
	case p.Left <= 0:
		return ""
	}
	return fmt.Sprintf("%s, %dms", cmp.Or(p.To, "?"), p.Left.Milliseconds())
}
