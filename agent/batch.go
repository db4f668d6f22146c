package agent

import (
	"net/netip"

	"duckduckgoose/agent/port"
	"duckduckgoose/wire"
)

// batchSize bounds the datagrams that wait for the end of a turn.
const batchSize = 16

// batch collects the sealed datagrams of a turn, to send them with few system calls.
// It reuses its buffers.
type batch struct {
	datagrams [][]byte
	to        []netip.AddrPort
	failed    func(i int, err error) // made once, so that flush allocates nothing
}

func newBatch(notSent func(netip.AddrPort, error)) *batch {
	b := &batch{}
	b.failed = func(i int, err error) { notSent(b.to[i], err) }
	return b
}

func (b *batch) full() bool { return len(b.datagrams) == batchSize }

// room returns an empty buffer for the next datagram.
func (b *batch) room() []byte {
	n := len(b.datagrams)
	if n < cap(b.datagrams) {
		if used := b.datagrams[:n+1][n]; used != nil {
			return used[:0]
		}
	}
	return make([]byte, 0, wire.MaxDatagram)
}

func (b *batch) add(datagram []byte, to netip.AddrPort) {
	b.datagrams, b.to = append(b.datagrams, datagram), append(b.to, to)
}

// flush sends the datagrams.
func (b *batch) flush(net Transport) {
	if all, ok := net.(port.Batcher); ok && len(b.datagrams) > 1 {
		all.WriteAll(b.datagrams, b.to, b.failed)
	} else {
		for i, datagram := range b.datagrams {
			if err := net.WriteTo(datagram, b.to[i]); err != nil {
				b.failed(i, err)
			}
		}
	}
	b.datagrams, b.to = b.datagrams[:0], b.to[:0]
}
