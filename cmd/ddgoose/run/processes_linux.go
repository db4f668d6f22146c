package run

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processes are the processes of a cgroup that another program made, of version 2 if
// possible, else of version 1. nil: none are known.
type processes struct {
	cgroup
	freezer string // the folder by which version 1 freezes them all; "": version 2, or there is none
	cpu     string // the folder with their share of the processors; "": it has none
}

func (p *processes) MarshalJSON() ([]byte, error) {
	return json.Marshal([]string{p.dir, p.freezer, p.cpu})
}

func (p *processes) UnmarshalJSON(text []byte) error {
	var dirs [3]string
	err := json.Unmarshal(text, &dirs)
	p.dir, p.freezer, p.cpu = dirs[0], dirs[1], dirs[2]
	return err
}

// findProcesses takes lines of /proc/PID/cgroup, the preferred first.
func findProcesses(lines ...string) *processes {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	p := &processes{}
	for _, line := range lines {
		dir := cgroupDir(string(mounts), line)
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil || dir == "" {
			continue
		}
		if p.dir == "" {
			p.dir = dir
		}
		if strings.Contains(line, ":freezer:") {
			p.freezer = dir
		}
		if hasShare(dir) {
			p.cpu = dir
		}
	}
	if p.dir == "" {
		return nil
	}
	return p
}

// killable reports whether kill can work.
func (p *processes) killable() bool {
	return p != nil && (os.Geteuid() == 0 || unix.Access(p.file("kill"), unix.W_OK) == nil)
}

// kill kills all processes at once. Without cgroup.kill (version 2, Linux 5.14), it freezes
// them, so that they start no others, and kills each. The next call finds any that were
// missed.
func (p *processes) kill() {
	if p == nil {
		return
	}
	defer func() {
		resetPriorities(p.folders())
		raiseShares((&cgroup{p.cpu}).folders())
	}()
	if p.cgroup.kill() {
		return
	}
	defer p.freeze()()
	killed := map[int]bool{}
	for more, looks := true, 0; more && looks < maxLooks; looks++ {
		more = false
		for _, pid := range p.list() {
			if !killed[pid] {
				killed[pid], more = true, true
				_ = unix.Kill(pid, unix.SIGKILL) // gone, or another user's: watch notices
			}
		}
	}
}

const (
	// freezeTries bounds the milliseconds to wait until all are frozen.
	freezeTries = 10
	// maxLooks is how often kill looks for processes that started before the freeze.
	maxLooks = 4
)

// freeze freezes all processes, as far as the kernel can; thaw lets the killed ones end.
func (p *processes) freeze() (thaw func()) {
	file, stop, start, state, stopped := p.file("freeze"), "1", "0", p.file("events"), "frozen 1"
	if _, err := os.Stat(file); err != nil {
		if p.freezer == "" {
			return func() {}
		}
		file = filepath.Join(p.freezer, "freezer.state")
		stop, start, state, stopped = "FROZEN", "THAWED", file, "FROZEN"
	}
	if os.WriteFile(file, []byte(stop), 0) != nil {
		return func() {}
	}
	for range freezeTries {
		if text, ok := readProc(state); !ok || strings.Contains(text, stopped) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return func() { _ = os.WriteFile(file, []byte(start), 0) } // it may be gone
}

// populated reports whether a process may be in the cgroup or below it.
func (p *processes) populated() bool {
	return p != nil && (p.cgroup.populated() || len(p.list()) > 0)
}

func (p *processes) list() (pids []int) {
	_ = filepath.WalkDir(p.dir, func(path string, _ fs.DirEntry, err error) error { // a removed folder has no processes
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
