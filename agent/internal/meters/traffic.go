package meters

import (
	"cmp"
	"sync"
	"sync/atomic"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// The kinds of datagrams beyond those of the election's messages, which have
// their own numbers.
const (
	trafficOther    = 0 // unreadable, or of kinds unknown here
	trafficFounding = int(election.Announce) + iota
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
	case len(f.Messages) == 1 && f.Messages[0].Kind <= election.Announce:
		return int(f.Messages[0].Kind)
	}
	return trafficOther
}

// trafficName names a kind as metrics do.
func trafficName(kind int) string {
	own := [trafficKinds]string{trafficOther: "other", trafficFounding: "founding", trafficProbe: "probe", trafficBatch: "batch"}
	return cmp.Or(own[kind], election.Kind(kind).String())
}

// Counters counts what happened, by name. A name is made at its first use. It
// is safe for many goroutines, and its zero value is ready.
type Counters struct {
	Traffic Traffic

	byName sync.Map // string -> *atomic.Uint64
}

// Of returns the counter of a name. A caller that counts often keeps the pointer.
func (c *Counters) Of(name string) *atomic.Uint64 {
	if v, ok := c.byName.Load(name); ok {
		return v.(*atomic.Uint64)
	}
	v, _ := c.byName.LoadOrStore(name, new(atomic.Uint64))
	return v.(*atomic.Uint64)
}

// All copies the counters.
func (c *Counters) All() map[string]uint64 {
	m := make(map[string]uint64)
	c.byName.Range(func(k, v any) bool {
		m[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	return m
}
