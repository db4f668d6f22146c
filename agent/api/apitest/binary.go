package apitest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Binary is ddgoose itself, made once for all tests of a test program. Its version
// is v-test.
type Binary struct {
	Tags string // to build it with, comma-separated; "": none

	once sync.Once
	dir  string
	err  error
}

// Path returns where it is: in a folder with a key that all agents use which this test program starts.
func (b *Binary) Path(t *testing.T) string {
	t.Helper()
	b.once.Do(func() { b.err = b.make() })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return filepath.Join(b.dir, "ddgoose")
}

func (b *Binary) make() (err error) {
	if b.dir, err = os.MkdirTemp("", "ddg"); err != nil {
		return err
	}
	// go build links each time, which takes seconds; what go run has linked it keeps for the next test program.
	run := exec.Command("go", "run", "-tags", b.Tags, "-ldflags", "-X main.version=v-test", "-exec", "cp", "duckduckgoose/cmd/ddgoose", filepath.Join(b.dir, "ddgoose"))
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("link ddgoose: %w: %s", err, out)
	}
	return Seal(b.dir)
}

// Remove removes it, if it was made.
func (b *Binary) Remove() error {
	if b.dir == "" {
		return nil
	}
	return errors.Join(b.err, os.RemoveAll(b.dir))
}
