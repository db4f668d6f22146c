package transport

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/memory"
)

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:3825")
	addrB = netip.MustParseAddrPort("10.0.0.2:3825")
	names = map[netip.AddrPort]string{addrA: "a", addrB: "b"}
)

// host is a transport with what came out of it.
type host struct {
	*Transport
	addr    netip.AddrPort
	packets chan string
	streams chan net.Conn
	calls   atomic.Int32 // packet callbacks under way
}

func wrap(t testing.TB, base Base) *host {
	h := &host{
		Transport: Wrap(base, 7),
		addr:      base.LocalAddr(),
		packets:   make(chan string, 10000),
		streams:   make(chan net.Conn, 100),
	}
	h.Receive(func(b []byte, from netip.AddrPort) {
		if h.calls.Add(1) > 1 {
			t.Error("the packet callback was called twice at once")
		}
		h.packets <- string(b)
		h.calls.Add(-1)
	}, func(c net.Conn) { h.streams <- c })
	return h
}

// bubble runs a test with two hosts, a and b, in virtual time.
func bubble(t *testing.T, test func(t *testing.T, a, b *host)) {
	synctest.Test(t, func(t *testing.T) {
		n := memory.New()
		var hosts []*host
		for _, addr := range []netip.AddrPort{addrA, addrB} {
			e, err := n.Listen(addr)
			require.NoError(t, err)
			h := wrap(t, e)
			h.Learn(names)
			hosts = append(hosts, h)
		}
		test(t, hosts[0], hosts[1])
		require.NoError(t, hosts[0].Close())
		require.NoError(t, hosts[1].Close())
		require.NoError(t, n.Close())
	})
}

func (h *host) set(t *testing.T, rules string) {
	t.Helper()
	require.NoError(t, h.Set(rules, 0))
}

func (h *host) send(t *testing.T, to *host, format string, args ...any) {
	t.Helper()
	require.NoError(t, h.WriteTo(fmt.Appendf(nil, format, args...), to.addr))
}

// got returns what has come until now.
func (h *host) got() []string {
	synctest.Wait()
	all := []string{}
	for len(h.packets) > 0 {
		all = append(all, <-h.packets)
	}
	return all
}

func TestCutDropsDatagramsOneWay(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		for _, rules := range []string{"out b: cut", "out 10.0.0.2: cut", "out 10.0.0.2:3825: cut"} {
			a.set(t, rules)
			a.send(t, b, "from a")
			b.send(t, a, "from b")
			time.Sleep(time.Second)
			require.Equal(t, []string{"from b"}, a.got())
			require.Empty(t, b.got())
		}
		a.set(t, "in *: cut")
		a.send(t, b, "from a")
		b.send(t, a, "from b")
		time.Sleep(time.Second)
		require.Empty(t, a.got())
		require.Equal(t, []string{"from a"}, b.got())
		require.EqualValues(t, 4, a.Counters()["cut"])

		a.Clear()
		b.send(t, a, "again")
		time.Sleep(time.Second)
		require.Equal(t, []string{"again"}, a.got())
	})
}

func TestDelayedDatagramsComeInTimeAndOrder(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "b: delay 100ms")
		var want []string
		for i := range 50 {
			a.send(t, b, "%d", i)
			b.send(t, a, "%d", i)
			want = append(want, fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(49 * time.Millisecond)
		require.Empty(t, a.got())
		require.Empty(t, b.got())
		time.Sleep(52 * time.Millisecond)
		require.Equal(t, want, a.got())
		require.Equal(t, want, b.got())
		require.EqualValues(t, 100, a.Counters()["delayed"])
	})
}

func TestRulesThatGoLeaveTheDelayedOnTheirWay(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "b: delay 100ms")
		a.send(t, b, "kept")
		b.send(t, a, "kept")
		time.Sleep(time.Millisecond)
		a.Clear()
		require.True(t, a.disturbed.Load(), "what is kept and the reader must take turns")
		a.send(t, b, "now")
		b.send(t, a, "now")
		time.Sleep(time.Second)
		require.Equal(t, []string{"now", "kept"}, a.got())
		require.Equal(t, []string{"now", "kept"}, b.got())
		require.False(t, a.disturbed.Load(), "back to the short way")
	})
}

func TestCutDropsWhatIsDelayedAlready(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "b: delay 100ms")
		a.send(t, b, "x")
		b.send(t, a, "x")
		time.Sleep(50 * time.Millisecond)
		a.set(t, "b: cut")
		time.Sleep(time.Second)
		require.Empty(t, a.got())
		require.Empty(t, b.got())
		require.EqualValues(t, 2, a.Counters()["cut"])
	})
}

func TestDelayedDatagramsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.limit = 10
		a.set(t, "out *: delay 1m")
		for range 15 {
			a.send(t, b, "x")
		}
		time.Sleep(2 * time.Minute)
		require.Len(t, b.got(), 10)
		require.EqualValues(t, 5, a.Counters()["overflow_dropped"])
	})
}

func TestDuplicatesAndFlippedBitsArrive(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "out b: duplicate 100% corrupt 100%")
		msg := []byte("quack")
		require.NoError(t, a.WriteTo(msg, addrB))
		require.Equal(t, "quack", string(msg), "the caller's bytes stay")
		time.Sleep(time.Second)
		got := b.got()
		require.Len(t, got, 2)
		require.Equal(t, got[0], got[1])
		require.Len(t, got[0], len(msg))
		require.NotEqual(t, "quack", got[0])

		a.set(t, "out b: duplicate 100% delay 10ms 10ms; in b: corrupt 100% delay 5ms")
		a.send(t, b, "twice")
		b.send(t, a, "flip")
		time.Sleep(time.Second)
		require.Equal(t, []string{"twice", "twice"}, b.got())
		require.NotEqual(t, []string{"flip"}, a.got())
	})
}

func TestJitterAndRateKeepEveryDatagram(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "out b: delay 20ms 20ms rate 800kbit; in b: delay 20ms 20ms distribution normal")
		for i := range 200 {
			a.send(t, b, "%0100d", i)
			b.send(t, a, "%d", i)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Len(t, b.got(), 200)
		require.Len(t, a.got(), 200)
	})
}

func TestRulesExpire(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		require.NoError(t, a.Set("b: cut", time.Minute))
		time.Sleep(20 * time.Second)
		rules, in, seed := a.Show()
		require.Equal(t, "b: cut", rules)
		require.Equal(t, 40*time.Second, in)
		require.EqualValues(t, 7, seed)

		require.ErrorContains(t, a.Set("b: cut; a: los", time.Hour), `rules: word 4 "los"`)
		require.ErrorContains(t, a.Set("b: loss 1%", -time.Second), "want a time above 0s")
		rules, in, _ = a.Show()
		require.Equal(t, "b: cut", rules, "a mistake leaves the old rules")
		require.Equal(t, 40*time.Second, in)

		time.Sleep(40*time.Second - time.Nanosecond)
		a.send(t, b, "cut")
		time.Sleep(time.Second)
		a.send(t, b, "free")
		time.Sleep(time.Second)
		require.Equal(t, []string{"free"}, b.got())
		rules, in, _ = a.Show()
		require.Empty(t, rules)
		require.Negative(t, in)

		require.NoError(t, a.Set("b: cut", time.Minute))
		a.set(t, "b: loss 100%") // for ever
		time.Sleep(time.Hour)
		rules, in, _ = a.Show()
		require.Equal(t, "b: loss 100%", rules)
		require.Negative(t, in)
		require.NoError(t, a.Set("b: cut", time.Minute), "Close ends the wait for its end")
	})
}

func TestNamesAreLearnt(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.Learn(nil)
		a.set(t, "out b: cut")
		a.send(t, b, "unknown")
		mapped := netip.AddrPortFrom(netip.AddrFrom16(addrB.Addr().As16()), addrB.Port())
		a.Learn(map[netip.AddrPort]string{mapped: "b"})
		a.send(t, b, "known")
		a.Learn(map[netip.AddrPort]string{addrB: "c"})
		a.send(t, b, "renamed")
		time.Sleep(time.Second)
		require.Equal(t, []string{"unknown", "renamed"}, b.got())
	})
}

func TestClosedTransportIsSilent(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		require.NoError(t, a.Set("b: delay 1s", time.Hour))
		a.send(t, b, "late")
		b.send(t, a, "late")
		time.Sleep(time.Millisecond)
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		time.Sleep(time.Minute)
		require.Empty(t, a.got())
		require.Empty(t, b.got())
		require.ErrorIs(t, a.WriteTo([]byte("x"), addrB), net.ErrClosed)
		require.ErrorIs(t, a.Set("b: cut", 0), net.ErrClosed)
	})
}

// counting is a base that does nothing.
type counting struct {
	Base
	last   []byte
	n      int
	packet func([]byte, netip.AddrPort)
}

func (c *counting) WriteTo(b []byte, _ netip.AddrPort) error {
	c.last = b
	c.n++
	return nil
}

func (c *counting) Receive(packet func([]byte, netip.AddrPort), _ func(net.Conn)) { c.packet = packet }

func TestWithoutRulesNothingIsCopied(t *testing.T) {
	base := &counting{}
	tr := Wrap(base, 1)
	msg := []byte("quack")
	var came []byte
	tr.Receive(func(b []byte, _ netip.AddrPort) { came = b }, nil)
	require.NoError(t, tr.WriteTo(msg, addrA))
	require.Same(t, &msg[0], &base.last[0])
	base.packet(msg, addrA)
	require.Same(t, &msg[0], &came[0])
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_ = tr.WriteTo(msg, addrA)
		base.packet(msg, addrA)
	}))
	tr.set(t, "10.9.9.9: cut")
	require.NoError(t, tr.WriteTo(msg, addrA))
	require.Same(t, &msg[0], &base.last[0], "a rule for others copies nothing either")
}

// batching is a base that sends several at once.
type batching struct {
	*counting
	batches [][][]byte
}

func (b *batching) WriteAll(all [][]byte, _ []netip.AddrPort, _ func(int, error)) {
	b.batches = append(b.batches, all)
}

func TestBatchesStayWholeUnlessRulesStand(t *testing.T) {
	base := &batching{counting: &counting{}}
	tr := Wrap(base, 1)
	all, to := [][]byte{{1}, {2}, {3}}, []netip.AddrPort{addrA, addrB, addrA}
	failed := func(int, error) { t.Fail() }
	tr.WriteAll(all, to, failed)
	require.Equal(t, [][][]byte{all}, base.batches)
	require.Zero(t, base.n)
	tr.set(t, addrB.String()+": cut")
	tr.WriteAll(all, to, failed)
	require.Len(t, base.batches, 1)
	require.Equal(t, 2, base.n, "each is judged")
	Wrap(base.counting, 1).WriteAll(all, to, failed)
	require.Equal(t, 5, base.n, "a base that sends one at a time")
}

func (t *Transport) set(tb testing.TB, rules string) {
	tb.Helper()
	require.NoError(tb, t.Set(rules, 0))
}

func BenchmarkWriteTo(b *testing.B) {
	for name, rules := range map[string]string{"none": "", "others": "10.9.9.9: cut", "matching": "*: loss 1%"} {
		b.Run(name, func(b *testing.B) {
			tr := Wrap(&counting{}, 1)
			tr.set(b, rules)
			msg := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				_ = tr.WriteTo(msg, addrA)
			}
		})
	}
}
