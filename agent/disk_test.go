package agent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/store/memfs"
)

func TestAllRestartWithoutSeeds(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.sleep(5 * time.Second) // the last known addresses are saved
		token := f.agents["a"].Status().Token
		for _, name := range f.live() {
			f.stop(name)
		}
		f.sleep(10 * time.Minute)
		for _, name := range f.order {
			f.start(name)
		}
		f.settle(5)
		require.Greater(t, f.agents["a"].Status().Token, token)
		f.allAlive()
	})
}

func TestAllAddressesChangeAtOnceButTheSeeds(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.sleep(5 * time.Second)
		for _, name := range f.live() {
			f.stop(name)
		}
		for i, name := range f.order {
			f.agents[name].addr = f.addr(172, i+1)
		}
		for _, name := range f.order {
			f.start(name, joining("172.0.0.1"))
		}
		f.settle(5)
		f.allAlive()
	})
}

func TestAVoterMovesWithoutLosingItsVote(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(2 * time.Second)
		version := f.record("a").Config.Version
		duck, goose := f.ducks()[0], f.goose()
		f.crash(duck)
		f.agents[duck].addr = f.addr(172, 1)
		f.start(duck)
		f.until(3*time.Second, "the goose hears of it", func() bool { return f.agreed(duck) })
		f.crash(f.ducks()[1-indexOf(f.ducks(), duck)]) // its vote is needed now
		f.sleep(10 * time.Second)
		require.Equal(t, goose, f.goose())
		require.Equal(t, version, f.record(goose).Config.Version)
	})
}

func indexOf(names []string, name string) int {
	for i := range names {
		if names[i] == name {
			return i
		}
	}
	return -1
}

func TestALostDiskComesBackAsAnotherAgent(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.sleep(2 * time.Second)
		lost := f.ducks()[0]
		id := f.agents[lost].Status().ID
		f.crash(lost)
		at := time.Now()
		f.agents[lost].disk = memfs.New(99)
		f.start(lost, joining(f.agents[f.goose()].addr.String()))
		f.until(20*time.Second, "it follows the goose", func() bool { return f.agreed(lost) })
		require.NotEqual(t, id, f.agents[lost].Status().ID)
		require.False(t, f.voter(lost), "it does not vote as its former self")
		f.until(2*time.Minute, "it has the dead one's place", func() bool {
			s := f.agents[lost].Status()
			return s.Voter && len(s.Config.Voters) == 5
		})
		require.Greater(t, time.Since(at), 30*time.Second)
		for _, v := range f.agents[lost].Status().Config.Voters {
			require.NotEqual(t, id, v.ID)
		}
	})
}

func TestACopiedDiskIsReportedAndNeitherIsBelieved(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		f.sleep(2 * time.Second)
		duck := f.ducks()[0]
		f.stop(duck)
		clone := f.agent("x")
		clone.disk = f.copyDisk(f.agents[duck].disk)
		named := func(c *Config) { c.Name = duck }
		goose := f.goose()
		seed := joining(f.agents[goose].addr.String())
		f.start(duck, seed)
		f.until(10*time.Second, "it is back", func() bool { return f.agreed(duck) })
		f.start("x", seed, named)
		for _, name := range []string{goose, f.ducks()[0]} {
			if name == duck {
				continue
			}
			f.warns(30*time.Second, name, "runs twice, at "+f.agents[duck].addr.String()+" and "+clone.addr.String())
		}
		f.until(5*time.Second, "neither is heard", func() bool { return f.goose() == goose && !f.agreed(duck) })
		f.stop("x")
		f.crash(duck)
		f.start(duck, seed)
		f.until(30*time.Second, "one is stopped, the other started anew", func() bool { return f.agreed(duck) })
	})
}

func TestAnOldCopyOfADiskIsIgnoredAndReported(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		duck := f.ducks()[0]
		f.stop(duck)
		old := f.copyDisk(f.agents[duck].disk)
		for range 2 {
			f.start(duck)
			f.until(10*time.Second, "it is back", func() bool { return f.agreed(duck) })
			f.sleep(time.Second)
			f.stop(duck)
		}
		f.agents[duck].disk = old
		goose := f.goose()
		f.start(duck, joining(f.agents[goose].addr.String()))
		f.warns(time.Minute, goose, "runs from an old copy of its data directory")
		f.sleep(10 * time.Second)
		require.Equal(t, goose, f.goose())
	})
}

func TestARemovedVoterReturnsWithItsOldDiskAndDisturbsNobody(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		gone := f.ducks()[0]
		f.crash(gone)
		f.settle(4) // four stay, after thirty seconds
		term := f.agents[f.goose()].Status().Term
		f.sleep(time.Minute)
		f.start(gone)
		f.until(10*time.Second, "it knows that it is none", func() bool { return f.agreed(gone) && !f.voter(gone) })
		f.settle(5)
		require.Equal(t, term, f.agents[f.goose()].Status().Term)
	})
}

func TestAnAgentAheadIsAddedAtAHigherTerm(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		gone := f.ducks()[0]
		f.crash(gone)
		f.settle(4)
		// Its disk holds a term far ahead, as if it had campaigned alone.
		f.agents[gone].edit(t, func(l *life) {
			st := l.disk.State()
			rec, _ := st.Record()
			rec.Term += 100
			st = st.WithRecord(rec)
			require.NoError(t, l.disk.Save(st))
		}, f)
		goose := f.goose()
		before := f.agents[goose].Status().Term
		f.start(gone)
		f.settle(5)
		require.Greater(t, f.agents[f.goose()].Status().Term, before+100)
	})
}

// edit changes the disk of an agent that does not run.
func (a *testAgent) edit(t *testing.T, change func(*life), f *testFlock) {
	agent, err := New(f.config(a))
	require.NoError(t, err)
	change(&life{Agent: agent})
	require.NoError(t, agent.Close())
}

func TestASleepingMachineDropsItsLease(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		var asleep atomic.Int64
		f.start("a", func(c *Config) {
			boot := c.Clock
			c.Clock = func() time.Duration { return boot() + time.Duration(asleep.Load()) }
		})
		f.settle(1)
		token := f.agents["a"].Status().Token
		f.sleep(time.Second)
		require.NoError(t, f.await(func() error {
			return f.agents["a"].do(t.Context(), func(*life) error {
				asleep.Store(int64(3 * time.Second)) // between two turns, as a suspend is
				return nil
			})
		}))
		f.sleep(time.Second)
		require.Equal(t, "a", f.goose(), "earned anew")
		require.Equal(t, token, f.agents["a"].Status().Token, "in the same period")
	})
}

func TestRestartedVotersElectBeforeGossipHasFoundThem(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.sleep(5 * time.Second)
		for _, name := range f.live() {
			f.stop(name)
		}
		for _, name := range f.order {
			f.start(name, func(c *Config) {
				listen := c.Listen
				c.Listen = func(bind string) (Transport, Faults, error) {
					net, faults, err := listen(bind)
					return datagramsOnly{net}, faults, err
				}
			})
		}
		f.until(3*time.Second, "a goose", func() bool { return f.agreed(f.live()...) })
	})
}

// datagramsOnly is a network without streams, so that gossip finds nobody.
type datagramsOnly struct{ Transport }

func (datagramsOnly) Dial(context.Context, netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("no streams here")
}

func TestDataDirectoryOfAStrangerIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's folder")
	}
	open := filepath.Join(t.TempDir(), "tmp")
	require.NoError(t, os.Mkdir(open, 0o777))
	require.NoError(t, os.Chmod(open, 0o777|os.ModeSticky))
	planted := filepath.Join(open, "ddgoose")
	require.NoError(t, os.Mkdir(planted, 0o777))
	require.NoError(t, os.Chown(planted, 65534, 65534))
	_, err := New(Config{Name: "a", Bind: "127.0.0.1:0", DataDir: filepath.Join(planted, "a"), Socket: NoSocket})
	require.ErrorContains(t, err, "belongs to user 65534")
	require.NoDirExists(t, filepath.Join(planted, "a"))
}
