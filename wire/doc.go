// Package wire seals and opens what agents send: frames of election messages, and
// memberlist's gossip.
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
//
// Gossip is sealed in the same way, under sub-keys of its own. Before memberlist
// reads a byte of it, all of it is walked without allocating: types of messages,
// fields, and lengths must be those that agents send ([Keyring.OpenGossip],
// [Keyring.OpenStream]). So nothing depends on how careful memberlist and its
// decoder are.
//
//	datagram  0xD6 | gossip version | key id, 4 bytes | sealed packet
//	stream    0xD8 preface, flock label, then a message of the opener's and at most one back:
//	message   0xD9 or 0xDA (back) | gossip version | key id, 4 bytes | length, 4 bytes | sealed message
//
// An agent with a key answers no datagram of a stranger, who may replay those of
// members. What is sent in answer to gossip is never larger than what came, so
// that nobody can use an agent to flood a third party. Agents without a key
// answer on loopback only, unless --insecure says otherwise, and there whoever
// claims to be a member takes its place:
//
//	from a stranger        without a key                       replayed, with a key
//	ping                   133 bytes: 32 back (0.24)           169 bytes: 68 (0.40)
//	ping to be passed on   330 bytes: 288 in two (0.87)        366 bytes: 360 in two (0.98)
//	compound packet        one ping at most: as a ping         the same
//	ack, nack, news        0                                   0
//	a frame                0                                   0: its seq is used up
//	stream, refused        30 bytes: 3 and our label, or less  the same
//	stream, accepted       its answer, to an address that      none: the request must be sealed
//	                       has completed TCP's handshake
package wire
