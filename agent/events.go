package agent

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
)

// Tell logs an event, and adds it to the warnings if people should act on it.
func (h host) Tell(ev member.Event) {
	l := h.l
	log := l.log
	if ev.Election != "" {
		log = log.With("election", ev.Election)
	}
	switch ev.Kind {
	case member.EventElection:
		l.tellElection(log, ev)
	case member.EventBound:
		switch {
		case ev.Back:
			log.Info("back in flock", "flock_id", ev.FlockID, "term", ev.Term, "voters", ev.Voters)
		case ev.Voters == 0: // else it has just founded it
			log.Info("joined flock", "flock_id", ev.FlockID)
		}
	case member.EventFoundsAlone:
		log.Info("founded a flock of one; start the next agents with --join", "addr", l.port.Advertised())
	case member.EventFounded:
		log.Info("founded a flock", "flock_id", ev.FlockID, "agents", ev.Agents, "voters", ev.Voters)
	case member.EventStale:
		l.problem(gossip.StaleText(l.nameOf(ev.Peer), ev.Peer, ev.Addr, ev.Start, ev.Known))
	case member.EventClone:
		l.problem(gossip.CloneText(l.nameOf(ev.Peer), ev.Peer, ev.Other, ev.Addr))
	case member.EventForeignFlock:
		if l.strange.Due("flock " + ev.Peer.String() + ev.FlockID.String()) {
			l.keep(&l.warnings.strangers, gossip.ForeignText(l.nameOf(ev.Peer), ev.Addr.String(), ev.FlockID, l.member.FlockID()))
		}
	case member.EventHandedOver:
		log.Info("handed over", "goose", l.nameOf(ev.Peer))
	case member.EventPreempted:
		l.ends(ev.Election, api.EndedPreempted, fmt.Sprintf("%s has a higher priority (%d)", l.nameOf(ev.Peer), ev.Priority))
		log.Info("handing over to a higher priority", "to", l.nameOf(ev.Peer), "priority", ev.Priority)
	case member.EventNotPreempted:
		log.Warn("the higher priority did not take over", "to", l.nameOf(ev.Peer), "error", l.explained(ev.Err))
	case member.EventUnfit:
		if ev.Err != nil {
			log.Warn("a witness or observer could not hand over", "error", l.explained(ev.Err))
			return
		}
		log.Info("a witness or observer handed over", "goose", l.nameOf(ev.Peer))
	case member.EventWorkEnded:
		log.Info("work ended by itself, and nobody took over", "reason", l.explained(ev.Err))
	case member.EventChangeRefused:
		log.Debug("change of voters refused", "voter", l.nameOf(ev.Peer), "error", ev.Err)
	case member.EventFrozen:
		l.keepFreeze()
		log.Info("frozen: planned changes of the goose are blocked, failover works", "for", ev.For)
	case member.EventThawed:
		was := l.frozen(l.now())
		l.keepFreeze()
		if was > 0 {
			log.Info("thawed")
		}
	case member.EventElectionBegins:
		log.Info("election begins here")
	case member.EventElectionEnds:
		log.Warn("election ends here: a recovery replaced the flock's elections")
	case member.EventTooManyElections:
		l.problem(fmt.Sprintf("election %q is not created: this flock has %d elections already, which is the most", ev.Name, ev.Agents))
	case member.EventFoundingRefused:
		log.Debug("founding of elections refused", "error", ev.Err)
	case member.EventMoves:
		l.ends(ev.Election, api.EndedStepDown, l.nameOf(ev.Peer)+" leads fewer elections")
		log.Info("handing over to an agent that leads fewer elections", "to", l.nameOf(ev.Peer))
	case member.EventUnwell:
		l.ends(ev.Election, api.EndedUnwell, "the check of its work fails")
		if ev.Peer.IsZero() {
			log.Warn("the check fails: handing over to the voter that ranks first, or resigning if no voter is well")
		} else {
			log.Warn("the check fails: handing over", "to", l.nameOf(ev.Peer))
		}
	case member.EventWellAgain:
		l.localOf(ev.Election).succession.goesOn()
		log.Info("the check passes again: not handing over")
	case member.EventFollowsWork:
		l.ends(ev.Election, api.EndedNoWork, "no work waits here, and some waits at "+l.nameOf(ev.Peer))
		log.Info("no work waits here: handing over to an agent with work", "to", l.nameOf(ev.Peer))
	case member.EventLease:
		log.Info("the lease is another one", "lease", ev.Pace.Lease, "heartbeat", ev.Pace.Heartbeat, "before", ev.Was.Lease, "reason", ev.Why)
	case member.EventNotYielded:
		log.Info("nobody took over", "reason", l.explained(ev.Err))
	case member.EventNotMoved:
		log.Info("the election did not move", "reason", l.explained(ev.Err))
	}
}

func (l *life) tellElection(log *slog.Logger, ev member.Event) {
	switch ev.What {
	case election.EventDeposed:
		l.ends(ev.Election, api.EndedLeaseLost, fmt.Sprintf("another agent began term %d", ev.Term))
		l.localOf(ev.Election).succession.deposed = true
	case election.EventNotQuorate:
		l.ends(ev.Election, api.EndedLeaseLost, "no majority of the voters answered")
	case election.EventResigned:
		l.ends(ev.Election, api.EndedStepDown, "it resigned, and nobody took over")
	case election.EventTwoLeaders, election.EventForeign:
		l.problem(l.nameOf(ev.Peer) + ": " + ev.What.String() + ": two agents run from copies of one data directory, or one flock was recovered twice (stop one of them)")
	case election.EventImplausible:
		l.problem(l.nameOf(ev.Peer) + " shows a term, version or generation that no flock reaches: ignored (somebody who has the key forges messages; change the key)")
	case election.EventVoters:
		log.Info("voters changed", "term", ev.Term, "voters", l.votersOf(ev.Election))
	default:
		log.Debug(ev.What.String(), "term", ev.Term, "peer", ev.Peer)
	}
}

// votersOf names the voters of an election.
func (l *life) votersOf(election string) string {
	e := l.member.Named(election)
	if e == nil || e.Node() == nil {
		return ""
	}
	rec := e.Node().Record()
	var names []string
	for _, v := range rec.Config.Members() {
		names = append(names, l.nameOf(v.ID))
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// keepFreeze keeps the freeze for readers and for the next life.
func (l *life) keepFreeze() {
	f := l.member.Freeze()
	l.freeze.Store(&f)
}
