package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
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

// raise sets the mark on the disk of a stopped agent.
func raise(t *testing.T, data string, mark uint64) {
	t.Helper()
	disk, err := store.Open(data, nil)
	require.NoError(t, err)
	st := disk.State()
	rec, _ := st.Record()
	rec.Mark = mark
	require.NoError(t, disk.Save(st.WithRecord(rec)))
	require.NoError(t, disk.Settle())
	require.NoError(t, disk.Close())
}

func markOn(t *testing.T, data string) uint64 {
	t.Helper()
	disk, err := store.Open(data, nil)
	require.NoError(t, err)
	st := disk.State()
	rec, _ := st.Record()
	require.NoError(t, disk.Close())
	return rec.Mark
}

func TestRecoverSetsAMarkOnlyIfTold(t *testing.T) {
	data := founded(t, "a")
	raise(t, data, 41)
	got := run(t, "recover", "--keep", "a", "--data-dir", data, "--yes")
	require.Zero(t, got.code, got.stderr)
	require.EqualValues(t, 41, markOn(t, data))

	raise(t, data, election.MaxMark) // as a forged message can
	for _, yes := range []string{"--yes", "--json"} {
		got = run(t, "recover", "--keep", "a:50", "--data-dir", data, yes)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "the mark is 9007199254740991, of at most 9007199254740991: if your programs raised it so far, keep it with --mark 9007199254740991; else")
		require.Equal(t, uint64(election.MaxMark), markOn(t, data))
	}
	for _, bad := range []string{"-1", "9007199254740992", "x"} {
		got = run(t, "recover", "--keep", "a", "--data-dir", data, "--mark", bad)
		require.Equal(t, 2, got.code)
		require.Contains(t, got.stderr, "want a number from 0 to 9007199254740991")
	}
	got = runWith(t, "yes\n", "recover", "--keep", "a", "--data-dir", data, "--mark", "12")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stderr, "  mark now:      9007199254740991\n  mark after:    12\n")
	require.Contains(t, got.stdout, "generation 2 with voters a;")
	require.EqualValues(t, 12, markOn(t, data))

	raise(t, data, 13)
	got = run(t, "recover", "--keep", "a", "--data-dir", data, "--mark", "12", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, `{"data_dir":"`+data+`","generation":2,"voters":["a"],"mark":13,"changed":false}`+"\n", got.stdout, "the same again changes nothing")
	require.EqualValues(t, 13, markOn(t, data))

	raise(t, data, election.MaxMark) // once more
	for range 2 {
		got = run(t, "recover", "--keep", "a", "--data-dir", data, "--mark", "12", "--yes", "--json")
		require.Zero(t, got.code, got.stderr)
		require.Contains(t, got.stdout, `"generation":3,"voters":["a"],"mark":12,`, "what was used up again is set back again")
		require.EqualValues(t, 12, markOn(t, data))
	}
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
		require.Equal(t, `{"data_dir":"`+data+`","generation":1,"voters":["a"],"mark":0,"changed":`+changed+"}\n", got.stdout)
	}
}
