package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrCut is the error of a stream that the rules cut.
var ErrCut = errors.New("cut by netem rules")

// conn is a stream with faults.
type conn struct {
	net.Conn
	t       *Transport
	writing chan struct{} // of capacity 1, held during a write, so that writes do not mix
	done    chan struct{} // closed by Close
	cut     atomic.Bool
	closing sync.Once
	err     error // of the base's Close

	// Guarded by Transport.mu.
	name    string         // from Identify
	addr    netip.AddrPort // port 0 until Identify
	writeBy time.Time
	moved   chan struct{} // closed and replaced when writeBy changes
}

// inbound is a stream that came in.
type inbound struct{ *conn }

func newConn(t *Transport, base net.Conn, addr netip.AddrPort) *conn {
	return &conn{
		Conn:    base,
		t:       t,
		addr:    addr,
		writing: make(chan struct{}, 1),
		done:    make(chan struct{}),
		moved:   make(chan struct{}),
	}
}

// Identify says who is at the other end: its name ("" while that is not
// known) and the address at which it listens. When the rules cut that peer,
// the stream is closed and the error is ErrCut.
func (c *inbound) Identify(name string, addr netip.AddrPort) error {
	t := c.t
	t.mu.Lock()
	c.name, c.addr = name, addr
	_, open := t.conns[c.conn]
	cut := open && t.em.CutEither(t.peer(name, addr))
	if cut {
		t.cutConn(c.conn)
	}
	t.mu.Unlock()
	switch {
	case cut:
		abort([]*conn{c.conn})
		return c.opError("identify", ErrCut)
	case !open:
		return c.closedError("identify")
	}
	return nil
}

// cutConn marks a stream as cut; mu is held. The caller then calls abort without mu.
func (t *Transport) cutConn(c *conn) {
	c.cut.Store(true)
	delete(t.conns, c)
	t.count.streamsCut++
}

func abort(conns []*conn) {
	for _, c := range conns {
		linger0(c.Conn)
		c.close()
	}
}

// linger0 makes Close discard what is still in a stream's buffers, which would
// otherwise pass the cut.
func linger0(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
}

func reset(c net.Conn) {
	linger0(c)
	c.Close()
}

// Close closes the stream and wakes a delayed write.
func (c *conn) Close() error {
	select {
	case <-c.done:
		if c.cut.Load() {
			return nil // closed already, by the cut and not by the owner
		}
		return c.opError("close", net.ErrClosed)
	default:
		return c.close()
	}
}

func (c *conn) close() error {
	c.closing.Do(func() {
		c.t.mu.Lock()
		delete(c.t.conns, c)
		c.t.mu.Unlock()
		close(c.done)
		c.err = c.Conn.Close()
	})
	return c.err
}

// Read reads from the base. It returns nothing that arrived after a cut.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cut.Load() {
		return 0, c.opError("read", ErrCut)
	}
	return n, err
}

// Write writes to the base, after the wait for delay and rate.
func (c *conn) Write(b []byte) (int, error) {
	select {
	case c.writing <- struct{}{}:
	case <-c.done:
		return 0, c.closedError("write")
	}
	defer func() { <-c.writing }()
	for sent, first := 0, true; ; first = false {
		piece := b[sent:]
		if c.t.disturbed.Load() {
			var err error
			if piece, err = c.hold(piece, first); err != nil {
				return sent, err
			}
		}
		n, err := c.Conn.Write(piece)
		sent += n
		if c.cut.Load() {
			return sent, c.opError("write", ErrCut)
		}
		if err != nil || sent == len(b) {
			return sent, err
		}
	}
}

// hold waits as long as the rules say and returns the part of b that may be sent.
// New rules end the wait.
func (c *conn) hold(b []byte, first bool) ([]byte, error) {
	t := c.t
	t.mu.Lock()
	now, changed := t.now(), t.changed
	wait, n := t.em.StreamWrite(now, t.peer(c.name, c.addr), len(b), first)
	t.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for until := now + wait; wait > 0; wait = until - t.now() {
		t.mu.Lock()
		writeBy, moved := c.writeBy, c.moved
		t.mu.Unlock()
		if !writeBy.IsZero() {
			left := time.Until(writeBy)
			if left <= 0 {
				return nil, c.opError("write", os.ErrDeadlineExceeded)
			}
			wait = min(wait, left)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-moved:
		case <-changed:
			until = 0
		case <-c.done:
			return nil, c.closedError("write")
		case <-t.done:
			return nil, c.opError("write", net.ErrClosed)
		}
	}
	return b[:n], nil
}

// SetDeadline bounds reads and writes, held ones too.
func (c *conn) SetDeadline(d time.Time) error {
	c.setWriteBy(d)
	return c.Conn.SetDeadline(d)
}

// SetWriteDeadline bounds writes, held ones too.
func (c *conn) SetWriteDeadline(d time.Time) error {
	c.setWriteBy(d)
	return c.Conn.SetWriteDeadline(d)
}

func (c *conn) setWriteBy(d time.Time) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.writeBy = d
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *conn) closedError(op string) error {
	if c.cut.Load() {
		return c.opError(op, ErrCut)
	}
	return c.opError(op, net.ErrClosed)
}

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
