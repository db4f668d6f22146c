package member

import (
	"time"

	"duckduckgoose/agent/election"
)

// worthTelling is the shortest pause of its loop that a voter tells the goose of.
const worthTelling = 5 * time.Millisecond

// notePause measures how late this turn is: the loop was to wake up at dueAt.
func (m *Member) notePause(now time.Duration) {
	late := now - m.dueAt
	if m.dueAt == 0 || late <= 0 || late < worthTelling && !m.set.AutoLease {
		return
	}
	for _, e := range m.elections {
		if e.pacer != nil {
			e.pacer.paused(now, late)
		}
		if late >= worthTelling {
			e.pause = max(e.pause, late)
		}
	}
}

// tellPause puts this agent's longest pause since the last ack into an ack.
func (e *Election) tellPause(msg *election.Message) {
	if msg.Kind == election.HeartbeatAck {
		msg.Pause, e.pause = min(e.pause, unpausable).Truncate(time.Millisecond), 0
	}
}

// measure shows the pacer what a step has sent and received, and what it did to the lease
// that was.
func (p *pacer) measure(now time.Duration, fx *election.Effects, was, lease election.Lease) {
	for i := range fx.Send {
		if m := &fx.Send[i]; m.Kind == election.Heartbeat {
			p.beat(now, m.To, m.Round)
		}
	}
	if fx.Sampled {
		p.ack(now, &fx.Sample)
	}
	if was.Token == lease.Token && was.Until < lease.Until {
		p.renewed(was, was.Until-now)
	}
}

// keepPace chooses the lease and the heartbeat (--lease auto) while this agent leads.
// A lead begins with the lease of the settings, or a longer one that the flock has; a
// planned hand-over keeps the lease that the former goose had chosen.
func (e *Election) keepPace(now time.Duration) {
	if !e.m.set.AutoLease || e.node == nil {
		return
	}
	if e.node.Role() != election.Leader || e.node.HandingOver() {
		e.pacer = nil
		return
	}
	if e.pacer != nil && !e.pacer.due {
		return
	}
	rec := e.node.Record()
	if e.pacer == nil || e.pacer.term != rec.Term {
		from := e.node.Pace()
		if heard := e.node.HeardLease(); e.node.Succeeded() || heard > from.Lease {
			from.Lease = heard
		}
		e.pacer = newPacer(now, rec.Term, from)
		e.step(e.pacer.pace())
	}
	if was := e.pacer.pace(); e.pacer.choose(now, e.m.id, &rec.Config) {
		e.m.host.Tell(Event{Kind: EventLease, Election: e.name, Was: was, Pace: e.pacer.pace(), Why: e.pacer.why})
		e.step(e.pacer.pace())
	}
}

// span returns by how long a lease this agent waits for others: its own, or a longer one
// that is in force.
func (e *Election) span() time.Duration {
	if e.node == nil {
		return e.m.set.Lease
	}
	return e.node.Longest()
}

// span is that of the default election.
func (m *Member) span() time.Duration { return m.Default().span() }
