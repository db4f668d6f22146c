package agent

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/meters"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/wire"
)

// inboxSize bounds the datagrams that wait for the loop. What comes on top is
// dropped and counted: the senders repeat what matters.
const inboxSize = 1024

// inbox takes datagrams off the network: opened, decoded and addressed to us.
// It runs on the transport's reading goroutine.
type inbox struct {
	self   election.ID
	keys   *atomic.Pointer[wire.Keyring]
	frames chan *arrival
	free   sync.Pool
	counts *meters.Counters
	quiet  *quietlog.Log
	// mismatch reports an agent of other keys.
	mismatch func(host, text string)
	full     *atomic.Uint64
	arrived  *atomic.Uint64
	bytes    *atomic.Uint64
	body     []byte // the reading goroutine's
}

// arrival is one decoded datagram. The loop gives it back when it is done.
type arrival struct {
	wire.Frame
	from netip.AddrPort
}

func newInbox(self election.ID, keys *atomic.Pointer[wire.Keyring], counts *meters.Counters, quiet *quietlog.Log, mismatch func(host, text string)) *inbox {
	in := &inbox{
		self: self, keys: keys, counts: counts, quiet: quiet, mismatch: mismatch,
		frames:  make(chan *arrival, inboxSize),
		full:    counts.Of("dropped_inbox_full"),
		arrived: counts.Of("datagrams_received"),
		bytes:   counts.Of("bytes_received"),
		body:    make([]byte, 0, wire.MaxDatagram),
	}
	in.free.New = func() any { return new(arrival) }
	for _, reason := range wire.Reasons() {
		counts.Of("dropped_" + reason)
	}
	return in
}

// take is the transport's packet handler for datagrams of ours.
func (in *inbox) take(b []byte, from netip.AddrPort) {
	in.arrived.Add(1)
	in.bytes.Add(uint64(len(b)))
	body, err := in.keys.Load().Open(in.body[:0], b)
	if err != nil {
		in.counts.Traffic.Count(meters.Received, nil, len(b))
		in.dropped(err, from)
		return
	}
	a := in.free.Get().(*arrival)
	if err := wire.DecodeFrame(body, &a.Frame); err != nil {
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
		a.from = from
		select {
		case in.frames <- a:
			return
		default:
			in.full.Add(1)
		}
	}
	in.free.Put(a)
}

// dropped counts a bad datagram by its reason and says so once a minute and host.
func (in *inbox) dropped(err error, from netip.AddrPort) {
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
