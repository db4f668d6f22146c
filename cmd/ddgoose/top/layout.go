package top

import (
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"duckduckgoose/agent/api"
)

// noteLeast is the width that notes get before further columns, in windows of noteFrom
// columns and more. They keep that width for noteStays after the last note.
const (
	noteLeast, noteFrom = 20, 60
	noteStays           = 10 * time.Second
)

// steady keeps the table's columns in their places while their contents come and go, so
// that the eye finds a number where it was.
type steady struct {
	width  int    // of the window
	names  string // of the agents
	widths map[string]int
}

// keep starts again if the window or the agents have changed.
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

// layout chooses the columns that fit, and returns their cells, the head first, and their
// widths. It leaves out columns that were always empty.
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

// measure returns the width of column i of cells; 0: it was always empty.
func (s *steady) measure(c column, cells [][]string, i int) int {
	most, used := 0, false
	for _, row := range cells[1:] {
		most, used = max(most, displaywidth.String(row[i])), used || row[i] != ""
	}
	if c.name == "" {
		return most // the last column may use the rest
	}
	before, known := s.widths[c.name]
	if !used && !known {
		return 0
	}
	s.widths[c.name] = max(most, before, c.least)
	return max(s.widths[c.name], displaywidth.String(cells[0][i]))
}

// noteRoom returns the width to keep for notes; longest is that of the longest one now.
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
