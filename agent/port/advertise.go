package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/seeds"
)

// advertiseWait bounds the lookup of the name that an agent advertises.
const advertiseWait = 5 * time.Second

// Advertise is the address that the other agents call: an address, a name that is looked
// up, or an interface. With the zero value [Advertise.Addr] finds one by the routes.
type Advertise struct {
	text, host, inter string
	port              uint16 // 0: that of the bound address
	addr              netip.Addr
}

// ParseAdvertise reads HOST[:PORT] or @INTERFACE[:PORT]; "" returns the zero value.
func ParseAdvertise(text string) (Advertise, error) {
	a := Advertise{text: text}
	if text == "" {
		return a, nil
	}
	rest, inter := strings.CutPrefix(text, "@")
	host, n, err := seeds.SplitHostPort(rest)
	if err == nil && (host == "" || strings.ContainsAny(host, " \t\n/,@")) {
		err = errors.New("want HOST[:PORT] or @INTERFACE[:PORT], such as 10.0.0.1 or @eth0")
	}
	if err != nil {
		return a, fmt.Errorf("advertise %q: %w", text, err)
	}
	if _, _, none := net.SplitHostPort(rest); none == nil {
		a.port = n
	}
	if inter {
		a.inter = host
		return a, nil
	}
	a.host = host
	if a.addr, err = netip.ParseAddr(host); err == nil {
		a.addr = a.addr.Unmap()
		if err := seeds.Usable(a.addr); err != nil {
			return a, fmt.Errorf("advertise %q: %w", text, err)
		}
	}
	return a, nil
}

// NamesPort reports whether the port is given, too.
func (a *Advertise) NamesPort() bool { return a.port != 0 }

// Found reports whether the address is chosen among those of this machine, so that it
// may change.
func (a *Advertise) Found(bound netip.AddrPort) bool {
	return a.inter != "" || a.host == "" && bound.Addr().IsUnspecified()
}

// Addr returns the address to advertise. toward has addresses of other agents, the most
// useful first. Addr looks a name up only if a name is advertised.
func (a *Advertise) Addr(ctx context.Context, bound netip.AddrPort, toward []netip.Addr) (netip.AddrPort, error) {
	addr, err := a.find(ctx, bound.Addr(), toward)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n := a.port
	if n == 0 {
		n = bound.Port()
	}
	return netip.AddrPortFrom(addr, n), nil
}

func (a *Advertise) find(ctx context.Context, bound netip.Addr, toward []netip.Addr) (netip.Addr, error) {
	switch {
	case a.addr.IsValid():
		return a.addr, nil
	case a.inter != "":
		return a.ofInterface(bound, toward)
	case a.host != "":
		return a.ofName(ctx, bound, toward)
	case !bound.IsUnspecified():
		return bound, nil
	}
	return ofRoutes(bound, toward)
}

func (a *Advertise) ofName(ctx context.Context, bound netip.Addr, toward []netip.Addr) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, advertiseWait)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", a.host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("advertise %s: %w", a.text, err)
	}
	if ip := best(ips, bound, toward); ip.IsValid() {
		return ip, nil
	}
	return netip.Addr{}, fmt.Errorf("advertise %s: the name has no address that other machines can call: %v", a.text, ips)
}

func (a *Advertise) ofInterface(bound netip.Addr, toward []netip.Addr) (netip.Addr, error) {
	all, err := ownAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	var its []netip.Addr
	var others []string
	for _, o := range all {
		if o.inter.Name == a.inter {
			its = append(its, o.Addr())
		} else if !slices.Contains(others, o.inter.Name) {
			others = append(others, o.inter.Name)
		}
	}
	if ip := best(its, bound, toward); ip.IsValid() {
		return ip, nil
	}
	return netip.Addr{}, fmt.Errorf("advertise %s: there is no such interface, or it has no address that other machines can call; these have one: %s", a.text, strings.Join(others, " "))
}

// best returns the first address that other machines can call, of the family that the
// agents use if possible. It returns an IPv4 link-local or loopback address only if
// there is no other, and an invalid one if there is none at all.
func best(ips []netip.Addr, bound netip.Addr, toward []netip.Addr) (first netip.Addr) {
	rank := 0
	for _, ip := range ips {
		ip = ip.Unmap()
		r := 1
		switch {
		case seeds.Usable(ip) != nil:
			r = 0
		case !ip.IsLoopback() && !ip.IsLinkLocalUnicast():
			r = 2
			if ip.Is4() == prefers4(bound, toward) {
				r = 3
			}
		}
		if r > rank {
			first, rank = ip, r
		}
	}
	return first
}

// prefers4 reports whether an IPv4 address is preferred: yes on 0.0.0.0; on [::], if the
// first of the other agents has one.
func prefers4(bound netip.Addr, toward []netip.Addr) bool {
	return bound.Is4() || len(toward) == 0 || toward[0].Is4()
}

// ofRoutes returns the address from which packets to the other agents leave. A
// machine's first address can be wrong: every machine may have it (docker0), or it may be
// in another network. Without other agents the default route decides, and
// without that the interfaces.
func ofRoutes(bound netip.Addr, toward []netip.Addr) (netip.Addr, error) {
	own, err := ownAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	mine := func(a netip.Addr) bool {
		return slices.ContainsFunc(own, func(o ownAddr) bool { return o.Addr() == a })
	}
	if bound.Is4() { // an IPv6 address only if there is no other
		toward = slices.SortedStableFunc(slices.Values(toward), func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	}
	for _, a := range toward {
		if source := Source(a); !mine(a) && mine(source) && !source.IsLoopback() {
			return source, nil
		}
	}
	for _, o := range own { // other agents call this one there
		if !o.loopback() && slices.Contains(toward, o.Addr()) {
			return o.Addr(), nil
		}
	}
	for _, anywhere := range []string{"192.0.2.1", "2001:db8::1"} { // documentation addresses: only the default route leads there
		if source := Source(netip.MustParseAddr(anywhere)); mine(source) && !source.IsLoopback() {
			return source, nil
		}
	}
	var neighbours []netip.Addr
	var names []string
	for _, o := range own {
		if o.loopback() || seeds.Usable(o.Addr()) != nil {
			continue
		}
		names = append(names, fmt.Sprintf("%s (%s)", o.Addr(), o.inter.Name))
		if o.Bits() < o.Addr().BitLen() && !besides.MatchString(o.inter.Name) {
			neighbours = append(neighbours, o.Addr())
		}
	}
	if ip := best(neighbours, bound, toward); ip.IsValid() {
		return ip, nil
	}
	if len(names) == 0 {
		names = []string{"none but loopback"}
	}
	return netip.Addr{}, fmt.Errorf("no address to advertise: there is no default route, and no other agent is known; name one with --advertise ADDR or --advertise @INTERFACE; this machine has %s", strings.Join(names, ", "))
}

// besides matches interfaces that lead to no other machine, or into an overlay network
// that the other agents may not be in.
var besides = regexp.MustCompile(`^(docker|podman|br-|virbr|lxcbr|lxdbr|cni|flannel|cilium|cali|weave|veth|dummy|tailscale|zt|wg|tun|tap|utun)`)

// Source returns the address from which packets to another one leave. It asks the
// kernel's routes, and sends nothing. Invalid: there is no route.
func Source(to netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, seeds.DefaultPort)))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// ownAddr is an address of this machine.
type ownAddr struct {
	netip.Prefix
	inter net.Interface
}

// loopback reports whether other machines cannot call the address. They can call a
// virtual address on lo, if a router sends its packets here.
func (o *ownAddr) loopback() bool {
	return o.inter.Flags&net.FlagLoopback != 0 || o.Addr().IsLoopback()
}

// ownAddrs returns the addresses of the interfaces that are up.
func ownAddrs() (own []ownAddr, err error) {
	inters, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("find an address to advertise: %w", err)
	}
	for _, i := range inters {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue // removed since, or it leads to no other machine
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				own = append(own, ownAddr{p, i})
			}
		}
	}
	return own, nil
}
