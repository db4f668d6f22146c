package agent

import (
	"sync/atomic"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// The kinds of datagrams beyond those of the election's messages, which have
// their own numbers.
const (
	trafficOther    = 0 // unreadable, or of kinds unknown here
	trafficFounding = int(election.LeaveReply) + iota
	trafficProbe
	trafficBatch // several messages
	trafficKinds
)

// The directions of traffic.
const (
	trafficSent = iota
	trafficReceived
	trafficDirections
)

// traffic counts our datagrams by direction and kind. Its place is the
// heartbeat's path: two additions a datagram, and no lock.
type traffic [trafficDirections][trafficKinds]struct{ datagrams, bytes atomic.Uint64 }

// count books one datagram; a nil frame is one that could not be read.
func (t *traffic) count(direction int, f *wire.Frame, bytes int) {
	c := &t[direction][trafficKind(f)]
	c.datagrams.Add(1)
	c.bytes.Add(uint64(bytes))
}

func trafficKind(f *wire.Frame) int {
	switch {
	case f == nil:
		return trafficOther
	case f.Founding.Kind != 0:
		return trafficFounding
	case f.Probe.Word != 0:
		return trafficProbe
	case len(f.Messages) > 1 || f.Packed():
		return trafficBatch
	case len(f.Messages) == 1 && f.Messages[0].Kind <= election.LeaveReply:
		return int(f.Messages[0].Kind)
	}
	return trafficOther
}

// trafficName names a kind as metrics do.
func trafficName(kind int) string {
	switch kind {
	case trafficOther:
		return "other"
	case trafficFounding:
		return "founding"
	case trafficProbe:
		return "probe"
	case trafficBatch:
		return "batch"
	}
	return election.Kind(kind).String()
}
