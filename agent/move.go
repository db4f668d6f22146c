package agent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/seeds"
)

// moveEvery is how often an agent that chose its address by itself checks it;
// moveSure is how many checks in a row must fail before it takes another one.
const (
	moveEvery = 2 * time.Second
	moveSure  = 3
	// firstLookup is how long a start may wait for names.
	firstLookup = 2 * time.Second
)

// errMoved ends a life whose address has gone. memberlist cannot change an address, so
// a new life announces it. The new life keeps the vote, and obeys rule 13.
var errMoved = errors.New("this machine has another address")

// addressCheck is the address that this agent announces, and the checks of it.
type addressCheck struct {
	tells port.Advertise
	at    time.Duration // when it is next looked at
	wrong int           // how often in a row it was wrong
	moved bool          // this life ends for another address
}

// checkAddress ends this life if its address is wrong and the machine has another one.
// An address is wrong if the machine no longer has it, or if no agent has answered and
// the names in --join, looked up meanwhile, need another route.
func (l *life) checkAddress(now time.Duration) {
	bound := l.net.LocalAddr()
	if !l.address.tells.Found(bound) || now < l.address.at || l.member.Stopping() {
		return
	}
	l.address.at = now + moveEvery
	told := l.port.Advertised()
	alone := l.node() == nil && l.gossip.Unanswered()
	if !alone && hasAddress(told.Addr()) {
		l.address.wrong = 0
		return
	}
	next, err := l.address.tells.Addr(context.Background(), bound, l.toward()) // it looks no name up
	if err != nil || next == told {
		l.address.wrong = 0
		return
	}
	if l.address.wrong++; l.address.wrong < moveSure {
		return
	}
	l.log.Warn("this machine's address changed: restarting the agent", "old", told, "new", next)
	l.address.moved = true
	l.endsAll(api.EndedStepDown, "its address changed")
	l.member.Stop(member.SteppedDown)
}

// toward returns the addresses of the others, those to join first.
func (l *life) toward() (all []netip.Addr) {
	for _, a := range l.gossip.SeedAddrs() {
		all = append(all, a.Addr())
	}
	return append(all, l.lastSeen()...)
}

// firstToward is toward before anybody is called. It looks up names only if no address
// is known, for at most firstLookup.
func (l *life) firstToward() (all []netip.Addr) {
	if !l.address.tells.Found(l.net.LocalAddr()) {
		return nil
	}
	var names []seeds.Seed
	for _, word := range l.cfg.Join {
		s, _ := seeds.Parse(word) // validated
		if a, ok := s.Addr(); ok {
			all = append(all, a.Addr())
		} else if !s.IsCommand() {
			names = append(names, s)
		}
	}
	if all = append(all, l.lastSeen()...); len(all) > 0 || len(names) == 0 {
		return all
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstLookup)
	defer cancel()
	found := make([][]netip.AddrPort, len(names))
	var looks sync.WaitGroup
	for i := range names {
		looks.Go(func() { found[i], _ = names[i].Lookup(ctx, nil) }) // gossip looks them up again, and reports errors
	}
	looks.Wait()
	for _, a := range slices.Concat(found...) {
		all = append(all, a.Addr())
	}
	return all
}

// lastSeen returns the last known addresses of the others.
func (l *life) lastSeen() (all []netip.Addr) {
	for _, p := range l.disk.Peers() {
		if addr, err := netip.ParseAddrPort(p.Addr); err == nil && p.ID != l.id {
			all = append(all, addr.Addr())
		}
	}
	return all
}

// hasAddress reports whether this machine still has an address; true when it cannot tell.
func hasAddress(want netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == want {
			return true
		}
	}
	return false
}
