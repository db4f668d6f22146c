package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/netem/shape"
)

// acts are what the words of the schedules do. Each tells whether it struck.
var acts = map[string]func(*Sim, *schedule.Op, *agent) bool{
	"crash":       (*Sim).opCrash,
	"crash-at":    (*Sim).opArm,
	"start":       func(s *Sim, _ *schedule.Op, a *agent) bool { s.start(a); return a.life != nil },
	"stop":        (*Sim).opStop,
	"pause":       func(s *Sim, o *schedule.Op, a *agent) bool { return s.stopFor(a, o.For, false) },
	"suspend":     func(s *Sim, o *schedule.Op, a *agent) bool { return s.stopFor(a, o.For, true) },
	"rate":        (*Sim).opRate,
	"partition":   (*Sim).opPartition,
	"heal":        func(s *Sim, _ *schedule.Op, _ *agent) bool { s.heal(); return true },
	"slow":        (*Sim).opSlow,
	"flap":        (*Sim).opFlap,
	"netem":       (*Sim).opNetem,
	"clear":       (*Sim).opNetem,
	"disk":        (*Sim).opDisk,
	"hold":        (*Sim).opHold,
	"finish":      (*Sim).opFinish,
	"step-down":   (*Sim).opStepDown,
	"leave":       (*Sim).opLeave,
	"force-leave": (*Sim).opForceLeave,
	"wipe":        (*Sim).opWipe,
	"move":        func(s *Sim, _ *schedule.Op, a *agent) bool { s.move(a); return true },
	"freeze":      (*Sim).opFreeze,
	"thaw":        (*Sim).opFreeze,
	"priority":    (*Sim).opPriority,
	"hand-over":   (*Sim).opHandOver,
	"replay":      func(s *Sim, o *schedule.Op, a *agent) bool { s.replaying = true; return s.replay(a, o.For) },
	"clone":       (*Sim).opClone,
	"recover":     (*Sim).opRecover,
	"due":         (*Sim).opDue,
	"excuse":      func(s *Sim, _ *schedule.Op, _ *agent) bool { s.emit(check.Event{Kind: check.Excused}); return true },
	"expect":      (*Sim).opExpect,
}

// apply does what one line of the schedule says.
func (s *Sim) apply(o *schedule.Op) {
	verb, _ := schedule.Named(o.Verb)
	struck := false
	for _, a := range s.meant(o) {
		if acts[o.Verb](s, o, a) {
			struck = true
		}
	}
	if !struck {
		s.stats.Skipped[o.Verb]++
		return
	}
	s.trace.add(line{at: s.now, text: func() string { return "FAULT " + o.String() }})
	if verb.Drawn && o.Verb != "crash-at" {
		s.stats.Struck[o.Verb]++
	}
}

// meant gives the agents a line is about; one that is about nobody is done once.
func (s *Sim) meant(o *schedule.Op) []*agent {
	verb, _ := schedule.Named(o.Verb)
	switch {
	case !verb.Who:
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
		if at := a.life.localOf(name); at.lease.Token != 0 && at.lease.Until > a.clock.Now(s.now) {
			return a
		}
	}
	return nil
}

// ends has a fault of limited time undone.
func (s *Sim) ends(o *schedule.Op, undo func()) {
	if o.For > 0 {
		s.after(o.For, undo)
	}
}

func (s *Sim) opCrash(o *schedule.Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	s.crash(a, o.What == "power")
	s.ends(o, func() { s.start(a) })
	return true
}

func (s *Sim) opArm(o *schedule.Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	c, _ := schedule.ParseCrash(o.What)
	a.armed = crashPoint{at: effectNamed(c.At), more: c.More, power: c.Power, back: max(o.For, time.Millisecond)}
	return true
}

func (s *Sim) opStop(o *schedule.Op, a *agent) bool {
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

func (s *Sim) opRate(o *schedule.Op, a *agent) bool {
	ppm, _ := schedule.ParseRate(o.What)
	if ppm == a.clock.PPM {
		return false
	}
	a.clock.SetRate(s.now, ppm)
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

func (s *Sim) opPartition(o *schedule.Op, _ *agent) bool {
	goose := s.goose()
	var leads string
	var voters, names []string
	for _, a := range s.agents {
		names = append(names, a.name)
		if goose != nil && goose.rec.Config.Has(a.id) {
			leads, voters = goose.name, append(voters, a.name)
		}
	}
	p, err := shape.Play(o.What, leads, voters, names)
	if err != nil {
		return false
	}
	for _, a := range s.agents {
		for _, b := range s.agents {
			s.net.cut[a.index][b.index] = a != b && !p.Passes(a.name, b.name)
		}
	}
	s.flapsTo = 0
	s.net.changed()
	s.ends(o, s.heal)
	return true
}

func (s *Sim) heal() {
	for _, row := range s.net.cut {
		clear(row)
	}
	s.flapsTo = 0
	s.net.changed()
}

func (s *Sim) opSlow(o *schedule.Op, _ *agent) bool {
	links, d, _ := schedule.ParseSlow(o.What)
	s.slowDown(links, d)
	s.ends(o, func() { s.slowDown(links, 0) })
	return true
}

// slowDown sets how much longer packets take on some links.
func (s *Sim) slowDown(links func(from, to string) bool, d time.Duration) {
	for _, a := range s.agents {
		for _, b := range s.agents {
			if a != b && links(a.name, b.name) {
				s.net.slow[a.index][b.index] = d
			}
		}
	}
}

func (s *Sim) opFlap(o *schedule.Op, _ *agent) bool {
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
			row[i] = s.script.OneIn(3)
		}
	}
	s.net.changed()
	s.after(every, func() { s.flap(every) })
}

func (s *Sim) opNetem(o *schedule.Op, a *agent) bool {
	r, _ := netem.Parse(o.What)
	if o.Verb == "clear" && !a.ruled {
		return false
	}
	s.setRules(a, r)
	s.ends(o, func() { s.setRules(a, netem.Rules{}) })
	return true
}

func (s *Sim) setRules(a *agent, r netem.Rules) {
	a.emulator.Set(r)
	a.ruled = !r.IsZero()
	s.net.changed()
}

func (s *Sim) opDisk(o *schedule.Op, a *agent) bool {
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
func (s *Sim) opHold(o *schedule.Op, a *agent) bool {
	n, _ := strconv.Atoi(o.What)
	a.holders = n
	return s.command(a, func(l *life) bool {
		for _, name := range append([]string{""}, a.set.Elections...) {
			l.localOf(name).hold(n)
		}
		return true
	}) || n > 0
}

func (s *Sim) opFinish(_ *schedule.Op, a *agent) bool {
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

func (s *Sim) opStepDown(o *schedule.Op, a *agent) bool {
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

func (s *Sim) opHandOver(o *schedule.Op, _ *agent) bool {
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
	s.after(every, func() { s.handOver(every) })
}

func (s *Sim) opLeave(o *schedule.Op, a *agent) bool {
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

func (s *Sim) opForceLeave(_ *schedule.Op, a *agent) bool {
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
func (s *Sim) opFreeze(o *schedule.Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		_, err := l.member.StampFreeze(int64(s.now), o.For)
		return err == nil
	})
}

func (s *Sim) opPriority(o *schedule.Op, a *agent) bool {
	n, _ := strconv.ParseUint(o.What, 10, 8)
	a.set.Priority = uint8(n)
	return s.command(a, func(l *life) bool { l.member.Reload(a.set); return true }) || a.life == nil
}

// opClone copies the disk of an agent that is down for a moment.
func (s *Sim) opClone(o *schedule.Op, a *agent) bool {
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
func (s *Sim) opWipe(o *schedule.Op, a *agent) bool {
	if !s.spares(a) {
		return false
	}
	s.wipe(a)
	s.ends(o, func() { s.start(a) })
	return true
}

func (s *Sim) spares(a *agent) bool {
	goose := s.goose()
	if a.id.IsZero() || goose == nil || !goose.life.node().Committed() {
		return false
	}
	return electsAmong(&goose.rec.Config, s.agents, func(b *agent) bool { return b != a && !b.gone })
}

// opRecover is `ddgoose recover` (rule 26), done as its text asks for: every
// agent is stopped, the kept ones' disks are changed, and they start.
func (s *Sim) opRecover(o *schedule.Op, _ *agent) bool {
	var kept []*agent
	var config election.Config
	for name := range strings.SplitSeq(o.What, ",") {
		a := s.agentNamed(name)
		switch {
		case a == nil:
			continue
		case a.id.IsZero() || a.rec.Config.N == 0:
			return false
		}
		kept = append(kept, a)
		config = config.With(election.Voter{ID: a.id, Priority: 100})
	}
	for _, a := range s.agents {
		if a.life != nil {
			s.crash(a, false)
		}
	}
	for _, a := range kept {
		s.onDisk(a, func(st *store.State) { *st = st.Recovered(config) })
	}
	for _, a := range kept {
		s.start(a)
	}
	return true
}

func (s *Sim) opDue(o *schedule.Op, _ *agent) bool {
	d, _ := time.ParseDuration(o.What)
	s.emit(check.Event{Kind: check.Due, Bound: d})
	return true
}
