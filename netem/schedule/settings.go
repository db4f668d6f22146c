package schedule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Timing is an agent's heartbeat and lease.
type Timing struct{ Heartbeat, Lease time.Duration }

// Settings decide a whole run: the same settings give the same run, byte for byte.
type Settings struct {
	Seed   uint64
	Agents int // machines, named a, b, c, ...
	Voters int // --voters
	// Together is how many of the first agents are a flock from the beginning. If it
	// and Expect are 0, a founds a flock alone and the others join it.
	Together int
	Expect   int // all start with --expect
	Timing   Timing
	Latency  time.Duration // one way
	// Of single agents, by name.
	Timings    map[string]Timing
	Auto       map[string]bool  // --lease auto; "*": all
	Priorities map[string]uint8 // default 100
	Observers  map[string]bool
	Absent     map[string]bool     // not started at the beginning
	Alone      map[string]bool     // founds a flock of its own
	Elections  map[string][]string // besides the default one: by name, the agents that contest it; none: all
	Preempts   map[string]time.Duration
	Holders    int  // sessions that wait at each agent, in each election it contests
	Steady     bool // all clocks run true
	Keyless    bool // the flock has no key: agents send nothing to unknown ids
	Wills      bool // agents leave last wills
	Ops        []Op
	For        time.Duration // how long the schedule runs
	Heal       bool          // then heal a majority, later all, and check that there is a goose
}

// AutoAt reports whether an agent chooses its lease itself.
func (s *Settings) AutoAt(who string) bool { return s.Auto["*"] || s.Auto[who] }

// Contests returns the elections besides the default one that an agent contests.
func (s *Settings) Contests(who string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Elections)) {
		if by := s.Elections[name]; len(by) == 0 || slices.Contains(by, who) {
			names = append(names, name)
		}
	}
	return names
}

// Text prints the settings in the words of the scenario files.
func (s *Settings) Text() string {
	lines := append([]string{fmt.Sprintf("seed %d", s.Seed)}, s.header()...)
	for _, o := range s.Ops {
		lines = append(lines, o.String())
	}
	return "  " + strings.Join(lines, "\n  ")
}
