//go:build !linux && !darwin

package store

import "golang.org/x/sys/unix"

// syncData writes a file to the disk.
func syncData(fd int) error { return unix.Fsync(fd) }
