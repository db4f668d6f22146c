package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Store is an open data directory. Any goroutine may call its methods. State and Fresh
// never wait for the disk.
type Store struct {
	dir     string
	fsys    FS
	lock    File
	state   atomic.Pointer[State] // as last saved; it never changes behind the pointer
	fresh   atomic.Bool
	records struct { // guards the state file and all below
		sync.Mutex
		file    File
		seq     uint64 // of slot A
		record  []byte // the bytes of slot A
		settled bool   // slot B has the same bytes
		began   bool
		failed  error // the first failure; after it the store refuses everything
		closed  bool
	}
	notes notes
}

// State returns a copy of the state as last saved.
func (s *Store) State() State { return s.state.Load().clone() }

// Fresh reports whether this disk was made at this very start, and so has promised
// nothing (rule 13): this Open made the file, or a process that never called Begin. It
// is false after a second Begin.
func (s *Store) Fresh() bool { return s.fresh.Load() }

// Begin raises Start by one and saves it in both slots (rule 10). It is called once per
// process start and per revival, and must succeed before anything is sent.
func (s *Store) Begin() (State, error) {
	r := &s.records
	r.Lock()
	defer r.Unlock()
	st := s.State()
	st.Start++
	if err := s.save(st); err != nil {
		return State{}, err
	}
	if err := s.settle(); err != nil {
		return State{}, err
	}
	if r.began {
		s.fresh.Store(false)
	}
	r.began = true
	return s.State(), nil
}

// Save returns once the state is durable in slot A; only then may anything leave that
// depends on it. After an error nothing may leave, though the disk may hold the state:
// every later Save fails with the same error.
func (s *Store) Save(st State) error {
	s.records.Lock()
	defer s.records.Unlock()
	return s.save(st)
}

// Settle writes the last saved state to slot B, so that one bad slot loses nothing.
// Save does so first if the caller did not. A settled store does nothing.
func (s *Store) Settle() error {
	s.records.Lock()
	defer s.records.Unlock()
	return s.settle()
}

// Lost returns an error if the directory or its state file was removed or replaced:
// nobody would find what is saved from now on. It asks the file system and may wait for
// it.
func (s *Store) Lost() error {
	if f, ok := s.records.file.(osFile); ok && !f.isAt(s.path(StateFile)) {
		return &Error{Kind: ErrLost, Text: fmt.Sprintf(
			"data directory %s was removed or replaced while the agent ran: its promises would be written where nobody finds them, so it stops; start it again with --join ADDR",
			s.dir)}
	}
	return nil
}

// Close settles and unlocks the directory. A second call does nothing.
func (s *Store) Close() error {
	s.notes.Lock()
	s.notes.closed = true
	s.notes.Unlock()
	r := &s.records
	r.Lock()
	defer r.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	var err error
	if r.failed == nil {
		err = s.settle()
		if r.failed == nil {
			r.failed = ErrClosed
		}
	}
	return errors.Join(err, r.file.Close(), s.lock.Close())
}

func (s *Store) save(st State) error {
	if err := s.settle(); err != nil {
		return err
	}
	r := &s.records
	st = st.canonical()
	if err := s.follows(&st); err != nil {
		return s.fail(fmt.Errorf("save state: %w", err))
	}
	record := seal(r.seq+1, appendState(nil, &st))
	if err := s.write(slotA, record); err != nil {
		return s.fail(err)
	}
	r.seq, r.record, r.settled = r.seq+1, record, false
	s.state.Store(&st)
	return nil
}

func (s *Store) settle() error {
	r := &s.records
	if r.failed != nil || r.settled {
		return r.failed
	}
	if err := s.write(slotB, r.record); err != nil {
		return s.fail(err)
	}
	r.settled = true
	return nil
}

// follows returns an error unless a state may replace the last one: the ID must stay,
// and Start must not fall.
func (s *Store) follows(st *State) error {
	old := s.state.Load()
	switch {
	case st.ID != old.ID:
		return fmt.Errorf("id %s: this disk is %s", st.ID, old.ID)
	case st.Start < old.Start:
		return fmt.Errorf("start %d: it was %d already", st.Start, old.Start)
	}
	return st.valid()
}

// fail ends all saving. A failed sync must not be repeated: the kernel may report
// success although it has dropped the data.
func (s *Store) fail(err error) error {
	s.records.failed = err
	return err
}

// write makes a slot durable.
func (s *Store) write(slot int, record []byte) error {
	if _, err := s.records.file.WriteAt(record, int64(slot)*slotBytes); err != nil {
		return explain(s.dir, "write state file", err)
	}
	if err := s.records.file.Sync(); err != nil {
		return explain(s.dir, "sync state file", err)
	}
	return nil
}
