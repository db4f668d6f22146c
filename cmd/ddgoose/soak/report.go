package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"duckduckgoose/netem/check"
)

// Report is what a soak found. All times are nanoseconds since its start.
type Report struct {
	Version   string        `json:"version"`
	Started   time.Time     `json:"started"`
	Seed      uint64        `json:"seed"`
	Agents    []string      `json:"agents"`
	Asked     time.Duration `json:"asked_ns"`
	Lasted    time.Duration `json:"lasted_ns"` // the time with faults
	Until     time.Duration `json:"until_ns"`  // the end of the observation
	Settled   time.Duration `json:"settled_ns"`
	Stopped   bool          `json:"stopped"` // by the user, before the end
	Warden    bool          `json:"warden,omitempty"`
	AutoLease bool          `json:"auto_lease,omitempty"`
	Scenario  *Scenario     `json:"scenario"`
	Lease     time.Duration `json:"lease_ns"` // the longest
	Bound     time.Duration `json:"bound_ns"` // a goose is due within it

	Verdict    string      `json:"verdict"`
	Violations []Violation `json:"violations"`
	Crashes    []Crash     `json:"crashes"`
	Leaks      []Leak      `json:"leaks"`
	LivesLong  int         `json:"lives_judged"` // processes that ran long enough to be checked for leaks
	Stalls     []Stall     `json:"stalls"`
	Notes      []string    `json:"notes"`

	Events  int `json:"events"`      // that were checked
	Late    int `json:"events_late"` // that came too late to be checked
	Periods int `json:"goose_periods"`

	Struck       []*Struck         `json:"faults"`
	Counts       map[string]int    `json:"faults_struck"`
	GoosePeriods []GoosePeriod     `json:"reigns"`
	Spans        map[string][]Span `json:"spans"`
	Gaps         []Gap             `json:"gaps"`
	Causes       []ByCause         `json:"causes"`
	Leaderless   Distribution      `json:"leaderless"`
	Failovers    int               `json:"failovers"`

	History *History            `json:"fenced_file"`
	Traffic []Traffic           `json:"traffic"`
	Samples map[string][]Sample `json:"samples"`
}

// Violation is a broken promise.
type Violation = check.Violation

// Traffic is what one agent sent and received for elections, per second of the run.
type Traffic struct {
	Agent     string  `json:"agent"`
	Sent      float64 `json:"datagrams_sent_per_s"`
	Received  float64 `json:"datagrams_received_per_s"`
	SentBytes float64 `json:"bytes_sent_per_s"`
	GotBytes  float64 `json:"bytes_received_per_s"`
}

// The verdicts, the worst first.
const (
	Unsafe  = "safety"   // P1, P2, P3, P6 or P9 was broken
	Crashed = "crash"    // a process ended by itself
	Unalive = "liveness" // P4 or P5: there was no goose in time, or the flock did not heal
	Leaking = "leak"     // a process used more and more
	Good    = "good"
)

// judge sets the verdict.
func (r *Report) judge() {
	switch {
	case slices.ContainsFunc(r.Violations, func(v Violation) bool { return v.Safety() }):
		r.Verdict = Unsafe
	case len(r.Crashes) > 0:
		r.Verdict = Crashed
	case len(r.Violations) > 0:
		r.Verdict = Unalive
	case len(r.Leaks) > 0:
		r.Verdict = Leaking
	default:
		r.Verdict = Good
	}
}

// Availability is the share of the time with faults in which there was a goose, in percent.
func (r *Report) Availability() float64 {
	if r.Lasted <= 0 {
		return 0
	}
	return 100 * (1 - r.Leaderless.Sum*float64(time.Millisecond)/float64(r.Lasted))
}

// Summary returns the report in a few lines.
func (r *Report) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d agents for %v, seed %d\n", r.Headline(), len(r.Agents), r.Lasted.Round(time.Second), r.Seed)
	b.WriteString(check.Kept(r.broken()))
	fmt.Fprintf(&b, "faults     %d:", r.Total())
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(&b, " %s %d", kind, r.Counts[kind])
	}
	fmt.Fprintf(&b, "\ngoose      %.3f %% of the time with faults, %s, %s; without one: median %s, 99 %% within %s, worst %s\n",
		r.Availability(), check.Count(r.Periods, "period"), check.Count(r.Failovers, "failover"), shortMS(r.Leaderless.Median), shortMS(r.Leaderless.P99), shortMS(r.Leaderless.Max))
	fmt.Fprintf(&b, "fenced     %s accepted under %s, %d late ones refused\n",
		check.Count(r.History.Accepted, "write"), check.Count(r.History.Tokens, "token"), r.History.Refused)
	fmt.Fprintf(&b, "checked    %s", check.Count(r.Events, "event"))
	if r.Late > 0 {
		fmt.Fprintf(&b, ", %d more came too late", r.Late)
	}
	if r.LivesLong > 0 {
		fmt.Fprintf(&b, "; growth of %s", check.Count(r.LivesLong, "process"))
	}
	b.WriteString("\n")
	for _, v := range r.Shown() {
		fmt.Fprintf(&b, "BROKEN     %s at %v: %s\n", v.Promise, v.At.Round(time.Millisecond), v.Text)
	}
	if more := len(r.Violations) - len(r.Shown()); more > 0 {
		fmt.Fprintf(&b, "           and %d more in report.json\n", more)
	}
	for _, c := range r.Crashes {
		fmt.Fprintf(&b, "CRASH      %s at %v: %s\n", c.Agent, c.At.Round(time.Millisecond), c.How)
	}
	for _, l := range r.Leaks {
		fmt.Fprintf(&b, "LEAK       %s: %s from %.1f to %.1f in %v\n", l.Agent, l.What, l.From, l.To, l.Over.Round(time.Second))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note       %s\n", n)
	}
	return b.String()
}

// broken counts the violations by promise. A crash breaks P7.
func (r *Report) broken() map[string]int {
	n := map[string]int{"P7": len(r.Crashes)}
	for _, v := range r.Violations {
		n[v.Promise]++
	}
	return n
}

// Promises returns the verdict on each promise.
func (r *Report) Promises() []check.Verdict { return check.Verdicts(r.broken()) }

// Headline is the verdict in words.
func (r *Report) Headline() string {
	return map[string]string{
		Unsafe: "SAFETY BROKEN", Crashed: "an agent crashed", Unalive: "liveness missed", Leaking: "a process grew", Good: "every promise kept",
	}[r.Verdict]
}
