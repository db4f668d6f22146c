package warden

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func messageTo(addr, text string) Message {
	return Message{netip.MustParseAddrPort(addr), []byte(text)}
}

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	var b []byte
	want := []kept{{7, messageTo("10.0.0.1:3825", "one")}, {7, messageTo("[fd00::2]:1", "")}, {1 << 63, messageTo("127.0.0.1:65535", "three")}}
	for i := range want {
		b = appendMessage(b, want[i].election, &want[i].Message)
	}
	got, err := parseMessages(b)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].election, got[i].election)
		require.Equal(t, want[i].To, got[i].To)
		require.Equal(t, string(want[i].Datagram), string(got[i].Datagram))
	}
	for n := range len(b) {
		if _, err := parseMessages(b[:n]); err == nil {
			rest, _ := parseMessages(b[:n])
			require.Less(t, len(rest), len(want), "only whole messages are read")
		}
	}
}

func TestDamagedMemoryIsRefused(t *testing.T) {
	_, err := parse(nil)
	require.Error(t, err)
	for name, damage := range map[string]func(mem []byte){
		"no magic":          func(mem []byte) { clear(mem[magicAt:][:8]) },
		"a third copy":      func(mem []byte) { mem[activeAt] = 3 },
		"beyond its copy":   func(mem []byte) { binary.NativeEndian.PutUint32(mem[copiesAt:], copySize-3) },
		"half a message":    func(mem []byte) { mem[copiesAt]-- },
		"a longer datagram": func(mem []byte) { mem[copiesAt+4+8+1+4+2]++ },
	} {
		mem := make([]byte, size)
		binary.NativeEndian.PutUint64(mem[magicAt:], magic)
		binary.NativeEndian.PutUint64(mem[activeAt:], 1)
		all := appendMessage(nil, 7, &Message{netip.MustParseAddrPort("10.0.0.1:1"), []byte("text")})
		binary.NativeEndian.PutUint32(mem[copiesAt:], uint32(len(all)))
		copy(mem[copiesAt+4:], all)
		will, err := parse(mem)
		require.NoError(t, err)
		require.Len(t, will.messages, 1)
		damage(mem)
		_, err = parse(mem)
		require.Error(t, err, name)
	}
	for _, m := range []Message{{Datagram: []byte("to nobody")}, messageTo("10.0.0.1:1", strings.Repeat("x", maxMessage+1))} {
		_, err := parseMessages(appendMessage(nil, 7, &m))
		require.Error(t, err)
	}
}

// A proof that no holder can have would release those that can give none.
func TestProofs(t *testing.T) {
	for _, want := range []uint64{NoProof + 1, 0x0123456789abcdef, 1<<64 - 1} {
		proof, ok := parseProof(appendProof(nil, want))
		require.True(t, ok)
		require.Equal(t, want, proof)
	}
	for _, text := range []string{"", "0000000000000000", "0000000000000001", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "0123456789abcdeg", "0123456789abcde/", "0123456789abcde:", "0123456789abcde`"} {
		_, ok := parseProof([]byte(text))
		require.False(t, ok, text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(appendMessage(nil, 1, &Message{netip.MustParseAddrPort("10.0.0.1:3825"), []byte("one")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		messages, err := parseMessages(b)
		if err != nil {
			return
		}
		var again []byte
		for i := range messages {
			again = appendMessage(again, messages[i].election, &messages[i].Message)
		}
		if len(again) > len(b) {
			t.Fatal("more than was there")
		}
	})
}

// Each election waits for its own holders, and one that can give no proof is waited for in vain.
func TestAnElectionWaitsForItsOwnHolders(t *testing.T) {
	one := func(election uint64) kept { return kept{election: election} }
	will := lastWill{messages: []kept{one(1), one(2), one(3)}, holders: []holder{{1, 77}, {1, 78}, {2, 79}, {3, NoProof}}}
	will.hopeless()
	require.Equal(t, []kept{one(1), one(2)}, will.messages)
	gone := map[uint64]bool{77: true, 79: true}
	require.Equal(t, []kept{one(2)}, will.ready(gone))
	require.Empty(t, will.ready(gone))
	gone[78] = true
	require.Equal(t, []kept{one(1)}, will.ready(gone))
	require.Empty(t, will.messages)
}
