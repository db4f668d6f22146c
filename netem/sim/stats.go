package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"duckduckgoose/netem/check"
)

// Stats counts what happened in one run, or in many.
type Stats struct {
	Runs         int
	Virtual      time.Duration
	Events       uint64
	Datagrams    uint64
	Elections    int
	Campaigns    int
	Periods      int // terms in which an agent was the goose for some reader
	Leases       int // granted or renewed
	HandedOut    int // deadlines handed to holders
	Marks        int // raised and committed
	VoterChanges int
	DiskFailures int
	Lost         map[string]int // datagrams, by cause
	Struck       map[string]int // faults, by word
	Skipped      map[string]int // lines of schedules that had nothing to do
	Told         map[string]int // events of agents besides elections, by word

	Gooseless time.Duration   // after the first goose
	Gaps      []time.Duration // its parts
}

// Faults counts the injected faults.
func (s *Stats) Faults() (n int) {
	for _, k := range s.Struck {
		n += k
	}
	return n
}

// Add adds another run.
func (s *Stats) Add(o *Stats) {
	s.Runs += o.Runs
	s.Virtual += o.Virtual
	s.Events += o.Events
	s.Datagrams += o.Datagrams
	s.Elections += o.Elections
	s.Campaigns += o.Campaigns
	s.Periods += o.Periods
	s.Leases += o.Leases
	s.HandedOut += o.HandedOut
	s.Marks += o.Marks
	s.VoterChanges += o.VoterChanges
	s.DiskFailures += o.DiskFailures
	s.Gooseless += o.Gooseless
	s.Gaps = append(s.Gaps, o.Gaps...)
	for _, m := range [...][2]*map[string]int{{&s.Lost, &o.Lost}, {&s.Struck, &o.Struck}, {&s.Skipped, &o.Skipped}, {&s.Told, &o.Told}} {
		if *m[0] == nil {
			*m[0] = map[string]int{}
		}
		for k, n := range *m[1] {
			(*m[0])[k] += n
		}
	}
}

// Quantile returns the gap that a share q of all gaps does not exceed.
func (s *Stats) Quantile(q float64) time.Duration {
	if len(s.Gaps) == 0 {
		return 0
	}
	slices.Sort(s.Gaps)
	return s.Gaps[min(int(q*float64(len(s.Gaps))), len(s.Gaps)-1)]
}

// String returns the counts as text for people.
func (s *Stats) String() string {
	var b strings.Builder
	share := 0.0
	if s.Virtual > 0 {
		share = 100 * float64(s.Gooseless) / float64(s.Virtual)
	}
	fmt.Fprintf(&b, "virtual time    %v in %s, %d events, %d datagrams\n", s.Virtual.Round(time.Second), check.Count(s.Runs, "run"), s.Events, s.Datagrams)
	fmt.Fprintf(&b, "goose periods   %d in %s and %s; %d leases granted or renewed, %s handed out, %s raised\n",
		s.Periods, check.Count(s.Elections, "election"), check.Count(s.Campaigns, "campaign"), s.Leases, check.Count(s.HandedOut, "deadline"), check.Count(s.Marks, "mark"))
	fmt.Fprintf(&b, "without a goose %v (%.3f %%) in %s: median %v, 90 %% within %v, 99 %% within %v, longest %v\n",
		s.Gooseless.Round(time.Millisecond), share, check.Count(len(s.Gaps), "gap"), s.Quantile(0.5).Round(time.Millisecond),
		s.Quantile(0.9).Round(time.Millisecond), s.Quantile(0.99).Round(time.Millisecond), s.Quantile(1).Round(time.Millisecond))
	fmt.Fprintf(&b, "voters          %s; %s; agents told: %s\n", check.Count(s.VoterChanges, "change"), check.Count(s.DiskFailures, "disk failure"), counts(s.Told))
	fmt.Fprintf(&b, "datagrams lost  %s\n", counts(s.Lost))
	fmt.Fprintf(&b, "faults          %d: %s\n", s.Faults(), counts(s.Struck))
	return b.String()
}

// counts returns how often each word occurs, the most frequent first.
func counts(m map[string]int) string {
	words := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = fmt.Sprintf("%s %d", w, m[w])
	}
	return strings.Join(parts, ", ")
}
