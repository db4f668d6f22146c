// Package bench measures a real local flock: how long it is without a goose when the
// goose is killed, paused or steps down, whether it keeps its goose on a busy machine,
// and what it costs while nothing happens. It checks everything that agents answer
// against the promises, by package netem/check.
package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Options say what to measure. Fields that are 0 leave their part out.
type Options struct {
	Flock     flock.Options
	Load      int           // busy processes per core beside the flock
	Idle      time.Duration // how long nothing happens
	StepDowns int           // hand-overs
	Kills     int           // ends of the goose by How
	How       string        // one of Hows; "" is kill
	Successor bool          // the agent that would follow the goose ends with it
	Loss      float64       // the share of datagrams that are lost, 0 to 1
	Delay     time.Duration // of every datagram, one way
	Steady    time.Duration // how long changes of the goose are counted
	Pauses    int           // kill -STOP of the goose for PauseFor, then -CONT
	PauseFor  time.Duration
	Seed      uint64 // of the moments of faults, and of the network's
	Progress  func(Progress)
}

// Report is what was measured. Durations are in milliseconds.
type Report struct {
	Setting
	// Failover is from the end of the goose, by How, until a majority of all agents
	// names another goose.
	Failover *Distribution `json:"failover_ms,omitempty"`
	// How the goose ended, and whether its first successor did too.
	How       string `json:"how,omitempty"`
	Successor bool   `json:"successor_too,omitempty"`
	Warden    bool   `json:"warden,omitempty"`
	// HandOff is from the old goose's last lease until the next goose's first.
	HandOff *Distribution `json:"hand_off_gap_ms,omitempty"`
	// Pause is from kill -STOP of the goose until a majority names another.
	Pause  *Distribution `json:"pause_ms,omitempty"`
	Leases *Leases       `json:"leases_ms,omitempty"` // with AutoLease
	Idle   *Idle         `json:"idle,omitempty"`
	Steady *Steady       `json:"steady,omitempty"`
	// Samples is how often an agent was asked while geese were paused.
	Samples int `json:"samples,omitempty"`
	Verdict
}

// Setting describes the flock that was measured.
type Setting struct {
	Agents      int     `json:"agents"`
	HeartbeatMS float64 `json:"heartbeat_ms"`
	LeaseMS     float64 `json:"lease_ms"`
	AutoLease   bool    `json:"auto_lease,omitempty"` // geese choose both, beginning with these
	Netem       string  `json:"netem,omitempty"`      // the fault rules on every agent
	Load        int     `json:"spinning_per_core"`
	Seed        uint64  `json:"seed"`
}

// Leases are the lengths of the leases that geese had.
type Leases struct {
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Last float64 `json:"last"`
}

// add adds the one that a goose has now.
func (l *Leases) add(ms float64) {
	if l.Last == 0 {
		l.Min = ms
	}
	*l = Leases{Min: min(l.Min, ms), Max: max(l.Max, ms), Last: ms}
}

// Verdict ends every report.
type Verdict struct {
	// Impossible lists broken promises, such as two geese. It should be empty.
	Impossible []string `json:"impossible"`
}

// Breaches lists the broken promises.
func (v *Verdict) Breaches() []string { return v.Impossible }

// Run starts a flock, measures it and stops it.
func Run(ctx context.Context, opts Options) (r *Report, err error) {
	opts.Flock.Extra = append(opts.Flock.Extra, seeded(opts.Seed)...)
	f, err := flock.Prepare(opts.Flock)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.StartAll(); err != nil {
		return nil, err
	}
	w := newWatch(ctx, f, opts.Seed)
	defer w.close()
	steps := opts.plan()
	defer steps.follow(ctx)()
	steps.begin("waiting for the flock")
	if err := w.settled(ctx); err != nil {
		return nil, err
	}
	r = &Report{Warden: opts.Flock.Warden, Setting: w.setting(&opts.Flock, opts.Load, opts.Seed)}
	r.Netem = opts.Rules()
	if r.Netem != "" {
		if err := f.SetNetem(ctx, r.Netem); err != nil {
			return nil, err
		}
	}
	spinning, err := spin(opts.Load)
	if err != nil {
		return nil, err
	}
	defer spinning.close()
	for _, measure := range []func(context.Context, *Options, *Report, *plan) error{
		w.idle, w.steady, w.stepDowns, w.kills, w.pauses,
	} {
		if err := measure(ctx, &opts, r, steps); err != nil {
			return nil, fmt.Errorf("%w%s", err, w.judge.text())
		}
	}
	if r.AutoLease {
		w.m.Look(func(map[string]api.Status) { r.Leases = &w.leases })
	}
	r.Impossible = w.judge.verdict()
	return r, nil
}

// seeded are the agent flags that make the network's chance repeatable.
func seeded(seed uint64) []string { return []string{"--netem-seed", fmt.Sprint(seed)} }

// plan guesses how long each part takes. A flock must be whole again after each fault.
func (o *Options) plan() *plan {
	return &plan{show: o.Progress, parts: []part{
		{what: "waiting for the flock", times: 1, each: 5 * time.Second},
		{what: "idle", times: 1, each: o.Idle},
		{what: "steady", times: 1, each: o.Steady},
		{what: "step-down", times: o.StepDowns, each: time.Second},
		{what: "kill", times: o.Kills, each: 2 * time.Second},
		{what: "pause", times: o.Pauses, each: o.PauseFor + time.Second},
	}}
}

// Distribution sums up samples.
type Distribution struct {
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`

	samples []time.Duration // sorted
}

// distributionOf sums up by nearest rank; nil for no samples.
func distributionOf(samples []time.Duration) *Distribution {
	if len(samples) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(samples))
	at := func(percent int) float64 {
		rank := (percent*len(s) + 99) / 100
		return ms(s[max(rank-1, 0)])
	}
	return &Distribution{N: len(s), Min: at(0), Median: at(50), P90: at(90), P95: at(95), P99: at(99), Max: at(100), samples: s}
}
