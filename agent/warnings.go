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
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/agent/seeds"
	"duckduckgoose/agent/store"
)

const (
	// problemShown is how long something that happened stays among the warnings.
	problemShown = 5 * time.Minute
	// problemsKept bounds them.
	problemsKept = 16
	// joinPatience is how long nobody may answer before status warns.
	joinPatience = 1500 * time.Millisecond
)

// warnings is what a person should do something about.
type warnings struct {
	around               // as readers see it
	shown  []string      // the same warnings, one by one
	silent []election.ID // the voters that do not answer
	// What happened to members, and what strangers do: however many of these there
	// are, they keep no other warning away.
	members, strangers problems
	idleSince          time.Duration // the goose has had no work while others have; 0: it is not so
	// addresses are those that agents should not tell.
	addresses addressFaults

	// What a survey of all members has found.
	stale    bool // the members have changed since
	surveyAt time.Duration
	unwell   []string      // names of the others whose check fails, sorted
	working  []member.Peer // the first two that have work
}

// surveyPace is how long each member puts off the next survey, so that a survey takes
// the same small share of time in a flock of any size.
const surveyPace = time.Millisecond

// survey looks at all members, when they have changed.
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

// problems are warnings about what happened.
type problems struct {
	quiet   *quietlog.Log
	recent  []timedWarning
	reports chan string // from other goroutines
}

func newProblems(quiet *quietlog.Log) problems {
	return problems{quiet: quiet, reports: make(chan string, problemsKept)}
}

// timedWarning is a warning about something that happened, shown for a while.
type timedWarning struct {
	text  string
	until time.Duration
}

// problem keeps something a person should know among the warnings for a while,
// and logs it.
func (l *life) problem(text string) { l.keep(&l.warnings.members, text) }

func (l *life) keep(ps *problems, text string) {
	until := l.now() + problemShown
	for i := range ps.recent {
		if ps.recent[i].text == text {
			ps.recent[i].until = until
			return
		}
	}
	ps.quiet.Warn("problem "+text, text)
	if len(ps.recent) < problemsKept {
		ps.recent = append(ps.recent, timedWarning{text, until})
		l.member.LookNow()
	}
}

// report is keep for other goroutines. It does not wait for the loop: memberlist
// calls it under its lock.
func (ps *problems) report(text string) {
	select {
	case ps.reports <- text:
	default:
		ps.quiet.Warn("problem "+text, text) // at least the log has it
	}
}

// takeReports keeps what other goroutines have reported.
func (l *life) takeReports(ps *problems) {
	for {
		select {
		case text := <-ps.reports:
			l.keep(ps, text)
		default:
			return
		}
	}
}

func (l *life) foreignLabel(addr, label string) {
	if l.strange.Due("label " + port.Host(addr)) {
		l.warnings.strangers.report(fmt.Sprintf("agent at %s is of flock %q, and this one is of %q: give both the same --flock, or different --join addresses", addr, label, l.cfg.Flock))
	}
}

// sameKeys ends each warning about keys that differ.
const sameKeys = ": " + why.KeysRemedy

// otherKeys reports an agent that seals with other keys; any goroutine.
func (l *life) otherKeys(host, text string) {
	if l.strange.Due("keys " + host) {
		l.warnings.strangers.report(text + sameKeys)
	}
}

// keyFaults are the agents of other keys, while this one knows no goose: nothing
// else need be looked for then.
func (l *life) keyFaults(now time.Duration) (texts []string) {
	if goose, self := l.member.Default().Goose(now); self || !goose.IsZero() {
		return nil
	}
	for _, p := range l.warnings.strangers.recent {
		if strings.HasSuffix(p.text, sameKeys) {
			texts = append(texts, p.text)
		}
	}
	return texts
}

// otherVersion reports an agent of another version of gossip; any goroutine.
func (l *life) otherVersion(host, text string) {
	if l.strange.Due("version " + host) {
		l.warnings.strangers.report(text + ": it cannot join: run the same version of ddgoose everywhere")
	}
}

// refreshWarnings lists what a person should do something about, each with its remedy.
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
		warn(api.FaultsInForce+"%s (ddgoose netem clear)", l.namedRules())
		if words := l.unmatchedRules(); len(words) > 0 {
			warn(api.NoMatch+"%s in the fault rules: check the names (ddgoose members)", strings.Join(words, ", "))
		}
	}
	if f := l.member.Founder(); f != nil && l.node() == nil {
		warn("%s", f.Status(now, l.nameOf))
	} else if l.node() == nil && len(keys) == 0 {
		warn("no flock joined yet: waiting for an answer from %s", strings.Join(l.cfg.Join, " "))
	}
	if called := l.called(); len(keys) == 0 && now-l.born > joinPatience && l.member.Alive() <= 1 && len(called) > 0 && l.gossip.Unanswered() {
		warn("nobody answers at %s: start an agent there, or check the address, the port (UDP and TCP), --flock and the key", strings.Join(called, " "))
		for _, fault := range l.gossip.SeedFaults() {
			warn("join: %s", fault)
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
	for _, e := range l.member.Elections() {
		for _, who := range l.localOf(e.Name()).holders.late() {
			warn("work of %s still runs after its lease ended: this agent does not campaign until that work ends", who)
		}
	}
	for _, e := range l.member.Elections() {
		for _, who := range l.localOf(e.Name()).holders.silent() {
			warn("%s has not answered for a lease: it is stopped or hangs; another agent with work takes over", who)
		}
	}
	if l.name.shared {
		warn("another agent has the name %s too: start one of the two with another --name; if the other one has just died, wait until gossip counts it as failed", l.cfg.Name)
	}
	if runtime.GOOS != "linux" {
		warn("leases are measured by a clock that stops while the machine sleeps: %s", boottime.Name)
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
	w.shown, w.around = ws, around{netem: netem, warnings: strings.Join(ws, "\n")}
}

// gooseless gives the elections without a goose, once there was time to elect one.
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

// idleFor is how long a goose may have no work, while others have some, before that
// is a warning: it hands over by itself if it can.
const idleFor = 5 * time.Second

// warnWork tells of agents whose check fails, and of a goose without work while
// others have some.
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

// warnPreemption tells at the goose who is to take over, and at that one from
// whom. No countdown: a text that changes wakes every watcher; why has it.
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

// savePeers keeps the last known addresses for the next start, after this
// agent's own: a recovery names agents, and finds their ids there.
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

// called lists the words of --join that are not this agent's own address.
func (l *life) called() []string {
	own := l.port.Advertised()
	return slices.DeleteFunc(slices.Clone(l.cfg.Join), func(word string) bool {
		host, port, err := seeds.SplitHostPort(word)
		return err == nil && host == own.Addr().String() && port == own.Port()
	})
}
