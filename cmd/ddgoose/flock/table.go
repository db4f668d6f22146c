package flock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"duckduckgoose/agent/api"
)

// table draws pictures for a terminal.
type table struct {
	dir    string
	hints  func(goose string) []hint
	colour bool
	recent []string // the latest lines, oldest first
}

// hint is a command to try.
type hint struct{ what, command string }

// recentShown is how many lines of news stand below the table.
const recentShown = 5

// add puts a line of news below the table.
func (t *table) add(at time.Time, line string) {
	t.recent = append(t.recent, at.Format("15:04:05.000 ")+line)
	t.recent = t.recent[max(len(t.recent)-recentShown, 0):]
}

// draw gives the lines of a picture that fit into the window. What helps least
// goes first when it is small.
func (t *table) draw(p *picture, width, height int) []string {
	title := fmt.Sprintf("A flock of %d in %s", len(p.agents), t.dir)
	gooseName := ""
	if g := p.goose(); g != nil {
		title += fmt.Sprintf(", heartbeat %v ms, lease %v ms", g.status.Heartbeat, g.status.LeaseMS)
		gooseName = g.name
	}
	head := []string{title, "Faults: " + orElse(p.faults, "none"), ""}
	body := t.rows(p, width)
	recent := slices.Clone(t.recent)
	for len(recent) < recentShown {
		recent = append(recent, "") // what stands below keeps its place
	}
	recent = append([]string{""}, recent...)
	foot := []string{"", "Try, in another terminal (Ctrl-C here stops all):"}
	for _, h := range t.hints(gooseName) {
		foot = append(foot, fmt.Sprintf("  %-18s %s", h.what, h.command))
	}
	room := height - 1 // the cursor's own line
	lines := slices.Concat(head, body, recent, foot)
	for _, less := range [][]string{
		slices.Concat(head, body, foot),
		slices.Concat(head, body),
		body,
	} {
		if len(lines) > room {
			lines = less
		}
	}
	lines = lines[:max(min(len(lines), room), 0)]
	for i, line := range lines {
		lines[i] = clip(line, width)
	}
	return lines
}

// column is one column of the table.
type column struct {
	name  string
	right bool
	drop  int // in a narrow window the greatest goes first; 0: never
	cell  func(p *portrait) string
}

var columns = []column{
	{"AGENT", false, 0, func(p *portrait) string { return p.name }},
	{"ROLE", false, 0, (*portrait).role},
	{"LEASE LEFT", true, 1, func(p *portrait) string {
		if p.state != stateUp || p.status.Role != api.RoleGoose {
			return ""
		}
		return fmt.Sprintf("%d ms", p.left.Milliseconds())
	}},
	{"FOLLOWS", false, 2, ifUp(func(s *api.Status) string {
		if s.Goose == nil {
			return "nobody"
		}
		return s.Goose.Name
	})},
	{"TERM", true, 3, ifUp(func(s *api.Status) string { return strconv.FormatUint(s.Term, 10) })},
	{"TOKEN", true, 6, ifUp(func(s *api.Status) string { return strconv.FormatUint(s.Token, 10) })},
	{"VOTERS", true, 5, ifUp(func(s *api.Status) string { return strconv.Itoa(len(s.Config.Voters)) })},
	{"AGE", true, 4, func(p *portrait) string { return shortly(p.age) }},
	{"", false, 0, func(p *portrait) string { return p.note }},
}

func ifUp(f func(*api.Status) string) func(*portrait) string {
	return func(p *portrait) string {
		if p.state != stateUp {
			return ""
		}
		return f(&p.status)
	}
}

// rows gives the table's head and a row for each agent.
func (t *table) rows(p *picture, width int) []string {
	shown := slices.Clone(columns)
	var cells [][]string
	var widths []int
	for {
		cells, widths = layout(shown, p)
		total := 0
		for _, w := range widths[:len(widths)-1] { // the note takes what is left
			total += w + 2
		}
		worst := slices.IndexFunc(shown, func(c column) bool {
			return c.drop > 0 && !slices.ContainsFunc(shown, func(d column) bool { return d.drop > c.drop })
		})
		if total <= width || worst < 0 {
			break
		}
		shown = slices.Delete(shown, worst, worst+1)
	}
	var lines []string
	for r, row := range cells {
		var line strings.Builder
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if shown[i].right {
				line.WriteString(pad + text + "  ")
			} else {
				line.WriteString(text + pad + "  ")
			}
		}
		text := clip(strings.TrimRight(line.String(), " "), width)
		if r > 0 {
			text = t.paint(text, &p.agents[r-1])
		}
		lines = append(lines, text)
	}
	return lines
}

// layout gives the cells, the head's first, and how wide each column is.
func layout(columns []column, p *picture) (cells [][]string, widths []int) {
	head := make([]string, len(columns))
	widths = make([]int, len(columns))
	for i, c := range columns {
		head[i] = c.name
	}
	cells = append(cells, head)
	for a := range p.agents {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.cell(&p.agents[a])
		}
		cells = append(cells, row)
	}
	for _, row := range cells {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	return cells, widths
}

func (t *table) paint(line string, p *portrait) string {
	switch {
	case !t.colour:
		return line
	case p.state == stateUp && p.status.Role == api.RoleGoose:
		return bold + line + plain
	case p.state != stateUp || p.status.Role == api.RoleDead:
		return faint + line + plain
	}
	return line
}

// The only colours that every terminal shows well.
const (
	bold  = "\x1b[1;32m"
	faint = "\x1b[2m"
	plain = "\x1b[0m"
)

// clip cuts a line that the window would wrap. Painted lines are clipped already.
func clip(line string, width int) string {
	if strings.HasPrefix(line, "\x1b") || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width, 0)])
}

// shortly writes how long something has lasted.
func shortly(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	default:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
}
