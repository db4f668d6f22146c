package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth bounds nesting: frame, entries, entry, config.
const maxDepth = 4

// checkStructure reads b without allocating, and makes sure that b is exactly one
// msgpack value, that every length in it is covered by bytes, and that it nests at most
// maxDepth deep. The library trusts lengths (ten bytes can make it allocate 4 GiB), so
// this comes BEFORE any call of it.
func checkStructure(b []byte) *DropError {
	var left [maxDepth + 1]int // values still missing at each depth
	left[0] = 1
	at, depth := 0, 0
	for {
		for left[depth] == 0 {
			if depth == 0 {
				if at != len(b) {
					return drop(DropTrailing, fmt.Sprintf("%d bytes behind the frame", len(b)-at))
				}
				return nil
			}
			depth--
		}
		left[depth]--
		if at == len(b) {
			return drop(DropMalformed, "ends early")
		}
		size, values, ok := measure(b[at:])
		// Every value takes at least one byte, so a count above the remaining bytes is
		// wrong.
		if !ok || size > len(b)-at || values > len(b)-at-size {
			return drop(DropMalformed, fmt.Sprintf("byte %d: unknown code, or a length beyond the end", at))
		}
		at += size
		if values < 0 {
			continue
		}
		if depth == maxDepth {
			return drop(DropMalformed, fmt.Sprintf("byte %d: nested deeper than %d", at, maxDepth))
		}
		depth++
		left[depth] = values
	}
}

// measure reads the head of the value at the start of b, which is not empty. size is
// the size of the value without its elements; values is the number of elements, -1 if
// it cannot have any.
func measure(b []byte) (size, values int, ok bool) {
	c := b[0]
	switch {
	case msgpcode.IsFixedNum(c), c == msgpcode.Nil, c == msgpcode.False, c == msgpcode.True:
		return 1, -1, true
	case msgpcode.IsFixedString(c):
		return 1 + int(c&msgpcode.FixedStrMask), -1, true
	case msgpcode.IsFixedArray(c):
		return 1, int(c & msgpcode.FixedArrayMask), true
	case msgpcode.IsFixedMap(c):
		return 1, 2 * int(c&msgpcode.FixedMapMask), true
	}
	switch c {
	case msgpcode.Uint8, msgpcode.Int8:
		return 2, -1, true
	case msgpcode.Uint16, msgpcode.Int16:
		return 3, -1, true
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return 5, -1, true
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return 9, -1, true
	case msgpcode.FixExt1:
		return 3, -1, true
	case msgpcode.FixExt2:
		return 4, -1, true
	case msgpcode.FixExt4:
		return 6, -1, true
	case msgpcode.FixExt8:
		return 10, -1, true
	case msgpcode.FixExt16:
		return 18, -1, true
	case msgpcode.Bin8, msgpcode.Str8:
		n, ok := length(b, 1)
		return 2 + n, -1, ok
	case msgpcode.Bin16, msgpcode.Str16:
		n, ok := length(b, 2)
		return 3 + n, -1, ok
	case msgpcode.Bin32, msgpcode.Str32:
		n, ok := length(b, 4)
		return 5 + n, -1, ok
	case msgpcode.Ext8:
		n, ok := length(b, 1)
		return 3 + n, -1, ok
	case msgpcode.Ext16:
		n, ok := length(b, 2)
		return 4 + n, -1, ok
	case msgpcode.Ext32:
		n, ok := length(b, 4)
		return 6 + n, -1, ok
	case msgpcode.Array16:
		n, ok := length(b, 2)
		return 3, n, ok
	case msgpcode.Array32:
		n, ok := length(b, 4)
		return 5, n, ok
	case msgpcode.Map16:
		n, ok := length(b, 2)
		return 3, 2 * n, ok
	case msgpcode.Map32:
		n, ok := length(b, 4)
		return 5, 2 * n, ok
	}
	return 0, 0, false // 0xC1, which msgpack never uses
}

// length reads the length of size bytes after the code at the start of b. It refuses
// lengths larger than any datagram, so that none overflows an int.
func length(b []byte, size int) (int, bool) {
	if len(b) < 1+size {
		return 0, false
	}
	var n uint32
	switch size {
	case 1:
		n = uint32(b[1])
	case 2:
		n = uint32(binary.BigEndian.Uint16(b[1:]))
	case 4:
		n = binary.BigEndian.Uint32(b[1:])
	}
	return int(n), n <= MaxDatagram
}
