package api_test

import (
	"bufio"
	"bytes"
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

// cutAfter tells how long it takes until the other end closes.
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
		require.Equal(t, api.HeaderTime, cutAfter(t, c))
	})
}

func TestReaderThatDoesNotReadIsCut(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		c := p.dial()
		_, err := c.Write([]byte("GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n"))
		require.NoError(t, err)
		time.Sleep(2*api.HeaderTime + time.Second) // a pipe holds nothing: the server's write waits for us
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func TestConnectionsOverTheLimitWait(t *testing.T) {
	inVirtualTime(t, api.Public, func(t *testing.T, p *pipes) {
		conns := make([]net.Conn, api.PublicConns)
		for i := range conns {
			conns[i] = p.dial()
		}
		oneMore := make(chan net.Conn, 1)
		go func() { oneMore <- p.dial() }()
		synctest.Wait()
		require.Empty(t, oneMore)

		require.NoError(t, conns[0].Close())
		synctest.Wait()
		require.Len(t, oneMore, 1)
		conns[0] = <-oneMore

		// Nobody keeps others out by asking nothing.
		last := p.dial()
		_, err := last.Write([]byte("GET /goose HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"))
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(last), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		for _, c := range conns {
			require.NoError(t, c.Close())
		}
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
		ln := &exhausted{newPipes(), api.PublicConns + 1} // an accept that fails takes no place
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
