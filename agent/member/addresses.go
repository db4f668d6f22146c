package member

import (
	"cmp"
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
)

// bookSize bounds the agents whose addresses are kept: more than gossip knows.
const bookSize = 8192

// addressBook knows where agents are, and which process of an id to believe (rule 10).
// It learns an address from a datagram only if the datagram's (start, seq) is greater
// than any seen of that id, so that a replay changes no address.
type addressBook struct {
	pages map[election.ID]*page
	keeps func(election.ID) bool // reports whether an id's page must stay
}

type page struct {
	addr     netip.AddrPort
	start    uint64
	life     uint64 // 0: none seen in this start
	lifeTold uint64 // the life of this start by gossip; 0: none
	seq      uint64
	from     netip.AddrPort // the address that life sends from
	told     netip.AddrPort // gossip's newest address for this start
	left     netip.AddrPort // gossip's address before that: a late datagram may still come from there
	clone    bool           // two lives of one start: believe neither
	rival    rival          // the other one
	since    time.Duration  // when this start was first seen
	heardAt  time.Duration  // when it was last heard
	former   former         // the process that this start took over from
	stale    uint64         // one above the older start that was reported last; 0: none
}

// rival is the second life of a start.
type rival struct {
	life    uint64
	seq     uint64
	heardAt time.Duration
}

// former is a process that a higher start replaced. Normally a restart has ended it. It
// still runs if somebody with the key forged that start.
type former struct {
	start uint64
	life  uint64 // 0: none known
	seq   uint64
}

// cloneSilence is how long one of two lives must be silent before the other is believed
// again. It is longer than any promise, so all votes of the silent one are over.
const cloneSilence = election.MaxPromise + 10*time.Second

// verdict is the judgement on a datagram's sender.
type verdict uint8

const (
	believed verdict = iota
	ignored          // already reported, or there is no room for its page
	isStale          // a lower start than seen of that id, for the first time
	isClone          // another life of the same start, for the first time
)

// Addr returns an agent's address.
func (b *addressBook) Addr(id election.ID) (netip.AddrPort, bool) {
	p := b.pages[id]
	if p == nil || !p.addr.IsValid() || p.clone {
		return netip.AddrPort{}, false
	}
	return p.addr, true
}

// Life returns the life that an agent is in; 0: unknown. A datagram counts for more than
// gossip, which is slower.
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

// Gossiped learns an address and a life from gossip. The address counts until a datagram
// of that start arrives, and again when gossip reports another one: an agent that has
// moved gets no datagrams to answer.
func (b *addressBook) Gossiped(now time.Duration, id election.ID, start, life uint64, addr netip.AddrPort) {
	p := b.page(id)
	if p == nil || start < p.start {
		return
	}
	if start > p.start {
		*p = page{start: start, since: now, heardAt: now, former: p.displaced()}
	}
	p.lifeTold = life
	if p.told == addr {
		return
	}
	p.addr, p.told, p.left = addr, addr, p.told
}

// Admit judges a datagram's sender. before is what was known of that id, if the verdict
// is not believed.
func (b *addressBook) Admit(now time.Duration, id election.ID, start, life, seq uint64, from netip.AddrPort) (v verdict, before page) {
	p := b.page(id)
	switch {
	case p == nil:
		return ignored, page{}
	case start < p.start && p.outlived(now, start, life, seq):
		*p = page{start: start, life: life, seq: seq, addr: from, from: from, since: now, heardAt: now}
		return believed, page{}
	case start < p.start:
		if p.stale == start+1 {
			return ignored, *p
		}
		p.stale = start + 1
		return isStale, *p
	case start > p.start || p.life == 0:
		if start > p.start {
			*p = page{start: start, since: now, former: p.displaced()}
		}
		p.life, p.seq, p.addr, p.from, p.heardAt = life, seq, from, from, now
		return believed, page{}
	case p.clone:
		if !p.survives(now, life, seq, from) {
			return ignored, *p
		}
	case life != p.life:
		before = *p
		p.clone, p.heardAt, p.rival = true, now, rival{life: life, seq: seq, heardAt: now}
		return isClone, before
	}
	if seq > p.seq {
		p.seq, p.heardAt = seq, now
		if from != p.left {
			p.addr, p.from = from, from
		}
	}
	return believed, page{}
}

// survives handles a datagram of one of two lives, and reports whether the other has
// been silent for long enough: then this one is no longer a clone. A replay counts for
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

// displaced returns the process that a higher start replaces. A start that was there for
// only a moment may be forged, and hides no process before it.
func (p *page) displaced() former {
	life := cmp.Or(p.life, p.lifeTold)
	if life == 0 || p.former.life != 0 && p.heardAt-p.since < cloneSilence {
		return p.former
	}
	return former{start: p.start, life: life, seq: p.seq}
}

// outlived tells whether a datagram is a new one of the process that the known
// start displaced, while that start is silent for as long as a clone must be. A
// process that began from an old copy of the disk has another life.
func (p *page) outlived(now time.Duration, start, life, seq uint64) bool {
	f := p.former
	return f.life != 0 && f.life == life && f.start == start && seq > f.seq && now-max(p.heardAt, p.rival.heardAt) >= cloneSilence
}

// Newest reports whether a datagram has the newest number of an id. A replay has not.
func (b *addressBook) Newest(id election.ID, seq uint64) bool {
	p := b.pages[id]
	return p != nil && p.seq == seq
}

// page returns the page of an id, and makes one if there is room.
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

// makeRoom drops the pages of unknown ids: without a key, forged ids must not keep out
// the next agent.
func (b *addressBook) makeRoom() bool {
	for id := range b.pages {
		if !b.keeps(id) {
			delete(b.pages, id)
		}
	}
	return len(b.pages) < bookSize
}
