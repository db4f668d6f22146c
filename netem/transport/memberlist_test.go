package transport

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/memory"
)

// adapter lets memberlist speak over a Transport. Its streams open with a line
// that says who dialed, as an agent's open with a preface.
type adapter struct {
	t       *Transport
	name    string
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
}

var _ memberlist.NodeAwareTransport = (*adapter)(nil)

func newAdapter(t *Transport, name string) *adapter {
	a := &adapter{t: t, name: name,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), done: make(chan struct{})}
	t.Receive(a.packet, a.stream)
	return a
}

func (a *adapter) packet(b []byte, from netip.AddrPort) {
	p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}
	select {
	case a.packets <- p:
	case <-a.done:
	}
}

func (a *adapter) stream(c net.Conn) {
	go func() {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var line []byte
		for b := make([]byte, 1); ; line = append(line, b[0]) {
			if _, err := io.ReadFull(c, b); err != nil {
				_ = c.Close()
				return
			}
			if b[0] == '\n' {
				break
			}
		}
		name, addr, _ := strings.Cut(string(line), " ")
		if identify(c, name, netip.MustParseAddrPort(addr)) != nil {
			return
		}
		select {
		case a.streams <- c:
		case <-a.done:
			_ = c.Close()
		}
	}()
}

func (a *adapter) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr := a.t.LocalAddr()
	return addr.Addr().AsSlice(), int(addr.Port()), nil
}

func (a *adapter) WriteTo(b []byte, addr string) (time.Time, error) {
	return a.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (a *adapter) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return time.Time{}, err
	}
	return time.Now(), a.t.WriteTo(b, addr)
}

func (a *adapter) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return a.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (a *adapter) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := a.t.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "%s %v\n", a.name, a.t.LocalAddr()); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (a *adapter) PacketCh() <-chan *memberlist.Packet { return a.packets }
func (a *adapter) StreamCh() <-chan net.Conn           { return a.streams }

func (a *adapter) Shutdown() error {
	close(a.done)
	return a.t.Close()
}

// member is one memberlist over memory and a Transport.
type member struct {
	*memberlist.Memberlist
	t    *Transport
	addr netip.AddrPort
	name string
}

func newMember(t *testing.T, n *memory.Network, i int) *member {
	t.Helper()
	name := string(rune('a' + i))
	e, err := n.Listen(netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:3825", i+1)))
	require.NoError(t, err)
	tr := Wrap(e, uint64(i))
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = name
	cfg.Transport = newAdapter(tr, name)
	cfg.AdvertisePort = 3825
	cfg.Logger = log.New(io.Discard, "", 0)
	m, err := memberlist.Create(cfg)
	require.NoError(t, err)
	return &member{m, tr, e.LocalAddr(), name}
}

// sees returns the names of the live members, as one string.
func (m *member) sees() string {
	var b strings.Builder
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		for _, n := range m.Members() {
			if n.Name == name {
				b.WriteString(name)
			}
		}
	}
	return b.String()
}

// TestMemberlistSeesAPartitionAndItsEnd runs five real memberlists in virtual
// time: their UDP probes, their fallback to TCP pings and their push/pull must
// all stop at a cut.
func TestMemberlistSeesAPartitionAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memory.New()
		var all []*member
		names := make(map[netip.AddrPort]string)
		for i := range 5 {
			all = append(all, newMember(t, n, i))
			names[all[i].addr] = all[i].name
		}
		for _, m := range all {
			m.t.Learn(names)
		}
		until := func(what string, limit time.Duration, cond func() bool) {
			t.Helper()
			for start := time.Now(); !cond(); time.Sleep(100 * time.Millisecond) {
				if time.Since(start) > limit {
					for _, m := range all {
						t.Logf("%s sees %s, %v", m.name, m.sees(), m.t.Counters())
					}
					t.Fatalf("not %s within %v", what, limit)
				}
			}
		}
		allSee := func() bool {
			for _, m := range all {
				if m.sees() != "abcde" {
					return false
				}
			}
			return true
		}

		for _, m := range all[1:] {
			_, err := m.Join([]string{all[0].addr.String()})
			require.NoError(t, err)
		}
		// Gossip spreads by chance; whom it misses learns from a push/pull, each 30 s
		// with a random peer. So a spread has minutes, which cost nothing here.
		const spread = 5 * time.Minute
		until("joined", spread, allSee)
		time.Sleep(time.Minute)
		require.True(t, allSee())

		// Each side has its own rules: by name here, by address there.
		for _, m := range all[:2] {
			require.NoError(t, m.t.Set("c,d,e: cut", 0))
		}
		for _, m := range all[2:] {
			require.NoError(t, m.t.Set("10.0.0.1,10.0.0.2:3825: cut", 3*time.Minute))
		}
		until("partitioned", 2*time.Minute, func() bool {
			return all[0].sees() == "ab" && all[1].sees() == "ab" &&
				all[2].sees() == "cde" && all[3].sees() == "cde" && all[4].sees() == "cde"
		})
		_, err := all[0].Join([]string{all[2].addr.String()})
		require.Error(t, err, "no stream passes either")

		// The rules of the one side expire; one side's are enough.
		time.Sleep(4 * time.Minute)
		require.Equal(t, "ab", all[0].sees())
		require.Equal(t, "cde", all[4].sees())
		_, err = all[4].Join([]string{all[0].addr.String()})
		require.Error(t, err)

		for _, m := range all[:2] {
			m.t.Clear()
		}
		time.Sleep(time.Minute)
		require.Equal(t, "ab", all[0].sees(), "memberlist forgets the dead: only a join heals")
		_, err = all[2].Join([]string{all[0].addr.String()})
		require.NoError(t, err)
		until("healed", spread, allSee)

		// Much loss and jitter: members stay, thanks to what still comes through.
		for _, m := range all {
			require.NoError(t, m.t.Set("*: loss 10% delay 5ms 3ms duplicate 5%", 0))
		}
		time.Sleep(time.Minute)
		for _, m := range all {
			m.t.Clear()
		}
		until("whole after loss", spread, allSee)

		for _, m := range all {
			require.NoError(t, m.Shutdown())
		}
		// memberlist's probes outlive its Shutdown by their time-outs.
		time.Sleep(time.Minute)
		require.NoError(t, n.Close())
	})
}
