package memory

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// queueDatagrams is how many datagrams wait at an endpoint; more are dropped.
	queueDatagrams = 1024
	// backlog is how many new streams wait to be accepted. When it is full, a dial
	// behaves as if its packet were lost.
	backlog = 128
	// retryDial is how long such a dial waits before it tries again.
	retryDial = time.Second
)

// Endpoint is one port for datagrams and streams.
type Endpoint struct {
	net     *Network
	addr    netip.AddrPort
	packets chan datagram
	streams chan net.Conn
	dropped atomic.Uint64
	done    chan struct{} // closed by Close
	wg      sync.WaitGroup

	mu       sync.Mutex // guards the two below, and that nothing is queued after done
	closed   bool
	receives bool
}

type datagram struct {
	b    []byte
	from netip.AddrPort
	due  time.Time
}

// LocalAddr is the address at which the endpoint listens.
func (e *Endpoint) LocalAddr() netip.AddrPort { return e.addr }

// Dropped counts the datagrams dropped because this endpoint's queue was full.
func (e *Endpoint) Dropped() uint64 { return e.dropped.Load() }

// Receive starts delivery: packet is called from one goroutine, in the order
// of arrival, and stream from another. b is valid until packet returns; stream
// owns the conn. What arrives before Receive waits, within bounds. Call it once.
func (e *Endpoint) Receive(packet func(b []byte, from netip.AddrPort), stream func(net.Conn)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.receives {
		panic("memory: Receive called twice")
	}
	e.receives = true
	if e.closed {
		return
	}
	e.wg.Go(func() { e.deliverPackets(packet) })
	e.wg.Go(func() { e.deliverStreams(stream) })
}

func (e *Endpoint) deliverPackets(packet func([]byte, netip.AddrPort)) {
	for {
		var d datagram
		select {
		case d = <-e.packets:
		case <-e.done:
			return
		}
		if e.wait(context.Background(), time.Until(d.due), nil) != nil {
			return
		}
		if _, cut, _ := e.net.look(d.from, e.addr); !cut && !e.isClosed() {
			packet(d.b, d.from)
		}
	}
}

func (e *Endpoint) deliverStreams(stream func(net.Conn)) {
	for {
		select {
		case c := <-e.streams:
			if e.isClosed() {
				abort(c)
				return
			}
			stream(c)
		case <-e.done:
			return
		}
	}
}

// WriteTo sends a datagram. As with UDP, no error does not mean that it
// arrives; one above MaxDatagram is syscall.EMSGSIZE.
func (e *Endpoint) WriteTo(b []byte, to netip.AddrPort) error {
	to = unmap(to)
	switch {
	case e.isClosed():
		return e.opError("write", "udp", to, net.ErrClosed)
	case len(b) > MaxDatagram:
		return e.opError("write", "udp", to, syscall.EMSGSIZE)
	}
	if dst, cut, _ := e.net.look(e.addr, to); dst != nil && !cut {
		select {
		case dst.packets <- datagram{bytes.Clone(b), e.addr, time.Now().Add(Latency)}:
		default:
			dst.dropped.Add(1)
		}
	}
	return nil
}

// Dial opens a stream. Where nobody listens it is refused at once
// (syscall.ECONNREFUSED); across a partition it waits until ctx ends or Heal.
func (e *Endpoint) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	to = unmap(to)
	for {
		err := e.wait(ctx, 0, nil)
		dst, cut, changed := e.net.look(e.addr, to)
		switch {
		case err != nil:
		case cut:
			err = e.wait(ctx, forEver, changed)
		case dst == nil:
			err = syscall.ECONNREFUSED
		default:
			var c *Conn
			if c, err = e.handshake(ctx, dst); c != nil {
				return c, nil
			}
		}
		if err != nil {
			return nil, e.opError("dial", "tcp", to, err)
		}
	}
}

// handshake returns a stream that dst will accept. If stream and error are nil, the
// caller tries again.
func (e *Endpoint) handshake(ctx context.Context, dst *Endpoint) (*Conn, error) {
	s := e.net.connect(e.addr, dst.addr)
	if s == nil {
		return nil, nil
	}
	taken, full := dst.offer(s.conn(1))
	if !taken {
		s.reset()
		e.net.forgetStream(s)
		if full {
			return nil, e.wait(ctx, retryDial, nil)
		}
		return nil, syscall.ECONNREFUSED
	}
	// The stream is open, and this side hears of it after a round trip.
	c := s.conn(0)
	if err := e.wait(ctx, 2*Latency, nil); err != nil {
		abort(c)
		return nil, err
	}
	return c, nil
}

// forEver is the longest that wait waits.
const forEver = 1<<63 - 1

// wait waits for d, or until changed is closed. It fails if ctx ends or the endpoint
// closes first.
func (e *Endpoint) wait(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	switch {
	case e.isClosed():
		return net.ErrClosed
	case ctx.Err() == nil && d > 0:
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		case <-e.done:
			return net.ErrClosed
		}
	}
	err := ctx.Err() // read once: it may change between two reads
	if errors.Is(err, context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (e *Endpoint) offer(c net.Conn) (taken, full bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false, false
	}
	select {
	case e.streams <- c:
		return true, false
	default:
		return false, true
	}
}

func (e *Endpoint) isClosed() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// Close ends delivery, frees the port and breaks the streams nobody has taken;
// those taken belong to their owners. No callback runs after it returned, so it
// must not be called from one. Safe twice.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
	e.mu.Unlock()
	e.wg.Wait()
	e.net.forgetEndpoint(e)
	for {
		select {
		case c := <-e.streams:
			abort(c)
		default:
			return nil
		}
	}
}

func (e *Endpoint) opError(op, network string, to netip.AddrPort, err error) error {
	o := &net.OpError{Op: op, Net: network, Source: net.TCPAddrFromAddrPort(e.addr), Addr: net.TCPAddrFromAddrPort(to), Err: err}
	if network == "udp" {
		o.Source, o.Addr = net.UDPAddrFromAddrPort(e.addr), net.UDPAddrFromAddrPort(to)
	}
	return o
}
