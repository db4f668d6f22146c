package wire

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"duckduckgoose/agent/election"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.msgpack = msgpack.NewDecoder(&d.src) // a ByteScanner: the library adds no buffer of its own
	return d
}}

// decoder drives the library's Decoder over bytes whose structure was checked. After
// the first failure every read returns zero and does nothing.
type decoder struct {
	src     bytes.Reader
	msgpack *msgpack.Decoder
	fail    *DropError
	voters  [election.MaxVoters * voterSize]byte
	padding [MaxBody]byte // the padding is read into it and ignored
}

// refuse records the first failure.
func (d *decoder) refuse(err *DropError) {
	if d.fail == nil {
		d.fail = err
	}
}

func (d *decoder) wrong(what, want string) {
	d.refuse(drop(DropMalformed, fmt.Sprintf("%s: want %s", what, want)))
}

// next returns the code of the next value. The library would read nil as 0 and a
// negative number as a huge one, so the code is checked first.
func (d *decoder) next() (byte, bool) {
	if d.fail != nil {
		return 0, false
	}
	c, err := d.msgpack.PeekCode()
	return c, err == nil
}

// fields opens an array of at least want values and returns how many more it has.
func (d *decoder) fields(what string, want int) (more int) {
	if c, ok := d.next(); ok && (msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32) {
		if n, err := d.msgpack.DecodeArrayLen(); err == nil && n >= want {
			return n - want
		}
	}
	d.wrong(what, fmt.Sprintf("an array of %d fields or more", want))
	return 0
}

func (d *decoder) uint(what string, limit uint64) uint64 {
	c, ok := d.next()
	if ok && (c <= msgpcode.PosFixedNumHigh || c >= msgpcode.Uint8 && c <= msgpcode.Uint64) {
		if n, err := d.msgpack.DecodeUint64(); err == nil {
			if n <= limit {
				return n
			}
			d.refuse(outOfRange(what, n, limit))
			return 0
		}
	}
	d.wrong(what, "a number from 0 up")
	return 0
}

func (d *decoder) duration(what string) time.Duration {
	return time.Duration(d.uint(what, uint64(maxDuration)))
}

func (d *decoder) bool(what string) bool {
	if c, ok := d.next(); ok && (c == msgpcode.True || c == msgpcode.False) {
		if b, err := d.msgpack.DecodeBool(); err == nil {
			return b
		}
	}
	d.wrong(what, "true or false")
	return false
}

// nothing reads a nil, if one is next.
func (d *decoder) nothing() bool {
	c, ok := d.next()
	return ok && c == msgpcode.Nil && d.msgpack.DecodeNil() == nil
}

// size opens a byte string and returns its length; its bytes are read next.
func (d *decoder) size(what string) int {
	if c, ok := d.next(); ok && (c == msgpcode.Bin8 || c == msgpcode.Bin16 || c == msgpcode.Bin32) {
		if n, err := d.msgpack.DecodeBytesLen(); err == nil {
			return n
		}
	}
	d.wrong(what, "bytes")
	return 0
}

func (d *decoder) read(into []byte) {
	if d.fail == nil && d.msgpack.ReadFull(into) != nil {
		d.wrong("bytes", "as many as announced")
	}
}

// fixed reads a byte string of exactly len(into) bytes.
func (d *decoder) fixed(what string, into []byte) {
	if n := d.size(what); d.fail == nil && n != len(into) {
		d.wrong(what, fmt.Sprintf("%d bytes", len(into)))
	}
	d.read(into)
}

func (d *decoder) optionalID(what string, id *election.ID) {
	switch n := d.size(what); {
	case n == len(id):
		d.read(id[:])
	case n != 0:
		d.wrong(what, fmt.Sprintf("%d bytes or none", len(id)))
	}
}

// skip reads and ignores n values that a later minor version has added.
func (d *decoder) skip(n int) {
	for ; n > 0 && d.fail == nil; n-- {
		if d.msgpack.Skip() != nil {
			d.wrong("added field", "msgpack")
		}
	}
}
