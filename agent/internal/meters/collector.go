package meters

import (
	"cmp"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"duckduckgoose/agent/api"
)

// Source is the agent as a [Collector] needs it. No method may wait for the
// agent's loop.
type Source interface {
	Now() time.Duration // the boot clock
	Status() api.Status
	Elections() []api.Status // beside the default one
	Members() []api.Member
	FrozenFor(now time.Duration) time.Duration // what is left of a freeze
	Holders(election string) int               // sessions that act for the goose here, or wait to
	LastTurn() time.Duration                   // boot clock of the loop's last turn
	HeardAt() time.Duration                    // boot clock of the last heartbeat that named a goose; 0: none
}

// Collector shows an agent's metrics, ddgoose_ and a name each, to Prometheus.
type Collector struct {
	meters *Meters
	counts *Counters
	source Source
}

var _ prometheus.Collector = Collector{}

// NewCollector makes a collector for one agent.
func NewCollector(m *Meters, counts *Counters, source Source) Collector {
	return Collector{m, counts, source}
}

// gauges exports what status and the meters show.
func (e *exposition) gauges(c *Collector, s *api.Status, now time.Duration) {
	e.gauge("is_goose", "1 while this agent is the goose inside its lease", flag(s.Role == api.RoleGoose))
	e.gauge("has_goose", "1 while this agent knows a live goose", flag(s.Goose != nil))
	e.gauge("is_voter", "1 while this agent is a voter of its config", flag(s.Voter))
	e.gauge("term", "this agent's term", float64(s.Term))
	e.gauge("token", "fencing token of the goose this agent knows, 0 for none", float64(s.Token))
	e.gauge("lease_remaining_seconds", "what is left of this agent's own lease", s.Lease.RemainingMS/1000)
	e.gauge("lease_length_seconds", "the length of a whole lease now", s.LeaseMS/1000)
	e.gauge("promise_remaining_seconds", "for how long this agent has promised to elect nobody but the goose it heard",
		max(0, c.meters.PromiseEnd()-now).Seconds())
	if at := cmp.Or(time.Duration(c.meters.promisedAt.Load()), c.source.HeardAt()); at != 0 {
		e.gauge("promise_age_seconds", "since the majority's promises that a leader counts on, or since the last heartbeat that a duck promised by",
			max(0, now-at).Seconds())
	}
	e.gauge("voters", "voters in this agent's config", float64(len(s.Config.Voters)))
	e.gauge("warnings", "warnings that status shows", float64(len(s.Warnings)))
	e.gauge("freeze_remaining_seconds", "for how long planned changes of the goose are still blocked, 0 when the flock is not frozen",
		c.source.FrozenFor(now).Seconds())
	e.gauge("holders", "sessions beside this agent that act for the goose, or wait to", float64(c.source.Holders("")))
	if s.Well != nil {
		e.gauge("well", "1 while the check of this agent's work passes", flag(*s.Well))
	}
	e.gauge("netem_active", "1 while fault rules are in force", flag(s.Netem != ""))
	e.gauge("gossip_health_score", "memberlist's judgement of this agent's own health, 0 for well, growing while its probes fail",
		float64(c.meters.healthScore.Load()))
	e.gauge("loop_age_seconds", "since the agent's loop last turned; it turns several times a second", max(0, now-c.source.LastTurn()).Seconds())
	e.gauge("uptime_seconds", "since the process started", s.Uptime)
	e.gauge("goroutines", "goroutines of the process", float64(runtime.NumGoroutine()))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe sends nothing: counters get their names when they are first used.
func (Collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the present metrics.
func (c Collector) Collect(out chan<- prometheus.Metric) {
	now, s := c.source.Now(), c.source.Status()
	e := exposition{out: out, names: map[string]bool{}}
	e.gauge("build_info", "always 1; the versions of what runs", 1, "version", label(s.Version), "goversion", runtime.Version())
	e.gauges(&c, &s, now)
	states := map[string]int{api.StateAlive: 0, api.StateSuspect: 0, api.StateFailed: 0, api.StateLeft: 0}
	for _, m := range c.source.Members() {
		states[m.State]++
	}
	for _, state := range slices.Sorted(maps.Keys(states)) {
		e.gauge("members", "agents by gossip, this one included, by state; failed ones for a day", float64(states[state]), "state", state)
	}
	if paths := c.meters.paths.Load(); paths != nil {
		for _, p := range *paths {
			who := []string{"peer", label(p.Name), "id", p.ID}
			if p.RTT > 0 {
				e.gauge("peer_rtt_seconds", "round trip to an agent that votes or may", p.RTT.Seconds(), who...)
			}
			if !math.IsNaN(p.Loss) {
				e.gauge("peer_loss_ratio", "share of lost heartbeats in the last 10 s or more: at a leader of those sent to the peer and not acknowledged, else of the leader's", p.Loss, who...)
			}
		}
	}
	for _, of := range c.source.Elections() {
		e.election(&of)
		e.gauge("election_holders", "sessions beside this agent that act for the goose of an election, or wait to", float64(c.source.Holders(of.Election)), "election", of.Election)
	}
	c.meters.saves.Collect(out)
	e.counter("leaderless_seconds_total", "for how long this agent knew no live goose, in all", c.meters.leaderless(now).Seconds())
	e.traffic(&c.counts.Traffic, s.Counters)
	e.counters(s.Counters)
}

// exposition writes metrics and remembers which names are used.
type exposition struct {
	out   chan<- prometheus.Metric
	names map[string]bool
}

func (e *exposition) gauge(name, help string, v float64, labels ...string) {
	e.metric(prometheus.GaugeValue, name, help, v, labels)
}

func (e *exposition) counter(name, help string, v float64, labels ...string) {
	e.metric(prometheus.CounterValue, name, help, v, labels)
}

// metric takes labels as names and values in turn.
func (e *exposition) metric(kind prometheus.ValueType, name, help string, v float64, labels []string) {
	e.names[name] = true
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	e.out <- prometheus.MustNewConstMetric(prometheus.NewDesc("ddgoose_"+name, help, names, nil), kind, v, values...)
}

// election exports an election beside the default one.
func (e *exposition) election(s *api.Status) {
	of := []string{"election", s.Election}
	e.gauge("election_is_goose", "1 while this agent is the goose of an election of --election", flag(s.Role == api.RoleGoose), of...)
	e.gauge("election_has_goose", "1 while this agent knows a live goose of an election", flag(s.Goose != nil), of...)
	e.gauge("election_term", "this agent's term in an election", float64(s.Term), of...)
	e.gauge("election_token", "fencing token of the goose that this agent knows of an election, 0 for none", float64(s.Token), of...)
	e.gauge("election_lease_remaining_seconds", "what is left of this agent's own lease in an election", s.Lease.RemainingMS/1000, of...)
}

// traffic exports what was sent and received, by kind; gossip has counters of its own.
func (e *exposition) traffic(t *Traffic, counts map[string]uint64) {
	datagrams := func(direction, kind string, n, bytes uint64) {
		e.counter("datagrams_total", "datagrams, by direction and kind", float64(n), "direction", direction, "kind", kind)
		e.counter("datagram_bytes_total", "bytes of datagrams, by direction and kind", float64(bytes), "direction", direction, "kind", kind)
	}
	for d, direction := range [directions]string{Sent: "sent", Received: "received"} {
		for kind := range trafficKinds {
			datagrams(direction, trafficName(kind), t[d][kind].datagrams.Load(), t[d][kind].bytes.Load())
		}
		datagrams(direction, "gossip", counts["gossip_"+direction], counts["gossip_bytes_"+direction])
	}
}

// shownAlready are the counters that traffic exports, by kind.
var shownAlready = []string{
	"datagrams_sent", "bytes_sent", "datagrams_received", "bytes_received",
	"gossip_sent", "gossip_bytes_sent", "gossip_received", "gossip_bytes_received",
}

// families are counters whose names differ at the end: the end becomes a label.
var families = []struct{ prefix, name, label, help string }{
	{"dropped_", "dropped_total", "reason", "what came and was dropped, by reason"},
	{"refused_stream_", "refused_streams_total", "reason", "streams refused, by reason"},
	{"netem_", "netem_faults_total", "fault", "how often a fault rule struck, by fault"},
}

// elections are the counters of the election's events.
var elections = map[string]struct{ name, label, value, help string }{
	"election_campaigns":            {"campaigns_total", "", "", "campaigns of this agent for votes"},
	"election_won":                  {"elections_total", "outcome", "won", electionsHelp},
	"election_stood_down":           {"elections_total", "outcome", "stood_down", electionsHelp},
	"election_deposed":              {"leads_ended_total", "cause", "deposed", leadsHelp},
	"election_not_quorate":          {"leads_ended_total", "cause", "not_quorate", leadsHelp},
	"election_resigned":             {"leads_ended_total", "cause", "resigned", leadsHelp},
	"election_votes_given":          {"votes_given_total", "", "", "votes given to others"},
	"election_configs_installed":    {"configs_installed_total", "", "", "newer sets of voters taken from others"},
	"election_voter_changes":        {"voter_changes_total", "", "", "changes of the voters made here as the goose"},
	"election_second_leaders":       {"second_leaders_total", "", "", "claims of another agent to lead this agent's own term: a copied disk"},
	"election_foreign_generations":  {"foreign_generations_total", "", "", "messages from another recovery of this flock"},
	"election_implausible_messages": {"implausible_messages_total", "", "", "messages ignored because their term, version or generation is too far ahead"},
}

const (
	electionsHelp = "asking for votes or whether there would be any, by outcome at this agent"
	leadsHelp     = "leads of this agent that ended otherwise than by a hand-over, by cause"
)

// counters exports all counters. Those of the election are exported as 0 before
// their first event, so that the first event is a change.
func (e *exposition) counters(counts map[string]uint64) {
	for _, name := range slices.Sorted(maps.Keys(elections)) {
		c := elections[name]
		var labels []string
		if c.label != "" {
			labels = []string{c.label, c.value}
		}
		e.counter(c.name, c.help, float64(counts[name]), labels...)
	}
others:
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if _, told := elections[name]; told || slices.Contains(shownAlready, name) {
			continue
		}
		for _, f := range families {
			if value, ok := strings.CutPrefix(name, f.prefix); ok {
				e.counter(f.name, f.help, float64(counts[name]), f.label, value)
				continue others
			}
		}
		if !e.names[name+"_total"] { // the program's own may be named as it likes
			e.counter(name+"_total", name+" among the counters of ddgoose status --json", float64(counts[name]))
		}
	}
}

// label escapes a word from the network so that Prometheus takes it.
func label(s string) string {
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}
