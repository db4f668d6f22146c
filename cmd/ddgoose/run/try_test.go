//go:build linux

package run

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
)

// TestTryEndsWhateverTheAgentAnswers: a crontab starts one more each minute.
func TestTryEndsWhateverTheAgentAnswers(t *testing.T) {
	const lease = time.Minute
	for what, c := range map[string]struct {
		try    string
		answer func(t *testing.T, h *apitest.Holder, p *exec.Cmd)
		says   string
	}{
		"nothing":                     {"0s", func(*testing.T, *apitest.Holder, *exec.Cmd) {}, "the agent does not say who is the goose"},
		"a lease of another's period": {"0s", func(_ *testing.T, h *apitest.Holder, _ *exec.Cmd) { h.Renew(1<<30, boottime.Now(), lease) }, "the command could not begin within 13s"},
		"nothing, and the guard is stopped": {"10ms", func(t *testing.T, _ *apitest.Holder, p *exec.Cmd) {
			guard := (&runProcess{cmd: p}).guard()
			require.NotZero(t, guard)
			require.NoError(t, unix.Kill(guard, unix.SIGSTOP))
		}, "the command could not begin within 13s"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a, socket := apitest.New(), filepath.Join(shortDir(t), "a.sock")
			ln, err := api.ListenSocket(socket, 0o600)
			require.NoError(t, err)
			s, served := api.NewServer(a, api.Local, nil), make(chan error, 1)
			go func() { served <- s.Serve(ln) }()
			defer func() {
				_ = s.Close() // the holder may still be there
				require.NoError(t, <-served)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			p := exec.CommandContext(ctx, binary(t), "run", "--socket", socket, "--try", c.try, "--keep", "--", "echo", "ran")
			p.Env = cleanEnviron()
			var out bytes.Buffer
			p.Stdout, p.Stderr = &out, &out
			require.NoError(t, p.Start())
			t.Cleanup(func() { _ = p.Wait() }) // it is waited for below, unless the test has failed
			select {
			case h := <-a.Holders:
				c.answer(t, h, p)
			case <-ctx.Done():
				require.Fail(t, "no session")
			}
			_ = p.Wait() // the code is looked at
			require.Equal(t, CodeNotGoose, p.ProcessState.ExitCode(), out.String())
			require.Contains(t, out.String(), c.says)
			require.NotContains(t, out.String(), "ran\n")
		})
	}
}

// TestALinksLastMessageIsNotDropped: without it run would start another guard, and CMD again.
func TestALinksLastMessageIsNotDropped(t *testing.T) {
	run, guard := pair(t)
	for range 10_000 { // run is stopped
		guard.say(report{Killing: true})
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		guard.sayLast(report{NotGoose: "last"})
	}()
	var m report
	for m.NotGoose != "last" {
		m = report{}
		require.NoError(t, run.hear(&m))
	}
	<-told
}
