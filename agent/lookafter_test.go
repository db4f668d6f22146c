package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/store"
)

// shortFolder returns a folder whose paths fit a unix socket.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ddg")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func TestSocketFileThatWasRemovedIsMadeAgain(t *testing.T) {
	socket := filepath.Join(shortFolder(t), "run", "a.sock")
	a, stop := runReal(t, Config{Name: "a", Bind: "127.0.0.1:0", Socket: socket})
	apitest.Eventually(t, isGoose(a), "a goose")
	c := client.New(socket)
	for range 2 {
		_, err := c.Status(t.Context())
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(filepath.Dir(socket)))
		apitest.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), fileLook)
			defer cancel()
			s, err := c.Status(ctx)
			return err == nil && s.Name == "a"
		}, "it answers again")
		info, err := os.Stat(socket)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.NoError(t, stop())
	require.NoFileExists(t, socket)
}

func TestAgentWhoseDataDirectoryWasRemovedStops(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := New(Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: NoSocket, Profile: "wan"})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	apitest.Eventually(t, isGoose(a), "a goose")
	require.NoError(t, os.RemoveAll(dir))
	require.ErrorIs(t, <-ended, store.ErrLost)
	require.NoDirExists(t, dir, "it is not made again by an agent that ends")
}
