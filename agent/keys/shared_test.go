package keys_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/keys"
)

func TestAgentsThatStartAtOnceShareOneKey(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	var wg sync.WaitGroup
	got := make([][][]byte, 16)
	errs := make([]error, len(got))
	for i := range got {
		wg.Go(func() { _, got[i], errs[i] = keys.Shared(folder) })
	}
	wg.Wait()
	for i := range got {
		require.NoError(t, errs[i])
		require.Len(t, got[i], 1)
		require.Equal(t, got[0], got[i])
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file stays")
	info, err := left[0].Info()
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
}

func TestASharedKeyThatOthersReachIsRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o640, 0o620, 0o604, 0o602} {
		folder := t.TempDir()
		path, _, err := keys.Shared(folder)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(path, mode))
		_, _, err = keys.Shared(folder)
		require.ErrorContains(t, err, "other users can read or write it")
	}
	folder := t.TempDir()
	path, _, err := keys.Shared(folder)
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".theirs"))
	require.NoError(t, os.Symlink(path+".theirs", path))
	_, _, err = keys.Shared(folder)
	require.ErrorContains(t, err, "plain file", "a link leads to a file of somebody else's choice")
}

func TestASharedKeyThatCannotBeMadeNamesTheRemedies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err := keys.Shared(filepath.Join(file, "folder"))
	require.ErrorContains(t, err, "--key-file")
	require.ErrorContains(t, err, "--insecure")
	require.False(t, strings.Contains(err.Error(), "\n"), "one line")
}
