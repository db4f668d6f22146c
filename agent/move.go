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

// moveEvery is how often an agent that found the address that it tells the
// others looks whether it still is right; moveSure is how often in a
// row it must be wrong.
const (
	moveEvery = 2 * time.Second
	moveSure  = 3
	// firstLookup is how long a start may wait for names.
	firstLookup = 2 * time.Second
)

// errMoved ends a life whose address has gone: memberlist cannot tell the
// others of another one, and a new life can. It keeps its vote, and obeys rule 13.
var errMoved = errors.New("this machine has another address")

// addressCheck is what this agent tells the others of where it is, and how it
// sees that this is no longer right.
type addressCheck struct {
	tells port.Advertise
	at    time.Duration // when it is next looked at
	wrong int           // how often in a row it was wrong
	moved bool          // this life ends for another address
}

// checkAddress begins to end this life when it tells a wrong address and there
// is another one: the address is gone, or nobody was met by it and those to join
// turn out to be elsewhere, when the names in --join are looked up at last.
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

// toward gives where the others are: those to join first.
func (l *life) toward() (all []netip.Addr) {
	for _, a := range l.gossip.SeedAddrs() {
		all = append(all, a.Addr())
	}
	return append(all, l.lastSeen()...)
}

// firstToward gives where the others are before anybody is called. It looks
// names up only if no address is known, and not for long.
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
		looks.Go(func() { found[i], _ = names[i].Lookup(ctx, nil) }) // gossip looks them up again, and tells
	}
	looks.Wait()
	for _, a := range slices.Concat(found...) {
		all = append(all, a.Addr())
	}
	return all
}

// lastSeen gives where the others were last.
func (l *life) lastSeen() (all []netip.Addr) {
	for _, p := range l.disk.Peers() {
		if addr, err := netip.ParseAddrPort(p.Addr); err == nil && p.ID != l.id {
			all = append(all, addr.Addr())
		}
	}
	return all
}

// hasAddress tells whether this machine still has an address; true when it cannot tell.
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
