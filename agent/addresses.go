package agent

import (
	"fmt"
	"net/netip"

	"duckduckgoose/agent/election"
)

// bookSize bounds the agents whose addresses are kept; more are refused.
const bookSize = 4096

// addressBook knows where agents are, and which of two that use one id to
// believe (rule 10). An address is learnt from a datagram only when its
// (start, seq) is greater than any seen of that id, so that a replay moves nobody.
type addressBook struct {
	pages map[election.ID]*page
}

type page struct {
	addr  netip.AddrPort
	start uint64
	life  uint64 // 0: none seen in this start
	seq   uint64
	from  netip.AddrPort // where that life speaks from
	clone bool           // two lives of one start: believe neither
	stale bool           // reported
}

func newAddressBook() *addressBook { return &addressBook{pages: map[election.ID]*page{}} }

// Addr gives where an agent is.
func (b *addressBook) Addr(id election.ID) (netip.AddrPort, bool) {
	p := b.pages[id]
	if p == nil || !p.addr.IsValid() || p.clone {
		return netip.AddrPort{}, false
	}
	return p.addr, true
}

// Gossiped learns an address from gossip. It counts unless datagrams of a
// later start of that agent have been seen.
func (b *addressBook) Gossiped(id election.ID, start uint64, addr netip.AddrPort) {
	p := b.page(id)
	if p == nil || start < p.start {
		return
	}
	if start > p.start {
		*p = page{start: start}
	}
	if p.seq == 0 {
		p.addr = addr
	}
}

// Admit tells whether to believe a datagram's sender, and reports, once, what
// a person should know.
func (b *addressBook) Admit(id election.ID, start, life, seq uint64, from netip.AddrPort) (ok bool, problem string) {
	p := b.page(id)
	switch {
	case p == nil:
		return false, ""
	case start < p.start:
		if p.stale {
			return false, ""
		}
		p.stale = true
		return false, fmt.Sprintf("an old copy of agent %s's data directory runs at %s (start %d, known %d): it is ignored; stop it", id, from, start, p.start)
	case start > p.start || p.life == 0:
		*p = page{start: start, life: life, seq: seq, addr: from, from: from}
		return true, ""
	case life != p.life:
		if p.clone {
			return false, ""
		}
		p.clone = true
		return false, fmt.Sprintf("agent %s runs twice, at %s and %s, from copies of one data directory: neither is believed; stop one and start the other anew", id, p.from, from)
	case p.clone:
		return false, ""
	}
	if seq > p.seq {
		p.seq, p.addr, p.from = seq, from, from
	}
	return true, ""
}

func (b *addressBook) page(id election.ID) *page {
	p := b.pages[id]
	if p == nil && len(b.pages) < bookSize {
		p = &page{}
		b.pages[id] = p
	}
	return p
}
