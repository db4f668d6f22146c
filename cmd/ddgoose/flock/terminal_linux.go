package flock

import (
	"os"

	"golang.org/x/sys/unix"
)

// calmTerminal keeps what is typed off the screen, and Ctrl-C from throwing
// away what is being drawn. What it gives takes that back.
func calmTerminal(f *os.File) (restore func()) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	calm := *old
	calm.Lflag &^= unix.ECHO
	calm.Lflag |= unix.NOFLSH
	if unix.IoctlSetTermios(fd, unix.TCSETSW, &calm) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETSW, old) } // gone: nothing to restore
}

// inForeground tells whether the terminal is ours: to change it from the
// background would stop us.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
