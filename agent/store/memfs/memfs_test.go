package memfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"

	"github.com/stretchr/testify/require"
)

const size = 8 * 512

// filled gives a disk with a durable file "/d/f" of size bytes 'a'.
func filled(t *testing.T, seed uint64) (*memfs.FS, store.File) {
	d := memfs.New(seed)
	require.NoError(t, d.MkdirAll("/d", 0o700))
	f, err := d.OpenFile("/d/f", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	write(t, f, 'a')
	require.NoError(t, f.Sync())
	require.NoError(t, d.SyncDir("/d"))
	return d, f
}

func write(t *testing.T, f store.File, c byte) {
	n, err := f.WriteAt(bytes.Repeat([]byte{c}, size), 0)
	require.NoError(t, err)
	require.Equal(t, size, n)
}

func content(t *testing.T, d *memfs.FS, name string) string {
	f, err := d.OpenFile(name, os.O_RDONLY, 0)
	require.NoError(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return string(b)
}

// sectors is the content as one letter a sector; it fails when one is mixed.
func sectors(t *testing.T, s string) string {
	var out []byte
	for ; len(s) > 0; s = s[512:] {
		require.Equal(t, bytes.Repeat([]byte{s[0]}, 512), []byte(s[:512]), "a sector is torn")
		out = append(out, s[0])
	}
	return string(out)
}

func TestPowerCutKeepsWholeSectorsOfWhatWasNotSynced(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(300) {
		d, f := filled(t, seed)
		write(t, f, 'b')
		d.PowerCut()
		_, err := d.OpenFile("/d/f", os.O_RDONLY, 0)
		require.ErrorIs(t, err, memfs.ErrPowerCut)
		d.PowerOn()
		seen[sectors(t, content(t, d, "/d/f"))] = true
		require.ErrorIs(t, f.Sync(), memfs.ErrKilled, "files opened before stay dead")
	}
	for _, want := range []string{"aaaaaaaa", "bbbbbbbb", "bbbaaaaa"} {
		require.True(t, seen[want], want)
	}
	require.Greater(t, len(seen), 30, "and many a mixture")
}

func TestSyncedDataSurvives(t *testing.T) {
	for seed := range uint64(30) {
		d, f := filled(t, seed)
		write(t, f, 'b')
		require.NoError(t, f.Sync())
		d.PowerCut()
		d.PowerOn()
		require.Equal(t, "bbbbbbbb", sectors(t, content(t, d, "/d/f")))
	}
}

func TestKillForgetsNothingAndMakesNothingDurable(t *testing.T) {
	lost := false
	for seed := range uint64(30) {
		d, f := filled(t, seed)
		write(t, f, 'b')
		d.Kill()
		_, err := f.WriteAt([]byte{0}, 0)
		require.ErrorIs(t, err, memfs.ErrKilled)
		d.PowerOn()
		require.Equal(t, "bbbbbbbb", sectors(t, content(t, d, "/d/f")))
		d.PowerCut()
		d.PowerOn()
		lost = lost || sectors(t, content(t, d, "/d/f")) != "bbbbbbbb"
	}
	require.True(t, lost)
}

func TestFailedSyncLeavesDataThatOnlySeemsDurable(t *testing.T) {
	lost := false
	for seed := range uint64(30) {
		d, f := filled(t, seed)
		write(t, f, 'b')
		d.FailAt(d.Ops()+1, syscall.EIO)
		require.ErrorIs(t, f.Sync(), syscall.EIO)
		require.NoError(t, f.Sync(), "as on Linux")
		require.Equal(t, "bbbbbbbb", sectors(t, content(t, d, "/d/f")))
		d.PowerCut()
		d.PowerOn()
		lost = lost || sectors(t, content(t, d, "/d/f")) != "bbbbbbbb"
	}
	require.True(t, lost)
}

func TestNamesAreDurableAfterSyncDir(t *testing.T) {
	var before, after int
	for seed := range uint64(40) {
		d, _ := filled(t, seed)
		g, err := d.OpenFile("/d/g", os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		write(t, g, 'g')
		require.NoError(t, g.Sync())
		require.NoError(t, d.Rename("/d/g", "/d/f"))
		require.Equal(t, "gggggggg", sectors(t, content(t, d, "/d/f")))
		if seed%2 == 0 {
			require.NoError(t, d.SyncDir("/d"))
		}
		d.PowerCut()
		d.PowerOn()
		switch got := sectors(t, content(t, d, "/d/f")); {
		case seed%2 == 0:
			require.Equal(t, "gggggggg", got)
		case got == "aaaaaaaa":
			before++
		default:
			require.Equal(t, "gggggggg", got)
			after++
		}
	}
	require.NotZero(t, before)
	require.NotZero(t, after)
}

func TestCutStrikesInTheMiddleOfItsOperation(t *testing.T) {
	for seed := range uint64(20) {
		d, f := filled(t, seed)
		write(t, f, 'b')
		d.CutAt(d.Ops() + 1)
		require.ErrorIs(t, f.Sync(), memfs.ErrPowerCut)
		require.ErrorIs(t, d.MkdirAll("/e", 0o700), memfs.ErrPowerCut, "until the power is on")
		d.PowerOn()
		sectors(t, content(t, d, "/d/f"))
	}
}

func TestFailedWriteMayBeMadeInPart(t *testing.T) {
	d, f := filled(t, 1)
	d.FailFrom(d.Ops()+1, syscall.ENOSPC)
	n, err := f.WriteAt(bytes.Repeat([]byte{'b'}, size), 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, d.Rename("/d/f", "/d/g"), syscall.ENOSPC)
	d.Fail(nil)
	got := content(t, d, "/d/f")
	require.Equal(t, string(bytes.Repeat([]byte{'b'}, n))+string(bytes.Repeat([]byte{'a'}, size-n)), got)
}

func TestLockIsHeldByOneOpenFile(t *testing.T) {
	d, f := filled(t, 1)
	require.NoError(t, f.Lock())
	require.NoError(t, f.Lock(), "again by its holder")
	g, err := d.OpenFile("/d/f", os.O_RDWR, 0)
	require.NoError(t, err)
	require.ErrorIs(t, g.Lock(), store.ErrLocked)
	require.NoError(t, f.Close())
	require.NoError(t, g.Lock())
	d.Kill()
	d.PowerOn()
	h, err := d.OpenFile("/d/f", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, h.Lock(), "a lock ends with its process")
}

func TestReadsAndWritesAreThoseOfAFile(t *testing.T) {
	d, f := filled(t, 1)
	_, err := f.WriteAt([]byte("xyz"), 511)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("end"), size+1000) // a hole before it reads as zeros
	require.NoError(t, err)
	got := content(t, d, "/d/f")
	require.Len(t, got, size+1003)
	require.EqualValues(t, size+1003, d.Size("/d/f"))
	require.Equal(t, "axyza", got[510:515])
	require.Equal(t, string(make([]byte, 1000))+"end", got[size:])
	b := make([]byte, 10)
	n, err := f.ReadAt(b, size+1000)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "end", string(b[:n]))
	n, err = f.ReadAt(b, 1<<20)
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, n)

	require.NoError(t, d.FlipBit("/d/f", 8*2+1))
	require.Equal(t, byte('a'^2), content(t, d, "/d/f")[2])

	_, err = d.OpenFile("/d/none", os.O_RDWR, 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = d.OpenFile("/none/f", os.O_RDWR|os.O_CREATE, 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, d.Rename("/d/none", "/d/x"), fs.ErrNotExist)
	require.ErrorIs(t, d.Damage("/d/none", 0, nil), fs.ErrNotExist)

	g, err := d.OpenFile("/d/f", os.O_RDWR|os.O_TRUNC, 0)
	require.NoError(t, err)
	require.Empty(t, content(t, d, "/d/f"))
	require.NoError(t, g.Close())
	require.ErrorIs(t, g.Sync(), fs.ErrClosed)
}

func TestSameSeedSameDisk(t *testing.T) {
	run := func() string {
		d, f := filled(t, 42)
		for _, name := range []string{"/d/x", "/d/y", "/d/z"} {
			g, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
			require.NoError(t, err)
			write(t, g, 'g')
			require.NoError(t, d.Rename(name, "/d/w"))
		}
		write(t, f, 'b')
		d.PowerCut()
		d.PowerOn()
		out := content(t, d, "/d/f")
		for _, name := range []string{"/d/w", "/d/x", "/d/y", "/d/z"} {
			if d.Size(name) >= 0 {
				out += name + content(t, d, name)
			}
		}
		return out
	}
	first := run()
	for range 20 {
		require.Equal(t, first, run())
	}
}

func TestRuleChoosesWhatFails(t *testing.T) {
	d, f := filled(t, 1)
	odd := errors.New("odd")
	d.Fail(func(op int) error {
		if op%2 == 1 {
			return odd
		}
		return nil
	})
	for range 4 {
		want := d.Ops()%2 == 0
		require.Equal(t, want, errors.Is(f.Sync(), odd))
	}
}
