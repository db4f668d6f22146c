package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	// StateFile is the file in a data directory that an agent must never lose.
	StateFile = "state"
	newSuffix = ".new" // ends the name of an incomplete file
	lockName  = "lock"
)

// Option changes how Open works.
type Option func(*options)

type options struct {
	random io.Reader
	joins  bool
}

// WithRandom sets the source of a new directory's ID; default: the system's.
func WithRandom(r io.Reader) Option { return func(o *options) { o.random = r } }

// WithJoining makes a new state file even where other agents' addresses were saved: an agent that
// joins them founds no second flock.
func WithJoining() Option { return func(o *options) { o.joins = true } }

// Open opens a data directory and locks it. A missing directory is made (0700), a
// missing state file too, with a new random ID, unless other agents' addresses were saved
// beside it. When it returns, both slots are durable and alike. fsys nil is the real file system.
//
// It does not raise Start: see [Store.Begin]. Errors that a user can mend are
// an [*Error].
func Open(dir string, fsys FS, opts ...Option) (*Store, error) {
	o := options{random: rand.Reader}
	for _, opt := range opts {
		opt(&o)
	}
	if fsys == nil {
		fsys = osFS{}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return nil, explain(dir, "make data directory", err)
	}
	lock, err := takeLock(dir, fsys)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, fsys: fsys, lock: lock}
	if err := s.open(o); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// open opens or makes the state file. It closes the file on an error.
func (s *Store) open(o options) error {
	f, err := s.fsys.OpenFile(s.path(StateFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if known, _ := s.readPeers(); len(known) > 1 && !o.joins { // the first is this agent; a broken file of peers is only a warning
			return missingError(s.dir)
		}
		f, err = s.create(o.random)
	}
	if err != nil {
		return explain(s.dir, "open state file", err)
	}
	s.records.file = f
	if err := s.load(); err != nil {
		return errors.Join(err, f.Close())
	}
	s.loadPeers()
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// create writes the state file under another name and then renames it, so that a crash
// never leaves a file that looks damaged.
func (s *Store) create(random io.Reader) (File, error) {
	st := State{}
	if _, err := io.ReadFull(random, st.ID[:]); err != nil {
		return nil, fmt.Errorf("draw an id: %w", err)
	}
	if st.ID.IsZero() {
		return nil, errors.New("draw an id: the random source gives only zeros")
	}
	both := make([]byte, 2*slotBytes) // all zeros are written, so that the disk blocks exist
	record := seal(1, appendState(nil, &st))
	copy(both[slotA*slotBytes:], record)
	copy(both[slotB*slotBytes:], record)
	return s.replace(StateFile, both)
}

// replace writes a whole file and renames it into place. The caller must make the name
// durable with SyncDir. The file stays open.
func (s *Store) replace(name string, content []byte) (File, error) {
	f, err := s.fsys.OpenFile(s.path(name+newSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.fsys.Rename(s.path(name+newSuffix), s.path(name))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// load reads the state and writes it to both slots, before anything may rely on it.
func (s *Store) load() error {
	f := s.records.file
	var slots [2]slot
	for i := range slots {
		var err error
		if slots[i], err = loadSlot(f, i); err != nil {
			return explain(s.dir, "read state file", err)
		}
	}
	// A program of another format may have promised more than this one can read.
	for _, sl := range slots {
		if sl.damage == nil && (sl.version < 1 || sl.version > formatVersion) {
			return versionError(s.dir, sl.version)
		}
	}
	i, err := newest(slots)
	if err != nil {
		return corruptError(s.dir, err)
	}
	// No crash leaves a correct checksum over a wrong payload, so the other slot, which
	// may be older, must not be used instead.
	st, err := decodeState(slots[i].version, slots[i].payload)
	if err != nil {
		return corruptError(s.dir, fmt.Errorf("record %d: %w", slots[i].seq, err))
	}
	seq := slots[i].seq
	record := sealAs(slots[i].version, seq, slots[i].payload)
	if err := s.writeBoth(i, record); err != nil {
		return err
	}
	if slots[i].version < formatVersion {
		// Only now: the new format is longer, so a power cut can tear the slot that it
		// overwrites, and the other one must hold the same record by then.
		seq++
		record = seal(seq, appendState(nil, &st))
		if err := s.writeBoth(i, record); err != nil {
			return err
		}
	}
	// The process that renamed the file may have been killed before this.
	if err := s.fsys.SyncDir(s.dir); err != nil {
		return explain(s.dir, "sync data directory", err)
	}
	s.records.seq, s.records.record, s.records.settled = seq, record, true
	s.state.Store(&st)
	s.fresh.Store(st.blank())
	return nil
}

// writeBoth writes a record to both slots, one after the other.
func (s *Store) writeBoth(first int, record []byte) error {
	if err := s.write(first, record); err != nil {
		return err
	}
	return s.write(1-first, record)
}

// loadSlot reads a slot. If that fails twice, the slot counts as damaged: worn disks
// fail to read.
func loadSlot(f File, i int) (slot, error) {
	b := make([]byte, slotBytes)
	read := func() (int, error) { return f.ReadAt(b, int64(i)*slotBytes) }
	n, err := read()
	if errors.Is(err, syscall.EIO) {
		n, err = read()
	}
	switch {
	case errors.Is(err, syscall.EIO):
		return slot{damage: err}, nil
	case err != nil && !errors.Is(err, io.EOF):
		return slot{}, err
	}
	return readSlot(b[:n]), nil
}

// takeLock locks the directory by a file in it that is never removed. It writes the pid
// there for the error of a second agent.
func takeLock(dir string, fsys FS) (File, error) {
	f, err := fsys.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(dir, "open lock file", err)
	}
	err = f.Lock()
	if errors.Is(err, ErrLocked) {
		err = lockedError(dir, lockHolder(f), err)
	}
	if err != nil {
		return nil, errors.Join(explain(dir, "lock data directory", err), f.Close())
	}
	// The pid is only for messages. A full disk is noticed at the state file.
	_, _ = f.WriteAt(fmt.Appendf(nil, "%-20d\n", os.Getpid()), 0)
	return f, nil
}

// lockHolder returns the pid in a lock file; 0: there is none.
func lockHolder(f File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
