package memfs

import (
	"io"

	"duckduckgoose/agent/store"
)

// file is an open file.
type file struct {
	fs     *FS
	inode  *inode
	name   string
	life   int
	closed bool
}

var _ store.File = (*file)(nil)

func (i *inode) change(cs ...change) {
	for _, c := range cs {
		i.live.apply(c)
	}
	i.changes = append(i.changes, cs...)
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	cut, err := f.operation()
	if err != nil || cut {
		return 0, f.done("read", cut, err)
	}
	n := f.inode.live.readAt(b, off)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes a part of b if it fails.
func (f *file) WriteAt(b []byte, off int64) (n int, err error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	usable := f.usable()
	cut, err := f.operation()
	if usable {
		if n = len(b); err != nil {
			n = f.fs.rng.IntN(n + 1)
		}
		f.inode.change(f.inode.live.writes(b[:n], off)...)
	}
	return n, f.done("write", cut, err)
}

func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	usable := f.usable()
	cut, err := f.operation()
	if usable && !cut {
		kept := f.inode.changes
		if err != nil {
			kept = choose(f.fs.rng, kept)
		}
		f.inode.flush(kept)
	}
	return f.done("sync", cut, err)
}

// flush writes the kept changes to the disk, and forgets all others.
func (i *inode) flush(kept []change) {
	for _, c := range kept {
		i.disk.apply(c)
	}
	i.changes = nil
}

func (f *file) Lock() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	cut, err := f.operation()
	if err != nil || cut {
		return f.done("lock", cut, err)
	}
	if h := f.inode.holder; h != nil && h != f && h.usable() {
		return f.done("lock", false, store.ErrLocked)
	}
	f.inode.holder = f
	return nil
}

// Close releases the lock. It never fails, and is no operation.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}

// usable reports whether the file is open, and was opened after the last crash.
func (f *file) usable() bool { return !f.closed && f.life == f.fs.life && f.fs.dead == nil }

func (f *file) done(op string, cut bool, err error) error { return f.fs.done(op, f.name, cut, err) }
