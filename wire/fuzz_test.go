package wire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/memtest"
)

// FuzzOpen: whatever arrives is opened or dropped, and only what a key holder
// made is opened by a ring with keys.
func FuzzOpen(f *testing.F) {
	plain, sealed := keyring(f, "default"), keyring(f, "default", 1, 2)
	golden := readGolden(f)
	for _, name := range []string{"datagram-plain", "datagram-sealed", "preface-plain", "preface-sealed"} {
		f.Add(golden[name])
	}
	f.Add([]byte{FirstByte})
	f.Add([]byte{FirstByte, Version, 0, 0, 0, 0})
	f.Add(append([]byte{FirstByte, Version}, make([]byte, 60)...))
	memory := memtest.New()
	f.Fuzz(func(t *testing.T, datagram []byte) {
		memory.Input(t, func() {
			for _, ring := range []*Keyring{plain, sealed} {
				body, err := ring.Open([]byte("before"), datagram)
				if err != nil {
					var drop *DropError
					require.ErrorAs(t, err, &drop)
					require.Contains(t, Reasons(), drop.Reason)
					require.Equal(t, "before", string(body))
					continue
				}
				require.Len(t, datagram, len(body)-len("before")+ring.Overhead())
				if ring == sealed {
					require.Equal(t, golden["datagram-sealed"], datagram, "forged")
				} else {
					require.Equal(t, datagram, seal(t, ring, body[len("before"):]))
				}
			}
			id, err := ReadPreface(bytes.NewReader(datagram), plain)
			require.Equal(t, err != nil, id.IsZero())
			FlockLabelOf(datagram)
		})
	})
}

// FuzzDecodeFrame: whatever decodes can be encoded and decoded again, to the same.
func FuzzDecodeFrame(f *testing.F) {
	for _, g := range goldenFrames() {
		f.Add(encode(f, g.frame))
	}
	for _, body := range hostileBodies() {
		f.Add(body)
	}
	steady, _, err := AppendMost(nil, steadyFrame(5))
	require.NoError(f, err)
	f.Add(steady)
	f.Add(pack(f, flockID[:], fromID[:], toID[:], 1, 2, 3, []any{[]any{0, packedAcks, 1, 2, 3, 4, []byte{0x81, 0x80, 0, 1, 0x82, 0, 3}}}, nil))
	f.Add(pack(f, flockID[:], fromID[:], toID[:], 1, 2, 3, []any{[]any{0, 99, "new"}}, []any{88}, "added"))
	var got, again Frame
	memory := memtest.New()
	f.Fuzz(func(t *testing.T, body []byte) {
		memory.Input(t, func() {
			if err := DecodeFrame(body, &got); err != nil {
				var drop *DropError
				require.ErrorAs(t, err, &drop)
				require.Contains(t, Reasons(), drop.Reason)
				return
			}
			if got.Packed() {
				all := everything(t, &got)
				next := len(got.Messages)
				got.Ahead(func(election uint64) {
					if election < 0x80 { // else its number was written with too many bytes
						require.Equal(t, all[next].Election, election)
					}
					next++
				})
				require.Len(t, all, next)
				got.Messages = all
				out, taken, err := AppendMost(nil, &got)
				require.NoError(t, err)
				require.NoError(t, DecodeFrame(out, &again))
				require.ElementsMatch(t, all[:taken], everything(t, &again))
				return
			}
			out, err := AppendFrame(nil, &got)
			require.NoError(t, err)
			require.LessOrEqual(t, len(out), len(body))
			require.NoError(t, DecodeFrame(out, &again))
			got.Skipped = 0
			requireSame(t, &got, &again)
		})
	})
}

// FuzzParseKeys: whatever is in the file, keys come out whole or not at all.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(line(1) + "\n" + line(2) + "\n"))
	f.Add([]byte("# a comment\n\n" + line(1) + " # another\r\n"))
	f.Add([]byte(line(1)[:43] + "\n"))
	f.Add([]byte("\ufeff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseKeys(text)
		if err != nil {
			require.Nil(t, keys)
			return
		}
		require.NotEmpty(t, keys)
		_, err = NewKeyring("default", keys)
		require.NoError(t, err)
	})
}
