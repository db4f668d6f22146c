package agent

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/checkup"
	"duckduckgoose/wire"
)

// examine runs the doctor at an agent, while the promises are judged.
func (f *testFlock) examine(name string, d time.Duration) (found api.Doctor) {
	f.t.Helper()
	require.NoError(f.t, f.await(func() (err error) {
		found, err = f.agents[name].Doctor(context.Background(), d)
		return err
	}))
	return found
}

// pathOf returns what doctor found about one direction.
func pathOf(t *testing.T, d api.Doctor, from, to string) api.Path {
	t.Helper()
	for _, p := range d.Paths {
		if p.From == from && p.To == to {
			return p
		}
	}
	require.FailNow(t, "no path", "%s to %s in %+v", from, to, d.Paths)
	return api.Path{}
}

// findings joins the findings of a kind, one a line.
func findings(d api.Doctor, kind string) string {
	var lines []string
	for _, f := range d.Findings {
		if f.Kind == kind {
			lines = append(lines, f.Text)
		}
	}
	return strings.Join(lines, "\n")
}

func (f *testFlock) withKeys(n byte) {
	f.keys = nil
	for i := range n {
		f.keys = append(f.keys, testKey(i))
	}
}

func testKey(n byte) []byte {
	k := make([]byte, 32)
	k[0] = n + 1
	return k
}

// foundApart starts n agents, each on a machine of its own, that found a flock
// together.
func (f *testFlock) foundApart(n int) {
	f.t.Helper()
	for i := range n {
		f.start(nth(i), joining("10.0.0.1"), expecting(n), func(c *Config) {
			c.Machine = func() (string, string) { return "host-" + c.Name, "boot-" + c.Name }
		})
	}
	f.settle(n)
	f.allAlive()
	f.sleep(2 * time.Second)
}

// foundBehind founds a flock of three on machines apart. c sends through what wrap returns.
func (f *testFlock) foundBehind(wrap func(Transport) Transport) {
	f.t.Helper()
	for i := range 3 {
		f.start(nth(i), joining("10.0.0.1"), expecting(3), func(c *Config) {
			c.Machine = func() (string, string) { return "host-" + c.Name, "" }
			if listen := c.Listen; c.Name == "c" {
				c.Listen = func(bind string) (Transport, Faults, error) {
					inner, faults, err := listen(bind)
					return wrap(inner), faults, err
				}
			}
		})
	}
	f.settle(3)
	f.allAlive()
}

func TestDoctorFindsAHealthyFlockHealthy(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.withKeys(1)
		f.foundApart(5)
		d := f.examine("c", 2*time.Second)
		require.Empty(t, findings(d, api.FindingTrouble)+findings(d, api.FindingUnknown))
		require.Equal(t, api.VerdictHealthy, d.Verdict, d.Summary)
		require.Equal(t, api.Yes, d.CanElect)
		require.Equal(t, f.goose(), d.Goose)
		require.Len(t, d.Deaths, 5)
		for _, death := range d.Deaths {
			require.Equal(t, api.Yes, death.CanElect)
			require.Len(t, death.Successors, 4)
		}
		require.Len(t, d.Paths, 20)
		for _, p := range d.Paths {
			require.Equal(t, checkup.Probes, p.Sent)
			require.Zero(t, *p.Loss)
			require.Zero(t, *p.LargeLoss)
			require.Equal(t, api.StreamOK, p.Stream)
		}
		require.Len(t, d.Clocks, 10)
	})
}

func TestDoctorTellsAOneWayCutFromATwoWayOne(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundApart(5)
		require.NoError(t, f.agents["b"].faults.Set("out "+f.agents["a"].addr.String()+": cut", 0))
		d := f.examine("c", 2*time.Second)
		require.Equal(t, api.VerdictTrouble, d.Verdict)
		require.Equal(t, 1.0, *pathOf(t, d, "b", "a").Loss)
		require.Zero(t, *pathOf(t, d, "a", "b").Loss, "counted by b, though no answer came back")
		require.Nil(t, pathOf(t, d, "a", "b").RTTMS)
		require.NotEqual(t, api.StreamOK, pathOf(t, d, "a", "b").Stream)
		require.Contains(t, findings(d, api.FindingTrouble), "nothing passes from b to a, while the way back is open: a one-way cut")
		require.Contains(t, findings(d, api.FindingTrouble), "fault rules are in force at b: out a: cut")
		require.NotContains(t, findings(d, api.FindingTrouble), "nothing passes from a to b")
		require.Equal(t, api.Yes, d.CanElect)

		// An agent that cannot talk to b finds everything, too.
		d = f.examine("a", 2*time.Second)
		require.Equal(t, 1.0, *pathOf(t, d, "b", "a").Loss)
		require.Zero(t, *pathOf(t, d, "a", "b").Loss)
		require.Regexp(t, `b could not be asked directly, only through [cde]`, findings(d, api.FindingTrouble))

		f.heal()
		d = f.examine("a", 2*time.Second)
		require.NotContains(t, findings(d, api.FindingTrouble), "nothing passes")
	})
}

func TestDoctorMeasuresLossByDirection(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundApart(3)
		goose := f.goose()
		duck := f.ducks()[0]
		require.NoError(t, f.agents[duck].faults.Set("out "+f.agents[goose].addr.String()+": loss 30%", 0))
		lossy, other, found := 0.0, 0.0, ""
		const times = 5
		for range times {
			d := f.examine(goose, 2*time.Second)
			lossy += *pathOf(t, d, duck, goose).Loss / times
			other += *pathOf(t, d, goose, duck).Loss / times
			found += findings(d, api.FindingTrouble)
			f.sleep(checkup.Kept)
		}
		require.InDelta(t, 0.3, lossy, 0.2, "of %d probes", times*(checkup.Probes))
		require.Zero(t, other)
		require.Contains(t, found, "of the datagrams from "+duck+" to "+goose+" are lost")
	})
}

func TestDoctorInAPartitionTellsWhatIsMissing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundApart(5)
		f.cut([]string{"a", "b"}, []string{"c", "d", "e"})
		f.until(2*time.Minute, "the majority sees the cut", func() bool { return f.gossiped("c") == 3 && f.goose() != "" })
		d := f.examine("c", 2*time.Second)
		require.Equal(t, api.Yes, d.CanElect)
		require.Contains(t, findings(d, api.FindingTrouble), "voter a at 10.0.0.1:3825 does not answer; gossip counts it as failed")
		if len(d.Config.Voters) == 5 { // the dead are not replaced yet
			require.Contains(t, findings(d, api.FindingTrouble), "nobody could be elected after the death of c, d or e")
		}

		f.until(2*time.Minute, "the minority sees it", func() bool { return f.gossiped("a") == 2 })
		d = f.examine("a", 2*time.Second)
		require.Equal(t, api.VerdictTrouble, d.Verdict)
		require.Equal(t, api.No, d.CanElect)
		require.Contains(t, findings(d, api.FindingTrouble), "no goose can be elected: 2 of 5 voters are alive and 3 are needed; missing: c d e")
	})
}

// busy keeps an agent from answering questions until free is called.
func (f *testFlock) busy(name string) (free func()) {
	r, err := f.agents[name].askable(context.Background())
	require.NoError(f.t, err)
	return r.Gossip.Occupy()
}

func TestDoctorNamesAnAgentThatDoesNotAnswer(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.withKeys(1)
		f.foundApart(5)
		free := f.busy("d")
		defer free()
		d := f.examine("a", 2*time.Second)
		require.Equal(t, api.VerdictCannotTell, d.Verdict, findings(d, api.FindingTrouble))
		require.Equal(t, api.Yes, d.CanElect, "the four others are enough")
		require.Contains(t, findings(d, api.FindingUnknown), "d at 10.0.0.4:3825 is alive, but does not report")
		require.Zero(t, *pathOf(t, d, "a", "d").Loss, "its loop answers probes, and tells in them what has come")
		require.Nil(t, pathOf(t, d, "d", "a").Loss)
		require.Equal(t, api.StreamUnanswered, pathOf(t, d, "a", "d").Stream)
	})
}

// udpBlocked lets streams pass, but no datagrams to one address.
type udpBlocked struct {
	Transport
	to atomic.Pointer[netip.AddrPort]
}

func (u *udpBlocked) WriteTo(b []byte, to netip.AddrPort) error {
	if blocked := u.to.Load(); blocked != nil && *blocked == to {
		return nil
	}
	return u.Transport.WriteTo(b, to)
}

func TestDoctorFindsUDPBlockedWhereTCPIsOpen(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		var fromC *udpBlocked
		f.foundBehind(func(inner Transport) Transport {
			fromC = &udpBlocked{Transport: inner}
			return fromC
		})
		fromC.to.Store(&f.agents["a"].addr)
		f.sleep(2 * time.Second)
		d := f.examine("b", 2*time.Second)
		require.Contains(t, findings(d, api.FindingTrouble), "nothing passes by UDP from c to a, while TCP does: elections go by UDP")
	})
}

// narrow loses all packets of a stream but the first.
type narrow struct {
	Transport
	on atomic.Bool
}

func (n *narrow) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, err := n.Transport.Dial(ctx, to)
	if err == nil && n.on.Load() {
		conn = &narrowConn{Conn: conn}
	}
	return conn, err
}

type narrowConn struct {
	net.Conn
	written int
}

func (c *narrowConn) Write(b []byte) (int, error) {
	if c.written += len(b); c.written > 2000 {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestDoctorNamesASmallMTU loses packets of full size on the way from c, as a tunnel
// does when ICMP is dropped.
func TestDoctorNamesASmallMTU(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		var fromC *narrow
		f.foundBehind(func(inner Transport) Transport {
			fromC = &narrow{Transport: inner}
			return fromC
		})
		require.NotContains(t, findings(f.examine("c", 2*time.Second), api.FindingNote), "full size")
		fromC.on.Store(true)
		require.Contains(t, findings(f.examine("c", 2*time.Second), api.FindingNote), "packets of full size from c to a and b are lost")
	})
}

func TestDoctorComparesClocks(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for i := range 3 {
			f.start(nth(i), joining("10.0.0.1"), expecting(3), func(c *Config) {
				if c.Name == "c" {
					fast := func() time.Duration { return f.clock() * 103 / 100 }
					c.Clock, c.MonotonicClock, c.Priority = fast, fast, new(uint8) // never goose: the promises are judged by the true clock
				}
			})
		}
		f.settle(3)
		f.allAlive()
		d := f.examine("a", 2*time.Second)
		require.Contains(t, findings(d, api.FindingTrouble), "the clock of c runs 3.00% faster than that of a")
		require.Contains(t, findings(d, api.FindingTrouble), "the clock of c runs 3.00% faster than that of b")
		require.NotContains(t, findings(d, api.FindingTrouble), "the clock of b")
		require.Len(t, d.Clocks, 3)
		require.InDelta(t, 0, d.Clocks[0].Faster, 0.01, "%+v", d.Clocks)
	})
}

func TestProbesAreAnsweredOnceAndNeverToStrangers(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		onLoop := func(name string, do func(l *life)) {
			_, err := ask(context.Background(), f.agents[name].Agent, func(l *life, answer func(struct{}, error)) error {
				do(l)
				answer(struct{}{}, nil)
				return nil
			})
			require.NoError(t, err)
		}
		var question wire.Frame
		onLoop("a", func(l *life) {
			question.From, question.FlockID, question.To = l.id, l.member.FlockID(), l.id
			question.Probe = wire.Probe{Word: wire.ProbeQuestion, Session: 7, Padding: wire.MinProbePadding}
		})
		answered := func() uint64 { return f.agents["b"].counts.Of("probes_answered").Load() }
		onLoop("b", func(l *life) {
			for range 3 {
				l.prober.Receive(&question) // a repeated question, as in a replay
			}
			require.EqualValues(t, 1, answered())
			for session := range uint64(100) {
				for n := range uint8(wire.MaxProbes) {
					question.Probe.Session, question.Probe.Number = session, n
					l.prober.Receive(&question)
				}
			}
			require.LessOrEqual(t, answered(), uint64(checkup.MaxRuns*wire.MaxProbes), "whatever one agent asks for")
			before := answered()
			stranger := question
			stranger.From = election.ID{0xEE}
			l.prober.Receive(&stranger)
			stranger = question
			stranger.FlockID = election.FlockID{0xEE}
			l.prober.Receive(&stranger)
			require.Equal(t, before, answered())
			require.NotZero(t, l.counts.Of("dropped_probe").Load())
		})
	})
}
