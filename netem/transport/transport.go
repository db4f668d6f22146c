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

// Base is the network that is wrapped. It is the agent's transport interface,
// declared here too so that neither package imports the other.
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

// alarmer is a Base with an alarm.
type alarmer interface {
	Alarm() (rings <-chan time.Time, set func(after time.Duration))
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
	// turn is held while packet runs, unless the network is undisturbed: then only
	// the base's reader calls packet. It is a channel, because waiting for a mutex
	// would stop virtual time.
	turn chan struct{}
	done chan struct{} // closed by Close
	wg   sync.WaitGroup

	// disturbed: rules are in force, or delayed datagrams of earlier rules are kept.
	disturbed atomic.Bool

	mu      sync.Mutex // guards all below; never held during a wait
	em      *netem.Emulator
	expiry  *expiry                   // nil: never
	changed chan struct{}             // closed and replaced when the rules change
	names   map[netip.AddrPort]string // by canonical address
	conns   map[*conn]struct{}
	out, in line
	closed  bool
	count   counts
}

// counts are the counters that the emulator does not have.
type counts struct {
	overflow   uint64 // datagrams dropped because too many were kept
	lateCut    uint64 // kept datagrams dropped by a cut that appeared meanwhile
	lateFailed uint64 // kept datagrams that the base refused
	dialsCut   uint64
	streamsCut uint64
}

// Wrap wraps base, without rules at first. Give each agent its own seed.
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

// now is the emulator's time.
func (t *Transport) now() time.Duration { return time.Since(t.start) }

// Receive starts delivery; see Base. stream gets conns with a method
// Identify(name string, addr netip.AddrPort) error.
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

// WriteTo sends a datagram. It returns no error if a fault drops it, as on a real network.
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

// WriteAll sends several datagrams, in one call of the base if that can and no
// rules are in force. It calls failed for each that could not be sent.
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

// Alarm returns the alarm of the base; nil: it has none.
func (t *Transport) Alarm() (rings <-chan time.Time, set func(after time.Duration)) {
	if a, ok := t.base.(alarmer); ok {
		return a.Alarm()
	}
	return nil, nil
}

// judge applies the rules to a datagram. It returns how many copies to send now, and
// their content. It keeps delayed copies in the line.
func (t *Transport) judge(l *line, b []byte, addr netip.AddrPort) ([]byte, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return b, 1 // the base returns the error
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

// sendAfter returns 1 if a datagram is to be sent at once, else it keeps a copy and
// returns 0. A datagram without a delay still waits for those that are due. mu is held.
func (t *Transport) sendAfter(l *line, now, delay time.Duration, b []byte, addr netip.AddrPort) int {
	if delay == 0 && !l.isDue(now) {
		return 1
	}
	if l.full(t.limit, len(b)) {
		t.count.overflow++
		return 0
	}
	l.push(now+delay, delayed{addr: addr, b: append([]byte(nil), b...)})
	if !l.running {
		l.running = true
		t.wg.Go(func() { t.run(l) })
	}
	return 0
}

// peer returns the peer at an address, with the name given if there is one; mu is
// held.
func (t *Transport) peer(name string, addr netip.AddrPort) netem.Peer {
	if name == "" && len(t.names) > 0 {
		name = t.names[netem.Canonical(addr)]
	}
	return netem.Peer{Name: name, Addr: addr}
}

// settle sets disturbed; mu is held.
func (t *Transport) settle() {
	t.disturbed.Store(!t.em.Rules().IsZero() || t.in.running)
}

// LocalAddr returns the base's address.
func (t *Transport) LocalAddr() netip.AddrPort { return t.base.LocalAddr() }

// Close closes the base, drops kept datagrams, ends waiting dials and writes, and
// returns when no callback runs; so callbacks must not call it. Open streams stay:
// their owners close them. A second call does nothing.
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
