package memfs

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"duckduckgoose/agent/store"
)

// The errors of all operations after a crash.
var (
	ErrPowerCut = errors.New("power cut")
	ErrKilled   = errors.New("process was killed")
)

// FS is a disk and its machine. It is safe for concurrent use, but only the same order of
// calls gives the same run.
type FS struct {
	mu    sync.Mutex
	rng   *rand.Rand
	live  names    // as the running machine sees the names
	disk  names    // as they are durable
	moves []naming // from disk to live, in order
	dirs  map[string]bool
	life  int   // grows with every crash: files opened before are unusable
	dead  error // the error of all operations; nil: they work
	ops   int
	cutAt int
	fault func(op int) error
}

type names map[string]*inode

// naming gives a file a name, and removes its former one.
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

// New returns an empty disk.
func New(seed uint64) *FS {
	return &FS{rng: rand.New(rand.NewPCG(seed, 0)), live: names{}, disk: names{}, dirs: map[string]bool{}}
}

// MkdirAll makes a directory, at once and durably.
func (d *FS) MkdirAll(dir string, _ fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	if err == nil {
		d.dirs[filepath.Clean(dir)] = true
	}
	return d.done("mkdir", dir, cut, err)
}

// OpenFile opens or makes a file.
func (d *FS) OpenFile(name string, flag int, _ fs.FileMode) (store.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	name = filepath.Clean(name)
	f := d.live[name]
	switch {
	case err != nil:
	case f == nil && (flag&os.O_CREATE == 0 || !d.dirs[filepath.Dir(name)]):
		err = fs.ErrNotExist
	case f == nil:
		f = &inode{}
		d.name(naming{to: name, file: f})
	case flag&os.O_TRUNC != 0:
		f.change(change{index: -1})
	}
	if err := d.done("open", name, cut, err); err != nil {
		return nil, err
	}
	return &file{fs: d, inode: f, name: name, life: d.life}, nil
}

// Rename moves a file to another name.
func (d *FS) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	from, to = filepath.Clean(from), filepath.Clean(to)
	switch f := d.live[from]; {
	case err != nil:
	case f == nil:
		err = fs.ErrNotExist
	default:
		d.name(naming{from: from, to: to, file: f})
	}
	return d.done("rename", from, cut, err)
}

// SyncDir makes the names in a directory durable.
func (d *FS) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut, err := d.operation(d.life)
	dir = filepath.Clean(dir)
	if err == nil && !cut {
		d.moves = slices.DeleteFunc(d.moves, func(m naming) bool {
			if filepath.Dir(m.to) != dir {
				return false
			}
			d.disk.apply(m)
			return true
		})
	}
	return d.done("sync", dir, cut, err)
}

func (d *FS) name(m naming) {
	d.live.apply(m)
	d.moves = append(d.moves, m)
}
