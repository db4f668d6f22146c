package agent

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/member"
)

// addressShown is how long a warning about an address stays after its cause was
// last seen. The cause comes and goes: gossip counts an agent at a wrong address as
// failed, and as alive again at its next call.
const addressShown = 30 * time.Second

// addressFaults are the wrong addresses that agents announce. Only the loop uses it.
type addressFaults struct {
	now   []string                 // as gossip shows it
	shown map[string]time.Duration // until when
}

// findAddressFaults finds addresses that two agents announce, and loopback addresses
// in a flock of several machines.
func (l *life) findAddressFaults() {
	at := map[netip.AddrPort][]string{} // names by address
	outside := false                    // an agent is on another machine
	note := func(name string, addr netip.AddrPort) {
		at[addr] = append(at[addr], name)
		outside = outside || !addr.Addr().IsLoopback()
	}
	note(l.cfg.Name, l.port.Advertised())
	for _, p := range l.peers() {
		if p.State == member.Alive && p.ID != l.id {
			note(p.Meta.Name, p.Addr)
		}
	}
	f := &l.warnings.addresses
	f.now = nil
	for addr, names := range at {
		slices.Sort(names)
		names = slices.Compact(names)
		if outside && addr.Addr().IsLoopback() {
			for _, name := range names {
				f.now = append(f.now, fmt.Sprintf("%s tells others the loopback address %s, which only agents on its own machine can call: start it with another --bind or --advertise (--advertise @INTERFACE takes an interface's address)", name, addr))
			}
		}
		if len(names) > 1 { // one name twice is an agent that lost its disk, or a name taken
			f.now = append(f.now, fmt.Sprintf("%s all tell others the address %s, so calls for one reach another: start each with an address of its own (--advertise ADDR, or --advertise @INTERFACE)", strings.Join(names, ", "), addr))
		}
	}
}

// warnAddresses warns of wrong addresses that were seen within addressShown.
func (l *life) warnAddresses(now time.Duration, warn func(string, ...any)) {
	f := &l.warnings.addresses
	for _, text := range f.now {
		if f.shown == nil {
			f.shown = map[string]time.Duration{}
		}
		if _, is := f.shown[text]; !is {
			l.quiet.Warn("address "+text, text)
		}
		f.shown[text] = now + addressShown
	}
	maps.DeleteFunc(f.shown, func(_ string, until time.Duration) bool { return now >= until })
	for _, text := range slices.Sorted(maps.Keys(f.shown)) {
		warn("%s", text)
	}
}
