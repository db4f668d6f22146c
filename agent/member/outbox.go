package member

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

const (
	// ackSlack is how long an ack waits beyond the moment at which the next
	// heartbeat to the same agent is due: timers fire late.
	ackSlack = 2 * time.Millisecond
	// queuesKept is how many agents' queues are kept when they are empty.
	// Anybody may ask this agent something and get an answer; the queues of
	// those that come on top are dropped once the answer has left.
	queuesKept = 64
)

// outbox collects what the elections have to say in a turn, so that all that
// goes to one agent shares a datagram. An ack that is not urgent waits for the
// next heartbeat to the same agent, if this agent sends any, and at most a
// heartbeat's time.
type outbox struct {
	heartbeat time.Duration
	queues    []sendQueue
}

// sendQueue is what waits for one agent.
type sendQueue struct {
	to       election.ID
	messages []wire.Message // while an ack waits, its Held is when it was made
	urgent   bool
	until    time.Duration // how long the acks wait
	beatAt   time.Duration // when a heartbeat last went there
}

func (o *outbox) of(to election.ID) *sendQueue {
	for i := range o.queues {
		if o.queues[i].to == to {
			return &o.queues[i]
		}
	}
	o.queues = append(o.queues, sendQueue{to: to})
	return &o.queues[len(o.queues)-1]
}

// add queues a message; patient: it may wait.
func (o *outbox) add(now time.Duration, to election.ID, msg wire.Message, patient bool) {
	q := o.of(to)
	switch msg.Kind {
	case election.Heartbeat:
		q.beatAt = now
	case election.HeartbeatAck:
		msg.Held = now
	}
	next := q.beatAt + o.heartbeat + ackSlack
	if !patient || q.beatAt == 0 || next <= now {
		q.urgent = true
	}
	if len(q.messages) == 0 {
		q.until = min(next, now+o.heartbeat)
	}
	q.messages = append(q.messages, msg)
}

// restUntil gives when something that waits must go, at the latest at.
func (o *outbox) restUntil(at time.Duration) time.Duration {
	for i := range o.queues {
		if q := &o.queues[i]; len(q.messages) > 0 {
			at = min(at, q.until)
		}
	}
	return at
}

// sendQueued sends what waits no longer.
func (m *Member) sendQueued() {
	now := m.host.Now()
	o := &m.outbox
	for i := range o.queues {
		q := &o.queues[i]
		if len(q.messages) == 0 || !q.urgent && now < q.until {
			continue
		}
		m.sendTo(q, now)
		q.messages, q.urgent = q.messages[:0], false
	}
	if len(o.queues) > queuesKept {
		o.queues = slices.DeleteFunc(o.queues, func(q sendQueue) bool {
			return len(q.messages) == 0 && now-q.beatAt > o.heartbeat+ackSlack
		})
	}
}

func (m *Member) sendTo(q *sendQueue, now time.Duration) {
	addr, ok := m.addresses.Addr(q.to)
	if !ok {
		for range q.messages {
			m.host.Count("no_address")
		}
		return
	}
	for i := range q.messages {
		if msg := &q.messages[i]; msg.Kind == election.HeartbeatAck {
			msg.Held = max(now-msg.Held, 0).Truncate(time.Millisecond)
		}
	}
	f := &m.frame
	f.To = q.to
	for rest := q.messages; len(rest) > 0; {
		f.Messages, f.FlockID = rest, rest[0].FlockID
		rest = rest[m.sendFrame(f, addr):]
	}
	f.Messages = nil
}

func (m *Member) sendFrame(f *wire.Frame, addr netip.AddrPort) (taken int) {
	m.Stamp(f)
	return m.host.Send(addr, f)
}

// Stamp says in a frame whom it is from, and which life of the receiver it is
// for (rule 11). Every datagram needs a stamp of its own (rule 10).
func (m *Member) Stamp(f *wire.Frame) {
	m.seq++
	f.From, f.Start, f.Life, f.Seq = m.id, m.state.Start, m.set.Life, m.seq
	f.ToLife = m.addresses.Life(f.To)
}
