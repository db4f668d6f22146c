package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/shape"
)

// verbs are the words of the schedules.
var verbs []Verb

func init() { verbs = words() }

func words() []Verb {
	return []Verb{
		{Name: "crash", Takes: "WHO [power] [for D]", Drawn: true, who: true, apply: (*Sim).opCrash, check: oneOf("", "power"),
			Does: "the process ends at once; with power its machine too, and the disk forgets what was not synced"},
		{Name: "crash-at", Takes: "WHO EFFECT [N] [power] [for D]", Drawn: true, who: true, apply: (*Sim).opArm, check: checkCrashAt,
			Does: "it crashes at its next effect of that kind, or N effects later: " + strings.Join(effectNames[anyEffect:], ", ")},
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
		{Name: "step-down", Takes: "WHO [TO [ELECTION]]", Drawn: true, who: true, apply: (*Sim).opStepDown, check: anyWord,
			Does: "the command, if it is the goose"},
		{Name: "leave", Takes: "WHO [for D]", Drawn: true, who: true, apply: (*Sim).opLeave,
			Does: "the command, if it is not refused; it comes back after D as an observer"},
		{Name: "force-leave", Takes: "WHO", who: true, apply: (*Sim).opForceLeave,
			Does: "the command, given to the goose"},
		{Name: "wipe", Takes: "WHO [for D]", Drawn: true, who: true, apply: (*Sim).opWipe,
			Does: "the machine crashes and its disk is lost, unless that would cost the majority, or all that may lead, for good"},
		{Name: "move", Takes: "WHO", Drawn: true, who: true, apply: func(s *Sim, _ *Op, a *agent) bool { s.move(a); return true },
			Does: "it has another address"},
		{Name: "freeze", Takes: "WHO for D", Drawn: true, late: true, who: true, apply: (*Sim).opFreeze, check: needsFor,
			Does: "the command: nobody hands over but by force, and voters change only to heal"},
		{Name: "thaw", Takes: "WHO", Drawn: true, late: true, who: true, apply: (*Sim).opFreeze,
			Does: "the command"},
		{Name: "priority", Takes: "WHO N", Drawn: true, late: true, who: true, apply: (*Sim).opPriority, check: checkPriority,
			Does: "its configuration says another priority, and is read again"},
		{Name: "hand-over", Takes: "EVERY for D", Drawn: true, late: true, apply: (*Sim).opHandOver, check: checkFlap,
			Does: "so often every goose is told to step down"},
		{Name: "replay", Takes: "WHO for D", Drawn: true, late: true, who: true, apply: func(s *Sim, o *Op, a *agent) bool { s.replaying = true; return s.replay(a, o.For) }, check: needsFor,
			Does: "what reached it within the last D comes again"},
		{Name: "clone", Takes: "WHO NAME", who: true, apply: (*Sim).opClone, check: anyWord,
			Does: "it restarts, and its copied disk runs on machine NAME too"},
		{Name: "recover", Takes: "A,B", apply: (*Sim).opRecover, check: anyWord,
			Does: "all stop; the voters are set by hand on the disks of those named, and they start"},
		{Name: "due", Takes: "D", apply: (*Sim).opDue, check: checkDue,
			Does: "from now on a goose is due within D, and whenever one is lost"},
		{Name: "excuse", apply: func(s *Sim, _ *Op, _ *agent) bool { s.emit(check.Event{Kind: check.Excused}); return true },
			Does: "nobody owes a goose any more"},
		{Name: "expect", Takes: "goose [WHO]|none|voters A B|term same|flocks N|told WORD|leads WHO ELECTION", apply: (*Sim).opExpect, check: checkExpect,
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
	if verb.Drawn && o.Verb != "crash-at" {
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
func (s *Sim) goose() *agent { return s.gooseOf("") }

// gooseOf is goose for any election.
func (s *Sim) gooseOf(name string) *agent {
	for _, a := range s.agents {
		if a.life == nil {
			continue
		}
		if at := a.life.localOf(name); at.lease.Token != 0 && at.lease.Until > a.clock.now(s.now) {
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
	a.armed, _ = parseCrashPoint(o.What)
	a.armed.back = max(o.For, time.Millisecond)
	return true
}

func (s *Sim) opStop(o *Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		l.backIn = o.For
		l.member.Stop(member.Stopped)
		return true
	})
}

// command gives a command to an agent whose loop runs, and tells whether it did something.
func (s *Sim) command(a *agent, do func(*life) bool) (struck bool) {
	l := a.life
	if l == nil || !l.runs() || l.member.Stopping() {
		return false
	}
	l.turn(func() error { struck = do(l); return nil })
	return struck
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
	for _, at := range l.locals {
		if at.lease.Token != 0 {
			at.tellReaders(check.Event{Kind: check.Published, Token: at.lease.Token, Until: l.deadline(at.lease.Until)})
		}
		for _, h := range at.holders {
			if h.token != 0 {
				at.tellReaders(check.Event{Kind: check.HandedOut, Holder: h.name, Token: h.token, Until: l.deadline(h.until)})
			}
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

// opHold attaches sessions to a running agent, and takes them away.
func (s *Sim) opHold(o *Op, a *agent) bool {
	n, _ := strconv.Atoi(o.What)
	a.holders = n
	return s.command(a, func(l *life) bool {
		for _, name := range append([]string{""}, a.set.Elections...) {
			l.localOf(name).hold(n)
		}
		return true
	}) || n > 0
}

func (s *Sim) opFinish(_ *Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	for _, at := range a.life.locals {
		for _, h := range at.holders {
			if h.token != 0 && h.doneAt == 0 {
				h.finish, h.doneAt = true, s.now+1
				s.watch(h)
				return true
			}
		}
	}
	return false
}

func (s *Sim) opStepDown(o *Op, a *agent) bool {
	who, name, _ := strings.Cut(o.What, " ")
	var to election.ID
	if b := s.agentNamed(who); b != nil {
		to = b.id
	}
	return s.command(a, func(l *life) bool { return l.stepDown(name, to) })
}

// stepDown is the command, which may be refused.
func (l *life) stepDown(name string, to election.ID) bool {
	e := l.member.Named(name)
	if e == nil {
		return false
	}
	refused := false
	l.member.StepDown(e, to, false, func(_ election.ID, err error) { refused = err != nil })
	return !refused
}

func (s *Sim) opHandOver(o *Op, _ *agent) bool {
	every, _ := time.ParseDuration(o.What)
	s.handsOver = s.now + o.For
	s.handOver(every)
	return true
}

// handOver has each goose of each election step down, again and again.
func (s *Sim) handOver(every time.Duration) {
	if s.now >= s.handsOver {
		return
	}
	for _, a := range s.agents {
		s.command(a, func(l *life) bool {
			for _, e := range l.member.Elections() {
				if _, self := e.Goose(l.Now()); self {
					l.stepDown(e.Name(), election.ID{})
				}
			}
			return true
		})
	}
	s.queue.push(occurrence{at: s.now + every, what: onHandOver, n: int(every)})
}

func (s *Sim) opLeave(o *Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		refused := false
		back := l.backIn
		l.backIn, l.leaving = o.For, true
		_ = l.member.Leave(false, func(err error) { refused = err != nil })
		if refused {
			l.backIn, l.leaving = back, false
		}
		return !refused
	})
}

func (s *Sim) opForceLeave(_ *Op, a *agent) bool {
	goose := s.goose()
	if goose == nil || goose == a {
		return false
	}
	return s.command(goose, func(l *life) bool {
		refused := false
		l.member.ForceLeave(a.id, func(err error) { refused = err != nil })
		return !refused
	})
}

// opFreeze is the command to freeze, or to thaw.
func (s *Sim) opFreeze(o *Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		_, err := l.member.StampFreeze(int64(s.now), o.For)
		return err == nil
	})
}

func (s *Sim) opPriority(o *Op, a *agent) bool {
	n, _ := strconv.ParseUint(o.What, 10, 8)
	a.set.Priority = uint8(n)
	return s.command(a, func(l *life) bool { l.member.Reload(a.set); return true }) || a.life == nil
}

// opClone copies the disk of an agent that is down for a moment.
func (s *Sim) opClone(o *Op, a *agent) bool {
	b := s.agentNamed(o.What)
	if b == nil || b == a || b.life != nil || a.id.IsZero() {
		return false
	}
	s.crash(a, false)
	b.newDisk()
	b.id, b.rec, s.cloned = a.id, a.rec, true
	if err := a.copyDisk(b.disk); err != nil {
		s.broke(err)
	}
	s.start(a)
	s.start(b)
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
	if a.id.IsZero() || goose == nil || !goose.life.node().Committed() {
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

// parseCrashPoint reads "EFFECT [N] [power]".
func parseCrashPoint(text string) (p crashPoint, err error) {
	words := strings.Fields(text)
	bad := fmt.Errorf("%q is not one of %q, a number if you like, and power if you like", text, effectNames[anyEffect:])
	if len(words) == 0 {
		return p, bad
	}
	if p.at = effect(max(0, slices.Index(effectNames[:], words[0]))); p.at == noEffect {
		return p, bad
	}
	words = words[1:]
	if len(words) > 0 && words[0] != "power" {
		if p.more, err = strconv.Atoi(words[0]); err != nil || p.more < 0 {
			return p, bad
		}
		words = words[1:]
	}
	if p.power = len(words) == 1 && words[0] == "power"; len(words) > 0 && !p.power {
		return p, bad
	}
	return p, nil
}

func checkCrashAt(o *Op) error {
	_, err := parseCrashPoint(o.What)
	return err
}

func checkPriority(o *Op) error {
	if _, err := strconv.ParseUint(o.What, 10, 8); err != nil {
		return fmt.Errorf("%q is not a number from 0 to 255", o.What)
	}
	return nil
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
