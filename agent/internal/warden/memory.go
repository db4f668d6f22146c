package warden

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/netip"
)

// The layout of the shared memory. Words are in the machine's byte order: both sides run on it.
const (
	magicAt    = 0  // magic
	activeAt   = 8  // the copy in force: 1 or 2; 0: no will is in force
	waitAt     = 16 // nanoseconds that holders may take after the agent's death
	overflowAt = 24 // holders for which the list had no room
	slotsAt    = 4 << 10
	slotSize   = 16 // election, proof
	maxSlots   = 256
	copiesAt   = slotsAt + maxSlots*slotSize
	copySize   = 256 << 10
	size       = copiesAt + 2*copySize
	magic      = 0x31_4c_4c_49_57_47_44_44 // DDGWILL1
	maxMessage = 1200
)

// Proofs of a holder that works.
const (
	free    = 0 // no holder
	NoProof = 1 // it cannot tell that its work is gone
)

// Message is a sealed datagram for one voter.
type Message struct {
	To       netip.AddrPort
	Datagram []byte
}

// proofSize is the length of a proof as a holder sends it: hexadecimal digits.
const proofSize = 16

const digits = "0123456789abcdef"

func appendProof(b []byte, proof uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[proof>>shift&15])
	}
	return b
}

// parseProof reads what a holder has sent. ok: it can be a proof.
func parseProof(b []byte) (proof uint64, ok bool) {
	if len(b) != proofSize {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			proof = proof<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			proof = proof<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return proof, proof > NoProof
}

// keyOf returns an election's key in the memory.
func keyOf(election string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(election))
	return h.Sum64()
}

// appendMessage appends one message of an election.
func appendMessage(b []byte, election uint64, l *Message) []byte {
	ip := l.To.Addr().Unmap().AsSlice()
	b = binary.NativeEndian.AppendUint64(b, election)
	b = append(b, byte(len(ip)))
	b = append(b, ip...)
	b = binary.NativeEndian.AppendUint16(b, l.To.Port())
	b = binary.NativeEndian.AppendUint16(b, uint16(len(l.Datagram)))
	return append(b, l.Datagram...)
}

// kept is a message as the warden reads it.
type kept struct {
	election uint64
	Message
}

var errDamaged = errors.New("the shared memory is damaged")

// parseMessages reads what appendMessage has written.
func parseMessages(b []byte) (messages []kept, err error) {
	for len(b) > 0 {
		if len(b) < 9 {
			return nil, errDamaged
		}
		k, n := kept{election: binary.NativeEndian.Uint64(b)}, int(b[8])
		if b = b[9:]; len(b) < n+4 {
			return nil, errDamaged
		}
		ip, ok := netip.AddrFromSlice(b[:n])
		length := int(binary.NativeEndian.Uint16(b[n+2:]))
		if !ok || len(b) < n+4+length || length > maxMessage {
			return nil, errDamaged
		}
		k.To = netip.AddrPortFrom(ip, binary.NativeEndian.Uint16(b[n:]))
		k.Datagram = b[n+4 : n+4+length]
		messages, b = append(messages, k), b[n+4+length:]
	}
	return messages, nil
}

// holder is a slot of the list.
type holder struct{ election, proof uint64 }

// lastWill is the content of the memory at the agent's death.
type lastWill struct {
	messages []kept
	holders  []holder
	wait     int64 // nanoseconds
}

// parse reads the whole memory. Nothing is to be sent if there are no messages.
func parse(mem []byte) (t lastWill, err error) {
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(mem[at:]) }
	if len(mem) != size || word(magicAt) != magic || word(activeAt) > 2 {
		return t, errDamaged
	}
	active := int(word(activeAt))
	if active == 0 || word(overflowAt) != 0 {
		return t, nil
	}
	for i := range maxSlots {
		if h := (holder{word(slotsAt + i*slotSize), word(slotsAt + i*slotSize + 8)}); h.proof != free {
			t.holders = append(t.holders, h)
		}
	}
	t.wait = int64(word(waitAt))
	b := mem[copiesAt+(active-1)*copySize:][:copySize]
	n := int(binary.NativeEndian.Uint32(b))
	if n > copySize-4 {
		return t, errDamaged
	}
	t.messages, err = parseMessages(b[4 : 4+n])
	return t, err
}

// ready removes from t, and returns, the messages of elections whose holders are all gone.
func (t *lastWill) ready(gone map[uint64]bool) (messages []kept) {
	waits := map[uint64]bool{}
	for _, h := range t.holders {
		if !gone[h.proof] {
			waits[h.election] = true
		}
	}
	rest := t.messages[:0:0]
	for _, l := range t.messages {
		if waits[l.election] {
			rest = append(rest, l)
		} else {
			messages = append(messages, l)
		}
	}
	t.messages = rest
	return messages
}

// hopeless drops the messages that wait for holders that can give no proof.
func (t *lastWill) hopeless() {
	never := map[uint64]bool{}
	for _, h := range t.holders {
		if h.proof == NoProof {
			never[h.election] = true
		}
	}
	rest := t.messages[:0:0]
	for _, l := range t.messages {
		if !never[l.election] {
			rest = append(rest, l)
		}
	}
	t.messages = rest
}
