package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Advertised picks the address that the others are told: the flag if it is set,
// else the bound address, else the first private one of this machine.
func Advertised(flag string, bound netip.AddrPort) (netip.AddrPort, error) {
	if flag != "" {
		if a, err := netip.ParseAddrPort(flag); err == nil {
			return a, nil
		}
		a, err := netip.ParseAddr(flag)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("advertise %q: want an address with or without a port, as 10.0.0.1 or 10.0.0.1:3825", flag)
		}
		return netip.AddrPortFrom(a, bound.Port()), nil
	}
	if !bound.Addr().IsUnspecified() {
		return bound, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find an address to advertise: %w", err)
	}
	best := netip.Addr{}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		if p.Addr().IsPrivate() {
			return netip.AddrPortFrom(p.Addr(), bound.Port()), nil
		}
		if !best.IsValid() {
			best = p.Addr()
		}
	}
	if !best.IsValid() {
		return netip.AddrPort{}, errors.New("no address to advertise: this machine has loopback addresses only; name one with --advertise ADDR")
	}
	return netip.AddrPortFrom(best, bound.Port()), nil
}
