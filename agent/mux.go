package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/meters"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/wire"
)

const (
	// gossipQueue bounds memberlist's packets that wait; it drops and we count.
	gossipQueue = 256
	// prefaceWait is how long an accepted stream has to name its sender.
	prefaceWait = 2 * time.Second
)

// mux shares one Transport between our datagrams, which go to the inbox on the
// reading goroutine, and memberlist, which gets everything else.
type mux struct {
	net       Transport
	self      election.ID
	label     string
	keys      *atomic.Pointer[wire.Keyring]
	counts    *meters.Counters
	quiet     *quietlog.Log
	ours      func(b []byte, from netip.AddrPort)
	foreign   func(addr, label string)                      // an agent of another label was met
	mismatch  func(host, text string)                       // an agent of other keys was met
	peer      func(id election.ID) (string, netip.AddrPort) // who is behind a preface
	advertise string

	packets chan *memberlist.Packet
	streams chan net.Conn
	in      *inflow
	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	final   atomic.Pointer[netip.AddrPort]

	mu struct { // guards open, and that nothing is added after Shutdown
		sync.Mutex
		open map[net.Conn]struct{} // every stream; Shutdown closes them
	}
}

var _ memberlist.NodeAwareTransport = (*mux)(nil)

func (m *mux) start() {
	m.packets = make(chan *memberlist.Packet, gossipQueue)
	m.streams = make(chan net.Conn)
	m.in = &inflow{counts: m.counts, quiet: m.quiet}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.mu.open = map[net.Conn]struct{}{}
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
		m.counts.Of("dropped_label").Add(1)
		if m.quiet.ThirdTime("label "+from.Addr().String(), label) {
			m.foreign(from.String(), label)
		}
		return
	}
	m.counts.Of("gossip_received").Add(1)
	m.counts.Of("gossip_bytes_received").Add(uint64(len(b)))
	p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}
	select {
	case m.packets <- p:
	default:
		m.counts.Of("dropped_gossip_full").Add(1)
	}
}

// stream takes an accepted stream: its preface names the sender before
// memberlist reads a byte.
func (m *mux) stream(raw net.Conn) {
	if !m.track(raw) {
		return
	}
	conn := &accepted{tracked: tracked{Conn: raw, m: m}, in: m.in, host: hostPrefix(raw.RemoteAddr())}
	conn.guard = newGuard(raw, true, func(n int) error { return m.in.grow(conn, n) })
	m.in.take(conn)
	go func() {
		defer m.ended.Done()
		if err := m.admit(raw); err != nil {
			_ = conn.Close()
			return
		}
		select {
		case m.streams <- conn:
		case <-m.ctx.Done():
			_ = conn.Close()
		}
	}()
}

// track books a stream that Shutdown is to close, and one goroutine that it is
// to wait for; after Shutdown it closes the stream and gives false.
func (m *mux) track(conn net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		_ = conn.Close()
		return false
	}
	m.mu.open[conn] = struct{}{}
	m.ended.Add(1)
	return true
}

// tracked is a stream that memberlist closes, or Shutdown.
type tracked struct {
	net.Conn
	m *mux
}

func (t *tracked) Close() error {
	t.m.mu.Lock()
	delete(t.m.mu.open, t.Conn)
	t.m.mu.Unlock()
	return t.Conn.Close()
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
	m.counts.Of("refused_stream_" + reason).Add(1)
	if drop == nil {
		return // it said nothing that could be answered
	}
	label, ok := readLabel(conn)
	switch {
	case ok && label != m.label:
		m.foreign(from, label)
	case ofKeys(reason):
		m.mismatch(hostOf(from), hostOf(from)+" "+drop.Error())
	default:
		m.quiet.Warn("stream "+reason+" "+hostOf(from), "stream refused: "+from+" "+drop.Error())
	}
	_, _ = conn.Write(append([]byte{labelByte, byte(len(m.label))}, m.label...))
}

// readLabel reads the label that follows a preface which did not open.
func readLabel(conn net.Conn) (string, bool) {
	b := make([]byte, 2, 2+wire.MaxLabel)
	if _, err := io.ReadFull(conn, b); err != nil || b[0] != labelByte {
		return "", false
	}
	b = b[:2+int(b[1])]
	if _, err := io.ReadFull(conn, b[2:]); err != nil {
		return "", false
	}
	return wire.FlockLabelOf(b)
}

// ofKeys tells whether a datagram or stream was dropped because its sender
// holds other keys than we.
func ofKeys(reason string) bool {
	return reason == wire.DropUnknownKey || reason == wire.DropUnsealed
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
	tracked
	to    string
	guard guard
	read  bool
}

func (d *dialed) Read(b []byte) (int, error) {
	if !d.read {
		d.read = true
		if first, err := d.guard.r.Peek(1); err == nil && first[0] == labelByte {
			return 0, d.refused()
		}
	}
	n, err := d.guard.Read(b)
	if reason := unfit(err); reason != "" {
		d.m.counts.Of("dropped_stream_" + reason).Add(1)
	}
	return n, err
}

// refused says why, by the label that the other end answers with.
func (d *dialed) refused() error {
	var b []byte
	if head, err := d.guard.r.Peek(2); err == nil {
		b, _ = d.guard.r.Peek(2 + int(head[1])) // cut short, it is no label
	}
	if label, ok := wire.FlockLabelOf(b); ok && label != d.m.label {
		d.m.foreign(d.to, label)
	} else {
		d.m.mismatch(hostOf(d.to), fmt.Sprintf("%s refuses our streams: it holds other keys (%s)", d.to, held(d.m.keys.Load())))
	}
	return fmt.Errorf("%s refused the stream", d.to)
}

// held says which keys we hold.
func held(k *wire.Keyring) string {
	if ids := k.KeyIDs(); len(ids) > 0 {
		return "we hold " + strings.Join(ids, ", ")
	}
	return "we hold none"
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
	m.counts.Of("gossip_sent").Add(1)
	m.counts.Of("gossip_bytes_sent").Add(uint64(len(b)))
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
	ctx, cancel := context.WithTimeout(m.ctx, timeout)
	defer cancel()
	raw, err := m.net.Dial(ctx, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil {
		return nil, err
	}
	if !m.track(raw) {
		return nil, net.ErrClosed
	}
	defer m.ended.Done()
	conn := &dialed{tracked: tracked{Conn: raw, m: m}, to: addr, guard: newGuard(raw, false, oneStream())}
	if err = conn.SetWriteDeadline(time.Now().Add(timeout)); err == nil {
		err = wire.WritePreface(conn, m.keys.Load(), m.self)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open stream to %s: %w", addr, err)
	}
	return conn, conn.SetWriteDeadline(time.Time{})
}

func (m *mux) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return m.DialTimeout(addr.Addr, timeout)
}

func (m *mux) PacketCh() <-chan *memberlist.Packet { return m.packets }
func (m *mux) StreamCh() <-chan net.Conn           { return m.streams }

// Shutdown makes this agent silent: it ends delivery, breaks every stream, ends
// the dials under way, and waits for what was still opening. Safe twice.
func (m *mux) Shutdown() error {
	m.mu.Lock()
	m.cancel()
	open := make([]net.Conn, 0, len(m.mu.open))
	for c := range m.mu.open {
		open = append(open, c)
	}
	clear(m.mu.open)
	m.mu.Unlock()
	err := m.net.Close()
	for _, c := range open {
		_ = c.Close() // memberlist closes it once more, which harms nobody
	}
	m.ended.Wait()
	return err
}
