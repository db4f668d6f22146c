package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// cgroups makes an empty folder where cgroup version 2 is mounted.
func cgroups(t *testing.T) string {
	t.Helper()
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var is unix.Statfs_t
		if unix.Statfs(mount, &is) != nil || is.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(mount, "ddgoose-test-")
		if err != nil || unix.Access(filepath.Join(dir, "cgroup.kill"), unix.W_OK) != nil {
			continue
		}
		t.Cleanup(func() { require.NoError(t, unix.Rmdir(dir)) })
		return dir
	}
	t.Skipf("SKIPPED: no cgroup version 2 can be made and killed here")
	return ""
}

// sleeper starts a process in a new cgroup.
func sleeper(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	require.NoError(t, os.Mkdir(dir, 0o755))
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have been killed
		_ = cmd.Wait()         // and awaited
		require.NoError(t, unix.Rmdir(dir))
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0))
	return cmd
}

func TestOnlyTheCgroupBesideAGuardIsKilled(t *testing.T) {
	root := cgroups(t)
	guard, work := sleeper(t, filepath.Join(root, "guard")), sleeper(t, filepath.Join(root, "work"))
	pid, dir := guard.Process.Pid, filepath.Join(root, "work")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(filepath.Dir(root), link))
	for _, other := range []string{root, filepath.Dir(root), "/", link, filepath.Join(dir, ".."), filepath.Join(root, "none")} {
		require.Nil(t, killerOf(pid, other), other)
	}
	require.Nil(t, killerOf(os.Getpid(), dir), "a process that is not the guard")
	require.Nil(t, killerOf(0, dir), "a process of another namespace")

	fake := t.TempDir()
	for _, name := range []string{"guard", "work"} {
		require.NoError(t, os.Mkdir(filepath.Join(fake, name), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(fake, "guard", "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(fake, "work", "cgroup.kill"), nil, 0o600))
	require.Nil(t, killerOf(pid, filepath.Join(fake, "work")), "files of any folder")

	require.NoError(t, killerOf(pid, dir)())
	var exit *exec.ExitError
	require.ErrorAs(t, work.Wait(), &exit)
	require.Equal(t, "signal: killed", exit.Error())
	require.NoError(t, unix.Kill(pid, 0), "the guard lives")
}
