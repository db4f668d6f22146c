package member

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
func (m *Member) saw(id election.ID) {
	s := &m.sightings
	at := s.of[id]
	if at == nil {
		if m.node() == nil {
			return
		}
		if rec := m.node().Record(); !rec.Config.Has(id) {
			return
		}
		if s.of == nil || len(s.of) >= sightingsMost {
			s.of = map[election.ID]*sighting{}
		}
		at = &sighting{}
		s.of[id] = at
	}
	at.heardAt = m.host.Now()
}

// answered books what a voter says to a campaign.
func (s *sightings) answered(msg *election.Message) {
	if msg.Kind != election.PreVoteReply && msg.Kind != election.VoteReply {
		return
	}
	if at := s.of[msg.From]; at != nil {
		at.answeredAt, at.granted, at.reason, at.remaining = at.heardAt, msg.Granted, msg.Reason, msg.Remaining
	}
}

// asking books a request for votes.
func (s *sightings) asking(msg *election.Message, now time.Duration) {
	if msg.Kind != election.PreVoteRequest && msg.Kind != election.VoteRequest {
		return
	}
	if s.askedAt == 0 || now-s.askedAt > askingPause {
		s.askedSince = now
	}
	s.askedAt = now
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
