package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/internal/nofollow"
)

// FS is the part of a file system that a store needs. Open uses the real one if it gets
// nil; package memfs has one in memory that loses what was not synced.
type FS interface {
	// MkdirAll makes a directory and its missing parents, durably. An existing
	// directory stays as it is.
	MkdirAll(dir string, perm fs.FileMode) error
	// OpenFile opens like os.OpenFile, flags included. A missing file is fs.ErrNotExist.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename atomically replaces a file by another. SyncDir makes that durable.
	Rename(from, to string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes data and size durable: fdatasync(2). After a failure, what was written
	// since the last success may be lost.
	Sync() error
	// Lock takes flock(2) without waiting. It returns ErrLocked if another open file
	// has the lock. Close, or the end of the process, releases it.
	Lock() error
	// Close closes the file. It makes nothing durable.
	Close() error
}

// osFS is the file system of this machine.
type osFS struct{}

type osFile struct{ *os.File }

var (
	_ FS   = osFS{}
	_ File = osFile{}
)

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := nofollow.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

// MkdirAll syncs the parent even if the directory exists: the process that made it may
// have been killed before its sync.
func (o osFS) MkdirAll(dir string, perm fs.FileMode) error {
	parent := filepath.Dir(dir)
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	case err == nil:
		// If the parent cannot be opened, another user owns it and made this directory.
		if err := o.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist) || parent == dir:
		return err
	}
	if err := o.MkdirAll(parent, perm); err != nil {
		return err
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.SyncDir(parent)
}

// SyncDir succeeds on file systems that cannot sync directories.
func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

func (f osFile) Sync() error { return f.control("fdatasync", syncData) }

func (f osFile) Lock() error {
	err := f.control("flock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s", ErrLocked, f.Name())
	}
	return err
}

// control runs a system call on the descriptor, and repeats it when a signal interrupts
// it.
func (f osFile) control(op string, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) {
		for done = call(int(fd)); done == unix.EINTR; {
			done = call(int(fd))
		}
	})
	if err == nil && done != nil {
		err = &fs.PathError{Op: op, Path: f.Name(), Err: done}
	}
	return err
}

// isAt reports whether path is this file; true if the system cannot tell.
func (f osFile) isAt(path string) bool {
	at, err := os.Lstat(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
	}
	own, err := f.Stat()
	return err != nil || os.SameFile(own, at)
}
