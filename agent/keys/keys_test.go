package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// testHost is an agent that only has keys.
type testHost struct{ keys [][]byte }

func (h *testHost) State(context.Context) (State, error) { return State{Keys: h.keys}, nil }

func (h *testHost) SetKeys(_ context.Context, keys [][]byte, _ election.ID) error {
	h.keys = keys
	return nil
}

func testKey(n byte) []byte { return bytes.Repeat([]byte{n}, wire.KeySize) }

func TestAChangeOfKeysIsMadeOncePerTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &testHost{keys: [][]byte{testKey(1)}}
		handlers := New(host).Handlers()
		ticket := func() string {
			told, err := handlers[keysQuestion](context.Background(), election.ID{}, nil)
			require.NoError(t, err)
			return told.(ring).Ticket
		}
		ask := func(c change) error {
			body, err := json.Marshal(c)
			require.NoError(t, err)
			_, err = handlers[changeQuestion](context.Background(), election.ID{}, body)
			return err
		}
		first := ticket()
		require.NoError(t, ask(change{Ticket: first, Install: testKey(8)}))
		require.Len(t, host.keys, 2)
		require.ErrorContains(t, ask(change{Ticket: first, Remove: wire.KeyID(testKey(8))}), "was already made")
		require.ErrorContains(t, ask(change{Ticket: "invented", Remove: wire.KeyID(testKey(8))}), "was already made")
		late := ticket()
		time.Sleep(ticketFor)
		require.ErrorContains(t, ask(change{Ticket: late, Remove: wire.KeyID(testKey(8))}), "is older than 1m0s")
		require.Len(t, host.keys, 2)
		for range maxTickets {
			ticket()
		}
		_, err := handlers[keysQuestion](context.Background(), election.ID{}, nil)
		require.ErrorContains(t, err, "try again later")
	})
}

func TestARingIsBounded(t *testing.T) {
	var keys [][]byte
	for n := range byte(maxKeys) {
		next, _, err := (&change{Install: testKey(n)}).apply(append([][]byte{testKey(100)}, keys...))
		if int(n) == maxKeys-1 {
			require.ErrorContains(t, err, "already has 8 keys")
			break
		}
		require.NoError(t, err)
		keys = next[1:]
	}
	for _, bad := range []change{{Install: []byte("short")}, {Use: "00000000"}, {Remove: wire.KeyID(testKey(0))}} {
		_, _, err := bad.apply([][]byte{testKey(0), testKey(1)})
		require.Error(t, err)
	}
	next, _, err := (&change{Use: wire.KeyID(testKey(2))}).apply([][]byte{testKey(0), testKey(1), testKey(2)})
	require.NoError(t, err)
	require.Equal(t, [][]byte{testKey(2), testKey(0), testKey(1)}, next)
}

func TestKeyFileKeepsItsCommentsAndOtherKeys(t *testing.T) {
	line := func(n byte) string { return base64.StdEncoding.EncodeToString(testKey(n)) }
	text := "# the flock's\n\n# of March\n" + line(1) + " # first\n# of May\n" + line(2) + "\r\n" + line(3) + "\n# end"
	got, err := reorder([]byte(text), [][]byte{testKey(2), testKey(4)}, testKey(1))
	require.NoError(t, err)
	require.Equal(t, "# of May\n"+line(2)+"\n"+line(4)+"\n"+line(3)+"\n# end\n", string(got))
	parsed, err := wire.ParseKeys(got)
	require.NoError(t, err)
	require.Equal(t, [][]byte{testKey(2), testKey(4), testKey(3)}, parsed)
	_, err = reorder([]byte(text), [][]byte{testKey(7)}, nil)
	require.ErrorContains(t, err, "has none of this agent's keys")

	dir := t.TempDir()
	target, link := filepath.Join(dir, "real.key"), filepath.Join(dir, "link.key")
	require.NoError(t, os.WriteFile(target, []byte(text), 0o640))
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, rewrite(link, [][]byte{testKey(2)}, nil))
	held, err := ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, testKey(2), held[0])
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2, "nothing is left behind")
}

func TestKeyFileThatTheAgentMayNotWriteSaysWhatToDo(t *testing.T) {
	for _, err := range []error{syscall.EACCES, syscall.EROFS} {
		require.ErrorContains(t, unwritable("/etc/ddgoose/ddgoose.key", err), "put the new key behind the old one where the file comes from")
	}
	require.NotContains(t, unwritable("/k", syscall.ENOSPC).Error(), "SIGHUP")
}

func TestKeyFileThatOthersMayChangeIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	for _, mode := range []os.FileMode{0o620, 0o602, 0o660} {
		require.NoError(t, os.Chmod(file, mode))
		_, err := ReadFile(file)
		require.ErrorContains(t, err, "other users can write to it")
	}
	require.NoError(t, os.Chmod(file, 0o640))
	_, err := ReadFile(file)
	require.NoError(t, err)
}
