package election

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

const mcAgents = 3

var mcNames = [mcAgents]string{"a", "b", "c"}

// mcAgent is one agent of a model: the node, what its disk holds, and what the
// invariants remember of it. A comparable value, like the node itself.
type mcAgent struct {
	node  Node
	disk  Record
	ghost mcGhost
}

// mcGhost is what only the invariants know.
type mcGhost struct {
	term   uint64   // the highest term it was ever in
	vote   ID       // its vote in that term
	config ConfigID // the newest config it ever had
	begun  mcBegun
	marks  mcMarks
	rate   time.Duration
	handed [2]Lease // deadlines that holders on this machine may still act by, by token
	heeds  bool     // a message for a former life
	shown  Lease    // what readers are shown, when that differs from the node's lease
	lags   bool
	wills  mcWills
}

// mcBegun is the newest table by which an agent has, as the leader, let elections begin.
type mcBegun struct {
	config ConfigID
	table  Digest
}

// mcMove is what one agent does: something by itself, or taking a message.
type mcMove struct {
	what string
	arg  int
	msg  *Message
}

func (mv mcMove) String() string {
	if mv.msg != nil {
		return "takes " + mcTell(mv.msg)
	}
	if mv.arg != 0 {
		return fmt.Sprintf("%s %d", mv.what, mv.arg)
	}
	return mv.what
}

// mcEntry is the outcome of one agent's move. It depends on nothing but the
// agent and the move, so each is computed once.
type mcEntry struct {
	mv          mcMove
	next        uint32
	sent        []uint32
	won         int // the term won by this move; 0: none
	outOfBounds bool
	broken      string
}

// mcKnown is an agent state with everything worked out about it.
type mcKnown struct {
	agent   mcAgent
	once    sync.Once
	list    []*mcEntry // what it may do by itself
	tick    *mcEntry
	inform  [mcAgents]uint32 // the message that tells another of its term and config
	forged  [mcAgents][]uint32
	permuts [len(mcPerms)]uint32
	sum     mcSummary
}

const mcNone = ^uint32(0)

// mcTable numbers the states of single agents, and messages.
type mcTable struct {
	rules mcRules
	mu    sync.RWMutex // guards the fields below
	known []*mcKnown
	index map[[2]uint64]uint32
	msgs  []mcMessage
	byMsg map[Message]uint32
}

// mcMessage is a message with what is looked at most.
type mcMessage struct {
	m      Message
	voters uint8 // of the config it carries; 0: none
}

// mcReceivers divides a message's number into its place in the table and its receiver.
const mcReceivers = 4

func newMcTable(rules mcRules) *mcTable {
	return &mcTable{rules: rules, index: map[[2]uint64]uint32{}, byMsg: map[Message]uint32{}}
}

var mcSeedA, mcSeedB = maphash.MakeSeed(), maphash.MakeSeed()

// agent gives the number of an agent's state.
func (t *mcTable) agent(a *mcAgent) uint32 {
	h := [2]uint64{maphash.Comparable(mcSeedA, *a), maphash.Comparable(mcSeedB, *a)}
	t.mu.RLock()
	id, ok := t.index[h]
	t.mu.RUnlock()
	if ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.index[h]; ok {
		return id
	}
	id = uint32(len(t.known))
	t.known = append(t.known, &mcKnown{agent: *a, sum: mcSummarize(a)})
	t.index[h] = id
	return id
}

func (t *mcTable) message(m Message) uint32 {
	t.mu.RLock()
	id, ok := t.byMsg[m]
	t.mu.RUnlock()
	if ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.byMsg[m]; ok {
		return id
	}
	id = uint32(len(t.msgs)*mcReceivers + mcIndex(m.To))
	t.msgs = append(t.msgs, mcMessage{m, mcVoters(&m.Config)})
	t.byMsg[m] = id
	return id
}

func (t *mcTable) agentCount() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.known)
}

func (t *mcTable) messageCount() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.msgs)
}

// compute lets the real node do something.
func (t *mcTable) compute(from *mcAgent, mv mcMove) *mcEntry {
	a, e := *from, &mcEntry{mv: mv}
	sent, ok := t.rules.step(&a, mv)
	if !ok {
		e.outOfBounds = true
		return e
	}
	e.broken = a.remember()
	if n := &a.node; n.role == Leader && (from.node.role != Leader || from.node.rec.Term != n.rec.Term) {
		e.won = int(n.rec.Term)
	}
	e.next = t.agent(&a)
	for i := range sent {
		e.sent = append(e.sent, t.message(sent[i]))
	}
	return e
}

// mcView is one worker's way to the table.
type mcView struct {
	t       *mcTable
	known   []*mcKnown
	msgs    []mcMessage
	pairs   mcPairs
	older   []uint32
	named   map[uint64]uint32
	renamed [len(mcPerms)][]uint32
	told    string
}

// mcPair is an agent and a message to it.
type mcPair struct {
	dead  bool
	entry *mcEntry
}

// mcPairs is a hash table of pairs: a search looks one up for each message of each state, and
// that takes half as long as in a map.
type mcPairs struct {
	slots []mcPairSlot
	used  int
}

type mcPairSlot struct {
	agent, message uint32
	pair           *mcPair // nil: free
}

// slot gives the pair's, or a free one for it.
func (ps *mcPairs) slot(a, m uint32) *mcPairSlot {
	if 2*ps.used >= len(ps.slots) {
		old := ps.slots
		ps.slots = make([]mcPairSlot, max(1024, 2*len(old)))
		for _, s := range old {
			if s.pair != nil {
				*ps.find(s.agent, s.message) = s
			}
		}
	}
	return ps.find(a, m)
}

func (ps *mcPairs) find(a, m uint32) *mcPairSlot {
	mask := uint64(len(ps.slots) - 1)
	for i := (uint64(a)<<32 | uint64(m)) * 0x9e3779b97f4a7c15 >> 32; ; i++ {
		if s := &ps.slots[i&mask]; s.pair == nil || s.agent == a && s.message == m {
			return s
		}
	}
}

func newMcView(t *mcTable) mcView {
	return mcView{t: t, named: map[uint64]uint32{}}
}

func (v *mcView) of(id uint32) *mcKnown {
	if int(id) >= len(v.known) {
		v.t.mu.RLock()
		v.known = v.t.known
		v.t.mu.RUnlock()
	}
	k := v.known[id]
	k.once.Do(func() { v.work(k) })
	return k
}

func (v *mcView) work(k *mcKnown) {
	for _, mv := range v.t.rules.moves(&k.agent) {
		k.list = append(k.list, v.t.compute(&k.agent, mv))
	}
	if v.t.rules.limits().ticks {
		k.tick = v.t.compute(&k.agent, mcMove{what: "tick"})
	}
	for j := range mcAgents {
		k.inform[j] = mcNone
		if m, ok := mcInform(&k.agent, mcID(j)); ok {
			k.inform[j] = v.t.message(m)
		}
		for _, m := range v.t.rules.forge(&k.agent, mcID(j)) {
			k.forged[j] = append(k.forged[j], v.t.message(m))
			k.list = append(k.list, v.t.implausible(k.agent, m)...)
		}
	}
	for p := range mcPerms {
		a := k.agent
		a.permute(p)
		k.permuts[p] = v.t.agent(&a)
	}
}

func (v *mcView) message(id uint32) *Message { return &v.found(id).m }

func (v *mcView) found(id uint32) *mcMessage { return v.at(id / mcReceivers) }

func (v *mcView) at(i uint32) *mcMessage {
	if int(i) >= len(v.msgs) {
		v.t.mu.RLock()
		v.msgs = v.t.msgs
		v.t.mu.RUnlock()
	}
	return &v.msgs[i]
}

func (v *mcView) moves(a uint32) []*mcEntry      { return v.of(a).list }
func (v *mcView) tick(a uint32) *mcEntry         { return v.of(a).tick }
func (v *mcView) inform(a uint32, to int) uint32 { return v.of(a).inform[to] }
func (v *mcView) receiver(m uint32) int          { return int(m % mcReceivers) }
func (v *mcView) dead(a, m uint32) bool          { return v.pair(a, m).dead }
func (v *mcView) deliver(a, m uint32) *mcEntry {
	p := v.pair(a, m)
	if p.entry == nil {
		msg := *v.message(m)
		p.entry = v.t.compute(&v.of(a).agent, mcMove{msg: &msg})
	}
	return p.entry
}

func (v *mcView) pair(a, m uint32) *mcPair {
	slot := v.pairs.slot(a, m)
	if slot.pair == nil {
		*slot = mcPairSlot{a, m, &mcPair{dead: v.t.rules.dead(&v.of(a).agent, v.message(m))}}
		v.pairs.used++
	}
	return slot.pair
}

// permutedMessage gives the message with its agents renamed.
func (v *mcView) permutedMessage(m uint32, p int) uint32 {
	for int(m/mcReceivers) >= len(v.renamed[p]) {
		msg := v.at(uint32(len(v.renamed[p]))).m
		mcPermuteMessage(&msg, p)
		v.renamed[p] = append(v.renamed[p], v.t.message(msg))
	}
	return v.renamed[p][m/mcReceivers]
}

// toLife gives the message as it leaves for an agent: every sender knows the life
// that the receiver is in. To know a former one is to send what is soon a recording.
func (v *mcView) toLife(to, m uint32) uint32 {
	life := v.of(to).agent.node.set.Life
	if life == 0 {
		return m
	}
	key := life<<32 | uint64(m)
	named, ok := v.named[key]
	if !ok {
		msg := *v.message(m)
		msg.ToLife = life
		named = v.t.message(msg)
		v.named[key] = named
	}
	return named
}

// aged gives the message a tick later.
func (v *mcView) aged(m uint32) uint32 {
	for int(m/mcReceivers) >= len(v.older) {
		v.older = append(v.older, v.t.message(v.t.rules.age(v.at(uint32(len(v.older))).m)))
	}
	return v.older[m/mcReceivers]
}

func (v *mcView) explain(g mcState, i int, next uint32) string {
	name := mcNames[i] + " "
	for _, e := range v.moves(g.agents[i]) {
		if e.next == next {
			return name + e.mv.String()
		}
	}
	for _, m := range g.soup {
		if v.receiver(m) == i && v.deliver(g.agents[i], m).next == next {
			return name + "takes " + mcTell(v.message(m))
		}
	}
	for j := range g.agents {
		if m := v.inform(g.agents[j], i); m != mcNone && j != i && v.deliver(g.agents[i], m).next == next {
			return name + "takes " + mcTell(v.message(m))
		}
	}
	for j := range g.agents {
		for _, m := range v.of(g.agents[j]).forged[i] {
			if v.deliver(g.agents[i], m).next == next {
				return name + "takes a forged " + mcTell(v.message(m))
			}
		}
	}
	if e := v.of(g.agents[i]).tick; e != nil && e.next == next {
		return "time passes"
	}
	return ""
}

func (v *mcView) describe(g *mcState) string {
	var b strings.Builder
	for i, id := range g.agents {
		fmt.Fprintf(&b, "%s[%s] ", mcNames[i], mcDescribe(&v.of(id).agent))
	}
	for _, m := range g.soup {
		b.WriteString("{" + mcTell(v.message(m)) + "} ")
	}
	return b.String()
}

func mcDescribe(a *mcAgent) string {
	n, s := &a.node, ""
	s = fmt.Sprintf("%v t%d vote %s cfg %s", n.role, n.rec.Term, dash(nameOf(n.rec.Vote)), mcTellConfig(&n.rec.Config))
	if a.disk != n.rec {
		s += fmt.Sprintf(" disk t%d vote %s cfg %s", a.disk.Term, dash(nameOf(a.disk.Vote)), mcTellConfig(&a.disk.Config))
	}
	for _, at := range []struct {
		what string
		end  time.Duration
	}{
		{"promise(" + nameOf(n.promise.To) + fmt.Sprint(n.promise.Term) + ")", n.promise.End}, {"wait", n.waitUntil}, {"lease", n.lease.Until}, {"handed", n.handedTo}, {"self", n.selfExpiry},
	} {
		if at.end > mcNow {
			s += fmt.Sprintf(" %s+%d", at.what, at.end-mcNow)
		}
	}
	for i := range n.peers[:n.npeers] {
		p := &n.peers[i]
		if p.expiry > mcNow {
			s += fmt.Sprintf(" expiry(%s)+%d", nameOf(p.id), p.expiry-mcNow)
		}
	}
	for _, h := range a.ghost.handed {
		if h.Until > mcNow {
			s += fmt.Sprintf(" HOLDER(%d)+%d", h.Token, h.Until-mcNow)
		}
	}
	if n.rec.Mark > 0 || a.ghost.marks != (mcMarks{}) {
		s += fmt.Sprintf(" mark %d %+v", n.rec.Mark, a.ghost.marks)
	}
	if n.gaveUp {
		s += " gave up"
	}
	return s
}

func mcTellConfig(c *Config) string {
	s := fmt.Sprintf("%d.%d", c.Term, c.Version)
	for _, v := range c.Members() {
		s += nameOf(v.ID)
	}
	if !c.Table.IsZero() {
		s += fmt.Sprintf(" table %v", c.Table[:mcAgents])
	}
	return s
}

func mcTell(m *Message) string {
	s := fmt.Sprintf("%v %s>%s t%d c%d.%d", m.Kind, nameOf(m.From), nameOf(m.To), m.Term, m.ConfigID.Term, m.ConfigID.Version)
	if m.Granted {
		s += " granted"
	}
	if m.Promise > 0 {
		s += fmt.Sprintf(" d%d", m.Promise)
	}
	if m.Mark > 0 {
		s += fmt.Sprintf(" m%d", m.Mark)
	}
	if m.Round > 0 {
		s += fmt.Sprintf(" r%d", m.Round)
	}
	if m.ToLife > 0 {
		s += fmt.Sprintf(" life %d", m.ToLife)
	}
	if !m.TransferFrom.IsZero() {
		s += fmt.Sprintf(" for %s%d", nameOf(m.TransferFrom), m.TransferTerm)
	}
	return s
}
