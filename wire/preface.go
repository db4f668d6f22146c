package wire

import (
	"fmt"
	"io"

	"duckduckgoose/agent/election"
)

const (
	// StreamByte opens every stream.
	StreamByte = 0xD8
	// maxPreface is a head, a length byte, and what that can announce.
	maxPreface = headSize + 1 + 255
)

// WritePreface opens a stream: it tells the receiver the sender's id, so that
// faults and errors can name the peer behind an ephemeral port. It is one
// write. A preface can be replayed: it names, and proves nothing about what
// follows it.
//
//	0xD8 | version | key id, 4 bytes | length of the rest, 1 byte | sealed id
//
// Label and sealing are those of datagrams, under a sub-key of their own.
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

// ReadPreface reads a preface and not a byte more, and gives the sender's id.
// What a later version adds behind the id is left out. The caller bounds the
// time.
//
// A preface that is whole but does not open is a *DropError (DropUnsealed,
// DropUnknownKey, DropSeal, DropChecksum, DropFrameVersion); it has then been
// read to its end, so that the caller may go on to read which label a stranger
// names (FlockLabelOf). With DropFirstByte one byte was read.
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
