package top

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal that can redraw and that this process may
// draw on: a background job may not.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && inForeground(f)
}

// terminal draws lines.
type terminal struct {
	tcell.Screen
	styles *[badBadge + 1]tcell.Style

	drawing sync.Mutex // held while cells are written, because another goroutine may rescue the terminal
}

// openTerminal opens the terminal of the process, or tty in tests.
func openTerminal(tty tcell.Tty, colour bool) (*terminal, error) {
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII) // of a locale that is not known
	s, err := tcell.NewTerminfoScreenFromTty(tty)
	if err == nil {
		err = s.Init()
	}
	if err != nil {
		return nil, fmt.Errorf("open the terminal: %w", err)
	}
	t := &terminal{Screen: s, styles: &greys}
	if colour {
		t.styles = &colours
	}
	taken.Store(t)
	return t, nil
}

var (
	ink   = tcell.StyleDefault
	greys = [...]tcell.Style{
		plain: ink, faint: ink.Dim(true), strong: ink.Bold(true),
		good: ink.Bold(true), second: ink, notice: ink, bad: ink.Bold(true),
		goodBadge: ink.Bold(true).Reverse(true), badBadge: ink.Bold(true).Reverse(true),
	}
	// These colours can be read on dark and light terminals.
	colours = [...]tcell.Style{
		plain: ink, faint: ink.Dim(true), strong: ink.Bold(true),
		good: ink.Foreground(color.Green).Bold(true), second: ink.Foreground(color.Teal),
		notice: ink.Foreground(color.Olive), bad: ink.Foreground(color.Maroon).Bold(true),
		goodBadge: ink.Foreground(color.Black).Background(color.Green), // bold black is grey on 16 colours
		badBadge:  ink.Foreground(color.White).Background(color.Maroon).Bold(true),
	}
)

// taken is the open terminal; a process has at most one.
var taken atomic.Pointer[terminal]

// Fini restores the terminal. A second call does nothing.
func (t *terminal) Fini() {
	t.drawing.Lock()
	defer t.drawing.Unlock()
	t.Screen.Fini()
	taken.CompareAndSwap(t, nil)
}

// Rescue restores the terminal if the goroutine that defers it panics. The loop of Run
// does so by itself.
func Rescue() {
	if p := recover(); p != nil {
		if t := taken.Load(); t != nil {
			t.Fini()
		}
		panic(p)
	}
}

// glyphs returns the signs that the terminal's character set has.
func (t *terminal) glyphs() *glyphs {
	if set := strings.ToUpper(strings.ReplaceAll(t.CharacterSet(), "-", "")); set == "UTF8" {
		return &unicodeGlyphs
	}
	return &asciiGlyphs
}

// draw draws the view for the window's size. It sends only what has changed.
func (t *terminal) draw(view func(width, height int) []line) {
	t.drawing.Lock()
	defer t.drawing.Unlock() // also in a panic: the loop restores the terminal
	t.Clear()
	width, height := t.Size()
	for y, l := range view(width, height) {
		if l.selected {
			l = l.pad(width)
		}
		x := 0
		for _, s := range l.spans {
			style := t.styles[s.style]
			if l.selected {
				style = style.Reverse(true)
			}
			for text := s.text; text != "" && x < width; {
				rest, w := t.Put(x, y, text, style)
				if w == 0 || rest == text {
					break
				}
				text, x = rest, x+w
			}
		}
	}
	t.Show()
}

// keyName returns a key's name in the model.
func keyName(ev *tcell.EventKey) string {
	names := map[tcell.Key]string{
		tcell.KeyUp: "up", tcell.KeyDown: "down", tcell.KeyLeft: "left", tcell.KeyRight: "right",
		tcell.KeyHome: "home", tcell.KeyEnd: "end", tcell.KeyPgUp: "pgup", tcell.KeyPgDn: "pgdn",
		tcell.KeyEnter: "enter", tcell.KeyEsc: "esc", tcell.KeyTab: "tab", tcell.KeyBacktab: "backtab",
		tcell.KeyBackspace: "backspace", tcell.KeyBackspace2: "backspace", tcell.KeyF1: "f1",
	}
	switch name, known := names[ev.Key()]; {
	case known:
		return name
	case ev.Key() == tcell.KeyRune && ev.Modifiers()&tcell.ModCtrl != 0:
		return "ctrl+" + strings.ToLower(ev.Str())
	case ev.Key() == tcell.KeyRune && ev.Modifiers()&(tcell.ModAlt|tcell.ModMeta) == 0:
		return ev.Str()
	case ev.Key() >= tcell.KeyCtrlA && ev.Key() <= tcell.KeyCtrlZ:
		return "ctrl+" + string(rune('a'+ev.Key()-tcell.KeyCtrlA))
	}
	return ""
}
