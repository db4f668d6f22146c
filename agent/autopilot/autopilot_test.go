package autopilot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

// flock is a View under construction: agents are named by letters, and a is the goose.
type flock struct {
	t     *testing.T
	pilot Pilot
	now   time.Duration
	acked map[election.ID]time.Duration // until when each has acked
	view  View
}

func id(name string) (id election.ID) {
	copy(id[:], name)
	return id
}

// of makes a flock: members have not left, voters are some of them.
func of(t *testing.T, members, voters string) *flock {
	f := &flock{t: t, view: View{Self: id("a"), Term: 1, Committed: true, Limit: 5}}
	for _, m := range members {
		f.view.Members = append(f.view.Members, Member{ID: id(string(m)), Alive: true, Acks: true, Priority: 100})
	}
	f.vote(voters)
	return f
}

func (f *flock) vote(voters string) {
	f.view.Config = election.Config{ConfigID: election.ConfigID{Term: 1, Version: f.view.Config.Version + 1}}
	for _, v := range voters {
		f.view.Config = f.view.Config.With(election.Voter{ID: id(string(v)), Priority: 100})
	}
}

func (f *flock) member(name string) *Member {
	for i := range f.view.Members {
		if f.view.Members[i].ID == id(name) {
			return &f.view.Members[i]
		}
	}
	f.t.Fatalf("no member %s", name)
	return nil
}

func (f *flock) dies(name string) { m := f.member(name); m.Alive, m.Acks = false, false }

// listen tells the goose which voters ack.
func (f *flock) listen() {
	if f.acked == nil {
		f.acked = map[election.ID]time.Duration{}
	}
	for _, m := range f.view.Members {
		if m.Acks {
			f.acked[m.ID] = f.now + 200*time.Millisecond
		}
	}
	f.view.Silent = [election.MaxVoters]time.Duration{}
	for i, v := range f.view.Config.Members() {
		f.view.Silent[i] = max(f.now-f.acked[v.ID], 0)
	}
}

// after lets time pass, and carries out whatever is decided meanwhile: "+b"
// for added, "-b" for removed, "~b" for another priority.
func (f *flock) after(d time.Duration) (done string) {
	for end := f.now + d; f.now < end; f.now += 200 * time.Millisecond {
		f.listen()
		c, ok := f.pilot.Decide(f.now, f.view)
		if !ok {
			continue
		}
		name := string(c.Voter.ID[:1])
		switch {
		case c.Remove:
			require.True(f.t, f.view.Config.Has(c.Voter.ID))
			require.NotEqual(f.t, f.view.Self, c.Voter.ID, "the goose stays in")
			f.view.Config = f.view.Config.Without(c.Voter.ID)
			done += "-" + name
		case f.view.Config.Has(c.Voter.ID):
			f.view.Config = f.view.Config.With(c.Voter)
			done += "~" + name
		default:
			f.view.Config = f.view.Config.With(c.Voter)
			done += "+" + name
		}
		f.view.Config.Version++
	}
	return done
}

func TestTheTableOfVoters(t *testing.T) {
	for members, want := range []int{1, 1, 1, 3, 3, 5, 5, 5, 5} {
		require.Equal(t, want, TargetVoters(members, 5), "%d members", members)
	}
	require.Equal(t, 7, TargetVoters(7, 7))
	require.Equal(t, 5, TargetVoters(6, 7))
	require.Equal(t, 3, TargetVoters(9, 3))
	require.Equal(t, 1, TargetVoters(9, 1))
}

func TestGrowsOneByOneAfterTwoSecondsToEachNewTarget(t *testing.T) {
	f := of(t, "a", "a")
	require.Empty(t, f.after(time.Minute))
	f.view.Members = of(t, "ab", "").view.Members
	require.Empty(t, f.after(time.Minute), "two agents have one voter")
	f.view.Members = of(t, "abc", "").view.Members
	require.Empty(t, f.after(2*time.Second), "c is not stable yet")
	require.Equal(t, "+b+c", f.after(time.Second))
	f.view.Members = of(t, "abcde", "").view.Members
	require.Empty(t, f.after(2*time.Second))
	require.Equal(t, "+d+e", f.after(time.Second))
	f.view.Members = of(t, "abcdefg", "").view.Members
	require.Empty(t, f.after(time.Minute), "five at most")
}

func TestNothingHappensBeforeTheLastChangeIsCommitted(t *testing.T) {
	f := of(t, "abc", "a")
	f.view.Committed = false
	require.Empty(t, f.after(time.Minute))
	f.view.Committed = true
	require.Equal(t, "+b+c", f.after(time.Second))
}

func TestHighestPriorityIsAddedFirst(t *testing.T) {
	f := of(t, "abcd", "a")
	f.member("d").Priority = 200
	require.Equal(t, "+d+b", f.after(3*time.Second))
}

func TestNeverStopsAtAnEvenNumber(t *testing.T) {
	f := of(t, "abc", "a")
	f.member("c").Acks = false
	require.Empty(t, f.after(time.Minute), "two voters stand no more deaths than one")
	f.member("c").Acks = true
	require.Equal(t, "+b+c", f.after(3*time.Second))
}

func TestObserversByFlagAreNeverVoters(t *testing.T) {
	f := of(t, "abc", "a")
	f.member("c").Observer = true
	require.Empty(t, f.after(time.Minute))
}

func TestADeadVoterIsReplacedAfterThirtySeconds(t *testing.T) {
	f := of(t, "abcdef", "abcde")
	require.Empty(t, f.after(time.Minute))
	f.dies("e")
	require.Empty(t, f.after(30*time.Second))
	require.Equal(t, "-e+f", f.after(time.Second))
}

func TestAnAgentThatComesBackAfterItsReplacementWaitsTenSeconds(t *testing.T) {
	f := of(t, "abcde", "abcde")
	require.Empty(t, f.after(time.Minute))
	f.dies("e")
	require.Empty(t, f.after(30*time.Second))
	require.Equal(t, "-e", f.after(time.Second), "four stay, of which three can be lost to one more death")
	f.member("e").Alive, f.member("e").Acks = true, true
	require.Empty(t, f.after(10*time.Second))
	require.Equal(t, "+e", f.after(time.Second))
}

func TestTheLastThreeVotersStayThoughOneIsDead(t *testing.T) {
	f := of(t, "abc", "abc")
	f.dies("c")
	require.Empty(t, f.after(time.Hour))
}

func TestAVoterThatAcksIsNotAbsentWhateverGossipSays(t *testing.T) {
	f := of(t, "abcdef", "abcde")
	f.member("e").Alive = false
	require.Empty(t, f.after(time.Hour))
	f = of(t, "abcdef", "abcde")
	f.member("e").Acks = false
	require.Empty(t, f.after(time.Hour))
}

func TestAVoterThatGossipHasForgottenIsAbsent(t *testing.T) {
	f := of(t, "abcdef", "abcdz")
	require.Empty(t, f.after(30*time.Second))
	require.Equal(t, "-z+e", f.after(time.Second))
}

// With a change of goose every 25 s a voter that was dead for minutes stayed one.
func TestTheNextGooseGoesOnCountingAbsence(t *testing.T) {
	f := of(t, "abcdef", "abcde")
	f.dies("e")
	require.Empty(t, f.after(25*time.Second))
	f.view.Term = 2
	require.Empty(t, f.after(5*time.Second))
	require.Equal(t, "-e", f.after(time.Second))
	require.Equal(t, "+f", f.after(10*time.Second), "f has to be steady by this goose's own eyes")
}

func TestLeaveShrinksEvenSets(t *testing.T) {
	f := of(t, "abcde", "abcde")
	f.member("e").Leaving = true
	require.Equal(t, "-e-b", f.after(time.Second), "five members less one have three voters")
	f = of(t, "abc", "abc")
	f.member("c").Forced = true
	require.Equal(t, "-c-b", f.after(time.Second))
}

func TestShrinkingDropsTheDeadBeforeTheLiving(t *testing.T) {
	f := of(t, "abcde", "abcde")
	f.dies("d")
	require.Empty(t, f.after(time.Second))
	f.member("e").Leaving = true
	require.Equal(t, "-e-d", f.after(time.Second))
}

func TestShrinkingDropsTheLowestPriority(t *testing.T) {
	f := of(t, "abcde", "abcde")
	f.member("c").Priority = 7
	require.Equal(t, "~c", f.after(time.Second))
	f.member("e").Leaving = true
	require.Equal(t, "-e-c", f.after(time.Second))
}

func TestTheGooseIsNeverTheOnlyVoterThatMayLead(t *testing.T) {
	f := of(t, "abcd", "a")
	f.vote("abc")
	for _, witness := range []string{"b", "c"} {
		f.member(witness).Priority = 0
		f.view.Config = f.view.Config.With(election.Voter{ID: id(witness)})
	}
	require.Equal(t, "+d-b", f.after(time.Minute), "a witness makes room")
	f = of(t, "abc", "abc")
	for _, witness := range []string{"b", "c"} {
		f.member(witness).Priority = 0
		f.view.Config = f.view.Config.With(election.Voter{ID: id(witness)})
	}
	require.Empty(t, f.after(time.Minute), "nobody else may lead")
}

func TestATargetAloneShrinksNothing(t *testing.T) {
	f := of(t, "abcde", "abcde")
	f.view.Limit = 3
	require.Empty(t, f.after(time.Hour))
	f = of(t, "abc", "abcde")
	f.view.Members = append(f.view.Members, Member{ID: id("d"), Alive: true, Acks: true, Priority: 100}, Member{ID: id("e"), Alive: true, Acks: true, Priority: 100})
	require.Empty(t, f.after(time.Hour))
}

func TestALeaverIsReplaced(t *testing.T) {
	f := of(t, "abcdef", "abcde")
	require.Empty(t, f.after(time.Minute))
	f.member("e").Leaving = true
	require.Equal(t, "-e+f", f.after(time.Second))
}

func TestASoleVoterThatLeavesGetsASuccessor(t *testing.T) {
	f := of(t, "abc", "a")
	f.view.Limit = 1
	f.member("a").Leaving = true
	f.member("b").Priority = 0
	require.Equal(t, "+c", f.after(200*time.Millisecond), "a witness is no successor")
}

func TestPrioritiesFollowTheFlags(t *testing.T) {
	f := of(t, "abc", "abc")
	f.member("b").Priority = 0
	f.member("a").Priority = 50
	require.Equal(t, "~a~b", f.after(time.Second))
	f.member("a").Priority = 0
	require.Empty(t, f.after(time.Hour), "the goose hands over before it becomes a witness")
	require.True(t, Unfit(f.view))
}

func TestAVoterStartedAnewAsObserverIsTakenOut(t *testing.T) {
	f := of(t, "abcdef", "abcde")
	require.Empty(t, f.after(time.Minute))
	f.member("e").Observer = true
	require.Equal(t, "-e+f", f.after(time.Second))
	f = of(t, "abc", "abc")
	f.member("c").Observer = true
	require.Equal(t, "-c-b", f.after(time.Second), "two voters stand no more deaths than one")
	f.member("a").Observer = true
	require.True(t, Unfit(f.view))
}

// However long its work takes to end: it hands over only then.
func TestASoleVoterThatLeavesKeepsItsSuccessor(t *testing.T) {
	f := of(t, "ab", "a")
	f.member("a").Leaving = true
	require.Equal(t, "+b", f.after(time.Minute))
}

// A leave that would cost the majority waits, and holds nothing else up: the
// dead voter is replaced first.
func TestALeaveThatWouldCostTheMajorityWaits(t *testing.T) {
	f := of(t, "abcd", "abc")
	require.Empty(t, f.after(time.Minute))
	f.dies("c")
	f.member("b").Leaving = true
	require.Empty(t, f.after(30*time.Second))
	require.Equal(t, "-c-b", f.after(time.Minute), "with d there would be two voters, who stand no more deaths than one")
	f = of(t, "abcdef", "abc")
	f.view.Limit = 3
	f.dies("c")
	f.member("b").Forced = true
	require.Empty(t, f.after(30*time.Second))
	require.Equal(t, "-c-b+d+e", f.after(time.Minute))
}
