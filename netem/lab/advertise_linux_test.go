package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"duckduckgoose/agent/port"
)

// machine is the interfaces of one machine, in their order, and the interface of
// its default route.
type machine struct {
	addrs    [][2]string // interface and address
	fallback string
}

var (
	dockerHost = machine{[][2]string{{"docker0", "172.17.0.1/16"}, {"eth0", "203.0.113.1/24"}}, "eth0"}
	overlaid   = machine{[][2]string{{"tailscale0", "fd7a:115c:a1e0::1/128"}, {"wg0", "100.64.0.1/24"}, {"eth0", "203.0.113.1/24"}}, "eth0"}
	sixOnly    = machine{[][2]string{{"eth0", "fd00::1/64"}}, "eth0"}
	twoNICs    = machine{[][2]string{{"eth0", "203.0.113.1/24"}, {"eth1", "10.0.0.1/24"}, {"eth1", "fd00::1/64"}}, "eth0"}
	virtual    = machine{[][2]string{{"lo", "10.0.0.100/32"}, {"eth0", "10.0.0.1/24"}}, "eth0"}
	unrouted   = machine{[][2]string{{"docker0", "172.17.0.1/16"}, {"tailscale0", "100.64.0.1/32"}, {"eth0", "192.168.1.1/24"}}, ""}
	bridgeOnly = machine{[][2]string{{"docker0", "172.17.0.1/16"}}, ""}
)

// TestTheToldAddressIsTheOneThatTheOthersCanCall asks real routes.
func TestTheToldAddressIsTheOneThatTheOthersCanCall(t *testing.T) {
	for _, c := range []struct {
		name   string
		on     machine
		flag   string
		bind   string
		toward []string
		want   string // an address, or part of an error
	}{
		{"docker0 comes first", dockerHost, "", "0.0.0.0", []string{"203.0.113.1", "203.0.113.2"}, "203.0.113.1:3825"},
		{"docker0, and nobody is known", dockerHost, "", "0.0.0.0", nil, "203.0.113.1:3825"},
		{"docker0 and only this machine in the list", dockerHost, "", "0.0.0.0", []string{"203.0.113.1"}, "203.0.113.1:3825"},
		{"an overlay", overlaid, "", "0.0.0.0", []string{"203.0.113.2"}, "203.0.113.1:3825"},
		{"an overlay, and nobody is known", overlaid, "", "::", nil, "203.0.113.1:3825"},
		{"the others are in the overlay", overlaid, "", "0.0.0.0", []string{"100.64.0.2"}, "100.64.0.1:3825"},
		{"IPv6 only", sixOnly, "", "::", []string{"fd00::2"}, "[fd00::1]:3825"},
		{"IPv6 only, bound to 0.0.0.0", sixOnly, "", "0.0.0.0", []string{"fd00::2"}, "[fd00::1]:3825"},
		{"IPv6 only, and nobody is known", sixOnly, "", "::", nil, "[fd00::1]:3825"},
		{"IPv4 first when bound to 0.0.0.0", twoNICs, "", "0.0.0.0", []string{"fd00::2", "10.0.0.2"}, "10.0.0.1:3825"},
		{"as the others when bound to ::", twoNICs, "", "::", []string{"fd00::2", "10.0.0.2"}, "[fd00::1]:3825"},
		{"the second NIC", twoNICs, "", "0.0.0.0", []string{"10.0.0.2"}, "10.0.0.1:3825"},
		{"the second NIC, and only this machine in the list", twoNICs, "", "0.0.0.0", []string{"10.0.0.1"}, "10.0.0.1:3825"},
		{"the default route", twoNICs, "", "0.0.0.0", nil, "203.0.113.1:3825"},
		{"a virtual address on lo", virtual, "", "0.0.0.0", []string{"10.0.0.100", "10.0.0.2"}, "10.0.0.1:3825"},
		{"only the virtual address in the list", virtual, "", "0.0.0.0", []string{"10.0.0.100"}, "10.0.0.1:3825"},
		{"no route", unrouted, "", "0.0.0.0", []string{"10.9.9.9"}, "192.168.1.1:3825"},
		{"nothing but a bridge", bridgeOnly, "", "0.0.0.0", nil, "this machine has 172.17.0.1 (docker0)"},
		{"an interface", twoNICs, "@eth1", "0.0.0.0", nil, "10.0.0.1:3825"},
		{"an interface and a port", twoNICs, "@eth1:4000", "0.0.0.0", nil, "10.0.0.1:4000"},
		{"an interface, as the others", twoNICs, "@eth1", "::", []string{"fd00::2"}, "[fd00::1]:3825"},
		{"no such interface", twoNICs, "@eth7", "0.0.0.0", nil, "there is no such interface, or it has no address that other machines can call; these have one: lo "},
		{"a name", twoNICs, "localhost", "0.0.0.0", nil, "127.0.0.1:3825"},
		{"what is bound", twoNICs, "", "10.0.0.1", []string{"203.0.113.2"}, "10.0.0.1:3825"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := c.on.open(t)
			tells, err := port.ParseAdvertise(c.flag)
			require.NoError(t, err)
			var toward []netip.Addr
			for _, a := range c.toward {
				toward = append(toward, netip.MustParseAddr(a))
			}
			var got netip.AddrPort
			err = ns.do(func() (err error) {
				got, err = tells.Addr(context.Background(), netip.AddrPortFrom(netip.MustParseAddr(c.bind), 3825), toward)
				return err
			})
			if _, is := netip.ParseAddrPort(c.want); is != nil {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got.String())
		})
	}
}

// open makes the machine; the test skips where there can be none.
func (m machine) open(t *testing.T) *namespace {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: the kernel lab needs root to make network namespaces")
	}
	ns, err := newNamespace()
	if err != nil {
		t.Skipf("SKIPPED: this kernel has no network namespaces: %v", err)
	}
	t.Cleanup(ns.close)
	h, err := netlink.NewHandleAt(ns.fd)
	require.NoError(t, err)
	defer h.Close()
	require.NoError(t, up(h, "lo", netip.Prefix{}))
	for i, a := range m.addrs {
		name, addr := a[0], netip.MustParsePrefix(a[1])
		if _, err := h.LinkByName(name); err != nil {
			peer := fmt.Sprintf("peer%d", i)
			require.NoError(t, h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer}))
			require.NoError(t, up(h, peer, netip.Prefix{}))
		}
		require.NoError(t, up(h, name, addr))
		if name == m.fallback && addr == m.first(name) {
			link, err := h.LinkByName(name)
			require.NoError(t, err)
			gateway := addr.Masked().Addr().AsSlice()
			gateway[len(gateway)-1] = 254
			require.NoError(t, h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway}))
		}
	}
	return ns
}

// first gives the first address of an interface.
func (m machine) first(name string) netip.Prefix {
	for _, a := range m.addrs {
		if a[0] == name {
			return netip.MustParsePrefix(a[1])
		}
	}
	return netip.Prefix{}
}
