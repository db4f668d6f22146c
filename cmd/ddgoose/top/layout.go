package top

import (
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"duckduckgoose/agent/api"
)

// noteLeast is how much of a note is worth more than a column, in a window of
// noteFrom and more; it takes what is left. So much is kept for the next one
// for noteStays.
const (
	noteLeast, noteFrom = 20, 60
	noteStays           = 10 * time.Second
)

// steady keeps the table's columns where they are while what stands in them
// comes and goes: an eye that looks for a number must find it where it was.
type steady struct {
	width  int    // of the window
	names  string // of the agents
	widths map[string]int
}

// keep forgets what was kept when the window or the agents are others.
func (s *steady) keep(width int, p *Picture) {
	names := make([]string, len(p.Agents))
	for i := range p.Agents {
		names[i] = p.Agents[i].Name
	}
	slices.Sort(names)
	if all := strings.Join(names, "\n"); s.widths == nil || s.width != width || s.names != all {
		s.width, s.names, s.widths = width, all, map[string]int{}
	}
}

// layout chooses the columns that fit, and gives their cells, the head's first,
// and their widths. What no row has ever had is left out.
func (m *model) layout(rows []*Agent, g Goose, width int) (shown []column, cells [][]string, widths []int) {
	m.steady.keep(width, &m.shown().picture)
	shown = slices.Clone(columns)
	cells = make([][]string, len(rows)+1)
	for _, c := range columns {
		name := c.name
		if c.name != "" && c.name == orders[m.order].column {
			name += m.sign()
		}
		cells[0] = append(cells[0], name)
		for r, a := range rows {
			cells[r+1] = append(cells[r+1], api.Clean(c.cell(m, a, g)))
		}
	}
	for i := 0; i < len(shown); {
		if w := m.steady.measure(shown[i], cells, i); w == 0 && shown[i].name != "" {
			shown, cells = without(shown, cells, i)
		} else {
			widths = append(widths, w)
			i++
		}
	}
	for room := width - m.noteRoom(width, widths[len(widths)-1]); ; {
		total, worst := 0, 0
		for i, c := range shown[:len(shown)-1] {
			if total += widths[i] + 2; c.drop > shown[worst].drop {
				worst = i
			}
		}
		if total <= room || worst == 0 {
			return shown, cells, widths
		}
		shown, cells = without(shown, cells, worst)
		widths = slices.Delete(widths, worst, worst+1)
	}
}

// measure gives the width of a column, the i-th of cells; 0: it is empty, and
// always was.
func (s *steady) measure(c column, cells [][]string, i int) int {
	most, used := 0, false
	for _, row := range cells[1:] {
		most, used = max(most, displaywidth.String(row[i])), used || row[i] != ""
	}
	if c.name == "" {
		return most // at the end nothing stands in its way
	}
	before, known := s.widths[c.name]
	if !used && !known {
		return 0
	}
	s.widths[c.name] = max(most, before, c.least)
	return max(s.widths[c.name], displaywidth.String(cells[0][i]))
}

// noteRoom is how much of the window to keep for notes; longest is the longest
// one now.
func (m *model) noteRoom(width, longest int) int {
	s := m.shown()
	if width < noteFrom || s.noted.IsZero() || longest == 0 && s.picture.At.Sub(s.noted) > noteStays {
		return 0
	}
	return noteLeast
}

func without(shown []column, cells [][]string, i int) ([]column, [][]string) {
	for r := range cells {
		cells[r] = slices.Delete(cells[r], i, i+1)
	}
	return slices.Delete(shown, i, i+1), cells
}

// sign shows which way the rows are sorted.
func (m *model) sign() string {
	if m.reverse {
		return m.glyphs.down
	}
	return m.glyphs.up
}
