package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestProbeTellsByItsExitCode(t *testing.T) {
	a, socket := fake(t)
	probe := func(args ...string) outcome {
		return run(t, append([]string{"probe", "--socket", socket, "--timeout", soon.String()}, args...)...)
	}
	require.Equal(t, outcome{}, probe("goose"))
	require.Equal(t, outcome{code: 1, stderr: "ddgoose: not a duck\n"}, probe("duck"))
	require.Equal(t, outcome{}, probe("healthz"))
	require.Equal(t, outcome{stdout: `{"role":"goose","goose":"a","token":7}` + "\n"}, probe("readyz", "--json"))
	require.Equal(t, outcome{code: 1, stdout: `{"role":"goose","goose":"a","token":7,"error":"not a duck"}` + "\n"}, probe("duck", "--json"))

	a.Sicken(errors.New("the loop has not run for 1s"))
	require.Equal(t, outcome{code: 1, stderr: "ddgoose: the loop has not run for 1s\n"}, probe("healthz"))
	a.Change(func(s *api.Status) { s.Role, s.Goose = api.RoleDuck, nil })
	require.Equal(t, outcome{code: 1, stderr: "ddgoose: knows no live goose\n"}, probe("readyz"))
}

func TestProbeThatCannotTellIsTwo(t *testing.T) {
	socket := filepath.Join(shortDir(t), "a.sock")
	got := run(t, "probe", "healthz", "--socket", socket)
	require.Equal(t, 2, got.code)
	require.Contains(t, got.stderr, "no agent answers at "+socket)
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: question \"swan\": want one of goose duck healthz readyz\n"}, run(t, "probe", "swan"))
	require.Equal(t, 2, run(t, "probe").code)
}
