package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// founded returns the data directory of a stopped agent that was the goose of its own flock.
func founded(t *testing.T, name string) string {
	t.Helper()
	dir := shortDir(t)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "a.sock")
	ctx, stop := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- ddgoose(ctx, []string{"agent", "--name", name, "--bind", "127.0.0.1:0", "--data-dir", data, "--socket", socket, "--insecure"}, nil, nil, &stderr)
	}()
	got := run(t, "wait", "--for", "goose", "--socket", socket, "--timeout", soon.String())
	locked := run(t, "recover", "--keep", name, "--data-dir", data, "--yes")
	stop()
	require.Zero(t, <-code, stderr.String())
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, outcome{code: 1, stderr: "ddgoose: an agent runs on data directory " + data + ": stop it first, then recover\n"}, locked)
	return data
}

func TestRecoverAsksExplainsAndRepeatsNothing(t *testing.T) {
	data := founded(t, "a")
	for _, answer := range []string{"", "no\n", "y\n", "YES\n"} {
		got := runWith(t, answer, "recover", "--keep", "a", "--data-dir", data)
		require.Equal(t, 1, got.code, answer)
		require.Contains(t, got.stderr, "DANGER: if agents that are not kept still run")
		require.Contains(t, got.stderr, "voters after:  a\n")
		require.Contains(t, got.stderr, "ddgoose: not confirmed: nothing was changed")
		require.Empty(t, got.stdout)
	}
	got := runWith(t, "yes\n", "recover", "--keep", "a", "--data-dir", data)
	require.Zero(t, got.code, got.stderr)
	require.True(t, strings.HasPrefix(got.stdout, "recovered "+data+": generation 1 with voters a;"), got.stdout)
	for _, same := range []string{"a", "a:100"} {
		got = run(t, "recover", "--keep", same, "--data-dir", data)
		require.Zero(t, got.code)
		require.Contains(t, got.stdout, "nothing to do")
		require.Empty(t, got.stderr)
	}
	got = runWith(t, "yes\n", "recover", "--keep", "a:7", "--data-dir", data)
	require.Contains(t, got.stderr, "voters now:    a\n  voters after:  a:7\n")
	require.True(t, strings.HasPrefix(got.stdout, "recovered "+data+": generation 2 with voters a:7;"), got.stdout)
}

func TestRecoverRefusesWhatCannotBe(t *testing.T) {
	data := founded(t, "a")
	got := run(t, "recover", "--keep", "a,nobody", "--data-dir", data, "--yes")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, `this disk knows no agent "nobody", only a`)
	got = run(t, "recover", "--keep", "a", "--data-dir", shortDir(t), "--yes")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "no agent has kept its state here: name the right directory with --data-dir")
	t.Setenv("DDGOOSE_DATA_DIR", data)
	got = run(t, "recover", "--keep", "a", "--yes")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, data)
	for _, changed := range []string{"false", "true"} {
		if changed == "true" {
			data = founded(t, "a")
		}
		got = run(t, "recover", "--keep", "a", "--data-dir", data, "--yes", "--json")
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, `{"data_dir":"`+data+`","generation":1,"voters":["a"],"changed":`+changed+"}\n", got.stdout)
	}
}
