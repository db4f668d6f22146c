package soak

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/check"
)

// observer turns what agents publish into events for the checker, and into the timeline
// of the report. All agents run on this machine, so one clock measures their deadlines
// and ours.
type observer struct {
	seq        *sequence
	conditions *conditions

	mu      sync.Mutex // guards what follows
	agents  map[string]*observed
	names   map[string]string // by id: an agent that lost its disk has several
	owners  map[uint64]string // by token: the first id that was named as its goose
	flock   string            // the flock's id
	periods []*GoosePeriod    // in order of time
}

// observed is what was seen of the agents of one name.
type observed struct {
	name   string
	up     bool
	status api.Status   // the latest one of its watch
	sight  sighting     // its latest answer that it is the goose
	period *GoosePeriod // the present one; nil: none
	spans  []Span
	// counters of the running process, and of all earlier ones.
	now, before map[string]uint64
}

// sighting is an answer of an agent that it is the goose. It was true at the moment at.
// It stays true until the moment until, unless the agent changes its mind and so its
// seq.
type sighting struct {
	seq, token uint64
	at, until  time.Duration
}

// rounding is the largest rounding error of remaining_ms.
const rounding = 100 * time.Microsecond

// sightingOf returns when an answer was true: the agent counted its remaining lease
// from that moment.
func sightingOf(s *api.Status) sighting {
	until := time.Duration(s.Lease.UntilBoottimeNS)
	return sighting{s.Seq, s.Token, until - time.Duration(s.Lease.RemainingMS*float64(time.Millisecond)), until}
}

// Span is a time in which an agent had one state.
type Span struct {
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"`
	State string        `json:"state"` // down, duck, candidate, dead
}

// down is the state of an agent that does not answer.
const down = "down"

// GoosePeriod is a time in which an agent answered that it is the goose under one token.
type GoosePeriod struct {
	Agent string        `json:"agent"`
	Token uint64        `json:"token"`
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"` // of the last such answer
}

func newObserver(names []string, start time.Duration, seq *sequence, w *conditions) *observer {
	o := &observer{seq: seq, conditions: w, agents: map[string]*observed{}, names: map[string]string{}, owners: map[uint64]string{}}
	for _, name := range names {
		o.agents[name] = &observed{name: name, spans: []Span{{start, start, down}}, before: map[string]uint64{}}
	}
	return o
}

// see handles a status from an agent's watch; up is false when the watch has ended.
func (o *observer) see(name string, s api.Status, up bool) {
	now := boottime.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.agents[name]
	if !up {
		a.end(now)
		o.conditions.gone(name)
		return
	}
	a.up, a.status = true, s
	o.conditions.leased(millis(s.LeaseMS), millis(s.Heartbeat))
	a.count(s.Counters)
	if s.Role == api.RoleDead || s.FlockID == "" {
		o.conditions.gone(name)
	} else {
		o.names[s.ID] = name
		o.conditions.here(name, s.ID, s.Config, s.Generation)
		o.record(now, &s)
	}
	state := s.Role
	if state == api.RoleGoose {
		state = api.RoleDuck // its period is drawn over it
	}
	a.span(now, state)
	o.answer(a, &s)
}

const (
	// pollGoose and pollDuck are the pauses between two requests to an agent.
	pollGoose = 20 * time.Millisecond
	pollDuck  = 250 * time.Millisecond
	// pollLimit is how long to wait for an answer. A stopped agent answers late, and a
	// late answer counts like any other.
	pollLimit = 15 * time.Second
)

// poll asks one agent again and again, more often while it may be the goose.
func (o *observer) poll(ctx context.Context, a *flock.Agent) {
	for next := pollDuck; flock.Sleep(ctx, next) == nil; {
		ask, cancel := context.WithTimeout(ctx, pollLimit)
		s, err := a.Client().Status(ask)
		cancel()
		if err == nil {
			o.polled(a.Name, s)
		}
		if next = pollDuck; o.mayBeGoose(a.Name) {
			next = pollGoose
		}
	}
}

func (o *observer) mayBeGoose(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.agents[name]
	return a.up && a.status.Role == api.RoleGoose
}

// polled handles an answer to a request.
func (o *observer) polled(name string, s api.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.agents[name]
	if a.up && a.status.ID == s.ID {
		a.count(s.Counters)
	}
	o.answer(a, &s)
}

// record passes to the checker what an agent shows of what it must never forget (P6).
// Only its watch counts, because answers to requests may overtake each other.
func (o *observer) record(now time.Duration, s *api.Status) {
	var voters []string
	for _, v := range s.Config.Voters {
		voters = append(voters, fmt.Sprintf("%s:%d", v.ID, v.Priority))
	}
	slices.Sort(voters)
	o.flock = cmp.Or(o.flock, s.FlockID)
	o.seq.push(check.Event{At: now, Kind: check.Recorded, Agent: s.ID, Flock: s.FlockID, Record: check.Record{
		Generation: s.Generation, Term: s.Term,
		Config: check.Config{Term: s.Config.Term, Version: s.Config.Version, Voters: strings.Join(voters, " ")},
	}})
}

// answer passes to the checker who is the goose by one answer.
func (o *observer) answer(a *observed, s *api.Status) {
	if s.Goose != nil && s.Token != 0 && o.owners[s.Token] != s.Goose.ID {
		if _, known := o.owners[s.Token]; !known {
			o.owners[s.Token] = s.Goose.ID
		}
		o.seq.push(check.Event{At: boottime.Now(), Kind: check.Led, Agent: s.Goose.ID, Flock: s.FlockID, Token: s.Token})
	}
	if s.Role != api.RoleGoose {
		if s.Seq > a.sight.seq {
			a.period = nil
		}
		return
	}
	before, now := a.sight, sightingOf(s)
	if before.token == now.token && now.at <= before.at {
		return // a newer answer came before it
	}
	a.sight = now
	e := check.Event{At: now.at + rounding, Since: now.at - rounding, Kind: check.Answered, Agent: s.ID, Flock: s.FlockID, Token: now.token}
	o.seq.push(e)
	if before.token == now.token && before.seq == now.seq && now.at <= before.until && a.period != nil {
		// Nothing changed between the two answers and the lease did not end: the agent
		// was the goose all the time.
		e.Kind, e.At, e.Until = check.Published, before.at+rounding, now.at-rounding
		if e.Until > e.At {
			o.seq.push(e)
		}
		a.period.To = now.at
		return
	}
	a.period = &GoosePeriod{Agent: a.name, Token: now.token, From: now.at, To: now.at}
	o.periods = append(o.periods, a.period)
}

// named replaces ids by names: the checker knows agents by the ids of their disks.
func (o *observer) named(text string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, name := range o.names {
		text = strings.ReplaceAll(text, id, name)
	}
	return text
}

// flockID returns the flock's id.
func (o *observer) flockID() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flock
}

// goose returns who was the goose by its last answer; "": its lease has ended since.
func (o *observer) goose() (name string, token uint64) {
	now := boottime.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.agents {
		if a.up && a.status.Role == api.RoleGoose && a.sight.until > now && a.sight.token > token {
			name, token = a.name, a.sight.token
		}
	}
	return name, token
}

// end records that the process has stopped answering.
func (a *observed) end(now time.Duration) {
	a.up, a.period, a.sight = false, nil, sighting{}
	for k, v := range a.now {
		a.before[k] += v
	}
	a.now = nil
	a.span(now, down)
}

func (a *observed) span(now time.Duration, state string) {
	last := &a.spans[len(a.spans)-1]
	last.To = now
	if last.State != state {
		a.spans = append(a.spans, Span{now, now, state})
	}
}

func (a *observed) count(counters map[string]uint64) {
	if a.now == nil || counters["datagrams_sent"] >= a.now["datagrams_sent"] {
		a.now = counters
	}
}

// counted returns the sum of a counter over all processes of the agent.
func (a *observed) counted(name string) uint64 { return a.before[name] + a.now[name] }
