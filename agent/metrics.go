package agent

import (
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/meters"
)

// Collector gives the agent's metrics to a program that embeds it and has a
// Prometheus registry of its own. An agent's /metrics shows the same, with
// those of its process. A scrape does not wait for the loop.
func (a *Agent) Collector() meters.Collector {
	return meters.NewCollector(a.meters, a.counts, metricSource{a})
}

// metricSource is the agent as its metrics see it.
type metricSource struct{ a *Agent }

func (s metricSource) Now() time.Duration      { return s.a.cfg.Clock() }
func (s metricSource) Status() api.Status      { return s.a.Status() }
func (s metricSource) Members() []api.Member   { return s.a.Members() }
func (s metricSource) LastTurn() time.Duration { return time.Duration(s.a.lastTurn.Load()) }
func (s metricSource) HeardAt() time.Duration {
	return time.Duration(s.a.main.snapshots.heardAt.Load())
}

func (s metricSource) FrozenFor(now time.Duration) time.Duration { return s.a.frozen(now) }

func (s metricSource) Elections() (all []api.Status) {
	for _, at := range s.a.otherLocals() {
		all = append(all, at.snapshots.read())
	}
	return all
}

// meter notes what a step changed.
func (l *life) meter(now time.Duration, v *member.View) {
	l.meters.NoteGoose(now, v.Leased || !v.Goose.IsZero(), v.Lapses)
	if n := l.node(); n != nil {
		l.meters.NotePromise(n.Promise().End, n.PromisedAt(now))
	}
}

// postMeters gives the metrics what only the loop knows.
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

// contacts are what a leader knows of the agents in view.
func (l *life) contacts() []election.Contact {
	if l.node() == nil {
		return nil
	}
	return l.node().Contacts(nil)
}
