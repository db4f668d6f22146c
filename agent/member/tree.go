package member

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"duckduckgoose/agent/election"
)

const (
	// fanOut bounds the agents to which one passes news on in each tree.
	fanOut = 1 << digitBits
	// digitBits is how many bits of its key choose an agent's branch at each level.
	digitBits = 3
)

// place is an observer's place in a tree.
type place struct {
	id   election.ID
	root int // the voter above it
	key  uint64
}

// placeOf returns an observer's place in a tree. Trees change with the term, so the work
// moves. Two trees never put an agent below the same voter.
func placeOf(id election.ID, term uint64, tree, voters int) place {
	h := mix(binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:]) ^ mix(term))
	p := place{id: id, root: share(h, voters)}
	for range tree {
		h = mix(h)
		if voters > 1 {
			p.root = (p.root + 1 + share(h, voters-1)) % voters
		}
	}
	p.key = mix(^h)
	return p
}

// share maps a hash to one of n equal parts.
func share(h uint64, n int) int {
	part, _ := bits.Mul64(h, uint64(n))
	return int(part)
}

// mix is the finalizer of splitmix64: every bit of x decides every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// below appends the agents that this one tells in a tree. A tree divides its agents by
// the next digit of their keys; the smallest key of each branch tells the rest of it. So
// a change of one agent moves no others but those on its own way.
//
// own is this agent's place, used if it is no voter: voter < 0.
func below(dst []election.ID, places []place, self election.ID, voter int, own place) []election.ID {
	root := own.root
	if voter >= 0 {
		root = voter
	}
	places = keep(places, func(p *place) bool { return p.root == root })
	level := uint(0)
	for ; voter < 0; level++ {
		if level*digitBits >= 63 {
			return dst
		}
		digit := digitOf(own.key, level)
		places = keep(places, func(p *place) bool { return digitOf(p.key, level) == digit })
		first := own
		for i := range places {
			if p := &places[i]; p.key < first.key {
				first = *p
			}
		}
		places = keep(places, func(p *place) bool { return p.id != first.id })
		if first.id == self {
			level++
			break
		}
	}
	var firsts [fanOut]*place
	for i := range places {
		if at := &firsts[digitOf(places[i].key, level)]; *at == nil || places[i].key < (*at).key {
			*at = &places[i]
		}
	}
	for _, p := range firsts {
		if p != nil && !slices.Contains(dst, p.id) { // it may be below this agent in both trees
			dst = append(dst, p.id)
		}
	}
	return dst
}

// digitOf returns a digit of a key, the highest first.
func digitOf(key uint64, level uint) int { return int(key << (level * digitBits) >> (64 - digitBits)) }

// keep keeps the places for which holds is true.
func keep(places []place, holds func(*place) bool) []place {
	kept := places[:0]
	for i := range places {
		if holds(&places[i]) {
			kept = append(kept, places[i])
		}
	}
	return kept
}
