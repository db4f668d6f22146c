package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
)

// ErrLost is why loss fails a dial.
var ErrLost = errors.New("lost by netem rules")

// Dial opens a stream. Under a cut it waits until ctx ends (the error is then
// a time-out, as into a black hole) or the cut is gone; a ctx without an end
// waits as long as the cut. Loss fails it at once with ErrLost.
func (t *Transport) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if t.disturbed.Load() {
		t.mu.Lock()
		lost := t.em.DialLost(t.peer("", to))
		t.mu.Unlock()
		if lost {
			return nil, dialError(to, ErrLost)
		}
	}
	for counted := false; ; counted = true {
		if err := t.untilUncut(ctx, to, counted); err != nil {
			return nil, dialError(to, err)
		}
		// A refusal must not leak past a cut that appeared meanwhile, nor a stream.
		base, err := t.base.Dial(ctx, to)
		if t.isCut(to) {
			if err == nil {
				reset(base)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if c := newConn(t, base, to); t.admit(c) {
			return c, nil
		}
	}
}

func (t *Transport) isCut(to netip.AddrPort) bool {
	if !t.disturbed.Load() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.em.CutEither(t.peer("", to))
}

// untilUncut waits while the way is cut.
func (t *Transport) untilUncut(ctx context.Context, to netip.AddrPort, counted bool) error {
	for t.disturbed.Load() {
		t.mu.Lock()
		cut, changed := t.em.CutEither(t.peer("", to)), t.changed
		if cut && !counted {
			t.count.dialsCut++
			counted = true
		}
		t.mu.Unlock()
		if !cut {
			return nil
		}
		select {
		case <-changed:
		case <-t.done:
			return net.ErrClosed
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return os.ErrDeadlineExceeded
			}
			return ctx.Err()
		}
	}
	return nil
}

// accept gives the stream that came in, nil when it is cut: then it is gone.
func (t *Transport) accept(base net.Conn) *inbound {
	// The port it comes from says nothing: 0 matches no rule that names one.
	remote, _ := netip.ParseAddrPort(base.RemoteAddr().String())
	c := newConn(t, base, netip.AddrPortFrom(remote.Addr(), 0))
	if t.admit(c) {
		return &inbound{c}
	}
	t.mu.Lock()
	t.count.streamsCut++
	t.mu.Unlock()
	return nil
}

// admit takes a new stream in, unless it is cut: then it is reset.
func (t *Transport) admit(c *conn) bool {
	t.mu.Lock()
	cut := t.em.CutEither(t.peer("", c.addr))
	if !cut {
		t.conns[c] = struct{}{}
	}
	t.mu.Unlock()
	if cut {
		reset(c.Conn)
	}
	return !cut
}

func dialError(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}
