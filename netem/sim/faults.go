package sim

import (
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/netem/shape"
	"duckduckgoose/wire"
)

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
	a.armed = crashPoint{Crash: c, back: max(o.For, time.Millisecond)}
	return true
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

// restate tells the checker the true times of deadlines after this machine's clock
// changed.
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
	p, err := shape.ByRole(o.What, leads, voters, names)
	if err != nil {
		return false
	}
	for a, b := range pairs(s.agents) {
		s.net.cut[a.index][b.index] = !p.Passes(a.name, b.name)
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
	for a, b := range pairs(s.agents) {
		if links(a.name, b.name) {
			s.net.slow[a.index][b.index] = d
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
		a.disk.FailAt(a.disk.Ops()+1+int(a.random.Uint64()%4), errDisk)
	}
	return true
}

// opForge makes a key holder replace the next message that reaches an agent.
func (s *Sim) opForge(o *schedule.Op, a *agent) bool {
	kind, ahead, _ := schedule.ParseForge(o.What)
	a.forge = func(f *wire.Frame) {
		h := f.Messages[0].Header
		h.Term = min(h.Term+ahead, election.MaxTerm)
		f.Messages = append(f.Messages[:0], wire.Message{Election: f.Messages[0].Election, Message: election.Message{Kind: kind, Header: h}})
	}
	return true
}

// opClone copies the disk of an agent, which stops for a moment.
func (s *Sim) opClone(o *schedule.Op, a *agent) bool {
	b := s.agentNamed(o.What)
	if b == nil || b == a || b.life != nil || a.id.IsZero() {
		return false
	}
	s.crash(a, false)
	b.newDisk()
	b.id, b.rec, s.cloned = a.id, a.rec, true
	s.onDisk(b, func(*store.State) {}) // it makes the file
	s.broke(a.copyDisk(b.disk))
	s.start(a)
	s.start(b)
	return true
}

// opWipe loses a disk if the flock can bear it (P5): there is a goose, its voters are
// committed, and the other disks have a majority of them, one with priority above 0.
func (s *Sim) opWipe(o *schedule.Op, a *agent) bool {
	goose := s.goose()
	if a.id.IsZero() || goose == nil || !goose.life.node().Committed() ||
		!electsAmong(&goose.rec.Config, s.agents, func(b *agent) bool { return b != a && !b.gone }) {
		return false
	}
	s.wipe(a)
	s.ends(o, func() { s.start(a) })
	return true
}

// opRecover is `ddgoose recover` (rule 26), done as its text says: all agents and their
// work are stopped, and some that know the newest recovery are kept. With D the other
// disks are emptied.
func (s *Sim) opRecover(o *schedule.Op, _ *agent) bool {
	var kept []*agent
	var config election.Config
	for name := range strings.SplitSeq(o.What, ",") {
		if a := s.agentNamed(name); a != nil {
			kept, config = append(kept, a), config.With(election.Voter{ID: a.id, Priority: 100})
		}
	}
	for _, a := range s.agents {
		for _, k := range kept {
			if k.gone || k.rec.Config.N == 0 || a.rec.FlockID == k.rec.FlockID && a.rec.Generation.Number > k.rec.Generation.Number {
				return false
			}
		}
	}
	for _, a := range s.agents {
		if s.crash(a, true); o.For > 0 && !slices.Contains(kept, a) && !a.gone {
			s.wipe(a)
			s.ends(o, func() { s.start(a) })
		}
	}
	for _, a := range kept {
		s.onDisk(a, func(st *store.State) { *st = st.Recovered(config, nil) })
		s.start(a)
	}
	return true
}
