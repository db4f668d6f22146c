package top

import (
	"cmp"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/monitor"
)

// Picture is a flock at one moment.
type Picture struct {
	At      time.Time
	Title   string // which flock this is
	Faults  string // in force on all of it; "" for none, or none is known
	Trouble string // why the picture is old; "": it is not
	From    string // the agent whose round trips and losses are shown; "": none
	Agents  []Agent
}

// Agent is one agent of a picture. What is unknown is zero, or nil.
type Agent struct {
	Name  string
	State string // one of those below
	// Local: its socket is on this machine, so Status is its own.
	Local  bool
	Status api.Status    // of one that is up
	Member *api.Member   // as another sees it by gossip
	Seen   string        // by gossip: suspect or failed, where another cannot reach it
	Left   time.Duration // of its own lease
	Age    time.Duration // of its process, or since the process ended
	RTT    *time.Duration
	Loss   *float64
	// Promise is what it has promised as a voter.
	Promise *monitor.Promise
	PID     int
	Log     string // where its log is
	Note    string // what is unusual
}

// The states of an agent.
const (
	StateUp       = "up"       // it answers at its socket
	StateStarting = "starting" // it runs and does not answer yet
	StateKilled   = "killed"
	StateEnded    = "ended"     // by itself
	StateSilent   = "no answer" // at its socket
	StateUnknown  = "unknown"   // no agent reports it
	// Agents without a socket here have their state by gossip.
	StateAlive   = api.StateAlive
	StateSuspect = api.StateSuspect
	StateFailed  = api.StateFailed
	StateLeft    = api.StateLeft
)

// Hangs is the note of an agent that accepts questions and does not answer them.
const Hangs = "it hangs: no answers"

// role is the text of the column ROLE: what the agent does, or why it does nothing.
func (a *Agent) role(g Goose) string {
	switch {
	case a.State == StateAlive && a.Name == g.Name:
		return api.RoleGoose
	case a.State == StateAlive && a.Member != nil:
		return standing(api.RoleDuck, a.Member.Voter, a.Member.Priority)
	case a.State != StateUp:
		return a.State
	case a.Status.Role == api.RoleDead:
		return "dead (simulated)"
	case a.Status.FlockID == "": // nobody votes before the founding
		return a.Status.Role
	}
	return standing(a.Status.Role, a.Status.Voter, a.Status.Priority)
}

// standing is the role of a duck, by what it may do in an election.
func standing(role string, voter bool, priority uint8) string {
	switch {
	case role != api.RoleDuck:
		return role
	case !voter:
		return "observer"
	case priority == 0:
		return "witness"
	}
	return role
}

// live reports whether the agent takes part.
func (a *Agent) live() bool {
	switch a.State {
	case StateUp:
		return a.Status.Role != api.RoleDead
	case StateAlive, StateSuspect:
		return true
	}
	return false
}

// addr is the address by which others reach the agent; "": unknown.
func (a *Agent) addr() string {
	if a.Status.Addr == "" && a.Member != nil {
		return a.Member.Addr
	}
	return a.Status.Addr
}

// Goose is who leads a flock; zero: nobody.
type Goose struct {
	Name        string
	Term, Token uint64
}

// Goose finds the goose: the agent with the highest token that says that it is the goose
// and has a lease; or the one that others follow, if its socket is not on this machine.
func (p *Picture) Goose() (g Goose) {
	local := map[string]bool{}
	for i := range p.Agents {
		local[p.Agents[i].Name] = p.Agents[i].Local
	}
	for i := range p.Agents {
		a := &p.Agents[i]
		s := &a.Status
		switch {
		case a.State != StateUp || s.Token <= g.Token:
		case s.Role == api.RoleGoose && a.Left > 0:
			g = Goose{a.Name, s.Term, s.Token}
		case s.Goose != nil && s.Role != api.RoleDead && !local[s.Goose.Name]:
			g = Goose{s.Goose.Name, s.Goose.Term, s.Token}
		}
	}
	return g
}

// best returns the status with the newest config; nil: no agent answers.
func (p *Picture) best() (best *api.Status) {
	for i := range p.Agents {
		s := &p.Agents[i].Status
		if p.Agents[i].State != StateUp || best != nil && !newer(s, best) {
			continue
		}
		best = s
	}
	return best
}

// Voters returns the voters of the newest known config.
func (p *Picture) Voters() []api.Voter {
	if s := p.best(); s != nil {
		return s.Config.Voters
	}
	return nil
}

func newer(s, than *api.Status) bool {
	a, b := s.Config, than.Config
	by := cmp.Or(cmp.Compare(s.Generation, than.Generation), cmp.Compare(a.Term, b.Term), cmp.Compare(a.Version, b.Version))
	return by > 0 || by == 0 && s.Role == api.RoleGoose && than.Role != api.RoleGoose
}

// See adds what one agent sees of the others.
func (p *Picture) See(v monitor.View) {
	old := v.Old(p.At)
	if p.From = v.From; old {
		p.From = ""
	}
	led := p.Goose().Token != 0 // only heartbeats measure paths
	by := map[string]*api.Member{}
	for i := range v.Members {
		by[v.Members[i].Name] = &v.Members[i]
	}
	for i := range p.Agents {
		a := &p.Agents[i]
		if a.Member == nil {
			a.Member = by[a.Name]
		}
		if a.Member == nil || !a.live() || old {
			continue
		}
		a.seePromise(&v, p.At)
		switch seen := a.Member.State; {
		case seen == StateSuspect || seen == StateFailed:
			a.Seen = seen
		case led && !v.Unheard(a.Member):
			a.seePath(&v)
		}
	}
}

func (a *Agent) seePromise(v *monitor.View, at time.Time) {
	p, ok := v.Promises[a.Member.ID]
	if !ok {
		return
	}
	if !v.Fresh(at) { // an old view must not show leases longer than they are
		p.Left -= at.Sub(v.At)
		p.Waits -= at.Sub(v.At)
	}
	a.Promise = &p
}

func (a *Agent) seePath(v *monitor.View) {
	if d, ok := v.RTT[a.Member.ID]; ok {
		a.RTT = &d
	}
	if l, ok := v.Loss[a.Member.ID]; ok {
		a.Loss = &l
	}
}
