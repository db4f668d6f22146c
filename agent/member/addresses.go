package member

import (
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
)

// bookSize bounds the agents whose addresses are kept.
const bookSize = 4096

// addressBook knows where agents are, and which of two that use one id to
// believe (rule 10). An address is learnt from a datagram only when its
// (start, seq) is greater than any seen of that id, so that a replay moves nobody.
type addressBook struct {
	pages map[election.ID]*page
	keeps func(election.ID) bool // whose page is never dropped
	now   func() time.Duration
}

type page struct {
	addr     netip.AddrPort
	start    uint64
	life     uint64 // 0: none seen in this start
	lifeTold uint64 // the life of this start by gossip; 0: none
	seq      uint64
	from     netip.AddrPort // where that life speaks from
	told     netip.AddrPort // what gossip said last of this start
	left     netip.AddrPort // what it said before: a datagram may still be on its way from there
	clone    bool           // two lives of one start: believe neither
	rival    rival          // the other one
	heardAt  time.Duration  // when life was last heard, while there is a clone
	stale    uint64         // one above the older start that was reported last; 0: none
}

// rival is the second life of a start.
type rival struct {
	life    uint64
	seq     uint64
	heardAt time.Duration
}

// cloneSilence is how long one of two lives must be silent until the other is
// believed again. It is longer than any promise, so that whatever the silent one
// has voted for is over.
const cloneSilence = election.MaxPromise + 10*time.Second

// verdict is what a datagram's sender is taken for.
type verdict uint8

const (
	believed verdict = iota
	ignored          // reported before, or there is no room for it
	isStale          // a lower start than seen of that id, for the first time
	isClone          // another life of the same start, for the first time
)

// Addr gives where an agent is.
func (b *addressBook) Addr(id election.ID) (netip.AddrPort, bool) {
	p := b.pages[id]
	if p == nil || !p.addr.IsValid() || p.clone {
		return netip.AddrPort{}, false
	}
	return p.addr, true
}

// Life gives the life that an agent is in, 0 when that is not known. A datagram's
// word counts for more than gossip's, which comes late.
func (b *addressBook) Life(id election.ID) uint64 {
	p := b.pages[id]
	switch {
	case p == nil:
		return 0
	case p.life == 0:
		return p.lifeTold
	}
	return p.life
}

// Gossiped learns an address and a life from gossip. The address counts until a datagram of that
// start is seen, and again when gossip tells another: an agent that moves
// while nobody calls it where it is has nothing to answer to.
func (b *addressBook) Gossiped(id election.ID, start, life uint64, addr netip.AddrPort) {
	p := b.page(id)
	if p == nil || start < p.start {
		return
	}
	if start > p.start {
		*p = page{start: start}
	}
	p.lifeTold = life
	if p.told == addr {
		return
	}
	p.addr, p.told, p.left = addr, addr, p.told
}

// Admit tells what to take a datagram's sender for. before is what was known
// of that id when the verdict is not believed.
func (b *addressBook) Admit(id election.ID, start, life, seq uint64, from netip.AddrPort) (v verdict, before page) {
	p := b.page(id)
	switch {
	case p == nil:
		return ignored, page{}
	case start < p.start:
		if p.stale == start+1 {
			return ignored, *p
		}
		p.stale = start + 1
		return isStale, *p
	case start > p.start || p.life == 0:
		told, left := p.told, p.left
		if start > p.start {
			told, left = netip.AddrPort{}, netip.AddrPort{}
		}
		*p = page{start: start, life: life, seq: seq, addr: from, from: from, told: told, left: left}
		return believed, page{}
	case p.clone:
		if !p.survives(b.now(), life, seq, from) {
			return ignored, *p
		}
	case life != p.life:
		before = *p
		p.clone, p.heardAt, p.rival = true, b.now(), rival{life: life, seq: seq, heardAt: b.now()}
		return isClone, before
	}
	if seq > p.seq {
		p.seq = seq
		if from != p.left {
			p.addr, p.from = from, from
		}
	}
	return believed, page{}
}

// survives books a datagram of one of two lives, and tells whether the other has
// been silent for long enough: then it is no clone any more. A replay counts for
// neither.
func (p *page) survives(now time.Duration, life, seq uint64, from netip.AddrPort) bool {
	r := &p.rival
	switch {
	case life == p.life && seq > p.seq:
		p.seq, p.heardAt = seq, now
		if now-r.heardAt < cloneSilence {
			return false
		}
	case life == r.life && seq > r.seq:
		r.seq, r.heardAt = seq, now
		if now-p.heardAt < cloneSilence {
			return false
		}
		p.life, p.seq = life, seq
	case life != p.life && life != r.life:
		*r = rival{life: life, seq: seq, heardAt: now} // a third one
		return false
	default:
		return false
	}
	p.clone, p.rival, p.addr, p.from = false, rival{}, from, from
	return true
}

// Newest tells whether a datagram of that number is the last one admitted of an
// id: a replay is not.
func (b *addressBook) Newest(id election.ID, seq uint64) bool {
	p := b.pages[id]
	return p != nil && p.seq == seq
}

// page gives the page of an id, made anew when there is room.
func (b *addressBook) page(id election.ID) *page {
	p := b.pages[id]
	if p != nil {
		return p
	}
	if len(b.pages) >= bookSize && !b.makeRoom() {
		return nil
	}
	p = &page{}
	b.pages[id] = p
	return p
}

// makeRoom drops the pages of strangers: forged ids, where there is no key, must
// not keep the next agent out.
func (b *addressBook) makeRoom() bool {
	for id := range b.pages {
		if !b.keeps(id) {
			delete(b.pages, id)
		}
	}
	return len(b.pages) < bookSize
}
