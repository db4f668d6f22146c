package apitest

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// WriteExecutable writes a program. No process that starts meanwhile inherits the open file: until that
// one has loaded its own program, the kernel would refuse to start this one (ETXTBSY).
func WriteExecutable(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
}
