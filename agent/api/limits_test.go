package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// inVirtualTime runs a test against a server on pipes.
func inVirtualTime(t *testing.T, scope api.Scope, test func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		serve(t, apitest.New(), scope, p)
		test(t, p)
	})
}

// cutAfter returns how long it takes until the other end closes.
func cutAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	_, err := io.Copy(io.Discard, c)
	require.NoError(t, err)
	return time.Since(start)
}

func TestConnectionThatAsksNothingIsCut(t *testing.T) {
	for _, scope := range []api.Scope{api.Local, api.Public} {
		inVirtualTime(t, scope, func(t *testing.T, p *pipes) {
			require.Equal(t, api.HeaderTime, cutAfter(t, p.dial()))
		})
	}
}

func TestHeaderThatDripsIsCut(t *testing.T) {
	for _, scope := range []api.Scope{api.Local, api.Public} {
		inVirtualTime(t, scope, func(t *testing.T, p *pipes) {
			c := p.dial()
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				for _, b := range []byte("GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n") {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			require.Equal(t, api.HeaderTime, cutAfter(t, c), "each byte gives no new time")
			require.NoError(t, c.Close())
			<-dripped
		})
	}
}

func TestIdleConnectionIsCut(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		c := p.dial()
		_, err := c.Write([]byte("GET /goose HTTP/1.1\r\nHost: agent\r\n\r\n"))
		require.NoError(t, err)
		require.Equal(t, api.IdleTime, cutAfter(t, c))
	})
}

func TestReaderThatDoesNotReadIsCut(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		c := p.dial()
		_, err := c.Write([]byte("GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n"))
		require.NoError(t, err)
		time.Sleep(api.AnswerTime + time.Second) // a pipe holds nothing: the server's write waits for us
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

// goose asks /goose, and gives the answer's code.
func goose(t *testing.T, c net.Conn) int {
	t.Helper()
	return get(t, c, "/goose")
}

func get(t *testing.T, c net.Conn, path string) int {
	t.Helper()
	_, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: agent\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, errors.Join(err, resp.Body.Close()))
	return resp.StatusCode
}

// isCut reports whether the other end has closed.
func isCut(c net.Conn) bool {
	synctest.Wait()
	if err := c.SetReadDeadline(time.Now()); err != nil {
		return true
	}
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestSourceWithStuckConnectionsKeepsNobodyElseOut(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		other := p.dialFrom("192.0.2.7:1")
		require.Equal(t, http.StatusOK, goose(t, other))
		start := time.Now()
		stuck := make([]net.Conn, 3*api.PublicConns)
		for i := range stuck {
			stuck[i] = p.dialFrom("198.51.100.1:1")
		}
		require.Equal(t, http.StatusOK, goose(t, other), "it was idle for longer, and its source has one")
		require.Equal(t, http.StatusOK, goose(t, p.dialFrom("192.0.2.8:1")))
		require.Zero(t, time.Since(start), "nobody waited for a time-out")
		require.True(t, isCut(stuck[0]), "the oldest of the worst source")
		require.False(t, isCut(stuck[len(stuck)-1]))
	})
}

// TestStuckConnectionsKeepNoOtherHostOut is the same on real sockets: twice as
// many connections as there are places wait for their next request, and others
// stop in the middle of one.
func TestStuckConnectionsKeepNoOtherHostOut(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, apitest.New(), api.Public, ln)
	dial := func(from string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp4", ln.Addr().String())
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			err = c.SetDeadline(time.Now().Add(api.IdleTime / 2)) // the server ends an idle connection later than this
		}
		return c, err
	}
	if _, err := dial("127.0.0.2"); err != nil {
		t.Skip("127.0.0.2 is no address here")
	}
	for _, half := range []string{"", "G", "GET /goose HTTP/1.1\r\nHost:", ""} {
		for range 256 {
			idle, err := dial("127.0.0.1")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, get(t, idle, "/goose"))
			stuck, err := dial("127.0.0.1")
			require.NoError(t, err)
			_, _ = io.WriteString(stuck, half) // cut off meanwhile, perhaps
		}
		for _, path := range []string{"/goose", "/healthz"} {
			other, err := dial("127.0.0.2")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, get(t, other, path))
		}
	}
}

func TestIdleConnectionGoesBeforeOneThatIsAnswered(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		answered := p.dial() // the server's write waits for us: a pipe holds nothing
		_, err := io.WriteString(answered, "GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n")
		require.NoError(t, err)
		synctest.Wait()
		idle := p.dial()
		require.Equal(t, http.StatusOK, goose(t, idle))
		synctest.Wait()
		for range api.PublicConns - 1 {
			p.dial()
		}
		require.True(t, isCut(idle))
		resp, err := http.ReadResponse(bufio.NewReader(answered), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	})
}

// TestHostOfIPv6CountsByItsNetwork: a host may own all addresses of its /64.
func TestHostOfIPv6CountsByItsNetwork(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		other := p.dialFrom("[2001:db8:0:2::1]:1")
		require.Equal(t, http.StatusOK, goose(t, other))
		for i := range api.PublicConns {
			p.dialFrom(fmt.Sprintf("[2001:db8:0:1::%x]:1", i))
		}
		require.Equal(t, http.StatusOK, goose(t, other))
	})
}

// exhausted has no file descriptor for the first accepts.
type exhausted struct {
	*pipes
	fail int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.fail > 0 {
		e.fail--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return e.pipes.Accept()
}

func TestCallersWaitWhileThereIsNoFileDescriptorAndItIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := &exhausted{newPipes(), 257}
		s := api.NewServer(apitest.New(), api.Public, slog.New(slog.NewTextHandler(&log, nil)))
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		c := ln.dial()
		_, err := c.Write([]byte("GET /goose HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"))
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, s.Close())
		require.NoError(t, <-served)
		require.Equal(t, 5, strings.Count(log.String(), "\n"), "once a minute, in four minutes of pauses of a second: %s", &log)
		require.Contains(t, log.String(), "too many open files")
	})
}

func TestCloseWithAllPlacesTakenReturns(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		for range api.PublicConns {
			p.dial()
		}
	}) // the end of the test closes the server, and fails when Serve gives an error
}

func TestBodyThatDoesNotComeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		a := apitest.New()
		s := &http.Server{Handler: api.HandlerFor(a, api.Local, os.Geteuid())}
		served := make(chan error, 1)
		go func() { served <- s.Serve(p) }()

		c := p.dial()
		_, err := c.Write([]byte("POST /v1/leave HTTP/1.1\r\nHost: agent\r\nContent-Length: 20\r\n\r\n{\"force\":"))
		require.NoError(t, err)
		start := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, api.BodyTime, time.Since(start))
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.JSONEq(t, `{"error": "the body did not come within 5s"}`, string(text))
		require.Empty(t, a.Heard())
		_, err = io.Copy(io.Discard, c)
		require.NoError(t, err, "and the connection is closed")

		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

func TestHeaderOverTheLimitIsRefused(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		c := p.dial()
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			_, _ = io.WriteString(c, "GET /goose HTTP/1.1\r\nHost: agent\r\nX: "+strings.Repeat("x", 64<<10)) // cut in the middle
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		require.NoError(t, c.Close())
		<-wrote
	})
}
