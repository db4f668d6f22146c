package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network is a router and the hosts around it.
type network struct {
	router *namespace
	hosts  []*host
	filter *filter
}

// host is one namespace with one link, to the router.
type host struct {
	*namespace
	addr netip.Addr
	link int // 1, 2, ...: names its veth and its subnet
}

// newNetwork makes a router with n hosts.
func newNetwork(n int) (w *network, err error) {
	w = &network{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.router, err = newNamespace(); err != nil {
		return nil, err
	}
	// /proc/sys/net is that of the reader's namespace.
	err = w.router.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
	if err != nil {
		return nil, fmt.Errorf("have the router forward: %w", err)
	}
	for i := range n {
		if err := w.addHost(i + 1); err != nil {
			return nil, fmt.Errorf("host %d: %w", i+1, err)
		}
	}
	w.filter, err = newFilter(w.router)
	return w, err
}

func (w *network) addHost(i int) error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	h := &host{namespace: ns, link: i}
	w.hosts = append(w.hosts, h)
	router, err := netlink.NewHandleAt(w.router.fd)
	if err != nil {
		return err
	}
	defer router.Close()
	inside, err := netlink.NewHandleAt(h.fd)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := up(inside, "lo", netip.Prefix{}); err != nil {
		return err
	}
	// All hosts have one address in common, as those that run containers do.
	if err := inside.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "docker0"}}); err != nil {
		return fmt.Errorf("add a bridge: %w", err)
	}
	if err := up(inside, "docker0", netip.MustParsePrefix("172.17.0.1/16")); err != nil {
		return err
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: h.veth()}, PeerName: "eth0", PeerNamespace: netlink.NsFd(h.fd)}
	if err := router.LinkAdd(veth); err != nil {
		return fmt.Errorf("add a veth pair: %w", err)
	}
	if err := up(router, h.veth(), subnet(i, 1)); err != nil {
		return err
	}
	return h.setAddr(2)
}

func (h *host) veth() string { return fmt.Sprintf("veth%d", h.link) }

// subnet is a host's or the router's address in the network of link i.
func subnet(i, last int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(i), byte(last)}), 24)
}

// setAddr gives the host another address, and takes the one before away.
func (h *host) setAddr(last int) error {
	inside, err := netlink.NewHandleAt(h.fd)
	if err != nil {
		return err
	}
	defer inside.Close()
	link, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	old, err := inside.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for i := range old {
		if err := inside.AddrDel(link, &old[i]); err != nil {
			return fmt.Errorf("take address %v away: %w", old[i].IPNet, err)
		}
	}
	addr := subnet(h.link, last)
	if err := up(inside, "eth0", addr); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IP(subnet(h.link, 1).Addr().AsSlice())}
	if err := inside.RouteReplace(route); err != nil {
		return fmt.Errorf("set the default route: %w", err)
	}
	h.addr = addr.Addr()
	return nil
}

// up brings a link up, with an address if one is given.
func up(h *netlink.Handle, name string, addr netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	if addr.IsValid() {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}}
		if addr.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // it is there at once
		}
		if err := h.AddrAdd(link, a); err != nil {
			return fmt.Errorf("give %s address %v: %w", name, addr, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

func (w *network) close() {
	if w.filter != nil {
		w.filter.close()
	}
	for _, h := range w.hosts {
		h.close()
	}
	if w.router != nil {
		w.router.close()
	}
}
