package warden

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newKeeper returns a keeper without a warden, which tests read instead.
func newKeeper() *Keeper {
	k := &Keeper{mem: make([]byte, size)}
	k.mu.messages = map[string][]Message{}
	k.word(magicAt).Store(magic)
	return k
}

func wills(t *testing.T, k *Keeper) (texts []string) {
	will, err := parse(k.mem)
	require.NoError(t, err)
	for _, m := range will.messages {
		texts = append(texts, string(m.Datagram))
	}
	return texts
}

// The agent may die while it writes: what is in force stays whole until the new will is.
func TestAWillInForceIsNotWrittenOver(t *testing.T) {
	k := newKeeper()
	for i := range 4 {
		was, before := int(k.word(activeAt).Load()), wills(t, k)
		text := fmt.Sprint(i)
		k.Write("x", []Message{messageTo("10.0.0.1:1", text)})
		require.Equal(t, []string{text}, wills(t, k))
		if was != 0 {
			k.word(activeAt).Store(uint64(was))
			require.Equal(t, before, wills(t, k))
			k.enforce()
		}
	}
}

func TestHushedWillsAreNotInForce(t *testing.T) {
	k := newKeeper()
	k.Write("x", []Message{messageTo("10.0.0.1:1", "old")})
	k.Hush(true)
	require.Empty(t, wills(t, k))
	k.Write("x", []Message{messageTo("10.0.0.1:1", "new")})
	require.Empty(t, wills(t, k))
	k.Hush(false)
	require.Equal(t, []string{"new"}, wills(t, k))
}

func TestWillsThatDoNotFitAreLeftOut(t *testing.T) {
	k := newKeeper()
	k.Write("x", []Message{messageTo("10.0.0.1:1", "of-x")})
	large := strings.Repeat("y", maxMessage)
	var many []Message
	for range 2 * copySize / maxMessage {
		many = append(many, messageTo("[fd00::2]:1", large))
	}
	was := k.word(activeAt).Load()
	k.Write("y", many)
	require.Greater(t, len(wills(t, k)), copySize/maxMessage*9/10)
	k.word(activeAt).Store(was)
	require.Equal(t, []string{"of-x"}, wills(t, k), "the other copy is whole")
}

// A will that does not know of a holder would end the promises while that one works.
func TestNoWillStandsWhileAHolderIsNotInTheList(t *testing.T) {
	k := newKeeper()
	k.Write("x", []Message{messageTo("10.0.0.1:1", "of-x")})
	var slots []Slot
	for range maxSlots + 2 {
		slots = append(slots, k.Hold("y", 7))
	}
	for i := maxSlots + 1; i >= maxSlots; i-- {
		require.Empty(t, wills(t, k))
		k.Drop(slots[i])
	}
	require.Equal(t, []string{"of-x"}, wills(t, k))
	will, err := parse(k.mem)
	require.NoError(t, err)
	require.Len(t, will.holders, maxSlots)
	for _, s := range slots[:maxSlots] {
		k.Drop(s)
	}
	slots[0] = k.Hold("x", free)
	require.NotEqual(t, crowded, slots[0], "places are used again")
	will, err = parse(k.mem)
	require.NoError(t, err)
	require.Equal(t, []holder{{will.messages[0].election, NoProof}}, will.holders, "no dropped holder is left")
}

func TestTheSocketOfADeadAgentIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	for range 2 {
		f, err := listen(path)
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.ModeSocket|0o600, info.Mode(), "for its user alone")
		require.NoError(t, f.Close())
	}
	ReportGone(path, 7) // nobody listens: it returns
	fd, err := listen(path)
	require.NoError(t, err)
	defer fd.Close()
	conn, err := net.FilePacketConn(fd)
	require.NoError(t, err)
	defer conn.Close()
	ReportGone(path, 1<<63|0xabcdef0123456789)
	b := make([]byte, 2*proofSize)
	n, _, err := conn.ReadFrom(b)
	require.NoError(t, err)
	proof, ok := parseProof(b[:n])
	require.True(t, ok)
	require.EqualValues(t, uint64(1<<63|0xabcdef0123456789), proof)
}
