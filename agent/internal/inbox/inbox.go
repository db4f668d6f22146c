// Package inbox takes an agent's datagrams from the network, opens and decodes them,
// and drops those that are addressed to others.
package inbox

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/wire"
)

// size bounds the datagrams that wait for the loop. More are dropped and counted:
// senders repeat what matters.
const size = 1024

// Inbox is the queue between the port's reading goroutine and the loop.
type Inbox struct {
	self     election.ID
	keys     *atomic.Pointer[wire.Keyring]
	frames   chan *Arrival
	free     sync.Pool
	counts   *meters.Counters
	quiet    *quietlog.Log
	mismatch func(host, text string)
	full     *atomic.Uint64
	arrived  *atomic.Uint64
	bytes    *atomic.Uint64
	body     []byte // used by the reading goroutine only
}

// Arrival is a decoded datagram. The loop returns it with Free.
type Arrival struct {
	wire.Frame
	Source netip.AddrPort
}

// New makes an inbox. It calls mismatch when an agent has other keys.
func New(self election.ID, keys *atomic.Pointer[wire.Keyring], counts *meters.Counters, quiet *quietlog.Log, mismatch func(host, text string)) *Inbox {
	in := &Inbox{
		self: self, keys: keys, counts: counts, quiet: quiet, mismatch: mismatch,
		frames:  make(chan *Arrival, size),
		full:    counts.Of("dropped_inbox_full"),
		arrived: counts.Of("datagrams_received"),
		bytes:   counts.Of("bytes_received"),
		body:    make([]byte, 0, wire.MaxDatagram),
	}
	in.free.New = func() any { return new(Arrival) }
	for _, reason := range wire.Reasons() {
		counts.Of("dropped_" + reason)
	}
	return in
}

// Waiting returns the datagrams that wait for the loop.
func (in *Inbox) Waiting() <-chan *Arrival { return in.frames }

// Free takes back a datagram that the loop has handled.
func (in *Inbox) Free(a *Arrival) { in.free.Put(a) }

// Take handles a datagram that the port received.
func (in *Inbox) Take(b []byte, from netip.AddrPort) {
	in.arrived.Add(1)
	in.bytes.Add(uint64(len(b)))
	a := in.free.Get().(*Arrival)
	body, err := in.keys.Load().Open(in.body[:0], b)
	if err == nil {
		err = wire.DecodeFrame(body, &a.Frame)
	}
	if err != nil {
		in.counts.Traffic.Count(meters.Received, nil, len(b))
		in.dropped(err, from)
		in.free.Put(a)
		return
	}
	in.counts.Traffic.Count(meters.Received, &a.Frame, len(b))
	if a.Skipped > 0 {
		in.counts.Of("dropped_" + wire.DropUnknownKind).Add(uint64(a.Skipped))
	}
	switch {
	case a.From == in.self:
		in.counts.Of("dropped_own").Add(1)
	case a.To != in.self:
		in.counts.Of("dropped_not_for_us").Add(1)
	default:
		a.Source = from
		select {
		case in.frames <- a:
			return
		default:
			in.full.Add(1)
		}
	}
	in.free.Put(a)
}

// dropped counts a bad datagram by its reason, and logs it once per host and minute.
func (in *Inbox) dropped(err error, from netip.AddrPort) {
	var drop *wire.DropError
	if !errors.As(err, &drop) {
		drop = &wire.DropError{Reason: wire.DropMalformed, Detail: err.Error()}
	}
	in.counts.Of("dropped_" + drop.Reason).Add(1)
	host := from.Addr().String()
	switch {
	case port.OfKeys(drop.Reason):
		if in.quiet.ThirdTime("key "+host, drop.KeyID) {
			in.mismatch(host, host+" "+drop.Error())
		}
	case in.quiet.Due("drop " + drop.Reason + " " + host):
		in.quiet.Out.Warn("datagram dropped: " + from.String() + " " + drop.Error())
	}
}
