package agent

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
)

// moveEvery is how often an agent that is bound to all addresses looks whether
// it still has the one that it tells the others; moveSure is how often in a
// row it must be gone.
const (
	moveEvery = 2 * time.Second
	moveSure  = 3
)

// errMoved ends a life whose address has gone: memberlist cannot tell the
// others of another one, and a new life can. It keeps its vote, and obeys rule 13.
var errMoved = errors.New("this machine has another address")

// addressCheck is how this agent sees that its address has gone.
type addressCheck struct {
	at    time.Duration // when it is next looked at
	gone  int           // how often in a row it was gone
	moved bool          // this life ends for another address
}

// checkAddress begins to end this life when its address is gone and there is another.
func (l *life) checkAddress(now time.Duration) error {
	if l.cfg.Advertise != "" || !l.net.LocalAddr().Addr().IsUnspecified() || now < l.address.at || l.member.Stopping() {
		return nil
	}
	l.address.at = now + moveEvery
	next, err := port.Advertised("", l.net.LocalAddr())
	if err != nil || next == l.port.Advertised() || hasAddress(l.port.Advertised().Addr()) {
		l.address.gone = 0
		return nil
	}
	if l.address.gone++; l.address.gone < moveSure {
		return nil
	}
	l.log.Warn("this machine has another address: beginning anew", "old", l.port.Advertised(), "new", next)
	l.address.moved = true
	l.member.Stop(member.SteppedDown)
	return nil
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
