package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/port"
)

// runReal runs an agent on real sockets, and stops it when the test ends.
func runReal(t *testing.T, cfg Config) (a *Agent, stop func() error) {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.Socket == "" {
		cfg.Socket = NoSocket
	}
	cfg.Heartbeat, cfg.Lease = time.Second, 10*time.Second // a busy machine
	a, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			return fmt.Errorf("agent %s does not stop", cfg.Name)
		}
	}
	t.Cleanup(func() {
		if !stopped {
			require.NoError(t, stop())
		}
	})
	return a, stop
}

func isGoose(a *Agent) func() bool { return func() bool { return a.Status().Role == api.RoleGoose } }

func TestAFlockOverIPv6(t *testing.T) {
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	} else {
		require.NoError(t, probe.Close())
	}
	a, _ := runReal(t, Config{Name: "a", Bind: "[::1]:0"})
	apitest.Eventually(t, isGoose(a), "a goose")
	addr := a.Status().Addr
	require.True(t, strings.HasPrefix(addr, "[::1]:"), addr)
	b, _ := runReal(t, Config{Name: "b", Bind: "[::1]:0", Join: []string{addr}})
	apitest.Eventually(t, func() bool { s := b.Status(); return s.Goose != nil && s.Goose.Name == "a" && s.Goose.Addr == addr }, "b follows")
}

func TestAgentsBoundToAllAddressesTalkOverIPv4(t *testing.T) {
	open, err := port.ListenUDP("0.0.0.0:0", slog.New(slog.DiscardHandler)) // before the agent asks for its port, so that nobody else takes it
	require.NoError(t, err)
	at := open.LocalAddr().Port()
	listen := func(string) (Transport, Faults, error) { return open, nil, nil }
	a, _ := runReal(t, Config{Name: "a", Bind: fmt.Sprintf("0.0.0.0:%d", at), Advertise: "127.0.0.1", Insecure: true, Listen: listen})
	apitest.Eventually(t, isGoose(a), "a goose")
	require.Equal(t, fmt.Sprintf("127.0.0.1:%d", at), a.Status().Addr)
	b, _ := runReal(t, Config{Name: "b", Bind: "127.0.0.1:0", Join: []string{a.Status().Addr}})
	apitest.Eventually(t, func() bool { s := b.Status(); return s.Goose != nil && s.Goose.Name == "a" }, "b follows")
}

func TestAgentStopsThoughAHolderIsAttached(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a.sock")
	a, stop := runReal(t, Config{Name: "a", Bind: "127.0.0.1:0", Socket: socket})
	apitest.Eventually(t, isGoose(a), "a goose")
	begun := make(chan struct{})
	led := make(chan error, 1)
	causes := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		led <- client.New(socket).Lead(ctx, func(ctx context.Context, _ Lease) error {
			close(begun)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		})
	}()
	<-begun
	require.NoError(t, stop())
	require.ErrorIs(t, <-causes, ErrStopped)
	cancel() // it would reconnect for ever
	require.ErrorIs(t, <-led, context.Canceled)
}

func TestABusyPortIsNamed(t *testing.T) {
	a, _ := runReal(t, Config{Name: "a", Bind: "127.0.0.1:0"})
	apitest.Eventually(t, isGoose(a), "a goose")
	addr := a.Status().Addr
	b, err := New(Config{Name: "b", Bind: addr, DataDir: t.TempDir(), Socket: NoSocket})
	require.NoError(t, err)
	require.EqualError(t, b.Run(context.Background()), "port "+addr+" is taken: choose another with --bind")
}

// TestGarbageAtThePortChangesNothing sends a live goose datagrams that are not ours, or
// damaged ones of ours.
func TestGarbageAtThePortChangesNothing(t *testing.T) {
	a, _ := runReal(t, Config{Name: "a", Bind: "127.0.0.1:0"})
	apitest.Eventually(t, isGoose(a), "a goose")
	term := a.Status().Term
	conn, err := net.Dial("udp", a.Status().Addr)
	require.NoError(t, err)
	defer conn.Close()
	for i := range 20_000 {
		b := make([]byte, i%300)
		for j := range b {
			b[j] = byte(i * (j + 7))
		}
		if len(b) > 2 && i%2 == 0 {
			b[0], b[1] = 0xD7, 1
		}
		_, _ = conn.Write(b) // what the socket cannot hold is lost
	}
	apitest.Eventually(t, func() bool { return a.Status().Counters["datagrams_received"] > 0 }, "drops are counted")
	s := a.Status()
	require.Equal(t, term, s.Term)
	require.Equal(t, api.RoleGoose, s.Role)
	require.Less(t, len(s.Counters), 100)
	require.Less(t, len(s.Warnings), 20)
	tcp, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	defer tcp.Close()
	_, err = tcp.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	require.NoError(t, err)
	apitest.Eventually(t, func() bool {
		for name, n := range a.Status().Counters {
			if strings.HasPrefix(name, "refused_stream_") && n > 0 {
				return true
			}
		}
		return false
	}, "the stream is refused")
}
