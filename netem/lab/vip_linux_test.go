package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The goose's host has these on the bridge; the client asks the first one.
var vipAddr, vipAddr6 = netip.MustParseAddr("10.88.0.100"), netip.MustParseAddr("2001:db8::100")

// bridge joins the hosts by a second link each, eth1, and a client.
type bridge struct {
	*lab
	binary string
	client *namespace
	guests []*guest
	stop   chan struct{}
	ended  sync.WaitGroup

	mu      sync.Mutex    // guards what follows
	holders []string      // of the address, when last looked
	lost    int           // how often one has lost it
	answer  string        // who answered last
	silence time.Duration // the longest time without an answer
	both    time.Duration // with two holders
}

// guest is a host on the bridge, with its ddgoose vip.
type guest struct {
	*member
	netlink *netlink.Handle
	vip     *exec.Cmd
	log     *os.File
}

func openBridge(t *testing.T, prepare ...func(*member)) *bridge {
	b := &bridge{lab: open(t, 3, inKernel, prepare...), stop: make(chan struct{})}
	dir := t.TempDir()
	b.binary = build(t, dir)
	router, err := netlink.NewHandleAt(b.net.router.fd)
	require.NoError(t, err)
	t.Cleanup(router.Close)
	require.NoError(t, router.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lan"}}))
	require.NoError(t, up(router, "lan", netip.Prefix{}))
	b.client, err = newNamespace()
	require.NoError(t, err)
	t.Cleanup(b.client.close)
	b.join(router, b.client, 99)
	for i, m := range b.members {
		g := &guest{member: m, netlink: b.join(router, m.namespace, i+1)}
		g.log, err = os.Create(filepath.Join(dir, m.Name+".log"))
		require.NoError(t, err)
		b.guests = append(b.guests, g)
		b.start(g)
		b.serve(g)
	}
	t.Cleanup(b.close)
	b.probe()
	return b
}

// join plugs a namespace into the bridge.
func (b *bridge) join(router *netlink.Handle, n *namespace, i int) *netlink.Handle {
	inside, err := netlink.NewHandleAt(n.fd)
	require.NoError(b.t, err)
	b.t.Cleanup(inside.Close)
	lan, err := router.LinkByName("lan")
	require.NoError(b.t, err)
	port := netlink.LinkAttrs{Name: fmt.Sprintf("lan%d", i), MasterIndex: lan.Attrs().Index}
	require.NoError(b.t, router.LinkAdd(&netlink.Veth{LinkAttrs: port, PeerName: "eth1", PeerNamespace: netlink.NsFd(n.fd)}))
	require.NoError(b.t, up(router, port.Name, netip.Prefix{}))
	require.NoError(b.t, up(inside, "eth1", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 88, 0, byte(i)}), 24)))
	return inside
}

func (b *bridge) start(g *guest) {
	g.vip = exec.Command(b.binary, "vip", vipAddr.String()+"/32,"+vipAddr6.String()+"/128", "--dev", "eth1", "--socket", g.Socket)
	g.vip.Stdout, g.vip.Stderr = g.log, g.log
	require.NoError(b.t, g.host.start(g.vip))
}

// socket opens a UDP socket in a namespace.
func (b *bridge) socket(n *namespace, addr string) net.PacketConn {
	var conn net.PacketConn
	require.NoError(b.t, n.do(func() (err error) {
		conn, err = net.ListenPacket("udp4", addr)
		return err
	}))
	b.t.Cleanup(func() { _ = conn.Close() }) // nothing is left to be sent
	return conn
}

// serve answers every packet with the host's name.
func (b *bridge) serve(g *guest) {
	conn := b.socket(g.namespace, "0.0.0.0:7777")
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(g.Name), from) // the client asks again
		}
	}()
}

// probe asks the address every 10 ms, and looks who has it.
func (b *bridge) probe() {
	conn := b.socket(b.client, "0.0.0.0:0")
	go func() {
		buf := make([]byte, 100)
		for last := time.Now(); ; {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			b.mu.Lock()
			b.answer, b.silence = string(buf[:n]), max(b.silence, time.Since(last))
			b.mu.Unlock()
			last = time.Now()
		}
	}()
	b.ended.Go(func() {
		runtime.LockOSThread()                          // never unlocked: the thread ends with the goroutine
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20) // of this thread, which looks often on a busy machine too
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			_, _ = conn.WriteTo([]byte("?"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(vipAddr, 7777))) // no route to the host: no answer
			holders := b.look()
			again := b.look()
			b.mu.Lock()
			// Who has it in both looks had it in between, while the others were looked at.
			if steady := slices.DeleteFunc(slices.Clone(holders), func(n string) bool { return !slices.Contains(again, n) }); len(steady) > 1 {
				b.both += time.Since(last)
			}
			for _, n := range b.holders {
				if !slices.Contains(again, n) {
					b.lost++
				}
			}
			b.holders = again
			b.mu.Unlock()
			last = time.Now()
			select {
			case <-tick.C:
			case <-b.stop:
				return
			}
		}
	})
}

// look asks the kernels who has an address.
func (b *bridge) look() (holders []string) {
	for _, g := range b.guests {
		all, err := g.netlink.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil {
			continue // interrupted by a change: at the next look
		}
		if slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.IP.Equal(vipAddr.AsSlice()) || a.IP.Equal(vipAddr6.AsSlice()) }) {
			holders = append(holders, g.Name)
		}
	}
	return holders
}

// reset forgets what was measured.
func (b *bridge) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost, b.silence, b.both = 0, 0, 0
}

// reached waits until the address was lost that often, and one host alone has it and answers there.
func (b *bridge) reached(lost int) (holder string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.lost < lost || len(b.holders) != 1 || b.answer != b.holders[0] {
			return false
		}
		holder = b.holders[0]
		return true
	}, time.Minute, 10*time.Millisecond, "one host has the address")
	return holder
}

func (b *bridge) guest(name string) *guest { return b.guests[name[0]-'a'] }

// pids gives the processes of a host by what they are.
func (b *bridge) pids(g *guest, who string) []int {
	vip := g.vip.Process.Pid
	var guards []int
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", vip))
	require.NoError(b.t, err)
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // the thread may have ended
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			require.NoError(b.t, err)
			guards = append(guards, pid)
		}
	}
	switch who {
	case "agent":
		return []int{g.proc.Pid}
	case "vip":
		return []int{vip}
	case "guard":
		return guards
	case "vip and guard":
		return append(guards, vip)
	}
	return append(guards, vip, g.proc.Pid)
}

// heal starts what has ended, and continues what was stopped.
func (b *bridge) heal(g *guest, who string, sig unix.Signal) {
	if sig == unix.SIGSTOP {
		for _, pid := range b.pids(g, "all") {
			if err := unix.Kill(pid, unix.SIGCONT); err != unix.ESRCH { // vip has killed a guard that did not answer
				require.NoError(b.t, err)
			}
		}
		return
	}
	if who == "agent" || who == "all" {
		require.Equal(b.t, sig == unix.SIGTERM, g.end(sig) == nil)
		require.NoError(b.t, g.member.start())
	}
	if strings.Contains(who, "vip") || who == "all" {
		require.Equal(b.t, sig == unix.SIGTERM, g.vip.Wait() == nil)
		b.start(g)
	}
}

// links takes both links of a host down, or brings them up.
func (b *bridge) links(g *guest, set func(*netlink.Handle, netlink.Link) error) {
	router, err := netlink.NewHandleAt(b.net.router.fd)
	require.NoError(b.t, err)
	defer router.Close()
	for _, name := range []string{g.veth(), fmt.Sprintf("lan%d", g.link)} {
		port, err := router.LinkByName(name)
		require.NoError(b.t, err)
		require.NoError(b.t, set(router, port))
	}
}

// judge logs what was measured, and demands that two hosts had the address no longer than most.
func (b *bridge) judge(what string, most time.Duration) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Logf("%s: unreachable for %v, two holders for %v", what, b.silence.Round(time.Millisecond), b.both.Round(time.Millisecond))
	require.LessOrEqual(b.t, b.both, most, what)
}

func (b *bridge) close() {
	close(b.stop)
	b.ended.Wait()
	for _, g := range b.guests {
		for _, pid := range b.pids(g, "vip and guard") {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
		_ = g.vip.Wait() // killed
		if b.t.Failed() {
			text, err := os.ReadFile(g.log.Name())
			b.t.Logf("log of vip of %s (%v):\n%s", g.Name, err, text)
		}
		_ = g.log.Close() // written by others
	}
}

// TestOneHostHasTheVirtualAddress kills and stops what holds it, takes its link
// down, and hands it over, while a client asks.
func TestOneHostHasTheVirtualAddress(t *testing.T) {
	extra(t)
	b := openBridge(t)
	b.reached(0)
	for sig, victims := range map[unix.Signal][]string{
		unix.SIGTERM: {"agent", "vip"},
		unix.SIGKILL: {"agent", "vip", "guard", "vip and guard", "all"},
		unix.SIGSTOP: {"agent", "vip", "guard", "vip and guard", "all"},
	} {
		for _, who := range victims {
			b.settled()
			b.reset()
			g := b.hit(who, sig)
			most := time.Duration(0)
			if who == "vip and guard" || who == "all" {
				most = lease + time.Second
			}
			b.judge(fmt.Sprintf("%v: %s", sig, who), most)
			b.heal(g, who, sig)
		}
	}
	b.settled()
	g := b.guest(b.reached(0))
	b.reset()
	b.links(g, (*netlink.Handle).LinkSetDown)
	b.reached(1)
	b.judge("link down", 0)
	b.links(g, (*netlink.Handle).LinkSetUp)
	b.settled()
	b.reset()
	for range 50 {
		b.handOver()
	}
	b.judge("50 step-downs", 0)
}

// hit kills or stops what holds the address, and waits until another host has it.
func (b *bridge) hit(who string, sig unix.Signal) *guest {
	b.t.Helper()
	g := b.guest(b.reached(0))
	b.mu.Lock()
	lost := b.lost
	b.mu.Unlock()
	for _, pid := range b.pids(g, who) {
		require.NoError(b.t, unix.Kill(pid, sig))
	}
	b.reached(lost + 1)
	return g
}
