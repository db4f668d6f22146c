package wire

import (
	"encoding/binary"
	"fmt"
)

// The types of memberlist's messages.
const (
	gossipPing     = 0
	gossipIndirect = 1
	gossipAck      = 2
	gossipSuspect  = 3
	gossipAlive    = 4
	gossipDead     = 5
	gossipPushPull = 6
	gossipCompound = 7
	gossipUser     = 8
	gossipNack     = 11
	gossipChecksum = 12
	gossipError    = 13
)

const (
	// maxParts bounds the messages of one packet.
	maxParts = 32
	// maxMembers bounds the members of a push/pull.
	maxMembers = 8192
	// maxMeta is memberlist's bound on metadata.
	maxMeta = 512
	// maxErrorText bounds the text of an error.
	maxErrorText = 1024
	// idText is the length of an agent's id, which is its name in gossip.
	idText = 2 * idSize
	// protocol is the version of memberlist's protocol that all agents speak.
	protocol = 2
)

// holds is what a field of a message may have.
type holds uint8

const (
	aNumber holds = iota // of 32 bits
	aPort
	aState
	aSize   // of what follows the header
	nothing // zero, nil or no text
	aBool
	anID      // in hexadecimal
	anAddress // 4 or 16 bytes
	someMeta
	versions
	someText // printable
)

type field struct {
	name string
	of   holds
}

// The messages that agents send, each with all its fields. memberlist's decoder trusts
// lengths, so nothing else may reach it.
var (
	ping     = []field{{"SeqNo", aNumber}, {"Node", anID}, {"SourceAddr", anAddress}, {"SourcePort", aPort}, {"SourceNode", anID}}
	indirect = append([]field{{"Target", anAddress}, {"Port", aPort}, {"Nack", aBool}}, ping...)
	ack      = []field{{"SeqNo", aNumber}, {"Payload", nothing}}
	nack     = []field{{"SeqNo", aNumber}}
	accusal  = []field{{"Incarnation", aNumber}, {"Node", anID}, {"From", anID}}
	alive    = []field{{"Incarnation", aNumber}, {"Node", anID}, {"Addr", anAddress}, {"Port", aPort}, {"Meta", someMeta}, {"Vsn", versions}}
	member   = []field{{"Name", anID}, {"Addr", anAddress}, {"Port", aPort}, {"Meta", someMeta}, {"Incarnation", aNumber}, {"State", aState}, {"Vsn", versions}}
	pushPull = []field{{"Nodes", aSize}, {"UserStateLen", nothing}, {"Join", aBool}}
	user     = []field{{"UserMsgLen", aSize}}
	failure  = []field{{"Error", someText}}
)

// probes reports whether a message asks whether an agent is alive, or answers that.
func probes(kind byte) bool {
	return kind == gossipPing || kind == gossipIndirect || kind == gossipAck || kind == gossipNack
}

// newsForm returns the fields of messages about other agents.
func newsForm(kind byte) []field {
	switch kind {
	case gossipSuspect, gossipDead:
		return accusal
	case gossipAlive:
		return alive
	}
	return nil
}

// packetForm returns the fields of a message that may be a whole packet.
func packetForm(kind byte) []field {
	switch kind {
	case gossipPing:
		return ping
	case gossipIndirect:
		return indirect
	case gossipAck:
		return ack
	case gossipNack:
		return nack
	}
	return newsForm(kind)
}

// walkPacket makes sure that b is one packet that agents send, and returns its length;
// padding may follow. It allocates only for an error.
func walkPacket(b []byte) (int, *DropError) {
	if len(b) == 0 {
		return 0, drop(DropMalformed, "an empty packet")
	}
	if b[0] == gossipCompound {
		return len(b), walkCompound(b)
	}
	w := walk{b: b, at: 1}
	if err := w.message(b[0], packetForm(b[0])); err != nil {
		return 0, err
	}
	if b[0] == gossipIndirect {
		if len(b) < passedOn {
			return 0, drop(DropShort, fmt.Sprintf("a ping to be passed on, of %d bytes: want %d", len(b), passedOn))
		}
		return w.at, nil
	}
	return w.at, w.ended()
}

// walkCompound checks a packet of several messages: news, or one ping and news. A
// packet must not have two pings.
func walkCompound(b []byte) *DropError {
	if len(b) < 2 {
		return drop(DropMalformed, "ends early")
	}
	n := int(b[1])
	if n == 0 || n > maxParts {
		return outOfRange("number of messages in a packet", uint64(n), maxParts)
	}
	if len(b) < 2+2*n {
		return drop(DropMalformed, "ends early")
	}
	sizes, rest := b[2:2+2*n], b[2+2*n:]
	for i := range n {
		size := int(binary.BigEndian.Uint16(sizes[2*i:]))
		if size < 1 || size > len(rest) {
			return drop(DropMalformed, fmt.Sprintf("message %d of a packet: %d bytes, of %d", i+1, size, len(rest)))
		}
		w := walk{b: rest[:size], at: 1}
		form := newsForm(rest[0])
		if i == 0 && rest[0] == gossipPing {
			form = ping
		}
		if err := w.message(rest[0], form); err != nil {
			return err
		}
		if err := w.ended(); err != nil {
			return err
		}
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return drop(DropTrailing, fmt.Sprintf("%d bytes behind a packet", len(rest)))
	}
	return nil
}

// walkStream makes sure that b is one message that agents send on a stream, and returns
// how many members it describes.
func walkStream(way Way, b []byte) (members int, err *DropError) {
	if len(b) == 0 {
		return 0, drop(DropMalformed, "an empty message")
	}
	w := walk{b: b, at: 1}
	switch kind := b[0]; {
	case kind == gossipPushPull:
		if err := w.message(kind, pushPull); err != nil {
			return 0, err
		}
		if w.size > maxMembers {
			return 0, outOfRange("number of members", w.size, maxMembers)
		}
		for range w.size {
			if err := w.fields(member); err != nil {
				return 0, err
			}
		}
		return int(w.size), w.ended()
	case kind == gossipUser && way == Request:
		if err := w.message(kind, user); err != nil {
			return 0, err
		}
		if left := len(b) - w.at; w.size != uint64(left) {
			return 0, drop(DropMalformed, fmt.Sprintf("a message of %d bytes: %d came", w.size, left))
		}
		return 0, nil
	case kind == gossipPing && way == Request:
		err = w.message(kind, ping)
	case kind == gossipAck && way == Answer:
		err = w.message(kind, ack)
	case kind == gossipError && way == Answer:
		err = w.message(kind, failure)
	default:
		err = w.message(kind, nil)
	}
	if err != nil {
		return 0, err
	}
	return 0, w.ended()
}
