package memfs

import (
	"cmp"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"duckduckgoose/agent/store"
)

// What operations fail with after a crash.
var (
	ErrPowerCut = errors.New("power cut")
	ErrKilled   = errors.New("process was killed")
)

// FS is a disk, and the machine around it. It is safe for concurrent use, but
// the same run again needs the same order of calls.
type FS struct {
	mu    sync.Mutex
	rng   *rand.Rand
	live  names    // as the running machine sees the names
	disk  names    // as they are durable
	moves []naming // from disk to live, in order
	dirs  map[string]bool
	life  int   // grows with every crash: files opened before are dead
	dead  error // why nothing works; nil: all does
	ops   int
	cutAt int
	fault func(op int) error
}

type names map[string]*inode

// naming puts a file under a name, after taking it from another one.
type naming struct {
	from, to string
	file     *inode
}

func (n names) apply(m naming) {
	delete(n, m.from)
	n[m.to] = m.file
}

// inode is a file without its name.
type inode struct {
	live, disk image
	changes    []change // from disk to live, in order
	holder     *file    // has the lock
}

var _ store.FS = (*FS)(nil)

// New gives an empty disk.
func New(seed uint64) *FS {
	return &FS{rng: rand.New(rand.NewPCG(seed, 0)), live: names{}, disk: names{}, dirs: map[string]bool{}}
}

// MkdirAll makes a directory, at once and durably.
func (d *FS) MkdirAll(dir string, _ fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	if err != nil {
		return pathError("mkdir", dir, err)
	}
	d.dirs[filepath.Clean(dir)] = true
	return d.finish(cut)
}

// OpenFile opens or makes a file.
func (d *FS) OpenFile(name string, flag int, _ fs.FileMode) (store.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	name = filepath.Clean(name)
	f := d.live[name]
	switch {
	case f == nil && (flag&os.O_CREATE == 0 || !d.dirs[filepath.Dir(name)]):
		return nil, pathError("open", name, cmp.Or(d.finish(cut), fs.ErrNotExist))
	case f == nil:
		f = &inode{}
		d.name(naming{to: name, file: f})
	case flag&os.O_TRUNC != 0:
		f.change(change{index: -1})
	}
	if err := d.finish(cut); err != nil {
		return nil, pathError("open", name, err)
	}
	return &file{fs: d, inode: f, name: name, life: d.life}, nil
}

// Rename moves a file to another name.
func (d *FS) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	if err != nil {
		return pathError("rename", from, err)
	}
	from, to = filepath.Clean(from), filepath.Clean(to)
	f := d.live[from]
	if f == nil {
		return pathError("rename", from, cmp.Or(d.finish(cut), fs.ErrNotExist))
	}
	d.name(naming{from: from, to: to, file: f})
	if err := d.finish(cut); err != nil {
		return pathError("rename", from, err)
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func (d *FS) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	if err != nil || cut {
		return pathError("sync", dir, errors.Join(err, d.finish(cut)))
	}
	dir = filepath.Clean(dir)
	d.moves = slices.DeleteFunc(d.moves, func(m naming) bool {
		if filepath.Dir(m.to) != dir {
			return false
		}
		d.disk.apply(m)
		return true
	})
	return nil
}

func (d *FS) name(m naming) {
	d.live.apply(m)
	d.moves = append(d.moves, m)
}

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}
