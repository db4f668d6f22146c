package top

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// act is what a key makes the screen do besides changes of the model.
type act int

const (
	none act = iota
	quit
	suspend
	redraw
	ask     // about the agent that is looked into, at once
	perform // what was pending
)

// key takes a key: a letter, or a name as "up", "enter", "ctrl+c".
func (m *model) key(k string) act {
	switch k {
	case "ctrl+c":
		return quit
	case "ctrl+z":
		return suspend
	case "ctrl+l":
		return redraw
	}
	if m.pending != nil {
		if k == "y" {
			return perform
		}
		m.pending = nil // any other key is a no
		return none
	}
	if m.editing {
		m.edit(k)
		return none
	}
	switch k {
	case "q":
		return quit
	case "?", "f1":
		m.help, m.helpAt = !m.help, 0
		return none
	case "p", " ":
		m.pause()
		return none
	}
	if !m.help {
		m.propose(k)
	}
	switch {
	case m.help:
		m.help = scroll(&m.helpAt, k)
	case m.looking != "":
		return m.keyInside(k)
	default:
		return m.keyTable(k)
	}
	return none
}

// edit changes the filter.
func (m *model) edit(k string) {
	switch k {
	case "enter":
		m.editing = false
	case "esc":
		m.filter, m.editing = m.before, false
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	case "ctrl+u":
		m.filter = ""
	default:
		if utf8.RuneCountInString(k) == 1 {
			m.filter += k
		}
	}
}

// page is how far the page keys go.
const page = 10

// endless is more lines than any page has.
const endless = 1 << 20

// steps are how far keys go, up or down.
var steps = map[string]int{
	"up": -1, "k": -1, "down": 1, "j": 1,
	"pgup": -page, "ctrl+b": -page, "pgdn": page, "ctrl+f": page,
	"home": -endless, "g": -endless, "end": endless, "G": endless,
}

func (m *model) keyTable(k string) act {
	if by := steps[k]; by != 0 {
		m.move(by)
	}
	switch k {
	case "enter", "right", "l":
		return m.enter(0)
	case "s":
		m.order = (m.order + 1) % len(orders)
	case "S":
		m.order = (m.order + len(orders) - 1) % len(orders)
	case "r":
		m.reverse = !m.reverse
	case "/":
		m.editing, m.before = true, m.filter
	case "esc":
		m.filter = ""
	}
	return none
}

// move selects another row.
func (m *model) move(by int) {
	rows := m.rows()
	if i := m.at(rows); i >= 0 {
		m.row = max(0, min(i+by, len(rows)-1))
		m.selected = rows[m.row].Name
	}
}

// enter looks into the agent by rows from the selected one. The list wraps around.
func (m *model) enter(off int) act {
	rows := m.rows()
	i := m.at(rows)
	if i < 0 {
		return none
	}
	m.row = (i + off + len(rows)) % len(rows)
	m.selected = rows[m.row].Name
	m.looking, m.scroll = m.selected, 0
	m.inside = inside{name: m.looking}
	return ask
}

func (m *model) keyInside(k string) act {
	switch {
	case slices.Contains([]string{"esc", "enter", "left", "h", "backspace"}, k):
		m.looking = ""
	case k == "tab" || k == "n":
		return m.enter(1)
	case k == "backtab" || k == "N":
		return m.enter(-1)
	default:
		scroll(&m.scroll, k)
	}
	return none
}

// scroll moves at by a key, and reports whether it is a key that moves.
func scroll(at *int, k string) bool {
	by, moves := steps[k]
	*at = max(0, *at+by)
	return moves
}

// helpText explains the screen: keys first, then what the columns say.
const helpText = `arrows, j k       select an agent; page keys, home and end go further
enter             look into it: status, why, warnings, counters
esc               back; all rows again
s, S              sort by name, role, round trip, age, state; S: backwards
r                 reverse the order
/                 filter: show only rows that contain a text
p, space          pause the screen; again: show the present
ctrl-l, ctrl-z    redraw; suspend
q, ctrl-c         quit
K D C H           of a local flock: kill the selected agent, or start it
                  again; have it step down; cut it off; heal the network

UP DOWN               beside a heading: the rows are sorted by it; DOWN: in reverse
LEASE LEFT        how long a majority still elects no other agent;
                  FULL is left, EMPTY is over
FOLLOWS           the goose that this agent hears
TERM TOKEN        of the election; the fencing token of the goose
VOTERS            how many voters this agent knows
PROMISE           which agent alone a voter may elect, and for how long;
                  waits: it has restarted and does not vote yet
RTT LOSS          round trips and lost heartbeats, as measured by the
                  agent after "RTT from"
LAST MINUTE       in a wide window: the longest round trips, newest last;
                  LOWEST below 0.1ms, then below 0.3, 1, 3, 10, 30, 100ms,
                  HIGHEST longer; GAP none; empty: not measured
AGE               of the process, or since it ended

The timeline shows a goose's name where its period began, and BEAM while it
led. GAP is time without a goose, BROKEN a short gap.`

func helpLines(width int, g *glyphs) (lines []line) {
	signs := strings.NewReplacer("UP", g.up, "DOWN", g.down, "FULL", g.full, "EMPTY", g.empty, "BEAM", g.beam, "GAP", g.gap, "BROKEN", g.broken,
		"LOWEST", g.steps[0], "HIGHEST", g.steps[len(g.steps)-1])
	for text := range strings.Lines(signs.Replace(helpText)) {
		text = strings.TrimRight(text, "\n")
		key, what := text, ""
		if len(text) > 18 && text[17] == ' ' && strings.Contains(text[:18], "  ") {
			key, what = text[:18], text[18:]
		}
		if len(text) <= width && what != "" {
			lines = append(lines, line{spans: []span{{key, strong}, {what, plain}}})
			continue
		}
		for _, folded := range fold(text, width) {
			lines = append(lines, says(plain, folded))
		}
	}
	return lines
}
