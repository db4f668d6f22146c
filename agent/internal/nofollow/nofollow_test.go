package nofollow_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/internal/nofollow"
)

func TestPlantedLinkIsNeverFollowed(t *testing.T) {
	for kind, plant := range map[string]func(target, at string) error{
		"symlink":          os.Symlink,
		"dangling symlink": func(target, at string) error { return os.Symlink(target+".none", at) },
		"hard link":        os.Link,
		"fifo":             func(_, at string) error { return unix.Mkfifo(at, 0o666) },
	} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			target, at := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
			require.NoError(t, os.WriteFile(target, []byte("theirs"), 0o600))
			require.NoError(t, plant(target, at))
			for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
				_, err := nofollow.OpenFile(at, flag, 0o600)
				require.ErrorIs(t, err, nofollow.ErrLink)
			}
			f, err := nofollow.OpenFile(at, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
			require.NoError(t, err, "a file that is made anew takes the link's place")
			_, err = f.WriteString("ours")
			require.NoError(t, err)
			require.NoError(t, f.Close())
			got, err := os.ReadFile(target)
			require.NoError(t, err)
			require.Equal(t, "theirs", string(got))
			require.NoFileExists(t, target+".none")
		})
	}
}
