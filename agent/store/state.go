package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"duckduckgoose/agent/election"
)

const (
	// MaxElections bounds the records of one disk. So many always fit a slot.
	MaxElections = 112
	// MaxName bounds the name of an election, in bytes.
	MaxName = 32
	// MaxFounders bounds the agents of a founding.
	MaxFounders = 64
)

// State is what an agent must never forget.
type State struct {
	// ID names this disk. It is random, made once, and Save refuses to change it.
	ID election.ID
	// Start counts process starts: [Store.Begin] raises it. Save refuses to lower it.
	Start uint64
	// Left: this disk left its flock. It needs --join to start again, with
	// the same ID, as an observer.
	Left bool
	// Bound is the first flock joined or founded; zero before.
	Bound election.FlockID
	// Founding is the acceptance or the proposal of a founding.
	Founding Founding
	// Elections has one record per election, at most MaxElections, sorted by number.
	// Number 0 is the default election.
	Elections []Election
}

// Election is one election's record. No two of a State share a number, or a name.
type Election struct {
	Number uint64 // 0: the default election
	Name   string // see ValidName; the default election has none
	// Created is the version of the default election's config that founded it.
	Created uint64
	// Started says that a majority of the voters has taken that config: the election
	// may act.
	Started bool
	Record  election.Record
}

// ValidName reports whether an election besides the default one may have this name: 1
// to MaxName of a-z 0-9 . _ -, but not "." or "..".
func ValidName(name string) bool {
	if len(name) < 1 || len(name) > MaxName || name == "." || name == ".." {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// TableOf returns the digest of the elections besides the default one, in their order:
// the first bytes of SHA-256 over numbers, names and Created; zero if there are none.
func TableOf(es []Election) (d election.Digest) {
	var b []byte
	for i := range es {
		if e := &es[i]; e.Number != 0 {
			b = binary.BigEndian.AppendUint64(b, e.Number)
			b = binary.BigEndian.AppendUint64(b, e.Created)
			b = append(b, byte(len(e.Name)))
			b = append(b, e.Name...)
		}
	}
	if b != nil {
		sum := sha256.Sum256(b)
		copy(d[:], sum[:])
	}
	return d
}

// Founding is an agent's part in a founding by several. Zero: none.
type Founding struct {
	FlockID     election.FlockID // of the set and attempt accepted or proposed; zero: none
	Coordinator election.ID      // the agent that proposed it, perhaps this one
	Attempt     uint64
	Aborted     uint64        // all attempts up to this one are over
	Set         []election.ID // the founders, at most MaxFounders
}

// Record returns the default election's record, if there is one.
func (s *State) Record() (election.Record, bool) {
	for _, e := range s.Elections {
		if e.Number == 0 {
			return e.Record, true
		}
	}
	return election.Record{}, false
}

// WithRecord returns the state with another record of the default election.
func (s State) WithRecord(rec election.Record) State {
	s.Elections = slices.Clone(s.Elections)
	for i := range s.Elections {
		if s.Elections[i].Number == 0 {
			s.Elections[i].Record = rec
			return s
		}
	}
	s.Elections = append(s.Elections, Election{Record: rec})
	return s
}

// Recovered returns the state after a manual recovery with the voters of c (rule 26).
// Survivors may know different tables, so all other elections are founded again in the
// new generation, and their tokens grow. Promises made in elections that end here are
// kept. mark sets the mark of the default election; nil keeps it.
func (s State) Recovered(c election.Config, mark *uint64) State {
	rec, _ := s.Record()
	rec = rec.Recovered(c, mark)
	for _, e := range s.Elections {
		rec.PromiseMax = max(rec.PromiseMax, e.Record.PromiseMax)
	}
	s.Elections = []Election{{Record: rec}}
	return s
}

// clone returns a copy that shares nothing with s. Empty lists become nil, so that a
// state that was read equals the one that was saved.
func (s State) clone() State {
	s.Founding.Set = append([]election.ID(nil), s.Founding.Set...)
	s.Elections = append([]Election(nil), s.Elections...)
	return s
}

// canonical returns a clone with sorted elections.
func (s State) canonical() State {
	s = s.clone()
	slices.SortFunc(s.Elections, func(a, b Election) int { return cmp.Compare(a.Number, b.Number) })
	return s
}

// blank reports whether the disk has done nothing yet, and so has promised nothing.
func (s *State) blank() bool {
	return s.Start == 0 && s.Bound.IsZero() && s.Founding.FlockID.IsZero() && len(s.Elections) == 0
}

// valid returns what is wrong with a state, read or about to be written.
func (s *State) valid() error {
	switch {
	case s.ID.IsZero():
		return fmt.Errorf("state without an id")
	case len(s.Founding.Set) > MaxFounders:
		return fmt.Errorf("founding set of %d: at most %d", len(s.Founding.Set), MaxFounders)
	case len(s.Elections) > MaxElections:
		return fmt.Errorf("%d elections: at most %d", len(s.Elections), MaxElections)
	case slices.ContainsFunc(s.Founding.Set, election.ID.IsZero):
		return fmt.Errorf("founding set names an agent without an id")
	}
	for i := range s.Elections {
		e := &s.Elections[i]
		if i > 0 && s.Elections[i-1].Number >= e.Number {
			return fmt.Errorf("election %d is recorded twice, or out of order", e.Number)
		}
		if err := e.valid(); err != nil {
			return fmt.Errorf("election %d: %w", e.Number, err)
		}
		if e.Name != "" && slices.ContainsFunc(s.Elections[:i], func(o Election) bool { return o.Name == e.Name }) {
			return fmt.Errorf("election %d: another is named %q too", e.Number, e.Name)
		}
	}
	return nil
}

func (e *Election) valid() error {
	switch {
	case e.Number == 0 && (e.Name != "" || e.Created != 0 || e.Started):
		return fmt.Errorf("the default election has no name %q", e.Name)
	case e.Name != "" && !ValidName(e.Name):
		return fmt.Errorf("name %q: want 1 to %d of a-z 0-9 . _ -", e.Name, MaxName)
	}
	return validRecord(&e.Record)
}

func validRecord(r *election.Record) error {
	switch {
	case r.Term > election.MaxTerm:
		return fmt.Errorf("term %d: at most %d", r.Term, uint64(election.MaxTerm))
	case r.Generation.Number > election.MaxGeneration:
		return fmt.Errorf("generation %d: at most %d", r.Generation.Number, uint64(election.MaxGeneration))
	case r.Mark > election.MaxMark:
		return fmt.Errorf("mark %d: at most %d", r.Mark, uint64(election.MaxMark))
	case r.PromiseMax < 0:
		return fmt.Errorf("longest promise %s: at least 0s", r.PromiseMax)
	}
	return r.Config.Valid()
}
