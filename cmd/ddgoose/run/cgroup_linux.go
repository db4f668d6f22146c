package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroup is a control group (version 2). One write kills all processes in it and below
// it, whatever their session, parent or user. nil: there is none.
//
//	the cgroup that run was started in
//	└── ddgoose-run-PID     run kills this one
//	    ├── guard
//	    └── work            the guard kills this one
type cgroup struct{ dir string }

// cgroupPrefix precedes the process id of the run that a cgroup belongs to.
const cgroupPrefix = "ddgoose-run-"

// newCgroup makes the cgroup of this run, and removes those of runs that were killed. What still lives there
// without a guard has outlived the agent, run and guard together: it is killed.
func newCgroup() (*cgroup, error) {
	parent, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	old, err := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix))
		if err == nil && (pid == os.Getpid() || unix.Kill(pid, 0) == unix.ESRCH) {
			c := &cgroup{dir}
			if !c.guard().populated() {
				c.kill()
			}
			c.remove()
		}
	}
	c := &cgroup{filepath.Join(parent, cgroupPrefix+strconv.Itoa(os.Getpid()))}
	if err := c.make(); err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Access(c.file("kill"), unix.W_OK), c.guard().make(), c.work().make()); err != nil {
		c.remove()
		return nil, fmt.Errorf("cgroup %s: %w", c.dir, err) // a kernel before 5.14 has no cgroup.kill
	}
	return c, nil
}

// ownCgroup finds the folder of this process's cgroup. A hybrid system mounts version 2
// beside version 1.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	return findCgroup(string(mounts), string(own))
}

// findCgroup reads the texts of /proc/self/mountinfo and /proc/self/cgroup.
func findCgroup(mounts, own string) (string, error) {
	for line := range strings.Lines(own) {
		if strings.HasPrefix(line, "0::") {
			if dir := cgroupDir(mounts, line); dir != "" {
				return dir, nil
			}
		}
	}
	return "", errors.New("no cgroup v2 hierarchy is mounted that this process is in")
}

// cgroupDir finds the folder of a line of /proc/PID/cgroup, of version 1 or 2; "": it is
// not mounted here.
func cgroupDir(mounts, line string) string {
	parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
	if len(parts) < 3 || strings.HasPrefix(parts[2], "/..") { // outside of this cgroup namespace
		return ""
	}
	system := "cgroup"
	controller, _, _ := strings.Cut(parts[1], ",") // all of a line are in one hierarchy
	if controller == "" {
		system = "cgroup2"
	}
	for line := range strings.Lines(mounts) {
		mount, what, _ := strings.Cut(line, " - ")
		at, is := strings.Fields(mount), strings.Fields(what)
		if len(at) < 5 || len(is) < 3 || is[0] != system || controller != "" && !slices.Contains(strings.Split(is[2], ","), controller) {
			continue
		}
		// Paths begin at the root of the hierarchy, mounted or not.
		if below, err := filepath.Rel(at[3], parts[2]); err == nil && filepath.IsLocal(below) {
			return filepath.Join(unescape.Replace(at[4]), below)
		}
	}
	return ""
}

// unescape undoes what the kernel does to a path in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func (c *cgroup) guard() *cgroup { return &cgroup{filepath.Join(c.dir, "guard")} }
func (c *cgroup) work() *cgroup  { return &cgroup{filepath.Join(c.dir, "work")} }

// path is empty when there is no cgroup.
func (c *cgroup) path() string {
	if c == nil {
		return ""
	}
	return c.dir
}

func (c *cgroup) file(name string) string { return filepath.Join(c.dir, "cgroup."+name) }

// make makes the folder, if it does not exist.
func (c *cgroup) make() error {
	if err := os.Mkdir(c.dir, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// open returns a file by which the kernel starts a process in the cgroup. After the cgroup
// is removed, the file is useless, even if a new cgroup has the same path.
func (c *cgroup) open() (*os.File, error) { return os.Open(c.dir) }

// kill kills everything in the cgroup at once, and reports whether the kernel did so.
func (c *cgroup) kill() bool {
	if c == nil {
		return false
	}
	fd, err := unix.Open(c.file("kill"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("1"))
	return err == nil
}

// populated reports whether a process may be in the cgroup or below it.
func (c *cgroup) populated() bool {
	if c == nil {
		return false
	}
	text, err := os.ReadFile(c.file("events"))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return !strings.Contains(string(text), "populated 0")
}

// count counts the processes in the cgroup, without those below it.
func (c *cgroup) count() (n int, ok bool) {
	if c == nil {
		return 0, false
	}
	text, ok := readProc(c.file("procs"))
	return strings.Count(text, "\n"), ok
}

// remove removes the cgroup and those that were made below it, unless something lives there.
func (c *cgroup) remove() {
	for _, dir := range slices.Backward(c.folders()) {
		_ = unix.Rmdir(dir) // the next run tries again
	}
}

// folders lists the cgroup and those that were made below it.
func (c *cgroup) folders() (dirs []string) {
	if c == nil {
		return nil
	}
	_ = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error { // what cannot be read is left out
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs
}
