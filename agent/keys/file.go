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

// NoFileError says that there is no key file, or that it cannot be looked at.
type NoFileError struct {
	Path  string
	Cause error
}

// Error says what the system said.
func (e *NoFileError) Error() string { return "key file: " + e.Cause.Error() }

// Unwrap gives what the system said.
func (e *NoFileError) Unwrap() error { return e.Cause }

// ReadFile reads a key file: one base64 key of 32 bytes per line, and # comments.
// It refuses a file that everybody may read or that others than its owner may write.
func ReadFile(path string) ([][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &NoFileError{Path: path, Cause: err}
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o004 != 0:
		return nil, fmt.Errorf("key file %s: everybody may read it (mode %04o): chmod 600 %s", path, mode, path)
	case mode&0o022 != 0:
		return nil, fmt.Errorf("key file %s: others may write to it (mode %04o): chmod 600 %s", path, mode, path)
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
		return nil, fmt.Errorf("key file %s: it holds no key: want one base64 line of 32 bytes", path)
	}
	return held, nil
}

// keyBlock is a key of a file, with the comments above it.
type keyBlock struct {
	key   []byte
	lines []string
}

// reorder gives a key file's text with these keys in this order. Each key keeps
// its comments. Other keys of the file stay behind them, except the removed one.
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
		return nil, errors.New("it holds none of the keys that this agent has: another file was read since its start")
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

// rewrite writes the keys of an agent to its key file. A crash leaves either the
// whole old file or the whole new one. Only its owner can read the new one.
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

// unwritable says what to do where others keep the key file, as a Kubernetes
// secret, a read-only volume or root's folder.
func unwritable(path string, err error) error {
	remedy := ""
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		remedy = ": this agent may not write there; put the new key behind the old one where the file comes from, and send the agent SIGHUP (README: changing the key)"
	}
	return fmt.Errorf("key file %s cannot be replaced: %w%s", path, err, remedy)
}
