package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/agent/seeds"
	"duckduckgoose/netem/memory"
	"duckduckgoose/wire"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }

// pingQuestion is what the agents of these tests can be asked.
const pingQuestion = "ping"

// flock is agents that only gossip, on a network in memory and in virtual time.
type flock struct {
	t      testing.TB
	net    *memory.Network
	agents []*testAgent
	still  atomic.Bool // nobody begins rounds
}

type testAgent struct {
	*Gossip
	counts *meters.Counters
	calls  *atomic.Int64 // streams that it opened
}

// calling counts the streams that an agent opens.
type calling struct {
	*memory.Endpoint
	calls *atomic.Int64
}

func (c calling) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c.calls.Add(1)
	return c.Endpoint.Dial(ctx, to)
}

// inFlock runs a test with agents a, b, c, ... that have met.
func inFlock(t *testing.T, n int, test func(t *testing.T, f *flock)) {
	synctest.Test(t, func(t *testing.T) {
		f := &flock{t: t, net: memory.New()}
		defer func() {
			for _, a := range f.agents {
				a.Shutdown()
				for name, n := range a.counts.All() {
					if strings.HasPrefix(name, "dropped_gossip_") || strings.HasPrefix(name, "dropped_stream_") {
						require.Zero(t, n, "what memberlist sends is taken: %s", name)
					}
				}
			}
			time.Sleep(time.Minute) // what memberlist still waits for
			require.NoError(t, f.net.Close())
		}()
		for i := range n {
			f.start(byte(i))
		}
		f.until("all have met", func() bool {
			for _, a := range f.agents {
				if len(a.Peers()) < n {
					return false
				}
			}
			return true
		})
		test(t, f)
	})
}

// start starts agent n, which joins the first one if no other is named.
func (f *flock) start(n byte, join ...string) *testAgent {
	f.t.Helper()
	at := func(n byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n + 1}), seeds.DefaultPort)
	}
	if len(join) == 0 {
		join = []string{at(0).String()}
	}
	e, err := f.net.Listen(at(n))
	require.NoError(f.t, err)
	keys := [][]byte{make([]byte, wire.KeySize)}
	ring, err := wire.NewKeyring("test", keys)
	require.NoError(f.t, err)
	var held atomic.Pointer[wire.Keyring]
	held.Store(ring)
	id, log, counts := election.ID{1, n}, slog.New(slog.DiscardHandler), &meters.Counters{}
	quiet, calls := &quietlog.Log{Out: log}, &atomic.Int64{}
	p := port.Open(port.Options{
		Transport: calling{e, calls}, Self: id, Label: "test", Keys: &held, Counts: counts, Quiet: quiet,
		OtherLabel: func(string, string) {}, OtherKeys: func(string, string) {}, OtherVersion: func(string, string) {},
	})
	g, err := Start(Options{
		ID: id, Join: join, Port: p, Log: log, Quiet: quiet, Counts: counts,
		Meta:     member.Meta{Name: strings.TrimSuffix(fmt.Sprintf("%c%d", 'a'+n%26, n/26), "0"), FlockID: election.FlockID{7}, Start: 1, Life: uint64(n) + 1},
		Problem:  func(string) {},
		Handlers: map[string]Handler{pingQuestion: func(context.Context, election.ID, json.RawMessage) (any, error) { return struct{}{}, nil }},
	})
	require.NoError(f.t, err)
	g.Background(func(ctx context.Context) {
		for ctx.Err() == nil {
			if !f.still.Load() {
				g.Round()
			}
			select {
			case <-time.After(RoundEvery):
			case <-ctx.Done():
			}
		}
	})
	a := &testAgent{g, counts, calls}
	f.agents = append(f.agents, a)
	return a
}

// until waits until ok is true.
func (f *flock) until(what string, ok func() bool) {
	f.t.Helper()
	for range 1200 {
		if synctest.Wait(); ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.Fail(f.t, "not in two minutes", what)
}

// see returns agent n as agent at sees it.
func (f *flock) see(at, n int) member.Peer {
	f.t.Helper()
	for _, p := range f.agents[at].Peers() {
		if p.ID == f.agents[n].opts.ID {
			return p
		}
	}
	require.FailNow(f.t, "no such peer", n)
	return member.Peer{}
}

// memberlist would read and write its own entry at the same time, and give the
// older metadata the higher number.
func TestTheNewestOfManyChangesOfMetadataIsTheOneThatStays(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		meta := f.see(0, 0).Meta
		for i := range 20 {
			for k := range 5 {
				meta.Tags = map[string]string{"n": fmt.Sprint(i, " ", k)}
				require.NoError(t, f.agents[0].SetMeta(meta))
			}
			synctest.Wait()
		}
		const last = "19 4"
		f.until("b has the last", func() bool { return f.see(1, 0).Meta.Tags["n"] == last })
		time.Sleep(time.Minute)
		require.Equal(t, last, f.see(1, 0).Meta.Tags["n"], "and keeps it, whatever push and pull bring")
	})
}

// memberlist drops an update while it refutes a suspicion.
func TestMetadataThatMemberlistDropsIsToldAgain(t *testing.T) {
	inFlock(t, 2, func(t *testing.T, f *flock) {
		a := f.agents[0]
		update, dropped := a.update, 0
		a.update = func(wait time.Duration) error {
			if dropped++; dropped <= 2 {
				return errors.New("timeout waiting for update broadcast")
			}
			return update(wait)
		}
		meta := f.see(0, 0).Meta
		meta.Priority = 200
		require.NoError(t, a.SetMeta(meta))
		f.until("b has it", func() bool { return f.see(1, 0).Meta.Priority == 200 })
		require.Equal(t, 3, dropped, "and once it is taken, no more")
	})
}

func TestFailedAgentsAreListedForADay(t *testing.T) {
	inFlock(t, 2, func(t *testing.T, f *flock) {
		f.agents[1].Shutdown()
		f.until("failed", func() bool { return f.see(0, 1).State == member.Failed })
		a, id := f.agents[0], f.agents[1].opts.ID
		a.mu.Lock()
		a.mu.peers[id].since = a.mu.peers[id].since.Add(-goneListed + time.Minute)
		a.mu.Unlock()
		time.Sleep(30 * time.Second)
		require.Equal(t, member.Failed, f.see(0, 1).State)
		f.until("forgotten", func() bool { return len(a.Peers()) == 1 })
	})
}

// The loop, which begins rounds, is the one that waits then.
func TestOneThatGoesIsHeardThoughNobodyBeginsRounds(t *testing.T) {
	inFlock(t, 4, func(t *testing.T, f *flock) {
		f.still.Store(true)
		meta := f.see(0, 0).Meta
		meta.Priority = 200
		require.NoError(t, f.agents[0].SetMeta(meta))
		time.Sleep(RoundEvery)
		require.NotEqualValues(t, 200, f.see(2, 0).Meta.Priority)

		before := time.Now()
		f.agents[0].Leave(time.Minute)
		f.agents[1].Withdraw(time.Minute)
		require.Less(t, time.Since(before), 3*time.Second)
		synctest.Wait()
		for _, at := range []int{2, 3} {
			require.Equal(t, member.Left, f.see(at, 0).State)
			require.Equal(t, member.Failed, f.see(at, 1).State)
		}
	})
}

// The loop may wait for a disk.
func TestNewsAreToldThoughTheLoopHangs(t *testing.T) {
	inFlock(t, 2, func(t *testing.T, f *flock) {
		time.Sleep(time.Second) // what they had to tell is told
		f.still.Store(true)
		meta := f.see(0, 0).Meta
		meta.Priority = 200
		require.NoError(t, f.agents[0].SetMeta(meta))
		time.Sleep(2 * roundMost)
		require.EqualValues(t, 200, f.see(1, 0).Meta.Priority)
	})
}

func TestACloneIsOneProblemWhicheverOfTheTwoIsNamedFirst(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.1:3825"), netip.MustParseAddrPort("10.0.0.2:3825")
	require.Equal(t, CloneText("c", election.ID{1}, a, b), CloneText("c", election.ID{1}, b, a))
}
