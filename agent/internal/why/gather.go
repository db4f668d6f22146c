package why

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
)

const (
	// Question asks an agent what it has promised, and what it waits for.
	Question = "why"
	// Wait is how long the loop, and then the voters, may take to answer.
	Wait = time.Second
	// answersKept is for how many leases a campaign, and the answers to it, count as
	// current.
	answersKept = 4
)

// Source is what the loop gathers facts from.
type Source struct {
	Member *member.Member
	Part   *member.Election // nil: the election has not begun here
	Self   election.ID
	Addr   netip.AddrPort // this agent's own
	Peers  []member.Peer
	NameOf func(election.ID) string
	Silent []election.ID // voters that do not answer
}

// Gather adds to f what the election knows. It runs on the loop.
func (s *Source) Gather(f *Facts, now time.Duration) {
	if s.Part == nil || s.Part.Node() == nil {
		f.Bound = false
		if founder := s.Member.Founder(); founder != nil {
			f.Founding, f.Missing = founder.Status(now, s.NameOf), founder.Missing()
		}
		return
	}
	left := func(end time.Duration) time.Duration { return max(0, end-now) }
	n := s.Part.Node()
	rec, promise := n.Record(), n.Promise()
	f.Bound, f.Leads, f.Spent = true, n.Role() == election.Leader, rec.Spent()
	f.HandingOver = s.Part.HandingOver()
	f.Waits, f.HandedOut, f.Silent = left(n.WaitUntil()), left(n.HandedTo()), left(n.QuietUntil())
	if f.Promised = left(promise.End); f.Promised > 0 {
		f.PromisedTo = s.NameOf(promise.To)
	}
	byDefault := s.Part == s.Member.Default()
	if h := s.Member.Heir(); byDefault && !h.ID.IsZero() {
		f.Heir = Heir{Name: s.NameOf(h.ID), Priority: h.Priority, After: h.After, In: left(h.At), Asked: h.Asked}
	}
	recent := now - answersKept*f.Lease
	f.Asked = s.Member.AskedAt() > max(0, recent) || n.Role() == election.PreCandidate || n.Role() == election.Candidate
	contacts := map[election.ID]election.Contact{}
	for _, c := range n.Contacts(nil) {
		contacts[c.ID] = c
	}
	for _, m := range rec.Config.Members() {
		v := Voter{Name: s.NameOf(m.ID), ID: m.ID.String(), Self: m.ID == s.Self, Priority: m.Priority, Silent: slices.Contains(s.Silent, m.ID), Heard: -1}
		if i := slices.IndexFunc(s.Peers, func(p member.Peer) bool { return p.ID == m.ID }); i >= 0 {
			v.State, v.Unwell = s.Peers[i].State.String(), byDefault && s.Peers[i].Meta.Health == member.Unwell
		}
		if does, known := s.Part.ContestedBy(m.ID); known {
			v.Uncontested = !does && !byDefault
		}
		switch addr, ok := s.Member.Addr(m.ID); {
		case v.Self:
			v.Addr = s.Addr.String()
		case ok:
			v.Addr = addr.String()
		}
		if c := contacts[m.ID]; n.TooFar(&c) {
			v.TooFar = c.RTT
		}
		v.Promise = left(contacts[m.ID].Expiry)
		seen := s.Member.Sighting(m.ID, now)
		v.Unanswered = seen.Unanswered
		if seen.HeardAt > 0 {
			v.Heard = now - seen.HeardAt
		}
		if byDefault && seen.AnsweredAt > max(0, recent) {
			v.Answer = &Answer{Granted: seen.Granted, Reason: refusals[seen.Reason], Until: left(seen.AnsweredAt + seen.Remaining)}
		}
		f.Voters = append(f.Voters, v)
	}
}

// refusals says why a voter refuses its vote.
var refusals = map[election.Reason]string{
	election.OldTerm:      "it knows a later term",
	election.Voted:        "it has voted for another in this term",
	election.OldConfig:    "it knows a newer set of voters",
	election.Promised:     "it has promised another to elect nobody else",
	election.Restarted:    "it has restarted, and waits",
	election.NotCandidate: "by its set of voters this agent may not lead",
	election.OtherLife:    "it has restarted since this agent last heard from it",
}

// Asked is the question. Old agents ignore its content.
type Asked struct {
	Election string `json:"election,omitempty"`
}

// AskVoters asks all live voters at once what they have promised, for at most Wait.
// It asks nobody if a goose is known.
func AskVoters(ctx context.Context, g *gossip.Gossip, f *Facts) {
	if f.Goose != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, Wait)
	defer cancel()
	var asked sync.WaitGroup
	defer asked.Wait()
	for i := range f.Voters {
		v := &f.Voters[i]
		id, err := election.ParseID(v.ID)
		if err != nil || v.Self {
			continue
		}
		if p, ok := g.Alive(id); ok {
			asked.Go(func() {
				var t Told
				if b, err := g.Ask(ctx, p, Question, Asked{f.Election}); err == nil && json.Unmarshal(b, &t) == nil && t.Election == f.Election {
					v.Told = &t
				}
			})
		}
	}
}

// Told returns what this agent tells others about itself.
func (f *Facts) Told() Told {
	return Told{Election: f.Election, Promised: f.Promised, PromisedTo: f.PromisedTo, Waits: f.Waits, Late: len(f.Late) > 0}
}
