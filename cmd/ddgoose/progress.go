package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"duckduckgoose/cmd/ddgoose/top"
)

// progress shows how far something is: a bar on a terminal, a line every half
// minute elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	last     time.Time // when it was shown
}

func newProgress(env *environment) *progress {
	return &progress{out: env.stderr, terminal: top.IsTerminal(env.stderr)}
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// show shows which share is done, in which phase ("": there is only one), and how long
// the rest takes.
func (p *progress) show(done float64, phase string, left time.Duration, text string) {
	every := 30 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	left = left.Round(time.Second)
	if !p.terminal {
		fmt.Fprintf(p.out, "%s, %v left: %s\n", cmp.Or(phase, fmt.Sprintf("%.0f %%", 100*done)), left, text)
		return
	}
	p.clear()
	if phase != "" {
		phase += " "
	}
	const width = 24
	fmt.Fprintf(p.out, "[%-*s] %s%v left  %s", width, strings.Repeat("=", int(width*done)), phase, left, text)
}
