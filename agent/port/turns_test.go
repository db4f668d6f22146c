package port

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/netem/memory"
	"duckduckgoose/wire"
)

func TestRequestsAreServedAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(false)
		ends := make(chan func(), 10)
		for range 10 {
			go func() {
				done, ok := turns.wait(t.Context(), always)
				require.True(t, ok)
				ends <- done
			}()
		}
		for range 10 / servedAtOnce {
			synctest.Wait()
			require.Len(t, ends, servedAtOnce)
			for range servedAtOnce {
				(<-ends)()
			}
		}
	})
}

func TestASlowRequestKeepsOthersWaitingForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(false)
		for range servedAtOnce {
			_, ok := turns.wait(t.Context(), always)
			require.True(t, ok)
		}
		began := time.Now()
		for range 5 * servedAtOnce {
			_, ok := turns.wait(t.Context(), always)
			require.True(t, ok)
		}
		require.Equal(t, turnMost+4*turnEvery, time.Since(began))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, ok := turns.wait(ctx, always)
		require.False(t, ok)
	})
}

func TestManyRequestsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(false)
		serve := func(n int) time.Duration {
			began := time.Now()
			for range n {
				done, ok := turns.wait(t.Context(), always)
				require.True(t, ok)
				done()
			}
			return time.Since(began)
		}
		require.Zero(t, serve(turnsAtOnce), "a few need not wait")
		require.Equal(t, 100*turnEvery, serve(100))
		time.Sleep(time.Second)
		require.Zero(t, serve(turnsAtOnce))
	})
}

// Its sender has joined through another agent meanwhile.
func TestARequestThatIsNoLongerWantedTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(false)
		for range 10 * turnsAtOnce {
			_, ok := turns.wait(t.Context(), func() bool { return false })
			require.False(t, ok)
		}
		began := time.Now()
		done, ok := turns.wait(t.Context(), always)
		require.True(t, ok)
		done()
		require.Zero(t, time.Since(began))
	})
}

// Who hangs, or wants to keep others out, delays them once a second.
func TestATurnOfThisMachineEndsAndTheNextOnesSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(true)
		serve := func(n int, takes time.Duration) time.Duration {
			began := time.Now()
			for range n {
				done, ok := turns.wait(t.Context(), always)
				require.True(t, ok)
				if takes > 0 {
					time.Sleep(takes)
					done()
				}
			}
			return time.Since(began)
		}
		const ms = time.Millisecond
		require.Equal(t, 5*30*ms+4*30*ms, serve(5, 30*ms), "as long again for others")
		time.Sleep(30 * ms)
		require.Equal(t, turnHere+3*turnMost, serve(5, 0))
	})
}

// What the answer costs its receiver may be on this machine.
func TestATurnLastsUntilTheSenderHasItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPort(Options{Counts: &meters.Counters{}, Quiet: &quietlog.Log{Out: slog.New(slog.DiscardHandler)}})
		request := func() (theirs net.Conn, served *atomic.Bool) {
			ours, theirs := net.Pipe()
			served = new(atomic.Bool)
			s := &stream{Conn: ours, port: p, served: sync.OnceFunc(func() { served.Store(true) })}
			require.NoError(t, s.Close())
			synctest.Wait()
			require.False(t, served.Load())
			return theirs, served
		}
		theirs, served := request()
		require.NoError(t, theirs.Close())
		synctest.Wait()
		require.True(t, served.Load())

		theirs, served = request()
		time.Sleep(turnHere)
		synctest.Wait()
		require.True(t, served.Load(), "but not for long")
		_, err := theirs.Write([]byte{1})
		require.Error(t, err, "the stream is closed")
	})
}

// All agents of a large flock start at once and know the same agent. Those that it turned
// away would call again ever later.
func TestACrowdOfRequestsIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd = 700
		n := memory.New()
		ring, err := wire.NewKeyring("test", nil)
		require.NoError(t, err)
		var keys atomic.Pointer[wire.Keyring]
		keys.Store(ring)
		counts := &meters.Counters{}
		open := func(host int, counts *meters.Counters) *Port {
			e, err := n.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(host >> 8), byte(host)}), 3825))
			require.NoError(t, err)
			return Open(Options{Transport: e, Self: election.ID{1, byte(host >> 8), byte(host)}, Label: "test", Keys: &keys, Counts: counts, Quiet: &quietlog.Log{Out: slog.New(slog.DiscardHandler)}})
		}
		seed := open(1, counts)
		served := make(chan struct{}, crowd)
		go func() {
			for {
				select {
				case s := <-seed.StreamCh():
					_ = s.Close()
					served <- struct{}{}
				case <-seed.Closed():
					return
				}
			}
		}()
		began := time.Now()
		callers := []*Port{}
		for i := range crowd {
			caller := open(i+2, &meters.Counters{})
			callers = append(callers, caller)
			go func() {
				s, err := caller.DialTimeout("10.0.0.1:3825", 10*time.Second)
				if err != nil {
					return
				}
				_, _ = s.Write([]byte("\x08\x81\xaaUserMsgLen\x01x"))
				_, _ = s.Read(make([]byte, 1)) // until the seed, or the test, closes it
				_ = s.Close()
			}()
			time.Sleep(time.Second / crowd)
		}
		for range crowd {
			select {
			case <-served:
			case <-time.After(turnWait):
				t.Errorf("not all served: %v", counts.All())
			}
		}
		require.Less(t, time.Since(began), 8*time.Second)
		for _, p := range append(callers, seed) {
			require.NoError(t, p.Shutdown())
		}
		require.NoError(t, n.Close())
	})
}

// What one host sends is never handled, and all its places are taken.
func TestRequestsThatHangKeepNoOtherHostOut(t *testing.T) {
	for name, test := range map[string]struct {
		host  byte
		calls int
		most  time.Duration
	}{
		"another host":     {2, 2 * wholeMost, turnWait},
		"many agents here": {1, wholeMost, turnsAtOnce * turnEvery},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memory.New()
				ring, err := wire.NewKeyring("test", nil)
				require.NoError(t, err)
				var keys atomic.Pointer[wire.Keyring]
				keys.Store(ring)
				open := func(host byte, port uint16) *Port {
					e, err := n.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, host}), port))
					require.NoError(t, err)
					return Open(Options{Transport: e, Self: election.ID{host}, Label: "test", Keys: &keys, Counts: &meters.Counters{}, Quiet: &quietlog.Log{Out: slog.New(slog.DiscardHandler)}})
				}
				seed := open(1, 3825)
				served := make(chan time.Time, 1)
				var hung []net.Conn
				var ended sync.WaitGroup
				ended.Go(func() {
					for {
						select {
						case s := <-seed.StreamCh():
							if Host(s.RemoteAddr().String()) == "10.0.0.3" {
								served <- time.Now()
							}
							hung = append(hung, s)
						case <-seed.Closed():
							return
						}
					}
				})
				call := func(p *Port) {
					s, err := p.DialTimeout("10.0.0.1:3825", time.Minute)
					require.NoError(t, err)
					_, _ = s.Write([]byte("\x08\x81\xaaUserMsgLen\x01x"))
				}
				hangs, other := open(test.host, 3826), open(3, 3825)
				for range test.calls {
					call(hangs)
					synctest.Wait()
				}
				began := time.Now()
				call(other)
				select {
				case at := <-served:
					require.LessOrEqual(t, at.Sub(began), test.most)
				case <-time.After(time.Minute):
					t.Error("it gave up")
				}
				for _, p := range []*Port{hangs, other, seed} {
					require.NoError(t, p.Shutdown())
				}
				ended.Wait()
				for _, s := range hung {
					_ = s.Close()
					_ = s.Close()
				}
				require.NoError(t, n.Close())
			})
		})
	}
}

func always() bool { return true }
