package agent

import (
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/member"
)

// Collector is a prometheus.Collector.
type Collector = meters.Collector

// Collector returns the agent's metrics for a program that embeds it and has a
// Prometheus registry of its own. An agent's /metrics shows the same, with
// those of its process. A scrape does not wait for the loop.
func (a *Agent) Collector() Collector {
	return meters.NewCollector(a.meters, a.counts, metricSource{a})
}

// metricSource is the agent as its metrics see it.
type metricSource struct{ *Agent }

func (s metricSource) Now() time.Duration      { return s.cfg.Clock() }
func (s metricSource) LastTurn() time.Duration { return time.Duration(s.lastTurn.Load()) }
func (s metricSource) HeardAt() time.Duration {
	return time.Duration(s.main.snapshots.HeardAt.Load())
}

func (s metricSource) FrozenFor(now time.Duration) time.Duration { return s.frozen(now) }

func (s metricSource) Holders(election string) int { return s.localOf(election).Holders().Attached }

func (s metricSource) Elections() (all []api.Status) {
	for _, at := range s.otherLocals() {
		all = append(all, at.snapshots.Read())
	}
	return all
}

// meter updates the meters after a step.
func (l *life) meter(now time.Duration, v *member.View) {
	l.meters.NoteGoose(now, v.Leased || !v.Goose.IsZero(), v.Lapses)
	if n := l.node(); n != nil {
		l.meters.NotePromise(n.Promise().End, n.PromisedAt(now))
	}
}

// postMeters updates what only the loop knows.
func (l *life) postMeters(now time.Duration) {
	l.paths.Roll(now, l.cfg.Heartbeat)
	l.meters.NoteHealth(l.gossip.HealthScore())
	var list []meters.Path
	for _, c := range l.contacts() {
		m := meters.Path{Name: l.nameOf(c.ID), ID: c.ID.String(), RTT: c.RTT, Loss: l.paths.Loss(c.ID)}
		if p, ok := l.peerAlive(c.ID); ok && m.RTT == 0 {
			m.RTT = p.RTT
		}
		list = append(list, m)
	}
	l.meters.NotePaths(list)
}

// contacts returns what a leader knows of the paths to other agents.
func (l *life) contacts() []election.Contact {
	if l.node() == nil {
		return nil
	}
	return l.node().Contacts(nil)
}
