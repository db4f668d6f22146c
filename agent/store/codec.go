package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"

	"duckduckgoose/agent/election"
)

// The payload of format 3, big-endian, without gaps:
//
//	id 16, start 8, left 1 (0 or 1), bound 16
//	founding: flock id 16, coordinator 16, attempt 8, aborted 8, set: count 2, ids of 16
//	elections: count 2, each:
//	  number 8, flock id 16, generation: number 8, tag 8; term 8, vote 16
//	  config: term 8, version 8, count 1, voters: id 16, priority 1
//	  longest promise, in nanoseconds 8
//	  config: table 16; created 8, started 1 (0 or 1), name: length 1, bytes
//	  mark 8
//
// Another set of fields needs a new format version. Format 2 lacks the last line, and
// format 1 the last two.
const (
	idBytes       = 16
	fixedBytes    = 16 + 8 + 1 + 16 + 16 + 16 + 8 + 8 + 2 + 2
	electionBytes = 8 + 16 + 8 + 8 + 8 + 16 + 8 + 8 + 1 + election.MaxVoters*(idBytes+1) + 8 +
		16 + 8 + 1 + 1 + MaxName + 8
	maxPayload = fixedBytes + MaxFounders*idBytes + MaxElections*electionBytes
)

// This does not compile if a full state does not fit a slot.
const _ = uint(slotBytes - headerBytes - maxPayload)

// appendState encodes a valid state.
func appendState(b []byte, s *State) []byte {
	f := &s.Founding
	b = put(b, s.ID[:], s.Start, s.Left, s.Bound[:])
	b = put(b, f.FlockID[:], f.Coordinator[:], f.Attempt, f.Aborted, uint16(len(f.Set)))
	for i := range f.Set {
		b = append(b, f.Set[i][:]...)
	}
	b = put(b, uint16(len(s.Elections)))
	for i := range s.Elections {
		e := &s.Elections[i]
		r := &e.Record
		b = put(b, e.Number, r.FlockID[:], r.Generation.Number, r.Generation.Tag, r.Term, r.Vote[:])
		b = put(b, r.Config.Term, r.Config.Version, r.Config.N)
		for _, v := range r.Config.Members() {
			b = put(b, v.ID[:], v.Priority)
		}
		b = put(b, uint64(r.PromiseMax), r.Config.Table[:], e.Created, e.Started, byte(len(e.Name)))
		b = put(append(b, e.Name...), r.Mark)
	}
	return b
}

// put appends numbers, marks (booleans) and bytes.
func put(b []byte, fields ...any) []byte {
	for _, f := range fields {
		b, _ = binary.Append(b, binary.BigEndian, f) // it fails only for types that put never passes
	}
	return b
}

// decodeState reads what appendState wrote, in this version or an earlier one. It
// refuses everything else.
func decodeState(version uint32, payload []byte) (State, error) {
	var s State
	d := decoder{rest: payload, version: version}
	f := &s.Founding
	d.read(s.ID[:], &s.Start)
	d.mark("left", &s.Left)
	d.read(s.Bound[:], f.FlockID[:], f.Coordinator[:], &f.Attempt, &f.Aborted)
	if n := d.count("founders", MaxFounders); n > 0 {
		f.Set = make([]election.ID, n)
		for i := range f.Set {
			d.read(f.Set[i][:])
		}
	}
	if n := d.count("elections", MaxElections); n > 0 {
		s.Elections = make([]Election, n)
		for i := range s.Elections {
			d.election(&s.Elections[i])
		}
	}
	switch {
	case d.err != nil:
		return State{}, d.err
	case len(d.rest) > 0:
		return State{}, fmt.Errorf("%d bytes too many", len(d.rest))
	}
	if err := s.valid(); err != nil {
		return State{}, err
	}
	return s, nil
}

var errShort = errors.New("ends too early")

// decoder reads fields until one fails; all fields after that stay zero.
type decoder struct {
	version uint32
	rest    []byte
	err     error
}

// read reads numbers and bytes.
func (d *decoder) read(into ...any) {
	for _, f := range into {
		if d.err != nil {
			return
		}
		n, err := binary.Decode(d.rest, binary.BigEndian, f)
		if err != nil {
			d.err = errShort
		}
		d.rest = d.rest[n:]
	}
}

func (d *decoder) mark(what string, set *bool) {
	var b byte
	d.read(&b)
	if *set = b == 1; b > 1 {
		d.err = fmt.Errorf("%s mark %d: want 0 or 1", what, b)
	}
}

// count reads the length of a list. The limit bounds what decoding allocates.
func (d *decoder) count(what string, limit int) int {
	var n uint16
	d.read(&n)
	if int(n) > limit {
		d.err = fmt.Errorf("%d %s: at most %d", n, what, limit)
		return 0
	}
	return int(n)
}

func (d *decoder) election(e *Election) {
	r := &e.Record
	c := &r.Config
	d.read(&e.Number, r.FlockID[:], &r.Generation.Number, &r.Generation.Tag, &r.Term, r.Vote[:], &c.Term, &c.Version, &c.N)
	if c.N > election.MaxVoters {
		d.err = fmt.Errorf("config of %d voters: at most %d", c.N, election.MaxVoters)
		return
	}
	for i := range c.N {
		d.read(c.Voters[i].ID[:], &c.Voters[i].Priority)
	}
	d.read(&r.PromiseMax)
	if d.version < 2 {
		return
	}
	d.read(c.Table[:], &e.Created)
	d.mark("started", &e.Started)
	var n byte
	d.read(&n)
	name := make([]byte, n)
	d.read(name)
	e.Name = string(name)
	if d.version >= 3 {
		d.read(&r.Mark)
	}
}

const (
	slotBytes   = 32 << 10
	headerBytes = 32
	sectorBytes = 512 // slots have a multiple of this size, so that no write must read first

	slotA = 0 // Save writes this one
	slotB = 1 // Settle writes this one

	formatVersion = 3 // and 1 and 2 are read still
	magic         = "DDGSTATE"
)

var crcTable = crc64.MakeTable(crc64.ECMA)

// seal returns the bytes of a slot: header, payload, and zeros up to a whole sector.
func seal(seq uint64, payload []byte) []byte { return sealAs(formatVersion, seq, payload) }

// sealAs is seal for the payload of an earlier format.
func sealAs(version uint32, seq uint64, payload []byte) []byte {
	n := headerBytes + len(payload)
	b := make([]byte, headerBytes, (n+sectorBytes-1)/sectorBytes*sectorBytes)
	copy(b, magic)
	binary.BigEndian.PutUint32(b[8:], version)
	binary.BigEndian.PutUint32(b[12:], uint32(len(payload)))
	binary.BigEndian.PutUint64(b[16:], seq)
	binary.BigEndian.PutUint64(b[24:], checksum(b, payload))
	b = append(b, payload...)
	return b[:cap(b)]
}

func checksum(header, payload []byte) uint64 {
	return crc64.Update(crc64.Checksum(header[:24], crcTable), crcTable, payload)
}

// slot is one slot as read.
type slot struct {
	seq     uint64
	version uint32
	payload []byte
	damage  error // nil: magic, length and checksum are correct
}

var errNotWritten = errors.New("never written, or overwritten")

// readSlot reads the bytes of a slot, which may be cut short.
func readSlot(b []byte) slot {
	if len(b) < headerBytes || string(b[:8]) != magic {
		return slot{damage: errNotWritten}
	}
	n := binary.BigEndian.Uint32(b[12:])
	if uint64(n) > uint64(len(b)-headerBytes) {
		return slot{damage: fmt.Errorf("length %d is wrong", n)}
	}
	payload := b[headerBytes : headerBytes+int(n)]
	if checksum(b, payload) != binary.BigEndian.Uint64(b[24:]) {
		return slot{damage: errors.New("wrong checksum")}
	}
	return slot{seq: binary.BigEndian.Uint64(b[16:]), version: binary.BigEndian.Uint32(b[8:]), payload: payload}
}

// newest returns the index of the slot that counts. A crash may damage one slot; two
// slots of one number that differ are an error.
func newest(slots [2]slot) (int, error) {
	a, b := &slots[slotA], &slots[slotB]
	switch {
	case a.damage != nil && b.damage != nil:
		return 0, fmt.Errorf("slot A: %w; slot B: %w", a.damage, b.damage)
	case a.damage != nil:
		return slotB, nil
	case b.damage != nil:
		return slotA, nil
	case a.seq == b.seq && string(a.payload) != string(b.payload):
		return 0, fmt.Errorf("slots A and B are both number %d and differ", a.seq)
	case b.seq > a.seq:
		return slotB, nil
	}
	return slotA, nil
}
