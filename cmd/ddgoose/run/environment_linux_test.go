package run

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestEnvironmentNamesTheElectionUnlessItIsTheDefault(t *testing.T) {
	t.Setenv("DDGOOSE_ELECTION", "another") // of a run that this one is below
	s := api.Status{Name: "a", FlockID: "f"}
	g := &guard{hello: hello{Work: Work{Socket: "a.sock", Election: "backup"}}}
	require.Contains(t, environment(g.variables(s, 9)), "DDGOOSE_ELECTION=backup")
	require.NotContains(t, environment(g.variables(s, 9)), "DDGOOSE_ELECTION=another")
	g.Election = ""
	for _, kv := range environment(g.variables(s, 9)) {
		require.NotContains(t, kv, "DDGOOSE_ELECTION")
	}
	require.Contains(t, environment(g.variables(s, 9)), "DDGOOSE_TOKEN=9")
}

func TestEnvironmentFileIsReplacedAsAWholeAndIsItsOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.env")
	require.NoError(t, os.WriteFile(path, []byte("of a former period\n"), 0o644))
	old, err := os.Open(path)
	require.NoError(t, err)
	defer old.Close()
	require.NoError(t, writeEnvironment(path, map[string]string{"DDGOOSE_TOKEN": "9", "DDGOOSE_NAME": "a", "DDGOOSE_ELECTION": ""}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "DDGOOSE_NAME=a\nDDGOOSE_TOKEN=9\n", string(text))
	now, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), now.Mode())
	was, err := old.Stat()
	require.NoError(t, err)
	require.False(t, os.SameFile(was, now), "a reader of the old one never sees half of each")
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestNothingStartsWithoutItsEnvironmentFile(t *testing.T) {
	f := alone(t)
	path := filepath.Join(f.dir, "env")
	p := f.start("a", []string{"--env-file", path}, "sh", "-c", `. "$0" && test "$DDGOOSE_TOKEN" = "$(sed -n s/^DDGOOSE_TOKEN=//p "$0")"`, path)
	require.Zero(t, f.ended(p), f.log())
	require.Equal(t, CodeNotRunable, f.ended(f.start("a", []string{"--env-file", filepath.Join(f.dir, "no", "env")}, "sh", "-c", "echo ran")))
	require.NotContains(t, f.log(), "ran\n")
}
