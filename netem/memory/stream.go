package memory

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes of a stream may be on their way in one direction; a
// writer waits for room.
const window = 256 << 10

// stream is the two sides of a connection. All waits wait for changed, and then check
// again.
type stream struct {
	net  *Network
	ends [2]netip.AddrPort // the endpoints, for partitions
	port netip.AddrPort    // the dialer's own

	mu      sync.Mutex // guards all below
	changed chan struct{}
	stalled bool // by a partition: nothing arrives, not even an end
	broken  bool // by a reset
	sides   [2]side
}

// side is what one of the two has: what came in for it, and its deadlines.
type side struct {
	inbox           []segment
	size            int // bytes in inbox
	closed          bool
	abrupt          bool // closing is a reset
	readBy, writeBy time.Time
}

// segment is one piece of what was written; the last one is the end.
type segment struct {
	b   []byte
	end bool
	due time.Time
}

// conn returns the dialer's side (0) or the other side (1).
func (s *stream) conn(me int) *Conn {
	addrs := [2]netip.AddrPort{s.port, s.ends[1]}
	return &Conn{s: s, me: me, local: addrs[me], remote: addrs[1-me], writing: make(chan struct{}, 1)}
}

// wake makes all waits check again; mu is held.
func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) stall(stalled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = stalled
	s.wake()
}

// reset breaks both sides; what is on its way is lost.
func (s *stream) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tear()
}

// tear is reset; mu is held.
func (s *stream) tear() {
	s.broken = true
	for i := range s.sides {
		s.sides[i].inbox, s.sides[i].size = nil, 0
	}
	s.wake()
}

// close ends one side. It returns false if that side had ended before, and whether both
// have ended now.
func (s *stream) close(me int) (closed, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	my, other := &s.sides[me], &s.sides[1-me]
	if my.closed {
		return false, other.closed
	}
	my.closed, my.inbox, my.size = true, nil, 0
	if my.abrupt {
		s.tear()
	}
	other.inbox = append(other.inbox, segment{end: true, due: time.Now().Add(Latency)})
	s.wake()
	return true, other.closed
}

// read moves what has arrived into b. If there is nothing to read, it returns when there
// may be (zero: when something changes).
func (s *stream) read(me int, b []byte, now time.Time) (n int, again time.Time, err error) {
	my := &s.sides[me]
	switch {
	case my.closed:
		return 0, again, net.ErrClosed
	case passed(my.readBy, now):
		return 0, again, os.ErrDeadlineExceeded
	case s.stalled:
		return 0, my.readBy, nil
	case s.broken:
		return 0, again, syscall.ECONNRESET
	case len(my.inbox) == 0:
		return 0, my.readBy, nil
	case my.inbox[0].due.After(now):
		return 0, earlier(my.readBy, my.inbox[0].due), nil
	case my.inbox[0].end:
		return 0, again, io.EOF
	}
	for n < len(b) && len(my.inbox) > 0 && !my.inbox[0].end && !my.inbox[0].due.After(now) {
		head := &my.inbox[0]
		k := copy(b[n:], head.b)
		n, my.size, head.b = n+k, my.size-k, head.b[k:]
		if len(head.b) == 0 {
			my.inbox = my.inbox[1:]
		}
	}
	s.wake()
	return n, again, nil
}

// write sends as much of b as there is room for.
func (s *stream) write(me int, b []byte, now time.Time) (n int, again time.Time, err error) {
	my, other := &s.sides[me], &s.sides[1-me]
	switch {
	case my.closed:
		return 0, again, net.ErrClosed
	case passed(my.writeBy, now):
		return 0, again, os.ErrDeadlineExceeded
	case s.broken && !s.stalled:
		return 0, again, syscall.ECONNRESET
	case other.closed && !s.stalled:
		return 0, again, syscall.EPIPE
	}
	n = min(len(b), window-other.size)
	if n == 0 {
		return 0, my.writeBy, nil
	}
	other.inbox = append(other.inbox, segment{b: append([]byte(nil), b[:n]...), due: now.Add(Latency)})
	other.size += n
	s.wake()
	return n, again, nil
}

func passed(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) }

// earlier returns the earlier of two moments, of which a may be zero: none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
