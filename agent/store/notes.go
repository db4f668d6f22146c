package store

import (
	"io"
	"os"
)

// HistoryFile is the note that holds the goose periods.
const HistoryFile = "history"

// Note reads a file that SaveNote wrote, at most so many bytes of it. A missing one is
// fs.ErrNotExist.
func (s *Store) Note(name string, most int64) ([]byte, error) {
	f, err := s.fsys.OpenFile(s.path(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	return io.ReadAll(io.NewSectionReader(f, 0, most))
}

// SaveNote replaces a file of the data directory, as a whole. A failure is a warning:
// votes do not depend on it.
func (s *Store) SaveNote(name string, content []byte) error {
	s.notes.Lock()
	defer s.notes.Unlock()
	return s.saveNote(name, content)
}

// saveNote is SaveNote; the lock is held.
func (s *Store) saveNote(name string, content []byte) error {
	if s.notes.closed {
		return ErrClosed
	}
	f, err := s.replace(name, content)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = s.fsys.SyncDir(s.dir)
	}
	if err != nil {
		return explain(s.dir, "save "+name, err)
	}
	return nil
}
