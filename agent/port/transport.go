package port

import (
	"context"
	"net"
	"net/netip"
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
