package wire

import (
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"duckduckgoose/agent/election"
)

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.msgpack = msgpack.NewEncoder(e)
	return e
}}

// encoder drives the library's Encoder. It writes into buf, so it never fails.
type encoder struct {
	buf     []byte
	msgpack *msgpack.Encoder

	// How messages are packed into the frame being written. No lots: all entries are
	// plain.
	lots    []lot
	lotOf   []int16 // by message, the lot that it belongs to; -1: it stays plain
	scratch []byte
}

// Write and WriteByte make the encoder the library's writer.
func (e *encoder) Write(p []byte) (int, error) {
	e.buf = append(e.buf, p...)
	return len(p), nil
}

func (e *encoder) WriteByte(c byte) error {
	e.buf = append(e.buf, c)
	return nil
}

func (e *encoder) array(n int)              { _ = e.msgpack.EncodeArrayLen(n) }
func (e *encoder) uint(n uint64)            { _ = e.msgpack.EncodeUint(n) }
func (e *encoder) bool(b bool)              { _ = e.msgpack.EncodeBool(b) }
func (e *encoder) none()                    { _ = e.msgpack.EncodeNil() }
func (e *encoder) duration(d time.Duration) { e.uint(uint64(d)) }

func (e *encoder) bytes(b []byte) {
	_ = e.msgpack.EncodeBytesLen(len(b))
	e.buf = append(e.buf, b...)
}

func (e *encoder) optionalID(id *election.ID) {
	if id.IsZero() {
		e.bytes(nil)
		return
	}
	e.bytes(id[:])
}
