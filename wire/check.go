package wire

import (
	"fmt"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// maxDuration bounds promises. It is far above what a voter grants
	// (election.MaxPromise), and far below what overflows when added to a clock.
	maxDuration = time.Hour
	// maxVersion bounds config versions, as terms are bounded. The goose must act for
	// each version, so none reaches it, and JSON keeps it exact.
	maxVersion = election.MaxTerm
)

// check returns what is wrong with the part of a frame that all entries share.
func (f *Frame) check() *DropError {
	switch {
	case f.From.IsZero():
		return drop(DropRange, "sender has no id")
	case len(f.Messages) > MaxMessages:
		return outOfRange("number of entries", uint64(len(f.Messages)), MaxMessages)
	case len(f.Messages) == MaxMessages && f.Probe.Word != 0:
		return outOfRange("number of entries", MaxMessages+1, MaxMessages)
	}
	return nil
}

// check returns what is wrong with an entry, own or received. It accepts unknown
// reasons: a later version may have more of them, and a refusal for an unknown reason
// is still a refusal.
func (m *Message) check() *DropError {
	switch {
	case !known(m.Kind):
		return outOfRange("kind", uint64(m.Kind), uint64(election.Announce))
	case m.Election > MaxElection:
		return outOfRange("election", m.Election, MaxElection)
	case m.Generation.Number > election.MaxGeneration:
		return outOfRange("generation", m.Generation.Number, election.MaxGeneration)
	case max(m.Term, m.ConfigID.Term, m.NextTerm, m.TransferTerm, m.GooseTerm) > election.MaxTerm:
		return outOfRange("term", max(m.Term, m.ConfigID.Term, m.NextTerm, m.TransferTerm, m.GooseTerm), election.MaxTerm)
	case max(m.ConfigID.Version, m.Config.Version) > maxVersion:
		return outOfRange("config version", max(m.ConfigID.Version, m.Config.Version), maxVersion)
	case m.Mark > election.MaxMark:
		return outOfRange("mark", m.Mark, election.MaxMark)
	case m.Remaining < 0 || m.Remaining > maxDuration:
		return drop(DropRange, fmt.Sprintf("remaining promise of %v: want 0 to %v", m.Remaining, maxDuration))
	case m.Held < 0 || m.Held > maxDuration:
		return drop(DropRange, fmt.Sprintf("held for %v: want 0 to %v", m.Held, maxDuration))
	case m.Pause < 0 || m.Pause > maxDuration:
		return drop(DropRange, fmt.Sprintf("pause of %v: want 0 to %v", m.Pause, maxDuration))
	case m.Promise < 0 || m.Promise > maxDuration:
		return drop(DropRange, fmt.Sprintf("promise of %v: want 0 to %v", m.Promise, maxDuration))
	}
	for _, r := range m.Ranks {
		if r >= election.MaxVoters {
			return outOfRange("rank", uint64(r), election.MaxVoters-1)
		}
	}
	if m.Config == (election.Config{}) {
		return nil
	}
	if err := m.Config.Valid(); err != nil {
		return drop(DropRange, err.Error())
	}
	return nil
}

func known(k election.Kind) bool { return k >= election.PreVoteRequest && k <= election.Announce }
