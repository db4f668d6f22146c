package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// killerOf returns a function that kills the work of a process: the cgroup dir, which
// must be beside the process's own cgroup named guard. nil: this agent cannot kill it.
// In another mount namespace, such as a container's, a path may mean another cgroup.
func killerOf(pid int, dir string) func() error {
	dir, err := filepath.EvalSymlinks(dir) // there are none below here
	var is unix.Statfs_t
	if err != nil || unix.Statfs(dir, &is) != nil || is.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	guards, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "guard", "cgroup.procs"))
	if err != nil || pid <= 0 || !slices.Contains(strings.Fields(string(guards)), strconv.Itoa(pid)) {
		return nil
	}
	file := filepath.Join(dir, "cgroup.kill")
	if unix.Access(file, unix.W_OK) != nil {
		return nil
	}
	return func() error {
		fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			return nil // nothing is left of it
		}
		if err != nil {
			return err
		}
		_, err = unix.Write(fd, []byte("1"))
		return errors.Join(err, unix.Close(fd))
	}
}
