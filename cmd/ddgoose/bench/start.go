package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// StartOptions say which flocks are started.
type StartOptions struct {
	Flock    flock.Options // of every flock; each has a folder of its own in Dir
	Sizes    []int         // agents of each flock
	Starts   int           // of each size
	Load     int           // busy processes per core beside the flocks
	Seed     uint64
	Progress func(Progress)
}

// StartReport is how long flocks take from nothing to a goose.
type StartReport struct {
	Setting
	Flocks []StartTime `json:"flocks"`
	Verdict
}

// StartTime is from the start of the first process, on empty disks, until a
// majority of all agents names the same goose.
type StartTime struct {
	Agents int           `json:"agents"`
	Time   *Distribution `json:"start_ms"`
}

// Start starts new flocks of each size, one after the other.
func Start(ctx context.Context, o StartOptions) (*StartReport, error) {
	r := &StartReport{Setting: Setting{AutoLease: o.Flock.AutoLease, Load: o.Load, Seed: o.Seed}, Verdict: Verdict{[]string{}}}
	spinning, err := spin(o.Load)
	if err != nil {
		return nil, err
	}
	defer spinning.close()
	steps := &plan{show: o.Progress}
	for _, n := range o.Sizes {
		steps.parts = append(steps.parts, part{what: startOf(n), times: o.Starts, each: settling})
	}
	defer steps.follow(ctx)()
	for _, n := range o.Sizes {
		round := 0
		d, err := repeat(ctx, steps, startOf(n), o.Starts, func(ctx context.Context) (time.Duration, error) {
			round++
			return o.start(ctx, n, round, r)
		})
		if err != nil {
			return nil, fmt.Errorf("%d agents: %w", n, err)
		}
		r.Flocks = append(r.Flocks, StartTime{n, d})
		r.Setting.Agents = max(r.Setting.Agents, n)
	}
	return r, nil
}

// startOf names the starts of one size.
func startOf(agents int) string { return fmt.Sprintf("%d agents: start", agents) }

// start starts one flock and stops it again.
func (o *StartOptions) start(ctx context.Context, n, round int, r *StartReport) (took time.Duration, err error) {
	opts := o.Flock
	opts.Extra = append(slices.Clone(opts.Extra), seeded(o.Seed)...)
	opts.Agents, opts.Dir = n, filepath.Join(opts.Dir, fmt.Sprintf("%d-%d", n, round))
	f, err := flock.Prepare(opts)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := newWatch(ctx, f, o.Seed)
	defer w.close()
	began := time.Now()
	if err := f.StartAll(); err != nil {
		return 0, err
	}
	err = w.until(ctx, "a goose", settleWait, func(up map[string]api.Status) bool {
		took = time.Since(began)
		name, _ := named(up, w.most)
		if name != "" {
			r.HeartbeatMS, r.LeaseMS = up[name].Heartbeat, up[name].LeaseMS
		}
		return name != ""
	})
	r.Impossible = append(r.Impossible, w.judge.verdict()...)
	return took, err
}
