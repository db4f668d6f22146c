package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// walk reads a message.
type walk struct {
	b    []byte
	at   int
	size uint64 // the last size in a field
}

func (w *walk) message(kind byte, form []field) *DropError {
	if form == nil {
		return drop(DropUnknownKind, fmt.Sprintf("gossip of type %d is not for this place", kind))
	}
	return w.fields(form)
}

func (w *walk) ended() *DropError {
	if left := len(w.b) - w.at; left > 0 {
		return drop(DropTrailing, fmt.Sprintf("%d bytes behind a message", left))
	}
	return nil
}

// fields checks a map that must have each of the fields once.
func (w *walk) fields(form []field) *DropError {
	c, ok := w.next()
	if !ok || c != msgpcode.FixedMapLow|byte(len(form)) {
		return drop(DropMalformed, fmt.Sprintf("byte %d: want a map of %d fields", w.at, len(form)))
	}
	seen := 0
	for range form {
		at := w.at
		name, ok := w.text()
		i := index(form, name)
		if !ok || i < 0 || seen&(1<<i) != 0 {
			return drop(DropMalformed, fmt.Sprintf("byte %d: no field that belongs here", at))
		}
		seen |= 1 << i
		if at = w.at; !w.value(form[i].of) {
			return drop(DropMalformed, fmt.Sprintf("byte %d: no %s that an agent has", at, form[i].name))
		}
	}
	return nil
}

func index(form []field, name []byte) int {
	for i := range form {
		if string(name) == form[i].name {
			return i
		}
	}
	return -1
}

func (w *walk) value(of holds) bool {
	switch of {
	case aNumber:
		n, ok := w.number()
		return ok && n < 1<<32
	case aPort:
		n, ok := w.number()
		return ok && n > 0 && n < 1<<16
	case aState:
		n, ok := w.number()
		return ok && n <= 3
	case aSize:
		var ok bool
		w.size, ok = w.number()
		return ok
	case nothing:
		c, ok := w.next()
		return ok && (c == 0 || c == msgpcode.Nil || c == msgpcode.FixedStrLow)
	case aBool:
		c, ok := w.next()
		return ok && (c == msgpcode.False || c == msgpcode.True)
	}
	t, ok := w.text()
	if !ok {
		return false
	}
	switch of {
	case anID:
		return len(t) == idText && all(t, func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' })
	case anAddress:
		return len(t) == 4 || len(t) == 16
	case someMeta:
		return len(t) <= maxMeta
	case versions: // least, most and current version, twice; the application's are zero
		return len(t) == 6 && t[0] >= 1 && t[0] <= protocol && t[1] >= protocol && t[2] == protocol && bytes.Equal(t[3:], []byte{0, 0, 0})
	case someText:
		return len(t) <= maxErrorText && all(t, func(c byte) bool { return c >= ' ' && c <= '~' })
	}
	return false
}

func all(t []byte, ok func(byte) bool) bool {
	for _, c := range t {
		if !ok(c) {
			return false
		}
	}
	return true
}

func (w *walk) next() (byte, bool) {
	if w.at >= len(w.b) {
		return 0, false
	}
	w.at++
	return w.b[w.at-1], true
}

func (w *walk) take(n int) ([]byte, bool) {
	if n > len(w.b)-w.at {
		return nil, false
	}
	w.at += n
	return w.b[w.at-n : w.at], true
}

// number reads an integer that is not negative.
func (w *walk) number() (n uint64, ok bool) {
	c, ok := w.next()
	if !ok || c <= msgpcode.PosFixedNumHigh {
		return uint64(c), ok
	}
	if c < msgpcode.Uint8 || c > msgpcode.Int64 {
		return 0, false
	}
	b, ok := w.take(1 << (c & 3)) // cc to cf, d0 to d3: 1, 2, 4, 8 bytes
	if !ok || c >= msgpcode.Int8 && b[0] >= 0x80 {
		return 0, false
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// text reads a text, or bytes, of at most 65535 bytes.
func (w *walk) text() ([]byte, bool) {
	c, ok := w.next()
	if !ok {
		return nil, false
	}
	if msgpcode.IsFixedString(c) {
		return w.take(int(c & msgpcode.FixedStrMask))
	}
	switch c {
	case msgpcode.Str8, msgpcode.Bin8:
		n, ok := w.next()
		if !ok {
			return nil, false
		}
		return w.take(int(n))
	case msgpcode.Str16, msgpcode.Bin16:
		n, ok := w.take(2)
		if !ok {
			return nil, false
		}
		return w.take(int(binary.BigEndian.Uint16(n)))
	}
	return nil, false
}
