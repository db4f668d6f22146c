package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"duckduckgoose/cmd/ddgoose/flock"
)

// ElectionsOptions say what is compared.
type ElectionsOptions struct {
	Flock     flock.Options // of every flock; each has a folder of its own in Dir
	Elections int           // the most, the default one counted
	For       time.Duration // how long each flock is measured
	Load      int           // busy processes per core beside the flocks
	Seed      uint64
	Progress  func(Progress)
}

// ElectionsReport compares flocks that differ in their elections only.
type ElectionsReport struct {
	Setting
	Flocks []ElectionsCost `json:"flocks"`
	Ratios []Ratio         `json:"ratios"`
	Lists  int             `json:"lists"` // lists of elections that agents answered, and that were checked
	Verdict
}

// ElectionsCost is what all agents of a flock cost together. Traffic is what
// they sent: datagrams, the elections' and gossip's.
type ElectionsCost struct {
	Elections int     `json:"elections"`
	Seconds   float64 `json:"seconds"`
	Geese     []int   `json:"geese_per_agent"` // from the fewest to the most
	SettledMS float64 `json:"settled_ms"`      // from the start of the agents until the measurement
	Datagrams float64 `json:"datagrams_per_s"`
	Bytes     float64 `json:"bytes_per_s"`
	CPU       float64 `json:"cpu_seconds_per_s"`
	Changes   int     `json:"changes"` // elections that had another goose period after the measurement than before
}

// Ratio compares the cost of more elections with that of fewer.
type Ratio struct {
	What   string   `json:"what"`
	Of     int      `json:"of_elections"`
	To     int      `json:"to_elections"`
	Ratio  *float64 `json:"ratio"` // nil: there was nothing to divide by
	Target float64  `json:"target"`
	Met    bool     `json:"met"`
}

// Elections measures flocks with 1 election, with as many as agents, and with
// the most, one after the other.
func Elections(ctx context.Context, o ElectionsOptions) (*ElectionsReport, error) {
	r := &ElectionsReport{Setting: Setting{Agents: o.Flock.Agents, AutoLease: o.Flock.AutoLease, Load: o.Load, Seed: o.Seed}, Verdict: Verdict{[]string{}}}
	spinning, err := spin(o.Load)
	if err != nil {
		return nil, err
	}
	defer spinning.close()
	sizes := []int{1, o.Flock.Agents, o.Elections}
	steps := &plan{show: o.Progress}
	for _, n := range sizes {
		steps.parts = append(steps.parts, part{what: waitingFor(n), times: 1, each: settling}, part{what: measuring(n), times: 1, each: o.For})
	}
	defer steps.follow(ctx)()
	for _, n := range sizes {
		if err := o.measure(ctx, n, r, steps); err != nil {
			return nil, fmt.Errorf("%d elections: %w", n, err)
		}
	}
	r.compare()
	return r, nil
}

// waitingFor and measuring name the steps, for the progress.
func waitingFor(n int) string { return fmt.Sprintf("%d elections: waiting for their geese", n) }
func measuring(n int) string  { return fmt.Sprintf("%d elections: measuring", n) }

// compare compares the flock of the most elections with the others.
func (r *ElectionsReport) compare() {
	one, some, most := &r.Flocks[0], &r.Flocks[1], &r.Flocks[2]
	r.Ratios = []Ratio{
		ratio("datagrams", most, one, most.Datagrams, one.Datagrams, 3),
		ratio("CPU", most, one, most.CPU, one.CPU, 2),
		ratio("bytes", most, one, most.Bytes, one.Bytes, 10),
		ratio("datagrams", most, some, most.Datagrams, some.Datagrams, 1.5),
	}
}

func ratio(what string, of, to *ElectionsCost, x, y, target float64) Ratio {
	r := Ratio{What: what, Of: of.Elections, To: to.Elections, Target: target}
	if y > 0 {
		r.Ratio, r.Met = new(x/y), x/y <= target
	}
	return r
}

// measure adds one flock to the report.
func (o *ElectionsOptions) measure(ctx context.Context, n int, r *ElectionsReport, steps *plan) (err error) {
	opts := o.Flock
	opts.Dir = filepath.Join(opts.Dir, fmt.Sprint(n))
	opts.Elections, opts.Extra = nil, append(slices.Clone(opts.Extra), seeded(o.Seed)...)
	for i := 1; i < n; i++ {
		opts.Elections = append(opts.Elections, fmt.Sprintf("e%d", i))
	}
	f, err := flock.Prepare(opts)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &electionsWatch{f: f, n: n, byDefault: newWatch(ctx, f, o.Seed)}
	defer w.byDefault.close()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, w.byDefault.judge.text())
		}
	}()
	began := time.Now()
	if err := f.StartAll(); err != nil {
		return err
	}
	steps.begin(waitingFor(n))
	before, err := w.settled(ctx)
	if err != nil {
		return err
	}
	c := ElectionsCost{Elections: n, Geese: before.geese, SettledMS: float64(time.Since(began)) / float64(time.Millisecond)}
	steps.begin(measuring(n))
	all, seconds, err := w.costs(ctx, o.For)
	if err != nil {
		return err
	}
	c.Seconds = seconds
	for _, a := range all {
		c.Datagrams += a.SentPS
		c.Bytes += a.BytesOutPS
		c.CPU += a.CPUPercent / 100
	}
	after, err := w.settled(ctx)
	if err != nil {
		return fmt.Errorf("after the measurement: %w", err)
	}
	for name, token := range after.tokens {
		if before.tokens[name] != token {
			c.Changes++
		}
	}
	r.HeartbeatMS, r.LeaseMS = w.heartbeat, w.lease
	r.Flocks, r.Lists = append(r.Flocks, c), r.Lists+w.lists
	r.Impossible = append(r.Impossible, w.byDefault.judge.verdict()...)
	return nil
}
