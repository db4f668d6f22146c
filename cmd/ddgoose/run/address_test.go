//go:build linux

package run

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
)

var virtual = []netip.Prefix{netip.MustParsePrefix("10.9.0.100/24"), netip.MustParsePrefix("2001:db8::100/128")}

// wire puts the test into a network namespace with two ends of a wire.
func wire(t *testing.T) (end0, end1 netlink.Link) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: virtual addresses need root to make a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("SKIPPED: make a network namespace: %v", err)
	}
	require.NoError(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "end0"}, PeerName: "end1"}))
	for i, to := range []*netlink.Link{&end0, &end1} {
		var err error
		*to, err = netlink.LinkByName([]string{"end0", "end1"}[i])
		require.NoError(t, err)
		require.NoError(t, netlink.LinkSetUp(*to))
	}
	give(t, &netlink.Handle{}, end0, "10.9.0.1/24")
	return end0, end1
}

// give adds an address as an operator does.
func give(t *testing.T, at *netlink.Handle, link netlink.Link, addr string) {
	t.Helper()
	a, err := netlink.ParseAddr(addr)
	require.NoError(t, err)
	require.NoError(t, at.AddrAdd(link, a))
}

// has tells which virtual addresses the kernel has, with their seconds to live.
func has(t *testing.T) map[string]int {
	t.Helper()
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	require.NoError(t, err)
	found := map[string]int{}
	for _, x := range all {
		for _, p := range virtual {
			if x.IP.Equal(p.Addr().AsSlice()) {
				found[x.IPNet.String()] = x.ValidLft
			}
		}
	}
	return found
}

func newTestAddresses(t *testing.T) *addresses {
	t.Helper()
	a, err := newAddresses("end0", virtual)
	require.NoError(t, err)
	t.Cleanup(a.close)
	return a
}

func both(lifetime int) map[string]int {
	return map[string]int{"10.9.0.100/24": lifetime, "2001:db8::100/128": lifetime}
}

// held waits until the addresses are there for a lifetime.
func held(t *testing.T, lifetime int) {
	t.Helper()
	var got map[string]int
	apitest.Eventually(t, func() bool {
		got = has(t)
		return len(got) == len(virtual) && got["10.9.0.100/24"] >= lifetime-1
	}, "held for %d s: %v", lifetime, &got)
	for _, seconds := range got {
		require.LessOrEqual(t, seconds, lifetime)
	}
}

func TestAddressesLastAsLongAsTheLease(t *testing.T) {
	wire(t)
	a := newTestAddresses(t)
	require.True(t, a.gone())
	a.renew(boottime.Now() + 100*time.Second)
	outcomes := a.start(nil)
	require.False(t, a.gone(), "a start is under way")
	held(t, 100)
	a.renew(boottime.Now() + 1000*time.Second)
	held(t, 1000)
	a.stop()
	killUntilGone(a, func() {})
	require.Zero(t, <-outcomes)
	require.Empty(t, has(t))

	a.renew(boottime.Now() + 100*time.Second) // what nobody holds is not added by a late renewal
	require.True(t, a.gone())
	outcomes = a.start(nil)
	held(t, 100)
	killUntilGone(a, func() {})
	require.Zero(t, <-outcomes)
	require.True(t, a.gone())
}

// TestTheKernelRemovesWhatNoLeaseRenews leaves the guard alive, which must not renew by itself.
func TestTheKernelRemovesWhatNoLeaseRenews(t *testing.T) {
	wire(t)
	a := newTestAddresses(t)
	updates, done := make(chan netlink.AddrUpdate, 100), make(chan struct{})
	defer close(done)
	require.NoError(t, netlink.AddrSubscribe(updates, done))
	a.renew(boottime.Now() + 900*time.Millisecond)
	outcomes := a.start(nil)
	seen := map[string]int{}
	for removed := 0; removed < len(virtual); {
		u := <-updates
		name := u.LinkAddress.String()
		if _, ours := both(0)[name]; !ours {
			continue
		}
		if seen[name]++; !u.NewAddr {
			removed++
		}
	}
	require.Equal(t, both(2), seen, "added once, removed once")
	killUntilGone(a, func() {})
	require.Zero(t, <-outcomes)
}

func TestAddressesOfAnEarlierLifeAreTakenOver(t *testing.T) {
	wire(t)
	require.NoError(t, newTestAddresses(t).add(100*time.Second))
	next := newTestAddresses(t)
	next.renew(boottime.Now() + 1000*time.Second)
	outcomes := next.start(nil)
	held(t, 1000)
	killUntilGone(next, func() {})
	require.Zero(t, <-outcomes)
}

func TestAddressesOfOthersAreLeftAlone(t *testing.T) {
	_, end1 := wire(t)
	a := newTestAddresses(t)
	for _, p := range virtual {
		give(t, &netlink.Handle{}, end1, p.String())
	}
	_, err := newAddresses("end0", virtual)
	require.EqualError(t, err, "10.9.0.100 is an address of this machine already, and ddgoose vip did not add it")
	a.renew(boottime.Now() + 100*time.Second)
	o := <-a.start(nil)
	require.Equal(t, 1, o.code)
	require.EqualError(t, o.err, err.Error())
	a.kill()
	require.Eventually(t, func() bool { return a.gone() }, time.Minute, time.Millisecond)
	require.Equal(t, both(math.MaxUint32), has(t), "for ever")

	_, err = newAddresses("end7", virtual)
	require.EqualError(t, err, "this machine has no device end7")
}

func TestAddressesAreAnnounced(t *testing.T) {
	end0, end1 := wire(t)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, unix.ETH_P_ALL<<8)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: unix.ETH_P_ALL << 8, Ifindex: end1.Attrs().Index}))
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}))
	a := newTestAddresses(t)
	a.renew(boottime.Now() + 100*time.Second)
	outcomes := a.start(nil)
	mac := end0.Attrs().HardwareAddr
	want := map[string]int{
		string(arpAnnouncement(mac, virtual[0].Addr())):        announceFirst,
		string(neighbourAdvertisement(mac, virtual[1].Addr())): announceFirst,
	}
	require.Len(t, arpAnnouncement(mac, virtual[0].Addr()), 42)
	for buf := make([]byte, 2000); len(want) > 0; {
		n, err := unix.Read(fd, buf)
		require.NoError(t, err)
		frame := string(buf[:n])
		if want[frame]--; want[frame] <= 0 {
			delete(want, frame)
		}
	}
	killUntilGone(a, func() {})
	require.Zero(t, <-outcomes)
}

// TestNeighboursLearnFromAnnouncements has the kernel at the other end judge the frames.
func TestNeighboursLearnFromAnnouncements(t *testing.T) {
	end0, end1 := wire(t)
	here, err := netns.Get()
	require.NoError(t, err)
	defer here.Close()
	there, err := netns.New()
	require.NoError(t, err)
	defer there.Close()
	other, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, netns.Set(here))
	require.NoError(t, netlink.LinkSetNsFd(end1, int(there)))
	require.NoError(t, other.LinkSetUp(end1))
	give(t, other, end1, "10.9.0.2/24")
	for _, p := range virtual {
		require.NoError(t, other.NeighSet(&netlink.Neigh{
			LinkIndex: end1.Attrs().Index, State: unix.NUD_STALE, IP: p.Addr().AsSlice(), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
		}))
	}
	a := newTestAddresses(t)
	a.renew(boottime.Now() + 100*time.Second)
	outcomes := a.start(nil)
	for _, p := range virtual {
		require.Eventually(t, func() bool {
			known, err := other.NeighList(end1.Attrs().Index, netlink.FAMILY_ALL)
			require.NoError(t, err)
			return slices.ContainsFunc(known, func(n netlink.Neigh) bool {
				return n.IP.Equal(p.Addr().AsSlice()) && n.HardwareAddr.String() == end0.Attrs().HardwareAddr.String()
			})
		}, time.Minute, 10*time.Millisecond, p)
	}
	killUntilGone(a, func() {})
	require.Zero(t, <-outcomes)
}

// TestAddressesAreFoundWhileOthersChange: of more addresses than fit into one answer, the kernel says
// that the list may be incomplete.
func TestAddressesAreFoundWhileOthersChange(t *testing.T) {
	_, end1 := wire(t)
	for i := range 800 {
		give(t, &netlink.Handle{}, end1, fmt.Sprintf("10.7.%d.%d/16", i/200, 1+i%200))
	}
	a := newTestAddresses(t)
	require.NoError(t, a.add(100*time.Second))
	at, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer at.Close()
	other, err := netlink.ParseAddr("10.8.0.1/24")
	require.NoError(t, err)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := errors.Join(at.AddrAdd(end1, other), at.AddrDel(end1, other)); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 20 {
		require.NoError(t, a.check())
	}
	killUntilGone(a, func() {})
	close(stop)
	require.NoError(t, <-ended)
	require.Empty(t, has(t))
}

// TestTheGuardOfAnAddressTakesTimeToEnd, too: vip must be able to end a stopped one in time.
func TestTheGuardOfAnAddressTakesTimeToEnd(t *testing.T) {
	require.Equal(t, 7*time.Second, (&addresses{}).killTime(func(n int) time.Duration { return time.Duration(n) * 7 * time.Second }))
}

func TestAddressesNeedTheRightToChangeThem(t *testing.T) {
	refused := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and with it what it gave up
		header, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		err := unix.Capset(&header, &none[0])
		if err == nil {
			_, err = newAddresses("end0", virtual)
		}
		refused <- err
	}()
	require.EqualError(t, <-refused, "a virtual address needs CAP_NET_ADMIN and CAP_NET_RAW: run ddgoose vip as root, or with AmbientCapabilities= in its unit")
}
