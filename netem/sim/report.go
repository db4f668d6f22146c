package sim

import (
	"fmt"
	"strconv"
	"strings"
)

// Report tells of a run that went wrong, for people: what broke, the schedule,
// the last events, how every agent was, and the command that replays it.
func (r *Result) Report(replay string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s after %v of virtual time: %v\n", r.Class(), r.Ended, r.Err)
	fmt.Fprintf(&b, "\n%s\n", r.Settings.text())
	fmt.Fprintf(&b, "\nthe last events:\n")
	for _, line := range r.Tail {
		b.WriteString("  " + line + "\n")
	}
	fmt.Fprintf(&b, "\nthe agents then:\n")
	for _, line := range r.State {
		b.WriteString("  " + line + "\n")
	}
	fmt.Fprintf(&b, "\nreplay: %s\n", replay)
	return b.String()
}

// text prints the settings in the words of the scenario files.
func (s *Settings) text() string {
	lines := append([]string{fmt.Sprintf("seed %d", s.Seed)}, s.header()...)
	for _, o := range s.Ops {
		lines = append(lines, o.String())
	}
	return "  " + strings.Join(lines, "\n  ")
}

// OnlyFlag prints the faults that are left as --only takes them.
func OnlyFlag(only []int) string {
	if len(only) == 0 {
		return "none"
	}
	words := make([]string, len(only))
	for i, n := range only {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}
