package top

import (
	"slices"
	"unicode/utf8"
)

// act is what a key asks of the screen beyond the model.
type act int

const (
	none act = iota
	quit
	suspend
	redraw
	ask // about the agent that is looked into, at once
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
	switch {
	case m.help:
		m.help = scrolls(k, &m.helpAt)
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

func (m *model) keyTable(k string) act {
	switch k {
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup", "ctrl+b":
		m.move(-page)
	case "pgdn", "ctrl+f":
		m.move(page)
	case "home", "g":
		m.move(-len(m.rows()))
	case "end", "G":
		m.move(len(m.rows()))
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

// enter looks into the selected agent, or one that is so far from it, around
// the corner.
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
		scrolls(k, &m.scroll)
	}
	return none
}

// scrolls takes a key that scrolls, and tells whether it does.
func scrolls(k string, at *int) bool {
	switch k {
	case "up", "k":
		*at--
	case "down", "j":
		*at++
	case "pgup", "ctrl+b":
		*at -= page
	case "pgdn", "ctrl+f":
		*at += page
	case "home", "g":
		*at = 0
	case "end", "G":
		*at = endless
	default:
		return false
	}
	*at = max(0, *at)
	return true
}

// endless is more lines than there are.
const endless = 1 << 20
