package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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

// overTold is the least that a step must take longer than expected to be told so: guesses
// of short ones are coarse.
const overTold = 3 * time.Second

// timeLeft says how long the rest takes, or that the present step takes longer than expected:
// then nobody knows.
func timeLeft(left, over time.Duration) string {
	if over >= overTold {
		return over.Round(time.Second).String() + " longer than expected"
	}
	return left.Round(time.Second).String() + " left"
}

// show shows which share is done, in which phase ("": there is only one), and what
// timeLeft says ("": there is no plan any more).
func (p *progress) show(done float64, phase, left, text string) {
	every := 30 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	join := func(by string, words ...string) string {
		return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), by)
	}
	if !p.terminal {
		fmt.Fprintf(p.out, "%s: %s\n", join(", ", cmp.Or(phase, fmt.Sprintf("%.0f %%", 100*done)), left), text)
		return
	}
	p.clear()
	const width = 24
	fmt.Fprintf(p.out, "[%-*s] %s  %s", width, strings.Repeat("=", int(width*done)), join(" ", phase, left), text)
}
