package flock

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// screen redraws lines in place on a terminal.
type screen struct {
	f             *os.File
	calm          func() // takes calmTerminal back
	shown         []string
	width, height int
}

// IsTerminal tells whether w is a terminal that can redraw, and that is ours to
// draw on: a job in the background has none.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && inForeground(f)
}

func newScreen(f *os.File) *screen { return &screen{f: f, calm: calmTerminal(f)} }

const (
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	clearScreen = "\x1b[H\x1b[2J"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// draw shows what lines gives for the window's size.
func (s *screen) draw(lines func(width, height int) []string) {
	width, height, err := term.GetSize(int(s.f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	var b strings.Builder
	switch {
	case s.width == 0:
		b.WriteString(hideCursor)
	case s.width != width || s.height != height:
		// What stands there was wrapped anew by the terminal: its place is lost.
		b.WriteString(clearScreen)
		s.shown = nil
	}
	s.width, s.height = width, height
	next := lines(width, height)
	if slices.Equal(next, s.shown) {
		return
	}
	if len(s.shown) > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", len(s.shown))
	}
	for _, line := range next {
		b.WriteString(line + clearLine + "\n")
	}
	b.WriteString(clearBelow)
	s.shown = next
	_, _ = s.f.WriteString(b.String()) // a terminal that has gone will not see it
}

// restore gives the terminal back, below what was drawn.
func (s *screen) restore() {
	_, _ = s.f.WriteString(showCursor) // a terminal that has gone needs nothing
	s.calm()
}
