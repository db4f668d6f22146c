package sim

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
)

// Result is the result of one run.
type Result struct {
	Settings schedule.Settings
	Stats    Stats
	Hash     uint64        // of all events
	Ended    time.Duration // true time
	Err      error         // nil: every promise was kept
	Tail     []string      // the last events, if Err is set
	State    []string      // the state of every agent then
}

// Class is the kind of a result.
type Class uint8

// The classes, the worst last.
const (
	Kept     Class = iota
	Liveness       // no goose when one was due, or an unmet expectation
	Safety         // a violated promise that no fault may violate
	Crashed        // the tested code panicked, or the simulator failed
)

// String returns the name of the class.
func (c Class) String() string {
	return [...]string{"kept", "liveness", "safety", "crash"}[c]
}

// Class returns the kind of the result.
func (r *Result) Class() Class {
	var v *check.Violation
	var u *Unmet
	switch {
	case r.Err == nil:
		return Kept
	case errors.As(r.Err, &v) && v.Safety():
		return Safety
	case errors.As(r.Err, &v), errors.As(r.Err, &u):
		return Liveness
	}
	return Crashed
}

// Report describes a failed run for people: what broke, the schedule, the last events,
// the state of every agent, and the command that replays it.
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

// Run runs one schedule to its end, or to the first violation.
func Run(set schedule.Settings, watch func(now time.Duration) bool) Result {
	return run(set, bugs{}, watch)
}

func run(set schedule.Settings, b bugs, watch func(now time.Duration) bool) (r Result) {
	s := newSim(set, b)
	defer func() {
		if p := recover(); p != nil {
			s.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		r = s.result()
	}()
	s.setUp()
	for s.now < set.For && s.err == nil {
		s.run(min(set.For, s.now+time.Minute)) // the interval of watch
		if watch != nil && !watch(s.now) {
			return
		}
	}
	s.emit(check.Event{Kind: check.Excused})
	if set.Heal && s.err == nil {
		s.healMajority()
		if s.err == nil {
			s.healAll()
		}
	}
	return
}

func (s *Sim) result() Result {
	s.stats.Runs, s.stats.Virtual, s.stats.Lost = 1, s.now, s.net.lost
	s.stats.Periods = s.checker.Periods()
	s.stats.Gaps, s.stats.Gooseless = s.checker.Gaps()
	r := Result{Settings: s.set, Stats: s.stats, Hash: s.trace.hash, Ended: s.now, Err: s.err}
	if s.err != nil {
		r.Tail, r.State = s.trace.tail(), s.state()
	}
	return r
}

// RunScenario runs a scenario with a seed for its network and clocks.
func RunScenario(s *schedule.Scenario, seed uint64) Result {
	set := s.Settings
	set.Seed = seed
	r := Run(set, nil)
	if r.Err != nil {
		return r
	}
	if worst := r.Stats.Quantile(1); s.MaxGap >= 0 && worst > s.MaxGap {
		r.Err = &Unmet{fmt.Sprintf("%v without a goose, and at most %v is allowed", worst, s.MaxGap)}
	}
	if share := float64(r.Stats.Gooseless) / float64(r.Stats.Virtual); s.MaxGooseless >= 0 && share > s.MaxGooseless {
		r.Err = &Unmet{fmt.Sprintf("without a goose in %.2f %% of the time, and at most %.2f %% are allowed", 100*share, 100*s.MaxGooseless)}
	}
	if s.Elections >= 0 && r.Stats.Elections > s.Elections {
		r.Err = &Unmet{fmt.Sprintf("%d elections, and at most %d are allowed", r.Stats.Elections, s.Elections)}
	}
	return r
}

// Many runs n seeds from first on, on workers goroutines, and passes the results to
// each in the order of seeds. It ends early when each returns false.
func Many(first uint64, n, workers int, p schedule.Plan, each func(seed uint64, r Result) bool) {
	workers = max(1, workers)
	results := make(chan chan Result, 4*workers) // bounds how far the workers run ahead of each
	free := make(chan struct{}, workers)
	var stopped atomic.Bool
	go func() {
		defer close(results)
		for i := 0; i < n && !stopped.Load(); i++ {
			result := make(chan Result, 1)
			results <- result
			free <- struct{}{}
			go func() {
				r := Run(schedule.Drawn(first+uint64(i), p), nil)
				<-free
				result <- r
			}()
		}
	}()
	seed := first
	for result := range results {
		if r := <-result; !stopped.Load() && !each(seed, r) {
			stopped.Store(true) // running ones end by themselves
		}
		seed++
	}
}

// Shrink removes lines from the schedule of a failed run as long as it fails in the
// same class. It returns the remaining settings and their result, after at most tries
// runs.
func Shrink(r Result, tries int) Result { return shrink(r, bugs{}, tries) }

func shrink(r Result, b bugs, tries int) Result {
	class, ops := r.Class(), r.Settings.Ops
	try := func(ops []schedule.Op) (still, more bool) {
		set := r.Settings
		set.Ops = ops
		tries--
		smaller := run(set, b, nil)
		if still = smaller.Class() == class; still {
			r = smaller
		}
		return still, tries > 0
	}
	// Lines after the end of the run change nothing.
	if last := slices.IndexFunc(ops, func(o schedule.Op) bool { return o.At > r.Ended }); last >= 0 && class == Safety {
		if still, _ := try(ops[:last]); still {
			ops = ops[:last]
		}
	}
	schedule.Shrink(ops, try)
	return r
}
