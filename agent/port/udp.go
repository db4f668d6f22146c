package port

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"duckduckgoose/agent/quietlog"
)

const (
	// socketBuffer is asked of the kernel, so that a burst waits and is not lost.
	socketBuffer = 1 << 20
	// maxPacket is the largest packet UDP can carry.
	maxPacket = 65535
	// portTries bounds the search for a port that is free for UDP and TCP both.
	portTries = 16
)

// sockets is the real network: UDP and TCP on one port.
type sockets struct {
	udp   *net.UDPConn
	data  *datagrams
	tcp   *net.TCPListener
	addr  netip.AddrPort
	quiet quietlog.Log

	close  sync.Once
	closed chan struct{} // closed by Close
	ended  sync.WaitGroup
}

var _ Transport = (*sockets)(nil)

// ListenUDP opens UDP and TCP on bind, "HOST:PORT"; port 0 takes any that is free for both.
// log hears when streams cannot be accepted.
func ListenUDP(bind string, log *slog.Logger) (Transport, error) {
	want, err := net.ResolveUDPAddr("udp", bind)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", bind, err)
	}
	var last error
	for range portTries {
		s, err := listenBoth(want)
		if err == nil {
			s.quiet.Out = log
			return s, nil
		}
		last = err
		if want.Port != 0 {
			break
		}
	}
	return nil, fmt.Errorf("bind %s: %w", bind, last)
}

func listenBoth(want *net.UDPAddr) (*sockets, error) {
	udp, err := net.ListenUDP("udp", want)
	if err != nil {
		return nil, err
	}
	addr := udp.LocalAddr().(*net.UDPAddr)
	data, err := newDatagrams(udp)
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: addr.IP, Port: addr.Port, Zone: addr.Zone})
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	// The kernel may grant less; that costs datagrams under load, not safety.
	_ = udp.SetReadBuffer(socketBuffer)
	_ = udp.SetWriteBuffer(socketBuffer)
	local := addr.AddrPort()
	if want.IP.Equal(net.IPv4zero) { // the socket takes IPv6 as well, and says [::]
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
	}
	return &sockets{
		udp: udp, data: data, tcp: tcp, addr: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), closed: make(chan struct{}),
	}, nil
}

func (s *sockets) Receive(packet func([]byte, netip.AddrPort), stream func(net.Conn)) {
	s.ended.Go(func() {
		buf := make([]byte, maxPacket)
		for {
			n, from, err := s.data.readFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // an ICMP error about somebody else's datagram
			}
			packet(buf[:n], from)
		}
	})
	s.ended.Go(func() { acceptAll(s.tcp, s.closed, &s.quiet, stream) })
}

func (s *sockets) WriteTo(b []byte, to netip.AddrPort) error {
	return s.data.writeTo(b, to)
}

func (s *sockets) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if !hasFullPackets(ctx) {
		d.Control = shortSegments
	}
	return d.DialContext(ctx, "tcp", to.String())
}

func (s *sockets) LocalAddr() netip.AddrPort { return s.addr }

func (s *sockets) Close() error {
	s.close.Do(func() { close(s.closed) })
	err := errors.Join(ignoreClosed(s.udp.Close()), ignoreClosed(s.tcp.Close()))
	s.ended.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
