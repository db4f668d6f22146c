//go:build !race

package election

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestModelCheckCatches plants one fault after the other and demands that the
// model check finds it, by the invariant that the fault breaks.
func TestModelCheckCatches(t *testing.T) {
	abc, a := configOf("a", "b", "c"), configOf("a")
	skew := [][mcAgents]time.Duration{{mcSlow, mcFast, mcFast}}
	untimed := func(f mcFault, terms, versions uint64, c Config) mcRules {
		return &mcUntimed{mcHarness: mcHarness{f}, configs: []Config{c}, terms: terms, versions: versions}
	}
	tables := func(f mcFault) mcRules {
		return &mcUntimed{mcHarness: mcHarness{f}, configs: []Config{abc}, terms: 2, versions: 2, tables: true, fixed: true}
	}
	marks := func(f mcFault, terms, versions uint64, c Config) mcRules {
		return &mcUntimed{mcHarness: mcHarness{f}, configs: []Config{c}, terms: terms, versions: versions, marks: 1}
	}
	timed := func(f mcFault, m mcTimed) mcRules {
		m.fault, m.lease = f, 2
		if m.configs == nil {
			m.configs = []Config{abc}
		}
		if m.rates == nil {
			m.rates = skew
		}
		return &m
	}
	quiet := mcTimed{terms: 2, versions: 1, quiet: true, led: true, crashes: 1}
	held := mcTimed{terms: 2, versions: 1, quiet: true, led: true, holders: true, crashes: 1}
	lived := mcTimed{terms: 2, versions: 1, quiet: true, led: true, crashes: 1, lives: true}
	moved := mcTimed{terms: 2, versions: 1, led: true}
	grows := mcTimed{grow: true, later: true, terms: 2, versions: 3, quiet: true, led: true, holders: true, configs: []Config{a}}
	grown := grows
	grown.first = []mcMove{{what: "adds", arg: 1}, {what: "sends a round that asks nothing"}}
	drift := quiet
	drift.rates = [][mcAgents]time.Duration{{mcTick * 97 / 100, mcFast, mcFast}}
	again := mcTimed{terms: 3, versions: 1, led: true, still: true}
	forgery := mcTimed{terms: 3, versions: 1, led: true, quiet: true, holders: true}
	alone := held
	alone.configs = []Config{a}
	wills := mcTimed{terms: 2, versions: 1, quiet: true, led: true, crashes: 1, wills: true}
	joins := wills
	joins.holders, joins.joins = true, true
	older := wills
	older.terms = 3
	for _, c := range []struct {
		breaks string // the invariant
		rules  mcRules
	}{
		{"vote", untimed(voteNotSaved, 2, 1, abc)},
		{"term", untimed(termNotSaved, 2, 1, abc)},
		{"config", untimed(configNotSaved, 2, 2, abc)},
		{"elected", untimed(configOrderIgnored, 3, 3, abc)},
		{"overlap", untimed(quorumUnchecked, 3, 3, abc)},
		{"overlap", untimed(otherAcksCounted, 3, 3, abc)},
		{"overlap", untimed(twoVotersAtOnce, 2, 2, abc)},
		{"table", tables(otherAcksCounted)},
		{"table", tables(configOrderIgnored)},
		{"P9", marks(markNotSaved, 2, 1, abc)},
		{"P9", marks(marksNotRead, 2, 1, abc)},
		{"P9", marks(marksNotReadByTransfer, 2, 1, abc)},
		{"P9", marks(markOfOldMembers, 2, 3, a)},
		{"P9", marks(markOfAnyAck, 2, 1, abc)},
		{"P9", marks(markOfOneTerm, 2, 1, abc)},
		{"P9", marks(markOfOneConfig, 2, 2, abc)},
		{"P9", marks(lowerTermAcked, 2, 1, abc)},
		{"vote", untimed(twoVotes, 2, 1, abc)},
		{"elected", untimed(oldVoteCounted, 2, 1, abc)},
		{"P2", timed(leaseTooLong, quiet)},
		{"P2", timed(driftBeyondRho, drift)},
		{"P2", timed(othersUnbound, quiet)},
		{"P2", timed(itselfUnbound, quiet)},
		{"P2", timed(noWait, quiet)},
		{"P2", timed(fromTheAck, quiet)},
		{"P2", timed(transferKeepsLease, moved)},
		{"P2", timed(transferResumesLease, moved)},
		{"P2", timed(underOldMembers, grows)},
		{"P2", timed(noLeaseClause, grown)},
		{"P2", timed(unboundByHolders, held)},
		{"P2", timed(raisedByAcksOnly, held)},
		{"P2", timed(loneVoterExempt, alone)},
		{"P2", timed(resignOfAnotherTerm, again)},
		{"P2", timed(publishAfterSend, moved)},
		{"P2", timed(willOfTheLiving, wills)},
		{"P2", timed(holderUnlisted, joins)},
		{"P2", timed(resignOfAnotherTerm, older)},
		{"will", timed(beatBehindTheWill, wills)},
		{"life", timed(beatOfAnyLife, lived)},
		{"life", timed(voteOfAnyLife, lived)},
		{"forged", timed(lastTermHeeded, quiet)},
		{"P2", timed(forgedBeat, forgery)},
		{"P2", timed(forgedVoteRequest, forgery)},
	} {
		f := c.rules.(interface{ planted() mcFault }).planted()
		t.Run(f.name, func(t *testing.T) {
			r := mcRun(t, c.rules, 3_000_000)
			require.NotEmpty(t, r.violation, "not caught: %v", r)
			require.True(t, strings.HasPrefix(r.violation, c.breaks+":"), "caught by another invariant: %v", r)
			t.Logf("%s, after %d states, %d moves, %v", r.violation, r.states, len(r.trace)-1, r.took.Round(time.Millisecond))
			if testing.Verbose() {
				t.Log("\n" + strings.Join(r.trace, "\n"))
			}
		})
	}
}

func toAnyLife(kind Kind) func(*Node, Input) Input {
	return func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == kind {
			m.ToLife = n.set.Life
		}
		return in
	}
}

// planted gives the fault that a model has.
func (h *mcHarness) planted() mcFault { return h.fault }

var (
	voteNotSaved = mcFault{name: "vote not persisted", saved: func(_, r Record) Record { r.Vote = ID{}; return r }}
	termNotSaved = mcFault{name: "term not persisted", saved: func(was, r Record) Record {
		r.Term, r.Vote = was.Term, was.Vote
		return r
	}}
	configNotSaved = mcFault{name: "config not persisted", saved: func(was, r Record) Record { r.Config = was.Config; return r }}

	configOrderIgnored = mcFault{name: "voter ignores config order", before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == VoteRequest && m.Term >= n.rec.Term {
			m.ConfigID = ConfigID{MaxTerm / 2, MaxTerm / 2}
		}
		return in
	}}
	quorumUnchecked = mcFault{name: "reconfiguration without the quorum check", before: func(n *Node, in Input) Input {
		if _, ok := in.(Change); ok {
			n.eachVoter(func(p *peer) { p.acked = n.rec.Config.ConfigID })
		}
		return in
	}}
	otherAcksCounted = mcFault{name: "acks of another config counted", stale: HeartbeatAck, before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == HeartbeatAck {
			m.ConfigID = n.rec.Config.ConfigID
		}
		return in
	}}
	twoVotersAtOnce = mcFault{name: "two voters changed at once", counted: func(was, n *Node, _ Input, fx *Effects) {
		c := was.pending
		if !was.hasPending || n.rec.Config.Version == was.rec.Config.Version {
			return
		}
		for i := range mcAgents {
			if id := mcID(i); id != n.set.ID && id != c.Voter.ID && c.Remove {
				n.rec.Config = n.rec.Config.Without(id)
			} else if id != n.set.ID && id != c.Voter.ID {
				n.rec.Config = n.rec.Config.With(Voter{id, 100})
			}
		}
		mcShow(n, fx)
	}}
	twoVotes = mcFault{
		name: "two votes in a term", stale: VoteRequest,
		before: func(n *Node, in Input) Input {
			if m, ok := in.(*Message); ok && m.Kind == VoteRequest && m.Term == n.rec.Term && n.role == Follower {
				n.rec.Vote = ID{}
			}
			return in
		},
		after: func(was, n *Node, _ Input, _ *Effects) {
			if n.rec.Term == was.rec.Term && n.rec.Vote.IsZero() {
				n.rec.Vote = was.rec.Vote
			}
		},
	}
	oldVoteCounted = mcFault{name: "a vote of an older term counted", stale: VoteReply, before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == VoteReply && m.Term < n.rec.Term {
			m.Term = n.rec.Term
		}
		return in
	}}

	leaseTooLong = mcFault{name: "lease longer than the promise", after: func(was, n *Node, in Input, _ *Effects) {
		for i := range n.peers[:n.npeers] {
			if p := &n.peers[i]; p.expiry > was.peers[i].expiry {
				p.expiry += n.set.Lease / 2
			}
		}
		if n.selfExpiry > was.selfExpiry {
			n.selfExpiry += n.set.Lease / 2
		}
	}}
	driftBeyondRho = mcFault{name: "drift beyond rho"}
	othersUnbound  = mcFault{name: "no rule 12 for others", before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == VoteRequest {
			n.promise = Promise{}
		}
		return in
	}}
	itselfUnbound = mcFault{name: "no rule 12 for itself", before: func(n *Node, in Input) Input {
		if _, ok := in.(Tick); ok && n.role == Follower {
			n.promise = Promise{}
		}
		return in
	}}
	noWait     = mcFault{name: "no rule 13", before: func(n *Node, in Input) Input { n.waitUntil = 0; return in }}
	fromTheAck = mcFault{name: "lease counted from the ack", before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == HeartbeatAck && n.role == Leader {
			n.rounds[m.Round].sentAt = mcNow
		}
		return in
	}}
	transferKeepsLease = mcFault{name: "transfer that keeps the lease", after: func(was, n *Node, _ Input, _ *Effects) {
		if n.gaveUp && n.lease.Until < was.lease.Until {
			n.lease = was.lease
		}
	}}
	transferResumesLease = mcFault{name: "transfer that resumes the lease", before: func(n *Node, in Input) Input {
		if _, ok := in.(Tick); ok {
			n.gaveUp = false
		}
		return in
	}}
	underOldMembers = mcFault{name: "lease counted under old members", after: func(_, n *Node, _ Input, _ *Effects) {
		if n.role == Leader && n.selfExpiry > mcNow {
			n.lease = Lease{Token: n.rec.Token(), Until: n.selfExpiry} // as when it was the only voter
		}
	}}
	noLeaseClause = mcFault{
		name: "rule 5 without its lease clause",
		before: func(n *Node, in Input) Input {
			if _, ok := in.(Change); ok || n.hasPending {
				n.lease, n.handedTo = Lease{}, 0
			}
			return in
		},
		after: func(was, n *Node, _ Input, _ *Effects) { n.handedTo = max(n.handedTo, was.handedTo) },
	}
	unboundByHolders = mcFault{name: "a goose unbound to its own handed-out deadline", after: func(_, n *Node, _ Input, _ *Effects) { n.handedTo = 0 }}
	raisedByAcksOnly = mcFault{name: "promise_max raised by acks only", unraised: true, counted: func(was, n *Node, _ Input, fx *Effects) {
		if n.role == Leader { // as if it did not count itself
			n.rec.PromiseMax, fx.Record.PromiseMax = was.rec.PromiseMax, was.rec.PromiseMax
		}
	}}
	loneVoterExempt = mcFault{name: "an exemption in rule 13", before: func(n *Node, in Input) Input {
		if n.rec.Config.N == 1 {
			n.waitUntil = 0
		}
		return in
	}}
	resignOfAnotherTerm = mcFault{name: "a Resign of another term", stale: Resign, before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == Resign && n.promise.To == m.From {
			m.Term = n.promise.Term
		}
		return in
	}}
	publishAfterSend = mcFault{name: "publish after send", lags: true}

	willOfTheLiving   = mcFault{name: "a will read before the agent is gone", early: true}
	holderUnlisted    = mcFault{name: "a holder attached after the will was written", unlisted: true}
	beatBehindTheWill = mcFault{name: "a heartbeat still in a queue after the will", before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == Heartbeat {
			n.resigned = Promise{}
		}
		return in
	}}

	beatOfAnyLife = mcFault{name: "a heartbeat honoured whatever life it is for", before: toAnyLife(Heartbeat)}
	voteOfAnyLife = mcFault{name: "a vote given whatever life is asked", before: toAnyLife(VoteRequest)}

	lastTermHeeded = mcFault{name: "rule 26 left out", forges: []Kind{Reject}, before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Term == MaxTerm {
			m.Term = n.rec.Term + 1
		}
		return in
	}}
	forgedBeat        = mcFault{name: "a forged heartbeat", forges: []Kind{Heartbeat}}
	forgedVoteRequest = mcFault{name: "a forged vote request", forges: []Kind{VoteRequest}}
)
