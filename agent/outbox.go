package agent

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// ackSlack is what an ack waits beyond the moment at which the next heartbeat to
// the same agent is due: timers fire late.
const ackSlack = 2 * time.Millisecond

// parcelsKept is how many agents' parcels are kept for their next messages. Anybody
// may ask this agent something, and be answered; more are forgotten when they have left.
const parcelsKept = 64

// outbox gathers what the elections have to say in a turn, so that all that goes
// to one agent shares a datagram. An ack that is not urgent waits for the next
// heartbeat that goes the same way, if this agent sends any, at most a heartbeat.
type outbox struct {
	heartbeat time.Duration
	parcels   []parcel
}

// parcel is what waits for one agent.
type parcel struct {
	to       election.ID
	messages []wire.Message // while an ack waits, its Held is since when
	urgent   bool
	until    time.Duration // how long the acks wait
	beatAt   time.Duration // when a heartbeat last went there
}

func (o *outbox) of(to election.ID) *parcel {
	for i := range o.parcels {
		if o.parcels[i].to == to {
			return &o.parcels[i]
		}
	}
	o.parcels = append(o.parcels, parcel{to: to})
	return &o.parcels[len(o.parcels)-1]
}

// add puts a message in; patient: it may wait.
func (o *outbox) add(now time.Duration, to election.ID, m wire.Message, patient bool) {
	p := o.of(to)
	if m.Kind == election.Heartbeat {
		p.beatAt = now
	}
	if m.Kind == election.HeartbeatAck {
		m.Held = now
	}
	next := p.beatAt + o.heartbeat + ackSlack
	if !patient || p.beatAt == 0 || next <= now {
		p.urgent = true
	}
	if len(p.messages) == 0 {
		p.until = min(next, now+o.heartbeat)
	}
	p.messages = append(p.messages, m)
}

// restUntil gives when something that waits must go, at the latest at.
func (o *outbox) restUntil(at time.Duration) time.Duration {
	for i := range o.parcels {
		if p := &o.parcels[i]; len(p.messages) > 0 {
			at = min(at, p.until)
		}
	}
	return at
}

// post sends what waits no longer.
func (l *life) post() {
	now := l.now()
	for i := range l.outbox.parcels {
		p := &l.outbox.parcels[i]
		if len(p.messages) == 0 || !p.urgent && now < p.until {
			continue
		}
		l.sendParcel(p, now)
		p.messages, p.urgent = p.messages[:0], false
	}
	if len(l.outbox.parcels) > parcelsKept {
		l.outbox.parcels = slices.DeleteFunc(l.outbox.parcels, func(p parcel) bool {
			return len(p.messages) == 0 && now-p.beatAt > l.outbox.heartbeat+ackSlack
		})
	}
}

func (l *life) sendParcel(p *parcel, now time.Duration) {
	addr, ok := l.book.Addr(p.to)
	if !ok {
		l.noAddress.Add(uint64(len(p.messages)))
		return
	}
	for i := range p.messages {
		if m := &p.messages[i]; m.Kind == election.HeartbeatAck {
			m.Held = max(now-m.Held, 0).Truncate(time.Millisecond)
		}
	}
	f := &l.out
	f.Founding.Kind = 0
	f.To = p.to
	for rest := p.messages; len(rest) > 0; {
		f.Messages, f.FlockID = rest, rest[0].FlockID
		taken := l.sendFrame(f, addr)
		rest = rest[taken:]
	}
	f.Messages = nil
}

// sendFrame stamps, encodes, seals and sends as many of the messages as fit a
// datagram, and tells how many; one that cannot be sent counts as taken.
func (l *life) sendFrame(f *wire.Frame, addr netip.AddrPort) (taken int) {
	l.seq++
	f.From, f.Start, f.Life, f.Seq = l.id, l.start, l.number, l.seq
	body, taken, err := wire.AppendMost(l.body[:0], f)
	if err != nil {
		l.notSent(addr, err)
		return max(taken, 1)
	}
	sealed, err := l.keys.Load().Seal(l.datagram[:0], body)
	if err != nil {
		l.notSent(addr, err)
		return taken
	}
	l.sent.Add(1)
	l.sentBytes.Add(uint64(len(sealed)))
	l.counts.traffic.count(trafficSent, f, len(sealed))
	if err := l.net.WriteTo(sealed, addr); err != nil {
		l.notSent(addr, err)
	}
	return taken
}

func (l *life) notSent(addr netip.AddrPort, err error) {
	l.sendErrors.Add(1)
	l.quiet.warn("send "+addr.String(), "datagram not sent", "to", addr, "error", err)
}
