package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestProcessFailedSaveEndsTheAgent(t *testing.T) {
	t.Parallel()
	a := startAgent(t, shortDir(t), "a")
	a.until("goose", isGoose)
	// No write to a file succeeds from now on.
	require.NoError(t, unix.Prlimit(a.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil))
	b := startAgent(t, shortDir(t), "b", "--join", a.addr(), "--priority", "200")
	c := startAgent(t, shortDir(t), "c", "--join", a.addr())
	// With three of them there are voters to add, which is to be saved.
	require.Equal(t, 1, a.exit(), a.log)
	require.Contains(t, a.log.String(), "ddgoose: ")
	require.Contains(t, a.log.String(), "file too large")
	require.False(t, closed(b.gone), b.log)
	require.False(t, closed(c.gone), c.log)
}

func TestProcessFullDiskIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: making a small disk needs root")
	}
	dir := shortDir(t)
	disk := filepath.Join(dir, "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("SKIPPED: no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(disk, 0)) })
	require.NoError(t, os.WriteFile(filepath.Join(disk, "filler"), make([]byte, 1<<20), 0o600))
	p := startAgent(t, dir, "a", "--data-dir", filepath.Join(disk, "a"))
	require.Contains(t, refused(t, p), "no space left on the disk of "+disk)
	require.NoError(t, os.Remove(filepath.Join(disk, "filler")))
	p.data = filepath.Join(disk, "a")
	p.start()
	p.until("goose, once there is space", isGoose)
	p.signal(unix.SIGTERM)
	require.Zero(t, p.exit(), p.log)
}
