package agent

import (
	"time"

	"duckduckgoose/agent/election"
)

// sightings is when the voters were last heard, and what they said to this
// agent's campaigns. It is the loop's own, and only explains.
type sightings struct {
	of      map[election.ID]*sighting
	askedAt time.Duration // when this agent last asked for votes; 0: never
	// askedSince is when it began to, after it had not for askingPause.
	askedSince time.Duration
}

// askingPause is longer than any promise that a campaign waits for.
const askingPause = 15 * time.Second

type sighting struct {
	heardAt time.Duration
	// The last answer to a campaign; answeredAt 0: none.
	answeredAt time.Duration
	granted    bool
	reason     election.Reason
	remaining  time.Duration
}

// sightingsMost bounds them: voters come and go.
const sightingsMost = 4 * election.MaxVoters

// saw books a datagram of an agent, if it is a voter.
func (l *life) saw(id election.ID) {
	s := &l.sighted
	at := s.of[id]
	if at == nil {
		if l.node == nil {
			return
		}
		if rec := l.node.Record(); !rec.Config.Has(id) {
			return
		}
		if s.of == nil || len(s.of) >= sightingsMost {
			s.of = map[election.ID]*sighting{}
		}
		at = &sighting{}
		s.of[id] = at
	}
	at.heardAt = l.now()
}

// answered books what a voter says to a campaign.
func (s *sightings) answered(m *election.Message) {
	if m.Kind != election.PreVoteReply && m.Kind != election.VoteReply {
		return
	}
	if at := s.of[m.From]; at != nil {
		at.answeredAt, at.granted, at.reason, at.remaining = at.heardAt, m.Granted, m.Reason, m.Remaining
	}
}

// asking books a request for votes.
func (s *sightings) asking(m *election.Message, now func() time.Duration) {
	if m.Kind == election.PreVoteRequest || m.Kind == election.VoteRequest {
		at := now()
		if s.askedAt == 0 || at-s.askedAt > askingPause {
			s.askedSince = at
		}
		s.askedAt = at
	}
}

// unanswered is for how long an agent has been silent though it was asked: a
// duck has nothing to say to a duck before a campaign.
func (s *sightings) unanswered(id election.ID, now time.Duration) time.Duration {
	since := s.askedSince
	if at := s.of[id]; at != nil {
		since = max(since, at.heardAt)
	}
	return now - since
}
