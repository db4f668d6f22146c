package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	// GossipByte is the first byte of every datagram of gossip.
	GossipByte = 0xD6
	// GossipVersion is the version of our gossip, in datagrams and streams. In version
	// 1 memberlist itself sealed it.
	GossipVersion = 2
	// GossipRoom bounds a packet of memberlist's.
	GossipRoom = MaxDatagram - headSize - sealSize
	// MaxGossipStream bounds one message on a stream. The state of a flock of 5,000
	// with full metadata takes 3.2 MB.
	MaxGossipStream = 4 << 20

	requestByte = 0xD9
	answerByte  = 0xDA

	// StreamHead is the size of the header before a sealed message on a stream.
	StreamHead = headSize + 4

	// passedOn is the size of a ping that asks an agent to ping a third one. The
	// agent's own packets, a ping and a nack, are smaller, so it amplifies nothing.
	passedOn = 320
)

// SealGossip appends the datagram for a packet of memberlist's to dst. It removes the
// news that memberlist adds to probes, so that no answer is larger than its question.
// If dst has MaxDatagram bytes of free capacity, it allocates little.
func (k *Keyring) SealGossip(dst, packet []byte) []byte {
	body := bare(packet)
	if len(body) > 0 && body[0] == gossipIndirect && len(body) < passedOn {
		var padded [passedOn]byte
		copy(padded[:], body)
		body = padded[:]
	}
	e := &k.gossip
	return e.seal(e.appendHead(dst), body)
}

// bare removes what need not be sent: memberlist's checksum, because each datagram has a
// better one, and the news after a probe. A suspicion after a ping stays, so that the
// pinged agent can refute it.
func bare(packet []byte) []byte {
	if len(packet) > 5 && packet[0] == gossipChecksum {
		packet = packet[5:]
	}
	if len(packet) < 4 || packet[0] != gossipCompound {
		return packet
	}
	n := int(packet[1])
	sizes, rest := packet[2:], packet[min(len(packet), 2+2*n):]
	first := min(int(binary.BigEndian.Uint16(sizes)), len(rest))
	if first == 0 || !probes(rest[0]) {
		return packet
	}
	if n > 1 && rest[0] == gossipPing && len(rest) > first && rest[first] == gossipSuspect {
		second := min(int(binary.BigEndian.Uint16(sizes[2:])), len(rest)-first)
		b := append(make([]byte, 0, 6+first+second), gossipCompound, 2)
		b = append(b, sizes[:4]...)
		return append(b, rest[:first+second]...)
	}
	return rest[:first]
}

// AsksToPassOn reports whether a packet asks to ping a third agent.
func AsksToPassOn(packet []byte) bool { return len(packet) > 0 && packet[0] == gossipIndirect }

// AsksForAll reports whether a message of a stream asks for the state of the whole flock.
func AsksForAll(message []byte) bool { return len(message) > 0 && message[0] == gossipPushPull }

// OpenGossip checks a datagram of gossip and its content, and appends the packet for
// memberlist to dst. The two must not overlap. Every error is a *DropError, and dst is
// then unchanged.
func (k *Keyring) OpenGossip(dst, datagram []byte) ([]byte, error) {
	if len(datagram) > MaxDatagram {
		return dst, outOfSize("datagram", len(datagram), MaxDatagram)
	}
	if len(datagram) < headSize {
		return dst, drop(DropShort, fmt.Sprintf("%d bytes: want %d or more", len(datagram), headSize+sumSize))
	}
	if label, ok := FlockLabelOf(datagram); ok {
		return dst, drop(DropOldGossip, label)
	}
	b, err := k.gossip.open(dst, datagram[:headSize], datagram[headSize:])
	if err != nil {
		return dst, k.complete(err)
	}
	n, err := walkPacket(b[len(dst):])
	if err != nil {
		return dst, err
	}
	return b[:len(dst)+n], nil
}

// Way is the direction of a message on a stream.
type Way bool

// A stream carries a request from the agent that opened it, and at most one answer.
const (
	Request Way = false
	Answer  Way = true
)

func (k *Keyring) way(w Way) *envelope {
	if w == Answer {
		return &k.answers
	}
	return &k.requests
}

// SealStream returns a whole message for a stream:
//
//	0xD9 or 0xDA | version | key id, 4 bytes | length of the rest, 4 bytes | sealed message
func (k *Keyring) SealStream(w Way, message []byte) []byte {
	e := k.way(w)
	n := len(message) + e.overhead()
	b := e.appendHead(make([]byte, 0, StreamHead+n))
	return e.seal(binary.BigEndian.AppendUint32(b, uint32(n)), message)
}

// StreamSize returns the size of the sealed message after a head of StreamHead bytes.
func (k *Keyring) StreamSize(w Way, head []byte) (int, error) {
	if err := k.way(w).expects(head); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[headSize:])
	if n > MaxGossipStream {
		return 0, outOfSize("message", int(min(n, 1<<31-1)), MaxGossipStream)
	}
	return int(n), nil
}

// OpenStream opens a message in place and checks it. It returns the message for
// memberlist, and how many members it describes.
func (k *Keyring) OpenStream(w Way, head, sealed []byte) (message []byte, members int, err error) {
	b, failed := k.way(w).openInPlace(head[:headSize], sealed)
	if failed != nil {
		return nil, 0, k.complete(failed)
	}
	members, failed = walkStream(w, b)
	if failed != nil {
		return nil, 0, failed
	}
	return b, members, nil
}
