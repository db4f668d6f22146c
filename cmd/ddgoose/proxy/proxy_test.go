package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// patience bounds the wait for anything; a busy machine needs it.
const patience = apitest.Patience

// primary is a goose's program: it greets with its name, then answers each line with it.
type primary struct {
	name string
	ln   net.Listener
}

func newPrimary(t *testing.T, name string) *primary {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &primary{name, ln}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				fmt.Fprintln(conn, name)
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, name, lines.Text())
				}
				fmt.Fprintln(conn, name, "saw the end")
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return p
}

func (p *primary) target(token uint64) Target {
	return Target{Token: token, Addr: p.ln.Addr().String(), Name: p.name}
}

// served is a proxy that listens.
type served struct {
	*Proxy
	t     *testing.T
	ln    net.Listener
	end   context.CancelFunc
	ended chan error
	mu    sync.Mutex
	notes []string
}

func serve(t *testing.T, drain time.Duration) *served {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, end := context.WithCancel(context.Background())
	s := &served{t: t, ln: ln, end: end, ended: make(chan error, 1)}
	s.Proxy = New(Options{Drain: drain, Note: func(format string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notes = append(s.notes, fmt.Sprintf(format, args...))
	}})
	go func() { s.ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		s.Follow(Target{Why: "the test ends"}, false)
		end()
		<-s.ended
	})
	return s
}

func (s *served) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.notes, "\n")
}

// client is one connection through the proxy.
type client struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func (s *served) dial() *client {
	conn, err := net.Dial("tcp", s.ln.Addr().String())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return &client{conn, s.t, bufio.NewReader(conn)}
}

func (c *client) read() (string, error) {
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	line, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

func (c *client) reads(want string) {
	c.t.Helper()
	line, err := c.read()
	require.NoError(c.t, err)
	require.Equal(c.t, want, line)
}

// refuses demands that a new connection is reset, which the dial may see already.
func (s *served) refuses() {
	s.t.Helper()
	if conn, err := net.Dial("tcp", s.ln.Addr().String()); err == nil {
		defer conn.Close()
		(&client{conn, s.t, bufio.NewReader(conn)}).isReset()
	}
}

func (c *client) isReset() {
	c.t.Helper()
	_, err := c.read()
	require.Error(c.t, err)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded, "the connection stays open")
}

func TestConnectionsGoToTheGoose(t *testing.T) {
	a, s := newPrimary(t, "a"), serve(t, 0)
	s.Follow(a.target(1), false)
	c := s.dial()
	c.reads("a")
	fmt.Fprintln(c, "1")
	c.reads("a 1")
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	c.reads("a saw the end") // each direction ends by itself
	_, err := c.read()
	require.ErrorIs(t, err, io.EOF)
}

func TestConnectionsAreResetWhileThereIsNoGoose(t *testing.T) {
	a, s := newPrimary(t, "a"), serve(t, time.Minute)
	s.refuses()
	s.Follow(a.target(1), false)
	c := s.dial()
	c.reads("a")
	s.Follow(Target{Why: "no goose is known"}, true)
	s.refuses()
	require.Contains(t, s.said(), "connections are refused: no goose is known")
	require.NotContains(t, s.said(), "may finish", "without a goose nobody knows whether the last one still leads")
	c.isReset()
}

func TestConnectionsOutliveAMomentWithoutAGoose(t *testing.T) {
	a, b, s := newPrimary(t, "a"), newPrimary(t, "b"), serve(t, time.Minute)
	none := Target{Why: "no goose is known", Wait: time.Minute}
	s.Follow(a.target(1), false)
	c := s.dial()
	c.reads("a")
	s.Follow(none, false)
	s.refuses()
	fmt.Fprintln(c, "still")
	c.reads("a still")
	s.Follow(a.target(1), false)
	s.dial().reads("a")
	fmt.Fprintln(c, "again")
	c.reads("a again")
	s.Follow(none, false)
	s.Follow(b.target(2), true)
	fmt.Fprintln(c, "last")
	c.reads("a last")
	s.Follow(none, false)
	c.isReset()

	s.Follow(a.target(3), false)
	c = s.dial()
	c.reads("a")
	s.Follow(Target{Why: "no goose is known", Wait: time.Millisecond}, false)
	c.isReset()
	s.Follow(a.target(3), false)
	s.dial().reads("a")
}

func TestConnectionsOfALostGooseAreReset(t *testing.T) {
	a, b, s := newPrimary(t, "a"), newPrimary(t, "b"), serve(t, time.Minute)
	s.Follow(a.target(1), false)
	old := s.dial()
	old.reads("a")
	s.Follow(b.target(2), false)
	old.isReset()
	s.dial().reads("b")
}

func TestTheSameMachineUnderANewTokenIsAnotherGoose(t *testing.T) {
	a, s := newPrimary(t, "a"), serve(t, time.Minute)
	s.Follow(a.target(1), false)
	old := s.dial()
	old.reads("a")
	s.Follow(a.target(1), false)
	fmt.Fprintln(old, "the same")
	old.reads("a the same")
	s.Follow(a.target(3), false)
	old.isReset()
}

func TestConnectionsMayFinishAfterAHandOver(t *testing.T) {
	a, b, s := newPrimary(t, "a"), newPrimary(t, "b"), serve(t, time.Minute)
	s.Follow(a.target(1), false)
	old := s.dial()
	old.reads("a")
	s.Follow(b.target(2), true)
	s.dial().reads("b")
	fmt.Fprintln(old, "last")
	old.reads("a last")
	require.Contains(t, s.said(), "1 connections to "+a.ln.Addr().String()+" may finish within 1m0s")
	require.NoError(t, old.Close())

	late := serve(t, time.Millisecond)
	late.Follow(a.target(1), false)
	old = late.dial()
	old.reads("a")
	late.Follow(b.target(2), true)
	old.isReset()
}

func TestAConnectionToNobodyIsReset(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	s := serve(t, 0)
	s.Follow(Target{Token: 1, Addr: ln.Addr().String(), Name: "a"}, false)
	s.refuses()
}

func TestAProxyDoesNotCallItself(t *testing.T) {
	s := serve(t, 0)
	s.Follow(Target{Token: 1, Addr: s.ln.Addr().String(), Name: "a"}, false)
	s.refuses()
	require.Contains(t, s.said(), "is this proxy's own address")
}

func TestConnectionsMayFinishWhenTheProxyEnds(t *testing.T) {
	a, s := newPrimary(t, "a"), serve(t, time.Minute)
	s.Follow(a.target(1), false)
	c := s.dial()
	c.reads("a")
	s.end()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", s.ln.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patience, time.Millisecond, "nobody is accepted any more")
	fmt.Fprintln(c, "last")
	c.reads("a last")
	require.NoError(t, c.Close())
	require.NoError(t, <-s.ended)
	s.ended <- nil // for the clean-up
}

// TestAThousandConnections through changes of the goose, each of one goose alone.
func TestAThousandConnections(t *testing.T) {
	a, b, s := newPrimary(t, "a"), newPrimary(t, "b"), serve(t, time.Minute)
	s.Follow(a.target(1), false)
	clients := make([]*client, 1000)
	for i := range clients {
		clients[i] = s.dial()
		clients[i].reads("a")
	}
	s.Follow(b.target(2), false)
	for _, c := range clients {
		c.isReset()
	}
	s.dial().reads("b")
}
