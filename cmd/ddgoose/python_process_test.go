package main

import (
	"bufio"
	"os/exec"
	"strconv"
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
	type holder struct {
		cmd    *exec.Cmd
		tokens *bufio.Scanner
	}
	holders := map[string]holder{}
	for _, p := range agents[:2] {
		cmd := exec.Command(python, "../../agent/api/lead.py", p.socket)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		})
		holders[p.name] = holder{cmd, bufio.NewScanner(out)}
	}
	token := func(p *process) (token uint64) {
		h := holders[p.name]
		require.True(t, h.tokens.Scan(), "%s: %v", p.name, h.tokens.Err())
		token, err := strconv.ParseUint(h.tokens.Text(), 10, 64)
		require.NoError(t, err)
		return token
	}
	// at gives the agent beside which a holder may act now.
	at := func() (goose *process) {
		apitest.Eventually(t, func() bool {
			for _, p := range agents[:2] {
				if call(t, "is-goose", "-q", "--socket", p.socket).code == 0 {
					goose = p
				}
			}
			return goose != nil
		}, "a goose that has work")
		return goose
	}
	first := at()
	was := token(first)
	second := agents[0]
	if first == second {
		second = agents[1]
	}
	apitest.Eventually(t, func() bool { // until its holder is there, the goose comes back
		call(t, "step-down", "--socket", first.socket, "--to", second.name)
		return at() == second
	}, "the goose goes to the other work")
	now := token(second)
	for now < was { // of a period before
		now = token(second)
	}
	require.Greater(t, now, was)

	require.NoError(t, holders[second.name].cmd.Process.Signal(unix.SIGKILL))
	apitest.Eventually(t, func() bool { return at().name == first.name }, "the goose goes to the other work")
	for now >= was { // what it printed in its first period is read first
		next := token(first)
		require.GreaterOrEqual(t, next, was)
		was = next
	}
}
