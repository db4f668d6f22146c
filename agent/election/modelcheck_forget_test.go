//go:build !race

package election

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestModelCheckForgetsNothingThatMatters puts back what the timed model
// leaves out of a state, as a real node might hold it, and demands that no move
// and no message then leads elsewhere: states that the model takes for one are one.
func TestModelCheckForgetsNothingThatMatters(t *testing.T) {
	m := &mcTimed{
		lease: 2, rates: [][mcAgents]time.Duration{{mcSlow, mcFast, mcFast}}, configs: []Config{configOf("a", "b", "c")},
		terms: 2, versions: 2, led: true, holders: true, crashes: 1,
	}
	r := mcRun(t, m, mcBounds(60_000, 300_000))
	require.Empty(t, r.violation)
	dice, compared := chance(11), 0
	var plain, full mcAgent
	for i := range r.agents {
		a := r.table.known[i].agent
		mvs := append(m.moves(&a), mcMove{what: "tick"})
		for j := range r.table.msgs {
			if msg := r.table.msgs[j].m; msg.To == a.node.set.ID {
				mvs = append(mvs, mcMove{msg: &msg})
			}
		}
		for _, mv := range mvs {
			plain, full = a, a
			full.remind(&dice)
			sent, ok := m.step(&plain, mv)
			fullSent, fullOK := m.step(&full, mv)
			if ok {
				compared++
			}
			if differ := mcDiffer(&plain, &full); ok != fullOK || ok && (len(differ) > 0 || !slices.Equal(sent, fullSent)) {
				require.FailNow(t, "they differ", "%v: %s: %v, or %v: %v: %+v, or %+v", mv, mcDescribe(&a), ok, fullOK, differ, sent, fullSent)
			}
		}
	}
	t.Logf("%d moves of %d agent states", compared, r.agents)
}

// mcDiffer names the fields in which two agents differ.
func mcDiffer(a, b *mcAgent) (fields []string) {
	if *a == *b {
		return nil
	}
	x, y := reflect.ValueOf(a.node), reflect.ValueOf(b.node)
	for i := range x.NumField() {
		if p, q := fmt.Sprint(x.Field(i)), fmt.Sprint(y.Field(i)); p != q && x.Type().Field(i).Name != "peers" {
			fields = append(fields, x.Type().Field(i).Name+": "+p+", or "+q)
		}
	}
	for i := range a.node.peers {
		if p, q := a.node.peers[i], b.node.peers[i]; p != q {
			fields = append(fields, fmt.Sprintf("peer %+v, or %+v", p, q))
		}
	}
	return append(fields, fmt.Sprintf("%+v, or %+v", a.ghost, b.ghost))
}

// remind fills in what [mcTimed.settle] forgets: moments that have passed,
// what belonged to another role or an older term, chance.
func (a *mcAgent) remind(dice *chance) {
	n := &a.node
	past := func() time.Duration { return mcNow - dice.upTo(time.Second) }
	someone := func() ID { return mcID(int(dice.next() % mcAgents)) }
	n.dice = chance(dice.next())
	n.electAt, n.heardAt, n.wonAt, n.rejectAt, n.agesAt = past(), past(), past(), past(), past()
	n.news = News{Goose: someone(), Term: dice.next() % 3, Round: dice.next() % 9, Lease: n.set.Lease, At: past()}
	n.rank, n.ranked = uint8(dice.next()%3), dice.next()%2 == 0
	n.leaderRTT = dice.upTo(n.set.Lease)
	n.quietUntil, n.gaveUpAt = past(), past()
	n.nonce, n.failures = dice.next(), uint8(dice.next()%4)
	if n.promise.End == 0 {
		n.promise = Promise{someone(), dice.next() % 3, past()}
	}
	if n.resigned.To.IsZero() && n.rec.Term > 0 {
		n.resigned = Promise{To: someone(), Term: n.rec.Term - 1}
	}
	if n.waitUntil == 0 {
		n.waitUntil = past()
	}
	if n.handedTo == 0 {
		n.handedTo = past()
	}
	if n.selfExpiry == 0 {
		n.selfExpiry = past()
	}
	if n.role == Leader {
		if n.lease.Until == 0 {
			n.lease = Lease{Token: n.rec.Token(), Until: past()}
		}
	} else {
		n.round, n.firstRound, n.quorateAt = dice.next()%9, dice.next()%9, past()
	}
	if n.role != Candidate {
		n.transferFrom, n.transferTerm = someone(), dice.next()%3
	}
	if n.leader.IsZero() && n.rec.Term > 0 && n.role == Follower {
		n.leader, n.leaderTerm = someone(), n.rec.Term-1
	}
	for i := range n.peers[:n.npeers] {
		p := &n.peers[i]
		p.ackAt, p.anyAckAt, p.rtt, p.rejectAt = past(), past(), dice.upTo(n.set.Lease), past()
		if p.expiry == 0 {
			p.expiry = past()
		}
		if n.role == Leader && p.acked != n.rec.Config.ConfigID && n.rec.Config.Version > 0 {
			p.acked = ConfigID{n.rec.Config.Term, n.rec.Config.Version - 1}
		}
		if n.role != Candidate {
			p.granted, p.refused = dice.next()%2 == 0, dice.next()%2 == 0
		}
	}
}
