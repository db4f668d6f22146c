package port

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// labeled puts the flock's label before a message.
func labeled(message []byte) []byte {
	return append(append([]byte{labelByte, 7}, "default"...), message...)
}

// through gives what comes through a guard, and what was booked.
func through(b []byte, hasLabel bool) (out []byte, held int, err error) {
	g := newGuard(iotest.OneByteReader(bytes.NewReader(b)), hasLabel, func(n int) error {
		if held += n; held > streamMost {
			return errStreamLarge
		}
		return nil
	})
	out, err = io.ReadAll(&g)
	return out, held, err
}

// compact is a header in msgpack's shortest form; every flock of the tests sends
// memberlist's own.
func compact(t *testing.T, kind byte, fields ...any) []byte {
	t.Helper()
	b := bytes.NewBuffer([]byte{kind})
	e := msgpack.NewEncoder(b)
	e.UseCompactInts(true)
	require.NoError(t, e.EncodeMapLen(len(fields)/2))
	for _, f := range fields {
		require.NoError(t, e.Encode(f))
	}
	return b.Bytes()
}

func TestWhatAgentsSayPassesUnchanged(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 1000} {
		for _, message := range [][]byte{
			compact(t, gossipPushPull, "Nodes", n, "UserStateLen", 0, "Join", n%2 == 0), announce(gossipPushPull, "Nodes", n, "UserStateLen", 0),
			compact(t, gossipUser, "UserMsgLen", n), compact(t, gossipUser, "UserMsgLen", 256<<10),
			{gossipPing, 0x82}, {gossipAck}, {gossipErr, 0x81}, {gossipEncrypt, 0, 0, 1, 0, 7},
		} {
			message = append(message, bytes.Repeat([]byte{9}, n)...)
			for hasLabel, b := range map[bool][]byte{true: labeled(message), false: message} {
				out, held, err := through(b, hasLabel)
				require.NoError(t, err)
				require.Equal(t, b, out)
				require.GreaterOrEqual(t, held, len(b))
			}
		}
	}
	_, held, err := through(compact(t, gossipPushPull, "Nodes", 100, "UserStateLen", 30, "Join", true), false)
	require.NoError(t, err)
	require.GreaterOrEqual(t, held, 100*memberCost+30, "what is announced is booked before it has come")
}

func TestWhatNoAgentSaysIsRefusedBeforeMemberlistReadsIt(t *testing.T) {
	for text, message := range map[string][]byte{
		"brings more than an agent has to say":          announce(gossipUser, "UserMsgLen", 20<<20),
		"stream brings more than an agent has":          announce(gossipPushPull, "Nodes", 1<<20, "UserStateLen", 0),
		"more than an agent has to say":                 announce(gossipPushPull, "Nodes", 1, "UserStateLen", streamMost),
		"more than an agent":                            announce(gossipPushPull, "Nodes", 5000, "Nodes", 5000),
		"brings more":                                   {gossipEncrypt, 0x01, 0x40, 0, 0},
		"it is compressed, which no agent does":         {gossipCompress, 0x82},
		"message type 3":                                {3, 0x83},
		"message type 244":                              labeled(nil),
		"header 0x84":                                   {gossipPushPull, 0x84},
		"header 0xde":                                   {gossipPushPull, 0xde, 0, 1},
		"header 0x93":                                   {gossipPushPull, 0x93, 1, 0, 0xc2},
		"header field \"nodes\"":                        announce(gossipPushPull, "nodes", 7),
		"header field \"UserMsgLen\"":                   announce(gossipPushPull, "UserMsgLen", 7),
		"header field's name 0xd9":                      {gossipUser, 0x81, 0xd9, 10},
		"header value 0xca":                             append(announce(gossipUser, "UserMsgLen", 0)[:13], 0xca, 0, 0, 0, 0),
		"a header's number is negative":                 append(announce(gossipUser, "UserMsgLen", 0)[:13], 0xd3, 0xff, 0, 0, 0, 0, 0, 0, 0),
		"stream brings more than an agent has to say":   append(announce(gossipUser, "UserMsgLen", 0)[:13], 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"malformed stream: header value 0xff":           append(announce(gossipUser, "UserMsgLen", 0)[:13], 0xff),
		"malformed stream: message type 5":              {5},
		"malformed stream: header 0x82":                 {gossipUser, 0x82},
		"malformed stream: header field \"UserMsgLem\"": announce(gossipUser, "UserMsgLem", 1),
	} {
		_, _, err := through(labeled(message), true)
		require.ErrorContains(t, err, text)
		require.NotEmpty(t, unfit(err), text)
	}
	_, _, err := through(announce(gossipUser, "UserMsgLen", 1), true)
	require.ErrorContains(t, err, "it opens with 8, not with a label")
	_, _, err = through(append(announce(gossipUser, "UserMsgLen", 5), make([]byte, streamMost)...), false)
	require.ErrorIs(t, err, errStreamLarge)
	_, _, err = through(nil, true)
	require.NoError(t, err, "one that says nothing has an end")
	_, _, err = through(announce(gossipUser, "UserMsgLen", 5)[:7], false)
	require.NoError(t, err, "one that is cut short, too")
}

func FuzzStreamHeader(f *testing.F) {
	for _, message := range bigMessages {
		f.Add(labeled(message), true)
		f.Add(message, false)
	}
	f.Add([]byte{labelByte, 3, 'x', 'y', 'z', gossipPing, 1, 2}, true)
	f.Fuzz(func(t *testing.T, b []byte, hasLabel bool) {
		out, held, err := through(b, hasLabel)
		require.GreaterOrEqual(t, held, 0)
		require.True(t, bytes.HasPrefix(b, out))
		switch {
		case err != nil:
			require.NotEmpty(t, unfit(err), "%v", err)
		case len(out) > 0:
			require.Len(t, out, len(b))
		}
	})
}
