package election

import "sync"

// mcSeen is the set of states already visited, by a hash of 128 bits, with a
// way back to the first one. With 10^8 states the chance that two share a hash
// is below 10^-22.
type mcSeen struct {
	shards [mcShards]mcShard
}

const mcShards = 64

type mcShard struct {
	mu    sync.Mutex // guards the fields below
	slots []mcSlot
	log   []mcOrigin
}

type mcSlot struct {
	hi, lo uint64 // hi == 0: free
	ref    uint32
}

type mcOrigin struct{ from, move uint32 }

// add books a state that came from another by a move, and gives its reference.
func (s *mcSeen) add(h [2]uint64, from, move uint32) (ref uint32, fresh bool) {
	shard := h[0] % mcShards
	sh := &s.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if 4*(len(sh.log)+1) > 3*len(sh.slots) {
		sh.grow()
	}
	h[0] |= 1 << 63
	slot := sh.find(h)
	if slot.hi != 0 {
		return slot.ref, false
	}
	*slot = mcSlot{h[0], h[1], uint32(len(sh.log))*mcShards + uint32(shard)}
	sh.log = append(sh.log, mcOrigin{from, move})
	return slot.ref, true
}

func (sh *mcShard) find(h [2]uint64) *mcSlot {
	mask := uint64(len(sh.slots) - 1)
	for i := h[1] & mask; ; i = (i + 1) & mask {
		if s := &sh.slots[i]; s.hi == 0 || s.hi == h[0] && s.lo == h[1] {
			return s
		}
	}
}

func (sh *mcShard) grow() {
	old := sh.slots
	sh.slots = make([]mcSlot, max(1024, 2*len(old)))
	for _, s := range old {
		if s.hi != 0 {
			*sh.find([2]uint64{s.hi, s.lo}) = s
		}
	}
}

// parent gives where a state came from.
func (s *mcSeen) parent(ref uint32) (from, move uint32) {
	o := s.shards[ref%mcShards].log[ref/mcShards]
	return o.from, o.move
}

// mcHash mixes a state's words into 128 bits, by two rounds of splitmix64
// with different seeds.
func mcHash(g *mcState) [2]uint64 {
	a, b := chance(1), chance(2)
	mix := func(w uint32) {
		a = chance(a.next() ^ uint64(w))
		b = chance(b.next() ^ uint64(w)<<32)
	}
	mix(g.past)
	for _, w := range g.agents {
		mix(w)
	}
	for _, w := range g.soup {
		mix(w)
	}
	return [2]uint64{a.next(), b.next()}
}
