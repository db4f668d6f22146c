package member

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

const (
	// ackSlack is how long an ack waits, at least, past the moment when the next heartbeat to
	// the same agent is due: timers are late.
	ackSlack = 2 * time.Millisecond
	// queuesKept is how many empty queues are kept. Any agent may ask this one something;
	// further queues are dropped once the answer has left.
	queuesKept = 64
)

// outbox collects the messages of a turn, so that all messages to one agent share a
// datagram. An ack that is not urgent waits for the next heartbeat to the same agent, if
// this agent sends any.
type outbox struct {
	heartbeat time.Duration
	queues    []sendQueue
}

// sendQueue is the queue for one agent.
type sendQueue struct {
	to       election.ID
	messages []wire.Message // while one that has a Held waits, that is since when it is held
	urgent   bool
	until    time.Duration // how long the acks wait
	beatAt   time.Duration // when a heartbeat last went there
}

// slack is ackSlack, or longer: heartbeats wait for those of the goose (see Member.beat).
func (o *outbox) slack() time.Duration { return max(ackSlack, o.heartbeat/8) }

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
func (o *outbox) add(now time.Duration, number uint64, msg *election.Message, patient bool) {
	q := o.of(msg.To)
	if msg.Kind == election.Heartbeat {
		q.beatAt = now
	}
	next := q.beatAt + o.heartbeat + o.slack()
	if !patient || q.beatAt == 0 || next <= now {
		q.urgent = true
	}
	if len(q.messages) == 0 {
		q.until = next
	}
	q.messages = append(q.messages, wire.Message{})
	queued := &q.messages[len(q.messages)-1]
	queued.Election, queued.Message = number, *msg
	if msg.Kind == election.HeartbeatAck || msg.Kind == election.Announce {
		queued.Held = now - msg.Held
	}
}

// restUntil returns when a waiting message must leave, at the latest at.
func (o *outbox) restUntil(at time.Duration) time.Duration {
	for i := range o.queues {
		if q := &o.queues[i]; len(q.messages) > 0 {
			at = min(at, q.until)
		}
	}
	return at
}

// sendQueued sends what waits no longer.
func (m *Member) sendQueued(now time.Duration) {
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
			return len(q.messages) == 0 && now-q.beatAt > o.heartbeat+o.slack()
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
		switch msg := &q.messages[i]; msg.Kind {
		case election.HeartbeatAck:
			msg.Held = max(now-msg.Held, 0).Truncate(time.Millisecond)
		case election.Announce:
			msg.Held = max(now-msg.Held, 0)
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
	if m.set.Keyless && !m.IsKnown(f.To) {
		m.host.Count("unanswered_strangers") // a forged sender address: our answer could flood a victim
		return max(len(f.Messages), 1)
	}
	m.Stamp(f)
	return m.host.Send(addr, f)
}

// Stamp sets a frame's sender, and the receiver's life that it is for (rule 11). Every
// datagram needs its own stamp (rule 10).
func (m *Member) Stamp(f *wire.Frame) {
	m.seq++
	f.From, f.Start, f.Life, f.Seq = m.id, m.state.Start, m.set.Life, m.seq
	f.ToLife = m.addresses.Life(f.To)
}
