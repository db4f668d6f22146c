package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/keys"
)

func TestKeyFileIsReadByNew(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	cfg := Config{Name: "a", DataDir: filepath.Join(dir, "data"), Socket: NoSocket, KeyFile: file}
	_, err := New(cfg)
	var missing *keys.NoFileError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, file, missing.Path)
	require.NoError(t, os.WriteFile(file, []byte("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n"), 0o644))
	_, err = New(cfg)
	require.ErrorContains(t, err, "every user can read it (mode 0644): run chmod 600 "+file)
	require.NoError(t, os.Chmod(file, 0o600))
	a, err := New(cfg)
	require.NoError(t, err)
	require.Len(t, a.cfg.Keys, 1)
	require.NoError(t, a.Close())
}
