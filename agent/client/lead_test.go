package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// leading runs Lead in the background.
type leading struct {
	t      *testing.T
	began  chan lead.Lease // each time that work is called
	causes chan error      // why its context ended
	finish chan error      // makes work return by itself
	end    context.CancelFunc
	result chan error
	lease  lead.Lease
}

// startLead calls work that goes on until its context or the test ends it, and
// then for as long as the test holds it back by stuck.
func startLead(t *testing.T, c *Client, stuck <-chan struct{}) *leading {
	ctx, cancel := context.WithCancel(t.Context())
	l := &leading{
		t: t, began: make(chan lead.Lease, 8), causes: make(chan error, 8), finish: make(chan error), end: cancel, result: make(chan error, 1),
	}
	go func() {
		l.result <- c.Lead(ctx, func(ctx context.Context, lease lead.Lease) error {
			l.began <- lease
			select {
			case err := <-l.finish:
				return err
			case <-ctx.Done():
			}
			l.causes <- context.Cause(ctx)
			if stuck != nil {
				<-stuck
			}
			return ctx.Err()
		})
	}()
	t.Cleanup(cancel)
	return l
}

// works renews a lease until work begins under its token. What is handed out
// between a drain and its echo is not taken, so once is not enough.
func (l *leading) works(h *apitest.Holder, token uint64, length time.Duration) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		h.Renew(token, boottime.Now(), length)
		select {
		case l.lease = <-l.began:
			return true
		default:
			return false
		}
	}, soon, 5*time.Millisecond)
	require.Equal(l.t, token, l.lease.Token())
}

// hears demands what the agent has been told by now, or soon.
func hears(t *testing.T, h *apitest.Holder, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(h.Heard()) >= len(want) }, soon, time.Millisecond)
	require.Equal(t, want, h.Heard())
}

func TestLeadWorksOncePerPeriodAndDrainsEach(t *testing.T) {
	a, c := running(t)
	l := startLead(t, c, nil)
	h := next(t, a.Holders)
	var want []string
	for _, end := range []struct {
		token uint64
		stop  string
		cause error
	}{{7, api.StopLost, lead.ErrLeaseLost}, {8, api.StopSteppedDown, lead.ErrSteppedDown}, {9, api.StopStopped, lead.ErrStopped}} {
		l.works(h, end.token, time.Hour)
		require.InDelta(t, time.Hour, l.lease.Until(), float64(time.Minute))
		h.Stop(end.token, end.stop)
		require.Equal(t, end.cause, next(t, l.causes))
		want = append(want, fmt.Sprintf("drained %d", end.token))
		hears(t, h, want...)
		require.Zero(t, max(0, l.lease.Until()), "over, for good")
	}
	l.end()
	require.ErrorIs(t, next(t, l.result), context.Canceled)
	next(t, h.Closed())
}

func TestWorkThatReturnsByItselfStepsTheAgentDown(t *testing.T) {
	for _, want := range []error{nil, errors.New("disk full")} {
		a, c := running(t)
		l := startLead(t, c, nil)
		h := next(t, a.Holders)
		l.works(h, 7, time.Hour)
		l.finish <- want
		require.Equal(t, want, next(t, l.result))
		require.Equal(t, []string{"drained 7, step down"}, h.Heard(), "booked before Lead returns")
		next(t, h.Closed())
	}
}

func TestCallersEndIsAStepDownOnceWorkHasEnded(t *testing.T) {
	a, c := running(t)
	stuck := make(chan struct{})
	l := startLead(t, c, stuck)
	h := next(t, a.Holders)
	l.works(h, 7, time.Hour)
	l.end()
	require.ErrorIs(t, next(t, l.causes), context.Canceled)
	require.Empty(t, h.Heard(), "not while it works")
	require.Empty(t, l.result)
	close(stuck)
	require.ErrorIs(t, next(t, l.result), context.Canceled)
	require.Equal(t, []string{"drained 7, step down"}, h.Heard())
}

func TestWorkOutlivesTheAgentForAsLongAsTheClockAllows(t *testing.T) {
	a, path := apitest.New(), socketPath(t)
	stop := start(t, path, a)
	l := startLead(t, New(path), nil)
	h := next(t, a.Holders)
	const length = 2 * time.Second
	l.works(h, 7, length)
	stop() // the agent dies
	require.ErrorIs(t, next(t, l.causes), lead.ErrLeaseLost)
	require.LessOrEqual(t, l.lease.Until(), length*2/5)

	// It comes back, and with it the next period.
	start(t, path, a)
	h = next(t, a.Holders)
	l.works(h, 9, time.Hour)
	l.end()
	require.ErrorIs(t, next(t, l.result), context.Canceled)
	require.Equal(t, []string{"drained 9, step down"}, h.Heard())
}

func TestLateWorkIsReportedToTheAgentThatComesBack(t *testing.T) {
	a, path := apitest.New(), socketPath(t)
	stop := start(t, path, a)
	stuck := make(chan struct{})
	l := startLead(t, New(path), stuck)
	h := next(t, a.Holders)
	l.works(h, 7, 100*time.Millisecond)
	stop()
	require.ErrorIs(t, next(t, l.causes), lead.ErrLeaseLost)
	require.Eventually(t, func() bool { return l.lease.Until() <= 0 }, soon, time.Millisecond)

	start(t, path, a)
	h = next(t, a.Holders)
	hears(t, h, "late 7")
	h.Renew(9, boottime.Now(), time.Hour)
	require.Empty(t, l.began, "never twice at once")
	close(stuck)
	l.works(h, 9, time.Hour)
	require.Equal(t, []string{"late 7", "drained 7"}, h.Heard()[:2])
}

func TestLeadWaitsForAnAgentThatHangsUntilItsCallerEnds(t *testing.T) {
	taken := make(chan struct{}, 8)
	c := broken(t, func(conn net.Conn) {
		taken <- struct{}{}
		_, _ = io.Copy(io.Discard, conn) // it takes everything and says nothing
	})
	l := startLead(t, c, nil)
	next(t, taken)
	l.end()
	require.ErrorIs(t, next(t, l.result), context.Canceled)
	require.Empty(t, l.began)
}

func TestAgentThatRefusesALaterSessionEndsLead(t *testing.T) {
	a, path := apitest.New(), socketPath(t)
	stop := start(t, path, a)
	l := startLead(t, New(path), nil)
	next(t, a.Holders)
	stop()
	a.Fail(api.Forbidden("not you"))
	start(t, path, a)
	require.EqualError(t, next(t, l.result), "not you")
}

func TestAgentThatIsInTheWrongStateIsAskedAgain(t *testing.T) {
	a, path := apitest.New(), socketPath(t)
	stop := start(t, path, a)
	l := startLead(t, New(path), nil)
	next(t, a.Holders)
	stop()
	a.Fail(api.Conflict("leaving"))
	start(t, path, a)
	a.Fail(nil)
	h := next(t, a.Holders)
	l.works(h, 7, time.Hour)
}

// An agent of the first release refuses what it does not know. It may be beside a
// newer program, before it is started again or after it went back.
func TestSessionIsHeldAtAnAgentOfAnOlderRelease(t *testing.T) {
	asked, said := make(chan string, 10), make(chan string, 1)
	c := broken(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return // the test has ended
		}
		asked <- req.URL.RawQuery
		for name := range req.URL.Query() {
			if name != api.HeirsQuery && name != api.ShareQuery && name != api.GraceQuery {
				_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 21\r\n\r\n"+`{"error": "unknown!"}`)
				return
			}
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"+`{"token":7,"until_boottime_ns":1000,"lease_ns":500}`+"\n")
		line, _ := bufio.NewReader(req.Body).ReadString('\n')
		said <- line
	})
	s := c.Hold(HoldOptions{Heirs: true, Grace: time.Minute, Kind: "k", Work: "w", Ends: "e", Cgroup: "/c", Acks: true})
	defer s.Close()
	require.Contains(t, next(t, asked), api.CgroupQuery)
	require.Equal(t, "grace=1m0s&heirs=true", next(t, asked))
	next(t, s.Ready())
	e, ok := s.Next()
	require.True(t, ok)
	require.EqualValues(t, 7, e.Token)
	s.sayDrained(7, api.ThenWait)
	require.Equal(t, `{"drained":7}`+"\n", next(t, said), "it would not know an answer")
}
