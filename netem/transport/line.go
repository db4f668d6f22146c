package transport

import (
	"net/netip"
	"time"

	"duckduckgoose/netem"
)

// line keeps the delayed datagrams of one direction. Guarded by Transport.mu.
type line struct {
	dir     netem.Direction
	waiting netem.Queue[delayed]
	bytes   int           // of what waits
	running bool          // a goroutine sends them; it ends when none is left
	sending bool          // it is sending one
	sooner  chan struct{} // signals that a new one is due before all others
}

type delayed struct {
	addr netip.AddrPort
	b    []byte
	cut  bool // meanwhile
}

func newLine(dir netem.Direction) line {
	return line{dir: dir, sooner: make(chan struct{}, 1)}
}

// Bounds of what is kept in one direction; more is dropped and counted.
const (
	keepDatagrams = 4096
	keepBytes     = 16 << 20
)

// full reports whether there is no room for a datagram of size bytes.
func (l *line) full(limit, size int) bool {
	return l.waiting.Len() >= limit || l.bytes+size > keepBytes
}

// isDue reports whether a datagram is kept that should be sent by now.
func (l *line) isDue(now time.Duration) bool {
	return l.sending || l.waiting.Len() > 0 && l.waiting.Next() <= now
}

func (l *line) push(due time.Duration, p delayed) {
	l.bytes += len(p.b)
	first := l.waiting.Len() == 0 || due < l.waiting.Next()
	l.waiting.Push(due, p)
	if first {
		select {
		case l.sooner <- struct{}{}:
		default:
		}
	}
}

// run sends the kept datagrams, each at its time.
func (t *Transport) run(l *line) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p, wait, more := t.next(l)
		switch {
		case !more:
			return
		case wait > 0:
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.sooner:
			case <-t.done:
			}
		case p.cut:
		case l.dir == netem.In:
			t.deliver(p.b, p.addr)
		default:
			if err := t.base.WriteTo(p.b, p.addr); err != nil {
				t.mu.Lock()
				t.count.lateFailed++
				t.mu.Unlock()
			}
		}
	}
}

// next removes the datagram that is due, or returns the time until one is.
func (t *Transport) next(l *line) (p delayed, wait time.Duration, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.sending = false
	if t.closed {
		l.waiting, l.bytes = netem.Queue[delayed]{}, 0
	}
	if l.waiting.Len() == 0 {
		l.running = false
		t.settle()
		return p, 0, false
	}
	if wait = l.waiting.Next() - t.now(); wait > 0 {
		return p, wait, true
	}
	p = l.waiting.Pop()
	l.bytes -= len(p.b)
	l.sending = true
	if t.em.Cut(l.dir, t.peer("", p.addr)) {
		t.count.lateCut++
		p.cut = true
	}
	return p, 0, true
}
