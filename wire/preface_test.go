package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
)

func preface(t testing.TB, ring *Keyring, id election.ID) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, WritePreface(&b, ring, id))
	require.Equal(t, byte(StreamByte), b.Bytes()[0])
	require.LessOrEqual(t, b.Len(), maxPreface)
	return b.Bytes()
}

func TestPrefaceNamesTheSender(t *testing.T) {
	for _, ring := range []*Keyring{keyring(t, "default"), keyring(t, "default", 1, 2)} {
		stream := bytes.NewReader(append(preface(t, ring, fromID), "what follows"...))
		id, err := ReadPreface(iotest.OneByteReader(stream), ring)
		require.NoError(t, err)
		require.Equal(t, fromID, id)
		rest, err := io.ReadAll(stream)
		require.NoError(t, err)
		require.Equal(t, "what follows", string(rest))
	}
}

func TestPrefaceThatDoesNotOpenIsReadToItsEnd(t *testing.T) {
	label := append([]byte{244, 5}, "other"...)
	for reason, pair := range map[string][2]*Keyring{
		DropUnknownKey: {keyring(t, "default", 1), keyring(t, "default", 2)},
		DropUnsealed:   {keyring(t, "default"), keyring(t, "default", 2)},
		DropSeal:       {keyring(t, "other", 1), keyring(t, "default", 1)},
		DropChecksum:   {keyring(t, "other"), keyring(t, "default")},
	} {
		stream := bytes.NewReader(append(preface(t, pair[0], fromID), label...))
		id, err := ReadPreface(stream, pair[1])
		drop := requireDrop(t, err, reason)
		require.Equal(t, reason == DropUnknownKey || reason == DropUnsealed, len(drop.Held) > 0)
		require.True(t, id.IsZero())
		rest, _ := io.ReadAll(stream)
		flock, ok := FlockLabelOf(rest)
		require.True(t, ok)
		require.Equal(t, "other", flock)
	}
}

func TestPrefaceOfAStrangerIsDroppedAtItsFirstByte(t *testing.T) {
	stream := bytes.NewReader([]byte{244, 1, 'x'})
	_, err := ReadPreface(stream, keyring(t, "default"))
	requireDrop(t, err, DropFirstByte)
	require.Equal(t, 2, stream.Len())
}

func TestPrefaceIsNoDatagram(t *testing.T) {
	for _, ring := range []*Keyring{keyring(t, "default"), keyring(t, "default", 1)} {
		b := preface(t, ring, fromID)
		asDatagram := append(append([]byte{FirstByte}, b[1:headSize]...), b[headSize+1:]...)
		_, err := ring.Open(nil, asDatagram)
		require.Error(t, err)
		datagram := seal(t, ring, fromID[:])
		asPreface := append([]byte{StreamByte}, datagram[1:headSize]...)
		asPreface = append(append(asPreface, byte(len(datagram)-headSize)), datagram[headSize:]...)
		_, err = ReadPreface(bytes.NewReader(asPreface), ring)
		require.Error(t, err)
	}
}

func TestEveryBitFlipOfAPrefaceIsDetected(t *testing.T) {
	for _, ring := range []*Keyring{keyring(t, "default"), keyring(t, "default", 1)} {
		b := preface(t, ring, fromID)
		for bit := range len(b) * 8 {
			flipped := append(bytes.Clone(b), make([]byte, 255)...)
			flipped[bit/8] ^= 1 << (bit % 8)
			_, err := ReadPreface(bytes.NewReader(flipped), ring)
			require.Error(t, err, "bit %d", bit)
		}
	}
}

func TestTruncatedPrefaceIsAnError(t *testing.T) {
	ring := keyring(t, "default", 1)
	b := preface(t, ring, fromID)
	for n := range b {
		_, err := ReadPreface(bytes.NewReader(b[:n]), ring)
		require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "cut at %d: %v", n, err)
	}
}

func TestPrefaceOfALaterVersionMayAddFields(t *testing.T) {
	ring := keyring(t, "default", 1)
	e := &ring.prefaces
	b := append(e.appendHead(nil), byte(idSize+4+e.overhead()))
	b = e.seal(b, append(fromID[:], "more"...))
	id, err := ReadPreface(bytes.NewReader(b), ring)
	require.NoError(t, err)
	require.Equal(t, fromID, id)
}

func TestPrefaceNamesSomebody(t *testing.T) {
	ring := keyring(t, "default")
	require.Error(t, WritePreface(io.Discard, ring, election.ID{}))
	for n, reason := range map[int]string{3: DropShort, 16: DropRange} {
		e := &ring.prefaces
		b := e.seal(append(e.appendHead(nil), byte(n+e.overhead())), make([]byte, n))
		_, err := ReadPreface(bytes.NewReader(b), ring)
		requireDrop(t, err, reason)
	}
}

func TestPrefaceReportsWhatTheStreamSays(t *testing.T) {
	broken := errors.New("broken")
	_, err := ReadPreface(iotest.ErrReader(broken), keyring(t, "default"))
	require.ErrorIs(t, err, broken)
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(broken))
	require.ErrorIs(t, WritePreface(writer, keyring(t, "default"), fromID), broken)
}

func TestFlockLabelIsReadInClear(t *testing.T) {
	for packet, want := range map[string]string{
		"\xF4\x07default\x00rest": "default",
		"\xF4\x01x":               "x",
		"\xF4\x00":                "",
		"\xF4\x02x":               "",
		"\xF4":                    "",
		"":                        "",
		"\x01\x07default":         "",
	} {
		label, ok := FlockLabelOf([]byte(packet))
		require.Equal(t, want != "", ok, "%q", packet)
		require.Equal(t, want, label)
	}
}
