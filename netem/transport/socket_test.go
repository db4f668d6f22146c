package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sockets is a Base of real loopback sockets: UDP and TCP on one port.
type sockets struct {
	udp *net.UDPConn
	tcp *net.TCPListener
	wg  sync.WaitGroup
}

func openSockets(t *testing.T) *sockets {
	t.Helper()
	for range 20 { // a port that is free for TCP may be taken for UDP
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			return &sockets{udp: u, tcp: l}
		}
		require.NoError(t, l.Close())
	}
	t.Fatal("found no port that is free for both TCP and UDP")
	return nil
}

func (s *sockets) Receive(packet func([]byte, netip.AddrPort), stream func(net.Conn)) {
	s.wg.Go(func() {
		b := make([]byte, 65536)
		for {
			n, from, err := s.udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			packet(b[:n], from)
		}
	})
	s.wg.Go(func() {
		for {
			c, err := s.tcp.Accept()
			if err != nil {
				return
			}
			stream(c)
		}
	})
}

func (s *sockets) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := s.udp.WriteToUDPAddrPort(b, to)
	return err
}

func (s *sockets) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", to.String())
}

func (s *sockets) LocalAddr() netip.AddrPort { return s.tcp.Addr().(*net.TCPAddr).AddrPort() }

func (s *sockets) Close() error {
	s.udp.Close()
	s.tcp.Close()
	s.wg.Wait()
	return nil
}

// pair returns two hosts on real sockets that know each other as a and b.
func pair(t *testing.T) (a, b *host) {
	a, b = wrap(t, openSockets(t)), wrap(t, openSockets(t))
	names := map[netip.AddrPort]string{a.addr: "a", b.addr: "b"}
	a.Learn(names)
	b.Learn(names)
	t.Cleanup(func() {
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	return a, b
}

// TestNothingLeaksPastACutOnRealSockets sends numbered datagrams and streams
// before, during and after a cut. Loopback keeps their order, so once a
// datagram sent after the cut has come, none from during it still can.
func TestNothingLeaksPastACutOnRealSockets(t *testing.T) {
	for _, rules := range []string{"b: cut", "*: cut", "127.0.0.1: cut", "out b: cut"} {
		t.Run(rules, func(t *testing.T) {
			a, b := pair(t)
			oneWay := rules == "out b: cut"
			mine, err := a.Dial(t.Context(), b.addr)
			require.NoError(t, err)
			theirs := <-b.streams
			require.NoError(t, identify(theirs, "a", a.addr))
			a.send(t, b, "before")
			b.send(t, a, "before")
			require.Equal(t, "before", <-a.packets)
			require.Equal(t, "before", <-b.packets)

			a.set(t, rules)
			for i := range 100 {
				a.send(t, b, "cut %d", i)
				b.send(t, a, "cut %d", i)
				_, err := mine.Write(fmt.Appendf(nil, "cut %d", i))
				require.ErrorIs(t, err, ErrCut)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err = a.Dial(ctx, b.addr)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			got, err := io.ReadAll(theirs)
			require.Error(t, err, "the other side sees the stream break")
			require.Empty(t, got)
			require.NoError(t, theirs.Close())
			require.NoError(t, mine.Close())

			// The other side does not know of the cut: its dial gets as far as our socket.
			stranger, err := b.Dial(t.Context(), a.addr)
			if err == nil { // else reset before it was known to be open
				if rules == "b: cut" || oneWay {
					require.ErrorIs(t, identify(<-a.streams, "b", b.addr), ErrCut)
				}
				_, err = stranger.Read(make([]byte, 1))
				require.Error(t, err)
				require.NoError(t, stranger.Close())
			}
			require.Empty(t, a.streams)

			if oneWay {
				for i := range 100 {
					require.Equal(t, fmt.Sprintf("cut %d", i), <-a.packets)
				}
			}
			// What came in before Clear was judged under the cut only if it was read
			// by then: wait for the reader.
			wait := uint64(200)
			if oneWay {
				wait = 100
			}
			require.Eventually(t, func() bool { return a.Counters()["cut"] == wait }, time.Minute, time.Millisecond)
			a.Clear()
			a.send(t, b, "after")
			b.send(t, a, "after")
			require.Equal(t, "after", <-a.packets)
			require.Equal(t, "after", <-b.packets)
			c, err := a.Dial(t.Context(), b.addr)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, (<-b.streams).Close())
		})
	}
}

func TestACutThrowsAwayWhatAStreamHasNotSent(t *testing.T) {
	a, b := pair(t)
	mine, err := a.Dial(t.Context(), b.addr)
	require.NoError(t, err)
	theirs := <-b.streams
	// Fill the buffers of both kernels: nobody reads.
	wrote := make(chan error)
	go func() {
		for {
			if _, err := mine.Write(make([]byte, 1<<20)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	_, err = theirs.Read(make([]byte, 1))
	require.NoError(t, err)
	a.set(t, "b: cut")
	require.ErrorIs(t, <-wrote, ErrCut)
	_, err = io.Copy(io.Discard, theirs)
	require.Error(t, err, "a reset, not an end")
	require.NoError(t, theirs.Close())
}

func TestFaultsWorkOnRealSockets(t *testing.T) {
	a, b := pair(t)
	a.set(t, "b: delay 2ms 1ms 10% duplicate 20%")
	sent, n := make(map[string]bool), 100
	for i := range n {
		a.send(t, b, "%d", i)
	}
	for len(sent) < n {
		sent[<-b.packets] = true
	}
	require.Positive(t, a.Counters()["duplicated"])
	b.set(t, "in a: delay 1ms")
	a.send(t, b, "through both lines")
	for got := ""; got != "through both lines"; {
		got = <-b.packets
	}
	require.Positive(t, b.Counters()["delayed"])
}
