package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

const (
	// gossipQueue bounds memberlist's packets that wait; it drops and we count.
	gossipQueue = 256
	// prefaceWait is how long an accepted stream has to name its sender.
	prefaceWait = 2 * time.Second
	// halfOpen bounds the accepted streams that have not yet done so.
	halfOpen = 64
)

// mux shares one Transport between our datagrams, which go to the inbox on the
// reading goroutine, and memberlist, which gets everything else.
type mux struct {
	net       Transport
	self      election.ID
	label     string
	keys      *atomic.Pointer[wire.Keyring]
	counts    *counters
	quiet     *quietLog
	ours      func(b []byte, from netip.AddrPort)
	foreign   func(addr, label string)                      // an agent of another label was met
	peer      func(id election.ID) (string, netip.AddrPort) // who is behind a preface
	advertise string

	packets chan *memberlist.Packet
	streams chan net.Conn
	opening chan struct{}
	done    chan struct{}
	once    sync.Once
	ended   sync.WaitGroup
	final   atomic.Pointer[netip.AddrPort]
}

var _ memberlist.NodeAwareTransport = (*mux)(nil)

func (m *mux) start() {
	m.packets = make(chan *memberlist.Packet, gossipQueue)
	m.streams = make(chan net.Conn)
	m.opening = make(chan struct{}, halfOpen)
	m.done = make(chan struct{})
	m.net.Receive(m.packet, m.stream)
}

func (m *mux) packet(b []byte, from netip.AddrPort) {
	if len(b) == 0 {
		return
	}
	if b[0] == wire.FirstByte {
		m.ours(b, from)
		return
	}
	if label, ok := wire.FlockLabelOf(b); ok && label != m.label {
		m.counts.of("dropped_label").Add(1)
		m.foreign(from.String(), label)
		return
	}
	p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}
	select {
	case m.packets <- p:
	default:
		m.counts.of("dropped_gossip_full").Add(1)
	}
}

// stream takes an accepted stream: its preface names the sender before
// memberlist reads a byte.
func (m *mux) stream(conn net.Conn) {
	select {
	case m.opening <- struct{}{}:
	default:
		m.counts.of("dropped_stream_full").Add(1)
		_ = conn.Close()
		return
	}
	m.ended.Add(1)
	go func() {
		defer m.ended.Done()
		defer func() { <-m.opening }()
		if err := m.admit(conn); err != nil {
			_ = conn.Close()
			return
		}
		select {
		case m.streams <- conn:
		case <-m.done:
			_ = conn.Close()
		}
	}()
}

func (m *mux) admit(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(prefaceWait)); err != nil {
		return err
	}
	from := conn.RemoteAddr().String()
	id, err := wire.ReadPreface(conn, m.keys.Load())
	if err != nil {
		m.refuse(conn, from, err)
		return err
	}
	if c, ok := conn.(interface {
		Identify(name string, addr netip.AddrPort) error
	}); ok {
		if err := c.Identify(m.peer(id)); err != nil {
			return err
		}
	}
	return conn.SetDeadline(time.Time{})
}

// refuse counts a stream that is not for us, says why, and tells the dialer
// which label it met: it would see nothing but an EOF otherwise.
func (m *mux) refuse(conn net.Conn, from string, err error) {
	reason := wire.DropMalformed
	var drop *wire.DropError
	if errors.As(err, &drop) {
		reason = drop.Reason
	}
	m.counts.of("refused_stream_" + reason).Add(1)
	if drop == nil {
		return // it said nothing that could be answered
	}
	head := make([]byte, 2)
	if n, _ := conn.Read(head); n == 2 && head[0] == labelByte {
		rest := make([]byte, head[1])
		if n, _ := conn.Read(rest); n == len(rest) && string(rest) != m.label {
			m.foreign(from, string(rest))
			err = nil
		}
	}
	if err != nil {
		m.quiet.warn("stream "+reason+" "+hostOf(from), "stream refused: "+from+" "+err.Error())
	}
	_, _ = conn.Write(append([]byte{labelByte, byte(len(m.label))}, m.label...))
}

// labelByte opens memberlist's label header.
const labelByte = 244

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// dialed is a stream that we opened. An answer that opens with a label comes
// from an agent that refused us.
type dialed struct {
	net.Conn
	m    *mux
	to   string
	read bool
}

func (d *dialed) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.read || n == 0 {
		return n, err
	}
	d.read = true
	if b[0] != labelByte {
		return n, err
	}
	if label, ok := wire.FlockLabelOf(b[:n]); ok && label != d.m.label {
		d.m.foreign(d.to, label)
	} else {
		d.m.quiet.warn("refused "+d.to, fmt.Sprintf("%s refuses our streams: it holds another key (we hold %v)", d.to, d.m.keys.Load().KeyIDs()))
	}
	return 0, fmt.Errorf("%s refused the stream", d.to)
}

// FinalAdvertiseAddr tells memberlist what to tell the others.
func (m *mux) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr, err := advertised(m.advertise, m.net.LocalAddr())
	if err != nil {
		return nil, 0, err
	}
	m.final.Store(&addr)
	return addr.Addr().AsSlice(), int(addr.Port()), nil
}

// Advertised is the address the others are told.
func (m *mux) Advertised() netip.AddrPort {
	if a := m.final.Load(); a != nil {
		return *a
	}
	return m.net.LocalAddr()
}

func (m *mux) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	return time.Now(), m.net.WriteTo(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
}

func (m *mux) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return m.WriteTo(b, addr.Addr)
}

func (m *mux) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := m.net.Dial(ctx, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil {
		return nil, err
	}
	if err = conn.SetWriteDeadline(time.Now().Add(timeout)); err == nil {
		err = wire.WritePreface(conn, m.keys.Load(), m.self)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open stream to %s: %w", addr, err)
	}
	return &dialed{Conn: conn, m: m, to: addr}, conn.SetWriteDeadline(time.Time{})
}

func (m *mux) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return m.DialTimeout(addr.Addr, timeout)
}

func (m *mux) PacketCh() <-chan *memberlist.Packet { return m.packets }
func (m *mux) StreamCh() <-chan net.Conn           { return m.streams }

// Shutdown ends delivery and waits for the streams that were still opening.
func (m *mux) Shutdown() error {
	m.once.Do(func() { close(m.done) })
	err := m.net.Close()
	m.ended.Wait()
	return err
}

// advertised picks what to tell the others: what the user says, else the bound
// address, else the first private one.
func advertised(flag string, bound netip.AddrPort) (netip.AddrPort, error) {
	if flag != "" {
		if a, err := netip.ParseAddrPort(flag); err == nil {
			return a, nil
		}
		a, err := netip.ParseAddr(flag)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("advertise %q: want an address with or without a port, as 10.0.0.1 or 10.0.0.1:3825", flag)
		}
		return netip.AddrPortFrom(a, bound.Port()), nil
	}
	if !bound.Addr().IsUnspecified() {
		return bound, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find an address to advertise: %w", err)
	}
	best := netip.Addr{}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		if p.Addr().IsPrivate() {
			return netip.AddrPortFrom(p.Addr(), bound.Port()), nil
		}
		if !best.IsValid() {
			best = p.Addr()
		}
	}
	if !best.IsValid() {
		return netip.AddrPort{}, errors.New("no address to advertise: this machine has loopback addresses only; name one with --advertise ADDR")
	}
	return netip.AddrPortFrom(best, bound.Port()), nil
}
