package memory

import (
	"io"
	"net"
	"net/netip"
	"time"
)

// Conn is one side of a stream: a buffered net.Conn with deadlines. The side
// that dialed has a port of its own.
type Conn struct {
	s             *stream
	me            int
	local, remote netip.AddrPort
	writing       chan struct{} // of capacity 1, held during a write, so that writes do not mix
}

var _ net.Conn = (*Conn)(nil)

// LocalAddr is a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Read reads what has arrived, and waits for something when nothing has.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.try("read", func(now time.Time) (int, time.Time, error) { return c.s.read(c.me, b, now) })
}

// Write returns when all of b is sent; it waits while the window is full.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	sent := 0
	for sent < len(b) {
		n, err := c.try("write", func(now time.Time) (int, time.Time, error) { return c.s.write(c.me, b[sent:], now) })
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// try repeats a step until it makes progress or fails.
func (c *Conn) try(op string, step func(now time.Time) (n int, again time.Time, err error)) (int, error) {
	for {
		c.s.mu.Lock()
		n, again, err := step(time.Now())
		changed := c.s.changed
		c.s.mu.Unlock()
		if err != nil {
			return n, c.opError(op, err)
		}
		if n > 0 {
			return n, nil
		}
		var due <-chan time.Time
		if !again.IsZero() {
			due = time.After(time.Until(again))
		}
		select {
		case <-changed:
		case <-due:
		}
	}
}

// Close ends both directions. The other side reads what was written, then io.EOF.
func (c *Conn) Close() error {
	closed, gone := c.s.close(c.me)
	if !closed {
		return c.opError("close", net.ErrClosed)
	}
	if gone {
		c.s.net.forgetStream(c.s)
	}
	return nil
}

// SetLinger with 0 seconds makes Close a reset, as of a TCP socket: what is on
// its way is lost, and the other side fails with syscall.ECONNRESET. Any other
// value is the default.
func (c *Conn) SetLinger(seconds int) error {
	return c.set(func(my *side) { my.abrupt = seconds == 0 })
}

// abort closes a conn of this package as a reset.
func abort(c net.Conn) {
	_ = c.(*Conn).SetLinger(0)
	_ = c.Close()
}

// SetDeadline bounds reads and writes, those under way too; zero is no bound.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.set(func(my *side) { my.readBy, my.writeBy = t, t })
}

// SetReadDeadline bounds reads.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.set(func(my *side) { my.readBy = t })
}

// SetWriteDeadline bounds writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.set(func(my *side) { my.writeBy = t })
}

func (c *Conn) set(set func(*side)) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.sides[c.me].closed {
		return c.opError("set", net.ErrClosed)
	}
	set(&c.s.sides[c.me])
	c.s.wake()
	return nil
}

func (c *Conn) opError(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
