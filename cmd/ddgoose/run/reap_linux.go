package run

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stuckWait is how long a call of wait4(2) may take before another thread also calls it.
	stuckWait = 2 * time.Millisecond
	// maxWaits bounds the threads that call it.
	maxWaits = 4
	// dropped is the status of a child whose own the kernel dropped: as if killed, with a bit that
	// no status of wait4 has.
	dropped = syscall.WaitStatus(unix.SIGKILL) | 1<<31
)

// reaper takes the status of dead children. wait4(2) was seen to take a quarter of a second:
// while another process reads the dead process's files in /proc, the kernel waits for it in a
// busy loop, and that process may get no processor. Meanwhile another thread finds out which
// other children are dead, and whether one is alive.
type reaper struct {
	news  chan struct{} // capacity 1: something has ended
	empty atomic.Bool   // no child is left, so no descendant is
	alive atomic.Bool   // the last wait4 found a live child; false: it found dead ones
	group atomic.Int64  // of what was started last
	led   atomic.Bool   // its first process has not been reaped

	mu struct { // guards what follows
		sync.Mutex
		waits  int                             // threads in wait4
		moved  time.Time                       // when one of them last called or returned
		again  bool                            // something may have ended since they called
		starts int                             // finished starts: an earlier call of wait4 does not know the newest child
		early  map[int]syscall.WaitStatus      // ends during a start; nil: none is under way
		exits  map[int]chan syscall.WaitStatus // of what was started
	}
}

func newReaper() *reaper {
	r := &reaper{news: make(chan struct{}, 1)}
	r.mu.exits = map[int]chan syscall.WaitStatus{}
	r.empty.Store(true)
	return r
}

// reap takes the status of all children that have ended, and does not wait.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.waits == maxWaits || r.mu.waits > 0 && time.Since(r.mu.moved) < stuckWait {
		r.mu.again = true
		return
	}
	r.mu.waits++
	r.mu.moved = time.Now()
	go r.wait()
}

func (r *reaper) wait() {
	defer tell(r.news)
	for {
		r.mu.Lock()
		starts := r.mu.starts
		r.mu.again = false
		r.mu.Unlock()
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|unix.WALL, nil)
		if r.answered(starts, pid, status, err) {
			return
		}
	}
}

// answered handles a result of wait4, and reports whether to stop calling it.
func (r *reaper) answered(starts, pid int, status syscall.WaitStatus, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.moved = time.Now()
	switch {
	case err == syscall.EINTR:
		return false
	case pid > 0:
		r.alive.Store(false)
		r.died(pid, status)
		return false
	case err == nil:
		r.alive.Store(true)
	case err == syscall.ECHILD && starts == r.mu.starts && r.mu.early == nil:
		r.empty.Store(true)
		if r.mu.waits == 1 { // no other thread has a status
			r.missed()
		}
	}
	if r.mu.again {
		return false
	}
	r.mu.waits--
	return true
}

// died records the end of a child. The caller holds the lock.
func (r *reaper) died(pid int, status syscall.WaitStatus) {
	if int64(pid) == r.group.Load() {
		r.led.Store(false)
	}
	if exit, ours := r.mu.exits[pid]; ours {
		exit <- status
		delete(r.mu.exits, pid)
	} else if r.mu.early != nil {
		r.mu.early[pid] = status
	}
}

// missed counts children that the kernel dropped without a status as killed. The caller holds
// the lock.
func (r *reaper) missed() {
	for pid := range r.mu.exits {
		r.died(pid, dropped)
	}
}

// startChild calls fork, and returns the channel for the child's status. Calls must not overlap.
func (r *reaper) startChild(fork func() (pid int, err error)) (pid int, exit <-chan syscall.WaitStatus, err error) {
	r.mu.Lock()
	r.mu.early = map[int]syscall.WaitStatus{}
	was := r.empty.Swap(false)
	r.mu.Unlock()
	pid, err = fork()
	r.mu.Lock()
	defer r.mu.Unlock()
	early := r.mu.early
	r.mu.early = nil
	r.mu.starts++
	if err != nil {
		r.empty.Store(was)
		return 0, nil, err
	}
	c := make(chan syscall.WaitStatus, 1)
	r.mu.exits[pid] = c
	r.group.Store(int64(pid))
	r.led.Store(true)
	if status, ended := early[pid]; ended {
		r.died(pid, status)
	}
	return pid, c, nil
}
