package run

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
)

const (
	// addressLabel marks IPv4 addresses that vip has added.
	addressLabel = "ddgoose"
	// IPv6 addresses that vip has added have addressFlags, a lifetime, and are deprecated.
	// Without duplicate address detection, an address works at once.
	addressFlags = unix.IFA_F_NODAD
	// renewPause spaces the renewals in the kernel: it reports each one to all programs
	// that watch addresses, and counts in whole seconds anyway.
	renewPause = 200 * time.Millisecond
	// listTries is how often check lists the addresses, if each list may be incomplete because others
	// change meanwhile.
	listTries = 20
)

// addresses are virtual addresses of one device. Each has a lifetime in the kernel,
// which removes it soon after the lease even if no process is left to do so.
type addresses struct {
	device   string
	prefixes []netip.Prefix
	netlink  *netlink.Handle
	announcer

	until  atomic.Int64  // the end of the lease by the boot clock
	serves atomic.Bool   // serve runs, and may add
	barred atomic.Bool   // kill was called since the last start: nothing is added
	poke   chan struct{} // capacity 1: until or barred is new
	news   chan struct{} // capacity 1
}

var (
	_ actor   = (*addresses)(nil)
	_ renewer = (*addresses)(nil)
)

// newAddresses needs the right to change addresses. It acts in the network
// namespace of the calling thread.
func newAddresses(device string, prefixes []netip.Prefix) (*addresses, error) {
	header, have := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &have[0]); err != nil {
		return nil, fmt.Errorf("read this process's capabilities: %w", err)
	}
	if need := uint32(1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW); have[0].Effective&need != need {
		return nil, errors.New("a virtual address needs CAP_NET_ADMIN and CAP_NET_RAW: run ddgoose vip as root, or with AmbientCapabilities= in its unit")
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	a := &addresses{device: device, prefixes: prefixes, netlink: handle, poke: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	if a.announcer, err = newAnnouncer(); err != nil {
		handle.Close()
		return nil, err
	}
	if err := a.check(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *addresses) close() {
	a.announcer.close()
	a.netlink.Close()
}

// check refuses an address that cannot be added, or that another program has added.
func (a *addresses) check() error {
	if _, err := a.link(); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		present, err := a.present()
		for _, x := range present {
			if !ours(x) {
				return fmt.Errorf("%v is an address of this machine already, and ddgoose vip did not add it", x.IP)
			}
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		if tries == listTries {
			return nil // an address that stays is not missing from all lists
		}
	}
}

func (a *addresses) link() (netlink.Link, error) {
	link, err := a.netlink.LinkByName(a.device)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, fmt.Errorf("this machine has no device %s", a.device)
	}
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", a.device, err)
	}
	return link, nil
}

// present lists which of the addresses this machine has, on any device: perhaps not all of them, if the
// error is netlink.ErrDumpInterrupted.
func (a *addresses) present() ([]netlink.Addr, error) {
	all, err := a.netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		err = fmt.Errorf("list this machine's addresses: %w", err)
	}
	return slices.DeleteFunc(all, func(x netlink.Addr) bool {
		return !slices.ContainsFunc(a.prefixes, func(p netip.Prefix) bool { return x.IP.Equal(p.Addr().AsSlice()) })
	}), err
}

// ours reports whether vip has added an address, in this process or an earlier one.
func ours(x netlink.Addr) bool {
	if x.IP.To4() != nil {
		return x.Label == addressLabel
	}
	const marks = addressFlags | unix.IFA_F_DEPRECATED
	return x.Flags&(marks|unix.IFA_F_PERMANENT) == marks
}

func (a *addresses) renew(until time.Duration) {
	a.until.Store(int64(until))
	tell(a.poke)
}

func (a *addresses) start([]string) <-chan outcome {
	ended := make(chan outcome, 1)
	a.barred.Store(false)
	a.serves.Store(true)
	go func() {
		var o outcome
		if o.err = a.serve(); o.err != nil {
			o.code = 1
		}
		ended <- o
		a.serves.Store(false)
		tell(a.news)
	}()
	return ended
}

// serve adds the addresses, renews them with every lease, and announces them.
func (a *addresses) serve() error {
	if err := a.check(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var added, renewed, due time.Duration
	for announced := 0; !a.barred.Load(); {
		now, until := boottime.Now(), time.Duration(a.until.Load())
		left := until - now
		if left > 0 && until != added && now-renewed >= renewPause {
			if err := a.add(left); err != nil {
				return err
			}
			added, renewed = until, now
		}
		if left > 0 && now >= due {
			a.announceAll()
			announced++
			due = now + announcePause(announced)
		}
		timer.Reset(max(due-now, renewPause))
		select {
		case <-a.poke:
		case <-timer.C:
		}
	}
	return nil
}

// add adds the addresses for the time left, or renews them.
func (a *addresses) add(left time.Duration) error {
	link, err := a.link()
	if err != nil {
		return err
	}
	seconds := int((left + time.Second - 1) / time.Second)
	for _, p := range a.prefixes {
		x := &netlink.Addr{
			IPNet:    &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
			ValidLft: seconds,
		}
		if p.Addr().Is4() {
			x.Label, x.PreferedLft = addressLabel, seconds
		} else {
			x.Flags = addressFlags // and deprecated: this machine's own connections begin at another one
		}
		if err := a.netlink.AddrReplace(link, x); err != nil {
			return fmt.Errorf("add %v to %s: %w", p, a.device, err)
		}
	}
	return nil
}

// announceAll tells the neighbours, if the device has any.
func (a *addresses) announceAll() {
	link, err := a.link()
	if err != nil {
		return // the next renewal says so
	}
	for _, p := range a.prefixes {
		a.announce(link.Attrs().Index, link.Attrs().HardwareAddr, p.Addr())
	}
}

func (a *addresses) stop() { a.kill() }

func (a *addresses) kill() {
	a.barred.Store(true)
	tell(a.poke)
	present, _ := a.present() // gone asks again
	for _, x := range present {
		if ours(x) {
			_ = a.netlink.AddrDel(nil, &x)
		}
	}
	tell(a.news)
}

func (a *addresses) gone() bool {
	if a.serves.Load() {
		return false
	}
	present, err := a.present()
	return err == nil && !slices.ContainsFunc(present, ours)
}

func (a *addresses) changed() <-chan struct{} { return a.news }

// describe promises to answer deadlines: if the guard stops answering, the kernel removes
// the address.
func (a *addresses) describe(o *client.HoldOptions) {
	o.Work, o.Ends, o.Acks = "vip", "removal of the address, or the kernel (lifetime: the lease, rounded up to 1 s)", true
}

// killTime is the time to kill the guard, which vip kills if it does not answer.
func (a *addresses) killTime(guess func(int) time.Duration) time.Duration { return guess(1) }

// remains is what a guard of vip leaves: its processes, which must end first, and the
// addresses.
type remains struct {
	*subtree
	*addresses
}

func (r remains) kill() {
	r.subtree.kill()
	r.addresses.kill()
}

func (r remains) gone() bool               { return r.subtree.gone() && r.addresses.gone() }
func (r remains) changed() <-chan struct{} { return r.subtree.changed() }
