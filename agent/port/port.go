// Package port shares one UDP and TCP port between the agents' own datagrams and
// memberlist, and limits what one sender can take of it.
//
// A datagram of ours goes to Options.Datagram on the reading goroutine;
// memberlist gets everything else. A stream must first name its sender, sealed
// with a key of the flock. [Port] is memberlist's transport. [ListenUDP] opens
// the real sockets.
package port

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
	// gossipQueue bounds the packets that wait for memberlist. What comes on top is
	// dropped and counted.
	gossipQueue = 256
	// prefaceWait is how long an accepted stream has to name its sender.
	prefaceWait = 2 * time.Second
)

// Options is what a port is opened with. The functions may be called from any
// goroutine and must not block.
type Options struct {
	Transport Transport
	Self      election.ID
	Label     string // of the flock, in memberlist's packets and streams
	Keys      *atomic.Pointer[wire.Keyring]
	Advertise string // the address that the others are told; "": see [Advertised]
	Counts    *meters.Counters
	Quiet     *quietlog.Log

	Datagram   func(b []byte, from netip.AddrPort)           // takes a datagram of ours; b is valid until it returns
	OtherLabel func(addr, label string)                      // an agent of another label was met
	OtherKeys  func(host, text string)                       // an agent of other keys was met
	Sender     func(id election.ID) (string, netip.AddrPort) // the name and address of a stream's sender, for fault rules
}

// Port shares one Transport between our datagrams and memberlist.
type Port struct {
	opts Options

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

var _ memberlist.NodeAwareTransport = (*Port)(nil)

// Open begins to receive.
func Open(opts Options) *Port {
	p := newPort(opts)
	p.opts.Transport.Receive(p.packet, p.stream)
	return p
}

func newPort(opts Options) *Port {
	p := &Port{
		opts:    opts,
		packets: make(chan *memberlist.Packet, gossipQueue), streams: make(chan net.Conn),
		in: &inflow{counts: opts.Counts, quiet: opts.Quiet},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mu.open = map[net.Conn]struct{}{}
	return p
}

// Closed is closed when Shutdown begins.
func (p *Port) Closed() <-chan struct{} { return p.ctx.Done() }

func (p *Port) packet(b []byte, from netip.AddrPort) {
	if len(b) == 0 {
		return
	}
	if b[0] == wire.FirstByte {
		p.opts.Datagram(b, from)
		return
	}
	if label, ok := wire.FlockLabelOf(b); ok && label != p.opts.Label {
		p.opts.Counts.Of("dropped_label").Add(1)
		if p.opts.Quiet.ThirdTime("label "+from.Addr().String(), label) {
			p.opts.OtherLabel(from.String(), label)
		}
		return
	}
	p.opts.Counts.Of("gossip_received").Add(1)
	p.opts.Counts.Of("gossip_bytes_received").Add(uint64(len(b)))
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}
	select {
	case p.packets <- packet:
	default:
		p.opts.Counts.Of("dropped_gossip_full").Add(1)
	}
}

// stream takes an accepted stream. Its preface must name the sender before
// memberlist reads a byte.
func (p *Port) stream(raw net.Conn) {
	if !p.track(raw) {
		return
	}
	conn := &accepted{tracked: tracked{Conn: raw, port: p}, in: p.in, host: hostPrefix(raw.RemoteAddr())}
	conn.guard = newGuard(raw, true, func(n int) error { return p.in.grow(conn, n) })
	p.in.take(conn)
	go func() {
		defer p.ended.Done()
		if err := p.admit(raw); err != nil {
			_ = conn.Close()
			return
		}
		select {
		case p.streams <- conn:
		case <-p.ctx.Done():
			_ = conn.Close()
		}
	}()
}

// track registers a stream that Shutdown will close, and one goroutine that it
// will wait for. After Shutdown it closes the stream and gives false.
func (p *Port) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		_ = conn.Close()
		return false
	}
	p.mu.open[conn] = struct{}{}
	p.ended.Add(1)
	return true
}

// tracked is a stream that memberlist or Shutdown closes.
type tracked struct {
	net.Conn
	port *Port
}

func (t *tracked) Close() error {
	t.port.mu.Lock()
	delete(t.port.mu.open, t.Conn)
	t.port.mu.Unlock()
	return t.Conn.Close()
}

func (p *Port) admit(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(prefaceWait)); err != nil {
		return err
	}
	from := conn.RemoteAddr().String()
	id, err := wire.ReadPreface(conn, p.opts.Keys.Load())
	if err != nil {
		p.refuse(conn, from, err)
		return err
	}
	if c, ok := conn.(interface {
		Identify(name string, addr netip.AddrPort) error
	}); ok {
		if err := c.Identify(p.opts.Sender(id)); err != nil {
			return err
		}
	}
	return conn.SetDeadline(time.Time{})
}

// refuse counts a stream that is not for us, reports why, and answers with our
// label, so that the dialer sees more than an EOF.
func (p *Port) refuse(conn net.Conn, from string, err error) {
	reason := wire.DropMalformed
	var drop *wire.DropError
	if errors.As(err, &drop) {
		reason = drop.Reason
	}
	p.opts.Counts.Of("refused_stream_" + reason).Add(1)
	if drop == nil {
		return // it sent nothing that could be answered
	}
	label, ok := readLabel(conn)
	switch {
	case ok && label != p.opts.Label:
		p.opts.OtherLabel(from, label)
	case OfKeys(reason):
		p.opts.OtherKeys(Host(from), Host(from)+" "+drop.Error())
	default:
		p.opts.Quiet.Warn("stream "+reason+" "+Host(from), "stream refused: "+from+" "+drop.Error())
	}
	_, _ = conn.Write(append([]byte{labelByte, byte(len(p.opts.Label))}, p.opts.Label...))
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

// OfKeys tells whether a drop has this reason because the sender holds other
// keys than we.
func OfKeys(reason string) bool {
	return reason == wire.DropUnknownKey || reason == wire.DropUnsealed
}

// labelByte opens memberlist's label header.
const labelByte = 244

// Host gives the host of HOST:PORT.
func Host(addr string) string {
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
		d.port.opts.Counts.Of("dropped_stream_" + reason).Add(1)
	}
	return n, err
}

// refused reports why the other end refused, by the label that it answered with.
func (d *dialed) refused() error {
	var b []byte
	if head, err := d.guard.r.Peek(2); err == nil {
		b, _ = d.guard.r.Peek(2 + int(head[1])) // cut short, it is no label
	}
	if label, ok := wire.FlockLabelOf(b); ok && label != d.port.opts.Label {
		d.port.opts.OtherLabel(d.to, label)
	} else {
		d.port.opts.OtherKeys(Host(d.to), fmt.Sprintf("%s refuses our streams: it holds other keys (%s)", d.to, held(d.port.opts.Keys.Load())))
	}
	return fmt.Errorf("%s refused the stream", d.to)
}

// held lists the keys that we hold.
func held(k *wire.Keyring) string {
	if ids := k.KeyIDs(); len(ids) > 0 {
		return "we hold " + strings.Join(ids, ", ")
	}
	return "we hold none"
}

// FinalAdvertiseAddr gives memberlist the address that the others are told.
func (p *Port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr, err := Advertised(p.opts.Advertise, p.opts.Transport.LocalAddr())
	if err != nil {
		return nil, 0, err
	}
	p.final.Store(&addr)
	return addr.Addr().AsSlice(), int(addr.Port()), nil
}

// Advertised is the address the others are told.
func (p *Port) Advertised() netip.AddrPort {
	if a := p.final.Load(); a != nil {
		return *a
	}
	return p.opts.Transport.LocalAddr()
}

func (p *Port) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	p.opts.Counts.Of("gossip_sent").Add(1)
	p.opts.Counts.Of("gossip_bytes_sent").Add(uint64(len(b)))
	return time.Now(), p.opts.Transport.WriteTo(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
}

func (p *Port) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return p.WriteTo(b, addr.Addr)
}

func (p *Port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	raw, err := p.opts.Transport.Dial(ctx, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil {
		return nil, err
	}
	if !p.track(raw) {
		return nil, net.ErrClosed
	}
	defer p.ended.Done()
	conn := &dialed{tracked: tracked{Conn: raw, port: p}, to: addr, guard: newGuard(raw, false, oneStream())}
	if err = conn.SetWriteDeadline(time.Now().Add(timeout)); err == nil {
		err = wire.WritePreface(conn, p.opts.Keys.Load(), p.opts.Self)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open stream to %s: %w", addr, err)
	}
	return conn, conn.SetWriteDeadline(time.Time{})
}

func (p *Port) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return p.DialTimeout(addr.Addr, timeout)
}

func (p *Port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *Port) StreamCh() <-chan net.Conn           { return p.streams }

// Shutdown makes this agent silent: it ends delivery, closes every stream, ends
// the dials under way, and waits for those that were still opening. It is safe
// twice.
func (p *Port) Shutdown() error {
	p.mu.Lock()
	p.cancel()
	open := make([]net.Conn, 0, len(p.mu.open))
	for c := range p.mu.open {
		open = append(open, c)
	}
	clear(p.mu.open)
	p.mu.Unlock()
	err := p.opts.Transport.Close()
	for _, c := range open {
		_ = c.Close() // memberlist closes it once more, which harms nobody
	}
	p.ended.Wait()
	return err
}
