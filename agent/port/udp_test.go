package port

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// heard is a datagram as a transport delivered it.
type heard struct {
	b    []byte
	from netip.AddrPort
}

// listenFor opens a transport and gives what it hears.
func listenFor(t *testing.T, bind string) (Transport, <-chan heard) {
	t.Helper()
	s, err := ListenUDP(bind, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Skipf("this machine cannot listen on %s: %v", bind, err)
	}
	all := make(chan heard, 64)
	s.Receive(func(b []byte, from netip.AddrPort) { all <- heard{bytes.Clone(b), from} }, func(c net.Conn) { _ = c.Close() })
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, all
}

func next(t *testing.T, all <-chan heard) heard {
	t.Helper()
	select {
	case h := <-all:
		return h
	case <-time.After(apitest.Patience):
		require.Fail(t, "nothing came")
		return heard{}
	}
}

func TestDatagramsPassWithinAndAcrossFamilies(t *testing.T) {
	v4, heard4 := listenFor(t, "127.0.0.1:0")
	v6, heard6 := listenFor(t, "[::1]:0")
	both, heardBoth := listenFor(t, "[::]:0")
	port := both.LocalAddr().Port()
	at := func(host string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(host), port) }

	require.NoError(t, v4.WriteTo([]byte("from 4"), at("127.0.0.1")))
	h := next(t, heardBoth)
	require.Equal(t, heard{[]byte("from 4"), v4.LocalAddr()}, h, "an IPv4 sender is known by its IPv4 address")
	require.NoError(t, both.WriteTo([]byte("back to 4"), h.from))
	require.Equal(t, heard{[]byte("back to 4"), at("127.0.0.1")}, next(t, heard4))

	require.NoError(t, v6.WriteTo([]byte("from 6"), at("::1")))
	h = next(t, heardBoth)
	require.Equal(t, heard{[]byte("from 6"), v6.LocalAddr()}, h)
	require.NoError(t, both.WriteTo([]byte("back to 6"), h.from))
	require.Equal(t, heard{[]byte("back to 6"), at("::1")}, next(t, heard6))

	require.NoError(t, v4.WriteTo([]byte("mapped"), netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), port)))
	require.Equal(t, []byte("mapped"), next(t, heardBoth).b)
	require.Error(t, v4.WriteTo([]byte("x"), v6.LocalAddr()), "an IPv4 socket reaches no IPv6 address")
}

func TestDatagramsKeepTheirBoundsAndTheirErrors(t *testing.T) {
	a, _ := listenFor(t, "127.0.0.1:0")
	b, all := listenFor(t, "127.0.0.1:0")
	large := bytes.Repeat([]byte{7}, 65507)
	for _, body := range [][]byte{{}, {1}, large, bytes.Repeat([]byte{9}, 1200)} {
		require.NoError(t, a.WriteTo(body, b.LocalAddr()))
		h := next(t, all)
		require.Len(t, h.b, len(body))
		require.True(t, bytes.Equal(body, h.b))
		require.Equal(t, a.LocalAddr(), h.from)
	}
	require.ErrorContains(t, a.WriteTo(append(large, 7), b.LocalAddr()), "message too long")
	require.NoError(t, a.WriteTo([]byte("goes on"), b.LocalAddr()))
	require.Equal(t, []byte("goes on"), next(t, all).b)
}

func TestManyDatagramsLeaveTogether(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0"} {
		s, _ := listenFor(t, bind)
		a, heardA := listenFor(t, bind)
		b, heardB := listenFor(t, bind)
		tooLarge := make([]byte, 1<<16)
		bodies := [][]byte{{1}, {}, {2, 2}, tooLarge, tooLarge, {3}, {4}, {5}, {6}, {7}, {8}, {9}}
		var to []netip.AddrPort
		for i := range bodies {
			to = append(to, []netip.AddrPort{a.LocalAddr(), b.LocalAddr()}[i%2])
		}
		failed := map[int]string{}
		s.(Batcher).WriteAll(bodies, to, func(i int, err error) { failed[i] = err.Error() })
		require.Len(t, failed, 2)
		for _, i := range []int{3, 4} {
			require.Contains(t, failed[i], "message too long")
		}
		for i, body := range bodies {
			if len(body) < len(tooLarge) {
				h := next(t, []<-chan heard{heardA, heardB}[i%2])
				require.Equal(t, heard{append([]byte{}, body...), s.LocalAddr()}, h, "none is lost or mixed, and they keep their order")
			}
		}
	}
}

func TestDatagramsFromManyGoroutines(t *testing.T) {
	const senders, each = 8, 15 // what fits into the smallest buffer, if the reader is late
	a, _ := listenFor(t, "127.0.0.1:0")
	b, all := listenFor(t, "127.0.0.1:0")
	var sent sync.WaitGroup
	for i := range senders {
		sent.Go(func() {
			for range each {
				if err := a.WriteTo(bytes.Repeat([]byte{byte(i)}, 10+i), b.LocalAddr()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range senders * each {
		h := next(t, all)
		require.Equal(t, bytes.Repeat(h.b[:1], 10+int(h.b[0])), h.b, "no two are mixed")
	}
	sent.Wait()
}

func TestClosedTransportSaysSo(t *testing.T) {
	s, err := ListenUDP("127.0.0.1:0", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	to := s.LocalAddr()
	s.Receive(func([]byte, netip.AddrPort) {}, func(net.Conn) {})
	require.NoError(t, s.Close(), "the reader has ended when it returns")
	require.NoError(t, s.Close(), "twice")
	require.True(t, errors.Is(s.WriteTo([]byte("x"), to), net.ErrClosed))
}

func TestSendingAllocatesNothing(t *testing.T) {
	s, err := ListenUDP("127.0.0.1:0", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer s.Close()
	to, b := s.LocalAddr(), make([]byte, 100)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if s.WriteTo(b, to) != nil {
			t.Fail()
		}
	}))
	all, addrs := [][]byte{b, b, b}, []netip.AddrPort{to, to, to}
	failed := func(int, error) { t.Fail() }
	require.Zero(t, testing.AllocsPerRun(100, func() { s.(Batcher).WriteAll(all, addrs, failed) }))
}
