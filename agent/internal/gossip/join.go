package gossip

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/seeds"
)

const (
	// joinFirst is the first pause between rounds of a life: agents that start together
	// call one another before all of them listen.
	joinFirst = 50 * time.Millisecond
	// rejoinFirst is the first pause after the number of missing addresses has changed.
	rejoinFirst = time.Second
	maxRejoin   = 20 * time.Second
	// eagerFor is how long pauses stay short for an agent that has met nobody: the one that it
	// calls turns some away while hundreds join.
	eagerFor = 30 * time.Second
	// callsAtOnce bounds the calls under way. All addresses get their turn, even if
	// some calls hang.
	callsAtOnce = 32
	// headStart is how long an agent that has met nobody waits for an answer before it calls
	// the next address, then two more, then four: each agent that answers shows it the whole
	// flock, which takes milliseconds of both in a large one.
	headStart = 250 * time.Millisecond
	// joinGrace is how long Join waits for more answers after the first one.
	joinGrace = time.Second
	// smallFlock is up to how many agents a newcomer still calls all addresses to join once the
	// first has answered: that one may not know yet who has just joined through another, and
	// gossip may miss to tell both of each other for a minute.
	smallFlock = 32
)

// joiner calls missing agents for as long as this agent runs. memberlist forgets
// failed nodes after 30 s and never calls them again (its issue 222), so without a
// joiner a longer cut would never heal.
type joiner struct {
	g        *Gossip
	ctx      context.Context
	cancel   context.CancelFunc
	ended    sync.WaitGroup
	seeds    *seeds.List
	saved    map[election.ID]Known
	seen     uint64        // the version of the peers in saved
	saveAt   time.Time     // when many may be saved next
	answered atomic.Bool   // another agent was met
	met      chan struct{} // of capacity 1: Peers has changed
	wake     chan struct{} // of capacity 1: there is something to call, or room for a call
	rounds   int
	metIn    int                     // the round in which another agent was first met
	called   map[netip.AddrPort]bool // in this round
	most     int                     // calls that may be under way while nobody has been met
	step     int                     // by which most grew last
	growsAt  time.Time               // when most grows, because those that are called do not answer
	first    int                     // the address to join that is called first, so that of many agents not all call the same one

	mu struct { // guards what follows, and that nothing is begun after stop
		sync.Mutex
		calling map[netip.AddrPort]bool
		more    bool // addresses that the round has not called may be known
	}
}

func (j *joiner) start(g *Gossip) {
	j.g = g
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.called, j.mu.calling = map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	j.seeds = seeds.NewList(nil, j.background, j.found)
	j.seeds.Set(g.opts.Join)
	j.first = rand.Int()
	j.saved = map[election.ID]Known{}
	for _, p := range g.opts.Known {
		j.saved[p.ID] = p
	}
	j.background(j.forever)
}

func (j *joiner) stop() {
	j.mu.Lock()
	j.cancel()
	j.mu.Unlock()
	j.ended.Wait()
}

// found adds new addresses to the current round.
func (j *joiner) found() {
	j.mu.Lock()
	j.mu.more = true
	j.mu.Unlock()
	signal(j.wake)
}

// background runs f on a goroutine that stop waits for. After stop it returns
// false.
func (j *joiner) background(f func(context.Context)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx.Err() != nil {
		return false
	}
	j.ended.Go(func() { f(j.ctx) })
	return true
}

// forever calls missing addresses in rounds, each once a round, callsAtOnce at the
// same time. The pause between rounds grows while the number of missing addresses
// is unchanged: some stay missing though they answer, such as another address of
// this agent itself.
func (j *joiner) forever(ctx context.Context) {
	var next, lookAt time.Time
	began := time.Now()
	wait, missed, gone := joinFirst, 0, 0
	done := true // all addresses of the round were called
	for {
		j.remember()
		done = done && !j.takeMore()
		n := j.gone()
		if now := time.Now(); done && (n != gone || !now.Before(next)) {
			clear(j.called)
			j.rounds++
			j.grow(now, 1)
			missing := len(j.missing())
			if missing != missed {
				wait = min(wait, rejoinFirst)
			}
			if missing != missed || n != gone || !now.Before(lookAt) {
				j.seeds.Look()
				lookAt = now.Add(wait/2 + rand.N(wait))
				wait = min(2*wait, maxRejoin)
			}
			gone, missed, done = n, missing, false
			next = lookAt
			if soon := now.Add(rejoinFirst/2 + rand.N(rejoinFirst)); !j.answered.Load() && now.Sub(began) < eagerFor && soon.Before(next) {
				next = soon // without a look: some ask a cloud
			}
		}
		pause := rejoinFirst
		if !done {
			pause, done = j.call(j.missing())
		}
		if done {
			pause = time.Until(next)
		}
		if !j.rest(ctx, pause) {
			return
		}
	}
}

func (j *joiner) takeMore() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	more := j.mu.more
	j.mu.more = false
	return more
}

// rest waits until there is something to do, at most for pause, and at most for
// rejoinFirst once peers have changed. It saves the first addresses as soon as they are
// known: an agent that crashed before would find nobody after its restart, and would not
// know the names of the other voters.
func (j *joiner) rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var changed <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-changed:
			return true
		case <-j.wake:
			return true
		case <-j.met:
			if len(j.saved) < savedAtOnce {
				j.remember()
			}
			if changed == nil {
				changed = time.After(rejoinFirst)
			}
		}
	}
}

// missing returns the addresses where nobody alive is known: first those to join,
// then the last known addresses in any order. Until the expected founders are met,
// those to join count as missing: they know the others first. So they do in the round in which
// a newcomer first meets a small flock.
func (j *joiner) missing() []netip.AddrPort {
	known, listed := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	j.g.mu.Lock()
	for _, p := range j.g.mu.peers {
		if p.State == member.Alive && !p.refused {
			known[p.Addr] = true
		}
	}
	own := &j.g.mu.own
	founds := own.FlockID.IsZero() && len(known) < int(own.Expect)
	if self := j.g.mu.peers[j.g.opts.ID]; self != nil {
		listed[self.Addr] = known[self.Addr]
	}
	j.g.mu.Unlock()
	var missing []netip.AddrPort
	add := func(a netip.AddrPort, wanted bool) {
		if wanted && !listed[a] {
			listed[a] = true
			missing = append(missing, a)
		}
	}
	join := j.seeds.Addrs()
	for i := range join {
		a := join[(i+j.first%len(join))%len(join)]
		add(a, founds || !known[a] || j.rounds == j.metIn && len(known) <= smallFlock)
	}
	for _, k := range j.saved {
		add(k.Addr, founds || !known[k.Addr])
	}
	return missing
}

// call starts calls to the addresses that this round has not called yet, while
// there is room. It reports whether all were called, and if not, when to go on.
func (j *joiner) call(addrs []netip.AddrPort) (pause time.Duration, done bool) {
	for _, a := range addrs {
		if j.called[a] {
			continue
		}
		j.mu.Lock()
		busy, calls := j.mu.calling[a], len(j.mu.calling)
		j.mu.Unlock()
		if !busy {
			if room, pause := j.room(time.Now()); calls >= room {
				return pause, false
			}
			j.callOne(a)
		}
		j.called[a] = true // also one whose last call still runs
	}
	return 0, true
}

// room returns how many calls may be under way, and when there may be more. Founders call
// all at once: they need each other.
func (j *joiner) room(now time.Time) (calls int, grows time.Duration) {
	if j.answered.Load() || j.founds() {
		return callsAtOnce, rejoinFirst
	}
	if !now.Before(j.growsAt) {
		j.grow(now, min(2*j.step, callsAtOnce))
	}
	return min(j.most, callsAtOnce), j.growsAt.Sub(now)
}

// grow makes room for some calls beside those that do not answer.
func (j *joiner) grow(now time.Time, step int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.step, j.most, j.growsAt = step, len(j.mu.calling)+step, now.Add(headStart)
}

// founds reports whether this agent founds a flock with others.
func (j *joiner) founds() bool {
	j.g.mu.Lock()
	defer j.g.mu.Unlock()
	return j.g.mu.own.Expect != 0 && j.g.mu.own.FlockID.IsZero()
}

func (j *joiner) callOne(a netip.AddrPort) {
	j.mu.Lock()
	j.mu.calling[a] = true
	j.mu.Unlock()
	j.background(func(context.Context) {
		j.answers(a)
		j.mu.Lock()
		delete(j.mu.calling, a)
		j.mu.Unlock()
		signal(j.wake)
	})
}

// answers calls an address and reports whether an agent of the flock answered.
func (j *joiner) answers(a netip.AddrPort) bool {
	n, err := j.g.list.Join([]string{a.String()})
	if err != nil || n == 0 {
		return false
	}
	j.g.meet(a)
	return true
}

// meet notes that the agent at an address has answered this one.
func (g *Gossip) meet(at netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, p := range g.mu.peers {
		if p.Addr == at && id != g.opts.ID && !p.Met {
			p.Met = true
			g.change(id)
		}
	}
}

// Seed replaces the addresses to join.
func (g *Gossip) Seed(join []string) {
	g.join.seeds.Set(join)
	g.join.seeds.Look()
	g.join.found()
}

// SeedAddrs returns the addresses to join that are known by now.
func (g *Gossip) SeedAddrs() []netip.AddrPort { return g.join.seeds.Addrs() }

// OtherSeeds returns what to join, as it was given, without what is this agent alone.
func (g *Gossip) OtherSeeds() []string { return g.join.seeds.Others(g.own()) }

// SeedFaults returns which of the addresses to join cannot be called, and why.
func (g *Gossip) SeedFaults() []string { return g.join.seeds.Faults() }

// Unanswered reports whether no other agent has been met since Start.
func (g *Gossip) Unanswered() bool { return !g.join.answered.Load() }

// own is this agent's address.
func (g *Gossip) own() netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.mu.peers[g.opts.ID]; p != nil {
		return p.Addr
	}
	return netip.AddrPort{}
}
