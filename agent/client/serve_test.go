package client

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// timely is a context for what must happen.
func timely(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// next waits for a value.
func next[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(soon):
		require.FailNow(t, "nothing came")
	}
	return v
}

// socketPath is in a folder of its own; test folders' own names may be too long.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ddg")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "a.sock")
}

// start serves a at path, until stop or the end of the test.
func start(t *testing.T, path string, a *apitest.Agent) (stop func()) {
	t.Helper()
	ln, err := api.ListenSocket(path, 0o600)
	require.NoError(t, err)
	s := api.NewServer(a, api.Local, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	stop = sync.OnceFunc(func() {
		_ = s.Close() // what a test left open is cut
		require.NoError(t, <-served)
	})
	t.Cleanup(stop)
	return stop
}

// running returns a client of an agent that runs.
func running(t *testing.T) (*apitest.Agent, *Client) {
	t.Helper()
	a, path := apitest.New(), socketPath(t)
	start(t, path, a)
	return a, New(path)
}

// broken returns a client of a program that does this with each connection.
func broken(t *testing.T, serve func(net.Conn)) *Client {
	t.Helper()
	path := socketPath(t)
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, ln.Close())
		all.Wait()
	})
	return New(path)
}
