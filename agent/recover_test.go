package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/recovery"
	"duckduckgoose/agent/store"
)

// recover does on an agent's disk what ddgoose recover does.
func (f *testFlock) recover(name string, keep ...string) (*recovery.Recovery, error) {
	f.t.Helper()
	return f.recoverTo(name, nil, keep...)
}

// recoverTo is recover with a mark.
func (f *testFlock) recoverTo(name string, mark *uint64, keep ...string) (*recovery.Recovery, error) {
	f.t.Helper()
	disk, err := store.Open("/data", f.agents[name].disk)
	require.NoError(f.t, err)
	r, err := recovery.Plan(disk, keep, mark)
	if err == nil {
		require.NoError(f.t, r.Commit())
	}
	require.NoError(f.t, disk.Close())
	return r, err
}

func TestRecoveryAfterAMajorityIsLost(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		f.sleep(5 * time.Second)
		token := f.agents["a"].Status().Token
		for _, name := range []string{"c", "d", "e"} {
			f.crash(name)
		}
		f.until(5*time.Second, "no goose", func() bool { return f.goose() == "" && !f.agreed("a") && !f.agreed("b") })
		f.warns(time.Minute, "a", "no goose yet: waiting for 1 more of c, d, e (3 of 5 needed)")
		f.warns(2*why.RecoverAfter, "a", "only if they are lost for good: ddgoose recover")
		f.crash("a")
		f.crash("b")
		for _, name := range []string{"a", "b"} {
			r, err := f.recover(name, "b", "a")
			require.NoError(t, err)
			require.False(t, r.Done)
			require.EqualValues(t, 1, r.Generation)
			require.Len(t, r.Voters, 5)
			require.ElementsMatch(t, []string{"a", "b"}, r.Keep)
			again, err := f.recover(name, "a", "b")
			require.NoError(t, err)
			require.True(t, again.Done, "the same list again changes nothing")
		}
		f.start("a")
		f.start("b")
		f.agree()
		require.Greater(t, f.agents["a"].Status().Token, token)
		require.EqualValues(t, 1, f.agents["a"].Status().Generation)

		// A lost agent comes back after all: it follows, and counts again.
		f.start("c")
		f.agree()
		require.EqualValues(t, 1, f.agents["c"].Status().Generation)
		f.settle(3)
	})
}

// The survivors' own configs gave different priorities to the same list: each held the
// other for a witness, in configs of one name.
func TestRecoveryOfSurvivorsWhoseConfigsDiffer(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(5 * time.Second)
		for _, name := range f.live() {
			f.crash(name)
		}
		recovered := map[string]election.Record{}
		for _, name := range []string{"a", "b"} { // each disk holds the other for a witness, and c
			disk, err := store.Open("/data", f.agents[name].disk)
			require.NoError(t, err)
			st := disk.State()
			rec, _ := st.Record()
			for _, v := range rec.Config.Members() {
				if v.ID != st.ID {
					rec.Config = rec.Config.With(election.Voter{ID: v.ID})
				}
			}
			require.NoError(t, disk.Save(st.WithRecord(rec)))
			require.NoError(t, disk.Close())
			r, err := f.recover(name, "b:50", "a")
			require.NoError(t, err)
			recovered[name], _ = r.Next.Record()
			require.ElementsMatch(t, []string{"a", "b:50"}, r.Keep)
			require.Contains(t, r.Voters, map[string]string{"a": "b:0", "b": "a:0"}[name])
			again, err := f.recover(name, "a:100", "b:50")
			require.NoError(t, err)
			require.True(t, again.Done, "the same list again changes nothing")
		}
		require.Equal(t, recovered["a"].Config, recovered["b"].Config)
		require.Equal(t, recovered["a"].Generation, recovered["b"].Generation)
		f.start("a")
		f.start("b")
		f.agree()
	})
}

func TestTwoRecoveriesThatDidNotKnowEachOtherStayApart(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(5 * time.Second)
		for _, name := range f.live() {
			f.crash(name)
		}
		for _, name := range []string{"a", "b"} {
			_, err := f.recover(name, name)
			require.NoError(t, err)
		}
		f.start("a")
		f.warnsGoose("a")
		f.crash("a") // the harness knows one flock id: never both at once
		f.start("b")
		f.warnsGoose("b")
	})
}

// warnsGoose waits until an agent is the goose, alone.
func (f *testFlock) warnsGoose(name string) {
	f.t.Helper()
	f.until(time.Minute, name+" is the goose", func() bool { return f.goose() == name })
	clear(f.geese) // the other generation of this number reuses its tokens: another flock (rule 26)
}

func TestRecoveryRefusesWhatCannotBeMeant(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.sleep(5 * time.Second)
		for _, name := range f.live() {
			f.stop(name)
		}
		for want, keep := range map[string][]string{
			"--keep names 0 voters":              nil,
			`this disk knows no agent "z", only`: {"a", "z"},
			"a is named twice":                   {"a", "a"},
			"is not in the --keep list":          {"b"},
			"--keep names 8 voters: want 1 to 7": {"a", "b", "c", "d", "e", "f", "g", "h"},

			`"b:256": want NAME:PRIORITY with a priority of 0 (a witness) to 255`: {"a", "b:256"},
			`"b:": want NAME:PRIORITY`:    {"a", "b:"},
			`"b:-1": want NAME:PRIORITY`:  {"a", "b:-1"},
			`"b:1:2": want NAME:PRIORITY`: {"a", "b:1:2"},
			`no agent ""`:                 {"a", ":5"},
			"b is named twice":            {"a", "b:1", "b:2"},
			"only witnesses would stay":   {"a:0", "b:0"},
		} {
			_, err := f.recover("a", keep...)
			require.ErrorContains(t, err, want)
		}
		_, err := recovery.Open(t.TempDir(), []string{"a"}, nil)
		require.ErrorContains(t, err, "no agent has kept its state here")
	})
}
