// Package transport puts a bad network between an agent and its good one: it
// wraps the agent's transport and applies netem's rules to all that passes.
//
//	t := transport.Wrap(base, seed)
//	t.Receive(onPacket, onStream)            // use t as the agent's transport
//	err := t.Set("b: loss 30%", time.Minute) // from now on, for a minute
//	t.Clear()
//
// Without rules it costs one atomic load for a datagram.
//
// With rules, datagrams that are delayed are copied and kept, within bounds;
// those kept are judged by cut once more when their time comes, so nothing
// leaks past a cut that appeared meanwhile. The packet callback is never called
// twice at once if the base does not: deliveries of ours take turns with the
// base's reader.
//
// Streams:
//
//   - A cut in either direction breaks open streams, at the moment it appears
//     too, with [ErrCut]; what was not yet sent is thrown away. A dial waits, as
//     into a black hole, until its context ends or the cut does.
//   - Loss in either direction fails a dial with its probability, at once.
//   - Delay and rate of the outward direction hold writes. A write is delayed once.
//
// Who is at the other end: of a datagram and of a stream we opened, the name
// that [Transport.Learn] gave for the address. A stream from outside comes from
// a port that says nothing, so until the agent has read who it is and calls
// Identify on it, only "*" and bare addresses match. The agent must hand on
// nothing of such a stream before Identify has returned without an error.
//
// A call that is under way when Set returns may still complete by the old rules.
package transport
