package agent

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/election"
)

func (l *life) netemRules() string {
	f := l.faults.Load()
	if f == nil {
		return ""
	}
	rules, _, _ := (*f).Show()
	return rules
}

// peerBehind names the sender of a stream, for fault rules. Any goroutine.
func (l *life) peerBehind(id election.ID) (string, netip.AddrPort) {
	if g := l.gossiping.Load(); g != nil {
		if p, ok := g.Peer(id); ok {
			return p.Meta.Name, p.Addr
		}
	}
	return "", netip.AddrPort{}
}

// address matches an address with a port in fault rules.
var address = regexp.MustCompile(`(\d+(\.\d+){3}|\[[^]]+\]):\d+`)

// namedRules returns the fault rules for people: with the names of known agents
// instead of their addresses.
func (l *life) namedRules() string {
	rules := l.netemRules()
	if rules == "" {
		return ""
	}
	names := l.namesByAddr()
	return address.ReplaceAllStringFunc(rules, func(word string) string {
		if addr, err := netip.ParseAddrPort(word); err == nil && names[addr] != "" {
			return names[addr]
		}
		return word
	})
}

// unmatchedRules returns the words of the fault rules that match no agent known here.
func (l *life) unmatchedRules() []string { return (*l.faults.Load()).Unmatched(l.namesByAddr()) }

// clearNetem ends the fault rules of one agent.
const clearNetem = "ddgoose netem clear"

// endsNetem returns the command that ends fault rules. A local flock has a driver that gave them to its agents: heal ends a
// partition, an empty netem all else, and both clear what somebody gave to one agent.
func (a *Agent) endsNetem(rules string) string {
	dir, err := filepath.Abs(filepath.Dir(a.cfg.Socket))
	if err != nil || a.cfg.Socket == NoSocket {
		return clearNetem
	}
	if _, err := os.Stat(filepath.Join(dir, client.DriverSocket)); err != nil {
		return clearNetem
	}
	var heal, replace string
	for rule := range strings.SplitSeq(rules, "; ") {
		if peers, cut := strings.CutSuffix(rule, ": cut"); cut && !strings.Contains(peers, "*") {
			heal = "ddgoose flock heal --dir " + api.Quoted(dir)
		} else {
			replace = "ddgoose flock netem '' --dir " + api.Quoted(dir)
		}
	}
	return strings.Trim(heal+"; "+replace, "; ")
}

// namesByAddr returns the names of the other agents known here, by address.
func (l *life) namesByAddr() map[netip.AddrPort]string {
	names := map[netip.AddrPort]string{}
	for _, p := range l.disk.Peers() {
		if addr, err := netip.ParseAddrPort(p.Addr); err == nil && p.ID != l.id {
			names[addr] = p.Name
		}
	}
	for _, p := range l.peers() {
		if p.ID != l.id {
			names[p.Addr] = p.Meta.Name
		}
	}
	return names
}
