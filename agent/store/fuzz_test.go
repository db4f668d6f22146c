package store_test

import (
	"encoding/binary"
	"testing"

	"duckduckgoose/agent/store"

	"github.com/stretchr/testify/require"
)

// FuzzDamage damages a state file at rest in whatever places: Open gives what
// was saved, or refuses and says so. It never makes a new agent of an old one,
// and never an older or another state.
//
// Each four bytes are one byte of the file: where it is, and what to add to it.
func FuzzDamage(f *testing.F) {
	for _, seed := range []string{
		"", "\x00\x00\x00\x01", "\x00\x00\x80\x01", "\x00\x00\x00\x01\x00\x00\x80\x01", // the magic of slot A, of B, of both
		"\x00\x00\x0b\x01", "\x00\x00\x0b\x01\x00\x00\x8b\x01", // the version
		"\x00\x00\x0e\x01\x00\x00\x8e\x01", "\x00\x00\x17\x01", "\x00\x00\x97\x01", // lengths, numbers
		"\x00\x00\x20\x01\x00\x00\xa0\x01", "\x00\x00\x1f\x01\x00\x00\xa0\x01", // payloads, checksums
		"\x00\x7f\xff\x01\x00\xff\xff\x01", // what no record uses
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, damages []byte) {
		disk, want := settled(t)
		for ; len(damages) >= 4; damages = damages[4:] {
			at := int64(binary.BigEndian.Uint32(damages)>>8) % (2 * slotBytes)
			file, err := disk.OpenFile(stateFile, 0, 0)
			require.NoError(t, err)
			var b [1]byte
			_, err = file.ReadAt(b[:], at)
			require.NoError(t, err)
			require.NoError(t, file.Close())
			b[0] += damages[3]
			require.NoError(t, disk.Damage(stateFile, at, b[:]))
		}
		for range 2 { // a refusal repairs nothing, a repair is whole
			st, err := store.Open(dir, disk)
			if err != nil {
				var told *store.Error
				require.ErrorAs(t, err, &told)
				require.Contains(t, []error{store.ErrCorrupt, store.ErrVersion}, told.Kind)
				continue
			}
			require.Equal(t, want, st.State())
			require.False(t, st.Fresh())
			require.NoError(t, st.Close())
		}
	})
}
