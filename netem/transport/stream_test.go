package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// connect opens a stream and identifies it at the other end, as agents do.
func (h *host) connect(t *testing.T, to *host) (mine, theirs net.Conn) {
	t.Helper()
	mine, err := h.Dial(t.Context(), to.addr)
	require.NoError(t, err)
	theirs = <-to.streams
	require.NoError(t, identify(theirs, names[h.addr], h.addr))
	return mine, theirs
}

func identify(c net.Conn, name string, addr netip.AddrPort) error {
	return c.(interface {
		Identify(string, netip.AddrPort) error
	}).Identify(name, addr)
}

func requireBroken(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, ErrCut)
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, ErrCut)
	require.NoError(t, c.Close(), "the owner may still close it")
}

func TestCutBreaksOpenStreams(t *testing.T) {
	for _, rules := range []string{"b: cut", "in b: cut", "out b: cut", "10.0.0.2: cut", "10.0.0.2:3825: cut", "*: cut"} {
		bubble(t, func(t *testing.T, a, b *host) {
			dialed, theirs := a.connect(t, b)
			theirDialed, accepted := b.connect(t, a)
			_, err := theirs.Write([]byte("sent before, read after"))
			require.NoError(t, err)
			reads := make(chan error)
			go func() {
				_, err := accepted.Read(make([]byte, 1))
				reads <- err
			}()
			synctest.Wait()
			a.set(t, rules)
			require.ErrorIs(t, <-reads, ErrCut, "a reader that waits wakes")
			requireBroken(t, dialed)
			requireBroken(t, accepted)
			for _, c := range []net.Conn{theirs, theirDialed} {
				_, err := c.Read(make([]byte, 1))
				require.ErrorIs(t, err, syscall.ECONNRESET)
				require.NoError(t, c.Close())
			}
			require.EqualValues(t, 2, a.Counters()["streams_cut"])
			require.Empty(t, a.conns)
		})
	}
}

func TestOtherRulesLeaveStreamsAlone(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		mine, theirs := a.connect(t, b)
		a.set(t, "c: cut; 10.0.0.2:1: cut; b: loss 100% duplicate 100% corrupt 100%")
		_, err := mine.Write([]byte("whole"))
		require.NoError(t, err)
		require.NoError(t, mine.Close())
		require.ErrorIs(t, mine.Close(), net.ErrClosed)
		got, err := io.ReadAll(theirs)
		require.NoError(t, err)
		require.Equal(t, "whole", string(got))
		require.NoError(t, theirs.Close())
	})
}

func TestDialIntoACutTimesOut(t *testing.T) {
	for _, rules := range []string{"b: cut", "in b: cut", "out 10.0.0.2: cut"} {
		bubble(t, func(t *testing.T, a, b *host) {
			a.set(t, rules)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := a.Dial(ctx, addrB)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			require.Equal(t, 10*time.Second, time.Since(start))
			require.EqualValues(t, 1, a.Counters()["dials_cut"])

			canceled, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err = a.Dial(canceled, addrB)
			require.ErrorIs(t, err, context.Canceled)

			// As SYNs that are sent again do, a dial gets through once the cut is gone.
			time.AfterFunc(time.Minute, a.Clear)
			mine, theirs := a.connect(t, b)
			require.NoError(t, mine.Close())
			require.NoError(t, theirs.Close())
		})
	}
}

func TestRefusalDoesNotLeakPastACut(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		require.NoError(t, b.Close())
		_, err := a.Dial(t.Context(), addrB)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		a.set(t, "b: cut")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = a.Dial(ctx, addrB)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

func TestCutThatComesDuringADialHoldsIt(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		dialed := make(chan error)
		go func() {
			_, err := a.Dial(ctx, addrB)
			dialed <- err
		}()
		synctest.Wait() // its handshake is on the way
		a.set(t, "b: cut")
		require.ErrorIs(t, <-dialed, os.ErrDeadlineExceeded)
		theirs := <-b.streams
		_, err := theirs.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, theirs.Close())
	})
}

func TestLossFailsDials(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "out b: loss 30%")
		failed := 0
		for range 200 {
			c, err := a.Dial(t.Context(), addrB)
			if err != nil {
				require.ErrorIs(t, err, ErrLost)
				failed++
				continue
			}
			require.NoError(t, c.Close())
			require.NoError(t, (<-b.streams).Close())
		}
		require.InDelta(t, 60, failed, 26)
		require.EqualValues(t, failed, a.Counters()["dials_lost"])
	})
}

func TestStreamFromOutsideIsKnownOnceIdentified(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		a.set(t, "b: cut")
		dial := func() (mine, accepted net.Conn) {
			mine, err := b.Dial(t.Context(), addrA)
			require.NoError(t, err)
			return mine, <-a.streams
		}
		theirs, c := dial()
		_, err := c.Write([]byte("nobody yet"))
		require.NoError(t, err)
		require.ErrorIs(t, identify(c, "b", addrB), ErrCut)
		requireBroken(t, c)
		_, err = io.ReadAll(theirs)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, theirs.Close())

		// By an address with its port, and by a name that only gossip knows.
		for _, rules := range []string{"10.0.0.2:3825: cut", "b: cut"} {
			a.set(t, rules)
			theirs, c = dial()
			require.ErrorIs(t, identify(c, "", addrB), ErrCut)
			require.NoError(t, theirs.Close())
		}
		// By a name that gossip knows later.
		a.Learn(nil)
		theirs, c = dial()
		require.NoError(t, identify(c, "", addrB))
		a.Learn(names)
		requireBroken(t, c)
		require.NoError(t, theirs.Close())

		// By * and a bare address at once: the agent never sees it.
		for _, rules := range []string{"*: cut", "out 10.0.0.2: cut"} {
			a.set(t, rules)
			theirs, err = b.Dial(t.Context(), addrA)
			require.NoError(t, err)
			_, err = theirs.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.NoError(t, theirs.Close())
			require.Empty(t, a.streams)
		}
		// An ephemeral port that a rule happens to name is not that peer.
		a.Clear()
		theirs, c = dial()
		a.set(t, theirs.LocalAddr().String()+": cut")
		require.NoError(t, identify(c, "b", addrB))
		require.NoError(t, c.Close())
		require.ErrorIs(t, identify(c, "b", addrB), net.ErrClosed)
		require.NoError(t, theirs.Close())
	})
}

// elapsed runs f and gives the virtual time it took.
func elapsed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func TestDelayAndRateHoldWrites(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		mine, theirs := a.connect(t, b)
		write := func(c net.Conn, size int) time.Duration {
			return elapsed(func() {
				n, err := c.Write(make([]byte, size))
				require.NoError(t, err)
				require.Equal(t, size, n)
			})
		}
		a.set(t, "b: delay 50ms")
		require.Equal(t, 50*time.Millisecond, write(mine, 100_000))
		require.Zero(t, write(theirs, 10), "the other side's writes are its own rules' business")
		a.set(t, "in b: delay 50ms rate 8kbit")
		require.Zero(t, write(mine, 10_000))
		a.set(t, "out b: delay 50ms rate 80kbit")
		require.Equal(t, 50*time.Millisecond, write(mine, 1500))
		a.set(t, "out b: rate 80kbit") // 10 kB/s, and a bucket of 1500 bytes
		require.Equal(t, 950*time.Millisecond, write(mine, 11_000))
		require.Positive(t, a.Counters()["writes_held"])
		require.NoError(t, mine.Close())
		require.NoError(t, theirs.Close())
	})
}

func TestHeldWriteEndsWithDeadlineCutCloseAndClear(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		mine, theirs := a.connect(t, b)
		in := func(d time.Duration, f func()) { time.AfterFunc(d, f) }
		write := func() (err error) {
			_, err = mine.Write([]byte("x"))
			return err
		}
		a.set(t, "b: delay 1h")
		require.NoError(t, mine.SetWriteDeadline(time.Now().Add(time.Second)))
		require.Equal(t, time.Second, elapsed(func() { require.ErrorIs(t, write(), os.ErrDeadlineExceeded) }))
		require.NoError(t, mine.SetDeadline(time.Time{}))
		in(time.Second, func() { _ = mine.SetDeadline(time.Now().Add(time.Second)) })
		require.Equal(t, 2*time.Second, elapsed(func() { require.ErrorIs(t, write(), os.ErrDeadlineExceeded) }))
		require.NoError(t, mine.SetDeadline(time.Time{}))
		in(time.Second, a.Clear)
		require.Equal(t, time.Second, elapsed(func() { require.NoError(t, write()) }))
		a.set(t, "b: delay 1h")
		in(time.Second, func() { _ = a.Set("b: cut", 0) })
		require.Equal(t, time.Second, elapsed(func() { require.ErrorIs(t, write(), ErrCut) }))
		require.NoError(t, theirs.Close())

		a.Clear()
		mine, theirs = a.connect(t, b)
		a.set(t, "b: delay 1h")
		in(time.Second, func() { _ = mine.Close() })
		require.Equal(t, time.Second, elapsed(func() { require.ErrorIs(t, write(), net.ErrClosed) }))
		require.NoError(t, theirs.Close())
	})
}

func TestHeldWritesStayWhole(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		mine, theirs := a.connect(t, b)
		a.set(t, "b: rate 800kbit")
		for _, s := range []string{"a", "b", "c"} {
			go func() {
				if _, err := mine.Write([]byte(strings.Repeat(s, 20_000))); err != nil {
					t.Error(err)
				}
			}()
		}
		time.AfterFunc(100*time.Millisecond, a.Clear)
		got := make([]byte, 60_000)
		_, err := io.ReadFull(theirs, got)
		require.NoError(t, err)
		for i := 0; i < len(got); i += 20_000 {
			require.Equal(t, bytes.Repeat(got[i:i+1], 20_000), got[i:i+20_000])
		}
		require.NoError(t, mine.Close())
		require.NoError(t, theirs.Close())
	})
}

func TestCloseEndsHeldDialsAndWrites(t *testing.T) {
	bubble(t, func(t *testing.T, a, b *host) {
		mine, theirs := a.connect(t, b)
		a.set(t, "out b: delay 1h; in b: cut")
		requireBroken(t, mine)
		require.NoError(t, theirs.Close())
		dialed := make(chan error)
		go func() {
			_, err := a.Dial(context.Background(), addrB)
			dialed <- err
		}()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-dialed, net.ErrClosed)
	})
	bubble(t, func(t *testing.T, a, b *host) {
		mine, theirs := a.connect(t, b)
		a.set(t, "out b: delay 1h")
		time.AfterFunc(time.Second, func() { _ = a.Close() })
		_, err := mine.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, mine.Close())
		require.NoError(t, theirs.Close())
	})
}
