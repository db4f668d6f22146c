// Package port shares one UDP and TCP port between the agents' own datagrams and
// memberlist, and limits how much of it one sender can use.
//
// The reading goroutine passes our datagrams to Options.Datagram. Everything else is
// gossip, in datagrams and streams: this package seals it, and opens and checks it
// before memberlist, which has no key, reads a byte. [Port] is memberlist's transport.
// [ListenUDP] opens the real sockets.
package port

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/wire"
)

const (
	// gossipQueue bounds the packets that wait for memberlist. More are dropped and
	// counted.
	gossipQueue = 256
	// passOnMost bounds the pings per second that are passed on: memberlist starts a
	// goroutine for each.
	passOnMost = 256
)

// Options are the settings of a port. The functions may be called from any goroutine and
// must not block.
type Options struct {
	Transport Transport
	Self      election.ID
	Label     string // of the flock
	Keys      *atomic.Pointer[wire.Keyring]
	Advertise netip.AddrPort // the address that other agents call; invalid: the bound one
	Counts    *meters.Counters
	Quiet     *quietlog.Log

	Datagram     func(b []byte, from netip.AddrPort)           // receives our datagrams; b is valid until it returns
	OtherLabel   func(addr, label string)                      // an agent with another label called
	OtherKeys    func(host, text string)                       // an agent with other keys called
	OtherVersion func(host, text string)                       // an agent with another version of gossip called
	Sender       func(id election.ID) (string, netip.AddrPort) // the name and address of a stream's sender, for fault rules
}

// Port shares one Transport between our datagrams and memberlist.
type Port struct {
	opts Options

	packets chan *memberlist.Packet
	streams chan net.Conn
	in      *inflow
	turns   *turns          // of requests from other machines
	here    *turns          // of those from this one
	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	body    []byte    // used by the reading goroutine only
	passOn  perSecond // used by the reading goroutine only

	mu struct { // guards open, and that nothing is added after Shutdown
		sync.Mutex
		open map[net.Conn]struct{} // every stream; Shutdown closes them
	}
}

var _ memberlist.NodeAwareTransport = (*Port)(nil)

// Open starts to receive.
func Open(opts Options) *Port {
	p := newPort(opts)
	p.opts.Transport.Receive(p.packet, p.stream)
	return p
}

func newPort(opts Options) *Port {
	p := &Port{
		opts:    opts,
		packets: make(chan *memberlist.Packet, gossipQueue), streams: make(chan net.Conn),
		in: &inflow{counts: opts.Counts, quiet: opts.Quiet}, turns: newTurns(false), here: newTurns(true), body: make([]byte, 0, wire.MaxDatagram),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mu.open = map[net.Conn]struct{}{}
	return p
}

// Closed is closed when Shutdown begins.
func (p *Port) Closed() <-chan struct{} { return p.ctx.Done() }

func (p *Port) packet(b []byte, from netip.AddrPort) {
	if len(b) == 0 {
		return
	}
	if b[0] == wire.FirstByte {
		p.opts.Datagram(b, from)
		return
	}
	now := time.Now()
	p.opts.Counts.Of("gossip_received").Add(1)
	p.opts.Counts.Of("gossip_bytes_received").Add(uint64(len(b)))
	body, err := p.opts.Keys.Load().OpenGossip(p.body[:0], b)
	switch {
	case err != nil:
		p.dropped(err, from)
		return
	case wire.AsksToPassOn(body) && !p.passOn.take(now):
		p.opts.Counts.Of("dropped_gossip_rate").Add(1)
		return
	}
	packet := &memberlist.Packet{Buf: bytes.Clone(body), From: net.UDPAddrFromAddrPort(from), Timestamp: now}
	select {
	case p.packets <- packet:
	default:
		p.opts.Counts.Of("dropped_gossip_full").Add(1)
	}
}

// dropped counts a bad gossip datagram by its reason, and logs it once a minute per
// host.
func (p *Port) dropped(err error, from netip.AddrPort) {
	var drop *wire.DropError
	if !errors.As(err, &drop) {
		drop = &wire.DropError{Reason: wire.DropMalformed, Detail: err.Error()}
	}
	p.opts.Counts.Of("dropped_gossip_" + drop.Reason).Add(1)
	host := from.Addr().String()
	switch {
	case drop.Reason == wire.DropOldGossip && drop.Detail != p.opts.Label:
		if p.opts.Quiet.ThirdTime("label "+host, drop.Detail) {
			p.opts.OtherLabel(from.String(), drop.Detail)
		}
	case drop.Reason == wire.DropOldGossip || drop.Reason == wire.DropFrameVersion:
		if p.opts.Quiet.ThirdTime("version "+host, drop.Detail) {
			p.opts.OtherVersion(host, host+" "+drop.Error())
		}
	case OfKeys(drop.Reason):
		if p.opts.Quiet.ThirdTime("key "+host, drop.KeyID) {
			p.opts.OtherKeys(host, host+" "+drop.Error())
		}
	default:
		p.opts.Quiet.Warn("gossip "+drop.Reason+" "+host, "gossip dropped: "+from.String()+" "+drop.Error())
	}
}

// perSecond lets a number of events pass in each second. One goroutine uses it.
type perSecond struct {
	since time.Time
	used  int
}

func (s *perSecond) take(now time.Time) bool {
	if now.Sub(s.since) >= time.Second {
		s.since, s.used = now, 0
	}
	s.used++
	return s.used <= passOnMost
}

// FinalAdvertiseAddr returns the address that other agents call, for memberlist.
func (p *Port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr := p.Advertised()
	return addr.Addr().AsSlice(), int(addr.Port()), nil
}

// Advertised returns the address that other agents call.
func (p *Port) Advertised() netip.AddrPort {
	if p.opts.Advertise.IsValid() {
		return p.opts.Advertise
	}
	return p.opts.Transport.LocalAddr()
}

func (p *Port) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	b = p.opts.Keys.Load().SealGossip(make([]byte, 0, wire.MaxDatagram), b)
	p.opts.Counts.Of("gossip_sent").Add(1)
	p.opts.Counts.Of("gossip_bytes_sent").Add(uint64(len(b)))
	return time.Now(), p.opts.Transport.WriteTo(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
}

func (p *Port) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return p.WriteTo(b, addr.Addr)
}

func (p *Port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *Port) StreamCh() <-chan net.Conn           { return p.streams }

// Shutdown makes this agent silent: it ends delivery, closes every stream, ends the
// dials under way, and waits for those that were still opening. A second call does
// nothing.
func (p *Port) Shutdown() error {
	p.mu.Lock()
	p.cancel()
	open := slices.Collect(maps.Keys(p.mu.open))
	clear(p.mu.open)
	p.mu.Unlock()
	err := p.opts.Transport.Close()
	for _, c := range open {
		_ = c.Close() // memberlist closes it again, which does no harm
	}
	p.ended.Wait()
	return err
}
