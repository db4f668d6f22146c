package port

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"duckduckgoose/agent/quietlog"
)

const (
	// socketBuffer is the buffer size asked of the kernel, so that a burst is not lost.
	socketBuffer = 1 << 20
	// maxPacket is the largest packet UDP can carry.
	maxPacket = 65535
	// portTries bounds the search for a port that is free for both UDP and TCP.
	portTries = 16
)

// Transport is one agent's network: datagrams and streams on one port. The
// real one is [ListenUDP]; tests use one in memory.
type Transport interface {
	// Receive starts delivery; it is called once. The reading goroutine calls packet, and
	// b is valid until packet returns. stream owns the conn.
	Receive(packet func(b []byte, from netip.AddrPort), stream func(net.Conn))
	WriteTo(b []byte, to netip.AddrPort) error
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	LocalAddr() netip.AddrPort
	// Close ends delivery. No callback runs once it has returned. A second call does
	// nothing.
	Close() error
}

// Batcher is a Transport that can send several datagrams by one system call. WriteAll
// calls failed for each that could not be sent.
type Batcher interface {
	WriteAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error))
}

// sockets is the real network: UDP and TCP on one port.
type sockets struct {
	data  *datagrams
	tcp   *net.TCPListener
	addr  netip.AddrPort
	quiet quietlog.Log

	close  sync.Once
	closed chan struct{} // closed by Close
	ended  sync.WaitGroup
}

var (
	_ Transport = (*sockets)(nil)
	_ Batcher   = (*sockets)(nil)
	_ Alarmer   = (*sockets)(nil)
)

// ListenUDP opens UDP and TCP on bind, "HOST:PORT"; port 0 takes a port that is free for
// both. log gets a warning when streams cannot be accepted.
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
	// The kernel may grant less: that costs datagrams under load, but no safety.
	_ = udp.SetReadBuffer(socketBuffer)
	_ = udp.SetWriteBuffer(socketBuffer)
	data, err := newDatagrams(udp)
	if err != nil {
		return nil, err
	}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: addr.IP, Port: addr.Port, Zone: addr.Zone})
	if err != nil {
		data.endReceiving()
		return nil, errors.Join(err, data.close())
	}
	local := addr.AddrPort()
	if want.IP.Equal(net.IPv4zero) { // the socket also accepts IPv6, and shows [::]
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
	}
	return &sockets{
		data: data, tcp: tcp, addr: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), closed: make(chan struct{}),
	}, nil
}

func (s *sockets) Receive(packet func([]byte, netip.AddrPort), stream func(net.Conn)) {
	s.ended.Go(func() { s.data.receive(packet) })
	s.ended.Go(func() { acceptAll(s.tcp, s.closed, &s.quiet, stream) })
}

func (s *sockets) WriteTo(b []byte, to netip.AddrPort) error {
	return s.data.writeTo(b, to)
}

func (s *sockets) WriteAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error)) {
	s.data.writeAll(b, to, failed)
}

func (s *sockets) Alarm() (rings <-chan time.Time, set func(time.Duration)) {
	return s.data.alarm()
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
	s.data.endReceiving()
	err := ignoreClosed(s.tcp.Close())
	s.ended.Wait()
	return errors.Join(err, s.data.close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

const (
	// acceptPause is the first pause after a stream could not be accepted, for example
	// because the process has no file descriptor left. Each further pause is twice as
	// long.
	acceptPause = 5 * time.Millisecond
	// acceptPauseMost bounds it.
	acceptPauseMost = time.Second
)

// acceptAll passes streams on until ln is closed. closed ends a pause early.
func acceptAll(ln net.Listener, closed <-chan struct{}, quiet *quietlog.Log, stream func(net.Conn)) {
	pause := acceptPause
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			stream(conn)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		quiet.Warn("accept", "cannot accept streams: other agents have to wait", "error", err)
		select {
		case <-time.After(pause):
		case <-closed:
		}
		pause = min(2*pause, acceptPauseMost)
	}
}
