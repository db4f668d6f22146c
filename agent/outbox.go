package agent

import (
	"net/netip"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// outbox gathers what the elections have to say in a turn, so that all that goes
// to one agent shares a datagram.
type outbox struct {
	parcels []parcel
}

// parcel is what waits for one agent.
type parcel struct {
	to       election.ID
	messages []wire.Message
}

func (o *outbox) add(to election.ID, m wire.Message) {
	for i := range o.parcels {
		if p := &o.parcels[i]; p.to == to {
			p.messages = append(p.messages, m)
			return
		}
	}
	o.parcels = append(o.parcels, parcel{to: to, messages: []wire.Message{m}})
}

// post sends what waits.
func (l *life) post() {
	for i := range l.outbox.parcels {
		p := &l.outbox.parcels[i]
		if len(p.messages) == 0 {
			continue
		}
		l.sendParcel(p)
		p.messages = p.messages[:0]
	}
}

func (l *life) sendParcel(p *parcel) {
	addr, ok := l.book.Addr(p.to)
	if !ok {
		l.noAddress.Add(uint64(len(p.messages)))
		return
	}
	f := &l.out
	f.Founding.Kind = 0
	f.To = p.to
	for rest := p.messages; len(rest) > 0; {
		n := min(len(rest), wire.MaxMessages)
		f.Messages = append(f.Messages[:0], rest[:n]...)
		f.FlockID = rest[0].FlockID
		l.sendFrame(f, addr)
		rest = rest[n:]
	}
}

// sendFrame stamps, encodes, seals and sends.
func (l *life) sendFrame(f *wire.Frame, addr netip.AddrPort) {
	l.seq++
	f.From, f.Start, f.Life, f.Seq = l.id, l.start, l.number, l.seq
	body, err := wire.AppendFrame(l.body[:0], f)
	if err != nil {
		l.notSent(addr, err)
		return
	}
	sealed, err := l.keys.Load().Seal(l.datagram[:0], body)
	if err != nil {
		l.notSent(addr, err)
		return
	}
	l.sent.Add(1)
	l.sentBytes.Add(uint64(len(sealed)))
	l.counts.traffic.count(trafficSent, f, len(sealed))
	if err := l.net.WriteTo(sealed, addr); err != nil {
		l.notSent(addr, err)
	}
}

func (l *life) notSent(addr netip.AddrPort, err error) {
	l.sendErrors.Add(1)
	l.quiet.warn("send "+addr.String(), "datagram not sent", "to", addr, "error", err)
}
