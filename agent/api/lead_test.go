package api_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
)

// clock is a boot clock that stands until it is moved.
type clock struct{ now, reads atomic.Int64 }

func (c *clock) read() time.Duration {
	c.reads.Add(1)
	return time.Duration(c.now.Load())
}

// lead is a session as a holder has it.
type lead struct {
	t      *testing.T
	header http.Header
	lines  *bufio.Reader
	say    *io.PipeWriter
	end    func()
	agents *apitest.Holder
}

// openLead opens a session of this process, and finds the agent's end of it.
func openLead(t *testing.T, a *apitest.Agent, c *http.Client) *lead {
	t.Helper()
	return openLeadAt(t, "/v1/lead", a, c)
}

func openLeadAt(t *testing.T, path string, a *apitest.Agent, c *http.Client) *lead {
	t.Helper()
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://agent"+path, r)
	require.NoError(t, err)
	resp, err := c.Do(req)
	require.NoError(t, err)
	l := &lead{t: t, header: resp.Header, lines: bufio.NewReader(resp.Body), say: w}
	l.end = func() {
		_ = w.Close() // the other end may be gone
		_ = resp.Body.Close()
	}
	t.Cleanup(l.end)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	l.agents = next(t, a.Holders)
	return l
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

func (l *lead) write(line string) {
	l.t.Helper()
	_, err := io.WriteString(l.say, line+"\n")
	require.NoError(l.t, err)
}

// hears demands the next line of the agent.
func (l *lead) hears(want string) {
	l.t.Helper()
	line, err := l.lines.ReadString('\n')
	require.NoError(l.t, err)
	require.JSONEq(l.t, want, line)
}

func (l *lead) hearsTheEnd() {
	l.t.Helper()
	rest, err := io.ReadAll(l.lines)
	require.NoError(l.t, err)
	require.Empty(l.t, string(rest))
}

// staysBound demands that the holder is not closed while the agent looks at
// the clock again and again.
func staysBound(t *testing.T, h *apitest.Holder, now *clock) {
	t.Helper()
	seen := now.reads.Load()
	require.Eventually(t, func() bool { return now.reads.Load() > seen+3 }, soon, time.Millisecond)
	select {
	case <-h.Closed():
		require.Fail(t, "closed before its deadline")
	default:
	}
}

func TestHolderHearsDeadlinesAndStops(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	before := boottime.Now()
	l := openLead(t, a, c)
	require.Equal(t, api.LeadPeer{PID: os.Getpid(), UID: os.Geteuid()}, l.agents.Peer)
	require.Equal(t, "application/x-ndjson", l.header.Get("Content-Type"))
	ns, err := strconv.ParseInt(l.header.Get(api.ClockHeader), 10, 64)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Duration(ns), before)
	require.LessOrEqual(t, time.Duration(ns), boottime.Now())

	l.agents.Send(api.LeadEvent{Token: 7, Until: 1000, Lease: 500})
	l.hears(`{"token": 7, "until_boottime_ns": 1000, "lease_ns": 500}`)
	l.agents.Stop(7, api.StopSteppedDown)
	l.hears(`{"token": 7, "stop": "stepped_down"}`)
	l.agents.Stop(7, api.StopStopped)
	l.hears(`{"token": 7, "stop": "stopped"}`)
	l.agents.Stop(7, api.StopLost)
	l.hears(`{"token": 7, "stop": "lease_lost"}`)
}

func TestHolderSaysWhatActsAndThatItReads(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	l := openLeadAt(t, "/v1/lead?acks=true&kind=ddgoose+run&work=container+web&ends=the+engine&cgroup=/a/b", a, c)
	require.Equal(t, api.LeadPeer{PID: os.Getpid(), UID: os.Geteuid(), Work: "container web", Ends: "the engine", Acks: true, Cgroup: "/a/b"}, l.agents.Peer)
	l.write(`{"heard": 7}`)
	l.write(`{"heard": 7, "drained": 7}`)
	l.hears(`{"drained": 7}`)
	require.Equal(t, 2, l.agents.Answers())
}

func TestDrainIsBookedAndThenEchoed(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	l := openLead(t, a, c)
	l.agents.Send(api.LeadEvent{Token: 7, Until: 1000})
	l.hears(`{"token": 7, "until_boottime_ns": 1000}`)
	l.write(`{"late": 7}`)
	l.write(`{"drained": 7, "step_down": true}`)
	l.hears(`{"drained": 7}`)
	require.Equal(t, []string{"late 7", "drained 7, step down"}, l.agents.Heard())

	l.agents.Send(api.LeadEvent{Token: 8, Until: 2000})
	l.hears(`{"token": 8, "until_boottime_ns": 2000}`)
	l.write(`{"drained": 8}`)
	l.write(`{"drained": 9}`)
	l.hears(`{"drained": 8}`)
	l.hears(`{"drained": 9}`)
}

func TestLastWordOfAHolderIsEchoed(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	l := openLead(t, a, c)
	l.write(`{"drained": 7}`)
	require.NoError(t, l.say.Close())
	l.hears(`{"drained": 7}`)
	l.hearsTheEnd()
	next(t, l.agents.Closed())
}

func TestHolderThatBreaksTheRulesIsToldAndCut(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	for line, why := range map[string]string{
		`{"drain": 7}`: `unknown field "drain"`,
		`{"drained": ` + strings.Repeat(" ", api.MaxLine) + `7}`: "a line is longer than " + strconv.Itoa(api.MaxLine) + " bytes",
	} {
		l := openLead(t, a, c)
		l.write(`{"late": 6}`)
		l.write(line)
		told, err := json.Marshal(api.Error{Error: why})
		require.NoError(t, err)
		l.hears(string(told))
		l.hearsTheEnd()
		require.Equal(t, []string{"late 6"}, l.agents.Heard())
		next(t, l.agents.Closed())
	}
}

func TestHolderThatReadsNoEchoesIsCut(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	l := openLead(t, a, c)
	var err error
	for err == nil {
		_, err = io.WriteString(l.say, "{\"drained\": 7}\n")
	}
	next(t, l.agents.Closed())
}

// openHolder opens a session that is handed token 7 until the clock says an hour.
func openHolder(t *testing.T) (*lead, *clock) {
	t.Helper()
	a, now := apitest.New(), &clock{}
	_, c := serveSocketBy(t, a, now.read)
	l := openLead(t, a, c)
	l.agents.Send(api.LeadEvent{Token: 7, Until: int64(time.Hour)})
	l.hears(`{"token": 7, "until_boottime_ns": 3600000000000}`)
	return l, now
}

func TestHolderThatDidNotDrainIsBoundUntilItsDeadline(t *testing.T) {
	l, now := openHolder(t)
	l.end() // and this process lives

	staysBound(t, l.agents, now)
	now.now.Store(int64(time.Hour))
	next(t, l.agents.Closed())
}

func TestHolderThatDrainedIsClosedWithItsConnection(t *testing.T) {
	l, _ := openHolder(t)
	l.write(`{"drained": 7}`)
	l.hears(`{"drained": 7}`)
	l.end()
	next(t, l.agents.Closed())
}

func TestDrainOfAnotherPeriodDoesNotFree(t *testing.T) {
	l, now := openHolder(t)
	l.write(`{"drained": 6}`)
	l.hears(`{"drained": 6}`)
	l.end()
	staysBound(t, l.agents, now)
}

func TestAgentsEndEndsTheSessionWithItsLastWords(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	l := openLead(t, a, c)
	l.agents.Send(api.LeadEvent{Token: 7, Until: 1000})
	l.agents.Stop(7, api.StopStopped)
	l.agents.End()
	l.hears(`{"token": 7, "until_boottime_ns": 1000}`)
	l.hears(`{"token": 7, "stop": "stopped"}`)
	l.hearsTheEnd()
	next(t, l.agents.Closed())
}

func TestCloseEndsSessionsAndTheirHolders(t *testing.T) {
	a, now := apitest.New(), &clock{}
	s, c := serveSocketBy(t, a, now.read)
	attached, gone := openLead(t, a, c), openLead(t, a, c)
	for _, l := range []*lead{attached, gone} {
		l.agents.Send(api.LeadEvent{Token: 7, Until: int64(time.Hour)})
		l.hears(`{"token": 7, "until_boottime_ns": 3600000000000}`)
	}
	gone.end()
	require.NoError(t, s.Close())
	attached.hearsTheEnd()
	for _, l := range []*lead{attached, gone} {
		select {
		case <-l.agents.Closed():
		default:
			require.Fail(t, "Close has returned, and a holder is not closed")
		}
	}
}

func TestQueryOfASessionIsJudged(t *testing.T) {
	for _, query := range []string{"heirs=yes", "heirs=true&heirs=true", "%zz",
		"grace=", "grace=5", "grace=0s", "grace=-1s", "grace=61m", "grace=1s&grace=1s", "kind=", "kind=" + strings.Repeat("k", 101),
		"acks=", "acks=1", "ends=", "ends=a%1bb", "ends=a&ends=b", "work=" + strings.Repeat("w", 201), "work=%ff", "cgroup=", "cgroup=a/b"} {
		a := apitest.New()
		got := ask(a, api.Local, "POST", "/v1/lead?"+query, "")
		require.Equal(t, http.StatusBadRequest, got.code, query)
		require.Contains(t, got.body, "query")
		require.Empty(t, a.Holders)
	}
	for query, grace := range map[string]time.Duration{
		"": 0, "heirs=true": 0, "heirs=false": 0, "grace=20s": 20 * time.Second, "heirs=true&share=true&grace=1h": time.Hour,
		"heirs=true&kind=a+b": 0, "kind=a": 0, "to=b&grace=20s": 20 * time.Second, "to=b&to=c": 0, // "to" is of a newer holder
	} {
		a := apitest.New()
		require.Equal(t, http.StatusOK, ask(a, api.Local, "POST", "/v1/lead?"+query, "").code, query)
		peer := next(t, a.Holders).Peer
		require.Equal(t, grace, peer.Grace, query)
		require.Equal(t, map[string]string{"heirs=true&kind=a+b": "a b", "kind=a": "a"}[query], peer.Work, query)
		require.Equal(t, map[string]string{"heirs=true": api.DefaultKind, "heirs=true&kind=a+b": "a b"}[query], peer.Alone, query)
	}
}
