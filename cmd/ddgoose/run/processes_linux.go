package run

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processes are those of a cgroup that another program made, of version 1 where it
// is nowhere else. nil: none are known.
type processes struct{ cgroup }

// findProcesses takes lines as those of /proc/PID/cgroup, the best first.
func findProcesses(lines ...string) *processes {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for _, line := range lines {
		p := &processes{cgroup{cgroupDir(string(mounts), line)}}
		if _, err := os.Stat(p.file("procs")); err == nil && p.dir != "" {
			return p
		}
	}
	return nil
}

// killable tells whether kill can work.
func (p *processes) killable() bool {
	return p != nil && (os.Geteuid() == 0 || unix.Access(p.file("kill"), unix.W_OK) == nil)
}

// kill kills all at once. Without cgroup.kill, which is of version 2 and Linux 5.14,
// it kills what it finds; what is born meanwhile the next call finds.
func (p *processes) kill() {
	if p == nil || p.cgroup.kill() {
		return
	}
	for _, pid := range p.list() {
		_ = unix.Kill(pid, unix.SIGKILL) // gone, or another user's: seen by who waits
	}
}

// populated tells whether a process may live in the cgroup or below it.
func (p *processes) populated() bool {
	return p != nil && (p.cgroup.populated() || len(p.list()) > 0)
}

func (p *processes) list() (pids []int) {
	_ = filepath.WalkDir(p.dir, func(path string, _ fs.DirEntry, err error) error { // what is gone holds nothing
		if err != nil || filepath.Base(path) != "cgroup.procs" {
			return nil
		}
		text, _ := readProc(path)
		for _, word := range strings.Fields(text) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() { // 0: out of this pid namespace
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}
