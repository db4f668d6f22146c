package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/schedule"
)

// Sim is one run: agents, their disks, clocks and network, and the checker. Only one
// goroutine may use it.
type Sim struct {
	set    schedule.Settings
	now    time.Duration // true time
	queue  netem.Queue[occurrence]
	net    network
	agents []*agent
	disks  map[election.ID]string // the name of every disk that ever existed
	names  map[election.FlockID]string
	moves  int
	tables map[election.Digest]string // the content of every table that ever existed
	cloned bool                       // two processes have used one disk

	checker *check.Checker
	trace   trace
	stats   Stats
	err     error // the first violation
	bugs    bugs

	script    *netem.Random // chooses agents for the schedule
	flapsTo   time.Duration // until when links flap
	handsOver time.Duration // until when geese hand over again and again
	replaying bool          // recorded datagrams are being delivered again
	termWas   uint64        // at the last expectation about it
}

// newSim makes the machines of a run. Nothing has started yet.
func newSim(set schedule.Settings, b bugs) *Sim {
	s := &Sim{
		set: set, disks: map[election.ID]string{}, names: map[election.FlockID]string{}, tables: map[election.Digest]string{},
		checker: check.New(), stats: Stats{Struck: map[string]int{}, Skipped: map[string]int{}, Told: map[string]int{}}, bugs: b,
	}
	script := s.random("script")
	s.script = &script
	s.net = network{latency: max(set.Latency, time.Microsecond), random: s.random("network"), at: map[netip.AddrPort]*agent{}, lost: map[string]int{}}
	s.trace.hash = hashSeed
	for i := range set.Agents {
		name := schedule.Name(i)
		a := &agent{
			sim: s, index: i, name: name, addr: addrOf(0, i), random: s.random("agent " + name),
			timing: set.Timing, holders: set.Holders,
		}
		if t, ok := set.Timings[name]; ok {
			a.timing = t
		}
		a.set = member.Settings{
			Name: name, Heartbeat: a.timing.Heartbeat, Lease: a.timing.Lease, AutoLease: set.AutoAt(name), Expect: set.Expect, Elections: set.Contests(name),
			Joins:  (i > 0 || set.Together > 0 || set.Expect > 0) && !set.Alone[name],
			Voters: set.Voters, Priority: 100, Observer: set.Observers[name], PreemptAfter: set.Preempts[name], Keyless: set.Keyless, Wills: set.Wills,
		}
		if p, ok := set.Priorities[name]; ok {
			a.set.Priority = p
		}
		if set.Seed%3 == 2 {
			a.set.InView = 2 // so that few agents make a crowd; two make three voters of one
		}
		a.emulator = netem.New(a.random.Uint64())
		a.clock.Reboot(0, a.random.Between(time.Minute, 100*time.Hour))
		if !set.Steady {
			a.clock.PPM = (int64(a.random.Uint64()%20_001) - 10_000) * max(b.drift, 1)
		}
		a.newDisk()
		s.agents = append(s.agents, a)
		s.net.at[a.addr] = a
		s.net.cut = append(s.net.cut, make([]bool, set.Agents))
		s.net.slow = append(s.net.slow, make([]time.Duration, set.Agents))
	}
	return s
}

// random returns a random source of its own, so that a line removed from a schedule
// changes no other line.
func (s *Sim) random(key string) netem.Random { return netem.NewRandom(s.set.Seed, netem.Out, key) }

// setUp founds the first flock and starts all agents.
func (s *Sim) setUp() {
	if n := s.set.Together; n > 0 {
		s.foundTogether(s.agents[:n])
	}
	for _, a := range s.agents {
		if !s.set.Absent[a.name] {
			s.start(a)
		}
		a.set.Joins = true // from the second start on
	}
	for i := range s.set.Ops {
		s.net.records = s.net.records || s.set.Ops[i].Verb == "replay"
		s.after(s.set.Ops[i].At, func() { s.apply(&s.set.Ops[i]) })
	}
	if !s.bugs.unraised {
		s.raiseMarks(new(s.random("marks")))
	}
}

// foundTogether writes to each disk what a founding by all agents writes.
func (s *Sim) foundTogether(founders []*agent) {
	var flock election.FlockID
	_, _ = s.script.Read(flock[:])
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for _, a := range founders {
		s.onDisk(a, func(st *store.State) {
			a.id = st.ID
			if int(c.N) < s.set.Voters && !a.set.Observer {
				c = c.With(election.Voter{ID: a.id, Priority: a.set.Priority})
			}
		})
		s.disks[a.id] = a.ident
	}
	for _, a := range founders {
		s.onDisk(a, func(st *store.State) {
			st.Bound = flock
			st.Elections = []store.Election{{Record: election.Record{FlockID: flock, Config: c}}}
		})
	}
}

// onDisk changes the disk of an agent that does not run.
func (s *Sim) onDisk(a *agent, change func(*store.State)) {
	err := errDisk
	for errors.Is(err, errDisk) { // the caller repeats a failed change
		a.disk.PowerOn()
		disk, failed := a.open()
		if err = failed; err == nil {
			st := disk.State()
			change(&st)
			err = errors.Join(disk.Save(st), disk.Close())
		}
	}
	s.broke(err)
}

// run runs all events until end, or until the first violation.
func (s *Sim) run(end time.Duration) {
	for s.err == nil && s.queue.Len() > 0 && s.queue.Next() <= end {
		s.now = s.queue.Next()
		s.trace.mix(uint64(s.now))
		s.happen(s.queue.Pop())
	}
	if s.err == nil {
		s.now = max(s.now, end)
		if v := s.checker.End(s.now); v != nil {
			s.broke(v)
		}
	}
}

// emit shows the checker an event that anybody outside could see.
func (s *Sim) emit(e check.Event) {
	e.At = s.now
	switch e.Kind {
	case check.Published:
		s.stats.Leases++
	case check.HandedOut:
		s.stats.HandedOut++
	}
	s.trace.mix(uint64(e.Kind), e.Token, uint64(e.Until), e.Mark)
	s.trace.event(&e)
	if v := s.checker.See(e); v != nil {
		s.broke(v)
	}
}

// seen makes an event of an election's record.
func (s *Sim) seen(kind check.Kind, l *life, name string, rec *election.Record) check.Event {
	e := check.Event{Kind: kind, Agent: l.ident, Flock: s.flockName(rec.FlockID), Election: name}
	e.Record = check.Record{Generation: rec.Generation.Number, Term: rec.Term, Mark: rec.Mark}
	if !rec.Vote.IsZero() {
		e.Record.Vote = s.nameOf(rec.Vote)
	}
	e.Record.Config = check.Config{
		Term: rec.Config.Term, Version: rec.Config.Version, Voters: s.votersOf(&rec.Config), Table: s.tables[rec.Config.Table],
	}
	return e
}

func (s *Sim) votersOf(c *election.Config) string {
	var b strings.Builder
	for i, v := range c.Members() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.nameOf(v.ID))
		if v.Priority != 100 {
			fmt.Fprintf(&b, ":%d", v.Priority)
		}
	}
	return b.String()
}

// nameOf returns the name of a disk: its machine's name, and its number there.
func (s *Sim) nameOf(id election.ID) string {
	if name, ok := s.disks[id]; ok {
		return name
	}
	return id.String()[:8]
}

func (s *Sim) flockName(id election.FlockID) string {
	name := s.names[id]
	if name == "" {
		name = id.String()
		s.names[id] = name
	}
	return name
}

// broke records the first violation, which ends the run.
func (s *Sim) broke(err error) {
	if s.err == nil && errors.Is(err, store.ErrCorrupt) {
		s.err = &check.Violation{Promise: "P6", At: s.now, Text: fmt.Sprintf("a disk has lost all it knew: %v", err)}
	} else if s.err == nil && err != nil {
		s.err = err
	}
}

// occurrence is an event at a moment of true time.
type occurrence struct {
	life   *life // it concerns only this life; nil: any
	do     func()
	to     *agent // without do: the receiver of a datagram
	flight *flight
}

// after calls do later.
func (s *Sim) after(d time.Duration, do func()) { s.queue.Push(s.now+d, occurrence{do: do}) }

// after calls do later, unless this life has ended by then.
func (l *life) after(d time.Duration, do func()) {
	l.sim.queue.Push(l.sim.now+d, occurrence{life: l, do: do})
}

// reach delivers a datagram to a machine later.
func (s *Sim) reach(to *agent, d time.Duration, f *flight) {
	s.queue.Push(s.now+d, occurrence{to: to, flight: f})
}

func (s *Sim) happen(o occurrence) {
	s.stats.Events++
	switch {
	case o.life != nil && o.life.agent.life != o.life:
	case o.do != nil:
		o.do()
	default:
		s.arrive(o.to, o.flight)
	}
}
