package agent

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"duckduckgoose/wire"
)

// keyBlock is a key of a file, with the comments above it.
type keyBlock struct {
	key   []byte
	lines []string
}

// reorderKeys gives a key file's text with these keys in this order. Each keeps
// its comments, and what the file holds besides stays behind them, but for
// the one that is removed.
func reorderKeys(text []byte, keys [][]byte, removed []byte) ([]byte, error) {
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

// rewriteKeys makes a key file say what a ring has become. A crash leaves the
// old file or the new one, whole; only its owner can read the new one.
func rewriteKeys(path string, keys [][]byte, removed []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	text, err := reorderKeys(old, keys, removed)
	if err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	if bytes.Equal(old, text) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("key file %s cannot be replaced: %w", path, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("key file %s cannot be replaced: %w", path, err), os.Remove(f.Name()))
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
