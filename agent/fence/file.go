package fence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/internal/nofollow"
)

// File keeps the highest token in a file that programs share. Besides Path there are
// Path.lock, locked while a token is checked; Path.work, locked while a program acts;
// and for a moment Path.new. Do not remove them while the fence is in use; removing Path
// makes the fence forget everything. A symbolic link is followed. A hard link is
// refused, because two names would be two fences.
type File struct {
	Path string
	// FlockID, if not empty, is compared first: see ErrFlock.
	FlockID string
	// Force accepts a token that is far ahead: see ErrImplausible.
	Force bool
}

// Check accepts the token and stores it durably, unless a higher one has been seen; then
// ErrStale.
func Check(path string, token uint64) error { return File{Path: path}.Check(token) }

// Check is the function Check; it also compares the flock.
func (f File) Check(token uint64) error {
	f, err := f.resolve()
	if err != nil {
		return err
	}
	lock, err := openLock(f.Path + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close() // this unlocks it
	// The lock is held only while a small file is written: wait for it.
	if err := acquire(context.Background(), lock); err != nil {
		return err
	}
	return record{fs: osFS{}, path: f.Path}.check(f.FlockID, token, f.Force)
}

// maxLinks bounds a chain of symbolic links, as the kernel does.
const maxLinks = 40

// resolve follows links to the file that Path means; the file may not exist yet. Every
// path to one file must use one lock.
func (f File) resolve() (File, error) {
	for range maxLinks {
		to, err := os.Readlink(f.Path)
		if err != nil {
			return f, nil // not a link; if it cannot be opened, opening it says why
		}
		if !filepath.IsAbs(to) {
			to = f.Path[:strings.LastIndexByte(f.Path, '/')+1] + to
		}
		folder, name := filepath.Split(to)
		if folder, err = filepath.EvalSymlinks(cmp.Or(folder, ".")); err != nil {
			return f, fmt.Errorf("follow the fence's link: %w", err)
		}
		f.Path = filepath.Join(folder, name)
	}
	return f, fmt.Errorf("fence %s: more than %d symbolic links", f.Path, maxLinks)
}

// Do calls act, unless a higher token has been seen. Other calls of Do and Enter wait
// until act returns. The token is stored first: from then on no older goose can begin.
// Then Do waits, until ctx ends, for an older act to end. It fails if a newer token came
// meanwhile.
func (f File) Do(ctx context.Context, token uint64, act func(context.Context) error) error {
	e, err := f.Enter(ctx, token)
	if err != nil {
		return err
	}
	defer e.Close()
	return act(ctx)
}

// Entry is the right to act until Close.
type Entry struct {
	// Lock keeps the fence closed until every process that has this file open has closed
	// it or has ended. A program that starts another one to act passes the file on
	// (exec.Cmd.ExtraFiles); after that it may be killed.
	Lock *os.File
}

// Close lets others act.
func (e *Entry) Close() { _ = e.Lock.Close() } // nothing was written

// Enter is Do for callers that cannot act inside a function.
func (f File) Enter(ctx context.Context, token uint64) (*Entry, error) {
	f, err := f.resolve() // once: the link may change later
	if err != nil {
		return nil, err
	}
	if err := f.Check(token); err != nil {
		return nil, err
	}
	lock, err := openLock(f.Path + ".work")
	if err != nil {
		return nil, err
	}
	e := &Entry{Lock: lock}
	if err := acquire(ctx, lock); err != nil {
		e.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("fence %s: an older goose is still at work: %w", f.Path, context.Cause(ctx))
		}
		return nil, err
	}
	if err := f.Check(token); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

func openLock(path string) (*os.File, error) {
	f, err := nofollow.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the fence's lock: %w", err)
	}
	return f, nil
}

// acquire polls the lock: a wait inside flock(2) could not be cancelled.
func acquire(ctx context.Context, f *os.File) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
