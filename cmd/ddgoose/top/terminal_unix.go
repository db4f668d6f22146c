//go:build unix

package top

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// inForeground tells whether the terminal is ours: to change it from the
// background would stop us.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// stop stops this process and those that the shell started with it, as the
// terminal's own key does, until the shell lets them go on.
func stop() error { return syscall.Kill(0, syscall.SIGTSTP) }
