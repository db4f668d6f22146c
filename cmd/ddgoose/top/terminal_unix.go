//go:build unix

package top

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inForeground tells whether the terminal is ours: to change it from the
// background would stop us.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// stopWait is how long a stop may take to strike. Without a shell that could let
// us go on, the kernel does not stop us at all.
const stopWait = 250 * time.Millisecond

// stop stops this process group, as the terminal's own key does, and returns when
// the shell lets it go on. The signal may strike after Kill has returned, and until
// then the terminal must not be taken back.
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
