package agent

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
)

const (
	// problemShown is how long a warning about an event is shown.
	problemShown = 5 * time.Minute
	// problemsKept bounds those warnings.
	problemsKept = 16
	// joinPatience is how long after the start status warns that nobody answers.
	joinPatience = 1500 * time.Millisecond
)

// warnings are what people should do something about.
type warnings struct {
	besides               // as readers see it
	shown   []string      // the same warnings, one by one
	silent  []election.ID // the voters that do not answer
	// shortAt is when the voters that answer were last no majority.
	shortAt time.Duration
	// members and strangers are warnings about events. They are bounded apart from each
	// other: strangers can cause any number, and must not displace those of members.
	members, strangers problems
	idleSince          time.Duration // the goose has had no work while others have; 0: it is not so
	// addresses are the wrong addresses that agents announce.
	addresses addressFaults

	// The results of survey.
	stale    bool // the members have changed since
	surveyAt time.Duration
	unwell   []string      // names of the others whose check fails, sorted
	working  []member.Peer // the first two that have work
}

// surveyPace delays the next survey, per member, so that surveys take the same small
// share of time in a flock of any size.
const surveyPace = time.Millisecond

// survey looks at all members if they have changed.
func (l *life) survey(now time.Duration) {
	w := &l.warnings
	if !w.stale || now < w.surveyAt {
		return
	}
	w.stale, w.surveyAt = false, now+time.Duration(len(l.peers()))*surveyPace
	w.unwell, w.working = nil, nil
	peers := l.peers()
	for i := range peers {
		p := &peers[i]
		if p.State != member.Alive {
			continue
		}
		if p.ID != l.id && p.Meta.Health == member.Unwell {
			w.unwell = append(w.unwell, p.Meta.Name)
		}
		if p.Meta.Work && len(w.working) < 2 {
			w.working = append(w.working, *p)
		}
	}
	slices.Sort(w.unwell)
	l.findAddressFaults()
	l.nameForFaults()
}

// refreshWarnings makes the list of warnings, each with its remedy.
func (l *life) refreshWarnings(now time.Duration) {
	l.warnings.silent = l.silentVoters(now)
	var ws []string
	warn := func(format string, args ...any) { ws = append(ws, fmt.Sprintf(format, args...)) }
	l.takeReports(&l.warnings.members)
	l.takeReports(&l.warnings.strangers)
	keys := l.keyFaults(now)
	ws = append(ws, keys...)
	netem := l.netemRules()
	if netem != "" {
		warn(api.FaultsInForce+"%s (%s)", l.namedRules(), l.endsNetem(netem))
		if words := l.unmatchedRules(); len(words) > 0 {
			warn(api.NoMatch+"%s in the fault rules: check the names (ddgoose members)", strings.Join(words, ", "))
		}
	}
	if f := l.member.Founder(); f != nil && l.node() == nil {
		warn("%s", f.Status(now, l.nameOf))
	} else if l.node() == nil && len(keys) == 0 {
		if others := l.gossip.OtherSeeds(); len(others) > 0 {
			warn("no flock joined yet: waiting for an answer from %s", strings.Join(others, " "))
		} else {
			warn("no flock joined yet: --join names no other agent")
		}
	}
	if len(keys) == 0 && now-l.born > joinPatience && l.member.Alive() <= 1 && l.gossip.Unanswered() {
		if called := l.gossip.OtherSeeds(); len(called) > 0 {
			warn("nobody answers at %s: start an agent there, or check the address, the port (UDP and TCP), --flock and the key", strings.Join(called, " "))
			for _, fault := range l.gossip.SeedFaults() {
				warn("join: %s", fault)
			}
		}
	}
	l.warnAddresses(now, warn)
	if l.node() != nil {
		l.warnPreemption(now, warn)
		l.warnFlock(now, warn)
	}
	if left := l.frozen(now); left > 0 {
		warn("the flock is frozen for %s more: planned goose changes are blocked, failover works (ddgoose thaw)", why.ThawsIn(left))
	}
	ats := l.restless(now)
	for _, at := range ats {
		for _, who := range at.holders.late() {
			warn("work of %s still runs after its lease ended: this agent does not campaign until that work ends", who)
		}
	}
	for _, at := range ats {
		for _, who := range at.holders.silent() {
			warn("%s has not answered for a lease: it is stopped or hangs; another agent with work takes over", who)
		}
	}
	if l.name.shared {
		warn("another agent has the name %s too: start one of the two with another --name; if the other one has just died, wait until gossip counts it as failed", l.cfg.Name)
	}
	if runtime.GOOS != "linux" {
		warn("leases are measured by a clock that stops while the machine sleeps: %s", boottime.Name)
	}
	if w := l.warden; w != nil && w.Problem() != "" {
		warn("the warden does not run: if this agent dies, the others wait until its lease ends: %s", w.Problem())
	}
	if err := l.disk.PeersErr(); err != nil {
		warn("last known addresses: %v", err)
	}
	w := &l.warnings
	for _, ps := range []*problems{&w.members, &w.strangers} {
		ps.recent = slices.DeleteFunc(ps.recent, func(p timedWarning) bool { return now >= p.until })
		for _, p := range ps.recent {
			if !slices.Contains(keys, p.text) { // it stands first
				ws = append(ws, p.text)
			}
		}
	}
	w.shown, w.besides = ws, besides{netem: netem, warnings: strings.Join(ws, "\n")}
}

// restless returns the elections that are not calm: the others have no holders.
func (l *life) restless(now time.Duration) (ats []*local) {
	for _, e := range l.member.Elections() {
		if !e.Calm(now) {
			ats = append(ats, e.Local().(*local))
		}
	}
	return ats
}

// gooseless returns the elections that have had no goose for longer than an election takes.
func (l *life) gooseless(now time.Duration) []string {
	if now-l.born < joinPatience+4*l.cfg.Lease {
		return nil
	}
	return l.member.Gooseless(now)
}

func (l *life) warnFlock(now time.Duration, warn func(string, ...any)) {
	rec := l.node().Record()
	if names := l.gooseless(now); len(names) > 0 {
		remedy := "ddgoose status --election " + names[0]
		if !rec.Config.Has(l.id) {
			remedy = "this agent is not a voter yet, and no voter contests them: start the voters with --election " + names[0] + " too, or wait until this agent is a voter"
		}
		warn("no goose in election %s: %s", strings.Join(names[:min(len(names), 5)], ", "), remedy)
	}
	if spent := rec.Spent(); spent != "" {
		warn("%s: %s", why.Spent(spent), why.SpentRemedy)
	}
	goose, _ := l.member.Default().Goose(now)
	l.warnWork(now, goose, warn)
	for _, c := range l.contacts() {
		if rec.Config.Has(c.ID) && l.node().TooFar(&c) {
			warn("%s: start all agents with --profile wan or a longer --lease", why.TooFar(l.nameOf(c.ID), l.cfg.Lease, l.cfg.Lease))
		}
	}
	if rec.Config.N == 1 && l.member.Alive() == 2 {
		warn("a flock of two has one voter and no automatic failover: start a third agent, or a witness (--priority 0)")
	}
	l.warnVoters(now, goose, warn)
}

// idleFor is when a goose without work is a warning, if other agents have work: it
// should have handed over by then.
const idleFor = 5 * time.Second

// warnWork warns of failing checks, and of a goose without work while other agents have
// work.
func (l *life) warnWork(now time.Duration, goose election.ID, warn func(string, ...any)) {
	for _, at := range append(l.otherLocals(), l.main) {
		if w := at.checked.wellness(); w.health == member.Unwell {
			of := ""
			if at.name != "" {
				of = " for election " + at.name
			}
			warn("the check of this agent%s fails: %s: it does not lead until the check passes", of, w.why)
		}
	}
	idle, working := false, ""
	if p, ok := l.peerAlive(goose); ok {
		idle = !p.Meta.Work
	}
	for _, p := range l.warnings.working {
		if p.ID != goose && working == "" {
			working = p.Meta.Name
		}
	}
	if unwell := l.warnings.unwell; len(unwell) > 0 {
		warn("the check of %s fails: it does not lead until the check passes", strings.Join(unwell, ", "))
	}
	if !idle || working == "" {
		l.warnings.idleSince = 0
	} else if l.warnings.idleSince == 0 {
		l.warnings.idleSince = now
	} else if now-l.warnings.idleSince >= idleFor {
		warn("the goose %s has no work, and %s has work but does not take over (it is not a voter, its check fails, or the flock is frozen): start work at %s",
			l.nameOf(goose), working, l.nameOf(goose))
	}
}

// warnPreemption says at the goose who takes over, and at that agent from whom. It has
// no countdown, because each change of a text wakes every watcher; see why.
func (l *life) warnPreemption(now time.Duration, warn func(string, ...any)) {
	goose, self := l.member.Default().Goose(now)
	switch h := l.member.Heir(); {
	case goose.IsZero():
	case self && !h.ID.IsZero():
		name := l.nameOf(h.ID)
		switch {
		case l.frozen(now) > 0:
			warn("%s (priority %d) takes over from this goose when the freeze ends (ddgoose thaw)", name, h.Priority)
		case h.Asked && h.At > now:
			warn("%s (priority %d) was asked to take over from this goose, and did not: it is asked again within %v (ddgoose why)", name, h.Priority, autopilot.TriedLately)
		default:
			warn("%s (priority %d) takes over from this goose once it has been a steady voter for %v (ddgoose why tells when, ddgoose freeze prevents it)", name, h.Priority, h.After)
		}
	case !self:
		rec := l.node().Record()
		own, theirs := rec.Config.Index(l.id), rec.Config.Index(goose)
		if after := l.cfg.PreemptsAfter(); after > 0 && own >= 0 && theirs >= 0 && rec.Config.Voters[own].Priority > rec.Config.Voters[theirs].Priority && l.frozen(now) == 0 {
			warn("this agent (priority %d) takes over from %s (priority %d) once it has been a steady voter for %v", rec.Config.Voters[own].Priority, l.nameOf(goose), rec.Config.Voters[theirs].Priority, after)
		}
	}
}

// savePeers saves the last known addresses for the next start, after this agent's own
// entry: recover finds there the ids of the agents that it names.
func (l *life) savePeers(known []gossip.Known) {
	ps := make([]store.Peer, 0, 1+len(known))
	for _, k := range known {
		ps = append(ps, store.Peer{ID: k.ID, Name: k.Name, Addr: k.Addr.String()})
	}
	slices.SortFunc(ps, func(a, b store.Peer) int { return a.ID.Compare(b.ID) })
	ps = slices.Insert(ps, 0, store.Peer{ID: l.id, Name: l.cfg.Name, Addr: l.net.LocalAddr().String()})
	if err := l.disk.SavePeers(ps); err != nil {
		l.quiet.Warn("peers", "last known addresses not saved", "error", err)
	}
}
