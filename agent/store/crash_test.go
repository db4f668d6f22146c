package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"

	"github.com/stretchr/testify/require"
)

const dir = "/var/lib/ddgoose/a"

// witness is an agent's disk together with what it may hold: the state last
// acknowledged, and after a failed save also the one that was being saved.
type witness struct {
	t    *testing.T
	disk *memfs.FS
	st   *store.Store
	may  []store.State // empty: no disk has been acknowledged yet
	what string        // for failures
}

func newWitness(t *testing.T, seed uint64, what string, args ...any) *witness {
	return &witness{t: t, disk: memfs.New(seed), what: fmt.Sprintf(what, args...) + fmt.Sprintf(" seed %d", seed)}
}

// open starts the process; what it reads must be one of the states that may be.
func (w *witness) open() error {
	st, err := store.Open(dir, w.disk, store.WithRandom(rand.NewChaCha8([32]byte{1})))
	if err != nil {
		require.NotErrorIs(w.t, err, store.ErrCorrupt, w.what)
		return err
	}
	got := st.State()
	if len(w.may) > 0 {
		require.True(w.t, slices.ContainsFunc(w.may, func(s store.State) bool { return same(s, got) }),
			"%s: read %+v, which is none of %+v", w.what, got, w.may)
	}
	w.st, w.may = st, []store.State{got}
	return nil
}

func (w *witness) begin() error {
	want := w.st.State()
	want.Start++
	st, err := w.st.Begin()
	if err == nil {
		require.True(w.t, same(want, st), w.what)
	}
	return w.saved(want, err)
}

// save makes the n-th state of a history; they grow over many sectors and shrink again.
func (w *witness) save(n int) error {
	next := w.st.State()
	next.Bound = election.FlockID{1}
	next.Elections = nil
	for i := range uint64(1 + n*7%9) {
		next.Elections = append(next.Elections, store.Election{Number: i, Record: record(uint64(n))})
	}
	return w.saved(next, w.st.Save(next))
}

func (w *witness) saved(next store.State, err error) error {
	if err != nil {
		w.may = append(w.may, next)
		return err
	}
	require.True(w.t, same(next, w.st.State()), w.what)
	w.may = []store.State{next}
	return nil
}

// same is require.Equal without reflection, which would be most of these tests' time.
func same(a, b store.State) bool {
	return a.ID == b.ID && a.Start == b.Start && a.Left == b.Left && a.Bound == b.Bound &&
		a.Founding.FlockID == b.Founding.FlockID && a.Founding.Coordinator == b.Founding.Coordinator &&
		a.Founding.Attempt == b.Founding.Attempt && a.Founding.Aborted == b.Founding.Aborted &&
		slices.Equal(a.Founding.Set, b.Founding.Set) && slices.Equal(a.Elections, b.Elections)
}

func (w *witness) peers(n int) error {
	return w.st.SavePeers([]store.Peer{{Name: "b", Addr: fmt.Sprintf("10.0.0.%d:3825", n), ID: election.ID{2}}})
}

func record(term uint64) election.Record {
	return election.Record{
		FlockID: election.FlockID{1}, Generation: election.Generation{Number: 1, Tag: 7}, Term: term, Vote: election.ID{byte(term), 1},
		Config: election.Config{ConfigID: election.ConfigID{Term: term, Version: 2}}.
			With(election.Voter{ID: election.ID{1}, Priority: 100}).With(election.Voter{ID: election.ID{2}}),
		PromiseMax: time.Duration(term) * time.Millisecond,
	}
}

// live goes through two processes' lives until something fails.
func (w *witness) live() error {
	n := 0
	for range 2 {
		if err := w.open(); err != nil {
			return err
		}
		steps := []func() error{
			w.begin,
			func() error { n++; return w.save(n) },
			func() error { return w.st.Settle() },
			func() error { n++; return w.save(n) },
			func() error { n++; return w.save(n) },
			func() error { return w.peers(n) },
			func() error { return w.st.Settle() },
			func() error { return w.st.Settle() },
			func() error { n++; return w.save(n) },
			w.st.Close,
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return nil
}

// after looks at the disk, uses it and looks again. Nothing fails any more.
func (w *witness) after() {
	w.disk.CutAt(0)
	w.disk.Fail(nil)
	w.disk.PowerOn()
	for range 2 {
		require.NoError(w.t, w.open(), w.what)
		require.NoError(w.t, w.begin(), w.what)
		require.NoError(w.t, w.save(3), w.what)
		require.NoError(w.t, w.st.Close(), w.what)
	}
}

// operations returns how many operations a whole life takes.
func operations(t *testing.T) int {
	w := newWitness(t, 0, "nothing fails")
	require.NoError(t, w.live())
	return w.disk.Ops()
}

func TestPowerCutAnywhereLosesNothingAcknowledged(t *testing.T) {
	for n := 1; n <= operations(t); n++ {
		for seed := range uint64(8) {
			w := newWitness(t, seed, "cut at operation %d", n)
			w.disk.CutAt(n)
			require.ErrorIs(t, w.live(), memfs.ErrPowerCut, w.what)
			w.after()
		}
	}
}

func TestPowerCutDuringRepairLosesNothingAcknowledged(t *testing.T) {
	for n := 1; n <= operations(t); n++ {
		for second := 1; second <= 14; second++ { // an Open is fewer
			w := newWitness(t, uint64(second), "cut at operation %d, then at %d of the next start", n, second)
			w.disk.CutAt(n)
			_ = w.live()
			w.disk.PowerOn()
			w.disk.CutAt(w.disk.Ops() + second)
			_ = w.open()
			w.disk.PowerCut()
			w.after()
		}
	}
}

// A killed process leaves writes in the kernel's memory. The next one reads
// them, and the power goes while it relies on them.
func TestKillThenPowerCutLosesNothingAcknowledged(t *testing.T) {
	killed := errors.New("the process is gone")
	for n := 1; n <= operations(t); n++ {
		for second := 1; second <= 14; second++ {
			w := newWitness(t, uint64(second), "killed at operation %d, cut at %d of the next start", n, second)
			w.disk.FailFrom(n, killed)
			_ = w.live()
			w.disk.Kill()
			w.disk.Fail(nil)
			w.disk.PowerOn()
			w.disk.CutAt(w.disk.Ops() + second)
			if w.open() == nil {
				_ = w.begin()
			}
			w.disk.PowerCut()
			w.after()
		}
	}
}

// After a failed sync the kernel shows what the disk does not have. The agent
// is started again, and the power goes at any moment after that.
func TestFailedSyncIsNeverBelieved(t *testing.T) {
	for n := 1; n <= operations(t); n++ {
		for second := 1 + n%2; second <= 20; second += 2 {
			fault := []error{syscall.EIO, syscall.ENOSPC}[second/2%2]
			w := newWitness(t, uint64(second), "%v at operation %d, cut at %d of the next start", fault, n, second)
			w.disk.FailAt(n, fault)
			if w.live() != nil {
				w.disk.Kill()
			}
			w.disk.PowerOn()
			w.disk.CutAt(w.disk.Ops() + second)
			if w.open() == nil && w.begin() == nil {
				_ = w.save(5)
			}
			w.disk.PowerCut()
			w.after()
		}
	}
}

func TestFullDiskAnywhereIsSaidAndHarmless(t *testing.T) {
	for n := 1; n <= operations(t); n++ {
		for seed := range uint64(4) {
			w := newWitness(t, seed, "full from operation %d", n)
			w.disk.FailFrom(n, syscall.ENOSPC)
			err := w.live()
			require.ErrorIs(t, err, syscall.ENOSPC, w.what)
			require.ErrorIs(t, err, store.ErrFull, w.what)
			require.ErrorContains(t, err, "no space left on the disk of "+dir)
			w.disk.Kill()
			w.after()
		}
	}
}

func TestStoreRefusesEverythingAfterItsFirstFailure(t *testing.T) {
	for n := 1; n <= 4; n++ { // write and sync of slot A, then of B
		w := newWitness(t, uint64(n), "operation %d of a save fails", n)
		require.NoError(t, w.open())
		before := w.st.State()
		w.disk.FailAt(w.disk.Ops()+n, syscall.EIO)
		err := w.save(1)
		if err == nil {
			before = w.st.State()
			err = w.st.Settle()
		}
		require.ErrorIs(t, err, syscall.EIO)
		ops := w.disk.Ops()
		require.Equal(t, err, w.st.Save(before))
		require.Equal(t, err, w.st.Settle())
		_, berr := w.st.Begin()
		require.Equal(t, err, berr)
		require.Equal(t, before, w.st.State(), "only what was acknowledged is shown")
		require.NoError(t, w.st.Close())
		require.Equal(t, err, w.st.Save(before))
		require.Equal(t, ops, w.disk.Ops(), "the disk is asked nothing any more")
	}
}

// Long random histories of crashes of every kind, one upon the other.
func TestCrashesOfEveryKindInARow(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWitness(t, seed, "history")
		for range 25 {
			at := w.disk.Ops() + 1 + rng.IntN(40)
			switch rng.IntN(3) {
			case 0:
				w.disk.CutAt(at)
			case 1:
				w.disk.FailAt(at, []error{syscall.EIO, syscall.ENOSPC}[rng.IntN(2)])
			}
			_ = w.live()
			w.disk.Kill()
			if rng.IntN(3) == 0 {
				w.disk.PowerCut()
			}
			w.disk.CutAt(0)
			w.disk.Fail(nil)
			w.disk.PowerOn()
		}
		w.after()
		require.True(t, slices.ContainsFunc(w.may, func(s store.State) bool { return s.Start > 1 }), w.what)
	}
}

// Between a request and its vote there is one write and one sync.
func TestSaveIsOneWriteAndOneSync(t *testing.T) {
	w := newWitness(t, 1, "counting")
	require.NoError(t, w.open())
	require.NoError(t, w.begin())
	for n := range 5 {
		before := w.disk.Ops()
		require.NoError(t, w.save(n))
		require.Equal(t, 2, w.disk.Ops()-before)
		require.NoError(t, w.st.Settle())
		require.Equal(t, 4, w.disk.Ops()-before)
	}
}
