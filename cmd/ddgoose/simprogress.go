package main

import (
	"fmt"
	"strings"
	"time"

	"duckduckgoose/cmd/ddgoose/top"
)

// simProgress tells how far a simulation is: a bar on a terminal, a line every
// half minute elsewhere. An empty text takes the bar away.
func simProgress(env *environment) func(text string, done, all float64) {
	terminal := top.IsTerminal(env.stderr)
	start, last := time.Now(), time.Now()
	return func(text string, done, all float64) {
		if text == "" {
			fmt.Fprint(env.stderr, clearLine(terminal))
			return
		}
		every := 30 * time.Second
		if terminal {
			every = 200 * time.Millisecond
		}
		if time.Since(last) < every || done <= 0 {
			return
		}
		last = time.Now()
		left := time.Duration(float64(time.Since(start)) * (all/done - 1)).Round(time.Second)
		if !terminal {
			fmt.Fprintf(env.stderr, "%.0f %%, %v left: %s\n", 100*done/all, left, text)
			return
		}
		const width = 24
		bar := strings.Repeat("=", int(width*done/all))
		fmt.Fprintf(env.stderr, "%s[%-*s] %v left  %s", clearLine(terminal), width, bar, left, text)
	}
}
