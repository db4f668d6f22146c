package wire

import (
	"fmt"
	"time"
)

const (
	// MaxProbes bounds the probes of one session: Probe.Heard has a bit for each.
	MaxProbes = 64
	// MinProbePadding is the least padding of a question. It makes the answer, whose
	// numbers may be longer, no larger than the question, so that a forged sender
	// address amplifies nothing.
	MinProbePadding = 48

	// probeKind is the kind of a probe's entry. It is far from the kinds of election
	// messages, and a version without probes skips it.
	probeKind   = 200
	probeFields = 6 // after election and kind
)

// ProbeWord is the kind of a [Probe].
type ProbeWord uint8

// The kinds of probes. Their numbers are part of the format: never reuse one.
const (
	ProbeQuestion ProbeWord = 1 + iota
	ProbeAnswer
)

// Probe measures the path between two agents in each direction: a session of numbered
// questions, each answered once.
type Probe struct {
	Word    ProbeWord // 0: the frame carries none
	Session uint64    // chosen by the asker
	Number  uint8     // below MaxProbes
	// Heard has a bit for each question of the session that the answerer has received:
	// the others were lost on the way there.
	Heard uint64
	At    time.Duration // the answerer's boot clock
	// Padding bytes make the datagram larger; a question has at least MinProbePadding.
	// DecodeFrame returns their number only.
	Padding int
}

// padding is sent and ignored.
var padding [MaxBody]byte

// check returns what is wrong with a probe, own or received.
func (p *Probe) check() *DropError {
	switch {
	case p.Word < ProbeQuestion || p.Word > ProbeAnswer:
		return outOfRange("probe's word", uint64(p.Word), uint64(ProbeAnswer))
	case p.Number >= MaxProbes:
		return outOfRange("probe's number", uint64(p.Number), MaxProbes-1)
	case p.At < 0:
		return drop(DropRange, fmt.Sprintf("probe's clock at %v: want 0s or more", p.At))
	case p.Padding < 0 || p.Padding > MaxBody:
		return drop(DropRange, fmt.Sprintf("probe's padding of %d bytes: want 0 to %d", p.Padding, MaxBody))
	case p.Word == ProbeQuestion && p.Padding < MinProbePadding:
		return drop(DropRange, fmt.Sprintf("probe's padding of %d bytes: a question wants %d", p.Padding, MinProbePadding))
	}
	return nil
}
