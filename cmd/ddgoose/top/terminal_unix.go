//go:build unix

package top

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inForeground reports whether this is a foreground job: a background job that changes
// the terminal is stopped.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// stopWait is how long a stop may take to have an effect. The kernel does not stop a
// process group that no shell could continue.
const stopWait = 250 * time.Millisecond

// stop stops this process group, as Ctrl-Z does, and returns when the shell continues it.
// The signal may arrive after Kill has returned; the terminal must not be opened before.
func stop() error {
	goOn := make(chan os.Signal, 1)
	signal.Notify(goOn, syscall.SIGCONT)
	defer signal.Stop(goOn)
	if err := syscall.Kill(0, syscall.SIGTSTP); err != nil {
		return err
	}
	select {
	case <-goOn:
	case <-time.After(stopWait):
	}
	return nil
}
