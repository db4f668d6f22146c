package store

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
)

// full is a state with every field set, and sizes at their bounds when large.
func full(large bool) State {
	s := State{
		ID: election.ID{0xA1}, Start: 3, Left: true, Bound: election.FlockID{0xF1},
		Founding: Founding{FlockID: election.FlockID{0xF2}, Coordinator: election.ID{0xC1}, Attempt: 5, Aborted: 4, Set: []election.ID{{0xA1}, {0xC1}}},
	}
	n, voters := 2, 2
	if large {
		n, voters = MaxElections, election.MaxVoters
		for i := len(s.Founding.Set); i < MaxFounders; i++ {
			s.Founding.Set = append(s.Founding.Set, election.ID{1, byte(i)})
		}
	}
	for i := range n {
		r := election.Record{
			FlockID: election.FlockID{0xF1}, Generation: election.Generation{Number: 6, Tag: 7}, Term: 8, Vote: election.ID{0xB1},
			Config: election.Config{ConfigID: election.ConfigID{Term: 8, Version: 9}}, PromiseMax: time.Second, Mark: 10,
		}
		for v := range voters {
			r.Config = r.Config.With(election.Voter{ID: election.ID{byte(1 + v)}, Priority: uint8(100 * v)})
		}
		e := Election{Number: uint64(i), Record: r}
		if i > 0 {
			e.Created, e.Started, e.Name = 4, true, fmt.Sprintf("e%031d", i)
		} else {
			e.Record.Config.Table = election.Digest{0xD1}
		}
		s.Elections = append(s.Elections, e)
	}
	return s
}

// SlotOne is a slot of format 1 in hexadecimal, as the program wrote it that had no other.
var SlotOne = strings.Join([]string{
	"4444475354415445", "00000001", "000000f8", "000000000000002a", "1bb6b3f160dfa066",
	"a1000000000000000000000000000000", "0000000000000003", "01", "f1000000000000000000000000000000",
	"f2000000000000000000000000000000", "c1000000000000000000000000000000", "0000000000000005", "0000000000000004",
	"0002", "a1000000000000000000000000000000", "c1000000000000000000000000000000",
	"0001", "0000000000000001", "f1000000000000000000000000000000", "0000000000000006", "0000000000000007",
	"0000000000000008", "b1000000000000000000000000000000", "0000000000000008", "0000000000000009",
	"02", "01000000000000000000000000000000", "00", "02000000000000000000000000000000", "64",
	"000000003b9aca00",
}, "")

// slotTwo is the same of format 2.
var slotTwo = strings.Join([]string{
	"4444475354415445", "00000002", "00000114", "000000000000002a", "b7e6d97f8eea42ed",
	"a1000000000000000000000000000000", "0000000000000003", "01", "f1000000000000000000000000000000",
	"f2000000000000000000000000000000", "c1000000000000000000000000000000", "0000000000000005", "0000000000000004",
	"0002", "a1000000000000000000000000000000", "c1000000000000000000000000000000",
	"0001", "0000000000000001", "f1000000000000000000000000000000", "0000000000000006", "0000000000000007",
	"0000000000000008", "b1000000000000000000000000000000", "0000000000000008", "0000000000000009",
	"02", "01000000000000000000000000000000", "00", "02000000000000000000000000000000", "64",
	"000000003b9aca00", "00000000000000000000000000000000", "0000000000000004", "01", "02", hex.EncodeToString([]byte("x1")),
}, "")

// FormatTwo makes a slot of format 2 with elections that fill many sectors.
func FormatTwo(seq, start uint64) []byte {
	s := full(true)
	elections := s.Elections
	s.Start, s.Elections = start, nil
	b := appendState(nil, &s)
	b = put(b[:len(b)-2], uint16(len(elections)))
	empty := len(appendState(nil, &State{}))
	for _, e := range elections {
		one := appendState(nil, &State{Elections: []Election{e}})
		b = append(b, one[empty:len(one)-8]...) // it ends with the mark
	}
	slot := make([]byte, slotBytes)
	copy(slot, sealAs(2, seq, b))
	return slot
}

func TestEarlierFormatsAreReadAndBecomeTheNewest(t *testing.T) {
	want := full(false)
	want.Elections = want.Elections[1:]
	e := &want.Elections[0]
	e.Name, e.Record.Mark = "x1", 0
	becomesTheNewest(t, slotTwo, want)
	e.Name, e.Created, e.Started = "", 0, false
	becomesTheNewest(t, SlotOne, want)
}

func becomesTheNewest(t *testing.T, text string, want State) {
	old, err := hex.DecodeString(text)
	require.NoError(t, err)
	old = append(old, make([]byte, slotBytes-len(old))...)
	d := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(d, StateFile), append(old, old...), 0o600))
	st, err := Open(d, nil)
	require.NoError(t, err)
	require.Equal(t, want, st.State())
	require.NoError(t, st.Close())

	now, err := os.ReadFile(filepath.Join(d, StateFile))
	require.NoError(t, err)
	for at := range 2 {
		s := readSlot(now[at*slotBytes:])
		require.NoError(t, s.damage)
		require.EqualValues(t, formatVersion, s.version)
		require.EqualValues(t, 43, s.seq, "of a crash in between the new one is left, and counts")
	}
	half := append(now[:slotBytes:slotBytes], old...)
	require.NoError(t, os.WriteFile(filepath.Join(d, StateFile), half, 0o600))
	st, err = Open(d, nil)
	require.NoError(t, err)
	require.Equal(t, want, st.State())
	require.NoError(t, st.Close())
}

// The bytes of format 3. A change here makes every disk unreadable.
func TestSlotBytes(t *testing.T) {
	s := full(false)
	s.Elections = s.Elections[1:]
	s.Elections[0].Name, s.Elections[0].Record.Mark = "x1", 11
	want := strings.Join([]string{
		"4444475354415445", "00000003", "0000011c", "000000000000002a", "a1064966ad026010",
		"a1000000000000000000000000000000", "0000000000000003", "01", "f1000000000000000000000000000000",
		"f2000000000000000000000000000000", "c1000000000000000000000000000000", "0000000000000005", "0000000000000004",
		"0002", "a1000000000000000000000000000000", "c1000000000000000000000000000000",
		"0001", "0000000000000001", "f1000000000000000000000000000000", "0000000000000006", "0000000000000007",
		"0000000000000008", "b1000000000000000000000000000000", "0000000000000008", "0000000000000009",
		"02", "01000000000000000000000000000000", "00", "02000000000000000000000000000000", "64",
		"000000003b9aca00", "00000000000000000000000000000000", "0000000000000004", "01", "02", hex.EncodeToString([]byte("x1")),
		"000000000000000b",
	}, "")
	got := seal(42, appendState(nil, &s))
	require.Len(t, got, sectorBytes)
	require.Equal(t, want, strings.TrimRight(hex.EncodeToString(got), "0"), "zeros up to a whole sector")
}

func TestStateComesBackAsItWas(t *testing.T) {
	for _, s := range []State{{ID: election.ID{1}}, full(false), full(true)} {
		require.NoError(t, s.valid())
		b := appendState(nil, &s)
		got, err := decodeState(formatVersion, b)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	s := full(true)
	require.Equal(t, maxPayload-MaxName, len(appendState(nil, &s)), "the default election has no name")
}

func TestDecodeRefusesWhatIsNotAState(t *testing.T) {
	s := full(false)
	b := appendState(nil, &s)
	for n := range b {
		_, err := decodeState(formatVersion, b[:n])
		require.Error(t, err, "%d bytes", n)
	}
	_, err := decodeState(formatVersion, append(b[:len(b):len(b)], 0))
	require.EqualError(t, err, "1 bytes too many")
	for want, change := range map[string]func(b []byte){
		"state without an id": func(b []byte) { b[0] = 0 },
		"left mark 2":         func(b []byte) { b[24] = 2 },
		"65535 founders":      func(b []byte) { b[89], b[90] = 255, 255 },
	} {
		bad := append([]byte(nil), b...)
		change(bad)
		_, err := decodeState(formatVersion, bad)
		require.ErrorContains(t, err, want)
	}
}

// withSlots opens a real directory whose state file is these two slots.
func withSlots(t *testing.T, a, b []byte) error {
	d := t.TempDir()
	s := &Store{dir: d, fsys: osFS{}}
	both := make([]byte, 2*slotBytes)
	copy(both, a)
	copy(both[slotBytes:], b)
	f, err := s.replace(StateFile, both)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	st, err := Open(d, nil)
	if err == nil {
		require.NoError(t, st.Close())
	}
	return err
}

func TestForeignAndImpossibleFilesAreRefused(t *testing.T) {
	s := full(false)
	payload := appendState(nil, &s)
	s.Start++
	other := appendState(nil, &s)
	require.NoError(t, withSlots(t, seal(1, payload), seal(1, payload)))
	require.NoError(t, withSlots(t, seal(2, other), seal(1, payload)))
	require.NoError(t, withSlots(t, seal(2, other), seal(3, payload)))

	later := seal(1, payload)
	binary.BigEndian.PutUint32(later[8:], 4)
	binary.BigEndian.PutUint64(later[24:], checksum(later, payload))
	err := withSlots(t, seal(9, payload), later) // even in the older slot
	require.ErrorIs(t, err, ErrVersion)
	require.ErrorContains(t, err, "is of format 4, and this ddgoose reads format 3: start the ddgoose that wrote it, or a later one")

	err = withSlots(t, seal(3, other), seal(3, payload))
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "slots A and B are both number 3 and differ")

	err = withSlots(t, seal(3, []byte("nonsense")), seal(2, payload))
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "record 3: ends too early")

	require.ErrorIs(t, withSlots(t, nil, nil), ErrCorrupt)
}

func FuzzDecode(f *testing.F) {
	for _, s := range []State{{ID: election.ID{1}}, full(false), full(true)} {
		f.Add(appendState(nil, &s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(formatVersion, b)
		if err != nil {
			require.Equal(t, State{}, s)
			return
		}
		// One state, one encoding: nothing was overlooked.
		require.Equal(t, b, appendState(nil, &s))
		require.LessOrEqual(t, len(b), maxPayload)
	})
}

func FuzzSlot(f *testing.F) {
	s := full(false)
	f.Add(seal(7, appendState(nil, &s)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if sl := readSlot(b); sl.damage == nil {
			require.Equal(t, checksum(b, sl.payload), binary.BigEndian.Uint64(b[24:]))
		}
	})
}
