package election

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mcState is one state of a model: three agents, the messages that may still
// be delivered, any number of times or never, and who led which term.
type mcState struct {
	agents [mcAgents]uint32
	past   uint32   // for each term two bits: 1 + the agent that won it; above, how many crashes; mcForged
	soup   []uint32 // sorted
}

// mcRules is a model: the real Node, driven by what a harness lets happen.
type mcRules interface {
	// start gives the states to begin with.
	start() []mcStart
	// moves lists what an agent may do by itself.
	moves(a *mcAgent) []mcMove
	// step makes one agent do something, and gives what it sent. Not ok: out of bounds.
	step(a *mcAgent, mv mcMove) (sent []Message, ok bool)
	// dead tells that a message can never change its receiver any more.
	dead(a *mcAgent, m *Message) bool
	// age gives the message after a tick of time.
	age(m Message) Message
	// forge gives what somebody with the key may tell an agent in the name of another.
	forge(as *mcAgent, to ID) []Message
	do(a *mcAgent, in Input, sent []Message) []Message
	limits() mcLimits
}

// mcLimits bound a search.
type mcLimits struct {
	inFlight int  // messages at once; of more, any may be lost; 0: any number
	ticks    bool // time passes
	crashes  int  // restarts in all; below 0: any number
}

const (
	mcPastBits = 16
	mcForged   = 1 << 31 // of past: a message has been forged
)

// mcStart is a state to begin with.
type mcStart struct {
	agents [mcAgents]mcAgent
	past   uint32
	sent   []Message
}

// mcReport is what a search found.
type mcReport struct {
	states    int
	depth     int
	took      time.Duration
	complete  bool   // every reachable state was seen
	violation string // the broken invariant; "" for none
	trace     []string
	agents    int
	messages  int
	table     *mcTable
}

func (r mcReport) String() string {
	s := fmt.Sprintf("%d states, depth %d, %d agent states, %d messages, %v", r.states, r.depth, r.agents, r.messages, r.took.Round(time.Millisecond))
	if !r.complete {
		s += ", not exhausted"
	}
	if r.violation != "" {
		s += ": " + r.violation + "\n  " + strings.Join(r.trace, "\n  ")
	}
	return s
}

// mcSearch walks the states of a model breadth first, on every core.
type mcSearch struct {
	rules mcRules
	table *mcTable
	seen  mcSeen
	limit int
	mcLimits
	workers []*mcWorker // they keep what they have worked out
	states  atomic.Int64

	failed struct { // the first violation
		sync.Mutex
		what string
		ref  uint32
		move int
	}
	stop atomic.Bool
}

// mcRun explores every state, at most limit of them.
func mcRun(t testing.TB, rules mcRules, limit int) mcReport {
	t.Helper()
	began := time.Now()
	s := &mcSearch{rules: rules, table: newMcTable(rules), limit: limit, mcLimits: rules.limits()}
	s.failed.move = -1
	for range runtime.GOMAXPROCS(0) {
		s.workers = append(s.workers, newMcWorker(s))
	}
	level, depth := s.begin(), 0
	for len(level) > 0 && !s.stop.Load() {
		level = s.expandLevel(level)
		depth++
	}
	r := mcReport{
		states: int(s.states.Load()), depth: depth, took: time.Since(began), violation: s.failed.what,
		complete: !s.stop.Load(), agents: s.table.agentCount(), messages: s.table.messageCount(), table: s.table,
	}
	if r.violation != "" {
		r.trace = s.trace()
	}
	return r
}

// mcLevel is a batch of packed states: for each its reference, past, agents,
// number of messages, and messages.
type mcLevel []uint32

const mcBatch = 1 << 16

func (s *mcSearch) begin() []mcLevel {
	w := s.workers[0]
	for _, st := range s.rules.start() {
		w.from = mcRoot
		w.visit(s.pack(&st), 0)
	}
	return w.done()
}

func (s *mcSearch) pack(st *mcStart) mcState {
	g := mcState{past: st.past}
	for i := range st.agents {
		g.agents[i] = s.table.agent(&st.agents[i])
	}
	for _, m := range st.sent {
		g.soup = mcAdd(g.soup, s.table.message(m))
	}
	return g
}

// mcRoot is the reference of what comes before the first states.
const mcRoot = ^uint32(0)

func (s *mcSearch) expandLevel(level []mcLevel) []mcLevel {
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, w := range s.workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(level) {
					return
				}
				for b := level[i]; len(b) > 0; {
					var g mcState
					var ref uint32
					ref, g, b = mcUnpack(b)
					w.expand(ref, g)
					if s.stop.Load() {
						return
					}
				}
				level[i] = nil
			}
		})
	}
	wg.Wait()
	var all []mcLevel
	for _, w := range s.workers {
		all = append(all, w.done()...)
	}
	return all
}

func mcUnpack(b mcLevel) (ref uint32, g mcState, rest mcLevel) {
	ref, g.past = b[0], b[1]
	copy(g.agents[:], b[2:2+mcAgents])
	n := int(b[2+mcAgents])
	b = b[3+mcAgents:]
	g.soup = b[:n:n]
	return ref, g, b[n:]
}

// mcWorker expands states on one core.
type mcWorker struct {
	s       *mcSearch
	view    mcView
	out     []mcLevel
	batch   mcLevel
	from    uint32
	move    int
	kept    *mcState // not nil: keep the successor of number want
	want    int
	soup    []uint32
	permute [2][]uint32
}

func newMcWorker(s *mcSearch) *mcWorker { return &mcWorker{s: s, view: newMcView(s.table)} }

// done gives what the worker has found, and forgets that.
func (w *mcWorker) done() []mcLevel {
	out := w.out
	if len(w.batch) > 0 {
		out = append(out, w.batch)
	}
	w.out, w.batch = nil, nil
	return out
}

// expand visits every state that follows g.
func (w *mcWorker) expand(ref uint32, g mcState) {
	w.from, w.move = ref, 0
	for i := range g.agents {
		for _, e := range w.view.moves(g.agents[i]) {
			w.follow(&g, i, e)
		}
	}
	for _, m := range g.soup {
		to := w.view.receiver(m)
		w.follow(&g, to, w.view.deliver(g.agents[to], m))
	}
	for i := range g.agents {
		for j := range g.agents {
			if m := w.view.inform(g.agents[i], j); m != mcNone && i != j {
				w.follow(&g, j, w.view.deliver(g.agents[j], m))
			}
		}
	}
	if w.s.ticks {
		w.tick(&g)
	}
	if g.past&mcForged == 0 {
		w.forge(g)
	}
}

// follow visits what comes of agent i doing e.
func (w *mcWorker) follow(g *mcState, i int, e *mcEntry) {
	if e.outOfBounds || e.next == g.agents[i] && len(e.sent) == 0 {
		return
	}
	next := mcState{agents: g.agents, past: g.past}
	next.agents[i] = e.next
	broken := e.broken
	if e.mv.what == "restarts" && w.s.crashes >= 0 {
		if int(next.past&^mcForged>>mcPastBits) == w.s.crashes {
			return
		}
		next.past += 1 << mcPastBits
	}
	if e.won > 0 {
		shift := 2 * (e.won - 1)
		if was := next.past >> shift & 3; was != 0 {
			broken = fmt.Sprintf("P1: term %d is won by %s, after %s", e.won, mcNames[i], mcNames[was-1])
		}
		next.past |= uint32(i+1) << shift
	}
	w.soup = w.soup[:0]
	for _, m := range g.soup {
		if w.view.receiver(m) != i || !w.view.dead(e.next, m) {
			w.soup = append(w.soup, m)
		}
	}
	for _, m := range e.sent {
		m = w.view.toLife(next.agents[w.view.receiver(m)], m)
		if !w.view.dead(next.agents[w.view.receiver(m)], m) {
			w.soup = mcAdd(w.soup, m)
		}
	}
	next.soup = w.soup
	w.visitWithin(next, broken)
}

// tick lets time pass for everybody.
func (w *mcWorker) tick(g *mcState) {
	next := mcState{past: g.past}
	for i := range g.agents {
		e := w.view.tick(g.agents[i])
		next.agents[i] = e.next
	}
	w.soup = w.soup[:0]
	for _, m := range g.soup {
		m = w.view.aged(m)
		if !w.view.dead(next.agents[w.view.receiver(m)], m) {
			w.soup = mcAdd(w.soup, m)
		}
	}
	next.soup = w.soup
	w.visitWithin(next, "")
}

// mcAdd puts m into a sorted set.
func mcAdd(soup []uint32, m uint32) []uint32 {
	i := len(soup)
	for i > 0 && soup[i-1] > m {
		i--
	}
	if i > 0 && soup[i-1] == m {
		return soup
	}
	soup = append(soup, 0)
	copy(soup[i+1:], soup[i:])
	soup[i] = m
	return soup
}

// visitWithin visits a state, or every way to lose what does not fit.
func (w *mcWorker) visitWithin(g mcState, broken string) {
	if w.s.inFlight == 0 || len(g.soup) <= w.s.inFlight {
		w.visitOne(g, broken)
		return
	}
	for mask := uint32(0); mask < 1<<len(g.soup); mask++ {
		kept := make([]uint32, 0, 8)
		for k, m := range g.soup {
			if mask>>k&1 == 1 {
				kept = append(kept, m)
			}
		}
		if len(kept) == w.s.inFlight {
			w.visitOne(mcState{agents: g.agents, past: g.past, soup: kept}, broken)
		}
	}
}

func (w *mcWorker) visitOne(g mcState, broken string) {
	move := w.move
	w.move++
	if w.kept != nil {
		if move == w.want {
			g.soup = slices.Clone(g.soup)
			*w.kept = g
		}
		return
	}
	if broken != "" {
		w.s.fail(broken, w.from, move)
		return
	}
	w.visit(g, move)
}

// fail books the first violation.
func (s *mcSearch) fail(broken string, from uint32, move int) {
	s.failed.Lock()
	defer s.failed.Unlock()
	if s.failed.what == "" {
		s.failed.what, s.failed.ref, s.failed.move = broken, from, move
	}
	s.stop.Store(true)
}

func (w *mcWorker) visit(g mcState, move int) {
	g = w.canonical(g)
	ref, fresh := w.s.seen.add(mcHash(&g), w.from, uint32(move))
	if !fresh {
		return
	}
	if broken := w.view.broken(&g); broken != "" {
		w.s.fail(broken, w.from, move)
	}
	if n := w.s.states.Add(1); int(n) >= w.s.limit {
		w.s.stop.Store(true)
	}
	w.batch = append(w.batch, ref, g.past)
	w.batch = append(w.batch, g.agents[:]...)
	w.batch = append(w.batch, uint32(len(g.soup)))
	w.batch = append(w.batch, g.soup...)
	if len(w.batch) > mcBatch {
		w.out = append(w.out, w.batch)
		w.batch = make(mcLevel, 0, mcBatch+64)
	}
}

// canonical gives the least of the states that differ from g by the agents'
// names alone: the rules do not tell agents apart by name.
func (w *mcWorker) canonical(g mcState) mcState {
	var all [len(mcPerms)][mcAgents]uint32
	least := 0
	for i, a := range g.agents {
		for p, renamed := range w.view.of(a).permuts {
			all[p][mcPerms[p][i]] = renamed
		}
	}
	for p := range mcPerms {
		if slices.Compare(all[p][:], all[least][:]) < 0 {
			least = p
		}
	}
	var best mcState
	buf := 0
	for p := least; p < len(mcPerms); p++ {
		if all[p] != all[least] {
			continue
		}
		c := mcState{agents: all[p], past: g.past >> mcPastBits << mcPastBits}
		for t := 0; t < mcPastBits; t += 2 {
			if was := g.past >> t & 3; was != 0 {
				c.past |= uint32(mcPerms[p][was-1]+1) << t
			}
		}
		c.soup = w.permute[buf][:0]
		for _, m := range g.soup {
			c.soup = mcAdd(c.soup, w.view.permutedMessage(m, p))
		}
		w.permute[buf] = c.soup
		if p == least || c.past < best.past || c.past == best.past && slices.Compare(c.soup, best.soup) < 0 {
			best, buf = c, 1-buf
		}
	}
	return best
}

// trace tells how the violation came about. Agents may change names from one
// line to the next: states that differ by names alone are one.
func (s *mcSearch) trace() []string {
	type hop struct{ ref, move uint32 }
	var path []hop
	path = append(path, hop{s.failed.ref, uint32(s.failed.move)})
	for ref := s.failed.ref; ref != mcRoot; {
		from, move := s.seen.parent(ref)
		path = append(path, hop{from, move})
		ref = from
	}
	w := s.workers[0]
	var g mcState
	var lines []string
	for i := len(path) - 1; i >= 0; i-- {
		h := path[i]
		if h.ref == mcRoot {
			g = s.rootOf(w, path[i-1].ref)
			lines = append(lines, "begin "+w.view.describe(&g))
			continue
		}
		w.view.told = ""
		var next mcState
		w.kept, w.want = &next, int(h.move)
		w.expand(h.ref, g)
		w.kept = nil
		lines = append(lines, w.explain(g, next)+w.view.describe(&next))
		if i > 0 {
			g = w.canonical(next)
			g.soup = slices.Clone(g.soup)
		}
	}
	return lines
}

// rootOf finds the first state that has the reference ref.
func (s *mcSearch) rootOf(w *mcWorker, ref uint32) mcState {
	for _, st := range s.rules.start() {
		g := w.canonical(s.pack(&st))
		if got, fresh := s.seen.add(mcHash(&g), mcRoot, 0); !fresh && got == ref {
			g.soup = slices.Clone(g.soup)
			return g
		}
	}
	panic("the first state is gone")
}

// explain names the move that leads from g to next.
func (w *mcWorker) explain(g, next mcState) string {
	for i := range g.agents {
		if g.agents[i] == next.agents[i] {
			continue
		}
		if what := w.view.explain(g, i, next.agents[i]); what != "" {
			return what + " -> "
		}
	}
	return "? -> "
}
