package gossip

import (
	"context"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/hashicorp/memberlist"
)

// RoundEvery is the time between two rounds of gossip.
const RoundEvery = 200 * time.Millisecond

// memberlistGossip is one round of memberlist's gossip. Mostly it has nothing to tell. The timer
// that memberlist has for it would wake an idle agent five times a second, and the monitor
// thread of Go's scheduler as well.
//
//go:linkname memberlistGossip github.com/hashicorp/memberlist.(*Memberlist).gossip
func memberlistGossip(*memberlist.Memberlist)

// Round has a round of gossip begin, and does not wait for it. Callers who are awake for other
// reasons call it each RoundEvery, or a little later.
func (g *Gossip) Round() { signal(g.rounds) }

// roundMost is the most time between two rounds, also if the caller of Round hangs.
const roundMost = 5 * RoundEvery

func (g *Gossip) gossipInRounds(ctx context.Context) {
	late := time.NewTimer(roundMost)
	defer late.Stop()
	for {
		select {
		case <-g.rounds:
		case <-late.C:
		case <-ctx.Done():
			return
		}
		memberlistGossip(g.list)
		late.Reset(roundMost)
	}
}

// roundsBegin has rounds begin while the caller of Round may wait, until the returned function
// is called.
func (g *Gossip) roundsBegin() (end func()) {
	over := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		ticker := time.NewTicker(RoundEvery)
		defer ticker.Stop()
		for {
			g.Round()
			select {
			case <-ticker.C:
			case <-over:
				return
			}
		}
	})
	return func() { close(over); ended.Wait() }
}
