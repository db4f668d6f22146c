package meters

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

// Direction tells which way a datagram went.
type Direction uint8

// The directions of traffic.
const (
	Sent Direction = iota
	Received
	directions
)

// Traffic counts our datagrams by direction and kind. Each heartbeat passes
// here, so one costs two additions and no lock.
type Traffic [directions][trafficKinds]struct{ datagrams, bytes atomic.Uint64 }

// Count counts one datagram; a nil frame is one that could not be read.
func (t *Traffic) Count(d Direction, f *wire.Frame, bytes int) {
	c := &t[d][trafficKind(f)]
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
