package wire

import (
	"fmt"
	"io"

	"duckduckgoose/agent/election"
)

const (
	// StreamByte is the first byte of every stream.
	StreamByte = 0xD8
	// maxPreface is the size of a head, a length byte, and the longest rest.
	maxPreface = headSize + 1 + 255
)

// WritePreface opens a stream, in one write, with the sender's id, so that fault rules
// and errors can name the peer although its port is ephemeral. A preface can be
// replayed, so it proves nothing about what follows it.
//
//	0xD8 | version | key id, 4 bytes | length of the rest, 1 byte | sealed id
//
// The label and the sealing are those of datagrams; the sub-key is another.
func WritePreface(w io.Writer, k *Keyring, id election.ID) error {
	if id.IsZero() {
		return fmt.Errorf("writing preface: sender has no id")
	}
	e := &k.prefaces
	b := e.appendHead(make([]byte, 0, maxPreface))
	b = append(b, byte(idSize+e.overhead()))
	b = e.seal(b, id[:])
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("writing preface: %w", err)
	}
	return nil
}

// ReadPreface reads exactly one preface and returns the sender's id. It ignores what a
// later version adds after the id. The caller bounds the time.
//
// A whole preface that does not open is a *DropError (DropUnsealed, DropUnknownKey,
// DropSeal, DropChecksum, DropFrameVersion). It has then been read to its end, so that
// the caller can read a stranger's label (FlockLabelOf). With DropFirstByte one byte
// was read.
func ReadPreface(r io.Reader, k *Keyring) (election.ID, error) {
	var id election.ID
	b := make([]byte, maxPreface)
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return id, fmt.Errorf("reading preface: %w", err)
	}
	if b[0] != StreamByte {
		return id, drop(DropFirstByte, fmt.Sprintf("0x%02X: want 0x%02X", b[0], StreamByte))
	}
	if _, err := io.ReadFull(r, b[1:headSize+1]); err != nil {
		return id, fmt.Errorf("reading preface: %w", err)
	}
	head, sealed := b[:headSize], b[headSize+1:][:b[headSize]]
	if _, err := io.ReadFull(r, sealed); err != nil {
		return id, fmt.Errorf("reading preface: %w", err)
	}
	body, drops := k.prefaces.open(nil, head, sealed)
	if drops != nil {
		return id, k.complete(drops)
	}
	if len(body) < idSize {
		return id, drop(DropShort, fmt.Sprintf("preface of %d bytes: want %d", len(body), idSize))
	}
	copy(id[:], body)
	if id.IsZero() {
		return id, drop(DropRange, "sender has no id")
	}
	return id, nil
}
