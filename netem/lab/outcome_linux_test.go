package lab

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

// outcome is what a partition must lead to. G stands for the agent that is the
// goose when it begins, and w x y z for the others, in order.
type outcome struct {
	name, shape string
	geese       string // one of these must be the goose, and all of heard must name it
	heard       string
	silent      string // none of these may call itself goose
}

var outcomes = []outcome{
	{"the goose is with the minority", "G,w/x,y,z", "xyz", "xyz", "Gw"},
	{"no majority anywhere", "G,w/x,y/z", "", "", "Gwxyz"},
	{"the goose cannot send", "G>w,G>x,G>y,G>z", "wxyz", "wxyz", "G"},
	{"the goose cannot hear", "w>G,x>G,y>G,z>G", "wxyz", "wxyz", "G"},
	{"one agent alone reaches a majority", "w-G,w-x,w-y,w-z", "w", "wGxyz", "Gxyz"},
	{"a chain", "G-w,w-x,x-y,y-z", "wxy", "", "Gz"},
	{"the goose loses one link", "G>w,w>G", "Gxyz", "xyz", ""},
}

// TestSameOutcomes has the kernel and the emulator do the same, and demands the
// same of both.
func TestSameOutcomes(t *testing.T) {
	bothWays(t, 5, func(t *testing.T, l *lab) {
		for _, o := range outcomes {
			l.try(o)
		}
		l.loses(30, 3*time.Second)
	})
}

// try puts a partition in force, waits for its outcome, and heals it.
func (l *lab) try(o outcome) {
	l.t.Helper()
	goose := l.settled()
	nameOf := map[rune]string{'G': goose}
	others := l.others(goose)
	for i, role := range "wxyz" {
		nameOf[role] = others[i]
	}
	play := func(roles string) (names []string) {
		for _, r := range roles {
			names = append(names, nameOf[r])
		}
		return names
	}
	l.set(strings.Map(func(r rune) rune {
		if name, ok := nameOf[r]; ok {
			return rune(name[0])
		}
		return r
	}, o.shape), 0)
	// Acks from before the partition may be read late: they make a lease that ends by then.
	old := boottime.Now() + lease
	geese, heard := play(o.geese), play(o.heard)
	mustChange := o.geese != "" && !slices.Contains(geese, goose)
	l.watch.until(o.name, func(all map[string]api.Status) bool {
		now := gooseOf(all, geese)
		if len(geese) > 0 && now == "" || mustChange && all[now].Token <= l.token {
			return false
		}
		for _, name := range heard {
			if s := all[name]; s.Goose == nil || s.Goose.Name != now {
				return false
			}
		}
		return gooseOf(all, play(o.silent)) == ""
	})
	l.watch.silent(play(o.silent), old, 2*lease)
	l.set("", 0)
	l.settled()
}

// loses has a percentage of all packets lost for d, and demands that the flock
// keeps its goose in one term, and that the loss was what was asked for.
func (l *lab) loses(percent uint32, d time.Duration) {
	l.t.Helper()
	l.settled()
	l.set("", percent)
	defer l.set("", 0)
	sent, received := l.traffic()
	kept := l.sample(d)
	sent2, received2 := l.traffic()
	n := float64(sent2 - sent)
	lost := 1 - float64(received2-received)/n
	l.t.Logf("%d %% asked, %.1f %% of %.0f datagrams lost; a goose in %.2f %% of the time", percent, 100*lost, n, 100*kept)
	require.Greater(l.t, n, 20*d.Seconds(), "datagrams of the election")
	require.InDelta(l.t, float64(percent)/100, lost, 0.15)
	if k, ok := l.faults.(*kernelFaults); ok {
		dropped, passed, err := k.net.filter.counts()
		require.NoError(l.t, err)
		require.InDelta(l.t, float64(percent)/100, float64(dropped)/float64(dropped+passed), 0.15, "of all packets, by the router's account")
	}
}

// sample gives the share of d in which an agent called itself goose.
func (l *lab) sample(d time.Duration) float64 {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	with, all := 0, 0
	for end := time.Now().Add(d); time.Now().Before(end); all++ {
		if l.watch.goose(l.names()) != "" {
			with++
		}
		<-tick.C
	}
	return float64(with) / float64(all)
}
