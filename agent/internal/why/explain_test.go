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
			"voter_gone: voter c at 10.0.0.3:3825 does not answer, and gossip counts it as failed: its last datagram came 12s ago > start c again, or repair the network: ddgoose doctor",
		}, 2},
		"goose alone": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft, f.Voters = api.RoleGoose, "a", true, 455*ms, f.Voters[:1]
		}, "a is the goose: it is the only voter, and its lease runs for 455ms more", []string{"lease: 1 of 1"}, 1},
		"goose handing over": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft, f.HandingOver, f.Working = api.RoleGoose, "a", true, 455*ms, true, 2
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
		}, "a is the goose", []string{"lease: ", "handing_over: a hand-over is under way: it waits for 2 to finish their work"}, 3},
		"goose that is to hand over to a higher priority": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
			f.Heir = Heir{Name: "c", Priority: 200, After: time.Minute, In: 34 * time.Second}
		}, "a is the goose", []string{"lease: ", "preempted: c has a higher priority (200) and asks to take over: it takes over in 34s, once it has been a steady voter for 1m0s"}, 3},
		"goose whose heir has failed": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
			f.Heir = Heir{Name: "c", Priority: 200, After: time.Minute, In: 200 * time.Second, Asked: true}
		}, "a is the goose", []string{"lease: ", "preempted: c has a higher priority (200) and asks to take over; it was asked and did not, and is asked again in 3m20s > find out why c did not take over"}, 3},
		"goose that is frozen": {func(f *Facts) {
			f.Role, f.Goose, f.Leads, f.LeaseLeft = api.RoleGoose, "a", true, 455*ms
			f.Voters[1].Promise, f.Voters[2].Promise = 455*ms, 440*ms
			f.Heir, f.Frozen = Heir{Name: "c", Priority: 200, After: time.Minute}, time.Hour
		}, "a is the goose", []string{
			"lease: ", "frozen: the flock is frozen for 1h0m0s more: planned goose changes are blocked > ddgoose thaw",
			"preempted: c has a higher priority (200) and asks to take over: it takes over as soon as possible",
		}, 3},
		"duck of a higher priority": {func(f *Facts) {
			f.Goose, f.Voters[0].Priority, f.PreemptAfter = "b", 200, time.Minute
		}, "a is a duck", []string{"follows: ", "preempts: its priority is higher (200, and b has 100) and it asks to take over: b hands over once this agent has been a steady voter for 1m0s > ddgoose why on b tells when"}, 3},
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
			"a is a duck", []string{"follows: ", "not_voter: it is not a voter; the goose"}, 2},
		"witness": {func(f *Facts) { f.Goose, f.Voters[0].Priority = "b", 0 },
			"a is a duck", []string{"follows: ", "witness: it is a witness (priority 0)"}, 3},
		"dead": {func(f *Facts) { f.Role, f.Dead, f.Voters = api.RoleDead, true, nil },
			"a is dead by simulation", []string{"dead: a simulated death > ddgoose simulate revive"}, 0},
		"founding": {func(f *Facts) {
			f.Bound, f.Voters, f.Founding, f.Missing = false, nil, "founding: waiting for 1 more of 3: have a b", true
		},
			"a has no goose: its flock is not founded yet", []string{"founding: founding: waiting for 1 more of 3: have a b > start the missing agents"}, 0},
		"one too many for a founding": {func(f *Facts) {
			f.Bound, f.Voters, f.Founding = false, nil, "founding: expected 3, see 4: a b c d: stop 1 of them"
		},
			"a has no goose: its flock is not founded yet", []string{"founding: founding: expected 3, see 4: a b c d: stop 1 of them > "}, 0},
		"joining": {func(f *Facts) { f.Bound, f.Voters, f.Join = false, nil, []string{"10.0.0.9"} },
			"a has no goose: it has joined no flock yet", []string{"joining: it waits for an answer of an agent at 10.0.0.9 > check that an agent runs there"}, 0},
		"joins itself": {func(f *Facts) { f.Bound, f.Voters = false, nil },
			"a has no goose: it has joined no flock yet", []string{"joining: its --join names no other agent > name an agent of the flock in --join"}, 0},
		"too far apart": {func(f *Facts) { f.Voters[1].TooFar = 620 * ms },
			"there is no goose: ", []string{"too_far: a round trip to b takes 620ms or more, longer than a lease of 500ms > start all agents with --profile wan", "election: "}, 3},
		"knows no voters": {func(f *Facts) { f.Voters = nil },
			"a knows no goose, and does not know the voters yet", []string{"not_voter: it does not know the voters yet"}, 0},
		"majority gone": {func(f *Facts) { lost(f, "b", "c") },
			"there is no goose: 1 of 3 voters answer, and 2 are needed", []string{
				"no_majority: no other voter answers: this agent may be cut off from them",
				"no_majority: b at 10.0.0.2:3825 does not answer, and gossip counts it as failed: its last datagram came 12s ago > ",
				"no_majority: c at 10.0.0.3:3825 does not answer, and gossip counts it as failed: its last datagram came 12s ago > start b, c again, or repair the network: ddgoose doctor",
			}, 1},
		"majority gone for minutes": {func(f *Facts) {
			lost(f, "b", "c")
			f.Gooseless = RecoverAfter
		}, "there is no goose: 1 of 3 voters answer", []string{
			"no_majority: no other voter answers", "no_majority: b", "no_majority: c",
			"no_majority: there has been no majority for 5m0s > only if the missing voters are lost for good: ddgoose recover",
		}, 1},
		"this agent is cut off by its own fault rules": {func(f *Facts) {
			lost(f, "b", "c")
			f.Netem, f.EndsNetem = "*: cut", "ddgoose netem clear"
		}, "there is no goose: 1 of 3 voters answer", []string{
			"faults: fault rules are in force on this agent: *: cut > ddgoose netem clear",
			"no_majority: b at 10.0.0.2:3825 does not answer: its last datagram came 12s ago > ",
			"no_majority: c at 10.0.0.3:3825 does not answer: its last datagram came 12s ago > ",
		}, 1},
		"a duck knows that a voter does not answer": {func(f *Facts) {
			f.Goose, f.Voters[2].Silent = "b", true
		}, "a is a duck", []string{"follows: ", "voter_gone: voter c at 10.0.0.3:3825 does not answer b's heartbeats, and gossip still counts it as alive > start c again"}, 2},
		"datagrams do not come, gossip does": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Heard, f.Voters[2].Heard = -1, 5*time.Second
			f.Voters[1].Unanswered, f.Voters[2].Unanswered = gossipTakes+time.Second, 5*time.Second
		}, "there is no goose: 1 of 3 voters answer", []string{
			"no_majority: no other voter answers",
			"no_majority: b at 10.0.0.2:3825 does not answer, and gossip still counts it as alive: nothing was heard from it since this agent started > check UDP in both directions between this agent and b: ddgoose doctor",
			"no_majority: c at 10.0.0.3:3825 does not answer, and gossip still counts it as alive: its last datagram came 5s ago > start c again, or repair the network: ddgoose doctor",
		}, 1},
		"one was killed that had nothing to say before": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Heard, f.Voters[1].Unanswered = 20*time.Minute, 2*time.Second
			f.Voters[2].Heard, f.Voters[2].Unanswered = -1, 2*time.Second
		}, "there is no goose: 1 of 3 voters answer", []string{
			"no_majority: no other voter answers",
			"no_majority: b at 10.0.0.2:3825 does not answer, and gossip still counts it as alive: its last datagram came 20m0s ago > ",
			"no_majority: c at 10.0.0.3:3825 does not answer, and gossip still counts it as alive: nothing was heard from it since this agent started > start b, c again, or repair the network: ddgoose doctor",
		}, 1},
		"datagrams have not come for long, gossip does": {func(f *Facts) {
			f.Role, f.Asked = api.RoleCandidate, true
			f.Voters[1].Heard, f.Voters[1].Unanswered = 20*time.Minute, gossipTakes+time.Second
		}, "there is no goose: 2 of 3 voters answer", []string{
			"voter_gone: voter b at 10.0.0.2:3825 does not answer, and gossip still counts it as alive: its last datagram came 20m0s ago > check UDP in both directions between this agent and b",
			"election: ",
		}, 2},
		"gossip never knew them": {func(f *Facts) {
			for i := 1; i < 3; i++ {
				f.Voters[i].State, f.Voters[i].Heard, f.Voters[i].Addr = "", -1, ""
			}
		}, "there is no goose", []string{"no_majority: no other voter answers", "no_majority: b does not answer, and gossip does not know it: nothing was heard from it since this agent started > ", "no_majority: c does not answer, and gossip does not know it: nothing was heard from it since this agent started > start b, c; one that runs already needs a --join that names this agent"}, 1},
		"leads without promises": {func(f *Facts) {
			f.Leads = true
			f.Voters[1].Heard, f.Voters[2].Heard = 2*time.Second, 2*time.Second
		}, "there is no goose: a leads term 7, but only 1 of 3 voters keep a promise to it, and 2 are needed", []string{
			"no_lease: it needs promises of 1 more voters", "no_majority: b at 10.0.0.2:3825 does not answer, and gossip still counts it as alive: ", "no_majority: c",
		}, 1},
		"handed over": {func(f *Facts) { f.Leads, f.HandingOver = true, true },
			"a is no longer the goose: it hands over", []string{"handing_over: a hand-over is under way: its lease has ended"}, 1},
		"restarted": {func(f *Facts) { f.Waits = 320 * ms },
			"there is no goose: 3 of 3 voters answer, which is enough, and none is elected yet", []string{
				"restarted: it has restarted, and neither votes nor campaigns for 320ms more", "election: ",
			}, 3},
		"own promise, deadline and silence": {func(f *Facts) { f.Promised, f.PromisedTo, f.HandedOut, f.Silent = 200*ms, "b", 100*ms, 900*ms },
			"there is no goose: 3 of 3", []string{
				"promised: it has promised b to elect nobody else for 200ms more", "handed_out: work here may run for 100ms more",
				"stood_down: it lost its majority and stood down: it does not campaign for 900ms more", "election: ",
			}, 3},
		"late work": {func(f *Facts) { f.Late = []string{"process 12"} },
			"there is no goose", []string{"late_work: work of process 12 still runs after its lease > end that work", "election: "}, 3},
		"others' promises, waits and work": {func(f *Facts) {
			f.Voters[1].Told = &Told{Promised: 300 * ms, PromisedTo: "c"}
			f.Voters[2].Told = &Told{Waits: 100 * ms, Late: true}
		}, "there is no goose", []string{
			"promised: b has promised c to elect nobody else for 300ms more", "restarted: c has restarted, and neither votes nor campaigns for 100ms more",
			"late_work: work at c still runs after its lease", "election: ",
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
		}, "there is no goose: 2 of 3", []string{"witness: ", "voter_gone: voter c", "nobody_leads: no voter that answers may lead"}, 2},
		"another election, followed": {func(f *Facts) { f.Election, f.Goose, f.Uncontested = "x", "b", true },
			`election "x": a is a duck: b is the goose`, []string{"follows: it hears b's heartbeats > ddgoose step-down --election x on the goose hands over", "uncontested: it was not given this election: it votes, and leads only while no agent that was given it can lead > start it with --election x"}, 3},
		"another election, not begun": {func(f *Facts) { f.Election, f.Bound, f.Voters = "x", false, nil },
			`election "x": a has no goose: the election has not begun at this agent`, []string{"founding: the goose of the default election begins it once a majority of the voters answers > ddgoose why"}, 0},
		"another election that no live agent was given": {func(f *Facts) {
			f.Election, f.Uncontested = "x", true
			f.Voters[0].Uncontested, f.Voters[1].Uncontested = true, true
			lost(f, "c")
		}, `election "x": there is no goose: 2 of 3 voters answer, which is enough`, []string{"uncontested: ", "voter_gone: voter c", "uncontested: no voter that answers was given this election > start a voter with --election x"}, 2},
		"faults": {func(f *Facts) { f.Goose, f.Netem, f.EndsNetem = "b", "b: loss 30%", "ddgoose netem clear" },
			"a is a duck", []string{"follows: ", "faults: fault rules are in force on this agent: b: loss 30% > ddgoose netem clear"}, 3},
		"the loop hangs at a duck": {func(f *Facts) { f.Stale = 3 * time.Second; lost(f, "c") },
			"there is no goose: 2 of 3", []string{"loop: the agent's loop has not run for 3s > check the disk", "voter_gone: voter c"}, 2},
		"the loop hangs at the goose": {func(f *Facts) { f.Stale, f.Role, f.Goose = time.Second, api.RoleGoose, "a" },
			"a is the goose", []string{"loop: the agent's loop has not run for 1s"}, 3},
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
				head, remedy, said := strings.Cut(want, " > ")
				require.True(t, strings.HasPrefix(got[i], head), "%q, want %q", got[i], want)
				require.Contains(t, got[i], " > "+remedy)
				require.False(t, said && remedy == "" && w.Reasons[i].Remedy != "", got[i])
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
