package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/nofollow"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"

	"github.com/stretchr/testify/require"
)

const (
	slotBytes = 32 << 10
	stateFile = dir + "/state"
)

// settled returns a disk at rest after a few saves, and its state.
func settled(t *testing.T) (*memfs.FS, store.State) {
	disk := memfs.New(1)
	st, err := store.Open(dir, disk)
	require.NoError(t, err)
	state, err := st.Begin()
	require.NoError(t, err)
	for term := range uint64(4) {
		state.Bound = election.FlockID{1}
		state.Elections = []store.Election{{Record: record(term)}, {Number: 9, Record: record(term)}}
		require.NoError(t, st.Save(state))
	}
	require.NoError(t, st.Close())
	return disk, state
}

func reopen(t *testing.T, disk store.FS) *store.Store {
	st, err := store.Open(dir, disk)
	require.NoError(t, err)
	return st
}

func TestOneDamagedSlotAtRestLosesNothing(t *testing.T) {
	junk := make([]byte, slotBytes)
	_, err := rand.Read(junk)
	require.NoError(t, err)
	damages := map[string]func(disk *memfs.FS, slot int64) error{
		"zeros": func(d *memfs.FS, slot int64) error { return d.Damage(stateFile, slot, make([]byte, slotBytes)) },
		"junk":  func(d *memfs.FS, slot int64) error { return d.Damage(stateFile, slot, junk) },
		"magic and junk": func(d *memfs.FS, slot int64) error {
			return errors.Join(d.Damage(stateFile, slot, junk), d.Damage(stateFile, slot, []byte("DDGSTATE")))
		},
		"endless length": func(d *memfs.FS, slot int64) error {
			return d.Damage(stateFile, slot+12, []byte{255, 255, 255, 255})
		},
		"higher number": func(d *memfs.FS, slot int64) error { return d.Damage(stateFile, slot+16, []byte{255}) },
		"other version": func(d *memfs.FS, slot int64) error { return d.Damage(stateFile, slot+11, []byte{4}) },
	}
	for name, damage := range damages {
		for _, slot := range []int64{0, slotBytes} {
			t.Run(name+" in slot "+strconv.FormatInt(slot/slotBytes, 10), func(t *testing.T) {
				disk, want := settled(t)
				require.NoError(t, damage(disk, slot))
				st := reopen(t, disk)
				require.Equal(t, want, st.State())
				require.NoError(t, st.Close())

				// Open repaired it: now the other slot may go.
				require.NoError(t, damage(disk, slotBytes-slot))
				require.Equal(t, want, reopen(t, disk).State())
			})
		}
	}
}

func TestAnyFlippedBitAtRestLosesNothing(t *testing.T) {
	disk, want := settled(t)
	for bit := int64(0); bit < 8*700; bit += 3 { // the record, and some of the room behind it
		at := bit
		if bit%2 == 1 {
			at += 8 * slotBytes
		}
		require.NoError(t, disk.FlipBit(stateFile, at))
		st := reopen(t, disk)
		require.Equal(t, want, st.State(), "bit %d", at)
		require.NoError(t, st.Close())
	}
}

func TestBothSlotsDamagedIsRefused(t *testing.T) {
	disk, _ := settled(t)
	require.NoError(t, disk.FlipBit(stateFile, 300))
	require.NoError(t, disk.FlipBit(stateFile, 8*slotBytes+8*100))
	for range 2 { // refusing repairs nothing and makes no new agent
		_, err := store.Open(dir, disk)
		require.ErrorIs(t, err, store.ErrCorrupt)
		require.EqualError(t, err, "/var/lib/ddgoose/a/state is damaged in both slots (slot A: wrong checksum; slot B: wrong checksum), "+
			"so what this agent has promised is lost: to start it as a new agent, with a new id, "+
			"empty /var/lib/ddgoose/a and start it with --join ADDR")
	}
}

// A disk that shows decay as a read error, as most do.
type unreadable struct {
	*memfs.FS
	from, to int64
}

func (u unreadable) OpenFile(name string, flag int, perm os.FileMode) (store.File, error) {
	f, err := u.FS.OpenFile(name, flag, perm)
	return unreadableFile{f, u}, err
}

type unreadableFile struct {
	store.File
	unreadable
}

func (f unreadableFile) ReadAt(b []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(b)) > f.from && len(b) == slotBytes {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(b, off)
}

func TestUnreadableSlotIsADamagedOne(t *testing.T) {
	disk, want := settled(t)
	for _, from := range []int64{0, slotBytes} {
		st := reopen(t, unreadable{disk, from, from + 1})
		require.Equal(t, want, st.State())
		require.NoError(t, st.Close())
	}
	_, err := store.Open(dir, unreadable{disk, 0, 2 * slotBytes})
	require.ErrorIs(t, err, store.ErrCorrupt)
	require.ErrorIs(t, err, syscall.EIO)
}

func TestNewDirectoryMakesAnIDAndIsFresh(t *testing.T) {
	disk := memfs.New(1)
	id := bytes.Repeat([]byte{7}, 16)
	st, err := store.Open(dir, disk, store.WithRandom(bytes.NewReader(id)))
	require.NoError(t, err)
	require.Equal(t, store.State{ID: election.ID(id)}, st.State())
	require.True(t, st.Fresh())
	require.NoError(t, st.Close())

	// Nothing was promised by a process that never began.
	st = reopen(t, disk)
	require.Equal(t, election.ID(id), st.State().ID)
	require.True(t, st.Fresh())
	_, err = st.Begin()
	require.NoError(t, err)
	require.True(t, st.Fresh())
	_, err = st.Begin()
	require.NoError(t, err)
	require.False(t, st.Fresh(), "a revival is another start")
	require.NoError(t, st.Close())

	require.False(t, reopen(t, disk).Fresh())
}

func TestBadRandomSourceMakesNoAgent(t *testing.T) {
	disk := memfs.New(1)
	_, err := store.Open(dir, disk, store.WithRandom(bytes.NewReader(make([]byte, 16))))
	require.ErrorContains(t, err, "only zeros")
	_, err = store.Open(dir, disk, store.WithRandom(bytes.NewReader(nil)))
	require.ErrorContains(t, err, "draw an id")
	require.EqualValues(t, -1, disk.Size(stateFile))
}

func TestStartGrowsByOneAtEachBegin(t *testing.T) {
	disk := memfs.New(1)
	for want := uint64(1); want < 5; want++ {
		st := reopen(t, disk)
		require.Equal(t, want-1, st.State().Start, "Open alone is no start")
		got, err := st.Begin()
		require.NoError(t, err)
		require.Equal(t, want, got.Start)
		require.NoError(t, st.Close())
	}
}

func TestSecondOpenIsRefusedUntilClose(t *testing.T) {
	for name, fsys := range map[string]store.FS{"real": nil, "memory": memfs.New(1)} {
		t.Run(name, func(t *testing.T) {
			d := filepath.Join(t.TempDir(), "a")
			st, err := store.Open(d, fsys)
			require.NoError(t, err)
			_, err = store.Open(d, fsys)
			require.ErrorIs(t, err, store.ErrLocked)
			var e *store.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, os.Getpid(), e.PID)
			require.EqualError(t, err, "data directory "+d+" is in use by another agent (process "+strconv.Itoa(e.PID)+
				"): stop that one, or start the second agent with --data-dir OTHER")
			require.NoError(t, st.Close())
			require.NoError(t, st.Close(), "safe twice")

			again, err := store.Open(d, fsys)
			require.NoError(t, err)
			require.NoError(t, again.Close())
		})
	}
}

func TestClosedStoreRefuses(t *testing.T) {
	disk, want := settled(t)
	st := reopen(t, disk)
	require.NoError(t, st.Close())
	require.ErrorIs(t, st.Save(want), store.ErrClosed)
	require.ErrorIs(t, st.Settle(), store.ErrClosed)
	require.ErrorIs(t, st.SavePeers(nil), store.ErrClosed)
	_, err := st.Begin()
	require.ErrorIs(t, err, store.ErrClosed)
	require.Equal(t, want, st.State())
}

func TestSaveTakesWhatIsOnlyItsOwn(t *testing.T) {
	st := reopen(t, memfs.New(1))
	state := st.State()
	state.Founding.Set = []election.ID{{1}, {2}}
	state.Elections = []store.Election{{Number: 5}, {Number: 0}}
	require.NoError(t, st.Save(state))
	state.Elections[0].Record.Term = 99
	state.Founding.Set[0] = election.ID{99}
	got := st.State()
	require.Equal(t, []store.Election{{Number: 0}, {Number: 5}}, got.Elections, "sorted by number")
	require.Equal(t, []election.ID{{1}, {2}}, got.Founding.Set)
	got.Elections[0].Number = 77
	require.Zero(t, st.State().Elections[0].Number)
}

func TestSaveRefusesWhatNoStateMayBe(t *testing.T) {
	voters := record(1)
	voters.Config.N = 1 // and one more behind it
	tooMany := record(1)
	tooMany.Config.N = election.MaxVoters + 1
	for want, change := range map[string]func(*store.State){
		"this disk is":         func(s *store.State) { s.ID[0]++ },
		"it was 1 already":     func(s *store.State) { s.Start-- },
		"recorded twice":       func(s *store.State) { s.Elections = make([]store.Election, 2) },
		"113 elections":        func(s *store.State) { s.Elections = make([]store.Election, 113) },
		"founding set of 65":   func(s *store.State) { s.Founding.Set = make([]election.ID, 65) },
		"without an id":        func(s *store.State) { s.Founding.Set = make([]election.ID, 1) },
		"term 1099511627776":   func(s *store.State) { s.Elections = []store.Election{{Record: election.Record{Term: 1 << 40}}} },
		"longest promise -1ns": func(s *store.State) { s.Elections = []store.Election{{Record: election.Record{PromiseMax: -1}}} },
		"names one more":       func(s *store.State) { s.Elections = []store.Election{{Record: voters}} },
		"config of 8 voters":   func(s *store.State) { s.Elections = []store.Election{{Record: tooMany}} },
		"generation 8192: at m": func(s *store.State) {
			s.Elections = []store.Election{{Record: election.Record{Generation: election.Generation{Number: 1 << 13}}}}
		},
	} {
		disk := memfs.New(1)
		st := reopen(t, disk)
		state, err := st.Begin()
		require.NoError(t, err)
		bad := state
		change(&bad)
		require.ErrorContains(t, st.Save(bad), want)
		require.ErrorContains(t, st.Save(state), want, "a store that was asked for nonsense does no more")
		require.NoError(t, st.Close())
		require.Equal(t, state, reopen(t, disk).State())
	}
}

func TestUnusableDirectoriesAreExplained(t *testing.T) {
	d := t.TempDir()
	file := filepath.Join(d, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := store.Open(filepath.Join(file, "a"), nil)
	require.ErrorContains(t, err, "not a directory")
	_, err = store.Open(file, nil)
	require.ErrorContains(t, err, "not a directory")

	for _, cause := range []error{syscall.EACCES, syscall.EROFS, syscall.EPERM} {
		disk := memfs.New(1)
		disk.FailFrom(1, cause)
		_, err = store.Open(dir, disk)
		require.ErrorIs(t, err, store.ErrNotWritable)
		require.ErrorContains(t, err, "data directory /var/lib/ddgoose/a is not writable (mkdir /var/lib/ddgoose/a: "+cause.Error()+"): give it to")
	}
}

func TestRealDirectoryIsPrivateAndOfFullSize(t *testing.T) {
	d := filepath.Join(t.TempDir(), "x", "y", "a")
	st, err := store.Open(d, nil)
	require.NoError(t, err)
	want, err := st.Begin()
	require.NoError(t, err)
	want.Left = true
	want.Elections = []store.Election{{Record: record(3)}}
	require.NoError(t, st.Save(want))
	require.NoError(t, st.SavePeers([]store.Peer{{Name: "b", Addr: "[::1]:3825", ID: election.ID{2}}}))
	require.NoError(t, st.Close())

	info, err := os.Stat(d)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for _, name := range []string{"state", "peers", "lock"} {
		info, err = os.Stat(filepath.Join(d, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	whole, err := os.ReadFile(filepath.Join(d, "state"))
	require.NoError(t, err)
	require.Len(t, whole, 2*slotBytes)
	require.Equal(t, whole[:slotBytes], whole[slotBytes:], "closed at rest")

	st, err = store.Open(d, nil)
	require.NoError(t, err)
	require.Equal(t, want, st.State())
	require.Len(t, st.Peers(), 1)
	require.NoError(t, st.Close())

	// A file cut short in slot B is a damaged slot B, and is made whole.
	require.NoError(t, os.Truncate(filepath.Join(d, "state"), slotBytes+100))
	st, err = store.Open(d, nil)
	require.NoError(t, err)
	require.Equal(t, want, st.State())
	require.NoError(t, st.Close())
}

// What one save costs on the vote's path, and with the second slot.
func BenchmarkSave(b *testing.B) {
	for _, settle := range []bool{false, true} {
		name := "vote path"
		if settle {
			name = "with settle"
		}
		b.Run(name, func(b *testing.B) {
			st, err := store.Open(b.TempDir(), nil)
			require.NoError(b, err)
			state := st.State()
			state.Elections = []store.Election{{Record: record(1)}}
			for b.Loop() {
				state.Elections[0].Record.Term++
				require.NoError(b, st.Save(state))
				if !settle {
					b.StopTimer()
				}
				require.NoError(b, st.Settle())
				if !settle {
					b.StartTimer()
				}
			}
			require.NoError(b, st.Close())
		})
	}
}

// What the simulator pays.
func BenchmarkSaveInMemory(b *testing.B) {
	st, err := store.Open(dir, memfs.New(1))
	require.NoError(b, err)
	state := st.State()
	state.Elections = []store.Election{{Record: record(1)}}
	b.ReportAllocs()
	for b.Loop() {
		state.Elections[0].Record.Term++
		require.NoError(b, st.Save(state))
		require.NoError(b, st.Settle())
	}
}

func TestRemovedOrReplacedDirectoryIsNoticed(t *testing.T) {
	for what, do := range map[string]func(dir string) error{
		"directory removed":  os.RemoveAll,
		"directory moved":    func(dir string) error { return os.Rename(dir, dir+".old") },
		"state file removed": func(dir string) error { return os.Remove(filepath.Join(dir, store.StateFile)) },
		"state file written anew": func(dir string) error {
			file := filepath.Join(dir, store.StateFile)
			text, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file+".copy", text, 0o600)
			}
			return errors.Join(err, os.Rename(file+".copy", file))
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			s, err := store.Open(dir, nil)
			require.NoError(t, err)
			_, err = s.Begin()
			require.NoError(t, err)
			require.NoError(t, s.Lost())
			require.NoError(t, do(dir))
			require.ErrorIs(t, s.Lost(), store.ErrLost)
			require.NoError(t, s.Close())
		})
	}
}

func TestPlantedLinkInTheDirectoryIsRefused(t *testing.T) {
	for _, name := range []string{store.StateFile, "lock"} {
		dir := t.TempDir()
		theirs := filepath.Join(dir, "theirs")
		require.NoError(t, os.WriteFile(theirs, []byte("theirs"), 0o600))
		require.NoError(t, os.Symlink(theirs, filepath.Join(dir, name)))
		_, err := store.Open(dir, nil)
		require.ErrorIs(t, err, nofollow.ErrLink)
		text, err := os.ReadFile(theirs)
		require.NoError(t, err)
		require.Equal(t, "theirs", string(text))
	}
}
