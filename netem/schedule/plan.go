package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/netem"
)

// Plan is the settings from which random schedules are drawn.
type Plan struct {
	Agents  int           // 0: drawn, 3 to 9
	Timing  Timing        // zero: drawn
	Auto    bool          // all agents choose their leases; else a few runs have such agents
	Latency time.Duration // 0: drawn to fit the timing
	For     time.Duration // default 5m
	Every   time.Duration // a fault about so often; 0: drawn, 1s to 15s
	Faults  []string      // the verbs to draw from; none: all, and each run leaves some out
	Only    []int         // keep only these faults of the schedule, counted from 0; nil: all
}

// Drawn returns the settings of the run that a seed stands for.
func Drawn(seed uint64, p Plan) Settings {
	d := netem.NewRandom(seed, netem.Out, "plan")
	set := Settings{Seed: seed, Agents: p.Agents, Voters: 5, Timing: p.Timing, Latency: p.Latency, For: cmp.Or(p.For, 5*time.Minute), Heal: true}
	if set.Agents == 0 {
		set.Agents = 3 + int(d.Uint64()%5)
		if d.OneIn(10) {
			set.Agents += 2
		}
	}
	if d.OneIn(5) {
		set.Voters = [...]int{1, 3, 7}[d.Uint64()%3]
	}
	if set.Timing == (Timing{}) {
		set.Timing = [...]Timing{
			{50 * time.Millisecond, 500 * time.Millisecond}, {50 * time.Millisecond, 500 * time.Millisecond},
			{10 * time.Millisecond, 100 * time.Millisecond}, {150 * time.Millisecond, 1500 * time.Millisecond},
			{100 * time.Millisecond, 400 * time.Millisecond},
		}[d.Uint64()%5]
	}
	if set.Latency == 0 {
		set.Latency = d.Between(50*time.Microsecond, set.Timing.Lease/50)
	}
	set.Together = set.Agents
	switch k := d.Uint64() % 6; {
	case k == 0:
		set.Together = 0
	case k == 1:
		set.Together, set.Expect = 0, set.Agents
	case k == 2:
		set.Together = 1 + int(d.Uint64()%uint64(set.Agents))
	}
	set.Holders = int(d.Uint64() % 3)
	set.Timings, set.Priorities, set.Observers = map[string]Timing{}, map[string]uint8{}, map[string]bool{}
	for i := range set.Agents {
		name := Name(i)
		if p.Timing == (Timing{}) && d.OneIn(12) { // agents need not have the same timing
			set.Timings[name] = Timing{set.Timing.Heartbeat / 2, set.Timing.Lease * 3 / 2}
		}
		switch d.Uint64() % 16 {
		case 0:
			set.Priorities[name] = 200
		case 1:
			if i > 0 {
				set.Priorities[name] = 0
			}
		case 2:
			if i > 2 && set.Expect == 0 {
				set.Observers[name] = true
			}
		}
	}
	// These have random sequences of their own, so that older seeds keep their schedules.
	more := netem.NewRandom(seed, netem.Out, "elections and preemption")
	set.Elections, set.Preempts = map[string][]string{}, map[string]time.Duration{}
	for _, name := range []string{"blue", "green", "red"}[:max(0, int(more.Uint64()%6)-2)] {
		set.Elections[name] = nil
		if more.OneIn(2) {
			for i := range set.Agents {
				if more.OneIn(2) {
					set.Elections[name] = append(set.Elections[name], Name(i))
				}
			}
		}
	}
	for i := range set.Agents {
		if more.OneIn(8) {
			set.Preempts[Name(i)] = more.Between(time.Second, 10*time.Second).Round(time.Millisecond)
		}
	}
	keys := netem.NewRandom(seed, netem.Out, "keys")
	set.Keyless = keys.OneIn(4)
	wills := netem.NewRandom(seed, netem.Out, "wills")
	set.Wills = wills.OneIn(3)
	leases := netem.NewRandom(seed, netem.Out, "auto leases")
	set.Auto = map[string]bool{}
	switch most := leases.OneIn(3); {
	case p.Auto:
		set.Auto["*"] = true
	case leases.OneIn(4):
		for i := range set.Agents {
			if most || leases.OneIn(2) {
				set.Auto[Name(i)] = true
			}
		}
	}
	late, later, latest := netem.NewRandom(seed, netem.Out, "late verbs"), netem.NewRandom(seed, netem.Out, "later verbs"), netem.NewRandom(seed, netem.Out, "latest verbs")
	ops := Draw(Flock{Agents: set.Agents, Lease: set.Timing.Lease, For: set.For, Every: p.Every, Faults: p.Faults}, &d, &late, &later, &latest)
	for i, o := range ops {
		if p.Only == nil || slices.Contains(p.Only, i) {
			set.Ops = append(set.Ops, o)
		}
	}
	return set
}

// Only returns the indexes of the faults in left within the schedule that a plan
// draws. As Plan.Only they replay those faults.
func Only(seed uint64, p Plan, left []Op) (only []int) {
	p.Only = nil
	only = []int{}
	for i, o := range Drawn(seed, p).Ops {
		if slices.Contains(left, o) {
			only = append(only, i)
		}
	}
	return only
}

// OnlyFlag returns indexes in the form of --only.
func OnlyFlag(only []int) string {
	return cmp.Or(strings.Trim(strings.ReplaceAll(fmt.Sprint(only), " ", ","), "[]"), "none")
}

// Shrink drops lines of a schedule while try reports that the rest still fails in the
// same way: whole stretches first, then line by line. It ends early when more is false.
func Shrink(ops []Op, try func([]Op) (still, more bool)) {
	more := true
	for size := max(1, len(ops)/2); more && size > 0; size /= 2 {
		for at := 0; at < len(ops) && more; {
			var still bool
			fewer := slices.Delete(slices.Clone(ops), at, min(at+size, len(ops)))
			if still, more = try(fewer); still {
				ops = fewer
			} else {
				at += size
			}
		}
	}
}
