package member

import (
	"time"

	"duckduckgoose/agent/election"
)

// sightings records when the voters were last heard, and how they answered this agent's
// campaigns. It serves explanations only.
type sightings struct {
	of      map[election.ID]*Sighting
	askedAt time.Duration // when this agent last asked for votes; 0: never
	// askedSince is when the present series of requests began; a pause of askingPause ends
	// a series.
	askedSince time.Duration
}

// askingPause is longer than any promise that a campaign waits for.
const askingPause = 15 * time.Second

// Sighting is when an agent was last heard, and its last answer to a campaign.
type Sighting struct {
	HeardAt    time.Duration // 0: never
	AnsweredAt time.Duration // 0: never
	Granted    bool
	Reason     election.Reason
	Remaining  time.Duration
	// Unanswered is how long it has been silent though it was asked.
	Unanswered time.Duration
}

// Sighting returns what this agent has heard of a voter.
func (m *Member) Sighting(id election.ID, now time.Duration) (s Sighting) {
	if at := m.sightings.of[id]; at != nil {
		s = *at
	}
	// A duck sends another duck nothing before a campaign.
	s.Unanswered = now - max(m.sightings.askedSince, s.HeardAt)
	return s
}

// sightingsMost bounds sightings: voters come and go.
const sightingsMost = 4 * election.MaxVoters

// saw records a datagram of an agent, if it is a voter.
func (m *Member) saw(now time.Duration, id election.ID) {
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
			s.of = map[election.ID]*Sighting{}
		}
		at = &Sighting{}
		s.of[id] = at
	}
	at.HeardAt = now
}

// answered records a voter's answer to a campaign.
func (s *sightings) answered(msg *election.Message) {
	if msg.Kind != election.PreVoteReply && msg.Kind != election.VoteReply {
		return
	}
	if at := s.of[msg.From]; at != nil {
		at.AnsweredAt, at.Granted, at.Reason, at.Remaining = at.HeardAt, msg.Granted, msg.Reason, msg.Remaining
	}
}

// asking records a request for votes. A PreVoteRequest without a nonce gets no answer
// (rule 27).
func (s *sightings) asking(msg *election.Message, now time.Duration) {
	if msg.Kind != election.VoteRequest && (msg.Kind != election.PreVoteRequest || msg.Nonce == 0) {
		return
	}
	if s.askedAt == 0 || now-s.askedAt > askingPause {
		s.askedSince = now
	}
	s.askedAt = now
}
