package fence

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/internal/nofollow"
)

// fileSystem is the part of a file system that a record needs; a test's loses power.
type fileSystem interface {
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	Rename(from, to string) error
	SyncDir(dir string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// record is the file that holds what was seen, as people can read it:
//
//	ddgoose fence 1
//	flock c0ffee...
//	token 7
//	crc32c 12ab34cd
type record struct {
	fs   fileSystem
	path string
}

// check accepts a token that is not older than the one seen, and makes it durable.
func (r record) check(flockID string, token uint64, force bool) error {
	s, err := r.load()
	if err != nil {
		return err
	}
	changed, err := s.take(flockID, token, force)
	switch {
	case err != nil:
		return fmt.Errorf("fence %s: %w", r.path, err)
	case changed:
		return r.save(s)
	}
	// The process that wrote it may have died before the name was durable.
	return r.settle()
}

// maxRecord bounds what is read: a record of a flock_id of 64 bytes has half of it.
const maxRecord = 512

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s seen) encode() []byte {
	text := fmt.Sprintf("ddgoose fence 1\nflock %s\ntoken %d\n", s.flockID, s.token)
	return fmt.Appendf(nil, "%scrc32c %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

func decode(text []byte) (s seen, err error) {
	flockID, rest, ok := strings.Cut(strings.TrimPrefix(string(text), "ddgoose fence 1\nflock "), "\n")
	if _, err := fmt.Sscanf(rest, "token %d\n", &s.token); !ok || err != nil {
		return seen{}, errors.New("not a fence file of ddgoose")
	}
	s.flockID = flockID
	if string(s.encode()) != string(text) {
		return seen{}, errors.New("wrong checksum")
	}
	return s, nil
}

// load reads the state; a missing file has seen no token.
func (r record) load() (seen, error) {
	f, err := r.fs.OpenFile(r.path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return seen{}, nil
	}
	if err != nil {
		return seen{}, fmt.Errorf("read the fence: %w", err)
	}
	defer f.Close()
	text := make([]byte, maxRecord)
	n, err := f.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return seen{}, fmt.Errorf("read the fence: %w", err)
	}
	s, err := decode(text[:n])
	if err != nil {
		return seen{}, fmt.Errorf("%w: %s: %w: find the highest token that may have been used here (ddgoose status), remove the file, then check that token first",
			ErrCorrupt, r.path, err)
	}
	return s, nil
}

// save makes the state durable. After a power cut the file holds the old record or the
// new one; once save has returned nil, the new one.
func (r record) save(s seen) error {
	if strings.ContainsAny(s.flockID, "\n") || len(s.flockID) > maxRecord/4 {
		return fmt.Errorf("flock_id %.40q: want the 32 hex digits that status shows", s.flockID)
	}
	next := r.path + ".new"
	f, err := r.fs.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the fence: %w", err)
	}
	_, err = f.WriteAt(s.encode(), 0)
	if err == nil {
		err = f.Sync() // before the rename: a power cut could leave an empty file
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = r.fs.Rename(next, r.path)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("write the fence: %s is a mount point and cannot be replaced: mount its folder instead: %w", r.path, err)
	}
	if err != nil {
		return fmt.Errorf("write the fence: %w", err)
	}
	return r.settle()
}

// settle makes the record's name durable.
func (r record) settle() error {
	if err := r.fs.SyncDir(filepath.Dir(r.path)); err != nil {
		return fmt.Errorf("write the fence: %w", err)
	}
	return nil
}

// osFS is the machine's file system.
type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	return nofollow.OpenFile(name, flag, perm)
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
