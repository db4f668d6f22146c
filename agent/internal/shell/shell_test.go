package shell

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is for commands that end by themselves.
const patience = time.Minute

func TestACommandCannotSpeakForTheAgent(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "NOTIFY_SOCKETS", "SHELL_TEST"} {
		t.Setenv(name, "by this test")
	}
	printed, err := Run(t.Context(), "env", patience)
	require.NoError(t, err)
	var has []string
	for line := range strings.Lines(printed) {
		if name, _, _ := strings.Cut(line, "="); os.Getenv(name) == "by this test" {
			has = append(has, name)
		}
	}
	slices.Sort(has)
	require.Equal(t, []string{"NOTIFY_SOCKETS", "SHELL_TEST"}, has)
}

// The pipe has an end once all processes that write to it are gone.
func TestACommandThatTakesTooLongIsKilledWithAllItStarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	pipe, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer pipe.Close()
	begun := ""
	for wait := 100 * time.Millisecond; begun == ""; wait *= 2 { // a busy machine may kill it before it has begun
		require.Less(t, wait, patience)
		_, err = Run(t.Context(), `(echo begun; sleep 1000) >"`+path+`" & wait`, wait)
		require.EqualError(t, err, "it took longer than "+wait.String()+", and was killed")
		require.NoError(t, pipe.SetReadDeadline(time.Now().Add(patience)))
		text, err := io.ReadAll(pipe)
		require.NoError(t, err, "somebody has the pipe open")
		begun = string(text)
	}
	require.Equal(t, "begun\n", begun)
}

func TestWhatACommandPrintsIsBounded(t *testing.T) {
	printed, err := Run(t.Context(), "head -c 65536 /dev/zero", patience)
	require.NoError(t, err)
	require.Len(t, printed, 65536)
	begun := time.Now()
	printed, err = Run(t.Context(), "yes", patience)
	require.EqualError(t, err, "it printed more than 64 KiB, and was killed")
	require.Empty(t, printed)
	require.Less(t, time.Since(begun), patience, "killed before its time was over")
	_, err = Run(t.Context(), "head -c 65536 /dev/zero | tr '\\0' x >&2; exit 3", patience)
	require.EqualError(t, err, "exit status 3: "+strings.Repeat("x", 512))
	_, err = Run(t.Context(), "echo first >&2; echo last >&2; exit 3", patience)
	require.EqualError(t, err, "exit status 3: last")
}
