package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"duckduckgoose/agent/election"
)

// The payload of format 2, big-endian, without gaps:
//
//	id 16, start 8, left 1 (0 or 1), bound 16
//	founding: flock id 16, coordinator 16, attempt 8, aborted 8, set: count 2, ids of 16
//	elections: count 2, each:
//	  number 8, flock id 16, generation: number 8, tag 8; term 8, vote 16
//	  config: term 8, version 8, count 1, voters: id 16, priority 1
//	  longest promise, in nanoseconds 8
//	  config: table 16; created 8, started 1 (0 or 1), name: length 1, bytes
//
// A field more or less is a new format version. Format 1 has no last line.
const (
	idBytes       = 16
	fixedBytes    = 16 + 8 + 1 + 16 + 16 + 16 + 8 + 8 + 2 + 2
	electionBytes = 8 + 16 + 8 + 8 + 8 + 16 + 8 + 8 + 1 + election.MaxVoters*(idBytes+1) + 8 +
		16 + 8 + 1 + 1 + MaxName
	maxPayload = fixedBytes + MaxFounders*idBytes + MaxElections*electionBytes
)

// A full state fits a slot, or this does not compile.
const _ = uint(slotBytes - headerBytes - maxPayload)

// appendState encodes a valid state.
func appendState(b []byte, s *State) []byte {
	be := binary.BigEndian
	b = append(b, s.ID[:]...)
	b = be.AppendUint64(b, s.Start)
	b = append(b, mark(s.Left))
	b = append(b, s.Bound[:]...)

	f := &s.Founding
	b = append(b, f.FlockID[:]...)
	b = append(b, f.Coordinator[:]...)
	b = be.AppendUint64(b, f.Attempt)
	b = be.AppendUint64(b, f.Aborted)
	b = be.AppendUint16(b, uint16(len(f.Set)))
	for i := range f.Set {
		b = append(b, f.Set[i][:]...)
	}

	b = be.AppendUint16(b, uint16(len(s.Elections)))
	for i := range s.Elections {
		b = appendElection(b, &s.Elections[i])
	}
	return b
}

func appendElection(b []byte, e *Election) []byte {
	be, r := binary.BigEndian, &e.Record
	b = be.AppendUint64(b, e.Number)
	b = append(b, r.FlockID[:]...)
	b = be.AppendUint64(b, r.Generation.Number)
	b = be.AppendUint64(b, r.Generation.Tag)
	b = be.AppendUint64(b, r.Term)
	b = append(b, r.Vote[:]...)
	b = be.AppendUint64(b, r.Config.Term)
	b = be.AppendUint64(b, r.Config.Version)
	b = append(b, r.Config.N)
	for _, v := range r.Config.Members() {
		b = append(b, v.ID[:]...)
		b = append(b, v.Priority)
	}
	b = be.AppendUint64(b, uint64(r.PromiseMax))
	b = append(b, r.Config.Table[:]...)
	b = be.AppendUint64(b, e.Created)
	b = append(b, mark(e.Started), byte(len(e.Name)))
	return append(b, e.Name...)
}

func mark(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// decodeState reads what appendState wrote, in this version or an earlier one,
// and refuses anything else.
func decodeState(version uint32, payload []byte) (State, error) {
	var s State
	d := decoder{rest: payload, version: version}
	d.read(s.ID[:])
	s.Start = d.uint64()
	left := d.byte()
	s.Left = left == 1
	d.read(s.Bound[:])

	f := &s.Founding
	d.read(f.FlockID[:])
	d.read(f.Coordinator[:])
	f.Attempt = d.uint64()
	f.Aborted = d.uint64()
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
	case left > 1:
		return State{}, fmt.Errorf("left mark %d: want 0 or 1", left)
	}
	if err := s.valid(); err != nil {
		return State{}, err
	}
	return s, nil
}

var errShort = errors.New("ends too early")

// decoder reads fields until one fails; then all others read as zero.
type decoder struct {
	version uint32
	rest    []byte
	err     error
}

func (d *decoder) take(n int) []byte {
	if d.err == nil && len(d.rest) < n {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) read(into []byte) { copy(into, d.take(len(into))) }

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// count reads the length of a list, which bounds what decoding allocates.
func (d *decoder) count(what string, limit int) int {
	b := d.take(2)
	if b == nil {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > limit {
		d.err = fmt.Errorf("%d %s: at most %d", n, what, limit)
		return 0
	}
	return n
}

func (d *decoder) election(e *Election) {
	r := &e.Record
	e.Number = d.uint64()
	d.read(r.FlockID[:])
	r.Generation.Number = d.uint64()
	r.Generation.Tag = d.uint64()
	r.Term = d.uint64()
	d.read(r.Vote[:])
	r.Config.Term = d.uint64()
	r.Config.Version = d.uint64()
	r.Config.N = d.byte()
	if r.Config.N > election.MaxVoters {
		d.err = fmt.Errorf("config of %d voters: at most %d", r.Config.N, election.MaxVoters)
		return
	}
	for i := range r.Config.N {
		d.read(r.Config.Voters[i].ID[:])
		r.Config.Voters[i].Priority = d.byte()
	}
	r.PromiseMax = time.Duration(d.uint64())
	if d.version < 2 {
		return
	}
	d.read(r.Config.Table[:])
	e.Created = d.uint64()
	started := d.byte()
	if e.Started = started == 1; started > 1 {
		d.err = fmt.Errorf("started mark %d: want 0 or 1", started)
	}
	e.Name = string(d.take(int(d.byte())))
}
