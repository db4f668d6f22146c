package member

import (
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// leases are the lengths of a lease that --lease auto chooses from, and beats the numbers
// of heartbeats in a lease.
var (
	leases = [...]time.Duration{
		100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond,
		750 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2 * time.Second, 3 * time.Second, 5 * time.Second,
	}
	beats = [...]int{5, 10, 16, 25, 40, 50}
)

const (
	// leastBeat bounds what a short lease costs: at most 50 heartbeats a second.
	leastBeat = 20 * time.Millisecond
	// fits is how many times the slowest answer of a majority fits into a lease, beside the
	// heartbeats that may be lost.
	fits = 3
	// lapseChance is the chance, per heartbeat, that the heartbeats that a lease can spare
	// are all lost.
	lapseChance = 1e-8
	// leastLoss is taken for the loss of a path on which nothing was lost.
	leastLoss = 1e-4
	// calm is how long a shorter lease must have been enough before the lease gets one step
	// shorter. It doubles with each rise, up to mostCalm, and a mostCalm without one ends that.
	calm     = 10 * time.Minute
	mostCalm = 24 * time.Hour
	// unanswered is the delay of a voter that answers nothing.
	unanswered = time.Duration(1<<63 - 1)
)

// pacer chooses the length of a goose's lease and the heartbeat for the network and the
// machines that it has (--lease auto). It is told the time, so the same inputs make the
// same choices. It lasts for one lead: what it knows is what this goose has measured.
type pacer struct {
	term   uint64
	length int // the choice: leases[length], in beats[beats] heartbeats
	beats  int
	why    string

	near     bool          // a renewal came late: raise the lease by a step
	due      bool          // there is something new to choose by
	calmFrom time.Duration // since when less would be enough
	wait     time.Duration // for how long that must last
	roseAt   time.Duration
	own      hour // late wake-ups of this agent's loop
	paths    []path
	round    uint64 // the last one sent
}

// newPacer begins with a pace, or the next longer one.
func newPacer(now time.Duration, term uint64, from election.Pace) *pacer {
	p := &pacer{term: term, calmFrom: now, wait: calm, roseAt: now, due: true, why: "the lease it began with"}
	for p.length < len(leases)-1 && leases[p.length] < from.Lease {
		p.length++
	}
	for p.beats < len(beats)-1 && time.Duration(beats[p.beats])*from.Heartbeat < from.Lease && p.allows(p.length, p.beats+1) {
		p.beats++
	}
	return p
}

// allows reports whether a lease is long enough for that many heartbeats.
func (p *pacer) allows(length, many int) bool {
	return many == 0 || leases[length]/time.Duration(beats[many]) >= leastBeat
}

func (p *pacer) pace() election.Pace {
	return election.Pace{Lease: leases[p.length], Heartbeat: leases[p.length] / time.Duration(beats[p.beats])}
}

func (p *pacer) path(id election.ID) *path {
	i := slices.IndexFunc(p.paths, func(v path) bool { return v.id == id })
	if i < 0 {
		if len(p.paths) >= 2*election.MaxVoters {
			p.paths = slices.DeleteFunc(p.paths, func(v path) bool { return v.round+64 < p.round }) // out of view
		}
		i = len(p.paths)
		p.paths = append(p.paths, path{id: id})
	}
	return &p.paths[i]
}

// beat records that a heartbeat left.
func (p *pacer) beat(now time.Duration, to election.ID, round uint64) {
	v := p.path(to)
	p.round, p.due = round, true
	if round-v.round > 64 {
		v.round, v.sent = 0, 0 // it was out of view
	}
	for v.round == 0 || v.round < round {
		if v.sent == 64 {
			w := v.hour.now(now)
			w.sent++
			if v.answered>>63 == 0 {
				w.missed++
			}
		}
		v.answered <<= 1
		v.sent = min(v.sent+1, 64)
		if v.round == 0 {
			v.round = round
		} else {
			v.round++
		}
	}
}

// ack records the answer to a heartbeat.
func (p *pacer) ack(now time.Duration, s *election.Sample) {
	v := p.path(s.Peer)
	v.answered |= 1 << (v.round - s.Round) // no bit, if that round is long past or was not sent
	if v.rtt == 0 {
		v.rtt = s.Took
	}
	v.rtt += (s.Took - v.rtt) / 8
	v.hour.add(now, max(s.Took, min(s.Pause, unpausable)+v.rtt))
}

// unpausable bounds what a pause, as others tell it, may do to the lease.
const unpausable = 5 * time.Second

// paused records that this agent's loop woke up late.
func (p *pacer) paused(now, late time.Duration) { p.own.add(now, min(late, unpausable)) }

// renewed records that a lease was renewed which had this much left. A longer one, of before
// the lease got shorter, may have little left of itself.
func (p *pacer) renewed(was election.Lease, left time.Duration) {
	p.due = true
	p.near = p.near || was.Length >= leases[p.length] && left < leases[p.length]/3
}

// need is what a lease must bear.
type need struct {
	delay  time.Duration // of the slowest answer in the fastest majority
	loss   float64       // of the worst path in the best majority
	spares int           // heartbeats in a row that may be lost
}

// needs returns what the present voters need; known: a majority answers.
func (p *pacer) needs(now time.Duration, self election.ID, c *election.Config) (n need, known bool) {
	quorum := c.Quorum() - 1
	n.spares = 1
	if quorum == 0 {
		n.delay = p.own.worst(now)
		return n, true
	}
	delays, rtts := make([]time.Duration, 0, election.MaxVoters), make([]time.Duration, 0, election.MaxVoters)
	losses := make([]float64, 0, election.MaxVoters)
	for _, voter := range c.Members() {
		if voter.ID == self {
			continue
		}
		v := p.path(voter.ID)
		if v.silent() {
			delays, rtts, losses = append(delays, unanswered), append(rtts, unanswered), append(losses, 1)
			continue
		}
		delays, rtts, losses = append(delays, v.hour.worst(now)), append(rtts, v.rtt), append(losses, v.lost(now, p.pace()))
	}
	slices.Sort(delays)
	slices.Sort(rtts)
	slices.Sort(losses)
	if delays[quorum-1] == unanswered {
		return n, false
	}
	n.delay, n.loss = max(delays[quorum-1], rtts[quorum-1]+p.own.worst(now)), losses[quorum-1]
	// A lease lapses when so many voters miss all heartbeats that no majority is left.
	missed := ways(len(losses), quorum-1)
	each := 1.0
	for _, l := range losses[quorum-1:] {
		each *= l
	}
	for missed *= each; missed > lapseChance && n.spares < 50; missed *= each {
		n.spares++
	}
	return n, true
}

// ways returns how many choices of k of n there are.
func ways(n, k int) float64 {
	w := 1.0
	for i := range k {
		w = w * float64(n-i) / float64(i+1)
	}
	return w
}

// wants returns the shortest lease, and the fewest heartbeats in it, that a need fits.
func (p *pacer) wants(n need) (length, many int) {
	for many < len(beats)-1 && 10*n.spares > 7*beats[many] {
		many++
	}
	spares := min(n.spares, beats[many]*7/10)
	for length < len(leases)-1 {
		left := leases[length] * time.Duration(beats[many]-spares) / time.Duration(beats[many])
		if left >= fits*n.delay && p.allows(length, many) {
			break
		}
		length++
	}
	return length, many
}

// choose reports whether the pace changes: up at once, down after a long calm.
func (p *pacer) choose(now time.Duration, self election.ID, c *election.Config) bool {
	if !p.due {
		return false
	}
	p.due = false
	n, known := p.needs(now, self, c)
	length, many := p.length, p.beats
	if known {
		length, many = p.wants(n)
	}
	near := p.near && length <= p.length && p.length < len(leases)-1
	if p.near = false; near {
		length = p.length + 1
	}
	if now-p.roseAt >= mostCalm {
		p.wait = calm
	}
	switch {
	case length > p.length || many > p.beats:
		p.why = n.String()
		if near {
			p.why = "less than a third of the lease was left at a renewal"
		}
		if length > p.length {
			p.roseAt, p.wait = now, min(2*p.wait, mostCalm)
		}
		p.length, p.beats = max(length, p.length), max(many, p.beats)
	case length == p.length && many == p.beats:
		p.calmFrom = now
		return false
	case now-p.calmFrom < p.wait:
		return false
	default:
		p.why = fmt.Sprintf("%v, for %v", n, p.wait)
		p.length, p.beats = max(length, p.length-1), many
	}
	p.calmFrom = now
	return true
}

// String says it in words.
func (n need) String() string {
	return fmt.Sprintf("a majority answers within %v and misses %.1f %% of the heartbeats", max(n.delay, 100*time.Microsecond).Round(100*time.Microsecond), 100*n.loss)
}
