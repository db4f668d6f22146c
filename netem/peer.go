package netem

import (
	"net/netip"
	"strings"
)

// Direction is the direction of a packet, seen from the agent that has the rules.
type Direction uint8

// The two directions.
const (
	Out Direction = iota // from this agent to the peer
	In                   // from the peer to this agent
)

// String returns the word the rules use.
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

// Peer is the other end of a link, as far as it is known.
type Peer struct {
	Name string // "" while unknown: such a peer matches by * or by address
	// Addr is where it listens. Port 0 means that the port is not known: such a
	// peer matches by its bare IP, never by an address with a port.
	Addr netip.AddrPort
}

// Canonical returns the form of an address that rules and links compare:
// an IPv4 address written as IPv6 is IPv4, and zones do not count.
func Canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// pattern is one PEER of a rule: all, a name, or an address (port 0: any port).
type pattern struct {
	all  bool
	name string
	addr netip.AddrPort
}

const wantPeer = `*, a name of at most 63 letters, digits, ".", "_" and "-", or an address like 10.0.0.1, 10.0.0.1:3825, ::1 or [::1]:3825`

// parsePattern reads a PEER. A mistyped address must not become a name that matches
// no peer, so four numbers with dots are an address or an error.
func parsePattern(s string) (pattern, bool) {
	if s == "*" {
		return pattern{all: true}, true
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return pattern{addr: Canonical(netip.AddrPortFrom(a, 0))}, a.Zone() == ""
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return pattern{addr: Canonical(a)}, a.Port() != 0 && a.Addr().Zone() == ""
	}
	looksIPv4 := strings.Count(s, ".") == 3 && strings.Trim(s, "0123456789.") == ""
	return pattern{name: s}, len(s) > 0 && len(s) <= 63 && !looksIPv4 && !strings.ContainsFunc(s, notInName)
}

func notInName(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
}

// matches expects p.Addr in canonical form.
func (m *pattern) matches(p Peer) bool {
	switch {
	case m.all:
		return true
	case m.name != "":
		return m.name == p.Name
	case m.addr.Port() == 0:
		return m.addr.Addr() == p.Addr.Addr()
	default:
		return m.addr == p.Addr
	}
}

func (m *pattern) String() string {
	switch {
	case m.all:
		return "*"
	case m.name != "":
		return m.name
	case m.addr.Port() == 0:
		return m.addr.Addr().String()
	default:
		return m.addr.String()
	}
}
