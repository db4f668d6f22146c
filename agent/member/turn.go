package member

import (
	"time"

	"duckduckgoose/agent/election"
)

// lookEvery is the interval of look.
const lookEvery = 200 * time.Millisecond

// reviewEvery is the pause between two checks which observers in view do not answer, if
// others wait for their places.
const reviewEvery = 5 * time.Second

// lookPace is the pause, per member, between looks that changes of members bring about:
// looks take the same share of time in a flock of any size.
const lookPace = 200 * time.Microsecond

// crowdTells is the time for each agent of a large flock in which one of them tells
// gossip that it has a new config: all get a new one when the goose changes.
const crowdTells = 50 * time.Millisecond

// Turn judges timeouts, continues whatever takes time, and carries out the effects of
// all inputs since the last turn. The host first passes on every waiting datagram (rule
// 17). done: this life has ended.
func (m *Member) Turn(now time.Duration) (done bool, err error) {
	m.notePause(now)
	m.turnedAt = now
	late := m.beat(now) || now >= m.restAt
	if late {
		for _, e := range m.elections {
			if e.due(now) {
				e.stepAt(now, election.Tick{})
			}
		}
		m.beat(now) // this agent may be the goose
	}
	if now >= m.lookAt {
		if err := m.look(now); err != nil {
			return false, err
		}
		now = m.host.Now() // the look may have waited for the disk
	}
	if m.handovers > 0 || m.stop.started {
		m.progressStop(now)
	}
	if late {
		m.restAt = now + idleWake
		for _, e := range m.elections {
			if e.lapseAt > 0 && now >= e.lapseAt { // time alone has changed what readers see
				e.publish(now)
			}
			m.restAt = e.restUntil(now, m.restAt)
		}
	}
	return m.stop.done, m.act(now)
}

// beat has the elections that this agent leads send their heartbeats when one of the
// default election's goose has come, or has left if this agent is that goose. So those of
// all agents come together, and few turns serve them. A late round is left to a Tick. It
// reports whether it did: then every election's next timeout has moved.
func (m *Member) beat(now time.Duration) bool {
	if !m.beats {
		return false
	}
	m.beats = false
	for _, e := range m.elections[1:] {
		if e.node.Role() == election.Leader && now < e.wakeAt+m.set.Heartbeat {
			e.stepAt(now, election.Beat{})
		}
	}
	return true
}

// WakeAt gives when the next turn is due, if nothing comes in before. patience
// is how long a look at what no message or timeout brings up may wait for a turn
// that comes anyway.
func (m *Member) WakeAt(patience time.Duration) time.Duration {
	if m.founder != nil {
		patience = 0 // nothing else wakes it
	}
	at := min(m.lookAt+patience, m.restAt)
	at = m.outbox.restUntil(at)
	if m.stop.started {
		at = min(at, m.stop.until)
	}
	if m.turnedAt > 0 {
		m.dueAt = max(at, m.turnedAt)
	}
	return at
}

// Slept reports that the machine slept: leases are dropped and must be earned again
// (rule 17).
func (m *Member) Slept() {
	m.dueAt = 0
	for _, e := range m.elections {
		if e.node != nil {
			e.step(election.ClockJump{})
		}
	}
}

// LookNow makes the next turn look at everything.
func (m *Member) LookNow() { m.lookAt, m.lookAll = 0, true }

// lookSoon is LookNow for what comes in great numbers when many agents start at once.
func (m *Member) lookSoon() {
	m.lookAt, m.lookAll = min(m.lookAt, m.lookedAt+time.Duration(len(m.peers))*lookPace), true
}

// Looks counts how often the member has looked at everything. A host that shows further
// things refreshes them when this has grown.
func (m *Member) Looks() uint64 { return m.looks }

// look handles what no message or timeout of a node brings up: founding, voters, leaves,
// the other elections.
func (m *Member) look(now time.Duration) error {
	all := m.lookAll
	m.lookAt, m.lookedAt, m.lookAll = now+lookEvery, now, false
	m.looks++
	if err := m.seek(now); err != nil {
		return err
	}
	m.tellChanges(now)
	if m.node() == nil {
		if m.founder != nil {
			if at, due := m.founder.WakeAt(); due {
				m.lookAt = min(m.lookAt, at)
			}
		}
		return nil
	}
	m.showFounders()
	m.showNewerConfig(now)
	m.forgetLeavers(now)
	m.tendTable(now)
	m.learnContestants(now)
	m.seat(m.treesTerm()) // other elections pass news on though the default one has none
	own := m.node().ConfigID()
	for _, e := range m.elections {
		if !all && e.Calm(now) {
			e.goosedAt, e.asks = now, 0
		} else {
			e.look(now, own)
		}
	}
	m.willsDue = true
	m.spreadElections(now)
	if err := m.progressLeave(now); err != nil {
		return err
	}
	m.steerVoters(now)
	m.progressForced()
	return nil
}

// look is the part of a look that each election has of its own. config is the default
// election's.
func (e *Election) look(now time.Duration, config election.ConfigID) {
	e.seekGoose(now)
	if e.number != 0 {
		e.takeCare(now)
		e.followVoters(now)
	}
	at := viewed{config, e.node.ConfigID()}
	waited, review := e.waiting, e.waiting && now >= e.reviewAt
	if at != e.viewed || e.roomy || review {
		e.viewed = at
		e.keepInView(review)
	}
	if review || !waited || e.node.Role() != election.Leader {
		e.reviewAt = now + reviewEvery
	}
	e.yieldToFitter(now)
	e.calm = !e.shown.goose.IsZero() && e.fitness == 0 && e.local.Holders().Attached == 0
}

// Calm reports whether a look at the election finds nothing to do: this agent only follows
// its goose, nothing here works for it or waits to, and readers see what they saw at the last
// look.
func (e *Election) Calm(now time.Duration) bool { return e.calm && now < e.lapseAt }

// Republish shows readers the elections again: the host's own part of the view may have
// changed. all: also those that are calm.
func (m *Member) Republish(now time.Duration, all bool) {
	for _, e := range m.elections {
		if all || !e.Calm(now) {
			e.renewRecord()
			e.show(now)
		}
	}
}

// tellChanges tells the other agents what has changed about this one.
func (m *Member) tellChanges(now time.Duration) {
	holders := m.Default().local.Holders()
	tell := told{work: holders.haveWork(), health: holders.Health, freeze: m.freezeNotice(now), config: m.shownConfig()}
	if m.relay.crowd && !m.node().IsVoter() && now < m.toldAt+time.Duration(m.alive)*crowdTells {
		tell.config = m.told.config // a new config concerns all agents at once, and these are no voters
	}
	if tell != m.told {
		m.told, m.toldAt = tell, now
		m.tellGossip()
	}
}

// tellGossip tells the other agents about this one.
func (m *Member) tellGossip() { m.host.TellGossip(m.Meta()) }

// Meta returns what this agent says about itself by gossip.
func (m *Member) Meta() Meta {
	flock := m.FlockID()
	if bound, known := m.state.Record(); m.node() == nil && known && m.founder == nil {
		flock = bound.FlockID
	}
	return Meta{
		Name: m.set.Name, FlockID: flock, Start: m.state.Start, Life: m.set.Life, Priority: m.set.Priority,
		Expect: uint8(m.set.Expect), Observer: m.set.Observer, Tags: m.set.Tags, Version: m.set.Version,
		Accepted: m.founder != nil && m.founder.Bound(), Left: m.gone, Work: m.told.work, Health: m.told.health,
		PreemptAfter: m.set.PreemptAfter, Freeze: m.freezeNotice(m.host.Now()), Elections: m.contestsHash,
		Config: m.shownConfig(), Relays: true, RelaysAll: true,
	}
}
