package store

import "golang.org/x/sys/unix"

// syncData writes a file's data and size to the disk, but not its times.
func syncData(fd int) error { return unix.Fdatasync(fd) }
