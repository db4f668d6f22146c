package agent

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Transport is one agent's network: datagrams and streams on one port. The
// real one is [ListenUDP]; tests use one in memory.
type Transport interface {
	// Receive starts delivery; it is called once. packet is called from the
	// reading goroutine, and b is valid until it returns. stream owns the conn.
	Receive(packet func(b []byte, from netip.AddrPort), stream func(net.Conn))
	WriteTo(b []byte, to netip.AddrPort) error
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	LocalAddr() netip.AddrPort
	// Close ends delivery. It is safe twice; no callback runs once it has returned.
	Close() error
}

// Faults is the network emulator as an agent sees it.
type Faults interface {
	// Set replaces the rules; ttl 0 keeps them for ever. An error leaves the old ones.
	Set(rules string, ttl time.Duration) error
	Clear()
	// Show gives the rules as they print; expiresIn is below 0 when they do not expire.
	Show() (rules string, expiresIn time.Duration, seed uint64)
	// Learn tells who is who, so that rules can name agents.
	Learn(names map[netip.AddrPort]string)
	Counters() map[string]uint64
}
