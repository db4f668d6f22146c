package wire

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// key makes the n-th test key.
func key(n byte) []byte { return bytes.Repeat([]byte{n}, KeySize) }

func keyring(t testing.TB, label string, keys ...byte) *Keyring {
	t.Helper()
	var ks [][]byte
	for _, n := range keys {
		ks = append(ks, key(n))
	}
	ring, err := NewKeyring(label, ks)
	require.NoError(t, err)
	return ring
}

func seal(t testing.TB, ring *Keyring, body []byte) []byte {
	t.Helper()
	datagram, err := ring.Seal(nil, body)
	require.NoError(t, err)
	return datagram
}

var body = []byte("a body of some length")

func TestSealedOpensAgain(t *testing.T) {
	for name, ring := range map[string]*Keyring{"no key": keyring(t, "default"), "a key": keyring(t, "default", 1), "empty label": keyring(t, "", 1)} {
		for _, body := range [][]byte{{}, body, make([]byte, MaxBody)} {
			datagram, err := ring.Seal([]byte("before"), body)
			require.NoError(t, err, name)
			require.Equal(t, "before", string(datagram[:6]))
			datagram = datagram[6:]
			require.Equal(t, byte(FirstByte), datagram[0])
			require.Len(t, datagram, len(body)+ring.Overhead())
			require.LessOrEqual(t, len(datagram), MaxDatagram)
			got, err := ring.Open([]byte("before"), datagram)
			require.NoError(t, err, name)
			require.Equal(t, "before"+string(body), string(got))
		}
	}
}

func TestSealHidesTheBody(t *testing.T) {
	ring := keyring(t, "default", 1)
	one, two := seal(t, ring, body), seal(t, ring, body)
	require.NotContains(t, string(one), string(body))
	require.NotEqual(t, one, two, "a nonce was used twice")
}

func TestTooLargeIsNeitherSealedNorOpened(t *testing.T) {
	ring := keyring(t, "default", 1)
	_, err := ring.Seal(nil, make([]byte, MaxBody+1))
	requireDrop(t, err, DropTooLarge)
	datagram := make([]byte, MaxDatagram+1)
	datagram[0] = FirstByte
	_, err = ring.Open(nil, datagram)
	requireDrop(t, err, DropTooLarge)
}

func TestRotationOpensOldAndNew(t *testing.T) {
	before, during, after := keyring(t, "default", 1), keyring(t, "default", 2, 1), keyring(t, "default", 2)
	require.Equal(t, []string{KeyID(key(2)), KeyID(key(1))}, during.KeyIDs())
	for _, pair := range [][2]*Keyring{{before, during}, {during, after}, {after, during}, {during, during}} {
		got, err := pair[1].Open(nil, seal(t, pair[0], body))
		require.NoError(t, err)
		require.Equal(t, body, got)
	}
	_, err := before.Open(nil, seal(t, during, body))
	requireDrop(t, err, DropUnknownKey)
}

func TestWrongKeyIsToldByItsName(t *testing.T) {
	_, err := keyring(t, "default", 2, 3).Open(nil, seal(t, keyring(t, "default", 1), body))
	drop := requireDrop(t, err, DropUnknownKey)
	require.Equal(t, KeyID(key(1)), drop.KeyID)
	require.Equal(t, []string{KeyID(key(2)), KeyID(key(3))}, drop.Held)
	require.Equal(t, "seals with key "+KeyID(key(1))+", we hold "+KeyID(key(2))+", "+KeyID(key(3)), drop.Error())

	_, err = keyring(t, "default").Open(nil, seal(t, keyring(t, "default", 1), body))
	require.Equal(t, "seals with key "+KeyID(key(1))+", we hold none", requireDrop(t, err, DropUnknownKey).Error())

	_, err = keyring(t, "default", 2).Open(nil, seal(t, keyring(t, "default"), body))
	require.Equal(t, "sends without a key, we hold "+KeyID(key(2)), requireDrop(t, err, DropUnsealed).Error())
}

func TestOtherLabelDoesNotOpen(t *testing.T) {
	_, err := keyring(t, "b", 1).Open(nil, seal(t, keyring(t, "a", 1), body))
	requireDrop(t, err, DropSeal)
	_, err = keyring(t, "b").Open(nil, seal(t, keyring(t, "a"), body))
	requireDrop(t, err, DropChecksum)
	require.Contains(t, err.Error(), "another flock label")

	// Bytes may not wander between label and body.
	_, err = keyring(t, "a").Open(nil, seal(t, keyring(t, "ab"), []byte("c")))
	requireDrop(t, err, DropChecksum)
	moved := append(seal(t, keyring(t, "ab"), nil), "bc"...)
	_, err = keyring(t, "a").Open(nil, moved)
	requireDrop(t, err, DropChecksum)
}

func TestOtherVersionIsDropped(t *testing.T) {
	for _, ring := range []*Keyring{keyring(t, "default"), keyring(t, "default", 1)} {
		datagram := seal(t, ring, body)
		datagram[1] = Version + 1
		_, err := ring.Open(nil, datagram)
		requireDrop(t, err, DropFrameVersion)
		require.Equal(t, "speaks frame version 2, we speak 1", err.Error())
	}
}

func TestEveryBitFlipIsDetected(t *testing.T) {
	for _, ring := range []*Keyring{keyring(t, "default"), keyring(t, "default", 1)} {
		datagram := seal(t, ring, body)
		for bit := range len(datagram) * 8 {
			flipped := bytes.Clone(datagram)
			flipped[bit/8] ^= 1 << (bit % 8)
			got, err := ring.Open([]byte("before"), flipped)
			var drop *DropError
			require.ErrorAs(t, err, &drop, "bit %d", bit)
			require.Equal(t, "before", string(got))
		}
	}
}

func TestEveryTruncationIsDetected(t *testing.T) {
	for _, ring := range []*Keyring{keyring(t, "default"), keyring(t, "default", 1)} {
		datagram := seal(t, ring, body)
		for n := range datagram {
			_, err := ring.Open(nil, datagram[:n])
			var drop *DropError
			require.ErrorAs(t, err, &drop, "cut at %d", n)
		}
		_, err := ring.Open(nil, append(datagram, 0))
		require.Error(t, err)
	}
}

// The head of a sealed datagram is authenticated too: a datagram cannot be
// made to look as if an older key of the ring had sealed it.
func TestKeyIDIsAuthenticated(t *testing.T) {
	ring := keyring(t, "default", 1, 2)
	datagram := seal(t, ring, body)
	id := keyID(key(2))
	copy(datagram[2:], id[:])
	_, err := ring.Open(nil, datagram)
	require.Equal(t, KeyID(key(2)), requireDrop(t, err, DropSeal).KeyID)
}

func TestChecksumIsCRC32COfHeadLabelAndBody(t *testing.T) {
	datagram := seal(t, keyring(t, "default"), body)
	summed := append([]byte{FirstByte, Version, 0, 0, 0, 0, byte(len("default"))}, "default"+string(body)...)
	require.Equal(t, crc32.Checksum(summed, crc32.MakeTable(crc32.Castagnoli)), binary.BigEndian.Uint32(datagram[headSize:]))
}

func TestBadKeysAndLabelsAreRefused(t *testing.T) {
	for want, keys := range map[string][][]byte{
		"key 1 has 0 bytes: want 32":    {nil},
		"key 2 has 31 bytes: want 32":   {key(1), key(2)[1:]},
		") repeats key 1: name each on": {key(1), key(2), key(1)},
	} {
		_, err := NewKeyring("default", keys)
		require.ErrorContains(t, err, want)
	}
	_, err := NewKeyring(strings.Repeat("x", MaxLabel+1), nil)
	require.ErrorContains(t, err, "flock label of 256 bytes: at most 255")
	_, err = NewKeyring(strings.Repeat("x", MaxLabel), nil)
	require.NoError(t, err)
}

func TestReasonsAreWhatCountersAreCalled(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		require.Regexp(t, `^[a-z_]+$`, r)
		require.False(t, seen[r])
		seen[r] = true
		require.NotEmpty(t, (&DropError{Reason: r}).Error())
	}
}
