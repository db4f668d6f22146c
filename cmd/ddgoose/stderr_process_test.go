package main

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestProcessOutlivesTheReaderOfItsStderr(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	a := newProcess(t, shortDir(t), "a")
	a.stderr = writer
	a.start()
	require.NoError(t, writer.Close())
	before := a.until("goose", isGoose)
	require.NoError(t, reader.Close())
	a.signal(syscall.SIGHUP) // it logs that it reloads
	require.Equal(t, 0, call(t, "simulate", "death", "--for", "100ms", "--socket", a.socket, "--timeout", soon.String()).code)
	a.until("goose again, and has logged so", func(s api.Status) bool { return isGoose(s) && s.Token > before.Token })
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit())
}

func TestProcessWorksWhileNobodyReadsItsStderr(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	full := 0
	require.NoError(t, writer.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	for err == nil {
		var n int
		n, err = writer.Write(make([]byte, 1<<10))
		full += n
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	a := newProcess(t, shortDir(t), "a")
	a.stderr = writer
	a.start()
	a.until("goose", isGoose)
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit(), "it waits for no reader at its end")

	a.start()
	require.NoError(t, writer.Close())
	a.until("goose", isGoose)
	_, err = io.CopyN(io.Discard, reader, int64(full))
	require.NoError(t, err)
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit())
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	for _, line := range []string{"msg=starting", "msg=stopped"} {
		require.True(t, bytes.Contains(text, []byte(line)), "%s: what was queued is written once somebody reads: %s", line, text)
	}
}
