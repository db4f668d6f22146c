package bench

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Steady is how well a flock kept its goose without any faults.
type Steady struct {
	Seconds float64 `json:"seconds"`
	// Changes are new goose periods. Lapses are the times when a goose lost its lease and
	// got it back. Excused counts those of both that came during a stall of the bench
	// itself, or shortly after.
	Changes int `json:"changes"`
	Lapses  int `json:"lapses"`
	Excused int `json:"excused"`
	// Stalls are the times when the bench, asleep for 10 ms, woke more than 100 ms late:
	// then the machine was too slow, not the flock.
	Stalls     int     `json:"stalls"`
	WorstStall float64 `json:"worst_stall_ms"`
}

// steady counts changes of the goose that nobody caused.
func (w *watch) steady(ctx context.Context, o *Options, r *Report, steps *plan) error {
	if o.Steady == 0 {
		return nil
	}
	steps.begin("steady")
	from := time.Now()
	within, cancel := context.WithTimeout(ctx, o.Steady)
	defer cancel()
	stalled, worst := stalls(within)
	if err := ctx.Err(); err != nil {
		return err
	}
	s := &Steady{Seconds: time.Since(from).Seconds(), Stalls: len(stalled), WorstStall: float64(worst) / float64(time.Millisecond)}
	r.Steady = s
	lease := w.longestLease()
	w.m.Look(func(map[string]api.Status) {
		known := map[uint64]bool{}
		for _, period := range w.periods {
			again := known[period.token]
			known[period.token] = true
			if period.from.Before(from) {
				continue
			}
			if again {
				s.Lapses++
			} else {
				s.Changes++
			}
			for _, stall := range stalled {
				// The effects of a stall show within a few leases.
				if period.from.After(stall.from) && period.from.Before(stall.to.Add(4*lease)) {
					s.Excused++
					break
				}
			}
		}
	})
	return nil
}

const (
	// stallNap is how long the bench sleeps at a time; waking later than stallLate is a
	// stall.
	stallNap  = 10 * time.Millisecond
	stallLate = 100 * time.Millisecond
)

// stall is a time in which the bench itself could not run.
type stall struct{ from, to time.Time }

// stalls finds stalls until ctx ends, and returns the longest too.
func stalls(ctx context.Context) (found []stall, worst time.Duration) {
	last := time.Now()
	flock.Every(ctx, stallNap, func() {
		now := time.Now()
		late := now.Sub(last) - stallNap
		if worst = max(worst, late); late > stallLate {
			found = append(found, stall{last, now})
		}
		last = now
	})
	return found, worst
}
