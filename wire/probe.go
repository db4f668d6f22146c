package wire

import (
	"fmt"
	"time"
)

const (
	// MaxProbes bounds the probes of one session: Probe.Heard has a bit for each.
	MaxProbes = 64
	// MinProbePadding is what a question carries at least, so that its answer,
	// whose numbers may be longer, is never the larger datagram of the two:
	// nobody gets more sent to a third party than he has sent himself.
	MinProbePadding = 48

	// probeKind is the kind of a probe's entry: far from the elections' kinds,
	// for it is no election's message. A version that knows no probes skips it.
	probeKind   = 200
	probeFields = 6 // behind election and kind
)

// ProbeWord tells what a [Probe] says.
type ProbeWord uint8

// The words of a probe. Their numbers are the wire's: never reuse one.
const (
	ProbeQuestion ProbeWord = 1 + iota
	ProbeAnswer
)

// Probe measures the path between two agents, each direction for itself: a
// session of numbered questions, each answered once.
type Probe struct {
	Word    ProbeWord // 0: the frame carries none
	Session uint64    // the asker's choice
	Number  uint8     // below MaxProbes
	// Heard has a bit for each question of the session that the answerer has
	// got: what is missing was lost on the way there.
	Heard uint64
	At    time.Duration // the answerer's boot clock
	// Padding bytes make the datagram larger; questions carry MinProbePadding
	// or more. DecodeFrame counts them and leaves them out.
	Padding int
}

// padding is sent; nobody looks at it.
var padding [MaxBody]byte

// check tells what is wrong with a probe, own or received.
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
