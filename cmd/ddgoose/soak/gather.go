package soak

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/netem/check"
)

// report gathers the results. Times count from the start of the run.
func (r *run) report(ctx context.Context) (*Report, error) {
	rep := &Report{
		Version: r.o.Version, Started: r.started.UTC().Truncate(time.Second), Seed: r.o.Seed, Warden: r.o.Warden, AutoLease: r.o.AutoLease, Agents: r.f.Names(),
		Asked: r.o.For, Lasted: r.until - r.from, Settled: r.settled - r.start, Until: boottime.Now() - r.start,
		Stopped: ctx.Err() != nil, Scenario: r.o.Scenario, Lease: r.conditions.limits.Lease, Bound: r.conditions.bound(),
		Counts: map[string]int{}, Spans: map[string][]Span{}, Samples: map[string][]Sample{},
		Violations: []Violation{}, Crashes: []Crash{}, Leaks: []Leak{}, Notes: []string{},
	}
	rep.Events, rep.Late, rep.Periods = r.seq.counts()
	r.gatherStalls(rep)
	r.gatherFaults(rep)
	r.gatherPeriods(rep)
	r.gatherResources(rep)
	if err := r.gatherHistory(rep); err != nil {
		return nil, err
	}
	r.gatherViolations(rep)
	rep.judge()
	return rep, nil
}

func (r *run) gatherStalls(rep *Report) {
	rep.Stalls = r.canary.seen()
	var total time.Duration
	for i := range rep.Stalls {
		s := &rep.Stalls[i]
		s.From, s.To = s.From-r.start, s.To-r.start
		total += s.To - s.From
	}
	if len(rep.Stalls) > 0 {
		rep.Notes = append(rep.Notes, fmt.Sprintf("this machine stalled %s, %v in all; no goose was due in that time", check.Count(len(rep.Stalls), "time"), total.Round(time.Millisecond)))
	}
	if rep.Stopped {
		rep.Notes = append(rep.Notes, fmt.Sprintf("stopped after %v of %v: whether the flock heals was not checked", rep.Lasted.Round(time.Second), rep.Asked))
	}
}

func (r *run) gatherFaults(rep *Report) {
	d := r.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	rep.Struck = d.struck
	slices.SortStableFunc(rep.Struck, func(a, b *Struck) int { return cmp.Compare(a.From, b.From) })
	for _, s := range rep.Struck {
		s.From, s.To = s.From-r.start, s.To-r.start
		if s.Skipped == "" && s.Refused == "" {
			rep.Counts[s.Kind]++
		}
	}
	rep.Crashes = append(rep.Crashes, d.crashes...)
	for i := range rep.Crashes {
		rep.Crashes[i].At -= r.start
	}
	for _, died := range d.writers.died {
		rep.Crashes = append(rep.Crashes, Crash{At: rep.Until, How: died, Log: tail(d.writers.log)})
	}
}

func (r *run) gatherPeriods(rep *Report) {
	o := r.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, period := range o.periods {
		rep.GoosePeriods = append(rep.GoosePeriods, GoosePeriod{period.Agent, period.Token, period.From - r.start, period.To - r.start})
	}
	slices.SortStableFunc(rep.GoosePeriods, func(a, b GoosePeriod) int { return cmp.Compare(a.From, b.From) })
	rep.GoosePeriods = joined(rep.GoosePeriods)
	for name, a := range o.agents {
		a.spans[len(a.spans)-1].To = rep.Until + r.start
		for _, s := range a.spans {
			rep.Spans[name] = append(rep.Spans[name], Span{s.From - r.start, s.To - r.start, s.State})
		}
	}
	for _, name := range rep.Agents {
		a, seconds := o.agents[name], rep.Until.Seconds()
		rep.Traffic = append(rep.Traffic, Traffic{
			Agent: name, Sent: float64(a.counted("datagrams_sent")) / seconds, Received: float64(a.counted("datagrams_received")) / seconds,
			SentBytes: float64(a.counted("bytes_sent")) / seconds, GotBytes: float64(a.counted("bytes_received")) / seconds,
		})
	}
	from, until := r.from-r.start, r.until-r.start
	inTime := slices.DeleteFunc(slices.Clone(rep.GoosePeriods), func(x GoosePeriod) bool { return x.To < from || x.From > until })
	rep.Gaps = gapsOf(inTime, rep.Struck, rep.Stalls, rep.Lease, until)
	rep.Causes = byCause(rep.Gaps)
	var times []time.Duration
	for i := range rep.Gaps {
		times = append(times, rep.Gaps[i].Lasts())
		if rep.Gaps[i].Failover {
			rep.Failovers++
		}
	}
	rep.Leaderless = distributionOf(times)
}

func (r *run) gatherResources(rep *Report) {
	r.resources.mu.Lock()
	defer r.resources.mu.Unlock()
	for name, samples := range r.resources.samples {
		for _, s := range samples {
			s.At -= r.start
			rep.Samples[name] = append(rep.Samples[name], s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rep.Samples)) {
		found, judged := leaks(name, rep.Samples[name])
		rep.Leaks = append(rep.Leaks, found...)
		rep.LivesLong += judged
	}
	if rep.LivesLong == 0 {
		rep.Notes = append(rep.Notes, fmt.Sprintf("no process ran for %.0f minutes: growth was not judged", leakLife.Minutes()))
	}
}

func (r *run) gatherHistory(rep *Report) error {
	h, err := readHistory(r.fence(), r.start)
	if err != nil {
		return err
	}
	rep.History = &h.History
	for _, token := range slices.Sorted(maps.Keys(h.writers)) {
		r.observer.mu.Lock()
		id := r.observer.owners[token]
		owner := r.observer.names[id]
		r.observer.mu.Unlock()
		if writer := h.writers[token]; owner != "" && owner != writer {
			rep.History.Broken = append(rep.History.Broken, fmt.Sprintf("%s wrote by token %d, which is %s's", writer, token, owner))
		}
	}
	return nil
}

func (r *run) gatherViolations(rep *Report) {
	bad := func(promise string, at time.Duration, text string) {
		rep.Violations = append(rep.Violations, Violation{Promise: promise, At: at, Text: text})
	}
	for _, v := range r.seq.found() {
		bad(v.Promise, v.At, r.observer.named(v.Text))
	}
	for _, text := range rep.History.Broken {
		bad("P2", rep.Until, "the fenced file: "+text)
	}
	if r.healed != nil {
		bad("P5", rep.Until, fmt.Sprintf("the flock was not whole %v after the last fault: %v", time.Duration(r.o.Scenario.Heal), r.healed))
	}
}
