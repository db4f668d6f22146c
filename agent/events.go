package agent

import (
	"fmt"
	"log/slog"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
)

// Tell logs what has happened, and keeps what a person should know among the warnings.
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
		log.Info("bound to flock", "flock_id", ev.FlockID, "term", ev.Term, "voters", ev.Voters)
	case member.EventFoundsAlone:
		log.Info("founding a flock of one; give the next agents --join " + l.port.Advertised().String())
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
		log.Info("handing over to a higher priority", "to", l.nameOf(ev.Peer), "priority", ev.Priority)
	case member.EventNotPreempted:
		log.Warn("the higher priority did not take over", "to", l.nameOf(ev.Peer), "error", l.explained(ev.Err))
	case member.EventUnfit:
		log.Info("a witness or observer hands over", "goose", l.nameOrNone(ev.Peer), "error", l.explained(ev.Err))
	case member.EventWorkEnded:
		log.Info("work ended by itself, and nobody took over", "reason", l.explained(ev.Err))
	case member.EventChangeRefused:
		log.Debug("change of voters refused", "voter", l.nameOf(ev.Peer), "error", ev.Err)
	case member.EventFrozen:
		l.keepFreeze()
		log.Info("frozen: no change of goose but on failure", "for", ev.For)
	case member.EventThawed:
		was := l.frozen(l.now())
		l.keepFreeze()
		if was > 0 {
			log.Info("thawed")
		}
	case member.EventElectionBegins:
		log.Info("an election begins")
	case member.EventElectionEnds:
		log.Warn("the election ends here: the flock's table of elections is another one now")
	case member.EventTooManyElections:
		l.problem(fmt.Sprintf("election %q is not founded: this flock has %d elections already, and that is the most", ev.Name, ev.Agents))
	case member.EventFoundingRefused:
		log.Debug("founding of elections refused", "error", ev.Err)
	case member.EventMoves:
		log.Info("the election moves to an agent that leads fewer", "to", l.nameOf(ev.Peer))
	case member.EventNotMoved:
		log.Info("the election did not move", "reason", l.explained(ev.Err))
	}
}

func (l *life) tellElection(log *slog.Logger, ev member.Event) {
	switch ev.What {
	case election.EventWon:
		log.Info("won the election", "term", ev.Term)
	case election.EventDeposed, election.EventNotQuorate, election.EventResigned:
		log.Info(ev.What.String(), "term", ev.Term)
	case election.EventTwoLeaders, election.EventForeign:
		l.problem(l.nameOf(ev.Peer) + ": " + ev.What.String() + ": a copied data directory, or two recoveries of one flock (stop one of them)")
	case election.EventImplausible:
		l.problem(l.nameOf(ev.Peer) + " shows a term, version or generation that no flock reaches: ignored (somebody who has the key forges messages: change the key)")
	case election.EventVoters:
		log.Info("voters changed", "term", ev.Term, "voters", ev.Voters)
	default:
		log.Debug(ev.What.String(), "term", ev.Term, "peer", ev.Peer)
	}
}

// keepFreeze keeps what is known of a freeze for readers and for the next life.
func (l *life) keepFreeze() {
	f := l.member.Freeze()
	l.freeze.Store(&f)
}
