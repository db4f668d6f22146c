package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// addressShown is how long a warning about an address stays after its cause was
// last seen: gossip counts an agent at a wrong address as failed, and as alive
// again at its next call.
const addressShown = 30 * time.Second

// addressFaults are the addresses that agents tell and should not. It is the
// loop's own.
type addressFaults struct {
	now   []string                 // as gossip shows it
	shown map[string]time.Duration // until when
}

// findAddressFaults looks for addresses that two agents tell, and for loopback
// ones where agents of other machines are.
func (l *life) findAddressFaults() {
	at := map[string][]string{} // names by address
	inside, outside := map[election.ID]string{}, false
	note := func(id election.ID, name, addr string, loopback bool) {
		at[addr] = append(at[addr], name)
		if loopback {
			inside[id] = fmt.Sprintf("%s tells others the loopback address %s, which only agents on its own machine can call: start it with another --bind or --advertise (--advertise @INTERFACE takes an interface's address)", name, addr)
		}
		outside = outside || !loopback
	}
	told := l.port.Advertised()
	note(l.id, l.cfg.Name, told.String(), told.Addr().IsLoopback())
	for _, p := range l.peers {
		if p.State == member.Alive && p.ID != l.id {
			note(p.ID, p.Meta.Name, p.Addr.String(), p.Addr.Addr().IsLoopback())
		}
	}
	f := &l.warnings.addresses
	f.now = nil
	if outside {
		f.now = append(f.now, slices.Collect(maps.Values(inside))...)
	}
	for addr, names := range at {
		slices.Sort(names)
		if names = slices.Compact(names); len(names) > 1 { // one name twice is an agent that lost its disk, or a name taken
			f.now = append(f.now, fmt.Sprintf("%s all tell others the address %s, so calls for one reach another: start each with an address of its own (--advertise ADDR, or --advertise @INTERFACE)", strings.Join(names, ", "), addr))
		}
	}
}

// warnAddresses warns of what was found, and of what was a moment ago.
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
