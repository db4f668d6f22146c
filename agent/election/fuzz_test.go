package election

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzStep feeds one node with whatever agents might say and clients might
// ask, in any order and at any time, and demands after every step what no
// input may ever break. What the bytes mean is [hostile.step]'s to say; fields
// are near enough to what the node expects that the inputs get somewhere, and
// what wire refuses is never made.
func FuzzStep(f *testing.F) {
	const (
		win   = "\x02\x03\x03"
		round = "\x02\x03"
		beat  = "\x04\x04\x01\x00\x00\x09\x01\x00\x01\x02\x03\x00\x00\x00"
	)
	for _, seed := range []string{
		"",
		"\x02" + win + round + round, // a goose among three
		"\x02" + win + round + "\x09\x00\x00\x01" + "\x03\x03",                                              // that hands over
		"\x02" + win + round + "\x08\x03\x64\x01" + round + "\x03",                                          // that adds a voter
		"\x02" + win + round + "\x0a\x01" + round + "\x02\x02\x02\x01\x0b",                                  // with holders, and then cut off
		"\x02" + win + round + "\x0a\x01" + round + "\x04\x06\x01\x01\x02" + "\x04\x02\x02\x01\x01\x01\x01", // deposed while holders act, then asked for a vote
		"\x02" + beat + beat + "\x04\x08\x01\x00" + "\x02\x03\x03",                                          // a duck whose goose resigns
		"\x02" + beat + "\x04\x07\x01\x00" + "\x03\x03",                                                     // and one that is asked to take over
		"\x02" + beat + "\x0c" + beat + win,                                                                 // a crash under a promise
		"\x00\x02\x03\x08\x03\x64\x01\x03\x03\x0e\x03",                                                      // a flock of one that grows, and a sleep
		"\x85" + beat + "\x04\x06\x01\x02\x02\x01\x01\x05\x03",                                              // an observer that learns of a newer config
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := newHostile(t, data)
		for steps := 0; len(h.bytes) > 0 && steps < 400; steps++ {
			h.step()
		}
	})
}

// hostile is one run: a node, its disk, its time, and what is left to read.
type hostile struct {
	t     *testing.T
	bytes []byte
	now   time.Duration
	node  Node
	disk  Record
	fx    Effects
	asked []Message // the messages it sent last, for those that agree with them
	told  []string  // the last inputs, for a failure
}

// cast are all agents of a story: the node itself, those that may be voters,
// and two that nobody knows.
var cast = [...]string{"me", "b", "c", "d", "e", "f", "g", "h", "x", "y"}

// newHostile reads the number of voters, whether the node is one, and whether
// its disk is fresh.
func newHostile(t *testing.T, data []byte) *hostile {
	h := &hostile{t: t, bytes: data, now: time.Hour}
	how := h.byte()
	c := Config{ConfigID: ConfigID{Version: 1}}
	first := int(how >> 7) // 1: an observer
	for i := range 1 + int(how&0x7f)%5 {
		c = c.With(Voter{ID: idOf(cast[first+i]), Priority: 100})
	}
	h.disk = Record{FlockID: testFlock, Config: c, PromiseMax: settingsOf("me").Lease}
	h.node = New(settingsOf("me"), h.disk, h.now, how&0x40 == 0)
	h.fx.WakeAt = h.node.wakeAt(h.now)
	h.check(&h.node, nil)
	return h
}

func (h *hostile) byte() byte {
	if len(h.bytes) == 0 {
		return 0
	}
	b := h.bytes[0]
	h.bytes = h.bytes[1:]
	return b
}

func pick[T any](h *hostile, from ...T) T { return from[int(h.byte())%len(from)] }

func (h *hostile) id() ID { return idOf(pick(h, cast[:]...)) }

func (h *hostile) duration() time.Duration {
	return pick(h, 0, time.Microsecond, time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond,
		100*time.Millisecond, 250*time.Millisecond, 490*time.Millisecond, 500*time.Millisecond, 510*time.Millisecond,
		time.Second, 3*time.Second, MaxPromise, 11*time.Second, time.Hour)
}

// near gives a number close to n, or one of the ends.
func (h *hostile) near(n, most uint64) uint64 {
	switch b := h.byte(); {
	case b == 0xff:
		return most
	case b == 0xfe:
		return 0
	default:
		return min(most, max(n, uint64(b>>4))-uint64(b>>4)+uint64(b&0x0f))
	}
}

// step reads one input and takes it.
func (h *hostile) step() {
	switch op := h.byte() % 16; op {
	case 0, 1: // time passes, and the loop may be late or not wake at all
		h.now += h.duration()
		if op == 1 {
			h.take(Tick{})
		}
	case 2:
		h.wake()
	case 3:
		h.agree()
	case 4, 5, 6, 7:
		h.take(h.message())
	case 8:
		h.take(Change{Voter: Voter{ID: h.id(), Priority: h.byte()}, Remove: h.byte()%4 == 0})
		if h.byte()%8 == 0 {
			h.take(Change{Table: Digest{h.byte()}})
		}
	case 9:
		h.take(StepDown{To: pick(h, ID{}, h.id()), Stop: h.byte()%2 == 0})
	case 10:
		h.take(pick[Input](h, Drained{}, Holders{Attached: true}, Holders{}, Busy{Late: true}, Busy{}))
	case 11:
		h.take(RaiseTerm{Term: h.near(h.node.rec.Term, MaxTerm)})
	case 12:
		h.restart()
	case 13:
		h.take(Observe{ID: h.id()})
	case 14:
		h.take(ClockJump{})
	case 15:
		h.take(pick[Input](h, Forget{ID: h.id()}, Seen{ID: h.id(), Config: ConfigID{Version: uint64(h.byte())}}, Advance{To: h.near(h.node.rec.Mark+1, MaxMark+1)}))
	}
}

// message makes one that passes wire's checks. Half of its fields are what
// the node would like best.
func (h *hostile) message() *Message {
	n := &h.node
	m := &Message{Kind: Kind(h.byte()%12) + 1}
	m.FlockID, m.Generation, m.From, m.To = n.rec.FlockID, n.rec.Generation, h.id(), n.set.ID
	m.Term, m.ConfigID = n.rec.Term, n.rec.Config.ConfigID
	switch how := h.byte(); how % 16 {
	case 1:
		m.Term = h.near(m.Term, MaxTerm)
	case 2:
		m.Term = h.near(m.Term, MaxTerm)
		m.ConfigID = ConfigID{Term: min(m.Term, h.near(m.ConfigID.Term, MaxTerm)), Version: h.near(m.ConfigID.Version, MaxTerm)}
		m.Config = h.config(m.ConfigID)
	case 3:
		m.Generation.Number = h.near(m.Generation.Number, MaxGeneration)
		m.Generation.Tag = uint64(h.byte() % 3)
		m.Config = h.config(m.ConfigID)
	case 4:
		m.FlockID[0]++
	case 5:
		m.ToLife++
	}
	switch m.Kind {
	case PreVoteRequest:
		m.NextTerm, m.Nonce = h.near(m.Term+1, MaxTerm), uint64(h.byte())
	case PreVoteReply, VoteReply, LeaveReply:
		m.Nonce, m.Granted = n.nonce, h.byte()%2 == 0
		if !m.Granted {
			m.Reason, m.Remaining = Reason(h.byte()%8), h.duration()
		} else if m.Kind == VoteReply {
			m.Mark = h.near(n.rec.Mark, MaxMark)
		}
	case VoteRequest:
		if h.byte()%2 == 0 {
			m.Term = min(m.Term+1, MaxTerm)
		}
		if h.byte()%2 == 0 {
			m.TransferFrom, m.TransferTerm = pick(h, n.promise.To, h.id()), h.near(n.promise.Term, MaxTerm)
		}
	case Heartbeat:
		m.Round, m.Promise, m.RTT = h.near(n.heard.round+1, 1<<62), h.duration(), h.duration()
		for i := range m.Ranks {
			m.Ranks[i] = h.byte() % MaxVoters
		}
		m.Mark = h.near(n.rec.Mark, MaxMark)
	case Announce:
		m.Goose, m.GooseTerm, m.Round = h.id(), h.near(n.rec.Term, MaxTerm), h.near(n.heard.round+1, 1<<62)
		m.Promise, m.Held = h.duration(), h.duration()
	case HeartbeatAck:
		m.Round, m.Promise, m.Mark = h.near(n.round, 1<<62), h.duration(), h.near(n.rec.Mark, MaxMark)
	}
	return m
}

// config makes a set of voters near the node's own; N == 0 is none.
func (h *hostile) config(id ConfigID) Config {
	c := h.node.rec.Config
	c.ConfigID = id
	switch how := h.byte(); {
	case how%4 == 0:
		return Config{}
	case how%4 == 1 && c.N < MaxVoters:
		c = c.With(Voter{ID: h.id(), Priority: how})
	case how%4 == 2 && c.N > 1:
		c = c.Without(h.id())
	}
	return c
}

// wake brings the time at which the node wants a Tick, and the Tick.
func (h *hostile) wake() {
	for range 100 {
		if h.fx.WakeAt == 0 {
			return
		}
		h.now = max(h.now, h.fx.WakeAt)
		h.take(Tick{})
		if h.fx.WakeAt > h.now || h.fx.WakeAt == 0 {
			return
		}
	}
	h.fail("a hundred Ticks at one moment, and it wants one more now")
}

// agree answers what the node sent last as everybody would who is for it.
func (h *hostile) agree() {
	h.now += time.Millisecond
	for _, q := range slices.Clone(h.asked) {
		m := Message{Header: q.Header, Nonce: q.Nonce, Round: q.Round, Promise: q.Promise, Granted: true, Mark: q.Mark}
		m.From, m.To = q.To, h.node.set.ID
		switch q.Kind {
		case PreVoteRequest:
			m.Kind = PreVoteReply
		case VoteRequest:
			m.Kind = VoteReply
		case Heartbeat:
			m.Kind = HeartbeatAck
		case TimeoutNow:
			m.Kind = VoteRequest
			m.Term++
			m.TransferFrom, m.TransferTerm = h.node.set.ID, q.Term
		default:
			continue
		}
		if m.Term <= MaxTerm && !m.From.IsZero() {
			h.take(&m)
		}
	}
}

// restart is a crash: what was saved is all that is left.
func (h *hostile) restart() {
	before := h.node
	h.node = New(h.node.set, h.disk, h.now, false)
	h.tell("crash")
	if end := max(before.promise.End, before.handedTo, before.lease.Until); h.node.waitUntil < end {
		h.fail("waits until %v, and is bound until %v (rule 13)", h.node.waitUntil, end)
	}
	h.asked, h.fx.WakeAt = nil, h.node.wakeAt(h.now)
	h.check(&h.node, nil)
}

func (h *hostile) take(in Input) {
	if m, ok := in.(*Message); ok {
		h.tell("%+v", *m)
	} else {
		h.tell("%T%+v", in, in)
	}
	before := h.node
	h.node.Step(h.now, in, &h.fx)
	if h.fx.Save {
		h.disk = h.fx.Record
	}
	if len(h.fx.Send) > 0 {
		h.asked = append(h.asked[:0], h.fx.Send...)
	}
	h.check(&before, in)
}

func (h *hostile) tell(format string, args ...any) {
	if len(h.told) == 50 {
		h.told = h.told[1:]
	}
	h.told = append(h.told, fmt.Sprintf("%v: ", h.now-time.Hour)+fmt.Sprintf(format, args...))
}

func (h *hostile) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\n%s\nafter\n%s", fmt.Sprintf(format, args...), describe(&h.node), strings.Join(h.told, "\n"))
}

func describe(n *Node) string {
	return fmt.Sprintf("%v of %+v, promise %+v, waits until %v, handed out until %v, lease %+v", n.role, n.rec, n.promise, n.waitUntil, n.handedTo, n.lease)
}

// check demands what must hold after any step.
func (h *hostile) check(before *Node, in Input) {
	h.t.Helper()
	h.checkRecord(before, in)
	h.checkLease()
	h.checkBonds(before, in)
	h.checkSent(before, in)
}

// checkRecord: what is durable only grows, and one vote is given in a term.
func (h *hostile) checkRecord(before *Node, in Input) {
	h.t.Helper()
	old, rec := before.rec, h.node.rec
	if rec.Generation != old.Generation {
		old.Term = 0 // terms restart at 0
	}
	_, told := in.(*Message)
	switch {
	case rec != h.disk:
		h.fail("the disk has %+v", h.disk)
	case rec.FlockID != old.FlockID:
		h.fail("another flock: it was %v", old.FlockID)
	case rec.Term < old.Term || rec.Term > MaxTerm:
		h.fail("the term was %d", old.Term)
	case told && farAhead(old.Term, rec.Term, MaxTerm, termLeap+1): // a candidate of that term may win the next
		h.fail("a message used up the terms (rule 26): it was %d", old.Term)
	case rec.Generation.Number < old.Generation.Number || rec.Generation.Number > MaxGeneration:
		h.fail("the generation was %d", old.Generation.Number)
	case rec.Mark < old.Mark && (rec.Generation == old.Generation || rec.Config.Has(h.node.set.ID)), rec.Mark > MaxMark:
		h.fail("the mark was %d (rule 29)", old.Mark)
	case rec.Config.Term > rec.Term:
		h.fail("a config above its term (rule 1)")
	case rec.Config.Valid() != nil:
		h.fail("%v", rec.Config.Valid())
	}
	if rec.Generation != old.Generation {
		if rec.Generation.Number == old.Generation.Number {
			h.fail("another recovery's tag (rule 26): it was %+v", old.Generation)
		}
		return
	}
	switch order := rec.Config.Compare(old.Config.ConfigID); {
	case rec.Term == old.Term && !old.Vote.IsZero() && rec.Vote != old.Vote:
		h.fail("two votes in term %d: the first was %v's (rule 2)", rec.Term, old.Vote)
	case order < 0:
		h.fail("an older config: it had %v (rule 1)", old.Config.ConfigID)
	case order == 0 && rec.Config != old.Config:
		h.fail("other voters under the same number: it had %+v (rule 1)", old.Config)
	}
}

// checkLease: a lease is a leader's, in its own term, and never longer than what was asked for.
func (h *hostile) checkLease() {
	h.t.Helper()
	n := &h.node
	switch l := n.lease; {
	case l == Lease{}:
	case n.role != Leader || n.gaveUp:
		h.fail("a lease without the lead (rules 14, 16)")
	case l.Token != n.rec.Token():
		h.fail("a lease of another period (rule 14)")
	case l.Until > h.now+n.set.Lease:
		h.fail("a lease longer than any promise (rule 14)")
	case n.holders && n.handedTo < l.Until:
		h.fail("holders see a lease that does not bind the node (rule 12)")
	}
	if n.role == Leader && !n.rec.Config.Has(n.set.ID) {
		h.fail("a leader outside its config (rules 3, 5)")
	}
}

// checkBonds: what was promised, or handed out, holds until its end, and a
// crash would find it on the disk.
func (h *hostile) checkBonds(before *Node, in Input) {
	h.t.Helper()
	n := &h.node
	if _, drained := in.(Drained); !drained && n.handedTo < before.handedTo {
		h.fail("the deadline handed out was %v (rule 12)", before.handedTo)
	}
	for what, end := range map[string]time.Duration{"a promise": n.promise.End, "a deadline": max(n.handedTo, n.lease.Until)} {
		if end > h.now+stretch(n.rec.PromiseMax) {
			h.fail("%s until %v, and a restart would wait less (rules 11, 13)", what, end)
		}
	}
	if n.promise.End < before.promise.End && before.promise.End > h.now && !h.released(before, in) {
		h.fail("the promise was %+v (rule 12)", before.promise)
	}
}

// released tells whether the input is one that may end a promise early (rule 12).
func (h *hostile) released(before *Node, in Input) bool {
	m, ok := in.(*Message)
	if !ok {
		return false
	}
	p := before.promise
	switch m.Kind {
	case Resign, TimeoutNow:
		return m.From == p.To && m.Term == p.Term
	case VoteRequest:
		return h.node.rec.Vote == m.From && h.node.rec.Term == m.Term && exempt(p, m)
	}
	return false
}

// exempt tells whether a promise does not stand in the way of a vote (rule 12).
func exempt(p Promise, m *Message) bool {
	return m.From == p.To && m.Term > p.Term ||
		m.TransferFrom == p.To && m.TransferTerm == p.Term && m.Term == p.Term+1
}

// checkSent: what leaves shows the record as it is saved, is no more than an
// answer or a round, and gives nothing that is bound.
func (h *hostile) checkSent(before *Node, in Input) {
	h.t.Helper()
	n := &h.node
	if before != n && (n.rec != before.rec) != h.fx.Save {
		h.fail("the record was %+v, save is %v", before.rec, h.fx.Save)
	}
	if len(h.fx.Send) > 2*maxPeers || cap(h.fx.Send) > 8*maxPeers || len(h.fx.Events) > 8 {
		h.fail("%d messages (room for %d), %d events by one step", len(h.fx.Send), cap(h.fx.Send), len(h.fx.Events))
	}
	if before == n {
		return
	}
	all := h.fx.Send
	if h.fx.Announce {
		all = append(all[:len(all):len(all)], h.fx.Announcement)
	}
	for i := range all {
		m := &all[i]
		switch {
		case m.From != n.set.ID || !shows(m, &n.rec) && !shows(m, &before.rec):
			h.fail("sends %+v, which is not what is saved, or was before: %+v", *m, before.rec)
		case m.Config.N > 0 && m.Config.ConfigID != m.ConfigID:
			h.fail("sends a config that is not the one it shows: %+v", *m)
		case m.Promise > n.rec.PromiseMax:
			h.fail("sends %+v, a promise above what a restart waits for (rule 11)", *m)
		}
		h.checkFree(before, in, m)
	}
}

// shows tells whether a message shows this record.
func shows(m *Message, r *Record) bool {
	return m.FlockID == r.FlockID && m.Generation == r.Generation && m.Term == r.Term && m.ConfigID == r.Config.ConfigID &&
		(m.Config.N == 0 || m.Config == r.Config)
}

// checkFree: no vote, no campaign while something binds this node (rules 12,
// 13). That a promise ends early only by a release is checkBonds' to see.
func (h *hostile) checkFree(before *Node, in Input, m *Message) {
	h.t.Helper()
	n, promised, bound := &h.node, h.node.promise.End, h.node.handedTo
	if n.rec.Generation == before.rec.Generation && n.rec.Config == before.rec.Config {
		bound = max(bound, before.lease.Until) // else it was retracted before the answer (rules 6, 26)
	}
	if m.Kind == PreVoteRequest && m.Nonce == 0 {
		return // it asks for a newer config, and for no vote (rule 27)
	}
	switch q, _ := in.(*Message); m.Kind {
	case PreVoteRequest, VoteRequest:
		if i := n.rec.Config.Index(n.set.ID); i < 0 || n.rec.Config.Voters[i].Priority == 0 {
			h.fail("campaigns, and is no voter that may (rules 3, 22)")
		}
		if n.late {
			h.fail("campaigns while work of its last period goes on")
		}
		bound = n.handedTo // one that gave up its lease to campaign anew is promised to nobody else
	case VoteReply:
		if !m.Granted {
			return
		}
		if before.rec.Vote == m.To && before.rec.Term == m.Term {
			promised, bound = 0, 0 // the answer given before
		}
	case PreVoteReply:
		if !m.Granted {
			return
		}
		asks := *q
		asks.Term = q.NextTerm
		if n.rec.Vote == m.To && n.rec.Term == asks.Term {
			promised, bound = 0, 0
		} else if exempt(n.promise, &asks) {
			promised = 0
		}
	default:
		return
	}
	if h.now < max(promised, bound, before.waitUntil) {
		h.fail("sends %+v while bound: promised until %v, by its own until %v, by its start until %v (rules 12, 13)", *m, promised, bound, before.waitUntil)
	}
}
