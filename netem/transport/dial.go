package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
)

// ErrLost is the error of a dial that fails by loss.
var ErrLost = errors.New("lost by netem rules")

// Dial opens a stream. Under a cut it waits until the cut ends, or until ctx ends:
// then the error is a time-out. With loss it may fail at once with ErrLost.
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
		// If a cut began meanwhile, neither the stream nor a refusal may pass it.
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

// untilUncut waits until no cut is between the two agents.
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

// accept returns an incoming stream; nil: a cut has reset it.
func (t *Transport) accept(base net.Conn) *inbound {
	// The source port says nothing. Port 0 matches no rule that names a port.
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

// admit registers a new stream, or resets it if it is cut.
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
