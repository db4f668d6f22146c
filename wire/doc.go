// Package wire turns frames of election messages into sealed datagrams, or
// datagrams back into frames.
//
// It promises that nothing received can make it panic or allocate more than a
// few kilobytes, and that only what a key holder made is opened (without a
// key: what passes its checksum); after that every field is of a type and in a
// range that the rules can take. It keeps no state between calls. Encoding,
// sealing, opening and decoding a heartbeat or its ack allocates nothing, if
// the caller reuses its buffers and its [Frame] (where the cipher has no
// assembly, as on arm64, it takes 32 bytes a datagram):
//
//	ring, err := wire.NewKeyring(label, keys) // immutable, safe for concurrent use
//
//	body, err = wire.AppendFrame(body[:0], &out)
//	datagram, err = ring.Seal(datagram[:0], body)
//
//	body, err = ring.Open(body[:0], datagram)
//	if err == nil {
//		err = wire.DecodeFrame(body, &in)
//	}
//	var drop *wire.DropError
//	if errors.As(err, &drop) {
//		count("dropped_" + drop.Reason) // a bad datagram is no error: drop and count
//	}
//
// A datagram, numbers big-endian:
//
//	0xD7 | frame version | key id, 4 bytes | sealed body
//
//	with a key     nonce, 24 bytes | XChaCha20-Poly1305(body), 16 bytes longer
//	               associated data: the 6 bytes before it, then the label
//	without one    key id 0 | CRC-32C, 4 bytes | body
//	               the sum is over the 6 bytes, the label's length, the label, the body
//
// The body is msgpack, in arrays. A later minor version may append fields to
// any of them and may invent kinds: fields that are not known are skipped,
// entries of an unknown kind are skipped and counted, so that a flock can be
// upgraded agent by agent. A change that cannot be read so raises the frame
// version, and frames of another version are dropped.
//
//	frame     [flock id, from, to, start, life, seq, [entry...], founding or nil, receiver's life (if known)]
//	entry     [election, kind, generation, its tag, term, config term, config version, fields of the kind...]
//	config    [term, version, voters: 16 bytes of id and 1 of priority each, table: 16 bytes or nil] or nil
//	packed    [0, 201, generation, its tag, promise, heartbeats] and [0, 202, generation, its tag, promise, held, acks]:
//	          entries too, of several elections' messages, each as uvarints election, term, config version, round; a
//	          heartbeat then ranks in 3 bytes, 3 bits each, and its round trip in quarter milliseconds, uvarint.
//	          Its config's term is its term
//	probe     [0, 200, word, session, number, heard, clock, padding]: one of the entries
//	founding  [kind, flock id, attempt, expect, reason, set: 16 bytes of id each]
//
//	kind             fields
//	PreVoteRequest   next term, nonce
//	PreVoteReply     nonce, granted, reason, remaining, config
//	VoteRequest      transfer from (16 bytes or none), transfer term
//	VoteReply        granted, reason, remaining, config
//	Heartbeat        round, promise, ranks (7 bytes), round trip, config, ages (7 bytes, in quarter seconds; if any is not 0)
//	HeartbeatAck     round, promise, held (if any)
//	Reject           config
//	TimeoutNow       -
//	Resign           -
//	Leave            -
//	LeaveReply       granted, reason
//
// Durations are whole nanoseconds.
package wire
