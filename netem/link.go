package netem

import (
	"net/netip"
	"time"
)

const (
	// MaxQueue bounds how long a packet waits for a link of limited rate. Packets
	// that would wait longer are dropped.
	MaxQueue = time.Second
	// bucketTime and bucketBytes set the bucket of a rate: what an idle link takes at once.
	bucketTime  = 10 * time.Millisecond
	bucketBytes = 1500
	// streamPiece is how many bytes of a stream take from the bucket at once, so
	// that packets can pass between the pieces.
	streamPiece = 1400
)

// linkKey names a link: a direction, and the peer by its address, or by its name
// if the address is unknown.
type linkKey struct {
	dir  Direction
	addr netip.AddrPort
	name string
}

func keyOf(dir Direction, p Peer) linkKey {
	if p.Addr.IsValid() {
		return linkKey{dir: dir, addr: p.Addr}
	}
	return linkKey{dir: dir, name: p.Name}
}

func (k linkKey) String() string {
	if k.addr.IsValid() {
		return k.addr.String()
	}
	return k.name
}

// link is the state of one direction to or from one peer. Packets and streams share
// only the rate: a dial or a write must not change the verdicts of packets.
type link struct {
	packets, streams chain
	free             time.Duration // when all that was accepted will have been sent at the link's rate
}

func newLink(seed uint64, k linkKey) *link {
	key := k.String()
	return &link{
		packets: chain{random: NewRandom(seed, k.dir, key)},
		streams: chain{random: NewRandom(seed, k.dir, key+" streams")},
	}
}

// forget empties the queue and ends bursts. The random sequences continue.
func (l *link) forget() {
	*l = link{packets: chain{random: l.packets.random}, streams: chain{random: l.streams.random}}
}

// chain draws losses and jitters that may depend on those of the packet before.
type chain struct {
	random Random
	bad    bool          // Gilbert-Elliott's state
	jitter time.Duration // of the packet before
	of     *delay        // the delay that the jitter belongs to; nil: none
}

// lost draws whether a packet is lost, by the present state, then the next state.
func (c *chain) lost(f *loss) bool {
	if !f.gemodel {
		return c.random.chance(f.p)
	}
	loses, moves := f.good, f.p
	if c.bad {
		loses, moves = f.bad, f.r
	}
	lost := c.random.chance(loses)
	if c.random.chance(moves) {
		c.bad = !c.bad
	}
	return lost
}

func (c *chain) delay(f *delay) time.Duration {
	if f.jitter == 0 {
		return f.mean
	}
	if same := c.random.chance(f.correlation); !same || c.of != f {
		c.of = f
		if f.normal {
			c.jitter = c.random.normal(f.jitter)
		} else {
			c.jitter = c.random.uniform(f.jitter)
		}
	}
	return max(0, f.mean+c.jitter)
}

// wait returns how long size bytes wait at rate r. If that is longer than a bound
// above 0, it returns false and the bytes take no part of the rate.
func (l *link) wait(now time.Duration, r bitrate, size int, bound time.Duration) (time.Duration, bool) {
	takes := func(bytes int) time.Duration {
		return time.Duration(uint64(bytes) * 8 * uint64(time.Second) / uint64(r))
	}
	free := max(l.free, now) + takes(size)
	wait := max(0, free-now-max(bucketTime, takes(bucketBytes)))
	if bound > 0 && wait > bound {
		return 0, false
	}
	l.free = free
	return wait, true
}
