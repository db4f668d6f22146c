package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// echoer answers each line with its name; it listens on a loopback address of its own.
func echoer(t *testing.T, name, addr string) (port string) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("SKIPPED: this machine has no second loopback address: %v", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, name)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}

// through asks by a new connection who is there; "": it was reset.
func through(addr string) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	return asks(conn)
}

func asks(conn net.Conn) string {
	if conn.SetDeadline(time.Now().Add(time.Minute)) != nil {
		return ""
	}
	fmt.Fprintln(conn, "who")
	line, _ := bufio.NewReader(conn).ReadString('\n') // an error is told by the empty line
	return strings.TrimSpace(line)
}

func TestProxyFollowsTheGoose(t *testing.T) {
	for name, flags := range map[string]func(port string) []string{
		"port": func(port string) []string { return []string{"--to-port", port} },
		"tag":  func(string) []string { return []string{"--to-tag", "pg"} },
	} {
		t.Run(name, func(t *testing.T) {
			port := echoer(t, "one", "127.0.0.1:0")
			require.Equal(t, port, echoer(t, "two", "127.0.0.2:"+port))
			free, err := net.Listen("tcp", "127.0.0.3:0")
			require.NoError(t, err)
			listen := free.Addr().String()
			require.NoError(t, free.Close())

			a, socket := fake(t)
			goose := func(host string, token uint64) func(*api.Status) {
				return func(s *api.Status) {
					s.Role, s.Lease, s.Token = api.RoleDuck, api.Lease{}, token
					s.Goose = &api.Goose{Name: host, Addr: host + ":3825", Tags: map[string]string{"pg": port}}
				}
			}
			a.Change(goose("127.0.0.1", 6))
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan int, 1)
			go func() {
				args := append([]string{"proxy", "--listen", listen, "--drain", "1m", "--socket", socket}, flags(port)...)
				ended <- ddgoose(ctx, args, strings.NewReader(""), new(strings.Builder), new(strings.Builder))
			}()
			soon := func(what string, ok func() bool) {
				t.Helper()
				require.Eventually(t, ok, time.Minute, 5*time.Millisecond, what)
			}
			soon("the first goose", func() bool { return through(listen) == "one" })
			old, err := net.Dial("tcp", listen)
			require.NoError(t, err)
			defer old.Close()
			require.Equal(t, "one", asks(old))

			a.Change(goose("127.0.0.2", 7)) // the history says that it was handed over
			soon("the second goose", func() bool { return through(listen) == "two" })
			require.Equal(t, "one", asks(old), "it may finish")
			lost, err := net.Dial("tcp", listen)
			require.NoError(t, err)
			defer lost.Close()
			require.Equal(t, "two", asks(lost))

			a.Change(goose("127.0.0.1", 8)) // the history does not know why
			soon("the third goose", func() bool { return through(listen) == "one" })
			soon("a reset", func() bool { return asks(lost) == "" })
			a.Change(func(s *api.Status) { s.Goose, s.Token = nil, 0 })
			soon("none", func() bool { return through(listen) == "" })
			require.NoError(t, old.Close())
			cancel()
			require.Zero(t, <-ended)
		})
	}
}

func TestProxyRefusesWhatItCannotDo(t *testing.T) {
	want := "ddgoose: proxy: name where to listen, and either a port or a tag: ddgoose proxy --listen 127.0.0.1:5432 --to-port 5432\n"
	for _, args := range [][]string{
		{}, {"--listen", ":1"}, {"--to-port", "5"}, {"--listen", ":1", "--to-port", "5", "--to-tag", "x"},
	} {
		require.Equal(t, outcome{code: 2, stderr: want}, run(t, append([]string{"proxy"}, args...)...))
	}
	_, socket := fake(t)
	got := run(t, "proxy", "--listen", "256.0.0.1:1", "--to-port", "5", "--socket", socket)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "256.0.0.1")

	f := &gooseFollower{proxyOptions: &proxyOptions{tag: "pg"}}
	for tag, want := range map[string]string{"5432": "10.0.0.2:5432", "10.1.0.1:6432": "10.1.0.1:6432", ":77": "10.0.0.2:77"} {
		got, err := f.target(&api.Goose{Name: "b", Addr: "10.0.0.2:3825", Tags: map[string]string{"pg": tag}})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for tag, want := range map[string]string{"": `b is the goose and has no tag "pg": start its agent with --tag pg=PORT`, "x": "the tag pg=x of b: want PORT or HOST:PORT"} {
		_, err := f.target(&api.Goose{Name: "b", Addr: "10.0.0.2:3825", Tags: map[string]string{"pg": tag}})
		require.EqualError(t, err, want)
	}
}
