package member

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

const ms = time.Millisecond

// pacing plays a goose with its voters: heartbeats leave by the pacer's own pace.
type pacing struct {
	t      *testing.T
	p      *pacer
	now    time.Duration
	round  uint64
	self   election.ID
	config election.Config
	// rtt of a voter's answer; below 0: the heartbeat or the answer is lost.
	rtt    func(voter int, round uint64) time.Duration
	rises  int
	falls  int
	drawn  uint64
	chosen []string
}

func newPacing(t *testing.T, voters int, from election.Pace) *pacing {
	g := &pacing{t: t, now: time.Hour, self: election.ID{1}, drawn: 1}
	for i := range voters {
		g.config = g.config.With(election.Voter{ID: election.ID{byte(i + 1)}, Priority: 100})
	}
	g.p = newPacer(g.now, 1, from)
	g.rtt = func(int, uint64) time.Duration { return 300 * time.Microsecond }
	return g
}

// loses draws whether a round trip fails, when each way loses that share.
func (g *pacing) loses(share float64) bool {
	g.drawn = g.drawn*6364136223846793005 + 1442695040888963407
	return float64(g.drawn>>11)/(1<<53) < 1-(1-share)*(1-share)
}

func (g *pacing) run(d time.Duration) {
	for end := g.now + d; g.now < end; {
		was := g.p.pace()
		g.round++
		for i := range g.config.Members()[1:] {
			g.p.beat(g.now, election.ID{byte(i + 2)}, g.round)
			if rtt := g.rtt(i, g.round); rtt >= 0 {
				g.p.ack(g.now+rtt, &election.Sample{Peer: election.ID{byte(i + 2)}, Round: g.round, Took: rtt})
			}
		}
		if g.p.choose(g.now, g.self, &g.config) {
			is := g.p.pace()
			if is.Lease > was.Lease {
				g.rises++
			} else if is.Lease < was.Lease {
				g.falls++
			}
			g.chosen = append(g.chosen, fmt.Sprintf("%v: %v/%v: %s", g.now-time.Hour, is.Lease, is.Heartbeat, g.p.why))
		}
		is := g.p.pace()
		if is.Heartbeat < leastBeat || is.Lease > 50*is.Heartbeat { // a node keeps the last 64 rounds
			g.t.Fatalf("%v", is)
		}
		g.now += is.Heartbeat
		g.p.renewed(election.Lease{Length: is.Lease}, is.Lease-is.Heartbeat)
	}
}

var lan = election.Pace{Lease: 500 * ms, Heartbeat: 50 * ms}

func TestPacerSettlesByWhatItMeasures(t *testing.T) {
	for _, tt := range []struct {
		name        string
		voters      int
		rtt         time.Duration
		loss        float64
		pause       time.Duration // of the goose, once a minute
		least, most time.Duration // the lease in the end
		beats       int           // heartbeats in it, at most
	}{
		{name: "quiet", voters: 5, rtt: 300 * time.Microsecond, least: 100 * ms, most: 100 * ms, beats: 5},
		{name: "alone", voters: 1, least: 100 * ms, most: 100 * ms, beats: 5},
		{name: "a pair", voters: 2, rtt: ms, least: 100 * ms, most: 100 * ms, beats: 5},
		{name: "small pauses", voters: 3, rtt: ms, pause: 20 * ms, least: 100 * ms, most: 150 * ms, beats: 5},
		{name: "pauses", voters: 3, rtt: ms, pause: 100 * ms, least: 500 * ms, most: 750 * ms, beats: 5},
		{name: "a country", voters: 5, rtt: 30 * ms, least: 150 * ms, most: 200 * ms, beats: 5},
		{name: "an ocean", voters: 5, rtt: 150 * ms, least: 750 * ms, most: 750 * ms, beats: 5},
		{name: "too far for all", voters: 5, rtt: 3 * time.Second, least: 5 * time.Second, most: 5 * time.Second, beats: 10},
		{name: "1 % loss", voters: 5, rtt: ms, loss: 0.01, least: 100 * ms, most: 200 * ms, beats: 10},
		{name: "20 % loss", voters: 5, rtt: ms, loss: 0.2, least: 200 * ms, most: 500 * ms, beats: 16},
		{name: "30 % loss", voters: 5, rtt: ms, loss: 0.3, least: 300 * ms, most: 750 * ms, beats: 25},
		{name: "50 % loss", voters: 5, rtt: ms, loss: 0.5, least: 750 * ms, most: time.Second, beats: 50},
		{name: "50 % loss of three", voters: 3, rtt: ms, loss: 0.5, least: time.Second, most: time.Second, beats: 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newPacing(t, tt.voters, lan)
			minute := time.Duration(0)
			g.rtt = func(int, uint64) time.Duration {
				if now := g.now / time.Minute; tt.pause > 0 && now != minute {
					minute = now
					g.p.paused(g.now, tt.pause)
				}
				if tt.loss > 0 && g.loses(tt.loss) {
					return -1
				}
				return tt.rtt
			}
			g.run(3 * time.Hour)
			pace := g.p.pace()
			require.GreaterOrEqual(t, pace.Lease, tt.least, "%q", g.chosen)
			require.LessOrEqual(t, pace.Lease, tt.most, "%q", g.chosen)
			require.LessOrEqual(t, pace.Lease/pace.Heartbeat, time.Duration(tt.beats), "%q", g.chosen)
			before := g.rises
			g.run(time.Hour)
			require.Equal(t, before, g.rises, "it has settled: %q", g.chosen)
		})
	}
}

// The slow and the dead do not matter as long as a majority is faster and alive.
func TestPacerGoesByAMajority(t *testing.T) {
	for name, slow := range map[string]time.Duration{"two are far": 400 * ms, "two are dead": -1} {
		t.Run(name, func(t *testing.T) {
			g := newPacing(t, 5, lan)
			g.rtt = func(voter int, _ uint64) time.Duration {
				if voter < 2 {
					return slow
				}
				return ms
			}
			g.run(time.Hour)
			require.LessOrEqual(t, g.p.pace().Lease, 150*ms, "%q", g.chosen)
		})
	}
	g := newPacing(t, 5, lan)
	g.rtt = func(voter int, _ uint64) time.Duration {
		if voter < 3 {
			return 400 * ms
		}
		return ms
	}
	g.run(time.Second)
	require.Equal(t, 1500*ms, g.p.pace().Lease, "three of five are far: %q", g.chosen)
}

func TestPacerRaisesAtOnceAndLowersSlowly(t *testing.T) {
	g := newPacing(t, 3, lan)
	g.run(time.Hour)
	require.Equal(t, 100*ms, g.p.pace().Lease)
	require.Equal(t, 4, g.falls, "one step at a time: %q", g.chosen)

	// A majority's worst pause of the last hour is remembered for an hour.
	at := g.now
	g.rtt = func(int, uint64) time.Duration { return 100 * ms }
	g.run(100 * ms)
	raised := g.p.pace().Lease
	require.GreaterOrEqual(t, raised, 500*ms, "at once: %q", g.chosen)
	g.rtt = func(int, uint64) time.Duration { return ms }
	for g.p.pace().Lease == raised {
		g.run(time.Second)
		require.Less(t, g.now-at, 3*time.Hour)
	}
	require.GreaterOrEqual(t, g.now-at, time.Hour+2*calm, "twice as long as before the rise")
	require.Equal(t, 300*ms, g.p.pace().Lease, "one step")

	// Each rise doubles the wait, up to a day.
	for range 10 {
		g.p.renewed(election.Lease{Length: g.p.pace().Lease}, 0)
		g.run(time.Second)
		if g.p.length == len(leases)-1 {
			g.p.length--
		}
	}
	require.Equal(t, mostCalm, g.p.wait)
	g.run(mostCalm + time.Minute)
	require.Less(t, g.p.pace().Lease, 5*time.Second)
	require.Equal(t, calm, g.p.wait, "a day without a rise ends that")
}

// A voter's pause comes on top of its round trip. What it tells has a bound.
func TestPacerAddsThePausesOfVoters(t *testing.T) {
	p := newPacer(time.Hour, 1, lan)
	voter := election.ID{2}
	p.beat(time.Hour, voter, 7)
	p.ack(time.Hour, &election.Sample{Peer: voter, Round: 8, Took: ms})
	require.Zero(t, p.path(voter).answered, "a round that was not sent")
	p.ack(time.Hour, &election.Sample{Peer: voter, Round: 7, Took: ms, Pause: 100 * ms})
	require.EqualValues(t, 1, p.path(voter).answered)
	require.Equal(t, 101*ms, p.path(voter).hour.worst(time.Hour))
	p.ack(time.Hour, &election.Sample{Peer: voter, Round: 7, Took: ms, Pause: time.Hour})
	require.Equal(t, unpausable+ms, p.path(voter).hour.worst(time.Hour))
}

func TestPacerRaisesOnANearMiss(t *testing.T) {
	g := newPacing(t, 3, lan)
	g.run(time.Second)
	for _, tt := range []struct {
		was  election.Lease
		left time.Duration
		want time.Duration
	}{
		{election.Lease{Length: 500 * ms}, 200 * ms, 500 * ms},
		{election.Lease{Length: 500 * ms}, 150 * ms, 750 * ms},
		{election.Lease{Length: 500 * ms}, 10 * ms, 750 * ms}, // it is of before the rise
		{election.Lease{Length: 750 * ms}, -10 * ms, time.Second},
	} {
		g.p.renewed(tt.was, tt.left)
		g.run(300 * ms)
		require.Equal(t, tt.want, g.p.pace().Lease, "%v left of %v: %q", tt.left, tt.was.Length, g.chosen)
	}
}

// A network that begins to lose half of all datagrams is noticed within a second.
func TestPacerNoticesLossWithinASecond(t *testing.T) {
	for _, voters := range []int{3, 5, 7} {
		g := newPacing(t, voters, lan)
		g.run(time.Hour)
		require.Equal(t, 100*ms, g.p.pace().Lease)
		at := g.now
		g.rtt = func(int, uint64) time.Duration {
			if g.loses(0.5) {
				return -1
			}
			return ms
		}
		for g.p.pace().Lease < 500*ms {
			g.run(20 * ms)
			require.Less(t, g.now-at, time.Second, "%q", g.chosen)
		}
		g.run(10 * time.Second)
		require.GreaterOrEqual(t, g.p.pace().Lease/g.p.pace().Heartbeat, time.Duration(25), "%q", g.chosen)
	}
}

// Answers that take longer than before are no lost ones.
func TestPacerTakesALongerPathForNoLoss(t *testing.T) {
	g := newPacing(t, 5, lan)
	g.run(time.Minute)
	type answer struct {
		at     time.Duration
		sample election.Sample
	}
	var underWay []answer
	g.rtt = func(voter int, round uint64) time.Duration {
		for len(underWay) > 0 && underWay[0].at <= g.now {
			g.p.ack(g.now, &underWay[0].sample)
			underWay = underWay[1:]
		}
		underWay = append(underWay, answer{g.now + 400*ms, election.Sample{Peer: election.ID{byte(voter + 2)}, Round: round, Took: 400 * ms}})
		return -1
	}
	g.run(time.Minute)
	require.LessOrEqual(t, g.p.pace().Lease, 2*time.Second, "%q", g.chosen)
	require.LessOrEqual(t, g.p.pace().Lease/g.p.pace().Heartbeat, time.Duration(10), "%q", g.chosen)
}

func TestPacerBeginsWithWhatItIsGiven(t *testing.T) {
	for _, tt := range []struct{ from, want election.Pace }{
		{lan, lan},
		{election.Pace{Lease: 100 * ms, Heartbeat: 10 * ms}, election.Pace{Lease: 100 * ms, Heartbeat: 20 * ms}},
		{election.Pace{Lease: 1500 * ms, Heartbeat: 150 * ms}, election.Pace{Lease: 1500 * ms, Heartbeat: 150 * ms}},
		{election.Pace{Lease: 600 * ms, Heartbeat: 150 * ms}, election.Pace{Lease: 750 * ms, Heartbeat: 150 * ms}},
		{election.Pace{Lease: 10 * time.Second, Heartbeat: 200 * ms}, election.Pace{Lease: 5 * time.Second, Heartbeat: 100 * ms}},
	} {
		require.Equal(t, tt.want, newPacer(0, 1, tt.from).pace(), "%v", tt.from)
	}
}

// A majority that answers nothing says nothing of what it needs.
func TestPacerWaitsForAMajority(t *testing.T) {
	g := newPacing(t, 3, lan)
	g.rtt = func(int, uint64) time.Duration { return -1 }
	g.run(time.Hour)
	require.Equal(t, lan, g.p.pace())
	require.Empty(t, g.chosen)
}

// What others say, and late wake-ups, raise the lease only so far.
func TestPacerBoundsItsOwnPauses(t *testing.T) {
	p := newPacer(time.Hour, 1, lan)
	p.paused(time.Hour, time.Hour)
	require.Equal(t, unpausable, p.own.worst(time.Hour))
}

func TestPacerForgetsNoNearMiss(t *testing.T) {
	for _, tt := range []struct{ from, want time.Duration }{{500 * ms, 750 * ms}, {5 * time.Second, 5 * time.Second}} {
		g := newPacing(t, 1, election.Pace{Lease: tt.from, Heartbeat: tt.from / 10})
		g.p.renewed(election.Lease{Length: tt.from}, 0)
		g.p.renewed(election.Lease{Length: tt.from}, tt.from)
		g.p.choose(g.now, g.self, &g.config)
		require.Equal(t, tt.want, g.p.pace().Lease)
	}
}

// Agents come into view and go again for as long as this one leads.
func TestPacerForgetsThoseOutOfView(t *testing.T) {
	p := newPacer(time.Hour, 1, lan)
	stays, returns := election.ID{1}, election.ID{2}
	for round := range uint64(1000) {
		p.beat(time.Hour, stays, round+1)
		p.ack(time.Hour, &election.Sample{Peer: stays, Round: round + 1, Took: ms})
		if round < 10 || round >= 990 {
			p.beat(time.Hour, returns, round+1)
		} else {
			p.beat(time.Hour, election.ID{3, byte(round >> 8), byte(round)}, round+1)
		}
		require.LessOrEqual(t, len(p.paths), 2*election.MaxVoters+64)
	}
	require.Equal(t, 64, p.path(stays).sent)
	require.Equal(t, 10, p.path(returns).sent, "it was sent none meanwhile")
	require.Zero(t, p.path(returns).hour.now(time.Hour).missed)

	few := newPacer(time.Hour, 1, lan)
	for _, round := range []uint64{1, 2, 1000, 1001, 1002} {
		few.beat(time.Hour, returns, round)
	}
	require.Equal(t, 3, few.path(returns).sent)
	require.Zero(t, few.path(returns).hour.now(time.Hour).missed)
}

// Each of most voters was away for a while, and none is now.
func TestPacerBearsVotersThatWereAwayInTurn(t *testing.T) {
	g := newPacing(t, 5, lan)
	g.rtt = func(voter int, _ uint64) time.Duration {
		if away := int((g.now - time.Hour) / (11 * time.Minute)); away == voter && away < 3 {
			return -1
		}
		return ms
	}
	g.run(34 * time.Minute)
	n, known := g.p.needs(g.now, g.self, &g.config)
	require.True(t, known)
	require.Equal(t, 50, n.spares)
}
