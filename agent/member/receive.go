package member

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/founding"
	"duckduckgoose/wire"
)

// Receive handles one datagram. It reports whether the sender is believed: only then may
// the host use the rest of the frame.
//
// now is a moment after the datagram arrived: a promise from an earlier one could end before
// the goose's lease does. It may be a while ago: what is sent then counts as sent earlier than
// it is, which only shortens this agent's own leases.
func (m *Member) Receive(now time.Duration, f *wire.Frame, from netip.AddrPort) (believed bool, err error) {
	if !m.admit(now, f, from) {
		m.host.Count("dropped_identity")
		return false, nil
	}
	m.saw(now, f.From)
	if f.Founding.Kind != 0 {
		if err := m.receiveFounding(now, f.From, f.Founding); err != nil {
			return true, err
		}
	}
	if len(f.Messages) == 0 && !f.Packed() {
		return true, nil
	}
	if f.FlockID != m.FlockID() {
		if err := m.obeyFounding(f.FlockID); err != nil {
			return true, err
		}
		if f.FlockID != m.FlockID() {
			m.host.Count("dropped_flock")
			if !m.FlockID().IsZero() && !f.FlockID.IsZero() {
				m.host.Tell(Event{Kind: EventForeignFlock, Peer: f.From, Addr: from, FlockID: f.FlockID})
			}
			return true, nil
		}
	}
	m.believeFlock(f.From)
	m.frameAt = now
	f.Ahead(m.warm)
	return true, f.Each(m.receiveMessage)
}

// warm brings into the processor's cache what a message of an election will need: of 100
// elections it holds little from one heartbeat to the next.
func (m *Member) warm(number uint64) {
	if e := m.numbered(number); e != nil && e.node != nil {
		m.warmth += e.node.Warm() + uint64(e.wakeAt) + e.version
	}
}

// admit learns the sender's address, and reports whether to believe the sender (rule
// 10).
func (m *Member) admit(now time.Duration, f *wire.Frame, from netip.AddrPort) bool {
	v, before := m.addresses.Admit(now, f.From, f.Start, f.Life, f.Seq, from)
	switch {
	case v == isStale && f.Seq == WillSeq: // a will that comes after its agent's restart
	case v == isStale:
		m.host.Tell(Event{Kind: EventStale, Peer: f.From, Addr: from, Start: f.Start, Known: before.start})
	case v == isClone:
		m.host.Tell(Event{Kind: EventClone, Peer: f.From, Addr: from, Other: before.from})
	}
	return v == believed
}

func (m *Member) receiveMessage(msg *wire.Message) error {
	if msg.ToLife == 0 && m.namesNoLives(msg.From) {
		msg.ToLife = m.set.Life
	}
	if msg.Election != 0 {
		// It has not begun here, or the message is from before a recovery, when numbers
		// meant other elections.
		e := m.numbered(msg.Election)
		if e == nil || e.node.Generation() != msg.Generation {
			m.host.Count("dropped_election")
			return nil
		}
		m.host.Heard(msg.Election, &msg.Message)
		e.stepAt(m.frameAt, &msg.Message)
		e.endHeadStart(m.frameAt)
		return nil
	}
	m.host.Heard(0, &msg.Message)
	switch {
	case msg.Kind == election.Leave:
		m.receiveLeave(&msg.Message)
		return nil
	case msg.Kind == election.LeaveReply:
		return m.receiveLeaveReply(&msg.Message)
	case m.node() == nil:
		return nil
	}
	m.sightings.answered(&msg.Message)
	if m.lacksTable(&msg.Config, msg.From) {
		msg.Config = election.Config{}
	}
	m.Default().stepAt(m.frameAt, &msg.Message)
	if msg.Kind == election.Heartbeat {
		goose, _, heardAt := m.node().Heard()
		m.beats = m.beats || goose == msg.From && heardAt == m.frameAt
	}
	if msg.Kind == election.PreVoteRequest {
		m.tellGoose(&msg.Message)
	}
	return nil
}

// namesNoLives reports whether an agent is of the first release: its gossip has no
// config, and its frames name no life (rule 11). Its messages count as meant for this
// life; otherwise it could not lead while its flock is upgraded.
func (m *Member) namesNoLives(id election.ID) bool {
	p := m.live(id)
	return p != nil && p.Meta.FlockID == m.FlockID() && !p.Meta.Config.Known
}

func (m *Member) receiveFounding(now time.Duration, from election.ID, w wire.Founding) error {
	w.Set = slices.Clone(w.Set)
	switch {
	case m.founder != nil:
		return m.performFounding(m.founder.Receive(now, from, &w))
	case m.node() == nil && w.Attempt > m.state.Founding.Aborted:
		return nil
	case m.node() != nil && w.FlockID == m.FlockID():
		if w.Kind == wire.FoundAccept {
			m.Default().showConfig(from) // the flock is founded, and the sender does not know
		}
		return nil
	}
	// It belongs to another flock, or to an attempt that this agent has given up.
	if word, ok := founding.Elsewhere(m.id, from, &w); ok {
		m.sendFounding(&word)
	}
	return nil
}
