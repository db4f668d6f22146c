package election_test

import (
	"fmt"
	"time"

	"duckduckgoose/agent/election"
)

// ExampleNode is the loop that drives nodes: here of three voters, over a
// network and by a clock of its own.
func ExampleNode() {
	config := election.Config{ConfigID: election.ConfigID{Version: 1}}
	for i := range byte(3) {
		config = config.With(election.Voter{ID: election.ID{'a' + i}, Priority: 100})
	}
	type agent struct {
		node election.Node
		disk election.Record
		wake time.Duration
	}
	now := time.Hour
	agents := map[election.ID]*agent{}
	for _, v := range config.Members() {
		rec := election.Record{FlockID: election.FlockID{1}, Config: config, PromiseMax: 500 * time.Millisecond}
		set := election.Settings{
			ID: v.ID, Heartbeat: 50 * time.Millisecond, Lease: 500 * time.Millisecond, Eps: 10 * time.Millisecond, Seed: uint64(v.ID[0]),
		}
		agents[v.ID] = &agent{node: election.New(set, rec, now, true), disk: rec, wake: now}
	}

	var goose election.ID // the view that readers have
	var network []election.Message
	var fx election.Effects
	step := func(id election.ID, in election.Input) {
		a := agents[id]
		a.node.Step(now, in, &fx)
		lease := a.node.Lease()
		if goose == id && lease.Until <= now { // 1: publish what it takes away
			goose = election.ID{}
		}
		if fx.Save { // 2: durable BEFORE sending
			a.disk = fx.Record
		}
		network = append(network, fx.Send...) // 3
		if lease.Until > now && goose != id { // 4: publish what it grants
			goose = id
			fmt.Printf("%c is the goose, with token %d\n", id[0], lease.Token)
		}
		a.wake = fx.WakeAt
	}
	for end := now + time.Second; now < end; {
		now += time.Millisecond
		arrived := network
		network = nil
		for i := range arrived { // read everything that waits, then judge timeouts (rule 17)
			step(arrived[i].To, &arrived[i])
		}
		for _, v := range config.Members() {
			if a := agents[v.ID]; a.wake != 0 && a.wake <= now {
				step(v.ID, election.Tick{})
			}
		}
	}
	// Output: a is the goose, with token 1
}
