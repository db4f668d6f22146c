package bench

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Steady is how well a flock kept its goose while nobody did anything to it.
type Steady struct {
	Seconds float64 `json:"seconds"`
	// Changes are new goose periods, and Lapses the times when a goose lost
	// its lease and earned it back; Excused are those of both that came while, or
	// shortly after, the harness itself was stalled.
	Changes int `json:"changes"`
	Lapses  int `json:"lapses"`
	Excused int `json:"excused"`
	// Stalls are the times when the harness, asleep for 10 ms, woke more than
	// 100 ms late: then the machine, and not the flock, was too slow.
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
	lease := time.Duration(r.LeaseMS * float64(time.Millisecond))
	w.m.Look(func(map[string]api.Status) {
		known := map[uint64]bool{}
		for _, reign := range w.reigns {
			again := known[reign.token]
			known[reign.token] = true
			if reign.from.Before(from) {
				continue
			}
			if again {
				s.Lapses++
			} else {
				s.Changes++
			}
			for _, stall := range stalled {
				// What the stall cost shows within a few leases.
				if reign.from.After(stall.from) && reign.from.Before(stall.to.Add(4*lease)) {
					s.Excused++
					break
				}
			}
		}
	})
	return nil
}

const (
	// stallNap is how long the harness sleeps at a time, and stallLate what is
	// too late for its waking.
	stallNap  = 10 * time.Millisecond
	stallLate = 100 * time.Millisecond
)

// stall is a time when the harness itself could not run.
type stall struct{ from, to time.Time }

// stalls looks for them until ctx ends, and tells the worst as well.
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
