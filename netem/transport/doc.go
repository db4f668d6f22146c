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
// Delayed datagrams are copied and kept, within bounds, and judged by cut again
// when their time comes. The packet callback is never called twice at once if the
// base does not. Streams:
//
//   - A cut in either direction breaks open streams at once, with [ErrCut]; what
//     was not sent is lost. A dial waits until its context ends or the cut does.
//   - Loss in either direction fails a dial with its probability, at once.
//   - Delay and rate of the outward direction hold writes. A write is delayed once.
//
// The name of a peer is what [Transport.Learn] gave for its address. A stream from
// outside comes from an unknown port, so until the agent calls Identify on it only
// "*" and bare addresses match. The agent must hand on nothing of such a stream
// before Identify has returned without an error.
//
// A call that is under way when Set returns may still complete by the old rules.
package transport
