package top

import (
	"strings"

	"github.com/clipperhouse/displaywidth"

	"duckduckgoose/agent/api"
)

// style is the meaning of a text. The terminal decides how it looks.
type style byte

const (
	plain  style = iota
	faint        // unimportant, or not taking part
	strong       // a heading, a key
	good         // the goose
	second       // the goose in every other period
	notice       // under way, or unusual
	bad          // missing, or wrong
	goodBadge
	badBadge
)

// span is a text of one style.
type span struct {
	text  string
	style style
}

// line is one line of the screen.
type line struct {
	spans    []span
	selected bool
}

// says returns a line of one style.
func says(s style, text string) line { return line{spans: []span{{text, s}}} }

// add puts a text at the line's end.
func (l *line) add(s style, text string) { l.spans = append(l.spans, span{api.Clean(text), s}) }

func (l *line) width() (w int) {
	for _, s := range l.spans {
		w += displaywidth.String(s.text)
	}
	return w
}

// clip shortens a line to width, with an ellipsis at its end.
func (l line) clip(width int, g *glyphs) line {
	if l.width() <= width {
		return l
	}
	room := width - displaywidth.String(g.more)
	cut := line{selected: l.selected}
	for _, s := range l.spans {
		w := displaywidth.String(s.text)
		if w <= room {
			cut.spans = append(cut.spans, s)
			room -= w
			continue
		}
		if text := displaywidth.TruncateString(s.text, max(room, 0), ""); room > 0 || width > 0 {
			cut.spans = append(cut.spans, span{text + g.more, s.style})
		}
		break
	}
	return cut
}

// pad fills a line up to width.
func (l line) pad(width int) line {
	if gap := width - l.width(); gap > 0 {
		l.spans = append(l.spans, span{strings.Repeat(" ", gap), plain})
	}
	return l
}

// apart puts one line at the left and one at the right. If there is no room for both, it
// drops the right one.
func apart(left, right line, width int) line {
	gap := width - left.width() - right.width()
	if gap < 2 {
		return left
	}
	left.spans = append(append(left.spans, span{strings.Repeat(" ", gap), plain}), right.spans...)
	return left
}

// spell replaces signs that the terminal does not have.
func (l line) spell(g *glyphs) line {
	for i := range l.spans {
		l.spans[i].text = strings.ReplaceAll(l.spans[i].text, unicodeGlyphs.micro, g.micro)
	}
	return l
}

// fold breaks a text that does not fit, between words if possible. The further lines are
// indented a bit more than the first.
func fold(text string, width int) (lines []string) {
	text = strings.TrimRight(api.Clean(text), " ")
	indent := len(text) - len(strings.TrimLeft(text, " -"))
	if indent > width/2 {
		indent = 0
	}
	for displaywidth.String(text) > width && width > 0 {
		head := displaywidth.TruncateString(text, width, "")
		if head == "" { // one wide letter alone does not fit
			return lines
		}
		if i := strings.LastIndex(head, " "); i > indent && !strings.HasPrefix(text[len(head):], " ") {
			head = head[:i]
		}
		lines = append(lines, strings.TrimRight(head, " "))
		text = strings.Repeat(" ", indent) + strings.TrimLeft(text[len(head):], " ")
		if len(text) == indent {
			return lines
		}
	}
	return append(lines, text)
}

// glyphs are the signs that some terminals do not have.
type glyphs struct {
	more, dot, up, down, arrows           string
	full, empty, beam, broken, gap, micro string
	steps                                 [8]string // from low to high
}

var (
	unicodeGlyphs = glyphs{"…", " · ", "▲", "▼", "↑↓", "█", "░", "━", "╳", "·", "µ", [...]string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}}
	asciiGlyphs   = glyphs{"~", ", ", "^", "v", "jk", "#", ".", "=", "x", ".", "u", [...]string{"1", "2", "3", "4", "5", "6", "7", "8"}}
)
