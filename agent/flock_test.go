package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/store/memfs"
	"duckduckgoose/netem/memory"
	"duckduckgoose/netem/transport"
)

// testFlock is a flock of whole agents, memberlist included, over a network in
// memory; it lives in a synctest bubble, so its time is virtual.
type testFlock struct {
	t      *testing.T
	net    *memory.Network
	epoch  time.Time
	agents map[string]*testAgent
	order  []string
}

type testAgent struct {
	*Agent
	name   string
	addr   netip.AddrPort
	disk   *memfs.FS
	faults *transport.Transport
	cancel context.CancelFunc
	ended  chan error
}

func newTestFlock(t *testing.T) *testFlock {
	return &testFlock{t: t, net: memory.New(), epoch: time.Now(), agents: map[string]*testAgent{}}
}

// start runs an agent; what it keeps on disk survives its restarts.
func (f *testFlock) start(name string, change func(*Config)) *testAgent {
	f.t.Helper()
	a := f.agents[name]
	if a == nil {
		a = &testAgent{name: name, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(len(f.order) + 1)}), 3825), disk: memfs.New(uint64(name[0]))}
		f.agents[name] = a
		f.order = append(f.order, name)
	}
	cfg := Config{
		Name: name, Bind: a.addr.String(), Insecure: true, DataDir: "/data", Socket: NoSocket, FS: a.disk, Flock: "test",
		Clock:          func() time.Duration { return time.Since(f.epoch) + time.Hour },
		MonotonicClock: func() time.Duration { return time.Since(f.epoch) + time.Hour },
		Listen: func(string) (Transport, Faults, error) {
			e, err := f.net.Listen(a.addr)
			if err != nil {
				return nil, nil, err
			}
			a.faults = transport.Wrap(e, uint64(name[0]))
			return a.faults, a.faults, nil
		},
	}
	if os.Getenv("DDGOOSE_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", name)
	}
	if change != nil {
		change(&cfg)
	}
	agent, err := New(cfg)
	require.NoError(f.t, err)
	a.Agent = agent
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.ended = cancel, make(chan error, 1)
	go func() { a.ended <- agent.Run(ctx) }()
	return a
}

func (f *testFlock) found(n int) {
	f.t.Helper()
	for i := range n {
		f.start(string(rune('a'+i)), func(c *Config) {
			c.Join, c.Expect = []string{"10.0.0.1"}, n
		})
	}
	f.settle(n)
}

// stop ends an agent gracefully.
func (f *testFlock) stop(name string) {
	f.t.Helper()
	a := f.agents[name]
	a.cancel()
	require.NoError(f.t, <-a.ended)
	a.Agent = nil
}

// crash ends an agent without a word.
func (f *testFlock) crash(name string) {
	f.t.Helper()
	a := f.agents[name]
	require.NoError(f.t, a.Die(0))
	f.until(5*time.Second, name+" is dead", func() bool { return a.Status().Role == api.RoleDead })
	a.cancel()
	require.NoError(f.t, <-a.ended)
	a.Agent = nil
}

func (f *testFlock) close() {
	for _, name := range f.order {
		if f.agents[name].Agent != nil {
			f.agents[name].cancel()
		}
	}
	for _, name := range f.order {
		if f.agents[name].Agent != nil {
			if err := <-f.agents[name].ended; err != nil && !errors.Is(err, context.Canceled) {
				f.t.Errorf("agent %s: %v", name, err)
			}
		}
	}
	time.Sleep(time.Minute) // memberlist's probes outlive its Shutdown by their time-outs
}

// until waits for a condition in virtual time.
func (f *testFlock) until(d time.Duration, what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(d); !ok(); {
		if time.Now().After(end) {
			require.FailNow(f.t, "not in time", "%s within %v\n%s", what, d, f)
		}
		time.Sleep(time.Millisecond)
		f.one()
	}
}

// one asserts that at most one agent answers goose.
func (f *testFlock) one() (goose string) {
	for _, name := range f.order {
		if a := f.agents[name]; a.Agent != nil && a.Status().Role == api.RoleGoose {
			require.Empty(f.t, goose, "two geese:\n%s", f)
			goose = name
		}
	}
	return goose
}

// agreed tells that the given agents name one goose, the same one.
func (f *testFlock) agreed(names ...string) bool {
	var token uint64
	for _, name := range names {
		s := f.agents[name].Status()
		if s.Goose == nil || token != 0 && s.Token != token {
			return false
		}
		token = s.Token
	}
	return true
}

func (f *testFlock) live() (names []string) {
	for _, name := range f.order {
		if f.agents[name].Agent != nil {
			names = append(names, name)
		}
	}
	return names
}

func (f *testFlock) settle(voters int) {
	f.t.Helper()
	f.until(30*time.Second, fmt.Sprintf("one goose and %d voters", voters), func() bool {
		for _, name := range f.live() {
			if len(f.agents[name].Status().Config.Voters) != voters {
				return false
			}
		}
		return f.agreed(f.live()...)
	})
}

func (f *testFlock) String() string {
	var b strings.Builder
	for _, name := range f.live() {
		s := f.agents[name].Status()
		goose := "-"
		if s.Goose != nil {
			goose = s.Goose.Name
		}
		fmt.Fprintf(&b, "%s %-9s goose %s term %d config %d.%d of %d alive %d %v\n", name, s.Role, goose, s.Term, s.Config.Term, s.Config.Version, len(s.Config.Voters), s.Alive, s.Warnings)
	}
	for _, name := range f.live() {
		_, _ = ask(context.Background(), f.agents[name].Agent, func(l *life, answer func(struct{}, error)) error {
			for _, p := range l.peers {
				fmt.Fprintf(&b, "%s sees %s %s %v flock %s addr %v\n", name, p.Meta.Name, p.State, p.ID, p.Meta.FlockID, p.Addr)
			}
			if l.node != nil {
				for _, c := range l.node.Contacts(nil) {
					fmt.Fprintf(&b, "%s contact %+v\n", name, c)
				}
			}
			fmt.Fprintf(&b, "%s pilot %+v\n", name, l.pilot)
			answer(struct{}{}, nil)
			return nil
		})
	}
	return b.String()
}

func TestFiveAgentsFromOneSeedElectOneGoose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		start := time.Now()
		f.found(5)
		require.Less(t, time.Since(start), 3*time.Second)
		f.until(time.Minute, "all see all", func() bool { return f.agents["a"].Status().Alive == 5 })
	})
}

func TestKilledGooseIsFollowedAndComesBackAsADuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(5)
		for range 3 {
			old := f.one()
			token := f.agents[old].Status().Token
			at := time.Now()
			f.crash(old)
			f.until(2*time.Second, "a new goose", func() bool { return f.one() != "" })
			require.Less(t, time.Since(at), 600*time.Millisecond)
			require.Greater(t, f.agents[f.one()].Status().Token, token)
			f.start(old, nil)
			f.settle(5)
			require.NotEqual(t, old, f.one())
		}
	})
}

func TestPartitionHealsAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(5)
		small, large := []string{"a", "b"}, []string{"c", "d", "e"}
		cut := func(on bool) {
			for _, x := range small {
				for _, y := range large {
					for _, pair := range [][2]string{{x, y}, {y, x}} {
						if !on {
							f.agents[pair[0]].faults.Clear()
							continue
						}
						rules := []string{}
						for _, other := range map[bool][]string{true: large, false: small}[pair[0] == "a" || pair[0] == "b"] {
							rules = append(rules, f.agents[other].addr.String()+": cut")
						}
						require.NoError(t, f.agents[pair[0]].faults.Set(strings.Join(rules, "; "), 0))
					}
				}
			}
		}
		cut(true)
		f.until(5*time.Second, "a goose among three", func() bool { return f.agreed(large...) && f.one() >= "c" })
		f.until(5*time.Second, "none among two", func() bool { return !f.agreed("a") && !f.agreed("b") })
		term := f.agents[f.one()].Status().Term
		time.Sleep(5 * time.Minute)
		require.Equal(t, term, f.agents[f.one()].Status().Term)
		cut(false)
		f.until(2*time.Minute, "one flock of five again", func() bool { return f.agreed(f.live()...) && f.agents["a"].Status().Alive == 5 })
		require.Equal(t, term, f.agents[f.one()].Status().Term)
	})
}

func TestThirtyPercentLossDoesNotRaiseTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(5)
		time.Sleep(2 * time.Second)
		term := f.agents["a"].Status().Term
		for _, name := range f.live() {
			require.NoError(t, f.agents[name].faults.Set("out *: loss 30%", 0))
		}
		for range 600 {
			time.Sleep(time.Second)
			require.NotEmpty(t, f.one())
		}
		require.Equal(t, term, f.agents["a"].Status().Term)
	})
}

func TestAllRestartWithoutSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(5)
		time.Sleep(5 * time.Second) // the last known addresses are saved
		token := f.agents["a"].Status().Token
		for _, name := range f.live() {
			f.stop(name)
		}
		time.Sleep(10 * time.Minute)
		for _, name := range f.order {
			f.start(name, nil)
		}
		f.settle(5)
		require.Greater(t, f.agents["a"].Status().Token, token)
	})
}

func TestAllAddressesChangeAtOnceButTheSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(5)
		time.Sleep(5 * time.Second)
		for _, name := range f.live() {
			f.stop(name)
		}
		for i, name := range f.order {
			f.agents[name].addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 9, byte(i + 1)}), 3825)
		}
		for _, name := range f.order {
			f.start(name, func(c *Config) { c.Join = []string{"10.9.9.1"} })
		}
		f.settle(5)
	})
}

func TestLostDiskComesBackAsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(5)
		id := f.agents["e"].Status().ID
		f.crash("e")
		f.agents["e"].disk = memfs.New(99)
		f.until(time.Minute, "the dead is noticed", func() bool { return f.agents["a"].Status().Alive == 4 })
		f.start("e", func(c *Config) { c.Join = []string{"10.0.0.1"} })
		f.until(2*time.Minute, "it has the dead one's place", func() bool {
			s := f.agents["e"].Status()
			return s.ID != id && s.Voter && len(s.Config.Voters) == 5
		})
	})
}

func TestFlockGrowsToSevenAndShrinksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.start("a", nil)
		f.settle(1)
		for i, voters := range []int{1, 3, 3, 5, 5, 5} {
			f.start(string(rune('b'+i)), func(c *Config) { c.Join = []string{"10.0.0.1"} })
			f.until(time.Minute, "grown", func() bool { return f.agents["a"].Status().Alive == i+2 })
			f.settle(voters)
		}
		for i, voters := range []int{5, 5, 3, 3, 1} {
			leaver := string(rune('g' - i))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			require.NoError(t, f.agents[leaver].Leave(ctx, false), "%s\n%s", leaver, f)
			cancel()
			require.NoError(t, <-f.agents[leaver].ended)
			f.agents[leaver].Agent = nil
			f.settle(voters)
			require.NotEmpty(t, f.one())
		}
	})
}

func TestStepDownHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(3)
		old := f.one()
		require.NoError(t, f.agents[old].StepDown(context.Background(), ""))
		f.settle(3)
		require.NotEqual(t, old, f.one())
		require.ErrorContains(t, f.agents[old].StepDown(context.Background(), ""), "is the goose, at")
	})
}

func TestSimulatedDeathIsSilentAndRevivalReadsTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFlock(t)
		defer f.close()
		f.found(3)
		old := f.one()
		require.NoError(t, f.agents[old].Die(10*time.Second))
		f.until(2*time.Second, "another goose", func() bool { return f.one() != "" && f.one() != old })
		require.Equal(t, api.RoleDead, f.agents[old].Status().Role)
		f.until(30*time.Second, "revived", func() bool { return f.agents[old].Status().Role == api.RoleDuck })
		f.settle(3)
	})
}
