package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"duckduckgoose/agent/api"
	"duckduckgoose/wire"
)

// sharedName is the key file that a user's loopback agents share.
const sharedName = "loopback.key"

// Shared returns the key file in folder that one user's loopback agents share, and makes
// it if it is missing. Agents that start at the same time get the same key.
func Shared(folder string) (path string, held [][]byte, err error) {
	path = filepath.Join(folder, sharedName)
	if err := makeShared(folder, path); err != nil {
		return "", nil, fmt.Errorf("make the key that agents on loopback share: %w; name a key file with --key-file, or run without a key with --insecure", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", nil, &NoFileError{Path: path, Cause: err}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return "", nil, fmt.Errorf("key file %s: other users can read or write it (want a plain file of this user, mode 0600): stop this user's agents on loopback and remove the file, or name another one with --key-file", path)
	}
	held, err = ReadFile(path)
	return path, held, err
}

// makeShared makes the whole file or none: a link never replaces a file.
func makeShared(folder, path string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := api.CheckSocketFolder(folder); err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(folder, "."+sharedName+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(wire.NewKey())
	if err = errors.Join(err, f.Close()); err == nil {
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil // another agent was first
		}
	}
	return errors.Join(err, os.Remove(f.Name()))
}
