package bench

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Idle is the cost of each agent while nothing happens, and the highest.
type Idle struct {
	Seconds float64     `json:"seconds"`
	Agents  []AgentCost `json:"agents"`
	Mean    AgentCost   `json:"mean"`
	Worst   AgentCost   `json:"worst"`
}

// AgentCost is the cost of one agent. Traffic counts the datagrams of elections and of
// gossip, but not gossip's few streams.
type AgentCost struct {
	Name       string  `json:"name"`
	Role       string  `json:"role"`        // goose, duck or observer
	CPUPercent float64 `json:"cpu_percent"` // of one core
	RSSMB      float64 `json:"rss_mb"`
	SentPS     float64 `json:"datagrams_sent_per_s"`
	ReceivedPS float64 `json:"datagrams_received_per_s"`
	BytesOutPS float64 `json:"bytes_sent_per_s"`
	BytesInPS  float64 `json:"bytes_received_per_s"`
}

// fields lists what is averaged.
func (c *AgentCost) fields() []*float64 {
	return []*float64{&c.CPUPercent, &c.RSSMB, &c.SentPS, &c.ReceivedPS, &c.BytesOutPS, &c.BytesInPS}
}

// use is what a process has used so far.
type use struct {
	cpu    time.Duration
	rss    float64
	counts map[string]uint64
	role   string
}

// idle measures the cost of a flock while nothing happens.
func (w *watch) idle(ctx context.Context, o *Options, r *Report, steps *plan) error {
	if o.Idle == 0 {
		return nil
	}
	steps.begin("idle")
	all, seconds, err := costs(ctx, w.f, o.Idle)
	if err != nil {
		return err
	}
	r.Idle = &Idle{Seconds: seconds, Mean: AgentCost{Name: "mean"}, Worst: AgentCost{Name: "worst"}}
	for _, c := range all {
		r.Idle.add(c, len(all))
	}
	return nil
}

// costs measures the cost of each agent for d.
func costs(ctx context.Context, f *flock.Flock, lasts time.Duration) (all []AgentCost, seconds float64, err error) {
	before, err := uses(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	if err := flock.Sleep(ctx, lasts); err != nil {
		return nil, 0, err
	}
	seconds = time.Since(start).Seconds()
	after, err := uses(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range f.Names() {
		all = append(all, cost(name, before[name], after[name], seconds))
	}
	return all, seconds, nil
}

func (i *Idle) add(c AgentCost, of int) {
	i.Agents = append(i.Agents, c)
	mean, worst := i.Mean.fields(), i.Worst.fields()
	for k, v := range c.fields() {
		*mean[k] += *v / float64(of)
		*worst[k] = max(*worst[k], *v)
	}
}

func cost(name string, before, after use, seconds float64) AgentCost {
	rate := func(counters ...string) (sum float64) {
		for _, c := range counters {
			sum += float64(after.counts[c] - before.counts[c])
		}
		return sum / seconds
	}
	return AgentCost{
		Name: name, Role: after.role, CPUPercent: (after.cpu - before.cpu).Seconds() / seconds * 100, RSSMB: after.rss,
		SentPS: rate("datagrams_sent", "gossip_sent"), ReceivedPS: rate("datagrams_received", "gossip_received"),
		BytesOutPS: rate("bytes_sent", "gossip_bytes_sent"), BytesInPS: rate("bytes_received", "gossip_bytes_received"),
	}
}

func uses(ctx context.Context, f *flock.Flock) (map[string]use, error) {
	all := map[string]use{}
	for _, a := range f.Agents() {
		s, err := a.Client().Status(ctx)
		if err != nil {
			return nil, err
		}
		u := use{counts: s.Counters, role: s.Role}
		if u.cpu, u.rss, err = a.Use(); err != nil {
			return nil, err
		}
		switch {
		case !s.Voter:
			u.role = "observer"
		case u.role != api.RoleGoose:
			u.role = api.RoleDuck
		}
		all[a.Name] = u
	}
	return all, nil
}
