package transport

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/netem"
)

// Base is the network below: the agent's transport interface, declared here
// too so that neither package imports the other.
type Base interface {
	// Receive starts delivery. packet is called from the reading goroutine; b is
	// valid until it returns. stream owns the conn. Called once.
	Receive(packet func(b []byte, from netip.AddrPort), stream func(net.Conn))
	WriteTo(b []byte, to netip.AddrPort) error
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	LocalAddr() netip.AddrPort
	// Close ends delivery; safe twice; no callback runs after it returned.
	Close() error
}

// batcher is a Base that sends several datagrams at once.
type batcher interface {
	WriteAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error))
}

var (
	_ Base    = (*Transport)(nil)
	_ batcher = (*Transport)(nil)
)

// Transport is a Base with faults. Its methods may be called from any goroutine.
type Transport struct {
	base    Base
	batches batcher // the base, if it is one
	start   time.Time
	limit   int // of the delayed datagrams kept in one direction
	packet  func(b []byte, from netip.AddrPort)
	// turn is held while packet runs, unless the network is undisturbed: then
	// the base's reader alone calls it. A channel, so that waiting for it lets
	// virtual time go on.
	turn chan struct{}
	done chan struct{} // closed by Close
	wg   sync.WaitGroup

	// disturbed: rules stand, or inbound datagrams of former rules are still kept.
	disturbed atomic.Bool

	mu      sync.Mutex // guards all below; never held while something waits
	em      *netem.Emulator
	expiry  *expiry                   // nil: never
	changed chan struct{}             // closed, and made anew, when the rules change
	names   map[netip.AddrPort]string // by canonical address
	conns   map[*conn]struct{}
	out, in line
	closed  bool
	count   counts
}

// counts is what only a transport can count.
type counts struct {
	overflow   uint64 // datagrams dropped because too many were kept
	lateCut    uint64 // kept datagrams dropped by a cut that appeared meanwhile
	lateFailed uint64 // kept datagrams that the base refused
	dialsCut   uint64
	streamsCut uint64
}

// Wrap puts a Transport without rules above base. The seed fixes the dice:
// give each agent its own.
func Wrap(base Base, seed uint64) *Transport {
	batches, _ := base.(batcher)
	return &Transport{
		base:    base,
		batches: batches,
		start:   time.Now(),
		limit:   keepDatagrams,
		turn:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		em:      netem.New(seed),
		changed: make(chan struct{}),
		conns:   make(map[*conn]struct{}),
		out:     newLine(netem.Out),
		in:      newLine(netem.In),
	}
}

// now is the time of the emulator: steady, and virtual where time is.
func (t *Transport) now() time.Duration { return time.Since(t.start) }

// Receive starts delivery; see Base. The conns that stream is given have a
// method Identify(name string, addr netip.AddrPort) error.
func (t *Transport) Receive(packet func(b []byte, from netip.AddrPort), stream func(net.Conn)) {
	t.packet = packet
	t.base.Receive(t.receive, func(c net.Conn) {
		if in := t.accept(c); in != nil {
			stream(in)
		}
	})
}

func (t *Transport) receive(b []byte, from netip.AddrPort) {
	if !t.disturbed.Load() {
		t.packet(b, from)
		return
	}
	b, copies := t.judge(&t.in, b, from)
	for range copies {
		t.deliver(b, from)
	}
}

func (t *Transport) deliver(b []byte, from netip.AddrPort) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	t.packet(b, from)
}

// WriteTo sends a datagram. One that a fault swallows is no error, as on a real network.
func (t *Transport) WriteTo(b []byte, to netip.AddrPort) error {
	if !t.disturbed.Load() {
		return t.base.WriteTo(b, to)
	}
	b, copies := t.judge(&t.out, b, to)
	for range copies {
		if err := t.base.WriteTo(b, to); err != nil {
			return err
		}
	}
	return nil
}

// WriteAll sends several datagrams, for little more than one costs if the base
// can and there are no rules. failed hears which of them could not be sent.
func (t *Transport) WriteAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error)) {
	if t.batches != nil && !t.disturbed.Load() {
		t.batches.WriteAll(b, to, failed)
		return
	}
	for i := range b {
		if err := t.WriteTo(b[i], to[i]); err != nil {
			failed(i, err)
		}
	}
}

// judge applies the rules to a datagram. It gives how many copies go now, and
// what is in them; others it has put into the line.
func (t *Transport) judge(l *line, b []byte, addr netip.AddrPort) ([]byte, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return b, 1 // the base knows what to say
	}
	now := t.now()
	v := t.em.Packet(now, l.dir, t.peer("", addr), len(b))
	if v.Drop {
		return nil, 0
	}
	if v.Corrupt {
		b = append([]byte(nil), b...)
		v.Flip(b)
	}
	copies := t.sendAfter(l, now, v.Delay, b, addr)
	if v.Duplicate {
		copies += t.sendAfter(l, now, v.DuplicateDelay, b, addr)
	}
	return b, copies
}

// sendAfter gives 1 when a datagram goes at once, else 0 and keeps a copy. One
// without a delay goes behind those that are already due. mu is held.
func (t *Transport) sendAfter(l *line, now, delay time.Duration, b []byte, addr netip.AddrPort) int {
	if delay == 0 && !l.isDue(now) {
		return 1
	}
	if l.full(t.limit, len(b)) {
		t.count.overflow++
		return 0
	}
	l.push(now+delay, parcel{addr: addr, b: append([]byte(nil), b...)})
	if !l.running {
		l.running = true
		t.wg.Go(func() { t.run(l) })
	}
	return 0
}

// peer tells who is at an address; mu is held. A name that is known otherwise
// is kept.
func (t *Transport) peer(name string, addr netip.AddrPort) netem.Peer {
	if name == "" && len(t.names) > 0 {
		name = t.names[netem.Canonical(addr)]
	}
	return netem.Peer{Name: name, Addr: addr}
}

// settle decides whether the short way is safe; mu is held.
func (t *Transport) settle() {
	t.disturbed.Store(!t.em.Rules().IsZero() || t.in.running)
}

// LocalAddr is the base's.
func (t *Transport) LocalAddr() netip.AddrPort { return t.base.LocalAddr() }

// Close closes the base, drops the datagrams that are kept, ends the dials and
// writes that are held, and waits until no callback runs; so it must not be
// called from one. Streams belong to their owners, and stay. Safe twice.
func (t *Transport) Close() error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.done)
		t.stopExpiry()
	}
	t.mu.Unlock()
	err := t.base.Close()
	t.wg.Wait()
	return err
}
