package api_test

import (
	"net"
	"net/netip"
	"sync"
)

// pipes is a network in memory, for tests in virtual time. A dial waits until
// it is accepted.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*pipes)(nil)

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() net.Conn { return p.dialFrom("127.0.0.1:1") }

// dialFrom dials from an address.
func (p *pipes) dialFrom(addr string) net.Conn {
	here, there := net.Pipe()
	select {
	case p.conns <- pipeFrom{there, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}:
	case <-p.closed:
		_ = here.Close()
	}
	return here
}

// pipeFrom is a pipe with an address at its other end.
type pipeFrom struct {
	net.Conn
	from net.Addr
}

func (p pipeFrom) RemoteAddr() net.Addr { return p.from }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
