// Package transport gives an agent a bad network: it wraps the agent's transport
// and applies netem's rules to all traffic.
//
//	t := transport.Wrap(base, seed)
//	t.Receive(onPacket, onStream)            // use t as the agent's transport
//	err := t.Set("b: loss 30%", time.Minute) // from now on, for a minute
//	t.Clear()
//
// Without rules it costs one atomic load for a datagram.
//
// Delayed datagrams are copied and kept, within bounds. A cut that is in force when
// their time comes drops them. The packet callback runs once at a time if the base
// calls it so. Streams:
//
//   - A cut in either direction breaks open streams at once, with [ErrCut]; what
//     was not sent is lost. A dial waits until its context ends or the cut does.
//   - Loss in either direction fails a dial with its probability, at once.
//   - Delay and rate of the outward direction hold writes. A write is delayed once.
//
// The name of a peer is what [Transport.Learn] gave for its address. A stream from
// outside comes from an unknown port, so until the agent calls Identify on it only
// "*" and bare addresses match. The agent must not use the content of such a stream
// before Identify has returned without an error.
//
// A call that is under way when Set returns may still complete by the old rules.
package transport
