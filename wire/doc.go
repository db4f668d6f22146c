// Package wire seals and opens what agents send: frames of election messages, and
// memberlist's gossip.
//
// Nothing received can make it panic or allocate more than a few kilobytes. It opens
// only what a key holder made (without a key: what passes its checksum), and checks
// the type and range of every field. It keeps no state between calls. Encoding,
// sealing, opening and decoding a heartbeat or its ack allocates nothing if the
// caller reuses its buffers and its [Frame]; where the cipher has no assembly, as on
// arm64, it allocates 32 bytes per datagram:
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
// README.md beside this file has the formats, byte by byte.
package wire
