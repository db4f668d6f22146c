package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/why"
)

// silentAfter is how long a voter may leave heartbeats unanswered before status says
// so. The goose tells the ducks, and all check a few times a second, so that every
// status shows it within three seconds.
const silentAfter = 2500 * time.Millisecond

// silentVoters returns the voters that do not answer, as far as this agent knows.
func (l *life) silentVoters(now time.Duration) (silent []election.ID) {
	n := l.node()
	if n == nil {
		return nil
	}
	rec := n.Record()
	add := func(is func(i int, v election.Voter) bool) []election.ID {
		for i, v := range rec.Config.Members() {
			if v.ID != l.id && is(i, v) {
				silent = append(silent, v.ID)
			}
		}
		return silent
	}
	patience := max(silentAfter, 5*l.cfg.Heartbeat)
	goose, _ := l.member.Default().Goose(now)
	switch heardOf := n.HeardOfVoters(now); {
	case n.Role() == election.Leader || !goose.IsZero() && heardOf:
		times := n.Silent(now)
		return add(func(i int, _ election.Voter) bool { return times[i] >= patience })
	case !goose.IsZero() || now-l.main.succession.seenAt < patience || now < n.WaitUntil():
		return nil // too early: the goose has said nothing yet, or there is no goose
	case now-l.member.AskedAt() < 4*l.cfg.Lease && l.member.AskedAt() > 0:
		asked := max(2*l.cfg.Lease, time.Second)
		return add(func(_ int, v election.Voter) bool { return l.member.Sighting(v.ID, now).Unanswered >= asked })
	}
	return add(func(_ int, v election.Voter) bool { return !l.member.IsAlive(v.ID) })
}

// shownAlive counts the live agents, without voters that do not answer.
func (l *life) shownAlive() int {
	alive := l.member.Alive()
	for _, id := range l.warnings.silent {
		if l.member.IsAlive(id) {
			alive--
		}
	}
	return alive
}

// warnVoters warns of voters that do not answer, and says what that means.
func (l *life) warnVoters(now time.Duration, goose election.ID, warn func(string, ...any)) {
	rec := l.node().Record()
	if rec.Config.N == 0 {
		return // this agent does not know the voters yet
	}
	total, needed := int(rec.Config.N), rec.Config.Quorum()
	answering := total - len(l.warnings.silent)
	names := make([]string, len(l.warnings.silent))
	for i, id := range l.warnings.silent {
		names[i] = l.nameOf(id)
	}
	slices.Sort(names)
	list := strings.Join(names, ", ")
	none := now - l.main.succession.seenAt
	if answering < needed {
		l.warnings.shortAt = now
	}
	switch {
	case goose.IsZero() && answering < needed && none >= why.RecoverAfter:
		warn("no goose for more than %d minutes: waiting for %d more of %s (%d of %d needed): start them again, or repair the network to them; only if they are lost for good: ddgoose recover",
			int(why.RecoverAfter.Minutes()), needed-answering, list, needed, total)
	case goose.IsZero() && answering < needed:
		warn("no goose yet: waiting for %d more of %s (%d of %d needed)", needed-answering, list, needed, total)
	case goose.IsZero() && min(none, now-l.warnings.shortAt) >= max(5*time.Second, 10*l.cfg.Lease):
		warn("no goose, though %d of %d voters answer: ddgoose why tells the reason", answering, total)
	}
	if len(names) == 0 || answering < needed {
		return
	}
	means := fmt.Sprintf("%d of %d voters answer, and %d are needed", answering, total, needed)
	if answering == needed {
		means = fmt.Sprintf("%d of %d voters answer: one more failure ends service", answering, total)
	}
	voter := "voter %s does not answer: %s (start it again, or repair the network to it)"
	if len(names) > 1 {
		voter = "voters %s do not answer: %s (start them again, or repair the network to them)"
	}
	warn(voter, list, means)
}
