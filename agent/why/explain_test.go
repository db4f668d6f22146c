package why

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// three are the facts of agent a of three voters, changed by change.
func three(change func(*Facts)) Facts {
	f := Facts{
		Name: "a", Role: api.RoleDuck, Term: 7, Lease: 500 * time.Millisecond, Bound: true,
		Voters: []Voter{
			{Name: "a", ID: "1", Addr: "10.0.0.1:3825", Self: true, Priority: 100, State: api.StateAlive, Heard: -1},
			{Name: "b", ID: "2", Addr: "10.0.0.2:3825", Priority: 100, State: api.StateAlive, Heard: 20 * time.Millisecond},
			{Name: "c", ID: "3", Addr: "10.0.0.3:3825", Priority: 100, State: api.StateAlive, Heard: 20 * time.Millisecond},
		},
	}
	change(&f)
	return f
}

func TestEachCauseIsExplained(t *testing.T) {
	const ms = time.Millisecond
	lost := func(f *Facts, names ...string) {
		for i := range f.Voters {
			for _, n := range names {
				if f.Voters[i].Name == n {
					f.Voters[i].State, f.Voters[i].Heard = api.StateFailed, 12*time.Second
				}
			}
		}
	}
	for name, c := range map[string]struct {
		change  func(*Facts)
		summary string
		reasons []string // kind: words
		count   int      // reachable
	}{
		"goose": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
		}, "a is the goose: it won term 7, and a majority of the voters (2 of 3) has promised for 455ms more to elect nobody else",
			[]string{"lease: 3 of 3 voters keep a promise"}, 3},
		"goose of forged terms": {func(f *Facts) {
			f.Spent = (&election.Record{Term: election.MaxTerm}).Spent()
		}, "", []string{"spent: term 1099511627775 of at most 1099511627775: no flock gets that far by itself; somebody who holds the key forges messages > stop all agents", "election: "}, 3},
		"goose with one voter gone": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise = 455 * ms
			lost(f, "c")
		}, "a is the goose", []string{
			"lease: 2 of 3 voters keep a promise to it, and 2 are needed",
			"voter_gone: voter c at 10.0.0.3:3825 cannot be reached: gossip counts it as failed, and its last datagram came 12s ago > start c again",
		}, 2},
		"goose alone": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft, f.Voters = api.RoleGoose, "a", true, 455*ms, f.Voters[:1]
		}, "a is the goose: it is the only voter, and its lease runs for 455ms more", []string{"lease: 1 of 1"}, 1},
		"goose handing over": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft, f.HandingOver, f.Working = api.RoleGoose, "a", true, 455*ms, true, 2
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
		}, "a is the goose", []string{"lease: ", "handing_over: a hand-over is under way: it waits for 2 to end their work"}, 3},
		"goose that is to hand over to a higher priority": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
			f.Heir = Heir{Name: "c", Priority: 200, After: time.Minute, In: 34 * time.Second}
		}, "a is the goose", []string{"lease: ", "preempted: c has a higher priority (200) and asks to take over: it is handed the lead in 34s, once it has been a steady voter for 1m0s"}, 3},
		"goose whose heir has failed": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
			f.Heir = Heir{Name: "c", Priority: 200, After: time.Minute, In: 200 * time.Second, Asked: true}
		}, "a is the goose", []string{"lease: ", "preempted: c has a higher priority (200) and asks to take over; it was asked to lately, and is not again for 3m20s > look at why c did not take over"}, 3},
		"goose that is frozen": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
			f.Heir, f.Frozen = Heir{Name: "c", Priority: 200, After: time.Minute}, time.Hour
		}, "a is the goose", []string{
			"lease: ", "frozen: the flock is frozen for 1h0m0s more: its goose changes on failure only > ddgoose thaw",
			"preempted: c has a higher priority (200) and asks to take over: it is handed the lead as soon as may be",
		}, 3},
		"duck of a higher priority": {func(f *Facts) {
			f.Goose, f.Voters[0].Priority, f.PreemptAfter = "b", 200, time.Minute
		}, "a is a duck", []string{"follows: ", "preempts: its priority is higher (200, and b has 100) and it asks to take over: b hands over once it has seen it be a steady voter for 1m0s > ddgoose why, given to b, tells when"}, 3},
		"duck of the same priority":          {func(f *Facts) { f.Goose, f.PreemptAfter = "b", time.Minute }, "a is a duck", []string{"follows: "}, 3},
		"duck of a higher one that does not": {func(f *Facts) { f.Goose, f.Voters[0].Priority = "b", 200 }, "a is a duck", []string{"follows: "}, 3},
		"frozen duck":                        {func(f *Facts) { f.Goose, f.Frozen = "b", 90*time.Second }, "a is a duck", []string{"follows: ", "frozen: the flock is frozen for 1m30s more"}, 3},
		"duck": {func(f *Facts) {
			f.Goose, f.Heard, f.Promised, f.PromisedTo = "b", 30*ms, 470*ms, "b"
		}, "a is a duck: b is the goose, heard 30ms ago", []string{"follows: it has promised b to elect nobody else for 470ms more"}, 3},
		"observer": {func(f *Facts) {
			f.Goose, f.Observer, f.Voters = "b", true, f.Voters[1:]
		}, "a is a duck: b is the goose", []string{"follows: it hears b's heartbeats", "not_voter: it is an observer > start it without --observer"}, 2},
		"not yet a voter": {func(f *Facts) { f.Goose, f.Voters = "b", f.Voters[1:] },
			"a is a duck", []string{"follows: ", "not_voter: it is none of the voters; only the goose"}, 2},
		"witness": {func(f *Facts) { f.Goose, f.Voters[0].Priority = "b", 0 },
			"a is a duck", []string{"follows: ", "witness: it is a witness (priority 0)"}, 3},
		"dead": {func(f *Facts) { f.Role, f.Dead, f.Voters = api.RoleDead, true, nil },
			"a is dead by simulation", []string{"dead: a simulated death > ddgoose simulate revive"}, 0},
		"founding": {func(f *Facts) {
			f.Bound, f.Voters, f.Founding = false, nil, "founding: waiting for 1 more of 3: have a b"
		},
			"a has no goose: its flock is not founded yet", []string{"founding: founding: waiting for 1 more of 3: have a b > start the agents that are missing"}, 0},
		"joining": {func(f *Facts) { f.Bound, f.Voters, f.Join = false, nil, []string{"10.0.0.9"} },
			"a has no goose: it has found no flock yet", []string{"joining: it waits for an agent of a flock at 10.0.0.9 > look whether one runs there"}, 0},
		"too far apart": {func(f *Facts) { f.Voters[1].TooFar = 620 * ms },
			"there is no goose: ", []string{"too_far: a round trip to b takes 620ms or more, and a lease of 500ms ends before that > start all agents with --profile wan", "election: "}, 3},
		"knows no voters": {func(f *Facts) { f.Voters = nil },
			"a knows no goose, and has not heard yet who votes", []string{"not_voter: it has not heard yet who votes"}, 0},
		"majority gone": {func(f *Facts) { lost(f, "b", "c") },
			"there is no goose: 1 of 3 voters can be reached, and 2 are needed", []string{
				"no_majority: b at 10.0.0.2:3825 cannot be reached: gossip counts it as failed, and its last datagram came 12s ago > start b again, or mend the network to it",
				"no_majority: c at 10.0.0.3:3825",
				"no_majority: 1 more of b, c must come back before anybody can be elected > if they are lost for good: ddgoose recover",
			}, 1},
		"datagrams do not come, gossip does": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Heard, f.Voters[2].Heard = -1, 5*time.Second
			f.Voters[1].Unanswered, f.Voters[2].Unanswered = gossipTakes+time.Second, 5*time.Second
		}, "there is no goose: 1 of 3 voters can be reached", []string{
			"no_majority: b at 10.0.0.2:3825 does not answer, though gossip counts it alive: nothing was heard of it since this agent's start > look at UDP",
			"no_majority: c at 10.0.0.3:3825 does not answer, though gossip counts it alive: its last datagram came 5s ago > it may just have died: start c again; else look at UDP between the two, in both directions: ddgoose doctor",
			"no_majority: 1 more of b, c",
		}, 1},
		"one was killed that had nothing to say before": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Heard, f.Voters[1].Unanswered = 20*time.Minute, 2*time.Second
			f.Voters[2].Heard, f.Voters[2].Unanswered = -1, 2*time.Second
		}, "there is no goose: 1 of 3 voters can be reached", []string{
			"no_majority: b at 10.0.0.2:3825 does not answer, though gossip counts it alive: its last datagram came 20m0s ago > it may just have died: start b again; else look at UDP",
			"no_majority: c at 10.0.0.3:3825 does not answer, though gossip counts it alive: nothing was heard of it since this agent's start > it may just have died: start c again; else look at UDP",
			"no_majority: 1 more of b, c",
		}, 1},
		"datagrams have not come for long, gossip does": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Heard, f.Voters[1].Unanswered = 20*time.Minute, gossipTakes+time.Second
		}, "there is no goose: 2 of 3 voters can be reached", []string{
			"voter_gone: voter b at 10.0.0.2:3825 does not answer, though gossip counts it alive: its last datagram came 20m0s ago > look at UDP between the two",
			"election: ",
		}, 2},
		"gossip never knew them": {func(f *Facts) {
			for i := 1; i < 3; i++ {
				f.Voters[i].State, f.Voters[i].Heard, f.Voters[i].Addr = "", -1, ""
			}
		}, "there is no goose", []string{"no_majority: b cannot be reached: gossip does not know it, and nothing was heard of it since this agent's start > start b with a --join", "no_majority: c", "no_majority: 1 more"}, 1},
		"leads without promises": {func(f *Facts) {
			f.Leads = true
			f.Voters[1].Heard, f.Voters[2].Heard = 2*time.Second, 2*time.Second
		}, "there is no goose: a leads term 7, but only 1 of 3 voters have promised it anything, and 2 are needed", []string{
			"no_lease: it needs 1 more of the voters' promises", "no_majority: b at 10.0.0.2:3825 does not answer, though", "no_majority: c",
		}, 1},
		"handed over": {func(f *Facts) { f.Leads, f.HandingOver = true, true },
			"a is no goose any more: it hands over", []string{"handing_over: a hand-over is under way: it holds no lease any more"}, 1},
		"restarted": {func(f *Facts) { f.Waits = 320 * ms },
			"there is no goose: 3 of 3 voters can be reached, which is enough, and none is elected yet", []string{
				"restarted: it has restarted, and neither votes nor campaigns for 320ms more", "election: ",
			}, 3},
		"own promise, deadline and silence": {func(f *Facts) { f.Promised, f.PromisedTo, f.HandedOut, f.Silent = 200*ms, "b", 100*ms, 900*ms },
			"there is no goose: 3 of 3", []string{
				"promised: it has promised b to elect nobody else for 200ms more", "handed_out: work here may go on for 100ms more",
				"stood_down: it led without a majority and stood down: it does not campaign for 900ms more", "election: ",
			}, 3},
		"late work": {func(f *Facts) { f.Late = []string{"process 12"} },
			"there is no goose", []string{"late_work: work of process 12 goes on past its lease > end that work", "election: "}, 3},
		"others' promises, waits and work": {func(f *Facts) {
			f.Voters[1].Told = &Told{Promised: 300 * ms, PromisedTo: "c"}
			f.Voters[2].Told = &Told{Waits: 100 * ms, Late: true}
		}, "there is no goose", []string{
			"promised: b has promised c to elect nobody else for 300ms more", "restarted: c has restarted, and neither votes nor campaigns for 100ms more",
			"late_work: work at c goes on past its lease", "election: ",
		}, 3},
		"refused votes": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Answer = &Answer{Reason: "it has promised another to elect nobody else", Until: 250 * ms}
			f.Voters[2].Answer = &Answer{Reason: "it knows a newer set of voters"}
		}, "there is no goose", []string{
			"refused: b refuses its vote to this agent: it has promised another to elect nobody else, for 250ms more",
			"refused: c refuses its vote to this agent: it knows a newer set of voters", "election: ",
		}, 3},
		"only witnesses are left": {func(f *Facts) {
			f.Voters[0].Priority, f.Voters[1].Priority = 0, 0
			lost(f, "c")
		}, "there is no goose: 2 of 3", []string{"witness: ", "voter_gone: voter c", "nobody_leads: none of the voters that can be reached may lead"}, 2},
		"faults": {func(f *Facts) { f.Goose, f.Netem = "b", "b: loss 30%" },
			"a is a duck", []string{"follows: ", "faults: fault rules are in force: b: loss 30% > ddgoose netem clear"}, 3},
		"the loop hangs at a duck": {func(f *Facts) { f.Stale = 3 * time.Second; lost(f, "c") },
			"there is no goose: 2 of 3", []string{"loop: the agent's loop has not turned for 3s > look at the disk", "voter_gone: voter c"}, 2},
		"the loop hangs at the goose": {func(f *Facts) { f.Stale, f.Role, f.Goose = time.Second, api.RoleGoose, "a" },
			"a is the goose", []string{"loop: the agent's loop has not turned for 1s"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := Explain(three(c.change))
			require.True(t, strings.HasPrefix(w.Summary, c.summary), w.Summary)
			require.Equal(t, c.count, w.Reachable)
			var got []string
			for _, r := range w.Reasons {
				got = append(got, r.Kind+": "+r.Text+" > "+r.Remedy)
			}
			require.Len(t, got, len(c.reasons), "%s", strings.Join(got, "\n"))
			for i, want := range c.reasons {
				head, remedy, _ := strings.Cut(want, " > ")
				require.True(t, strings.HasPrefix(got[i], head), "%q, want %q", got[i], want)
				require.Contains(t, got[i], " > "+remedy)
			}
		})
	}
}

func TestVotersAreListedAsTheyAreSeen(t *testing.T) {
	w := Explain(three(func(f *Facts) {
		f.Promised, f.PromisedTo = 200*time.Millisecond, "b"
		f.Voters[1].Told = &Told{Promised: 300 * time.Millisecond, PromisedTo: "c"}
		f.Voters[1].Answer = &Answer{Granted: true}
		f.Voters[2].Heard = -1
	}))
	number := func(v float64) *float64 { return &v }
	require.Equal(t, 2, w.Needed)
	require.Equal(t, []api.WhyVoter{
		{Name: "a", ID: "1", Addr: "10.0.0.1:3825", Priority: 100, State: "alive", Counts: true, Promised: number(200), PromisedTo: "b", Restarted: number(0)},
		{Name: "b", ID: "2", Addr: "10.0.0.2:3825", Priority: 100, State: "alive", Counts: true, Heard: number(20), Promised: number(300), PromisedTo: "c", Restarted: number(0), Answer: "yes"},
		{Name: "c", ID: "3", Addr: "10.0.0.3:3825", Priority: 100, State: "alive", Counts: true},
	}, w.Voters)
}
