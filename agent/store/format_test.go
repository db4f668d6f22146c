package store_test

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc64"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"
)

// formatOne makes a slot of format 1 with this number and Start, and founders
// enough to fill several sectors, which a power cut could tear apart.
func formatOne(t *testing.T, seq, start uint64) []byte {
	b, err := hex.DecodeString(store.SlotOne)
	require.NoError(t, err)
	const header, founders, more = 32, 16 + 8 + 1 + 16 + 16 + 16 + 8 + 8, 60
	var ids []byte
	for i := range more {
		ids = append(ids, append([]byte{9, byte(i)}, make([]byte, 14)...)...)
	}
	b = slices.Insert(b, header+founders+2, ids...)
	be := binary.BigEndian
	be.PutUint16(b[header+founders:], be.Uint16(b[header+founders:])+more)
	be.PutUint32(b[12:], uint32(len(b)-header))
	be.PutUint64(b[16:], seq)
	be.PutUint64(b[header+16:], start)
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	sum.Write(b[:24])
	sum.Write(b[header:])
	be.PutUint64(b[24:], sum.Sum64())
	return append(b, make([]byte, slotBytes-len(b))...)
}

// diskOfOldFormat is one on which a power cut struck between the two slots: A
// holds what was acknowledged last, B what was before.
func diskOfOldFormat(t *testing.T, seed uint64, slot func(seq, start uint64) []byte) *memfs.FS {
	disk := memfs.New(seed)
	require.NoError(t, disk.MkdirAll(dir, 0o700))
	f, err := disk.OpenFile(stateFile, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt(append(slot(43, 4), slot(42, 3)...), 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.NoError(t, disk.SyncDir(dir))
	return disk
}

// A power cut at any operation of the start that brings another format, with
// whatever it tears, loses nothing that was acknowledged.
func TestPowerCutsWhileTheFormatChangesLoseNothing(t *testing.T) {
	one := func(seq, start uint64) []byte { return formatOne(t, seq, start) }
	for seed := range uint64(40) {
		format := one
		if seed%2 == 1 {
			format = store.FormatTwo
		}
		cut := true
		for op := 1; cut; op++ {
			disk := diskOfOldFormat(t, seed, format)
			disk.CutAt(disk.Ops() + op)
			st, err := store.Open(dir, disk)
			if cut = err != nil; !cut {
				require.NoError(t, st.Close())
			}
			disk.CutAt(0)
			disk.PowerOn()
			st, err = store.Open(dir, disk)
			require.NoError(t, err, "seed %d, operation %d", seed, op)
			require.EqualValues(t, 4, st.State().Start, "seed %d, operation %d", seed, op)
			require.NoError(t, st.Close())
		}
	}
}
