package agent

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

const (
	// problemShown is how long something that happened stays among the warnings.
	problemShown = 5 * time.Minute
	// problemsKept bounds them.
	problemsKept = 16
	// nameWindow is how long after meeting others an agent still gives way to
	// an elder one of its name.
	nameWindow = 5 * time.Second
)

// problem keeps something a person should know among the warnings for a while,
// and logs it.
func (l *life) problem(text string) {
	until := l.now() + problemShown
	for i := range l.problems {
		if l.problems[i].text == text {
			l.problems[i].until = until
			return
		}
	}
	l.quiet.warn("problem "+text, text)
	if len(l.problems) < problemsKept {
		l.problems = append(l.problems, timedWarning{text, until})
		l.choresAt = 0
	}
}

// reportProblem is problem for other goroutines. It does not wait for the loop:
// memberlist calls it under its lock.
func (l *life) reportProblem(text string) {
	select {
	case l.reports <- text:
	default:
		l.quiet.warn("problem "+text, text) // at least the log has it
	}
}

func (l *life) foreignLabel(addr, label string) {
	host := addr
	if a, err := netip.ParseAddrPort(addr); err == nil {
		host = a.Addr().String()
	}
	if l.met.first(host + " " + label) {
		l.reportProblem(fmt.Sprintf("agent at %s is of flock %q, we are of %q: give both the same --flock, or keep them apart", addr, label, l.cfg.Flock))
	}
}

func (l *life) foreignFlock(a *arrival) {
	if l.flockID().IsZero() || a.FlockID.IsZero() {
		return
	}
	if l.met.first(a.From.String() + a.FlockID.String()) {
		l.problem(fmt.Sprintf("agent %s at %s is of flock %s, we are of %s: two founded flocks never merge", l.nameOf(a.From), a.from, a.FlockID, l.flockID()))
	}
}

// refreshWarnings lists what a person should do something about, each with its remedy.
func (l *life) refreshWarnings(now time.Duration) {
	var ws []string
	warn := func(format string, args ...any) { ws = append(ws, fmt.Sprintf(format, args...)) }
	for {
		select {
		case text := <-l.reports:
			l.problem(text)
			continue
		default:
		}
		break
	}
	l.netem = l.netemRules()
	if l.netem != "" {
		warn("fault rules are in force: %s (ddgoose netem clear)", l.netem)
	}
	if l.founding != nil && l.node == nil {
		warn("%s", l.founding.Status(l.nameOf))
	} else if l.node == nil {
		warn("bound to no flock yet: waiting for one of %s to answer", strings.Join(l.cfg.Join, " "))
	}
	if l.gossip.Unanswered() && l.alive <= 1 && len(l.cfg.Join) > 0 {
		warn("nobody answers at %s: check the address, the port (UDP and TCP), --flock and the key", strings.Join(l.cfg.Join, " "))
	}
	if l.node != nil {
		l.warnFlock(now, warn)
	}
	for _, who := range l.holders.late() {
		warn("work of %s goes on past its lease: this agent does not campaign until it ends", who)
	}
	if l.nameWarned {
		warn("another agent is named %s too: start one of them with another --name", l.cfg.Name)
	}
	if runtime.GOOS != "linux" {
		warn("leases are counted by a clock that stands still while the machine sleeps: %s", boottime.Name)
	}
	if err := l.disk.PeersErr(); err != nil {
		warn("last known addresses: %v", err)
	}
	l.problems = slices.DeleteFunc(l.problems, func(w timedWarning) bool { return now >= w.until })
	for _, p := range l.problems {
		ws = append(ws, p.text)
	}
	l.warnings = ws
}

func (l *life) warnFlock(now time.Duration, warn func(string, ...any)) {
	rec := l.node.Record()
	if rec.Config.N == 1 && l.alive == 2 {
		warn("a flock of two has one voter and no automatic failover: start a third agent, or a witness (--priority 0)")
	}
	if goose, _ := l.knownGoose(); !goose.IsZero() || rec.Config.N == 0 {
		return
	}
	if wait := l.node.WaitUntil() - now; wait > 0 {
		return // just started: rule 13
	}
	var gone []string
	for _, v := range rec.Config.Members() {
		if v.ID != l.id && !l.isAlive(v.ID) {
			gone = append(gone, l.nameOf(v.ID))
		}
	}
	if live := int(rec.Config.N) - len(gone); live < rec.Config.Quorum() {
		warn("no goose: %d of %d voters are alive and %d are needed; start %s again, or if they are lost for good: ddgoose recover",
			live, rec.Config.N, rec.Config.Quorum(), strings.Join(gone, " "))
	}
}

// checkName gives way to an elder agent of the same name (the second one
// leaves). Of two that start together the lower id stays.
func (l *life) checkName(now time.Duration) error {
	if l.metAt == 0 || now > l.metAt+nameWindow && !l.nameWarned {
		return nil
	}
	l.nameWarned = false
	for _, p := range l.peers {
		if p.ID == l.id || p.Meta.Name != l.cfg.Name || p.State != api.StateAlive {
			continue
		}
		l.nameWarned = true
		if now > l.metAt+nameWindow || l.pinging {
			return nil
		}
		l.pinging = true
		l.gossip.join.background(func(ctx context.Context) {
			answers := l.gossip.Answers(p)
			select {
			case l.pinged <- nameHolder{p, answers}:
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// nameHolder is another agent of our name, and whether it answers.
type nameHolder struct {
	peer
	answers bool
}

// nameTaken decides what a ping of our name's holder means.
func (l *life) nameTaken(h nameHolder) error {
	l.pinging = false
	if !h.answers {
		return nil
	}
	// It is the elder unless it, too, has just met the flock; then ids decide.
	if h.ID.Compare(l.id) > 0 && time.Since(h.Since) < nameWindow && l.now()-l.born < nameWindow {
		return nil
	}
	return &TakenError{What: "name", Value: l.cfg.Name, Holder: h.Addr.String(), Flag: "name"}
}

// TakenError says that something an agent needs for itself is another's.
type TakenError struct {
	What   string // name, port, data directory
	Value  string
	Holder string // where the other one is; "" when unknown
	Flag   string // the flag that chooses another
}

// Error says what is taken, by whom, and what to change.
func (e *TakenError) Error() string {
	by := ""
	if e.Holder != "" {
		by = " by the agent at " + e.Holder
	}
	return fmt.Sprintf("%s %s is taken%s: choose another with --%s", e.What, e.Value, by, e.Flag)
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

// savePeers keeps the last known addresses for the next start.
func (l *life) savePeers(known []knownPeer) {
	ps := make([]store.Peer, 0, len(known))
	for _, k := range known {
		ps = append(ps, store.Peer{ID: k.ID, Name: k.Name, Addr: k.Addr.String()})
	}
	slices.SortFunc(ps, func(a, b store.Peer) int { return a.ID.Compare(b.ID) })
	if err := l.disk.SavePeers(ps); err != nil {
		l.quiet.warn("peers", "last known addresses not saved", "error", err)
	}
}
