package memfs

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
)

// Every call on the FS and its files but Close is an operation. They are
// counted from 1; a call after a crash counts too.

// Ops returns the number of operations so far.
func (d *FS) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// CutAt cuts the power in the middle of operation n, counted like Ops; 0: never.
func (d *FS) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = n
}

// FailAt makes operation n fail with err, and no other.
func (d *FS) FailAt(n int, err error) {
	d.Fail(func(op int) error {
		if op == n {
			return err
		}
		return nil
	})
}

// FailFrom makes operation n and all later ones fail with err.
func (d *FS) FailFrom(n int, err error) {
	d.Fail(func(op int) error {
		if op >= n {
			return err
		}
		return nil
	})
}

// Fail makes each operation fail with the error that rule returns for it; a nil rule fails
// none. A write or sync that fails may have been done in part.
func (d *FS) Fail(rule func(op int) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = rule
}

// PowerCut loses what was not durable, as the seed decides. All operations fail until
// PowerOn.
func (d *FS) PowerCut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.powerCut()
}

// PowerOn makes the disk work again, after PowerCut, CutAt or Kill. Files opened before stay unusable.
func (d *FS) PowerOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = nil
}

// Kill ends the process without a power cut: it closes open files and releases their
// locks. All operations fail until PowerOn.
func (d *FS) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop(ErrKilled)
}

// Size returns a file's size, -1 if there is no such file.
func (d *FS) Size(name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.live[filepath.Clean(name)]; f != nil {
		return f.live.size
	}
	return -1
}

// Damage overwrites part of a file, durably. It is no operation.
func (d *FS) Damage(name string, off int64, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.live[filepath.Clean(name)]
	if f == nil {
		return &fs.PathError{Op: "damage", Path: name, Err: fs.ErrNotExist}
	}
	for _, m := range []*image{&f.live, &f.disk} {
		for _, c := range m.writes(b, off) {
			m.apply(c)
		}
	}
	return nil
}

// FlipBit flips one bit of a file, durably; bit 0 is the lowest of byte 0.
func (d *FS) FlipBit(name string, bit int64) error {
	d.mu.Lock()
	var b [1]byte
	if f := d.live[filepath.Clean(name)]; f != nil {
		f.live.readAt(b[:], bit/8)
	}
	d.mu.Unlock()
	b[0] ^= 1 << (bit % 8)
	return d.Damage(name, bit/8, b[:])
}

// operation counts one, and returns whether it fails, and whether power fails during it.
func (d *FS) operation(life int) (cut bool, err error) {
	d.ops++
	switch {
	case d.dead != nil:
		return false, d.dead
	case life != d.life:
		return false, ErrKilled
	case d.ops == d.cutAt:
		return true, nil
	case d.fault != nil:
		return false, d.fault(d.ops)
	}
	return false, nil
}

// done ends an operation: it cuts the power if that is due, and returns the error.
func (d *FS) done(op, path string, cut bool, err error) error {
	if cut {
		d.powerCut()
		err = ErrPowerCut
	}
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

func (d *FS) powerCut() {
	if d.dead == nil || d.dead == ErrKilled {
		d.lose()
	}
	d.stop(ErrPowerCut)
}

// lose resets what the machine sees to what the disk has kept.
func (d *FS) lose() {
	for _, f := range d.files() {
		f.flush(choose(d.rng, f.changes))
		f.live = image{size: f.disk.size, sectors: slices.Clone(f.disk.sectors)}
	}
	for _, m := range d.moves[:d.rng.IntN(len(d.moves)+1)] {
		d.disk.apply(m)
	}
	d.moves = nil
	d.live = maps.Clone(d.disk)
}

// files returns every file that has a name or may get one back, in the same order in
// every run.
func (d *FS) files() []*inode {
	var all []*inode
	for _, n := range [...]names{d.disk, d.live} {
		for _, name := range slices.Sorted(maps.Keys(n)) {
			all = append(all, n[name])
		}
	}
	for _, m := range d.moves {
		all = append(all, m.file)
	}
	seen := map[*inode]bool{}
	return slices.DeleteFunc(all, func(f *inode) bool {
		again := seen[f]
		seen[f] = true
		return again
	})
}

func (d *FS) stop(why error) {
	d.life++
	d.dead = why
}

func (f *file) operation() (cut bool, err error) {
	if f.closed {
		return false, fs.ErrClosed
	}
	return f.fs.operation(f.life)
}
