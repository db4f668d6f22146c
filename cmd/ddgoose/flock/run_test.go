package flock

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/top"
	"duckduckgoose/netem"
)

func TestDriverKillsAndStarts(t *testing.T) {
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t))})
	r.said(t, "a is the goose, term 7")
	r.said(t, "ddgoose flock kill a")
	before := r.pids(t)

	require.NoError(t, r.Kill(t.Context(), "b"))
	require.Zero(t, r.pids(t)["b"], "it is dead when the answer comes")
	require.ErrorIs(t, syscall.Kill(before["b"], 0), syscall.ESRCH)
	r.said(t, "b was killed")
	err := r.Kill(t.Context(), "b")
	require.ErrorIs(t, err, api.ErrConflict)
	require.ErrorContains(t, err, "stays dead until it is started")

	require.NoError(t, r.Start(t.Context(), "b"))
	require.NotEqual(t, before["b"], r.pids(t)["b"])
	require.ErrorIs(t, r.Start(t.Context(), "b"), api.ErrConflict)
	require.Equal(t, before["a"], r.pids(t)["a"], "the others are left alone")

	require.NoError(t, r.Kill(t.Context(), "a"))
	r.said(t, "a is no longer the goose; there is none")

	require.NoError(t, r.stop())
	for name, pid := range before {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, name)
	}
	_, err = r.Info(t.Context())
	require.ErrorIs(t, err, ErrNoFlock)
}

func TestDriverStopsOnCommand(t *testing.T) {
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t))})
	pids := r.pids(t)
	require.NoError(t, r.Stop(t.Context()))
	for name, pid := range pids {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, name)
	}
	lock, err := claim(r.dir, false)
	require.NoError(t, err, "another can start at once")
	require.NoError(t, lock.Close())
	require.NoError(t, r.stop())
	require.ErrorIs(t, r.Stop(t.Context()), ErrNoFlock)
}

func TestKeysOfTheScreenActOnTheFlock(t *testing.T) {
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t))})
	b := top.Agent{Name: "b", State: top.StateUp}
	press := func(key string) (says string, err error) {
		for _, a := range Actions(r.dir) {
			if a.Key == key {
				return a.Says(b), a.Do(t.Context(), b)
			}
		}
		return "", nil
	}
	says, err := press("C")
	require.NoError(t, err)
	require.Equal(t, "cut b off", says)
	i, err := r.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, "b/a,c", i.Partition)
	_, err = press("H")
	require.NoError(t, err)
	says, err = press("D")
	require.NoError(t, err)
	require.Equal(t, "have b step down", says)
	says, err = press("K")
	require.NoError(t, err)
	require.Equal(t, "kill b", says)
	require.Zero(t, r.pids(t)["b"])
	b.State = top.StateKilled
	says, err = press("K")
	require.NoError(t, err)
	require.Equal(t, "start b", says)
	require.NotZero(t, r.pids(t)["b"])
}

func TestAgentsAreGivenTheElections(t *testing.T) {
	opts := fakes(shortDir(t))
	opts.Elections = []string{"backup", "reports"}
	r := startDriver(t, RunOptions{Options: opts})
	for name := range r.pids(t) {
		c := client.New(filepath.Join(r.dir, name+".sock"))
		c.Wait = soon
		all, err := c.Elections(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 3)
		require.Equal(t, "backup", all[1].Name)
		require.Equal(t, "reports", all[2].Name)
	}
}

func TestDriverRefusesWhatItCannotDo(t *testing.T) {
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t))})
	for _, tt := range []struct {
		err  error
		kind error
		text string
	}{
		{r.Kill(t.Context(), "z"), api.ErrNotFound, `no agent "z": this flock has a b c`},
		{r.Start(t.Context(), ""), api.ErrNotFound, `no agent ""`},
		{r.Partition(t.Context(), "a,b"), nil, ""},
		{r.Partition(t.Context(), "a,z/b"), api.ErrInput, `shape "a,z/b": no agent "z"`},
		{r.Partition(t.Context(), "a>"), api.ErrInput, "want groups"},
		{r.Netem(t.Context(), "nonsense"), api.ErrInput, "nonsense"},
		{r.call(t.Context(), "GET", "/v1/other", nil, nil), api.ErrNotFound, "PUT and DELETE /v1/partition"},
		{r.call(t.Context(), "PUT", "/v1/netem", map[string]int{"rulez": 1}, nil), api.ErrInput, "rulez"},
	} {
		if tt.kind == nil {
			require.NoError(t, tt.err)
			continue
		}
		require.ErrorIs(t, tt.err, tt.kind)
		require.ErrorContains(t, tt.err, tt.text)
	}
	info, err := os.Stat(filepath.Join(r.dir, client.DriverSocket))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestPartitionLeavesOtherRulesAloneAndHoldsForThoseStartedLater(t *testing.T) {
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t))})
	info, err := r.Info(t.Context())
	require.NoError(t, err)
	addr := map[string]string{}
	for _, a := range info.Agents {
		addr[a.Name] = a.Addr
	}
	rules := func(name string) string {
		c := client.New(filepath.Join(r.dir, name+".sock"))
		c.Wait = soon
		n, err := c.Netem(t.Context())
		require.NoError(t, err)
		parsed, err := netem.Parse(n.Rules)
		require.NoError(t, err)
		return parsed.String()
	}
	require.NoError(t, r.Netem(t.Context(), "*: loss 10%"))
	require.NoError(t, r.Partition(t.Context(), "a/b,c"))
	require.Equal(t, addr["b"]+","+addr["c"]+": cut; *: loss 10%", rules("a"))
	require.Equal(t, addr["a"]+": cut; *: loss 10%", rules("b"))
	r.said(t, "faults: partition a/b,c, netem *: loss 10%")

	require.NoError(t, r.Kill(t.Context(), "b"))
	require.NoError(t, r.Partition(t.Context(), "a>b"), "it takes the last one's place")
	require.NoError(t, r.Start(t.Context(), "b"))
	require.Equal(t, "in "+addr["a"]+": cut; *: loss 10%", rules("b"))
	require.Equal(t, "out "+addr["b"]+": cut; *: loss 10%", rules("a"))
	require.Equal(t, "*: loss 10%", rules("c"))

	require.NoError(t, r.Heal(t.Context()))
	require.Equal(t, "*: loss 10%", rules("a"))
	require.Equal(t, "*: loss 10%", rules("b"))
	require.NoError(t, r.Netem(t.Context(), ""))
	require.Empty(t, rules("b"))
	r.said(t, "faults: none")
}

func TestWhoAsksTheDriverHearsWhichAgentHangs(t *testing.T) {
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t))})
	b := r.pids(t)["b"]
	require.NoError(t, syscall.Kill(b, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(b, syscall.SIGCONT) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // what ddgoose waits by default
	defer cancel()
	var err error
	for err == nil { // it may answer until the signal has reached it
		err = r.Partition(ctx, "a/b,c")
	}
	require.ErrorContains(t, err, "agent b: ")
}

func TestOneFlockAFolder(t *testing.T) {
	dir := shortDir(t)
	r := startDriver(t, RunOptions{Options: fakes(dir)})
	kept := filepath.Join(dir, "kept")
	require.NoError(t, os.WriteFile(kept, nil, 0o600))
	err := Run(t.Context(), RunOptions{Options: fakes(dir), Empty: true, Out: &transcript{}})
	require.ErrorIs(t, err, ErrTaken)
	require.ErrorContains(t, err, "with agents a b c in "+dir)
	require.FileExists(t, kept, "nothing of the running one is emptied")

	require.NoError(t, r.stop())
	startDriver(t, RunOptions{Options: fakes(dir)})
	require.FileExists(t, kept)
}

func TestEmptyEmptiesTheFolder(t *testing.T) {
	dir := shortDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	startDriver(t, RunOptions{Options: fakes(dir), Empty: true})
	require.NoDirExists(t, filepath.Join(dir, "a"))
}

func TestAgentThatEndsByItselfIsShownWithItsLastLine(t *testing.T) {
	opts := fakes(shortDir(t))
	opts.Extra = []string{"--fail"}
	out := &transcript{}
	err := Run(t.Context(), RunOptions{Options: opts, Out: out, Command: "ddgoose"})
	require.ErrorContains(t, err, "agent a ended with exit status 3: ddgoose: no luck today")
	require.True(t, out.contains("agent c ended with exit status 3: ddgoose: no luck today"), out.String())
}

func TestLivesEndAndBeginAgain(t *testing.T) {
	life, err := ParseLifetime("1s..1500ms")
	require.NoError(t, err)
	r := startDriver(t, RunOptions{Options: fakes(shortDir(t)), Lifetime: life})
	require.NoError(t, r.Kill(t.Context(), "c"))
	first := r.pids(t)
	for _, name := range []string{"a", "b"} {
		require.Eventually(t, func() bool {
			pid := r.pids(t)[name]
			return pid != 0 && pid != first[name]
		}, soon, 20*time.Millisecond, name)
	}
	require.Zero(t, r.pids(t)["c"], "a killed one stays dead")
	require.NoError(t, r.Start(t.Context(), "c"))
	again := r.pids(t)["c"]
	require.Eventually(t, func() bool { pid := r.pids(t)["c"]; return pid != 0 && pid != again }, soon, 20*time.Millisecond)
}

func TestParseLifetime(t *testing.T) {
	l, err := ParseLifetime("10s..30s")
	require.NoError(t, err)
	require.Equal(t, Lifetime{10 * time.Second, 30 * time.Second}, l)
	l, err = ParseLifetime("1m")
	require.NoError(t, err)
	require.Equal(t, Lifetime{time.Minute, time.Minute}, l)
	for _, bad := range []string{"", "x", "10s..", "..10s", "30s..10s", "0s..1s", "10..20"} {
		_, err := ParseLifetime(bad)
		require.ErrorContains(t, err, "as 10s..30s", bad)
	}
}

// TestNothingOutlivesAKilledDriver kills a driver that cannot clean up.
func TestNothingOutlivesAKilledDriver(t *testing.T) {
	dir := shortDir(t)
	driver := exec.Command(os.Args[0], "drive", dir)
	out, err := driver.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, driver.Start())
	t.Cleanup(func() { _ = driver.Process.Kill() }) // it has gone, when all is well
	lines := bufio.NewScanner(out)
	for up := 0; up < 3; {
		require.True(t, lines.Scan(), "the driver has ended early")
		if strings.HasSuffix(lines.Text(), " is up") {
			up++
		}
	}
	info, err := Connect(dir).Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, driver.Process.Kill())
	_ = driver.Wait() // "killed"
	for _, a := range info.Agents {
		require.NotZero(t, a.PID)
		require.Eventually(t, func() bool { return ended(t, a.PID) }, soon, 5*time.Millisecond, a.Name)
	}
}

// ended reports whether a process has gone. One whose parent has died may stay
// behind as a zombie, where nobody collects them.
func ended(t *testing.T, pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if os.IsNotExist(err) || errors.Is(err, syscall.ESRCH) { // it may go between open and read
		return true
	}
	require.NoError(t, err)
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}
