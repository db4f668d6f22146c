package store

import (
	"io"
	"os"
)

// HistoryFile is the note that holds the goose periods.
const HistoryFile = "history"

// Note reads up to most bytes of a file that SaveNote wrote. A missing file is
// fs.ErrNotExist.
func (s *Store) Note(name string, most int64) ([]byte, error) {
	f, err := s.fsys.OpenFile(s.path(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return io.ReadAll(io.NewSectionReader(f, 0, most))
}

// SaveNote replaces a file of the data directory as a whole. A failure is only a
// warning: no vote depends on it.
func (s *Store) SaveNote(name string, content []byte) error {
	s.notes.Lock()
	defer s.notes.Unlock()
	return s.saveNote(name, content)
}

// saveNote is SaveNote without the lock; the caller holds it.
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
