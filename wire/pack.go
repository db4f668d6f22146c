package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"duckduckgoose/agent/election"
)

// Steady heartbeats and acks of many elections are packed into few bytes: shared values
// are sent once.

const (
	// MaxElection is the highest number of an election.
	MaxElection = 111
	// packedBeats and packedAcks are the kinds of packed entries. They differ from
	// those of messages.
	packedBeats = 201
	packedAcks  = 202
	// A packed entry has the two fields of every entry, and these.
	packedBeatFields = 4
	packedAckFields  = 5
	// packUnit is the unit of round trips.
	packUnit = time.Millisecond / 4
	rankBits = 3
)

// batch is a packed entry: the values that its messages share, and the bytes of the
// others.
type batch struct {
	kind       election.Kind
	generation election.Generation
	promise    time.Duration
	held       time.Duration
	fitness    election.Fitness // of acks; it follows the packed bytes
	from, to   int              // the packed bytes in the frame
}

// packable reports whether a message can be packed: a packed one has a place for all
// its values.
func packable(m *Message) bool {
	switch m.Kind {
	case election.Heartbeat:
		return m.Config.N == 0 && addedFields(&m.Message) == 0 && m.ConfigID.Term == m.Term
	case election.HeartbeatAck:
		return m.Mark == 0 && m.Pause == 0 && m.ConfigID.Term == m.Term
	}
	return false
}

func (p *batch) takes(m *Message) bool {
	return p.kind == m.Kind && p.generation == m.Generation && p.promise == m.Promise && p.held == m.Held && p.fitness == m.Fitness
}

// appendPacked appends the values of a message that are not shared.
func appendPacked(b []byte, m *Message) []byte {
	b = binary.AppendUvarint(b, m.Election)
	b = binary.AppendUvarint(b, m.Term)
	b = binary.AppendUvarint(b, m.ConfigID.Version)
	b = binary.AppendUvarint(b, m.Round)
	if m.Kind == election.HeartbeatAck {
		return b
	}
	var ranks uint32
	for i, r := range m.Ranks {
		ranks |= uint32(r) << (rankBits * i)
	}
	b = append(b, byte(ranks), byte(ranks>>8), byte(ranks>>16))
	rtt := min(max(m.RTT, 0), maxDuration)
	return binary.AppendUvarint(b, uint64((rtt+packUnit-1)/packUnit)) // rounded up: 0 is unknown
}

// nextPacked reads what appendPacked wrote, into m.
func nextPacked(b []byte, m *Message) (rest []byte, err *DropError) {
	d := packedDecoder{rest: b}
	m.Election = d.uint("election", MaxElection)
	m.Term = d.uint("term", election.MaxTerm)
	m.ConfigID = election.ConfigID{Term: m.Term, Version: d.uint("config's version", maxVersion)}
	m.Round = d.uint("round", 1<<64-1)
	if m.Kind == election.HeartbeatAck {
		return d.rest, d.fail
	}
	if len(d.rest) < 3 {
		return nil, drop(DropMalformed, "packed heartbeat ends early")
	}
	ranks := uint32(d.rest[0]) | uint32(d.rest[1])<<8 | uint32(d.rest[2])<<16
	d.rest = d.rest[3:]
	for i := range m.Ranks {
		m.Ranks[i] = uint8(ranks >> (rankBits * i) & (1<<rankBits - 1))
		if m.Ranks[i] >= election.MaxVoters {
			return nil, outOfRange("rank", uint64(m.Ranks[i]), election.MaxVoters-1)
		}
	}
	m.RTT = time.Duration(d.uint("round trip", uint64(maxDuration/packUnit))) * packUnit
	return d.rest, d.fail
}

type packedDecoder struct {
	rest []byte
	fail *DropError
}

func (d *packedDecoder) uint(what string, limit uint64) uint64 {
	if d.fail != nil {
		return 0
	}
	if len(d.rest) > 0 && d.rest[0] < 0x80 && uint64(d.rest[0]) <= limit { // as most are
		n := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return n
	}
	n, size := binary.Uvarint(d.rest)
	switch {
	case size <= 0:
		d.fail = drop(DropMalformed, fmt.Sprintf("packed %s: want a number of at most 64 bits", what))
		return 0
	case n > limit:
		d.fail = outOfRange(what, n, limit)
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// Each calls do for every message of a decoded frame, packed ones included, until it
// fails. Packed ones share one Message, so do must not keep it, nor
// change more of it than ToLife.
func (f *Frame) Each(do func(*Message) error) error {
	for i := range f.Messages {
		if err := do(&f.Messages[i]); err != nil {
			return err
		}
	}
	for i := range f.batches {
		p := &f.batches[i]
		m := &f.one
		*m = Message{Message: election.Message{Kind: p.kind, Promise: p.promise, Held: p.held, Fitness: p.fitness}}
		f.stamp(m)
		m.Generation = p.generation
		for rest := f.packed[p.from:p.to]; len(rest) > 0; {
			m.ToLife = f.ToLife
			rest, _ = nextPacked(rest, m) // it was checked when the frame was decoded
			if err := do(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// Ahead calls do for the election of each packed message, so that the caller can bring into
// the processor's cache what Each will need.
func (f *Frame) Ahead(do func(election uint64)) {
	for i := range f.batches {
		p := &f.batches[i]
		for rest := f.packed[p.from:p.to]; len(rest) > 0; {
			do(uint64(rest[0])) // MaxElection fits a byte
			rest = skipUvarints(rest, 4)
			if p.kind == election.Heartbeat {
				rest = skipUvarints(rest[3:], 1)
			}
		}
	}
}

// skipUvarints leaves out n numbers, which were checked when the frame was decoded.
func skipUvarints(b []byte, n int) (rest []byte) {
	at := 0
	for ; n > 0; at++ {
		if b[at] < 0x80 {
			n--
		}
	}
	return b[at:]
}

// Packed reports whether a decoded frame has packed messages.
func (f *Frame) Packed() bool { return len(f.batches) > 0 }

// packed reads a packed entry. It checks all of it and keeps the bytes.
func (d *decoder) packed(f *Frame, kind uint64, more int) {
	p := batch{kind: election.Heartbeat, from: len(f.packed)}
	want := packedBeatFields
	if kind == packedAcks {
		p.kind, want = election.HeartbeatAck, packedAckFields
	}
	if more < want {
		d.refuse(drop(DropMalformed, fmt.Sprintf("packed entry has too few fields: want %d", want)))
		return
	}
	p.generation.Number = d.uint("generation", election.MaxGeneration)
	p.generation.Tag = d.uint("generation's tag", 1<<64-1)
	p.promise = d.duration("promise")
	if kind == packedAcks {
		p.held = d.duration("held")
	}
	n := d.size("packed messages")
	if d.fail != nil {
		return
	}
	for range n { // it fits: the structure was checked
		f.packed = append(f.packed, 0)
	}
	d.read(f.packed[p.from:])
	if more -= want; kind == packedAcks && more > 0 {
		p.fitness = d.fitness()
		more--
	}
	d.skip(more)
	p.to = len(f.packed)
	var m Message
	for rest := f.packed[p.from:p.to]; len(rest) > 0 && d.fail == nil; {
		m.Kind = p.kind
		var err *DropError
		rest, err = nextPacked(rest, &m)
		d.refuse(err)
	}
	f.batches = append(f.batches, p)
}
