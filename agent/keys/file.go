package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"duckduckgoose/wire"
)

// NoFileError: the key file is missing, or cannot be examined.
type NoFileError struct {
	Path  string
	Cause error
}

// Error returns the system's error.
func (e *NoFileError) Error() string { return "key file: " + e.Cause.Error() }

// Unwrap returns the system's error.
func (e *NoFileError) Unwrap() error { return e.Cause }

// ReadFile reads a key file: one base64 key of 32 bytes per line, and # comments. It
// refuses a file that every user can read, or that users other than its owner can write.
func ReadFile(path string) ([][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &NoFileError{Path: path, Cause: err}
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o004 != 0:
		return nil, fmt.Errorf("key file %s: every user can read it (mode %04o): run chmod 600 %s", path, mode, path)
	case mode&0o022 != 0:
		return nil, fmt.Errorf("key file %s: other users can write to it (mode %04o): run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	held, err := wire.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	if len(held) == 0 {
		return nil, fmt.Errorf("key file %s: no key in it: want a line with the base64 of 32 bytes (ddgoose keygen)", path)
	}
	return held, nil
}

// keyBlock is one key of a file with the comments above it.
type keyBlock struct {
	key   []byte
	lines []string
}

// reorder returns a key file's text with these keys in this order. Each key keeps its
// comments. Other keys in the file follow, except the removed one.
func reorder(text []byte, keys [][]byte, removed []byte) ([]byte, error) {
	var blocks []keyBlock
	var above []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		above = append(above, line)
		if parsed, err := wire.ParseKeys([]byte(line)); err == nil {
			blocks = append(blocks, keyBlock{parsed[0], above})
			above = nil
		}
	}
	holds := func(k []byte) int {
		return slices.IndexFunc(blocks, func(b keyBlock) bool { return bytes.Equal(b.key, k) })
	}
	if !slices.ContainsFunc(keys, func(k []byte) bool { return holds(k) >= 0 }) {
		return nil, errors.New("it has none of this agent's keys: the agent was started with another file")
	}
	var out []string
	for _, k := range keys {
		if i := holds(k); i >= 0 {
			out = append(out, blocks[i].lines...)
			blocks = slices.Delete(blocks, i, i+1)
		} else {
			out = append(out, base64.StdEncoding.EncodeToString(k))
		}
	}
	for _, b := range blocks {
		if !bytes.Equal(b.key, removed) {
			out = append(out, b.lines...)
		}
	}
	out = append(out, above...)
	return []byte(strings.Join(out, "\n") + "\n"), nil
}

// rewrite writes an agent's keys to its key file. After a crash the file is either the
// old one or the new one. Only its owner can read the new one.
func rewrite(path string, keys [][]byte, removed []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	text, err := reorder(old, keys, removed)
	if err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	if bytes.Equal(old, text) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return unwritable(path, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(unwritable(path, err), os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	return nil
}

// unwritable adds what to do if something else manages the key file: a Kubernetes
// secret, a read-only volume, a folder of root.
func unwritable(path string, err error) error {
	remedy := ""
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		remedy = ": this agent may not write there; put the new key behind the old one where the file comes from, and send the agent SIGHUP (handbook: Keys)"
	}
	return fmt.Errorf("key file %s cannot be replaced: %w%s", path, err, remedy)
}
