package member

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// lean is the host of an agent whose flock is settled: it only passes datagrams on.
type lean struct {
	*Member
	f     *leanFlock
	addr  netip.AddrPort
	fed   bool
	leads int
}

// leanFlock is a settled flock with a virtual clock, without the checks of a testFlock.
type leanFlock struct {
	now     time.Duration
	agents  []*lean
	later   []leanDatagram // by time; their memory is reused
	free    [][]byte
	frame   wire.Frame
	sent    int
	sentAt  time.Duration
	moments int // at which datagrams were sent
	turns   int
}

type leanDatagram struct {
	at   time.Duration
	to   *lean
	from netip.AddrPort
	body []byte
}

type leanLocal struct{}

func (leanLocal) Retract(Cause)                  {}
func (leanLocal) Grant(election.Lease, bool)     {}
func (leanLocal) Stop(Cause)                     {}
func (leanLocal) Publish(time.Duration, *View)   {}
func (leanLocal) Heard(time.Duration) bool       { return true }
func (leanLocal) Close()                         {}
func (leanLocal) Holders() (h Holders)           { return h }
func (a *lean) Now() time.Duration               { return a.f.now }
func (a *lean) Save(store.State) error           { return nil }
func (a *lean) Settle() error                    { return nil }
func (a *lean) Flush()                           {}
func (a *lean) LeaveWill(string, []WillDatagram) {}
func (a *lean) Local(string) Local               { return leanLocal{} }
func (a *lean) TellGossip(Meta)                  {}
func (a *lean) MarkLeft(election.ID)             {}
func (a *lean) Heard(uint64, *election.Message)  {}
func (a *lean) Tell(Event)                       {}
func (a *lean) Count(string)                     {}

func (a *lean) AskTable(_ election.ID, _ TableQuestion, then func(*TableAnswer)) { then(nil) }

func (a *lean) Send(addr netip.AddrPort, frame *wire.Frame) int {
	var body []byte
	if n := len(a.f.free); n > 0 {
		body, a.f.free = a.f.free[n-1], a.f.free[:n-1]
	}
	body, taken, err := wire.AppendMost(body[:0], frame)
	if err != nil {
		panic(err)
	}
	i := slices.IndexFunc(a.f.agents, func(b *lean) bool { return b.addr == addr })
	a.f.later = append(a.f.later, leanDatagram{a.f.now + testDelay, a.f.agents[i], a.addr, body})
	a.f.sent++
	if a.f.sentAt != a.f.now {
		a.f.sentAt = a.f.now
		a.f.moments++
	}
	return taken
}

// run lets d pass.
func (f *leanFlock) run(d time.Duration) {
	for end := f.now + d; f.now < end; {
		at := end
		for _, a := range f.agents {
			at = min(at, a.WakeAt(0))
		}
		if len(f.later) > 0 {
			at = min(at, f.later[0].at)
		}
		f.now = max(f.now, at)
		arrived := 0
		for _, d := range f.later {
			if d.at > f.now {
				break
			}
			arrived++
			if err := wire.DecodeFrame(d.body, &f.frame); err != nil {
				panic(err)
			}
			if _, err := d.to.Receive(f.now, &f.frame, d.from); err != nil {
				panic(err)
			}
			d.to.fed = true
			f.free = append(f.free, d.body)
		}
		f.later = f.later[:copy(f.later, f.later[arrived:])]
		for _, a := range f.agents {
			if a.fed || f.now >= a.WakeAt(0) {
				a.fed = false
				f.turns++
				if _, err := a.Turn(f.now); err != nil {
					panic(err)
				}
			}
		}
	}
}

// settled is a flock of five with so many elections, all led. Only the agents below
// contesting contest the others than the default one.
func settled(tb testing.TB, elections, contesting int) *leanFlock {
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for i := range byte(5) {
		c = c.With(election.Voter{ID: election.ID{i + 1}, Priority: 100})
	}
	rec := election.Record{FlockID: election.FlockID{7}, Config: c}
	others, names := []store.Election{}, []string{}
	for i := 1; i < elections; i++ {
		names = append(names, fmt.Sprintf("e%d", i))
		others = append(others, store.Election{Number: uint64(i), Name: names[i-1], Created: 1, Started: true, Record: rec})
	}
	rec.Config.Table = store.TableOf(others)
	f := &leanFlock{now: time.Hour}
	peers := []Peer{}
	for i := range 5 {
		st := store.State{ID: election.ID{byte(i + 1)}, Start: 1, Bound: rec.FlockID, Elections: append([]store.Election{{Record: rec}}, others...)}
		a := &lean{f: f, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1)}
		set := Settings{
			Name: fmt.Sprint(i), Heartbeat: testHeartbeat, Lease: testLease, Joins: true, Voters: 5, Priority: 100,
			Life: uint64(i+1) * uint64(7*time.Millisecond),
		}
		if i < contesting {
			set.Elections = names
		}
		a.Member = New(set, a, st)
		require.NoError(tb, a.Begin())
		f.agents = append(f.agents, a)
		peers = append(peers, Peer{ID: st.ID, Addr: a.addr, State: Alive, Meta: a.Meta()})
	}
	for _, a := range f.agents {
		a.ChangePeers(peers, nil)
	}
	f.run(2 * time.Minute)
	for _, a := range f.agents {
		for _, e := range a.elections {
			goose, self := e.goose()
			require.False(tb, goose.IsZero(), "a goose of %q", e.name)
			if self {
				a.leads++
			}
		}
	}
	f.sent, f.moments, f.turns = 0, 0, 0
	return f
}

func TestTheHeartbeatsOfAllAgentsComeTogether(t *testing.T) {
	const beats = 20
	f := settled(t, 10, 5)
	for _, a := range f.agents {
		require.Positive(t, a.leads)
	}
	for range 2 {
		f.sent, f.moments, f.turns = 0, 0, 0
		f.run(beats * testHeartbeat)
		require.LessOrEqual(t, f.sent, beats*(5*4+1), "acks go with heartbeats")
		require.LessOrEqual(t, f.turns, beats*(5*2+2), "one to send or to answer the goose, one for the answers, and looks")
		require.LessOrEqual(t, f.moments, beats*2+2, "the goose's heartbeat, and then those of the others")
		i := slices.IndexFunc(f.agents, func(a *lean) bool { return a.node().Role() == election.Leader })
		g := f.agents[i]
		g.StepDown(g.Default(), election.ID{}, false, func(_ election.ID, err error) { require.NoError(t, err) })
		f.run(time.Minute) // so with another goose, whose other elections beat as its predecessor did
		require.NotEqual(t, election.Leader, g.node().Role())
	}
}

// BenchmarkHeartbeat is a heartbeat of a flock of five: what all agents do.
func BenchmarkHeartbeat(b *testing.B) {
	for _, of := range []struct {
		name                  string
		elections, contesting int
	}{{"1", 1, 5}, {"10", 10, 5}, {"100", 100, 5}, {"100 of one agent", 100, 1}} {
		b.Run(of.name, func(b *testing.B) {
			f := settled(b, of.elections, of.contesting)
			b.ReportAllocs()
			for b.Loop() {
				f.run(testHeartbeat)
			}
			b.ReportMetric(float64(f.turns)/float64(b.N), "turns/op")
			b.ReportMetric(float64(f.sent)/float64(b.N), "datagrams/op")
		})
	}
}
