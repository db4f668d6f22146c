package bench

import (
	"slices"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/netem/check"
)

// judge checks the agents' answers against the promises. A reader of "goose until T" may
// act until T, so each answer counts as a deadline that was handed out, by the machine's
// boot clock.
type judge struct {
	mu       sync.Mutex // guards what follows, and orders the events
	check    *check.Checker
	given    map[string]uint64 // agent -> the last token whose end was asked for
	breaches []string
}

// breachesKept bounds the list of broken promises.
const breachesKept = 20

func newJudge() *judge {
	return &judge{check: check.New(), given: map[string]uint64{}}
}

// hear checks an answer of an agent.
func (j *judge) hear(s *api.Status) {
	if s.Role != api.RoleGoose {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	now := boottime.Now()
	until := time.Duration(s.Lease.UntilBoottimeNS)
	if until <= now || s.Token <= j.given[s.Name] {
		return // nobody may act by it any more, or it was on its way when it was handed over
	}
	j.see(check.Event{
		At: now, Kind: check.HandedOut, Agent: s.Name, Flock: s.FlockID, Token: s.Token, Until: until, Holder: "what it answered",
	})
}

// list checks of which elections an agent says that it is the goose, asked at a moment of the
// boot clock. There are no deadlines, because geese hand over by themselves: of two at one
// moment, the older one breaks P3 when it answers again.
func (j *judge) list(agent string, asked time.Duration, list []api.ElectionInfo) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := boottime.Now()
	for i := range list {
		if e := &list[i]; e.LeaseValid {
			j.see(check.Event{Since: asked, At: now, Kind: check.Answered, Agent: agent, Election: e.Name, Token: e.Token})
		}
	}
}

// see checks an event; mu is held.
func (j *judge) see(e check.Event) {
	v := j.check.See(e)
	if v != nil && len(j.breaches) < breachesKept && !slices.Contains(j.breaches, v.Error()) {
		j.breaches = append(j.breaches, v.Error())
	}
}

// ends says that a goose was asked to hand over, or leaves a last will: its earlier answers do
// not count any more.
func (j *judge) ends(s *api.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.given[s.Name] = s.Token
	j.check.See(check.Event{At: boottime.Now(), Kind: check.Drained, Agent: s.Name, Flock: s.FlockID, Holder: "what it answered"})
}

func (j *judge) verdict() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.breaches...)
}

// text returns the verdict as the end of an error.
func (j *judge) text() string {
	if v := j.verdict(); len(v) > 0 {
		return "; broken promises: " + strings.Join(v, "; ")
	}
	return ""
}
