package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/netem/check"
)

// stage is an observer of three agents; the test makes their past.
type stage struct {
	*observer
	start time.Duration
}

const testLease = 500 * time.Millisecond

// newStage begins an hour ago, so that all that is told is past.
func newStage() *stage {
	start := boottime.Now() - time.Hour
	names := []string{"a", "b", "c"}
	seq := newSequence(start)
	return &stage{newObserver(names, start, seq, newConditions(seq, names, 50*time.Millisecond, testLease, 0)), start}
}

// goose is an answer that was true at a moment, in milliseconds.
func (s *stage) gooseAt(name string, seq, token uint64, at int) api.Status {
	until := s.start + ms(at) + testLease
	return api.Status{
		Name: name, ID: "id-" + name, Role: api.RoleGoose, Seq: seq, FlockID: "f", Token: token, Term: token,
		Goose: &api.Goose{Name: name, ID: "id-" + name},
		Lease: api.Lease{Valid: true, RemainingMS: 500, UntilBoottimeNS: int64(until)},
	}
}

func (s *stage) violations() []check.Violation {
	s.seq.finish(boottime.Now())
	return s.seq.found()
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestAnswersCountForTheirMomentOnly(t *testing.T) {
	s := newStage()
	s.polled("a", s.gooseAt("a", 1, 1, 1000)) // until 1500, had it not stepped down
	s.polled("b", s.gooseAt("b", 1, 2, 1200))
	require.Empty(t, s.violations())
	require.Len(t, s.periods, 2)
}

func TestTwoAnswersWithoutAChangeCountForAllBetween(t *testing.T) {
	s := newStage()
	s.polled("a", s.gooseAt("a", 1, 1, 1000))
	s.polled("b", s.gooseAt("b", 1, 2, 1200))
	s.polled("a", s.gooseAt("a", 1, 1, 1300))
	found := s.violations()
	require.NotEmpty(t, found)
	require.Equal(t, "P2", found[0].Promise)
}

func TestAChangeBetweenTwoAnswersBreaksTheReign(t *testing.T) {
	s := newStage()
	s.polled("a", s.gooseAt("a", 1, 1, 1000))
	s.polled("a", s.gooseAt("a", 2, 1, 1300)) // another seq: it may have lost it and earned it back
	s.polled("b", s.gooseAt("b", 1, 2, 1400))
	s.polled("c", s.gooseAt("c", 1, 3, 1200)) // and came out of order
	require.NotContains(t, promises(s.violations()), "P2")

	s = newStage()
	s.polled("a", s.gooseAt("a", 1, 1, 1000))
	s.polled("a", s.gooseAt("a", 1, 1, 1600)) // the first lease had run out
	require.Len(t, s.periods, 2)
}

func promises(found []check.Violation) (all []string) {
	for _, v := range found {
		all = append(all, v.Promise)
	}
	return all
}

func TestWritersDeadlineBindsPastItsAgentsDeath(t *testing.T) {
	for name, drained := range map[string]bool{"drained": true, "not drained": false} {
		s := newStage()
		s.polled("a", s.gooseAt("a", 1, 1, 1000))
		s.seq.push(check.Event{At: s.start + ms(1010), Kind: check.HandedOut, Flock: "f", Token: 1, Until: s.start + ms(1500), Holder: "writer"})
		if drained {
			s.seq.push(check.Event{At: s.start + ms(1090), Kind: check.Drained, Flock: "f", Token: 1, Holder: "writer"})
		}
		s.see("a", api.Status{}, false)
		s.polled("b", s.gooseAt("b", 1, 2, 1100))
		require.Equal(t, !drained, len(s.violations()) > 0, name)
	}
}

func TestTwoAgentsNamedForOneToken(t *testing.T) {
	s := newStage()
	for _, name := range []string{"a", "b"} {
		duck := s.gooseAt(name, 1, 7, 1000)
		duck.Role, duck.Name, duck.ID = api.RoleDuck, "c", "id-c"
		s.polled("c", duck)
	}
	require.Contains(t, promises(s.violations()), "P1")
}

func TestTokensThatFall(t *testing.T) {
	s := newStage()
	s.polled("a", s.gooseAt("a", 1, 5, 1000))
	s.polled("b", s.gooseAt("b", 1, 4, 3000))
	require.Contains(t, promises(s.violations()), "P3")
}

func TestWhatIsShownIsNotForgotten(t *testing.T) {
	s := newStage()
	duck := api.Status{Name: "a", ID: "id-a", Role: api.RoleDuck, FlockID: "f", Term: 7}
	s.see("a", duck, true)
	s.see("a", api.Status{}, false)
	duck.Term = 6
	s.see("a", duck, true)
	require.Contains(t, promises(s.violations()), "P6")
}

func TestCountersAddUpOverRestarts(t *testing.T) {
	s := newStage()
	sent := func(n uint64) api.Status {
		return api.Status{Name: "a", ID: "id-a", Role: api.RoleDuck, FlockID: "f", Counters: map[string]uint64{"datagrams_sent": n}}
	}
	s.see("a", sent(10), true)
	s.polled("a", sent(30))
	s.see("a", api.Status{}, false)
	s.see("a", sent(5), true)
	require.EqualValues(t, 35, s.agents["a"].counted("datagrams_sent"))
}
