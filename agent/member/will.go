package member

import (
	"net/netip"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// WillDatagram is a datagram of a last will: it goes to one voter.
type WillDatagram struct {
	To    netip.AddrPort
	Frame wire.Frame
}

// will is what an election's last will was written by. Another one means that it is
// written anew.
type will struct {
	term   uint64 // 0: there is none
	config election.ConfigID
	voters [election.MaxVoters]wayTo
}

// wayTo is how a voter is reached.
type wayTo struct {
	addr netip.AddrPort
	life uint64
}

// leaveWills has the host keep a last will of each election that this agent leads: the
// datagrams that end the voters' promises once its process has died (rule 12). The records
// have been saved, so a will shows nothing that the disk could lose.
func (m *Member) leaveWills() {
	if !m.set.Wills {
		return
	}
	from := m.touched
	if m.willsDue {
		from = m.elections
	}
	for _, e := range from {
		e.leaveWill(m.willsDue)
	}
	m.willsDue = false
}

func (e *Election) leaveWill(look bool) {
	m := e.m
	if e.node == nil {
		return
	}
	now := e.will
	switch {
	case e.node.Role() != election.Leader:
		now = will{}
	case look || now.term == 0:
		rec := e.node.Record()
		now = will{term: rec.Term, config: rec.Config.ConfigID}
		for i, v := range rec.Config.Members() {
			now.voters[i].addr, _ = m.addresses.Addr(v.ID)
			now.voters[i].life = m.addresses.Life(v.ID)
		}
	}
	if now == e.will {
		return
	}
	e.will = now
	e.writeWill()
}

// writeWill hands the host the present will.
func (e *Election) writeWill() {
	m := e.m
	m.datagrams = m.datagrams[:0]
	if e.will.term != 0 {
		for _, msg := range e.node.Will(m.host.Now()) {
			if addr, ok := m.addresses.Addr(msg.To); ok {
				m.datagrams = append(m.datagrams, WillDatagram{addr, m.lastFrame(e, msg)})
			}
		}
	}
	m.host.LeaveWill(e.name, m.datagrams)
}

// WillSeq is the seq of a last will's frames, below those of all others: nobody takes the
// address that they come from, which is not their agent's, for news (rule 10).
const WillSeq = 0

func (m *Member) lastFrame(e *Election, msg election.Message) wire.Frame {
	return wire.Frame{
		FlockID: msg.FlockID, From: m.id, To: msg.To, Start: m.state.Start, Life: m.set.Life, Seq: WillSeq, ToLife: m.addresses.Life(msg.To),
		Messages: []wire.Message{{Election: e.number, Message: msg}},
	}
}

// RenewWills writes all wills anew: the host has lost what it kept, or seals by another key.
func (m *Member) RenewWills() {
	for _, e := range m.elections {
		if e.will.term != 0 {
			e.writeWill()
		}
	}
}
