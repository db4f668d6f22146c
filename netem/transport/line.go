package transport

import (
	"container/heap"
	"net/netip"
	"time"

	"duckduckgoose/netem"
)

// line keeps the delayed datagrams of one direction, the next one first. Those
// due at one moment keep their order. Guarded by Transport.mu.
type line struct {
	dir     netem.Direction
	parcels parcels
	bytes   int // in parcels
	seq     uint64
	running bool          // a goroutine sends them; it ends when none is left
	sending bool          // it has one in hand
	sooner  chan struct{} // tells it that there is one due before all others
}

type parcel struct {
	due  time.Duration
	seq  uint64
	addr netip.AddrPort
	b    []byte
	cut  bool // meanwhile
}

func newLine(dir netem.Direction) line {
	return line{dir: dir, sooner: make(chan struct{}, 1)}
}

// keepBytes bounds the memory of the datagrams kept in one direction.
const keepBytes = 16 << 20

// full tells whether there is no room for a datagram of size bytes.
func (l *line) full(limit, size int) bool {
	return len(l.parcels) >= limit || l.bytes+size > keepBytes
}

// isDue tells whether a datagram should be on its way already.
func (l *line) isDue(now time.Duration) bool {
	return l.sending || len(l.parcels) > 0 && l.parcels[0].due <= now
}

func (l *line) push(p parcel) {
	l.bytes += len(p.b)
	l.seq++
	p.seq = l.seq
	heap.Push(&l.parcels, p)
	if l.parcels[0].seq == p.seq {
		select {
		case l.sooner <- struct{}{}:
		default:
		}
	}
}

// run sends what is kept, each at its time.
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

// next takes the datagram that is due, or gives the time until one is.
func (t *Transport) next(l *line) (p parcel, wait time.Duration, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.sending = false
	if t.closed {
		l.parcels, l.bytes = nil, 0
	}
	if len(l.parcels) == 0 {
		l.running = false
		t.settle()
		return p, 0, false
	}
	if wait = l.parcels[0].due - t.now(); wait > 0 {
		return p, wait, true
	}
	p = heap.Pop(&l.parcels).(parcel)
	l.bytes -= len(p.b)
	l.sending = true
	if t.em.Cut(l.dir, t.peer("", p.addr)) {
		t.count.lateCut++
		p.cut = true
	}
	return p, 0, true
}

// parcels is a heap.
type parcels []parcel

func (h parcels) Len() int { return len(h) }
func (h parcels) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].seq < h[j].seq
}
func (h parcels) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *parcels) Push(x any)   { *h = append(*h, x.(parcel)) }
func (h *parcels) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = parcel{}
	*h = old[:len(old)-1]
	return p
}
