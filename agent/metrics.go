package agent

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"duckduckgoose/agent/api"
)

// registry makes the Prometheus registry of one scrape's view of this agent.
// Nothing is registered globally: a program may embed several agents.
func (a *Agent) registry() *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{a})
	return r
}

type collector struct{ a *Agent }

var gauges = []struct {
	name, help string
	of         func(a *Agent, s Status) float64
}{
	{"is_goose", "1 while this agent is the goose inside its lease", func(_ *Agent, s Status) float64 { return flag(s.Role == api.RoleGoose) }},
	{"has_goose", "1 while this agent knows a live goose", func(_ *Agent, s Status) float64 { return flag(s.Goose != nil) }},
	{"term", "this agent's term", func(_ *Agent, s Status) float64 { return float64(s.Term) }},
	{"token", "fencing token of the goose this agent knows, 0 for none", func(_ *Agent, s Status) float64 { return float64(s.Token) }},
	{"lease_remaining_seconds", "what is left of this agent's own lease", func(_ *Agent, s Status) float64 { return s.Lease.RemainingMS / 1000 }},
	{"voters", "voters in this agent's config", func(_ *Agent, s Status) float64 { return float64(len(s.Config.Voters)) }},
	{"members_alive", "agents alive by gossip, this one included", func(_ *Agent, s Status) float64 { return float64(s.Alive) }},
	{"warnings", "warnings that status shows", func(_ *Agent, s Status) float64 { return float64(len(s.Warnings)) }},
	{"netem_active", "1 while fault rules are in force", func(_ *Agent, s Status) float64 { return flag(s.Netem != "") }},
	{"uptime_seconds", "since the process started", func(_ *Agent, s Status) float64 { return s.Uptime }},
	{"goroutines", "goroutines of the process", func(*Agent, Status) float64 { return float64(runtime.NumGoroutine()) }},
	{"save_seconds_last", "how long the last save to disk took", func(a *Agent, _ Status) float64 { return time.Duration(a.saves.last.Load()).Seconds() }},
	{"save_seconds_worst", "how long the slowest save to disk took", func(a *Agent, _ Status) float64 { return time.Duration(a.saves.worst.Load()).Seconds() }},
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe says nothing: which counters there are shows as things happen.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect gives the metrics as they are now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.a.Status()
	for _, g := range gauges {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("ddgoose_"+g.name, g.help, nil, nil), prometheus.GaugeValue, g.of(c.a, s))
	}
	dropped := prometheus.NewDesc("ddgoose_dropped_total", "datagrams dropped, by reason", []string{"reason"}, nil)
	for name, n := range s.Counters {
		if reason, ok := strings.CutPrefix(name, "dropped_"); ok {
			out <- prometheus.MustNewConstMetric(dropped, prometheus.CounterValue, float64(n), reason)
			continue
		}
		desc := prometheus.NewDesc("ddgoose_"+name+"_total", "see counters in ddgoose status --json", nil, nil)
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n))
	}
}
