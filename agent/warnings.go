package agent

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/why"
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
	around          // as readers see it
	shown  []string // the same warnings, one by one
	// What happened to members, and what strangers do: however many of these there
	// are, they keep no other warning away.
	members, strangers problems
	// addresses are those that agents should not tell.
	addresses addressFaults
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
		l.warnings.strangers.report(fmt.Sprintf("agent at %s is of flock %q, we are of %q: give both the same --flock, or keep them apart", addr, label, l.cfg.Flock))
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
		l.warnings.strangers.report(text + ": it cannot join; run the same version of ddgoose everywhere")
	}
}

// refreshWarnings lists what a person should do something about, each with its remedy.
func (l *life) refreshWarnings(now time.Duration) {
	var ws []string
	warn := func(format string, args ...any) { ws = append(ws, fmt.Sprintf(format, args...)) }
	l.takeReports(&l.warnings.members)
	l.takeReports(&l.warnings.strangers)
	keys := l.keyFaults(now)
	ws = append(ws, keys...)
	netem := l.netemRules()
	if netem != "" {
		warn("fault rules are in force: %s (ddgoose netem clear)", netem)
	}
	if f := l.member.Founder(); f != nil && l.node() == nil {
		warn("%s", f.Status(l.nameOf))
	} else if l.node() == nil && len(keys) == 0 {
		warn("bound to no flock yet: waiting for one of %s to answer", strings.Join(l.cfg.Join, " "))
	}
	if len(keys) == 0 && now-l.born > joinPatience && l.member.Alive() <= 1 && len(l.cfg.Join) > 0 && l.gossip.Unanswered() {
		warn("nobody answers at %s: check the address, the port (UDP and TCP), --flock and the key", strings.Join(l.cfg.Join, " "))
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
		warn("the flock is frozen for %s more: its goose changes on failure only (ddgoose thaw)", why.ThawsIn(left))
	}
	for _, e := range l.member.Elections() {
		for _, who := range l.localOf(e.Name()).holders.late() {
			warn("work of %s goes on past its lease: this agent does not campaign until it ends", who)
		}
	}
	if l.name.shared {
		warn("another agent is named %s too: start one of them with another --name, or wait until it counts as dead", l.cfg.Name)
	}
	if runtime.GOOS != "linux" {
		warn("leases are counted by a clock that stands still while the machine sleeps: %s", boottime.Name)
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
			remedy = "this agent is no voter yet, and no voter contests them: start the voters with --election " + names[0] + " too, or wait until this agent is one"
		}
		warn("no goose in election %s: %s", strings.Join(names[:min(len(names), 5)], ", "), remedy)
	}
	if spent := rec.Spent(); spent != "" {
		warn("%s: %s", why.Spent(spent), why.SpentRemedy)
	}
	goose, self := l.member.Default().Goose(now)
	if self && l.main.Holders().Attached == 0 {
		for _, p := range l.peers {
			if p.ID != l.id && p.State == member.Alive && p.Meta.Holders {
				warn("the goose has no work attached while %s has: attach some here (ddgoose run), or ddgoose step-down --to %s", p.Meta.Name, p.Meta.Name)
				break
			}
		}
	}
	for _, c := range l.contacts() {
		if rec.Config.Has(c.ID) && l.node().TooFar(&c) {
			warn("%s: start all agents with --profile wan or a longer --lease", why.TooFar(l.nameOf(c.ID), l.cfg.Lease, l.cfg.Lease))
		}
	}
	if rec.Config.N == 1 && l.member.Alive() == 2 {
		warn("a flock of two has one voter and no automatic failover: start a third agent, or a witness (--priority 0)")
	}
	if !goose.IsZero() || rec.Config.N == 0 {
		return
	}
	if wait := l.node().WaitUntil() - now; wait > 0 {
		return // just started: rule 13
	}
	var gone []string
	for _, v := range rec.Config.Members() {
		if v.ID != l.id && !l.member.IsAlive(v.ID) {
			gone = append(gone, l.nameOf(v.ID))
		}
	}
	if live := int(rec.Config.N) - len(gone); live < rec.Config.Quorum() {
		warn("no goose: %d of %d voters are alive and %d are needed; start %s again, or if they are lost for good: ddgoose recover",
			live, rec.Config.N, rec.Config.Quorum(), strings.Join(gone, " "))
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
			warn("%s (priority %d) is to take over from this goose when the flock is frozen no more (ddgoose thaw)", name, h.Priority)
		case h.Asked && h.At > now:
			warn("%s (priority %d) is to take over from this goose, but did not when it was asked: it is asked again within %v (ddgoose why)", name, h.Priority, autopilot.TriedLately)
		default:
			warn("%s (priority %d) takes over from this goose once it has been a steady voter for %v (ddgoose why tells when, ddgoose freeze prevents it)", name, h.Priority, h.After)
		}
	case !self:
		rec := l.node().Record()
		own, theirs := rec.Config.Index(l.id), rec.Config.Index(goose)
		if after := l.cfg.PreemptsAfter(); after > 0 && own >= 0 && theirs >= 0 && rec.Config.Voters[own].Priority > rec.Config.Voters[theirs].Priority && l.frozen(now) == 0 {
			warn("this agent (priority %d) takes over from %s (priority %d) once that has seen it be a steady voter for %v", rec.Config.Voters[own].Priority, l.nameOf(goose), rec.Config.Voters[theirs].Priority, after)
		}
	}
}

func (l *life) netemRules() string {
	f := l.faults.Load()
	if f == nil {
		return ""
	}
	rules, _, _ := (*f).Show()
	return rules
}

// peerBehind names the sender of a stream, for fault rules. Any goroutine.
func (l *life) peerBehind(id election.ID) (string, netip.AddrPort) {
	if all := l.byID.Load(); all != nil {
		if p, ok := (*all)[id]; ok {
			return p.Meta.Name, p.Addr
		}
	}
	return "", netip.AddrPort{}
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
