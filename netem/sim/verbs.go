package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/shape"
)

// crashNames are the words for the moments of a crash.
var crashNames = [crashPoints]string{
	noCrash: "now", inWrite: "in-write", inSync: "in-sync", afterSave: "after-save", amidSend: "amid-send",
	afterSend: "after-send", afterGrant: "after-grant", inSettle: "in-settle",
}

// String names the moment.
func (p crashPoint) String() string { return crashNames[p] }

// verbs are the words of the schedules.
var verbs []Verb

func init() { verbs = words() }

func words() []Verb {
	return []Verb{
		{Name: "crash", Takes: "WHO [power] [for D]", Drawn: true, who: true, apply: (*Sim).opCrash, check: oneOf("", "power"),
			Does: "the process ends at once; with power its machine too, and the disk forgets what was not synced"},
		{Name: "crash-at-save", Takes: "WHO MOMENT [for D]", Drawn: true, who: true, apply: (*Sim).opArm, check: oneOf(crashNames[inWrite:]...),
			Does: "it crashes at its next save: " + strings.Join(crashNames[inWrite:], ", ")},
		{Name: "start", Takes: "WHO", who: true, apply: func(s *Sim, _ *Op, a *agent) bool { s.start(a); return a.life != nil },
			Does: "the process starts on its disk"},
		{Name: "stop", Takes: "WHO [for D]", Drawn: true, who: true, apply: (*Sim).opStop,
			Does: "SIGTERM: its work ends, it hands over, it stops"},
		{Name: "pause", Takes: "WHO for D", Drawn: true, who: true, apply: func(s *Sim, o *Op, a *agent) bool { return s.stopFor(a, o.For, false) }, check: needsFor,
			Does: "SIGSTOP: its datagrams wait"},
		{Name: "suspend", Takes: "WHO for D", Drawn: true, who: true, apply: func(s *Sim, o *Op, a *agent) bool { return s.stopFor(a, o.For, true) }, check: needsFor,
			Does: "the machine sleeps: its boot clock runs on, its monotonic one does not, datagrams are lost"},
		{Name: "rate", Takes: "WHO PERCENT", Drawn: true, who: true, apply: (*Sim).opRate, check: checkRate,
			Does: "its clocks run that much too fast, from -1% to 1%"},
		{Name: "partition", Takes: "SHAPE [for D]", Drawn: true, apply: (*Sim).opPartition, check: checkShape,
			Does: "groups a,b/c,d,e (an unnamed agent is alone), one-way cuts a>b, or the only links left a-b,a-c"},
		{Name: "heal", apply: func(s *Sim, _ *Op, _ *agent) bool { s.heal(); return true },
			Does: "the last partition ends"},
		{Name: "flap", Takes: "EVERY for D", Drawn: true, apply: (*Sim).opFlap, check: checkFlap,
			Does: "so often every one-way link is cut, or not, by chance"},
		{Name: "netem", Takes: "WHO RULES [for D]", Drawn: true, who: true, apply: (*Sim).opNetem, check: checkRules,
			Does: "fault rules on its packets, in the words of netem"},
		{Name: "clear", Takes: "WHO", who: true, apply: (*Sim).opNetem,
			Does: "no fault rules any more"},
		{Name: "disk", Takes: "WHO slow D|ok|fails", Drawn: true, who: true, apply: (*Sim).opDisk, check: checkDisk,
			Does: "each save takes up to D longer; or the next one fails, and the agent stops"},
		{Name: "hold", Takes: "WHO N", Drawn: true, who: true, apply: (*Sim).opHold, check: checkHold,
			Does: "N sessions wait for it to be the goose, and work by the deadlines it hands out"},
		{Name: "finish", Takes: "WHO", Drawn: true, who: true, apply: (*Sim).opFinish,
			Does: "work ends by itself, and the agent steps down"},
		{Name: "step-down", Takes: "WHO [TO]", Drawn: true, who: true, apply: (*Sim).opStepDown, check: anyWord,
			Does: "the command, if it is the goose"},
		{Name: "leave", Takes: "WHO [for D]", Drawn: true, who: true, apply: (*Sim).opLeave,
			Does: "the command, if it is not refused; it comes back after D as an observer"},
		{Name: "force-leave", Takes: "WHO", who: true, apply: (*Sim).opForceLeave,
			Does: "the command, given to the goose"},
		{Name: "wipe", Takes: "WHO [for D]", Drawn: true, who: true, apply: (*Sim).opWipe,
			Does: "the machine crashes and its disk is lost, unless that would cost the majority, or all that may lead, for good"},
		{Name: "move", Takes: "WHO", Drawn: true, who: true, apply: func(s *Sim, _ *Op, a *agent) bool { s.move(a); return true },
			Does: "it has another address"},
		{Name: "recover", Takes: "A,B", apply: (*Sim).opRecover, check: anyWord,
			Does: "all stop; the voters are set by hand on the disks of those named, and they start"},
		{Name: "due", Takes: "D", apply: (*Sim).opDue, check: checkDue,
			Does: "from now on a goose is due within D, and whenever one is lost"},
		{Name: "excuse", apply: func(s *Sim, _ *Op, _ *agent) bool { s.emit(check.Event{Kind: check.Excused}); return true },
			Does: "nobody owes a goose any more"},
		{Name: "expect", Takes: "goose [WHO]|none|voters A B|term same|flocks N", apply: (*Sim).opExpect, check: checkExpect,
			Does: "what must be so at this moment"},
	}
}

// apply does what one line of the schedule says.
func (s *Sim) apply(o *Op) {
	verb, _ := verbNamed(o.Verb)
	struck := false
	for _, a := range s.meant(o) {
		if verb.apply(s, o, a) {
			struck = true
		}
	}
	if !struck {
		s.stats.Skipped[o.Verb]++
		return
	}
	s.trace.add(line{at: s.now, note: noteOp, text: o.String()})
	if verb.Drawn && o.Verb != "crash-at-save" {
		s.stats.Struck[o.Verb]++
	}
}

// meant gives the agents a line is about; one that is about nobody is done once.
func (s *Sim) meant(o *Op) []*agent {
	verb, _ := verbNamed(o.Verb)
	switch {
	case !verb.who:
		return []*agent{nil}
	case o.Who == "*":
		return s.agents
	case o.Who == "goose" || o.Who == "duck":
		goose := s.goose()
		if o.Who == "goose" && goose != nil {
			return []*agent{goose}
		}
		for _, a := range s.agents {
			if o.Who == "duck" && a != goose && a.runs() && a.rec.Config.Has(a.id) {
				return []*agent{a}
			}
		}
		return nil
	}
	if a := s.agentNamed(o.Who); a != nil {
		return []*agent{a}
	}
	return nil
}

func (s *Sim) agentNamed(name string) *agent {
	i := slices.IndexFunc(s.agents, func(a *agent) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return s.agents[i]
}

// goose gives the agent whose readers are told that it is the goose.
func (s *Sim) goose() *agent {
	for _, a := range s.agents {
		if l := a.life; l != nil && l.board.Token != 0 && l.board.Until > a.clock.now(s.now) {
			return a
		}
	}
	return nil
}

// undo ends a fault of limited time.
func (s *Sim) undo(o *Op) {
	switch o.Verb {
	case "partition":
		s.heal()
	case "netem":
		for _, a := range s.meant(&Op{Verb: "netem", Who: o.Who}) {
			s.setRules(a, netem.Rules{})
		}
	}
}

// back starts an agent again when its fault is over.
func (s *Sim) back(o *Op, a *agent) {
	if o.For > 0 {
		s.queue.push(occurrence{at: s.now + o.For, what: onStart, agent: a})
	}
}

// index gives an op's place in the schedule, for what ends it.
func (s *Sim) index(o *Op) int {
	return slices.IndexFunc(s.set.Ops, func(p Op) bool { return p == *o })
}

func (s *Sim) undoAfter(o *Op) {
	if o.For > 0 {
		s.queue.push(occurrence{at: s.now + o.For, what: onUndo, n: s.index(o)})
	}
}

func (s *Sim) opCrash(o *Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	s.crash(a, o.What == "power")
	s.back(o, a)
	return true
}

func (s *Sim) opArm(o *Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	a.armed, a.armedFor = crashPoint(slices.Index(crashNames[:], o.What)), max(o.For, time.Millisecond)
	return true
}

func (s *Sim) opStop(o *Op, a *agent) bool {
	if !a.runs() || a.life.stopping.started {
		return false
	}
	s.does(a, func() error { return a.life.stop(o.For) })
	return true
}

// does runs a command on an agent's loop, as one of its turns.
func (s *Sim) does(a *agent, f func() error) {
	l := a.life
	err := f()
	if err == nil {
		err = l.turn()
	}
	s.fail(l, err)
}

func (s *Sim) opRate(o *Op, a *agent) bool {
	ppm, _ := parsePPM(o.What)
	if ppm == a.clock.ppm {
		return false
	}
	a.clock.setRate(s.now, ppm)
	s.restate(a)
	return true
}

// restate tells the checker when deadlines by this machine's clock are now.
func (s *Sim) restate(a *agent) {
	l := a.life
	if l == nil || s.now < l.busyUntil {
		return
	}
	if l.board.Token != 0 {
		l.tellReaders(check.Event{Kind: check.Published, Token: l.board.Token, Until: l.deadline(l.board.Until)})
	}
	for _, h := range l.holders {
		if h.token != 0 {
			l.tellReaders(check.Event{Kind: check.HandedOut, Holder: h.name, Token: h.token, Until: l.deadline(h.until)})
		}
	}
	l.timerAt = 0
	l.arm()
}

func (s *Sim) opPartition(o *Op, _ *agent) bool {
	p, _ := shape.Parse(o.What)
	for _, a := range s.agents {
		for _, b := range s.agents {
			s.net.cut[a.index][b.index] = a != b && !p.Passes(a.name, b.name)
		}
	}
	s.flapsTo = 0
	s.net.changed()
	s.undoAfter(o)
	return true
}

func (s *Sim) heal() {
	for _, row := range s.net.cut {
		clear(row)
	}
	s.flapsTo = 0
	s.net.changed()
}

func (s *Sim) opFlap(o *Op, _ *agent) bool {
	every, _ := time.ParseDuration(o.What)
	s.flapsTo = s.now + o.For
	s.flap(every)
	return true
}

// flap draws every one-way link anew.
func (s *Sim) flap(every time.Duration) {
	if s.flapsTo == 0 {
		return
	}
	if s.now >= s.flapsTo {
		s.heal()
		return
	}
	for _, row := range s.net.cut {
		for i := range row {
			row[i] = oneIn(s.script, 3)
		}
	}
	s.net.changed()
	s.queue.push(occurrence{at: s.now + every, what: onFlap, n: int(every)})
}

func (s *Sim) opNetem(o *Op, a *agent) bool {
	r, _ := netem.Parse(o.What)
	if o.Verb == "clear" && !a.ruled {
		return false
	}
	s.setRules(a, r)
	if o.Who != "*" || a.index == 0 {
		s.undoAfter(o)
	}
	return true
}

func (s *Sim) setRules(a *agent, r netem.Rules) {
	a.emulator.Set(r)
	a.ruled = !r.IsZero()
	s.net.changed()
}

func (s *Sim) opDisk(o *Op, a *agent) bool {
	word, arg, _ := strings.Cut(o.What, " ")
	switch word {
	case "slow":
		a.syncTakes, _ = time.ParseDuration(arg)
	case "ok":
		a.syncTakes = 0
	case "fails":
		if a.life == nil {
			return false
		}
		a.disk.FailAt(a.disk.Ops()+1+int(a.dice.Uint64()%4), errDisk)
	}
	return true
}

// opHold attaches sessions to a running agent, as agent.hold does.
func (s *Sim) opHold(o *Op, a *agent) bool {
	n, _ := strconv.Atoi(o.What)
	a.holders = n
	l := a.life
	if l == nil || !a.runs() || s.now < l.busyUntil || l.stopping.started {
		return n > 0
	}
	s.does(a, func() error {
		for len(l.holders) < n {
			l.sessions++
			l.holders = append(l.holders, l.newHolder(l.sessions))
		}
		for len(l.holders) > n { // a session that closes acts no more
			last := l.holders[len(l.holders)-1]
			s.drainNow(last)
			last.token = 0
			l.holders = l.holders[:len(l.holders)-1]
		}
		if err := l.syncHolders(); err != nil {
			return err
		}
		if l.node != nil && l.handing == nil {
			if lease := l.node.Lease(); lease.Until > l.now() {
				l.renew(lease, false)
			}
		}
		return nil
	})
	return true
}

func (s *Sim) opFinish(_ *Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	for _, h := range a.life.holders {
		if h.token != 0 && h.doneAt == 0 {
			h.finish, h.doneAt = true, s.now+1
			s.watch(h)
			return true
		}
	}
	return false
}

func (s *Sim) opStepDown(o *Op, a *agent) bool {
	if !a.runs() || s.now < a.life.busyUntil {
		return false
	}
	var to election.ID
	if b := s.agentNamed(o.What); b != nil {
		to = b.id
	}
	struck := false
	s.does(a, func() (err error) {
		struck, err = a.life.stepDown(to)
		return err
	})
	return struck
}

func (s *Sim) opLeave(o *Op, a *agent) bool {
	if !a.runs() || s.now < a.life.busyUntil {
		return false
	}
	struck := false
	s.does(a, func() (err error) {
		l := a.life
		if struck, err = l.leave(); struck {
			l.stopping.backIn = o.For
		}
		return err
	})
	return struck
}

func (s *Sim) opForceLeave(o *Op, a *agent) bool {
	goose := s.goose()
	if goose == nil || goose == a || !goose.runs() {
		return false
	}
	l := goose.life
	if l.view(a.id).state == alivePeer {
		return false
	}
	l.forced = append(l.forced, forced{a.id, l.now() + forceFor})
	l.choresAt = 0
	return true
}

// opWipe loses a disk if the flock can stand it (P5): there is a goose, its
// voters are committed, and without this disk a majority of them is left, one of
// priority above 0 among it.
func (s *Sim) opWipe(o *Op, a *agent) bool {
	if !s.spares(a) {
		return false
	}
	s.wipe(a)
	s.back(o, a)
	return true
}

func (s *Sim) spares(a *agent) bool {
	goose := s.goose()
	if a.id.IsZero() || goose == nil || goose.life.node == nil || !goose.life.node.Committed() {
		return false
	}
	c := goose.rec.Config
	kept, leads := 0, false
	for _, b := range s.agents {
		if i := c.Index(b.id); b != a && i >= 0 && !b.gone {
			kept++
			leads = leads || c.Voters[i].Priority > 0
		}
	}
	return kept >= c.Quorum() && leads
}

func (s *Sim) opRecover(o *Op, _ *agent) bool {
	var kept []*agent
	for name := range strings.SplitSeq(o.What, ",") {
		if a := s.agentNamed(name); a != nil {
			kept = append(kept, a)
		}
	}
	return s.recoverFlock(kept)
}

func (s *Sim) opDue(o *Op, _ *agent) bool {
	d, _ := time.ParseDuration(o.What)
	s.emit(check.Event{Kind: check.Due, Bound: d})
	return true
}

// Checks of what a verb takes.

func oneOf(words ...string) func(*Op) error {
	return func(o *Op) error {
		if !slices.Contains(words, o.What) {
			return fmt.Errorf("%q is not one of %q", o.What, words)
		}
		return nil
	}
}

func anyWord(*Op) error { return nil }

func needsFor(o *Op) error {
	if o.For <= 0 || o.What != "" {
		return fmt.Errorf("it needs an end")
	}
	return nil
}

func parsePPM(text string) (int64, error) {
	number, ok := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || f < -1 || f > 1 {
		return 0, fmt.Errorf("rate %q: want a percentage from -1%% to 1%%", text)
	}
	return int64(f * 10_000), nil
}

func checkRate(o *Op) error {
	_, err := parsePPM(o.What)
	return err
}

func checkShape(o *Op) error {
	_, err := shape.Parse(o.What)
	return err
}

func checkFlap(o *Op) error {
	every, err := time.ParseDuration(o.What)
	if err != nil || every <= 0 || o.For <= 0 {
		return fmt.Errorf("it needs two durations above 0s")
	}
	return nil
}

func checkRules(o *Op) error {
	_, err := netem.Parse(o.What)
	return err
}

func checkDisk(o *Op) error {
	word, arg, _ := strings.Cut(o.What, " ")
	d, err := time.ParseDuration(arg)
	switch {
	case word == "slow" && err == nil && d > 0, o.What == "ok", o.What == "fails":
		return nil
	}
	return fmt.Errorf("%q is not slow D, ok or fails", o.What)
}

func checkHold(o *Op) error {
	if n, err := strconv.Atoi(o.What); err != nil || n < 0 || n > 9 {
		return fmt.Errorf("%q is not a number from 0 to 9", o.What)
	}
	return nil
}

func checkDue(o *Op) error {
	if d, err := time.ParseDuration(o.What); err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration above 0s", o.What)
	}
	return nil
}
