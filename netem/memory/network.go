package memory

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// MaxDatagram is the largest datagram, in bytes: what UDP over IPv4 carries.
	MaxDatagram = 65507
	// Latency is how long everything takes, one way.
	Latency = 100 * time.Microsecond

	firstPort = 32768 // of the ports that are given out
)

// Network joins endpoints. Its methods may be called from any goroutine.
type Network struct {
	mu        sync.Mutex // guards all below; held for moments only
	endpoints map[netip.AddrPort]*Endpoint
	streams   map[*stream]struct{}
	parted    bool
	group     map[netip.AddrPort]int // of those that Partition named
	changed   chan struct{}          // closed, and made anew, when the partition changes
	nextPort  uint16
}

// New returns a network without endpoints.
func New() *Network {
	return &Network{
		endpoints: make(map[netip.AddrPort]*Endpoint),
		streams:   make(map[*stream]struct{}),
		changed:   make(chan struct{}),
		nextPort:  firstPort,
	}
}

// Listen opens an endpoint at an IP and port; port 0 is any free one. The
// error of a port that is taken is syscall.EADDRINUSE, as of a socket.
func (n *Network) Listen(addr netip.AddrPort) (*Endpoint, error) {
	addr = unmap(addr)
	if !addr.Addr().IsValid() || addr.Addr().IsUnspecified() {
		return nil, fmt.Errorf("listening at %v: want the address of one host", addr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		addr = n.freePort(addr.Addr())
	}
	if n.endpoints[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: syscall.EADDRINUSE}
	}
	n.endpoints[addr] = &Endpoint{
		net: n, addr: addr,
		packets: make(chan datagram, queueDatagrams), streams: make(chan net.Conn, backlog), done: make(chan struct{}),
	}
	return n.endpoints[addr], nil
}

// freePort returns the next port where nobody listens; mu is held.
func (n *Network) freePort(ip netip.Addr) netip.AddrPort {
	for {
		addr := netip.AddrPortFrom(ip, n.nextPort)
		if n.nextPort++; n.nextPort == 0 {
			n.nextPort = firstPort
		}
		if n.endpoints[addr] == nil {
			return addr
		}
	}
}

// Partition lets packets pass only within each group; an endpoint in no group is
// alone. It replaces the last partition. Datagrams under way across are lost;
// streams and dials across wait until their deadlines or Heal.
func (n *Network) Partition(groups ...[]netip.AddrPort) {
	group := make(map[netip.AddrPort]int)
	for i, g := range groups {
		for _, addr := range g {
			group[unmap(addr)] = i
		}
	}
	n.part(true, group)
}

// Heal ends the partition.
func (n *Network) Heal() { n.part(false, nil) }

func (n *Network) part(parted bool, group map[netip.AddrPort]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parted, n.group = parted, group
	close(n.changed)
	n.changed = make(chan struct{})
	for s := range n.streams {
		s.stall(n.cut(s.ends[0], s.ends[1]))
	}
}

// cut reports whether nothing passes between two endpoints; mu is held.
func (n *Network) cut(a, b netip.AddrPort) bool {
	if !n.parted || a == b {
		return false
	}
	ga, named := n.group[a]
	gb, alsoNamed := n.group[b]
	return !named || !alsoNamed || ga != gb
}

// look returns the endpoint that listens at to (nil: none), whether the path to it is
// cut, and a channel that is closed when that may have changed.
func (n *Network) look(from, to netip.AddrPort) (e *Endpoint, cut bool, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.endpoints[to], n.cut(from, to), n.changed
}

// connect makes a stream between two endpoints; nil if the path was cut meanwhile.
func (n *Network) connect(from, to netip.AddrPort) *stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut(from, to) {
		return nil
	}
	s := &stream{net: n, ends: [2]netip.AddrPort{from, to}, port: n.freePort(from.Addr()), changed: make(chan struct{})}
	n.streams[s] = struct{}{}
	return s
}

func (n *Network) forgetStream(s *stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.streams, s)
}

func (n *Network) forgetEndpoint(e *Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[e.addr] == e {
		delete(n.endpoints, e.addr)
	}
}

// Close closes every endpoint and breaks every stream. New ones may be opened.
func (n *Network) Close() error {
	n.mu.Lock()
	endpoints := slices.Collect(maps.Values(n.endpoints))
	n.mu.Unlock()
	for _, e := range endpoints {
		e.Close()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.streams {
		s.reset()
		delete(n.streams, s)
	}
	return nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
