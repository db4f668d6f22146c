package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
)

const (
	slotBytes   = 32 << 10
	headerBytes = 32
	sectorBytes = 512 // slots are written in multiples of it, so that no write needs a read

	slotA = 0 // the one Save writes
	slotB = 1 // the one Settle writes

	formatVersion = 2 // and 1 is read still
	magic         = "DDGSTATE"
)

var crcTable = crc64.MakeTable(crc64.ECMA)

// seal makes the bytes of a slot: header, payload, zeros up to a whole sector.
func seal(seq uint64, payload []byte) []byte {
	n := headerBytes + len(payload)
	b := make([]byte, headerBytes, (n+sectorBytes-1)/sectorBytes*sectorBytes)
	copy(b, magic)
	binary.BigEndian.PutUint32(b[8:], formatVersion)
	binary.BigEndian.PutUint32(b[12:], uint32(len(payload)))
	binary.BigEndian.PutUint64(b[16:], seq)
	binary.BigEndian.PutUint64(b[24:], checksum(b, payload))
	b = append(b, payload...)
	return b[:cap(b)]
}

func checksum(header, payload []byte) uint64 {
	return crc64.Update(crc64.Checksum(header[:24], crcTable), crcTable, payload)
}

// slot is one slot as read.
type slot struct {
	seq     uint64
	version uint32
	payload []byte
	damage  error // nil: magic, length and checksum are right
}

var errNotWritten = errors.New("never written, or overwritten")

// readSlot tells what stands in a slot's bytes, which may be cut short.
func readSlot(b []byte) slot {
	if len(b) < headerBytes || string(b[:8]) != magic {
		return slot{damage: errNotWritten}
	}
	n := binary.BigEndian.Uint32(b[12:])
	if uint64(n) > uint64(len(b)-headerBytes) {
		return slot{damage: fmt.Errorf("length %d is wrong", n)}
	}
	payload := b[headerBytes : headerBytes+int(n)]
	if checksum(b, payload) != binary.BigEndian.Uint64(b[24:]) {
		return slot{damage: errors.New("wrong checksum")}
	}
	return slot{seq: binary.BigEndian.Uint64(b[16:]), version: binary.BigEndian.Uint32(b[8:]), payload: payload}
}

// newest gives the index of the slot that counts. Damage of one is what a
// crash leaves; two that contradict each other are not.
func newest(slots [2]slot) (int, error) {
	a, b := &slots[slotA], &slots[slotB]
	switch {
	case a.damage != nil && b.damage != nil:
		return 0, fmt.Errorf("slot A: %w; slot B: %w", a.damage, b.damage)
	case a.damage != nil:
		return slotB, nil
	case b.damage != nil:
		return slotA, nil
	case a.seq == b.seq && string(a.payload) != string(b.payload):
		return 0, fmt.Errorf("slots A and B are both number %d and differ", a.seq)
	case b.seq > a.seq:
		return slotB, nil
	}
	return slotA, nil
}
