package sim

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
)

// acts has what the words of the schedules do. Each reports whether it did something.
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
	"unwell":      (*Sim).opHealth,
	"well":        (*Sim).opHealth,
	"finish":      (*Sim).opFinish,
	"step-down":   (*Sim).opStepDown,
	"mark":        func(s *Sim, _ *schedule.Op, a *agent) bool { return s.command(a, (*life).raiseMarks) },
	"leave":       (*Sim).opLeave,
	"force-leave": (*Sim).opForceLeave,
	"wipe":        (*Sim).opWipe,
	"move":        func(s *Sim, _ *schedule.Op, a *agent) bool { s.move(a); return true },
	"freeze":      (*Sim).opFreeze,
	"thaw":        (*Sim).opFreeze,
	"priority":    (*Sim).opPriority,
	"hand-over":   (*Sim).opHandOver,
	"replay":      func(s *Sim, o *schedule.Op, a *agent) bool { s.replaying = true; return s.replay(a, o.For) },
	"forge":       (*Sim).opForge,
	"clone":       (*Sim).opClone,
	"recover":     (*Sim).opRecover,
	"due":         (*Sim).opDue,
	"excuse":      func(s *Sim, _ *schedule.Op, _ *agent) bool { s.emit(check.Event{Kind: check.Excused}); return true },
	"expect":      (*Sim).opExpect,
}

// apply carries out one line of the schedule.
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

// meant returns the agents of a line. A line without an agent is done once.
func (s *Sim) meant(o *schedule.Op) []*agent {
	verb, _ := schedule.Named(o.Verb)
	switch {
	case !verb.Who:
		return []*agent{nil}
	case o.Who == "*":
		return s.agents
	}
	goose := s.goose()
	i := slices.IndexFunc(s.agents, func(a *agent) bool {
		switch o.Who {
		case "goose":
			return a == goose
		case "duck":
			return a != goose && a.runs() && a.rec.Config.Has(a.id)
		}
		return a.name == o.Who
	})
	if i < 0 {
		return nil
	}
	return s.agents[i : i+1]
}

func (s *Sim) agentNamed(name string) *agent {
	i := slices.IndexFunc(s.agents, func(a *agent) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return s.agents[i]
}

// goose returns the agent that is the goose for its readers; nil: none.
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

// pairs returns each agent with each other one, in both directions.
func pairs(agents []*agent) iter.Seq2[*agent, *agent] {
	return func(yield func(a, b *agent) bool) {
		for i := range len(agents) * len(agents) {
			if a, b := agents[i/len(agents)], agents[i%len(agents)]; a != b && !yield(a, b) {
				return
			}
		}
	}
}

// ends undoes a fault of limited time.
func (s *Sim) ends(o *schedule.Op, undo func()) {
	if o.For > 0 {
		s.after(o.For, undo)
	}
}

func (s *Sim) opDue(o *schedule.Op, _ *agent) bool {
	d, _ := time.ParseDuration(o.What)
	s.emit(check.Event{Kind: check.Due, Bound: d})
	return true
}

// Unmet is an expectation of a schedule that was not met.
type Unmet struct{ Text string }

// Error returns what was expected, and what happened.
func (u *Unmet) Error() string { return u.Text }

// opExpect compares the state with what a line expects.
func (s *Sim) opExpect(o *schedule.Op, _ *agent) bool {
	word, want, _ := strings.Cut(o.What, " ")
	goose := s.goose()
	is := "none"
	if goose != nil {
		is = goose.name
	}
	ok := true
	switch word {
	case "goose":
		ok = goose != nil && (want == "" || want == is)
	case "none":
		ok = goose == nil
	case "voters":
		rec := newest(s.agents)
		is = s.votersOf(&rec.Config)
		words := func(text string) []string { return slices.Sorted(slices.Values(strings.Fields(text))) }
		ok = slices.Equal(words(is), words(want)) // in any order
	case "term":
		var term uint64
		for _, a := range s.agents {
			term = max(term, a.rec.Term)
		}
		is = fmt.Sprintf("term %d", term)
		ok = s.termWas == 0 || s.termWas == term
		s.termWas = term
	case "told":
		is = counts(s.stats.Told)
		ok = s.stats.Told[want] > 0
	case "leads": // WHO ELECTION
		who, name, _ := strings.Cut(want, " ")
		is = "none"
		if goose = s.gooseOf(name); goose != nil {
			is = goose.name
		}
		ok = is == who || who == "*" && goose != nil
	case "flocks":
		flocks := map[election.FlockID]bool{}
		for _, a := range s.agents {
			if a.life != nil && a.life.node() != nil {
				flocks[a.life.member.FlockID()] = true
			}
		}
		is = strconv.Itoa(len(flocks))
		ok = is == want
	}
	if !ok {
		s.broke(&Unmet{fmt.Sprintf("%s: it is %s", o, is)})
	}
	return true
}

// newest returns the record of the newest config on the disks of some agents.
func newest(agents []*agent) (rec election.Record) {
	for _, a := range agents {
		// Configs are ordered by generation, term and version.
		newer := cmp.Or(cmp.Compare(a.rec.Generation.Number, rec.Generation.Number), a.rec.Config.Compare(rec.Config.ConfigID)) > 0
		if a.rec.Config.N > 0 && (rec.Config.N == 0 || newer) {
			rec = a.rec
		}
	}
	return rec
}
