package fence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/nofollow"
)

// File keeps the highest token in a file that programs share. Beside Path there
// are Path.lock, locked while the token is read; Path.work, locked while somebody
// acts; and briefly Path.new. They must not be removed while the fence is in use;
// to remove Path is to forget all. A link is refused: two names
// would be two fences.
type File struct {
	Path string
	// FlockID is compared first, when it is not empty: see ErrFlock.
	FlockID string
}

// Check lets token pass and keeps it, durably, if none higher has been seen;
// else ErrStale.
func Check(path string, token uint64) error { return File{Path: path}.Check(token) }

// Check is the function Check, with the flock compared.
func (f File) Check(token uint64) error {
	lock, err := openLock(f.Path + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close() // which unlocks
	// It is only held while a small file is written, so it is waited for.
	if err := acquire(context.Background(), lock); err != nil {
		return err
	}
	return record{fs: osFS{}, path: f.Path}.check(f.FlockID, token)
}

// Do calls act if no higher token has been seen, and nobody else acts through
// Do or Enter meanwhile. The token is kept first: from then on nobody older
// begins. Then Do waits, until ctx ends, for an older act to end, and is refused
// when a newer token has come meanwhile.
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
	// Lock keeps the fence closed until every process that has this file open has
	// closed it or is gone: a program that starts another one to act passes it on
	// (exec.Cmd.ExtraFiles), and may then be killed.
	Lock *os.File
}

// Close lets others act.
func (e *Entry) Close() { _ = e.Lock.Close() } // nothing was written

// Enter is Do for who cannot act inside a function.
func (f File) Enter(ctx context.Context, token uint64) (*Entry, error) {
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
			return nil, fmt.Errorf("fence %s: an older one still acts: %w", f.Path, context.Cause(ctx))
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

// acquire waits for a lock by looking again and again: a wait inside flock(2)
// could not be given up.
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
