package run

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is what was last seen of a descendant.
type process struct {
	pid, parent, group, threads int
	dead                        bool // but not reaped
}

// walk visits all descendants of self, parents before their children, so that a process that
// forks is killed before its children. It lists the children before the visit, because a
// killed process loses them. It may miss processes that start meanwhile: call it again.
func walk(self int, visit func(process)) {
	children := childrenByTask
	if !listsChildren() {
		children = childrenByScan()
	}
	ours := map[int]bool{self: true}
	me, _ := look(self)
	for next := children(me); len(next) > 0; next = next[1:] {
		p, ok := look(next[0])
		if !ok || ours[p.pid] || !ours[p.parent] { // gone, and its id may be reused
			continue
		}
		ours[p.pid] = true
		next = append(next, children(p)...)
		visit(p)
	}
}

// listsChildren reports whether the kernel lists the children of a thread: it has
// CONFIG_PROC_CHILDREN.
func listsChildren() bool {
	_, err := os.Stat("/proc/thread-self/children")
	return err == nil
}

// childrenByTask asks the kernel for the children of each thread.
func childrenByTask(p process) (children []int) {
	dir := "/proc/" + strconv.Itoa(p.pid) + "/task/"
	lists := []string{dir + strconv.Itoa(p.pid) + "/children"}
	if p.threads != 1 {
		var err error
		if lists, err = filepath.Glob(dir + "*/children"); err != nil {
			return nil
		}
	}
	for _, list := range lists {
		text, ok := readProc(list)
		if !ok {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(text) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// readProc reads a file of /proc with as few system calls as possible, so that a thousand
// processes can be killed quickly. false: the process is gone.
func readProc(path string) (string, bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var text []byte
	for buf := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return string(text), err == nil
		}
		text = append(text, buf[:n]...)
	}
}

// childrenByScan reads all of /proc once.
func childrenByScan() func(process) []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return func(process) []int { return nil }
	}
	byParent := map[int][]int{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, ok := look(pid); ok {
			byParent[p.parent] = append(byParent[p.parent], pid)
		}
	}
	return func(p process) []int { return byParent[p.pid] }
}

// look reads what a process is; false: it is gone.
func look(pid int) (process, bool) {
	text, ok := readProc("/proc/" + strconv.Itoa(pid) + "/stat")
	if !ok {
		return process{}, false
	}
	// The name in parentheses may contain anything: the fields begin after the last parenthesis.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 18 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	threads, err3 := strconv.Atoi(fields[17])
	dead := fields[0] == "Z" && threads <= 1 // its other threads may end later
	return process{pid, parent, group, threads, dead}, errors.Join(err1, err2, err3) == nil
}

// target is a descendant that was found alive, to be signalled. The descriptor is its own: its
// number may pass to another process.
type target struct {
	process
	fd int // -1: a kernel without pidfd_open(2), or too many files are open
}

// findAll finds everything alive below this process.
func findAll() (found []target) {
	self := os.Getpid()
	walk(self, func(p process) {
		if p.dead {
			return
		}
		t, alive := aim(p)
		if now, ok := look(p.pid); !alive || !ok || now.parent != p.parent && now.parent != self { // gone
			t.close()
			return
		}
		found = append(found, t)
	})
	return found
}

// aim opens a process; false: it is gone.
func aim(p process) (t target, alive bool) {
	fd, err := unix.PidfdOpen(p.pid, unix.O_CLOEXEC)
	if err != nil {
		fd = -1
	}
	return target{p, fd}, !errors.Is(err, unix.ESRCH)
}

func (t *target) close() {
	if t.fd >= 0 {
		_ = unix.Close(t.fd)
	}
}

// signal signals a process that may be gone, or another user's: whoever waits sees that.
func (t *target) signal(sig unix.Signal) error {
	if t.fd < 0 {
		return unix.Kill(t.pid, sig)
	}
	return unix.PidfdSendSignal(t.fd, sig, nil, 0)
}

// signalAll signals every descendant once, and returns how many it found. It signals process
// groups that descendants made, and the started one, as a whole: a process that forks in a
// group cannot escape. led: the first process of the started group is not reaped yet, so the
// group's id is not reused.
//
// It finds all before it signals any. Reading /proc of a dying process waits until that process
// has ended, which needs processor time: at a low priority, on a busy machine, half a second.
func signalAll(started int, led bool, sigs ...unix.Signal) (found int) {
	reached := map[int]bool{}
	group := func(g int) {
		for _, sig := range sigs {
			reached[g] = unix.Kill(-g, sig) == nil // false: it has ended by itself
		}
	}
	targets := findAll()
	if sigs[0] == unix.SIGKILL {
		for _, t := range targets {
			resetPriority(t.process)
		}
	}
	if led {
		group(started)
	}
	for _, t := range targets {
		if !reached[t.group] && (t.group == t.pid && t.signal(0) == nil || t.group == started && led) {
			group(t.group)
		}
		if !reached[t.group] {
			for _, sig := range sigs {
				_ = t.signal(sig)
			}
		}
		t.close()
	}
	return len(targets)
}

// killChildren kills the children of this process and their groups, and looks at none of them
// in /proc. What they leave behind becomes a child of this process.
func killChildren() {
	for _, pid := range childrenByTask(process{pid: os.Getpid()}) {
		t, alive := aim(process{pid: pid})
		if alive && isChild(pid) {
			if group, err := unix.Getpgid(pid); err == nil && group == pid {
				_ = unix.Kill(-pid, unix.SIGKILL)
			}
			_ = t.signal(unix.SIGKILL)
		}
		t.close()
	}
}

// isChild tells whether a number is that of a child of this process. It may be dead.
func isChild(pid int) bool {
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil) == nil
}
