package soak

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/netem/check"
	"duckduckgoose/netem/shape"
)

// conditions records the faults and computes when a goose is due (P4): when some voter can
// talk both ways with a majority of the voters.
type conditions struct {
	seq   *sequence
	names []string
	slack time.Duration

	mu     sync.Mutex  // guards what follows
	limits check.Bound // for the longest lease that any agent has shown
	places map[string]*place
	shapes []shape.Shape // a link works if all of them let it pass
	noisy  bool          // packets are lost or late, so everything takes longer
	links  map[[2]string]time.Duration
	// configs are the two newest sets of voters that any agent has shown, the newest
	// first.
	configs []shown
	owed    time.Duration // since when a goose is due; 0: it is not
	excused int           // stalls that delayed that
}

// place is what is known of the agent of one name.
type place struct {
	id      string
	harmed  bool          // by this soak
	since   time.Duration // it may vote from then on; 0: it does not answer
	healthy time.Duration // the end of the last harm
}

// shown is a set of voters and its place in the order of configs.
type shown struct {
	generation, term, version uint64
	voters                    []api.Voter
	at                        time.Duration
}

// configAge is how long the second newest config still counts: the newest may not be
// committed.
const configAge = 30 * time.Second

// loopbackRTT is the longest round trip of a busy machine to itself. mostVoters is the
// largest number of voters, and so of successors.
const (
	loopbackRTT = 1750 * time.Microsecond
	mostVoters  = 5
)

// noise is the factor by which a goose may take longer while packets are lost or late.
const noise = 4

func newConditions(seq *sequence, names []string, heartbeat, lease, slack time.Duration) *conditions {
	w := &conditions{seq: seq, names: names, slack: slack, places: map[string]*place{}, links: map[[2]string]time.Duration{}}
	for _, name := range names {
		w.places[name] = &place{}
	}
	w.limits = check.Bound{Lease: lease, Heartbeat: heartbeat, RTT: loopbackRTT}
	return w
}

// bound returns within which time a goose is due.
func (w *conditions) bound() time.Duration { return w.limits.Within(mostVoters) + w.slack }

// leased records the lease and the heartbeat that an agent shows: a goose may choose longer ones.
func (w *conditions) leased(lease, heartbeat time.Duration) {
	w.change(func() {
		before := w.bound()
		w.limits.Lease, w.limits.Heartbeat = max(w.limits.Lease, lease), max(w.limits.Heartbeat, heartbeat)
		if w.bound() != before { // the time until now counts under the other bound
			w.excuse(boottime.Now())
		}
	})
}

// here records that an agent answers, as a member of the flock.
func (w *conditions) here(name, id string, c api.Config, generation uint64) {
	w.change(func() {
		now := boottime.Now()
		p := w.places[name]
		if p.since == 0 || p.id != id {
			p.id = id
			p.since = now + 2*w.limits.Lease*101/100 // rule 13: promise_max is at most two leases
		}
		w.learn(c, generation, now)
	})
}

// gone records that an agent does not answer.
func (w *conditions) gone(name string) { w.change(func() { w.places[name].since = 0 }) }

// harm records that an agent is about to be harmed, or that the harm is over.
func (w *conditions) harm(name string, harmed bool) {
	w.change(func() {
		w.places[name].harmed, w.places[name].healthy = harmed, boottime.Now()
	})
}

// partitioned records the partitions of which one may be in force: two while one
// replaces the other.
func (w *conditions) partitioned(shapes ...shape.Shape) { w.change(func() { w.shapes = shapes }) }

// setNoisy records whether packets are lost or late.
func (w *conditions) setNoisy(noisy bool) {
	w.change(func() {
		if w.noisy != noisy { // the time until now counts under the other bound
			w.noisy = noisy
			w.excuse(boottime.Now())
		}
	})
}

func (w *conditions) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
	w.judge(boottime.Now())
}

// tick checks what changes by time alone.
func (w *conditions) tick() { w.change(func() {}) }

// stalled records that this machine stalled: no goose is due for that time.
func (w *conditions) stalled(from time.Duration) {
	w.change(func() {
		w.excused++
		w.excuse(from)
	})
}

func (w *conditions) excuse(at time.Duration) {
	if w.owed != 0 {
		w.owed = 0
		w.seq.push(check.Event{At: at, Kind: check.Excused})
	}
}

// learn keeps the two newest sets of voters.
func (w *conditions) learn(c api.Config, generation uint64, now time.Duration) {
	if len(c.Voters) == 0 {
		return
	}
	s := shown{generation, c.Term, c.Version, c.Voters, now}
	if len(w.configs) > 0 {
		top := &w.configs[0]
		newer := cmp.Or(cmp.Compare(generation, top.generation), cmp.Compare(c.Term, top.term), cmp.Compare(c.Version, top.version))
		if newer <= 0 {
			return
		}
		if slices.Equal(s.ids(), top.ids()) {
			s.at = top.at
			*top = s
			return
		}
		w.configs = w.configs[:1]
	}
	w.configs = slices.Insert(w.configs, 0, s)
}

func (s *shown) ids() (ids []string) {
	for _, v := range s.voters {
		ids = append(ids, v.ID)
	}
	slices.Sort(ids)
	return ids
}

// judge tells the checker when a goose becomes due, and when none is due any longer.
func (w *conditions) judge(now time.Duration) {
	w.relink(now)
	due := w.due(now)
	if w.owed != 0 && (due == 0 || due > w.owed) {
		w.excuse(now) // the voter that made it due is no longer able
	}
	if due != 0 && w.owed == 0 {
		w.owed = now
		bound := w.bound()
		if w.noisy {
			bound *= noise
		}
		w.seq.push(check.Event{At: now, Kind: check.Due, Bound: bound})
	}
}

// able returns since when an agent can take part; 0: it cannot.
func (w *conditions) able(name string, now time.Duration) time.Duration {
	p := w.places[name]
	since := max(p.since, p.healthy)
	if p.harmed || p.since == 0 || since > now {
		return 0
	}
	return since
}

// relink records since when two agents can talk both ways.
func (w *conditions) relink(now time.Duration) {
	for i, a := range w.names {
		for _, b := range w.names[i+1:] {
			link := [2]string{a, b}
			if !w.open(a, b) || w.able(a, now) == 0 || w.able(b, now) == 0 {
				delete(w.links, link)
			} else if w.links[link] == 0 {
				w.links[link] = now
			}
		}
	}
}

func (w *conditions) open(a, b string) bool {
	for _, s := range w.shapes {
		if !s.Passes(a, b) || !s.Passes(b, a) {
			return false
		}
	}
	return true
}

// due returns since when some voter can talk both ways with a majority, in every config
// that may count; 0: none can.
func (w *conditions) due(now time.Duration) (first time.Duration) {
	for _, name := range w.names {
		var since time.Duration
		for i, c := range w.configs {
			if i > 0 && now-w.configs[0].at > configAge {
				break
			}
			s := w.reaches(name, c.voters, now)
			if s == 0 {
				since = 0
				break
			}
			since = max(since, s)
		}
		if since != 0 && (first == 0 || since < first) {
			first = since
		}
	}
	return first
}

// reaches returns since when a voter can talk both ways with a majority of the voters.
func (w *conditions) reaches(name string, voters []api.Voter, now time.Duration) time.Duration {
	var since []time.Duration
	leads := false
	for _, v := range voters {
		for other, p := range w.places {
			switch {
			case p.id != v.ID:
			case other == name:
				leads = v.Priority > 0
				if s := w.able(name, now); s != 0 {
					since = append(since, s)
				}
			default:
				if s := w.links[[2]string{min(name, other), max(name, other)}]; s != 0 {
					since = append(since, s)
				}
			}
		}
	}
	most := len(voters)/2 + 1
	if !leads || len(since) < most {
		return 0
	}
	slices.Sort(since)
	return since[most-1]
}

// inForce returns the partitions of which one may be in force.
func (w *conditions) inForce() []shape.Shape {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.shapes)
}

// voters returns the names of the voters of the newest config that run with their id.
func (w *conditions) voters() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.names {
		if w.isVoter(w.places[name].id) {
			names = append(names, name)
		}
	}
	return names
}

// lost counts the voters of the newest config whose disk is lost.
func (w *conditions) lost() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.configs) == 0 {
		return 0
	}
	for _, v := range w.configs[0].voters {
		if !slices.ContainsFunc(w.names, func(name string) bool { return w.places[name].id == v.ID }) {
			n++
		}
	}
	return n
}

func (w *conditions) isVoter(id string) bool {
	return len(w.configs) > 0 && slices.ContainsFunc(w.configs[0].voters, func(v api.Voter) bool { return v.ID == id })
}
