package flock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile, in the flock's folder, is locked while its driver lives.
const lockFile = "driver.lock"

// ErrTaken says that another flock runs in a folder.
var ErrTaken = errors.New("a flock runs there already")

// claim locks a folder for one driver, and empties it unless keep. The caller closes
// the file after the flock has ended.
func claim(dir string, empty bool) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the flock's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the flock's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, taken(dir)
		}
		return nil, fmt.Errorf("lock the flock's folder %s: %w", dir, err)
	}
	if !empty {
		return f, nil
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil && e.Name() != lockFile {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("empty the flock's folder: %w", err)
	}
	return f, nil
}

// driverEnded returns when no driver runs in a folder.
func driverEnded(ctx context.Context, dir string) error {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the flock's driver: %w", err)
	}
	defer f.Close()
	for unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		if !wait(ctx, stopPause, nil) {
			return fmt.Errorf("the flock in %s is still stopping: %w", dir, context.Cause(ctx))
		}
	}
	return nil
}

// stopPause is the time between two checks whether a driver has ended.
const stopPause = 10 * time.Millisecond

// taken returns an error that names the flock which runs.
func taken(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	info, err := Connect(dir).Info(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrTaken, dir)
	}
	var names []string
	for _, a := range info.Agents {
		names = append(names, a.Name)
	}
	return fmt.Errorf("%w: process %d with agents %s in %s", ErrTaken, info.PID, strings.Join(names, " "), dir)
}
