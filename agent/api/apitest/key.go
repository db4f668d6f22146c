package apitest

import (
	"errors"
	"os"
	"path/filepath"

	"duckduckgoose/wire"
)

// Seal has the agents that a test starts use a key in dir: the one that a user's
// agents on loopback share is not the tests' to make.
func Seal(dir string) error {
	path := filepath.Join(dir, "test.key")
	return errors.Join(os.WriteFile(path, []byte(wire.NewKey()), 0o600), os.Setenv("DDGOOSE_KEY_FILE", path))
}
