package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// source is an agent that can end.
type source struct {
	*apitest.Agent
	gone context.Context
	end  func()
}

func newSource() *source {
	s := &source{Agent: apitest.New()}
	s.gone, s.end = context.WithCancel(context.Background())
	s.SetMembers(nil)
	s.be(api.RoleDuck, 0)
	return s
}

func (s *source) Watch(ctx context.Context) iter.Seq[api.Status] {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(s.gone, cancel)
	return s.Agent.Watch(ctx)
}

// be makes the agent a goose or a duck that knows none.
func (s *source) be(role string, token uint64) {
	s.Change(func(st *api.Status) {
		st.Role, st.Token, st.Goose = role, token, nil
		if role == api.RoleGoose {
			st.Goose = &api.Goose{Name: st.Name, ID: st.ID, Addr: st.Addr, Tags: map[string]string{}}
		}
	})
}

// bench is a runner at work, whose hooks write to files in dir.
type bench struct {
	t      *testing.T
	dir    string
	runner *Runner
	source *source
	log    *lockedBuffer
	kill   func()
	done   chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs hooks, given as EVENT=COMMAND; $DIR is the bench's folder.
func start(t *testing.T, words ...string) *bench {
	t.Helper()
	b := prepare(t, words...)
	b.start()
	return b
}

func prepare(t *testing.T, words ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), source: newSource(), log: &lockedBuffer{}, done: make(chan struct{})}
	b.runner = New(Options{
		Hooks: b.hooks(words...), Timeout: soon, Socket: "/s.sock",
		Environ: append(os.Environ(), "DIR="+b.dir, "DDGOOSE_NAME=other", "DDGOOSE_LEASE=9s"),
		Log:     slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return b
}

func (b *bench) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.kill = cancel
	go func() {
		b.runner.Run(ctx, b.source)
		close(b.done)
	}()
	b.t.Cleanup(func() {
		cancel()
		b.source.end()
		b.wait()
	})
	b.eventually("the first event is taken", func() bool { return b.seen().ID != "" && b.runner.role.idle() })
}

func (b *bench) hooks(words ...string) (hooks []Hook) {
	for _, w := range words {
		h, err := Parse(w)
		require.NoError(b.t, err)
		hooks = append(hooks, h)
	}
	return hooks
}

// wait waits until the runner has ended.
func (b *bench) wait() {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(soon):
		require.FailNow(b.t, "it runs still")
	}
}

func (b *bench) read(file string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, file))
	if err != nil {
		return ""
	}
	return string(text)
}

func (b *bench) touch(file string) {
	require.NoError(b.t, os.WriteFile(filepath.Join(b.dir, file), nil, 0o600))
}

func (b *bench) eventually(what string, is func() bool) {
	b.t.Helper()
	apitest.Eventually(b.t, is, "%s; log: %s", what, b.log)
}

// until waits until a file holds exactly this.
func (b *bench) until(file, want string) {
	b.t.Helper()
	b.eventually(file+" holds "+want, func() bool { return b.read(file) == want })
}

const (
	note = `echo "$DDGOOSE_EVENT $DDGOOSE_TOKEN $DDGOOSE_SKIPPED" >> $DIR/out` // what it was told, for until
	gate = `; while [ ! -e $DIR/gate ]; do sleep 0.02; done`
)

func TestHooksAreToldTheEventInTheEnvironmentAndOnStdin(t *testing.T) {
	b := start(t, `goose=cat > $DIR/doc; env | grep ^DDGOOSE_ | sort > $DIR/env.tmp; mv $DIR/env.tmp $DIR/env`)
	b.source.be(api.RoleGoose, 7)
	b.eventually("the hook has run", func() bool { return b.read("env") != "" })
	require.Equal(t, strings.Split(`DDGOOSE_ADDR=127.0.0.1:3825
DDGOOSE_EVENT=goose
DDGOOSE_EVENT_SEQ=2
DDGOOSE_FLOCK=default
DDGOOSE_FLOCK_ID=c0000000000000000000000000000000
DDGOOSE_GOOSE_ADDR=127.0.0.1:3825
DDGOOSE_GOOSE_NAME=a
DDGOOSE_ID=9f000000000000000000000000000000
DDGOOSE_NAME=a
DDGOOSE_ROLE=goose
DDGOOSE_SKIPPED=0
DDGOOSE_SOCKET=/s.sock
DDGOOSE_TERM=7
DDGOOSE_TOKEN=7
`, "\n"), strings.Split(b.read("env"), "\n"), "settings of the agent's are not the hook's")
	var s api.Status
	require.NoError(t, json.Unmarshal([]byte(b.read("doc")), &s))
	require.Equal(t, b.source.Status(), s)
}

func TestHooksDoNotInheritWhatTheServiceManagerToldTheAgent(t *testing.T) {
	e := Event{Kind: Duck}
	env := e.environ([]string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_PID=1", "WATCHDOG_USEC=2", "LISTEN_PID=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=a", "PATH=/bin", "NOTIFY_SOCKETS=kept"}, "a.sock")
	var inherited []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "DDGOOSE_") {
			inherited = append(inherited, kv)
		}
	}
	require.Equal(t, []string{"PATH=/bin", "NOTIFY_SOCKETS=kept"}, inherited)
}

func TestHooksGetOnlyPrintableTextOfOthers(t *testing.T) {
	e := Event{Kind: Member, Member: &api.Member{Name: "b\x1b[2J\u202e\u009b\x00é"}}
	require.Contains(t, e.environ(nil, "a.sock"), "DDGOOSE_MEMBER_NAME=b\ufffd[2J\ufffd\ufffd\ufffdé")
}

func TestMemberHooksAreToldTheMember(t *testing.T) {
	b := start(t, `member=cat >> $DIR/doc; echo "$DDGOOSE_MEMBER_NAME $DDGOOSE_MEMBER_ID $DDGOOSE_MEMBER_ADDR $DDGOOSE_MEMBER_WAS>$DDGOOSE_MEMBER_STATE" >> $DIR/out`)
	m := api.Member{Name: "y", ID: "1d", Addr: "10.0.0.2:3825", State: "alive", Tags: map[string]string{"rack": "7"}}
	for _, m.State = range []string{"alive", "failed"} {
		b.source.SetMembers([]api.Member{m})
		b.source.be(api.RoleDuck, 0)
		b.eventually("told", func() bool { return strings.Contains(b.read("out"), ">"+m.State) })
	}
	require.Equal(t, "y 1d 10.0.0.2:3825 >alive\ny 1d 10.0.0.2:3825 alive>failed\n", b.read("out"))
	var got api.Member
	require.NoError(t, json.NewDecoder(strings.NewReader(b.read("doc"))).Decode(&got))
	m.State = "alive"
	require.Equal(t, m, got)
}

func TestHooksRunOneAtATimeInOrderAndTheNewestWinsWhenTheyLag(t *testing.T) {
	b := start(t, "duck="+note+gate,
		"goose=mkdir $DIR/busy && "+note+"; sleep 0.1; rmdir $DIR/busy",
		"goose=mkdir $DIR/busy && echo second >> $DIR/out; rmdir $DIR/busy",
		"member=echo $DDGOOSE_MEMBER_NAME > $DIR/member")
	b.until("out", "duck 0 0\n")
	for token := uint64(1); token < 6; token++ {
		b.source.be(api.RoleGoose, token)
		b.eventually("seen", func() bool { return b.seen().Token == token })
		b.source.be(api.RoleDuck, 0)
		b.eventually("seen", func() bool { return b.seen().Token == 0 })
	}
	b.source.SetMembers([]api.Member{{Name: "y", ID: "y", State: "alive"}})
	b.source.be(api.RoleGoose, 6)
	b.until("member", "y\n") // it does not wait for the others
	require.Equal(t, "duck 0 0\n", b.read("out"))
	b.touch("gate")
	b.until("out", "duck 0 0\ngoose 6 10\nsecond\n")
	b.eventually("counted", func() bool { return b.runner.Counters()["hooks_run"] == 4 })
	require.Zero(t, b.runner.Counters()["hooks_failed"], b.log)
}

// seen is the status that the runner has seen last.
func (b *bench) seen() api.Status {
	b.runner.mu.Lock()
	defer b.runner.mu.Unlock()
	return b.runner.mu.tracker.status
}

// idle tells that no event waits.
func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.queue.waiting) == 0
}

// timedBy lets a test say when the time-out of a hook that runs has come.
func (b *bench) timedBy() chan<- time.Time {
	up := make(chan time.Time)
	b.runner.after = func(time.Duration) <-chan time.Time { return up }
	return up
}

// hold has a hook, and all it starts, hold a pipe open, see holders.
const hold = `exec 9> $DIR/pipe; echo > $DIR/held; `

// holders waits until a hook has begun with hold. What it gives waits until all
// that hold the pipe are dead: a zombie holds nothing.
func (b *bench) holders() (untilGone func()) {
	b.t.Helper()
	pipe := filepath.Join(b.dir, "pipe")
	require.NoError(b.t, syscall.Mkfifo(pipe, 0o600))
	f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = f.Close() })
	b.start()
	b.eventually("it runs", func() bool { return b.read("held") != "" })
	return func() {
		b.t.Helper()
		require.NoError(b.t, f.SetReadDeadline(time.Now().Add(soon)))
		_, err := f.Read(make([]byte, 1))
		require.ErrorIs(b.t, err, io.EOF, "all are dead")
	}
}

func TestAHookThatTakesTooLongIsKilledWithItsGroup(t *testing.T) {
	b := prepare(t, "duck="+hold+`trap "" TERM; echo waiting >&2; (while :; do sleep 1; done) & touch $DIR/forked; while :; do sleep 1; done`, "duck="+note)
	b.runner.killAfter = 10 * time.Millisecond
	timeUp := b.timedBy()
	untilGone := b.holders()
	b.eventually("it has forked", func() bool { _, err := os.Stat(filepath.Join(b.dir, "forked")); return err == nil })
	timeUp <- time.Time{}
	untilGone()
	b.until("out", "duck 0 0\n")
	require.Contains(t, b.log.String(), "level=WARN msg=\"hook failed\" on=duck")
	require.Contains(t, b.log.String(), "stderr=waiting")
	require.Contains(t, b.log.String(), "longer than --hook-timeout")
	require.Equal(t, map[string]uint64{"hooks_run": 2, "hooks_failed": 1, "hooks_timed_out": 1, "hooks_skipped": 0}, b.runner.Counters())
}

func TestAHookMayEndByItselfWhenItIsToldTo(t *testing.T) {
	b := prepare(t, "duck="+`trap "echo told > $DIR/out; exit 0" TERM; `+hold+`while :; do sleep 0.02; done`)
	b.runner.killAfter = 2 * soon
	timeUp := b.timedBy()
	untilGone := b.holders()
	timeUp <- time.Time{}
	b.until("out", "told\n")
	untilGone()
	b.eventually("booked", func() bool { return strings.Contains(b.log.String(), "longer than --hook-timeout") })
}

func TestAFailureIsLoggedWithTheLastLineOfStderr(t *testing.T) {
	b := start(t, `duck=echo one >&2; echo "no such address" >&2; exit 3`, "duck=/no/such/program", "duck="+note)
	b.until("out", "duck 0 0\n")
	require.Contains(t, b.log.String(), `stderr="no such address" error="exit status 3"`)
	require.Contains(t, b.log.String(), `error="exit status 127"`)
	require.EqualValues(t, 2, b.runner.Counters()["hooks_failed"])
}

func TestWhatAHookLeavesInTheBackgroundHoldsNothingUp(t *testing.T) {
	b := start(t, "duck=(while [ ! -e $DIR/gate ]; do sleep 0.02; done; touch $DIR/lived) & "+note, "duck=echo next >> $DIR/out")
	b.until("out", "duck 0 0\nnext\n")
	b.eventually("booked", func() bool { return strings.Contains(b.log.String(), "hook done") })
	require.NotContains(t, b.log.String(), "hook failed")
	b.touch("gate")
	b.eventually("it lived on", func() bool { _, err := os.Stat(filepath.Join(b.dir, "lived")); return err == nil })
}

func TestTheLastEventOfAnAgentThatStopsAsTheGooseIsDuck(t *testing.T) {
	b := start(t, "duck="+note, "goose="+note+gate, "change="+`[ -z "$DDGOOSE_GOOSE_NAME" ] && echo none >> $DIR/out; :`, "member=touch $DIR/member")
	b.until("out", "duck 0 0\n")
	b.source.be(api.RoleGoose, 7)
	b.until("out", "duck 0 0\ngoose 7 0\n")
	b.source.Agent.Change(func(s *api.Status) { s.Role = api.RoleDuck }) // as after its last word
	b.source.end()
	b.touch("gate")
	b.wait()
	require.Equal(t, "duck 0 0\ngoose 7 0\nduck 7 0\n", b.read("out"), "all else is dropped")
}

func TestAStopAtOnceKillsWhatRuns(t *testing.T) {
	b := prepare(t, "duck="+hold+`trap "" TERM; while :; do sleep 1; done`, "duck="+note)
	untilGone := b.holders()
	b.kill()
	b.wait()
	untilGone()
	require.Empty(t, b.read("out"))
	require.Contains(t, b.log.String(), "the agent was stopped at once")
}

func TestNewHooksHearHowThingsAre(t *testing.T) {
	old := "change=echo old >> $DIR/out" // of the last event that waits: Set finds none that it would replace
	b := start(t, old)
	b.source.be(api.RoleGoose, 7)
	b.until("out", "old\n")
	b.runner.Set(b.hooks(old, "goose="+note, "duck="+note, "change="+note), 0)
	b.until("out", "old\ngoose 7 0\nchange 7 0\n")
	b.runner.Set(b.hooks("duck="+note), 0)
	b.source.be(api.RoleDuck, 0)
	b.until("out", "old\ngoose 7 0\nchange 7 0\nduck 0 0\n")
	b.runner.Set(nil, 0)
	b.source.be(api.RoleGoose, 8)
	b.eventually("seen", func() bool { return b.seen().Token == 8 })
	b.source.end()
	b.wait()
	require.Equal(t, "old\ngoose 7 0\nchange 7 0\nduck 0 0\n", b.read("out"))
}

func TestParseSaysWhatWouldBeRight(t *testing.T) {
	h, err := Parse("member=a=b | c ")
	require.NoError(t, err)
	require.Equal(t, Hook{Member, "a=b | c"}, h)
	for _, word := range []string{"", "goose", "goose=", "goose= ", "gander=x", "=x"} {
		_, err := Parse(word)
		require.ErrorContains(t, err, "want goose, duck, change or member, and a command", word)
	}
}

func TestLastLineIsBoundedAndSkipsEmptyOnes(t *testing.T) {
	var l lastLine
	require.Empty(t, l.String())
	for range 1000 {
		_, _ = l.Write([]byte("line\n\n"))
	}
	require.Equal(t, "line", l.String())
	_, _ = l.Write(bytes.Repeat([]byte("x"), 10*tailBytes))
	require.Len(t, l.String(), tailBytes)
}
