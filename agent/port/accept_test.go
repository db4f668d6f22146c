package port

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/quietlog"
)

// exhausted is a listener that has no file descriptor for the first accepts.
type exhausted struct {
	net.Listener
	fail   int
	tries  []time.Time
	closed chan struct{}
}

func (l *exhausted) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	l.tries = append(l.tries, time.Now())
	if len(l.tries) <= l.fail {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	c, _ := net.Pipe()
	return c, nil
}

func TestAcceptPausesEverLongerWithoutFileDescriptorsAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &exhausted{fail: 12, closed: make(chan struct{})}
		accepted := 0
		acceptAll(l, l.closed, &quietlog.Log{Out: slog.New(slog.NewTextHandler(&log, nil))}, func(c net.Conn) {
			if accepted++; accepted == 2 {
				l.fail = len(l.tries) + 1 // once more, and the pause starts again
			}
			if accepted == 3 {
				close(l.closed)
			}
			_ = c.Close()
		})
		var pauses []time.Duration
		for i, at := range l.tries[1:] {
			pauses = append(pauses, at.Sub(l.tries[i]))
		}
		ms := time.Millisecond
		require.Equal(t, []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1000 * ms, 1000 * ms, 1000 * ms, 1000 * ms,
			0, 0, 5 * ms}, pauses)
		require.Equal(t, 1, strings.Count(log.String(), "\n"), "said once: %s", &log)
		require.Contains(t, log.String(), "too many open files")
	})
}

func TestCloseEndsAnAcceptsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{fail: 1 << 30, closed: make(chan struct{})}
		time.AfterFunc(10*time.Second+time.Millisecond, func() { close(l.closed) })
		began := time.Now()
		acceptAll(l, l.closed, &quietlog.Log{Out: slog.New(slog.DiscardHandler)}, func(net.Conn) {})
		require.Equal(t, 10*time.Second+time.Millisecond, time.Since(began))
	})
}
