package client

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

func TestNoAgentIsNotRunning(t *testing.T) {
	path := socketPath(t)
	want := "no agent answers at " + path + ": is it running? start one with ddgoose agent"
	all := func() {
		t.Helper()
		for name, call := range commands {
			err := call(New(path), timely(t))
			require.ErrorIs(t, err, ErrNotRunning, name)
			require.EqualError(t, err, want, name)
		}
		for _, err := range New(path).Watch(timely(t)) {
			require.ErrorIs(t, err, ErrNotRunning)
			require.EqualError(t, err, want)
		}
	}
	all()

	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	require.NoError(t, ln.Close())
	require.FileExists(t, path)
	all()

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	all()
}

func TestSocketThatCannotBeDialledIsNotSaidToHaveGoneAway(t *testing.T) {
	path := socketPath(t)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := New(filepath.Join(path, "a.sock")).Status(timely(t)) // below a file
	require.ErrorIs(t, err, syscall.ENOTDIR)
	require.NotErrorIs(t, err, ErrNotRunning)

	_, err = New("/" + strings.Repeat("x", 200)).Status(timely(t))
	require.ErrorContains(t, err, "has 201 bytes, and this system allows")
	_, err = New("").Status(timely(t))
	require.EqualError(t, err, "the socket's path is empty: name one with --socket")
}

func TestSocketThatLetsNobodyInIsForbidden(t *testing.T) {
	c := New("/somewhere/a.sock")
	c.connect = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
	}
	_, err := c.Status(timely(t))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NotErrorIs(t, err, ErrNotRunning)
	require.EqualError(t, err, "socket /somewhere/a.sock: permission denied: use sudo, or run this as the agent's user, or start the agent with another --socket-mode")
}

func TestAgentThatGoesAwayBeforeItAnswersIsNotRunning(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"at once": func(net.Conn) {},
		"once asked": func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c)) // the client may be gone
		},
		"in the header": func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		},
		"in the body": func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"goose\"")
		},
		"in the stream": func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"goose\"")
		},
		"in an error": func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 409 Conflict\r\nContent-Length: 100\r\n\r\n{\"error\"")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			c := broken(t, func(conn net.Conn) {
				asked.Add(1)
				serve(conn)
			})
			c.Wait = soon // what was asked may have been done: it is not asked twice
			for range 50 {
				_, err := c.StepDown(timely(t), "")
				require.ErrorIs(t, err, ErrNotRunning)
				require.EqualError(t, err, "the agent at "+c.Socket()+" has gone away")
			}
			require.EqualValues(t, 50, asked.Load())
		})
	}
}

func TestWhatIsNoAgentIsToldSo(t *testing.T) {
	for name, says := range map[string]string{
		"no HTTP":     "220 mail.example.org ESMTP\r\n",
		"no JSON":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"no error":    "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
		"empty error": "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 12\r\n\r\n{\"error\":\"\"}",
	} {
		t.Run(name, func(t *testing.T) {
			c := broken(t, func(conn net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(conn)) // the client may be gone
				_, _ = io.WriteString(conn, says)
			})
			_, err := c.Status(timely(t))
			require.ErrorContains(t, err, "the program that answers at "+c.Socket())
			require.ErrorContains(t, err, "is not a ddgoose agent: ")
			require.NotErrorIs(t, err, ErrNotRunning)
		})
	}
}

// refusing returns a client that nobody answers until a moment, in virtual time.
func refusing(until time.Time, tries *int) *Client {
	c := New("/somewhere/a.sock")
	c.connect = func(context.Context, string, string) (net.Conn, error) {
		*tries++
		if time.Now().Before(until) {
			return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			_, _ = http.ReadRequest(bufio.NewReader(there)) // the client waits for its answer
			_, _ = io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"name\": \"a\"}\n")
		}()
		return here, nil
	}
	return c
}

func TestCallWaitsForAnAgentThatStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, start := 0, time.Now()
		c := refusing(start.Add(3*time.Second), &tries)
		c.Wait = 5 * time.Second
		s, err := c.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", s.Name)
		require.GreaterOrEqual(t, time.Since(start), 3*time.Second)
		require.Less(t, time.Since(start), 3*time.Second+lastRetry+time.Millisecond)
		require.Less(t, tries, 20, "with pauses that grow")
	})
}

func TestCallWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, start := 0, time.Now()
		c := refusing(start.Add(time.Hour), &tries)
		_, err := c.Status(t.Context())
		require.ErrorIs(t, err, ErrNotRunning)
		require.Zero(t, time.Since(start), "fails at once")
		require.Equal(t, 1, tries)

		c.Wait = 1300 * time.Millisecond
		_, err = c.Status(t.Context())
		require.ErrorIs(t, err, ErrNotRunning)
		require.Equal(t, c.Wait, time.Since(start))
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, start := 0, time.Now()
		c := refusing(start.Add(time.Hour), &tries)
		c.Wait = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Status(ctx)
		require.ErrorIs(t, err, ErrNotRunning, "says why, rather than that time is up")
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestWaitFindsAnAgentThatMakesItsSocketLater(t *testing.T) {
	a, path := apitest.New(), socketPath(t)
	c := New(path)
	c.Wait = soon
	got := make(chan error, 1)
	go func() {
		_, err := c.Status(timely(t))
		got <- err
	}()
	start(t, path, a)
	require.NoError(t, next(t, got))
}
