package netem

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:3825")
	addrB = netip.MustParseAddrPort("10.0.0.2:3825")
	peerA = Peer{Name: "a", Addr: addrA}
	peerB = Peer{Name: "b", Addr: addrB}
)

// TestVerdictsAsTheTableSays pins what a seed gives: a change of the generator would
// change every recorded run.
func TestVerdictsAsTheTableSays(t *testing.T) {
	var e *Emulator
	var now time.Duration
	golden(t, "testdata/verdicts.txt", func(command string) string {
		verb, rest, _ := strings.Cut(command, " ")
		switch verb {
		case "seed":
			var seed uint64
			_, err := fmt.Sscan(rest, &seed)
			require.NoError(t, err)
			e, now = New(seed), 0
			return ""
		case "set":
			e.Set(mustParse(t, rest))
			return ""
		case "count":
			return strings.Trim(fmt.Sprintf("%+v", e.Counters()), "{}")
		case "out", "in":
		default:
			t.Fatalf("unknown command %q", command)
		}
		dir := map[string]Direction{"out": Out, "in": In}[verb]
		var name, addr, every string
		var n, size int
		_, err := fmt.Sscan(rest, &name, &addr, &n, &size, &every)
		require.NoError(t, err, command)
		step, err := time.ParseDuration(every)
		require.NoError(t, err)
		peer := Peer{Name: strings.TrimPrefix(name, "-"), Addr: netip.MustParseAddrPort(addr)}
		var out strings.Builder
		for range n {
			fmt.Fprintf(&out, "%v: %s\n", now, show(e.Packet(now, dir, peer, size)))
			now += step
		}
		return out.String()
	})
}

func show(v Verdict) string {
	if v.Drop {
		return "drop"
	}
	s := fmt.Sprintf("+%v", v.Delay)
	if v.Duplicate {
		s += fmt.Sprintf(" twice +%v", v.DuplicateDelay)
	}
	if v.Corrupt {
		s += fmt.Sprintf(" flip %d", v.Bit)
	}
	return s
}

func TestFirstMatchingRuleDecides(t *testing.T) {
	e := New(1)
	e.Set(mustParse(t, "out a: loss 0%; 10.0.0.1: cut; in b: cut; [::1]:1: cut"))
	require.False(t, e.Cut(Out, peerA), "the first rule for this direction exempts it")
	require.True(t, e.Cut(In, peerA))
	require.True(t, e.Cut(Out, Peer{Addr: addrA}), "no name known yet: the address matches")
	require.False(t, e.Cut(Out, peerB))
	require.True(t, e.Cut(In, peerB))
	require.False(t, e.Cut(In, Peer{Addr: addrB}), "no name known yet")
	require.True(t, e.CutEither(peerB))

	mapped := netip.AddrPortFrom(netip.AddrFrom16(addrA.Addr().As16()), 3825)
	require.True(t, e.Cut(In, Peer{Addr: mapped}), "IPv4 written as IPv6 is IPv4")
	require.True(t, e.Cut(In, Peer{Addr: netip.MustParseAddrPort("[::1%lo]:1")}), "zones do not count")
	require.False(t, e.Cut(In, Peer{Addr: netip.MustParseAddrPort("[::1]:0")}), "an unknown port is not port 1")
}

func TestOneWayCutIsOneWay(t *testing.T) {
	e := New(1)
	e.Set(mustParse(t, "out b: cut"))
	for range 1000 {
		require.True(t, e.Packet(0, Out, peerB, 100).Drop)
		require.Equal(t, Verdict{}, e.Packet(0, In, peerB, 100))
		require.Equal(t, Verdict{}, e.Packet(0, Out, peerA, 100))
	}
	require.Equal(t, Counters{Cut: 1000}, e.Counters())
}

func TestSameSeedSameVerdictsWhateverOtherLinksDo(t *testing.T) {
	rules := mustParse(t, "*: loss 30% delay 10ms 5ms 20% duplicate 10% corrupt 10% reorder 5%")
	quiet, busy := New(7), New(7)
	quiet.Set(rules)
	busy.Set(rules)
	other := New(8)
	other.Set(rules)
	differs := 0
	for i := range 1000 {
		for range i % 3 {
			busy.Packet(0, Out, peerA, 100)
			busy.Packet(0, In, peerB, 100)
			busy.DialLost(peerB)
			busy.StreamWrite(0, peerB, 100, true)
		}
		want := quiet.Packet(0, Out, peerB, 100)
		require.Equal(t, want, busy.Packet(0, Out, Peer{Addr: addrB}, 100))
		if want != other.Packet(0, Out, peerB, 100) {
			differs++
		}
	}
	require.Greater(t, differs, 500, "another seed is another run")
}

func TestNewRulesEmptyQueuesAndEndBursts(t *testing.T) {
	e := New(1)
	slow := mustParse(t, "*: rate 8kbit")
	e.Set(slow)
	e.Packet(0, Out, peerB, 1500)
	require.Equal(t, 500*time.Millisecond, e.Packet(0, Out, peerB, 500).Delay)
	e.Set(slow)
	require.Zero(t, e.Packet(0, Out, peerB, 500).Delay)

	e.Set(mustParse(t, "*: loss gemodel 100% 0%"))
	require.False(t, e.Packet(0, Out, peerB, 1).Drop, "a link begins good")
	require.True(t, e.Packet(0, Out, peerB, 1).Drop)
	e.Set(mustParse(t, "*: loss gemodel 100% 0%"))
	require.False(t, e.Packet(0, Out, peerB, 1).Drop)
	e.Set(Rules{})
	require.Equal(t, Verdict{}, e.Packet(0, Out, peerB, 1))
}

func TestStrangersCannotMakeItGrow(t *testing.T) {
	e := New(1)
	e.Set(mustParse(t, "*: loss 50%"))
	for i := range 3 * MaxLinks {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		e.Packet(0, In, Peer{Addr: netip.AddrPortFrom(addr, 1)}, 1)
	}
	require.Len(t, e.links, MaxLinks)
	require.Len(t, e.met, MaxLinks)
}

func TestStreamsAreHeldByDelayAndRateAlone(t *testing.T) {
	e := New(1)
	e.Set(mustParse(t, "out b: loss 100% delay 10ms duplicate 100% corrupt 100%; in a: delay 10ms; c: rate 8kbit"))
	hold, n := e.StreamWrite(0, peerB, 9000, true)
	require.Equal(t, 10*time.Millisecond, hold)
	require.Equal(t, 9000, n)
	hold, n = e.StreamWrite(0, peerA, 9000, true)
	require.Zero(t, hold, "writes go out")
	require.Equal(t, 9000, n)

	require.True(t, e.DialLost(peerB))
	require.False(t, e.DialLost(peerA))

	// 8kbit is 1000 bytes a second; the bucket takes 1500 at once.
	c, now, left := Peer{Name: "c"}, time.Duration(0), 10000
	for first := true; left > 0; first = false {
		hold, n = e.StreamWrite(now, c, left, first)
		now, left = now+hold, left-n
	}
	require.Equal(t, 8500*time.Millisecond, now)
}

func BenchmarkPacket(b *testing.B) {
	e := New(1)
	e.Set(mustParse(b, "a: cut; *: loss 30% delay 10ms 5ms 20% distribution normal"))
	b.ReportAllocs()
	for b.Loop() {
		e.Packet(0, Out, peerB, 100)
	}
}
