package main

import (
	"bufio"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

// TestProcessesOfAPythonHolder has the example in Python act beside each of two agents,
// through a step-down, a stop of the goose's holder, and its death.
func TestProcessesOfAPythonHolder(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: there is no python3 here")
	}
	dir := shortDir(t)
	agents := []*process{startAgent(t, dir, "a", "--expect", "3")}
	for _, name := range []string{"b", "c"} {
		agents = append(agents, startAgent(t, dir, name, "--expect", "3", "--join", agents[0].addr()))
	}
	holders := map[string]*holder{}
	for _, p := range agents[:2] {
		holders[p.name] = startHolder(t, python, p.socket)
	}
	var first, second *process
	apitest.Eventually(t, func() bool {
		for i, p := range agents[:2] {
			if holders[p.name].acted.Load() != 0 {
				first, second = p, agents[1-i]
			}
		}
		return first != nil
	}, "one acts")
	was := holders[first.name].acted.Load()
	apitest.Eventually(t, func() bool { // until its holder is there, the goose comes back
		call(t, "step-down", "--socket", first.socket, "--to", second.name, "--timeout", soon.String())
		return holders[second.name].acted.Load() > was
	}, "the goose goes to the other work")

	require.NoError(t, holders[second.name].cmd.Process.Signal(unix.SIGKILL))
	now := holders[second.name].acted.Load()
	apitest.Eventually(t, func() bool { return holders[first.name].acted.Load() > now }, "the goose goes to the other work")
	for name, h := range holders {
		require.False(t, h.fell.Load(), "the tokens of %s only grow", name)
	}
}

// holder is the example, which prints the token of each act.
type holder struct {
	cmd   *exec.Cmd
	acted atomic.Uint64 // the last token
	fell  atomic.Bool   // one was smaller than the last
}

func startHolder(t *testing.T, python, socket string) *holder {
	h := &holder{cmd: exec.Command(python, "../../agent/api/lead.py", socket)}
	out, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, h.cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			token, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Errorf("it prints %q", lines.Text())
			}
			if h.acted.Swap(token) > token {
				h.fell.Store(true)
			}
		}
	})
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill() // it may have ended
		reading.Wait()
		_ = h.cmd.Wait()
	})
	return h
}
