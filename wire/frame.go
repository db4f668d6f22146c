package wire

import "duckduckgoose/agent/election"

const (
	// FirstByte is the first byte of every datagram with a frame.
	FirstByte = 0xD7
	// Version is the version of our frames. Others are dropped.
	Version = 1
	// MaxDatagram bounds a datagram, so that every network carries it without
	// fragments.
	MaxDatagram = 1200
	// MaxBody bounds a frame before sealing, so that it fits a datagram with and
	// without a key.
	MaxBody = MaxDatagram - headSize - sealSize
	// MaxMessages bounds the entries of one frame.
	MaxMessages = 32
)

// Frame is the content of one datagram. It can be reused for many decodes.
type Frame struct {
	FlockID  election.FlockID // zero before founding
	From, To election.ID      // From is never zero
	Start    uint64           // see election.Header
	Life     uint64
	Seq      uint64
	ToLife   uint64 // 0: unknown
	// Messages are the entries, usually one. DecodeFrame reuses the slice.
	Messages []Message
	// Founding is a message of the founding protocol. Kind 0: none.
	Founding Founding
	// Probe is an entry that measures the path. Word 0: none.
	Probe Probe
	// Skipped counts the entries of unknown kinds that DecodeFrame left out.
	Skipped int

	// The packed entries: see Each.
	batches []batch
	packed  []byte
	one     Message
}

// Message is one entry of a frame. AppendFrame takes FlockID, From, To, Start, Life,
// Seq and ToLife of its Header from the frame and ignores the entry's own; DecodeFrame
// fills the whole Header.
type Message struct {
	Election uint64 // its number in the flock's table, at most MaxElection; 0: the default one
	election.Message
}

// stamp sets the header fields that all entries of a frame share.
func (f *Frame) stamp(m *Message) {
	m.FlockID, m.From, m.To = f.FlockID, f.From, f.To
	m.Start, m.Life, m.Seq, m.ToLife = f.Start, f.Life, f.Seq, f.ToLife
}
