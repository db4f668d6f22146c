package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:3825")
	addrB = netip.MustParseAddrPort("10.0.0.2:3825")
	addrC = netip.MustParseAddrPort("10.0.0.3:3825")
)

// host is an endpoint with what it received.
type host struct {
	*Endpoint
	mu      sync.Mutex
	packets []string
	streams chan net.Conn
}

func listen(t *testing.T, n *Network, addr netip.AddrPort) *host {
	e, err := n.Listen(addr)
	require.NoError(t, err)
	h := &host{Endpoint: e, streams: make(chan net.Conn, 200)}
	h.Receive(func(b []byte, from netip.AddrPort) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.packets = append(h.packets, fmt.Sprintf("%s from %v", b, from))
	}, func(c net.Conn) { h.streams <- c })
	return h
}

func (h *host) received() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.packets
	h.packets = nil
	return got
}

func bubble(t *testing.T, test func(t *testing.T, n *Network)) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		test(t, n)
		require.NoError(t, n.Close())
	})
}

func (h *host) connect(t *testing.T, to *host) (mine, theirs net.Conn) {
	t.Helper()
	mine, err := h.Dial(t.Context(), to.addr)
	require.NoError(t, err)
	return mine, <-to.streams
}

func TestDatagramsArriveInOrderAfterTheLatency(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, addrA), listen(t, n, addrB)
		var want []string
		for i := range 100 {
			msg := fmt.Appendf(nil, "%d", i)
			require.NoError(t, a.WriteTo(msg, addrB))
			msg[0] = 'x' // the sender's again
			want = append(want, fmt.Sprintf("%d from %v", i, addrA))
		}
		require.Empty(t, b.received())
		time.Sleep(Latency)
		require.Equal(t, want, b.received())
		require.Empty(t, a.received())
	})
}

func TestDatagramsHaveUDPsLimits(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, addrA), listen(t, n, addrB)
		require.NoError(t, a.WriteTo(make([]byte, MaxDatagram), addrB))
		require.ErrorIs(t, a.WriteTo(make([]byte, MaxDatagram+1), addrB), syscall.EMSGSIZE)
		require.NoError(t, a.WriteTo([]byte("nobody"), addrC))
		require.NoError(t, a.WriteTo([]byte("mapped"), netip.MustParseAddrPort("[::ffff:10.0.0.2]:3825")))
		time.Sleep(time.Second)
		require.Len(t, b.received(), 2)

		for range queueDatagrams + 10 {
			require.NoError(t, a.WriteTo([]byte("x"), addrB))
		}
		time.Sleep(time.Second)
		require.InDelta(t, queueDatagrams, len(b.received()), 1, "one may be in the reader's hand")
		require.InDelta(t, 10, b.Dropped(), 1)
	})
}

func TestPortsAreUniqueAndAnyIsGivenOut(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a := listen(t, n, addrA)
		_, err := n.Listen(addrA)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		_, err = n.Listen(netip.MustParseAddrPort("0.0.0.0:1"))
		require.ErrorContains(t, err, "want the address of one host")
		x := listen(t, n, netip.MustParseAddrPort("10.0.0.1:0"))
		y := listen(t, n, netip.MustParseAddrPort("10.0.0.1:0"))
		require.NotZero(t, x.LocalAddr().Port())
		require.NotEqual(t, x.LocalAddr(), y.LocalAddr())
		require.NoError(t, a.Close())
		listen(t, n, addrA)
	})
}

func TestClosedEndpointIsSilent(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, addrA), listen(t, n, addrB)
		require.NoError(t, a.WriteTo([]byte("late"), addrB))
		require.NoError(t, b.Close())
		require.NoError(t, b.Close())
		time.Sleep(time.Second)
		require.Empty(t, b.received())
		require.ErrorIs(t, b.WriteTo([]byte("x"), addrA), net.ErrClosed)
		_, err := b.Dial(t.Context(), addrA)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Dial(t.Context(), addrB)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)

		unread, err := n.Listen(addrC)
		require.NoError(t, err)
		c, err := a.Dial(t.Context(), addrC)
		require.NoError(t, err, "nobody takes streams yet: they wait")
		require.NoError(t, unread.Close())
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, c.Close())
	})
}

func TestStreamsCarryBothWaysAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, addrA), listen(t, n, addrB)
		mine, theirs := a.connect(t, b)
		require.Equal(t, addrB.String(), mine.RemoteAddr().String())
		require.Equal(t, addrB.String(), theirs.LocalAddr().String())
		require.Equal(t, mine.LocalAddr().String(), theirs.RemoteAddr().String())
		require.Equal(t, addrA.Addr(), mine.LocalAddr().(*net.TCPAddr).AddrPort().Addr())
		require.NotEqual(t, addrA.Port(), mine.LocalAddr().(*net.TCPAddr).AddrPort().Port())

		// Both write first, as memberlist does, and more than the window.
		big := bytes.Repeat([]byte("quack "), 100_000)
		sums := make(chan [32]byte, 2)
		for _, c := range []net.Conn{mine, theirs} {
			go func() {
				n, err := c.Write(big)
				if err != nil || n != len(big) {
					t.Errorf("wrote %d: %v", n, err)
				}
			}()
			go func() {
				got := make([]byte, len(big))
				if _, err := io.ReadFull(c, got); err != nil {
					t.Error(err)
				}
				sums <- sha256.Sum256(got)
			}()
		}
		require.Equal(t, sha256.Sum256(big), <-sums)
		require.Equal(t, sha256.Sum256(big), <-sums)

		_, err := mine.Write([]byte("bye"))
		require.NoError(t, err)
		require.NoError(t, mine.Close())
		require.ErrorIs(t, mine.Close(), net.ErrClosed)
		rest, err := io.ReadAll(theirs)
		require.NoError(t, err)
		require.Equal(t, "bye", string(rest))
		_, err = theirs.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = mine.Read(rest)
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, theirs.Close())
		require.Empty(t, n.streams)
	})
}

func TestResetLosesWhatIsOnItsWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		mine, theirs := listen(t, n, addrA).connect(t, listen(t, n, addrB))
		_, err := mine.Write([]byte("lost"))
		require.NoError(t, err)
		require.NoError(t, mine.(*Conn).SetLinger(0))
		require.NoError(t, mine.Close())
		_, err = theirs.Read(make([]byte, 10))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, theirs.Close())
	})
}

func TestDeadlinesInterruptReadsAndWrites(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		mine, theirs := listen(t, n, addrA).connect(t, listen(t, n, addrB))
		start := time.Now()
		require.NoError(t, mine.SetReadDeadline(start.Add(time.Second)))
		_, err := mine.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.Equal(t, time.Second, time.Since(start))

		require.NoError(t, mine.SetDeadline(time.Now().Add(time.Second)))
		sent, err := mine.Write(make([]byte, window+5))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, window, sent)

		// One that comes during the wait counts too; none again lets it go on.
		go func() {
			time.Sleep(time.Second)
			if err := theirs.SetReadDeadline(time.Now()); err != nil {
				t.Error(err)
			}
		}()
		_, err = io.ReadFull(theirs, make([]byte, window+1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, mine.SetDeadline(time.Time{}))
		require.NoError(t, theirs.SetDeadline(time.Time{}))
		_, err = mine.Write([]byte("x"))
		require.NoError(t, err)
		_, err = theirs.Read(make([]byte, 1))
		require.NoError(t, err)

		// Close wakes a reader.
		go func() {
			time.Sleep(time.Second)
			_ = theirs.Close()
		}()
		_, err = theirs.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, mine.Close())
	})
}

func TestPartitionStopsEverythingAcross(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a, b, c := listen(t, n, addrA), listen(t, n, addrB), listen(t, n, addrC)
		mine, theirs := a.connect(t, b)
		require.NoError(t, a.WriteTo([]byte("on its way"), addrB))
		n.Partition([]netip.AddrPort{addrB, addrC})
		_, err := mine.Write([]byte("held"))
		require.NoError(t, err)
		for _, h := range []*host{a, b, c} {
			for _, to := range []netip.AddrPort{addrA, addrB, addrC} {
				require.NoError(t, h.WriteTo([]byte("x"), to))
			}
		}
		time.Sleep(time.Second)
		require.Equal(t, []string{"x from 10.0.0.1:3825"}, a.received())
		require.Len(t, b.received(), 2)
		require.Len(t, c.received(), 2)

		require.NoError(t, theirs.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = theirs.Read(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, mine.Close())
		require.NoError(t, theirs.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = theirs.Read(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "an end does not pass either")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = a.Dial(ctx, addrB)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start), "a cut dial is not refused: it waits")

		time.AfterFunc(time.Minute, n.Heal)
		healed, theirHealed := a.connect(t, b)
		require.Equal(t, time.Minute+2*Latency+time.Second, time.Since(start))
		require.NoError(t, theirs.SetReadDeadline(time.Time{}))
		got, err := io.ReadAll(theirs)
		require.NoError(t, err)
		require.Equal(t, "held", string(got))
		require.NoError(t, theirs.Close())
		require.NoError(t, healed.Close())
		require.NoError(t, theirHealed.Close())
	})
}

func TestDialEndsWithItsContextAndItsEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a := listen(t, n, addrA)
		full, err := n.Listen(addrB)
		require.NoError(t, err)
		for range backlog {
			_, err := a.Dial(t.Context(), addrB)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = a.Dial(ctx, addrB)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a full backlog looks like loss")
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = a.Dial(canceled, addrB)
		require.ErrorIs(t, err, context.Canceled)
		time.AfterFunc(time.Second, func() { full.Close() })
		_, err = a.Dial(t.Context(), addrB)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)

		n.Partition()
		time.AfterFunc(time.Second, func() { a.Close() })
		_, err = a.Dial(t.Context(), addrC)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// lateContext ends after its Err was read a number of times.
type lateContext struct {
	context.Context
	reads int
}

func (c *lateContext) Err() error {
	if c.reads--; c.reads < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestDeadlineIsATimeoutWheneverItComes(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network) {
		a := listen(t, n, addrA)
		for reads := range 4 {
			ctx := &lateContext{Context: context.Background(), reads: reads}
			if err := a.wait(ctx, time.Second, nil); err != nil {
				require.Equal(t, os.ErrDeadlineExceeded, err, "after %d reads", reads)
			}
		}
	})
}
