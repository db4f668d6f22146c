// Package election decides who is the goose: it holds every rule of votes,
// promises, leases, voters and transfers, as a pure state machine.
//
// A [Node] is a comparable value. It is told the time and one [Input] at a
// time, and answers with [Effects]: a record that must be durable, messages
// that may leave only after that, and a view of its role. It never reads a
// clock, draws chance from outside its own seed, locks, logs or iterates over
// a map, so the same inputs give the same run, byte for byte.
//
//	n := election.New(cfg, record, now)
//	var fx election.Effects
//	for {
//		now, in := wait(fx.WakeAt) // a message, a command, or election.Tick{}
//		n.Step(now, in, &fx)
//		publish whatever fx.View takes away      // step 0
//		if fx.Save { store.Save(fx.Record) }     // step 1: durable BEFORE sending
//		for _, m := range fx.Send { send(m) }    // step 2
//		publish whatever fx.View grants          // step 3
//	}
//
// The three rules of the game this grew from are still here:
//
//	R1  a node that has had no heartbeat for longer than its election timeout
//	    becomes a candidate
//	R2  a node that is asked for its vote by a worthy candidate takes itself
//	    out of the running and defers to it
//	R3  on a split vote the candidates stand down and the election begins anew
//
// Rules are cited by number in the code. They follow Raft section 5.2 (Ongaro
// and Ousterhout, 2014), its dissertation 3.10, 4, 6.4 and 9.6, the logless
// reconfiguration of Schultz, Dardik and Tripakis (OPODIS 2021), and leases
// after Gray and Cheriton (1989).
package election
