package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// ElectionsOptions say what is compared.
type ElectionsOptions struct {
	Flock     flock.Options // of every flock; each has a folder of its own in Dir
	Elections int           // the most, the default one counted
	For       time.Duration // how long each flock is measured
	Load      int           // spinning processes per core beside the flocks
	Progress  func(Progress)
}

// ElectionsReport compares flocks that differ in their elections only.
type ElectionsReport struct {
	Setting
	Flocks []ElectionsCost `json:"flocks"`
	Ratios []Ratio         `json:"ratios"`
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

// Ratio is what more elections cost in terms of what fewer cost.
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
	r := &ElectionsReport{Setting: Setting{Agents: o.Flock.Agents, Load: o.Load}, Verdict: Verdict{[]string{}}}
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

// waitingFor and measuring name what is done with a flock.
func waitingFor(n int) string { return fmt.Sprintf("%d elections: waiting for their geese", n) }
func measuring(n int) string  { return fmt.Sprintf("%d elections: measuring", n) }

// compare holds the flock of the most elections against the others.
func (r *ElectionsReport) compare() {
	one, some, most := &r.Flocks[0], &r.Flocks[1], &r.Flocks[2]
	r.Ratios = []Ratio{
		ratio("datagrams", most, one, most.Datagrams, one.Datagrams, 3),
		ratio("CPU", most, one, most.CPU, one.CPU, 3),
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
func (o *ElectionsOptions) measure(ctx context.Context, n int, r *ElectionsReport, steps *plan) error {
	opts := o.Flock
	opts.Dir = filepath.Join(opts.Dir, fmt.Sprint(n))
	opts.Elections = nil
	for i := 1; i < n; i++ {
		opts.Elections = append(opts.Elections, fmt.Sprintf("e%d", i))
	}
	f, err := flock.Prepare(opts)
	if err != nil {
		return err
	}
	defer f.Close()
	began := time.Now()
	if err := f.StartAll(); err != nil {
		return err
	}
	w := &electionsWatch{f: f, n: n, judges: map[string]*judge{}}
	steps.begin(waitingFor(n))
	before, err := w.settled(ctx)
	if err != nil {
		return err
	}
	c := ElectionsCost{Elections: n, Geese: before.geese, SettledMS: float64(time.Since(began)) / float64(time.Millisecond)}
	steps.begin(measuring(n))
	all, seconds, err := costs(ctx, f, o.For)
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
	r.Flocks = append(r.Flocks, c)
	for _, j := range w.judges {
		r.Impossible = append(r.Impossible, j.verdict()...)
	}
	slices.Sort(r.Impossible)
	return nil
}

// electionsWatch looks at all elections of a flock.
type electionsWatch struct {
	f                *flock.Flock
	n                int
	judges           map[string]*judge // by election
	heartbeat, lease float64           // ms, as the agents tell them
}

// electionsView is who leads what at one moment.
type electionsView struct {
	leaders map[string]string // election -> the agent that says it is its goose
	tokens  map[string]uint64
	geese   []int
	idle    string // the agent that should lead the default election; "": all is even
}

const (
	// stillFor is how long no goose must have changed for the spread to have settled.
	stillFor = 3 * time.Second
	// settling is a guess of how long it takes, for the progress.
	settling = 10 * time.Second
	// founding is how long each election may take on top of settleWait.
	founding = time.Second
)

// settled waits until all is as it should be, and nothing has moved for stillFor.
func (w *electionsWatch) settled(ctx context.Context) (*electionsView, error) {
	limit := settleWait + time.Duration(w.n)*founding
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var still *electionsView
	var since time.Time
	for end := time.Now().Add(limit); ; {
		v, missing, err := w.look(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case missing != "" || still == nil || !maps.Equal(v.tokens, still.tokens):
			still, since = v, time.Now()
		case v.idle != "" && time.Since(since) >= stillFor:
			if missing, err = w.moveDefault(ctx, v); err != nil {
				return nil, err
			}
			still = nil
		case time.Since(since) >= max(stillFor, 2*w.leaseTime()):
			if missing, err = w.judged(ctx, v); err != nil {
				return nil, err
			}
			if missing == "" {
				return v, nil
			}
			since = time.Now() // what was judged now is over when it is judged again
		}
		if time.Now().After(end) {
			if missing == "" {
				missing = "geese still change"
			}
			return nil, fmt.Errorf("waited %v for the elections to settle: %s", limit, missing)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look asks every agent for its list, and tells what is not as it should be; the
// view is nil then. An agent that has ended by itself is an error.
func (w *electionsWatch) look(ctx context.Context) (v *electionsView, missing string, err error) {
	var lists [][]api.ElectionInfo
	for _, a := range w.f.Agents() {
		list, err := a.Client().Elections(ctx)
		switch {
		case a.Exit() != nil:
			return nil, "", a.Exit()
		case ctx.Err() != nil:
			return nil, "", ctx.Err()
		case err != nil:
			return nil, err.Error(), nil // it starts still
		}
		lists = append(lists, list)
	}
	v, missing = viewOf(w.f.Names(), lists, w.n)
	return v, missing, nil
}

// moveDefault hands the default election over to an agent that leads fewer: the
// flock spreads the others, and leaves this one where it is.
func (w *electionsWatch) moveDefault(ctx context.Context, v *electionsView) (missing string, err error) {
	a, err := w.f.Agent(v.leaders[""])
	if err != nil {
		return "", err
	}
	_, err = a.Client().StepDown(ctx, v.idle)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil: // its goose has changed meanwhile, or the other is not ready
		return fmt.Sprintf("the default election to move from %s to %s: %v", a.Name, v.idle, err), nil
	}
	return "", nil
}

// viewOf judges what the agents list: n elections, each with one goose that all
// name, and as many geese of named ones at each agent as at any other, or one more.
func viewOf(agents []string, lists [][]api.ElectionInfo, n int) (v *electionsView, missing string) {
	v = &electionsView{leaders: map[string]string{}, tokens: map[string]uint64{}}
	var named []int // geese of elections with a name, by agent
	for i, list := range lists {
		if len(list) != n {
			return nil, fmt.Sprintf("%s has %d of %d elections", agents[i], len(list), n)
		}
		geese, byName := 0, 0
		for _, e := range list {
			switch token, seen := v.tokens[e.Name]; {
			case e.Goose == nil:
				return nil, fmt.Sprintf("%s knows no goose of election %q", agents[i], e.Name)
			case seen && token != e.Token:
				return nil, fmt.Sprintf("agents do not agree on the goose of election %q", e.Name)
			}
			v.tokens[e.Name] = e.Token
			if e.LeaseValid {
				v.leaders[e.Name] = agents[i]
				geese++
				if e.Name != "" {
					byName++
				}
			}
		}
		v.geese, named = append(v.geese, geese), append(named, byName)
	}
	switch {
	case len(v.leaders) != n:
		return nil, fmt.Sprintf("%d of %d elections have a goose", len(v.leaders), n)
	case slices.Max(named)-slices.Min(named) > 1:
		return nil, fmt.Sprintf("the geese are not spread: %v an agent", named)
	}
	fewest := slices.Index(v.geese, slices.Min(v.geese))
	if slices.Max(v.geese)-v.geese[fewest] > 1 {
		v.idle = agents[fewest]
	}
	slices.Sort(v.geese)
	return v, ""
}

func (w *electionsWatch) leaseTime() time.Duration {
	return time.Duration(w.lease * float64(time.Millisecond))
}

// judged asks each goose for its whole status, holds it against the promises, and
// tells which election lacks voters.
func (w *electionsWatch) judged(ctx context.Context, v *electionsView) (missing string, err error) {
	for election, name := range v.leaders {
		a, err := w.f.Agent(name)
		if err != nil {
			return "", err
		}
		s, err := a.Client().Election(election).Status(ctx)
		if err != nil {
			return "", err
		}
		if w.judges[election] == nil {
			w.judges[election] = newJudge()
		}
		w.judges[election].hear(&s)
		w.heartbeat, w.lease = s.Heartbeat, s.LeaseMS
		if got, want := len(s.Config.Voters), votersOf(len(w.f.Names())); got != want {
			missing = fmt.Sprintf("election %q has %d of %d voters", election, got, want)
		}
	}
	return missing, nil
}

// Table writes the report for people.
func (r *ElectionsReport) Table(w io.Writer) error {
	r.head(w)
	fmt.Fprint(w, "\nall agents together, each second\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "elections\tgeese an agent\tdatagrams\tbytes\tCPU s\tmeasured s\tsettled in s\tchanges\t")
	for _, c := range r.Flocks {
		fmt.Fprintf(t, "%d\t%d to %d\t%.1f\t%.0f\t%.4f\t%.1f\t%.1f\t%d\t\n",
			c.Elections, c.Geese[0], c.Geese[len(c.Geese)-1], c.Datagrams, c.Bytes, c.CPU, c.Seconds, c.SettledMS/1000, c.Changes)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nwhat more elections cost in terms of fewer\n")
	fmt.Fprintln(t, "elections\tto\twhat\tratio\ttarget\t\t")
	for _, q := range r.Ratios {
		ratio, met := "-", "missed"
		if q.Ratio != nil {
			ratio = fmt.Sprintf("%.2f", *q.Ratio)
		}
		if q.Met {
			met = "met"
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%.2f\t%s\t\n", q.Of, q.To, q.What, ratio, q.Target, met)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.conclude(w)
}
