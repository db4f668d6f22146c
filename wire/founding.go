package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"duckduckgoose/agent/election"
)

// MaxFounders bounds the agents that found a flock together.
const MaxFounders = 32

// FoundingKind is the kind of a [Founding].
type FoundingKind uint8

// The messages of the founding protocol. Their numbers are part of the format: never
// reuse one.
const (
	FoundPropose FoundingKind = 1 + iota // the coordinator asks the whole set
	FoundAccept                          // a founder has durably accepted
	FoundRefuse                          // the sender belongs to another flock, or sees another set
	FoundAbort                           // the coordinator releases the founders that accepted
)

// Founding is one message of the two-phase commit that founds a flock.
type Founding struct {
	Kind FoundingKind // 0: the frame carries none
	// FlockID is the flock being founded. If there is a Set, it must be FoundingID(Set,
	// Attempt).
	FlockID election.FlockID
	Attempt uint64
	Expect  int   // the number of founders that the sender wants, 0 to MaxFounders
	Reason  uint8 // FoundRefuse: why; the numbers are the agent's
	// Set has the founders, sorted, at most MaxFounders. FoundPropose must have it, the
	// others may. DecodeFrame reuses the slice.
	Set []election.ID
}

// FoundingID returns the flock id of a set of founders and an attempt. The set must be
// sorted: another order gives another id.
func FoundingID(set []election.ID, attempt uint64) election.FlockID {
	h := sha256.New()
	var b [8]byte
	h.Write([]byte("duckduckgoose founding 1"))
	h.Write(binary.BigEndian.AppendUint64(b[:0], attempt))
	for i := range set {
		h.Write(set[i][:])
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return election.FlockID(sum[:16])
}

// check returns what is wrong with a founding message, own or received.
func (w *Founding) check() *DropError {
	switch {
	case w.Kind < FoundPropose || w.Kind > FoundAbort:
		return outOfRange("founding kind", uint64(w.Kind), uint64(FoundAbort))
	case w.FlockID.IsZero():
		return drop(DropRange, "founding names no flock")
	case w.Expect < 0 || w.Expect > MaxFounders:
		return drop(DropRange, fmt.Sprintf("founding expects %d agents: want 0 to %d", w.Expect, MaxFounders))
	case len(w.Set) > MaxFounders:
		return outOfRange("founding set's size", uint64(len(w.Set)), MaxFounders)
	case len(w.Set) == 0 && w.Kind == FoundPropose:
		return drop(DropRange, "founding proposes nobody")
	}
	for i := range w.Set {
		if w.Set[i].IsZero() || i > 0 && w.Set[i-1].Compare(w.Set[i]) >= 0 {
			return drop(DropRange, "founding set is not sorted by id, or repeats one")
		}
	}
	if len(w.Set) > 0 && w.FlockID != FoundingID(w.Set, w.Attempt) {
		return drop(DropRange, "founding's flock id is not that of its set and attempt")
	}
	return nil
}
