//go:build linux

package run

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/flock"
)

// slotAgent is an agent that answers as a test tells it to.
func slotAgent(t *testing.T) (a *apitest.Agent, socket string) {
	a, socket = apitest.New(), filepath.Join(shortDir(t), "a.sock")
	ln, err := api.ListenSocket(socket, 0o600)
	require.NoError(t, err)
	s, served := api.NewServer(a, api.Local, nil), make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		_ = s.Close() // a holder may still be there
		require.NoError(t, <-served)
	})
	return a, socket
}

// runSlot runs a command in a slot, while the agent is the goose.
func runSlot(t *testing.T, a *apitest.Agent, socket string, flags ...string) (code int, out string, h *apitest.Holder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := append([]string{"run", "--socket", socket}, flags...)
	p := exec.CommandContext(ctx, binary(t), append(args, "--", "sh", "-c", "echo ran in $DDGOOSE_SLOT")...)
	p.Env = cleanEnviron()
	var text bytes.Buffer
	p.Stdout, p.Stderr = &text, &text
	require.NoError(t, p.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Wait() // the code is looked at
	}()
	select {
	case h = <-a.Holders:
	case <-ended:
		return p.ProcessState.ExitCode(), text.String(), nil
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		h.Renew(a.Status().Token, boottime.Now(), time.Minute)
		select {
		case <-ended:
			return p.ProcessState.ExitCode(), text.String(), h
		case <-tick.C:
		}
	}
}

const century = 400_000 * time.Hour // this slot ends in 2061

func TestASlotIsTakenBeforeTheCommandBeginsAndOnce(t *testing.T) {
	t.Parallel()
	a, socket := slotAgent(t)
	token, slot := a.Status().Token, api.SlotOf(time.Now(), century)
	code, out, h := runSlot(t, a, socket, "--slot", century.String())
	require.Zero(t, code, out)
	require.Equal(t, fmt.Sprintf("ran in %d\n", slot), out)
	require.Equal(t, []string{fmt.Sprintf("advance to %d, token %d, slot %v", slot, token, century)}, a.Heard())
	require.Equal(t, []string{fmt.Sprintf("drained %d, step down", token)}, h.Heard())

	at := time.Unix(0, int64(slot)*int64(century)).UTC().Format(time.RFC3339)
	code, out, h = runSlot(t, a, socket, "--slot", century.String())
	require.Equal(t, CodeNotGoose, code)
	require.Equal(t, fmt.Sprintf("ddgoose: the slot of %v from %s is taken\n", century, at), out)
	require.Equal(t, []string{fmt.Sprintf("drained %d, leave", token)}, h.Heard(), "the goose stays: nothing has run")

	_, out, _ = runSlot(t, a, socket, "--slot", (2 * century).String())
	require.NotContains(t, out, "ahead", "one slot is no wrong clock: %s", out)
	require.NoError(t, a.Advance(t.Context(), slot+3, 0, 0))
	_, out, _ = runSlot(t, a, socket, "--slot", century.String())
	require.Contains(t, out, " is taken: the mark is 3 slots ahead, so this machine's clock is behind, or another job uses this election's mark")

	code, out, _ = runSlot(t, a, socket, "--slot", century.String(), "--try", "0s", "--keep", "-q", "--jitter", "1ms")
	require.Equal(t, CodeNotGoose, code)
	require.Empty(t, out)
}

func TestAWrongClockIsTold(t *testing.T) {
	t.Parallel()
	a, socket := slotAgent(t)
	a.Stick(api.WithCode(api.CodeClockAhead, api.Conflict("slot 7 is ahead: the clock of a is 24h0m0s ahead of that of b")))
	code, out, _ := runSlot(t, a, socket, "--slot", "1m", "--try", "0s", "--keep", "-q")
	require.Equal(t, 1, code)
	require.Equal(t, "ddgoose: slot 7 is ahead: the clock of a is 24h0m0s ahead of that of b\n", out, "-q or not")

	// The first answer is lost, and the second says that somebody has the slot.
	b, socketB := slotAgent(t)
	lost := api.SlotOf(time.Now(), century)
	b.Stick(&api.Failure{Kind: api.ErrNoMajority, Code: "mark-uncommitted", Text: "no majority in time"})
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for len(b.Heard()) < 2 && t.Context().Err() == nil { // then the first was answered
			<-tick.C
		}
		b.Stick(api.WithCode(api.CodeMarkTaken, api.Conflict("the mark is %d already", lost)))
	}()
	code, out, _ = runSlot(t, b, socketB, "--slot", century.String())
	require.Equal(t, CodeNotGoose, code)
	require.Contains(t, out, " is taken, perhaps by this run, which had no certain answer (no majority in time)\n")

	a.Stick(api.NotFound("no such path"))
	code, out, _ = runSlot(t, a, socket, "--slot", "1m")
	require.Equal(t, 1, code)
	require.Equal(t, "ddgoose: this agent is of a version without slots: upgrade it\n", out)
}

func TestJitterStaysWithinTheSlot(t *testing.T) {
	r := &runner{}
	require.Zero(t, r.jitter())
	r.opts.Slot = time.Hour
	require.Zero(t, r.jitter())
	for range 1000 {
		r.opts.Jitter = time.Minute
		require.Less(t, r.jitter(), time.Minute)
		r.opts.Slot, r.opts.Jitter = time.Second, time.Second
		left := time.Second - time.Duration(time.Now().UnixNano()%int64(time.Second))
		require.Less(t, r.jitter(), left)
	}
}

// crowded is a machine whose clock is wrong, with a crontab that tries the job often.
type crowded struct {
	name   string
	shift  time.Duration
	socket string
	client *client.Client
	log    bytes.Buffer
	odd    []string // exits that no attempt may have
	// idle counts, for each slot, the attempts in it that ran nothing although the agent was
	// the goose of one token before and after.
	idle map[uint64]int
}

// goose returns the token of the machine's agent while it is the goose, else 0.
func (m *crowded) goose(ctx context.Context) uint64 {
	s, err := m.client.Status(ctx)
	if err != nil || !s.Lease.Valid {
		return 0
	}
	return s.Token
}

// attempts runs the job again and again until ctx ends.
func (m *crowded) attempts(ctx context.Context, binary, out string, slot time.Duration) {
	tick := time.NewTicker(slot / 8)
	defer tick.Stop()
	for ctx.Err() == nil {
		p := exec.Command(binary, "run", "--socket", m.socket, "--try", "0s", "--keep", "--slot", slot.String(), "--",
			"sh", "-c", `echo "$DDGOOSE_SLOT $DDGOOSE_NAME $DDGOOSE_TOKEN" >> "$0"`, out)
		p.Env = cleanEnviron("SHIFT_CLOCK=" + m.shift.String())
		p.Stdout, p.Stderr = &m.log, &m.log
		token, from := m.goose(ctx), api.SlotOf(time.Now().Add(m.shift), slot)
		_ = p.Run() // the code is looked at
		switch code := p.ProcessState.ExitCode(); {
		case code == 0:
		case code != CodeNotGoose:
			m.odd = append(m.odd, fmt.Sprintf("%s: exit code %d", m.name, code))
		case token != 0 && m.goose(ctx) == token && api.SlotOf(time.Now().Add(m.shift), slot) == from:
			m.idle[from]++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

var slotKills = flag.Int("slot.kills", 3, "how often TestProcessesOfASlot kills the goose, about every 4 s")

// TestProcessesOfASlot kills the goose again and again, while machines whose clocks are
// up to 3 s apart try to run one job in each slot. Never do two run in a slot. One is
// left out only where its goose was lost after the commit, or while no agent was the goose
// for long enough.
func TestProcessesOfASlot(t *testing.T) {
	const slot = 4 * time.Second
	kills := *slotKills
	shifts := map[string]time.Duration{"a": 0, "b": 3 * time.Second, "c": 1500 * time.Millisecond}
	dir := shortDir(t)
	real := shifted.Path(t)
	wrapper := filepath.Join(dir, "ddgoose") // gives each agent its machine's clock
	script := "#!/bin/sh\ncase \" $* \" in\n"
	for name, shift := range shifts {
		script += fmt.Sprintf("*\" --name %[1]s \"*|*\" --name=%[1]s \"*) SHIFT_CLOCK=%[2]v;;\n", name, shift)
	}
	script += "esac\nexport SHIFT_CLOCK\nexec " + real + " \"$@\"\n"
	apitest.WriteExecutable(t, wrapper, script)
	t.Setenv(binaryEnv, wrapper)
	f := newFarm(t, flock.Options{Agents: len(shifts), Lease: time.Second, Heartbeat: 100 * time.Millisecond})

	out := filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(out, nil, 0o600))
	ran := func() (slots map[uint64][]string) {
		text, err := os.ReadFile(out)
		require.NoError(t, err)
		slots = map[uint64][]string{}
		for line := range strings.Lines(string(text)) {
			number, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, err := strconv.ParseUint(number, 10, 64)
			require.NoError(t, err, line)
			slots[n] = append(slots[n], rest)
		}
		return slots
	}
	ctx, stop := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	var machines []*crowded
	for _, name := range f.flock.Names() {
		a, err := f.flock.Agent(name)
		require.NoError(t, err)
		m := &crowded{name: name, shift: shifts[name], socket: a.Socket, client: a.Client(), idle: map[uint64]int{}}
		machines = append(machines, m)
		crowd.Go(func() { m.attempts(ctx, real, out, slot) })
	}
	defer crowd.Wait()
	defer stop()
	dice := rand.New(rand.NewPCG(1, 2))
	var killed [][2]time.Time // from each kill until another is the goose
	for range kills {
		before, more := len(ran()), dice.IntN(3)
		f.until("jobs", func() bool { return len(ran()) >= before+more })
		goose := f.anyGoose()
		a, err := f.flock.Agent(goose)
		require.NoError(t, err)
		from := time.Now()
		f.agent(goose, unix.SIGKILL)
		<-a.Gone()
		f.until("another goose", func() bool { g := f.goose(); return g != "" && g != goose })
		require.NoError(t, f.flock.Start(goose))
		killed = append(killed, [2]time.Time{from, time.Now()})
	}
	before := len(ran())
	f.until("jobs after the last kill", func() bool { return len(ran()) > before+1 })

	// A program whose clock is a day ahead must not take tomorrow's slots.
	goose := f.goose()
	if goose != "" {
		a, err := f.flock.Agent(goose)
		require.NoError(t, err)
		p := exec.Command(real, "run", "--socket", a.Socket, "--try", "0s", "--keep", "--slot", slot.String(), "--", "true")
		p.Env = cleanEnviron("SHIFT_CLOCK=24h")
		text, err := p.CombinedOutput()
		require.Error(t, err)
		if p.ProcessState.ExitCode() != CodeNotGoose { // the goose may have changed
			require.Contains(t, string(text), "the clock of the program that asks is ahead")
			require.Equal(t, 1, p.ProcessState.ExitCode(), "%s", text)
		}
	}
	stop()
	crowd.Wait()

	slots := ran()
	first, last, lost, unasked := uint64(1<<63), uint64(0), 0, 0
	for n, who := range slots {
		first, last = min(first, n), max(last, n)
		require.Len(t, who, 1, "two ran in slot %d", n)
	}
	taken, unsure, stopped := map[uint64]bool{}, map[uint64]bool{}, 0
	for _, m := range machines {
		for _, line := range regexp.MustCompile(`from (\S+) is taken(, perhaps by this run)?`).FindAllStringSubmatch(m.log.String(), -1) {
			at, err := time.Parse(time.RFC3339, line[1])
			require.NoError(t, err)
			n := api.SlotOf(at, slot)
			taken[n], unsure[n] = true, unsure[n] || line[2] != ""
		}
		stopped += strings.Count(m.log.String(), "work was stopped before its end")
	}
	for n := first; n <= last; n++ {
		switch {
		case len(slots[n]) > 0:
			continue
		case !taken[n]:
			// No attempt in it has found a goose: that would have run, or found it taken. A lease that
			// lapses for a moment hides a goose from one attempt, not from two.
			unasked++
			for _, m := range machines {
				require.Less(t, m.idle[n], 2, "nobody ran in slot %d, though %s was the goose in it\n%s", n, m.name, m.log.String())
			}
			continue
		}
		lost++
		from := time.Unix(0, int64(n)*int64(slot)).Add(-3 * time.Second) // on the machine whose clock is ahead the most
		died := slices.ContainsFunc(killed, func(k [2]time.Time) bool {
			return k[0].Before(from.Add(slot+6*time.Second)) && k[1].After(from)
		})
		if !died && !unsure[n] { // a goose that loses its majority for a moment has no certain answer, or stops its work
			stopped--
			require.GreaterOrEqual(t, stopped, 0, "slot %d was taken, nobody ran in it, and no goose was lost then", n)
		}
	}
	for _, m := range machines {
		require.Empty(t, m.odd, "%s", m.log.String())
	}
	t.Logf("%d kills, %d slots with one run each, %d taken by a goose that died, %d in which no attempt found a goose", len(killed), len(slots), lost, unasked)
	require.Greater(t, len(slots), kills)
}

// TestACommandOfASlotIsNotStartedAgain: the goose is lost while it runs, without --try.
func TestACommandOfASlotIsNotStartedAgain(t *testing.T) {
	f := alone(t)
	out := filepath.Join(f.dir, "out")
	p := f.start("a", []string{"--slot", century.String()}, "sh", "-c", `echo $$ >> "$0"; exec sleep 1000`, out)
	command := f.text(out)
	a, err := f.flock.Agent("a")
	require.NoError(t, err)
	f.agent("a", unix.SIGKILL)
	<-a.Gone()
	require.Equal(t, CodeNotGoose, f.ended(p), f.log())
	require.Contains(t, f.log(), "ddgoose: work was stopped before its end, and is not started again\n")
	require.NoError(t, f.flock.Start("a"))
	f.anyGoose()
	require.Equal(t, CodeNotGoose, f.ended(f.start("a", []string{"--slot", century.String(), "--try", "30s", "--keep"}, "true")), f.log())
	require.Contains(t, f.log(), " is taken\n", "after a restart, too")
	require.Equal(t, command, f.text(out))
}
