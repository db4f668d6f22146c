package flock

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Spawner starts processes from one thread that lives as long as the flock: the
// kernel's parent-death signal comes when the thread that started a process ends.
type Spawner struct {
	jobs chan func()
	done chan struct{}
}

// NewSpawner starts the thread.
func NewSpawner() *Spawner {
	s := &Spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// Start starts a process that dies with this one, or with the Spawner.
func (s *Spawner) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithParent(cmd.SysProcAttr)
	result := make(chan error, 1)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// Close ends the thread; the kernel then kills its processes that still run.
func (s *Spawner) Close() {
	close(s.jobs)
	<-s.done
}
