package wire

import (
	"crypto/sha256"
	"encoding/binary"

	"duckduckgoose/agent/election"
)

const (
	// FirstByte opens every datagram of ours. memberlist's open with 0 to 14 or 244.
	FirstByte = 0xD7
	// Version is the frame version we speak; frames of another are dropped.
	Version = 1
	// MaxDatagram bounds a datagram: it passes every network without fragments.
	MaxDatagram = 1200
	// MaxBody bounds a frame before sealing, so that it fits with a key and without.
	MaxBody = MaxDatagram - headSize - sealSize
	// MaxMessages bounds the entries of one frame.
	MaxMessages = 32
)

// Frame is the content of one datagram. Reuse one for many decodes.
type Frame struct {
	FlockID  election.FlockID // zero before founding
	From, To election.ID      // From is never zero
	Start    uint64           // see election.Header
	Life     uint64
	Seq      uint64
	// Messages are the entries, usually one. DecodeFrame reuses the slice.
	Messages []Message
	// Founding is a word of the founding protocol. Kind 0: none.
	Founding Founding
	// Probe is one entry that measures the path. Word 0: none.
	Probe Probe
	// Skipped counts the entries of unknown kinds that DecodeFrame left out.
	Skipped int
}

// Message is one entry of a frame. AppendFrame takes FlockID, From, To, Start,
// Life and Seq of its Header from the frame, whatever the entry says;
// DecodeFrame fills the whole Header.
type Message struct {
	Election uint64 // see ElectionNumber
	election.Message
}

// ElectionNumber gives the number by which entries name an election: 0 for the
// default one, whose name is "", else the first 8 bytes of SHA-256 of the name.
func ElectionNumber(name string) uint64 {
	if name == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

// stamp gives m the header fields that all entries of a frame share.
func (f *Frame) stamp(m *Message) {
	m.FlockID, m.From, m.To = f.FlockID, f.From, f.To
	m.Start, m.Life, m.Seq = f.Start, f.Life, f.Seq
}
