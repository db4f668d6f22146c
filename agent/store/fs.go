package store

import (
	"io"
	"io/fs"
)

// FS is the little that a store needs of a file system. The real one is used
// when Open is given nil; package memfs has one in memory that crashes.
type FS interface {
	// MkdirAll makes a directory and its missing parents, durably. One that
	// exists is left as it is.
	MkdirAll(dir string, perm fs.FileMode) error
	// OpenFile opens like os.OpenFile, flags included. A missing file is fs.ErrNotExist.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename puts a file in another's place at once; durable after SyncDir.
	Rename(from, to string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes data and size durable: fdatasync(2). After a failure nothing
	// is known about what was written since the last success.
	Sync() error
	// Lock takes flock(2) without waiting; ErrLocked when another open file
	// has it. It ends with Close, or with the process.
	Lock() error
	// Close closes the file. It makes nothing durable.
	Close() error
}
