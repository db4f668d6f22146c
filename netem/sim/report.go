package sim

import (
	"fmt"
	"strings"
)

// Report tells of a run that went wrong, for people: what broke, the schedule,
// the last events, how every agent was, and the command that replays it.
func (r *Result) Report(replay string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s after %v of virtual time: %v\n", r.Class(), r.Ended, r.Err)
	fmt.Fprintf(&b, "\n%s\n", r.Settings.Text())
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
