package port

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What memberlist's streams may open with.
const (
	gossipPing     = 0
	gossipAck      = 2
	gossipPushPull = 6
	gossipUser     = 8
	gossipCompress = 9
	gossipEncrypt  = 10
	gossipErr      = 13
)

const (
	// memberCost is what memberlist allocates per announced member, before the
	// first one has come.
	memberCost = 128
	// guardBuffer holds a label and a header.
	guardBuffer = 512
)

// errStreamMalformed is a stream that no agent sends.
var errStreamMalformed = errors.New("malformed stream")

// guard reads a stream before memberlist does. memberlist believes what a header
// announces: 30 bytes make it allocate 150 MB. The guard checks the header first,
// and counts both what is announced and what comes.
type guard struct {
	r       *bufio.Reader
	labeled bool // a label comes first
	grow    func(n int) error
	looked  bool
	err     error
}

// counted reads from a stream and counts what came.
type counted struct {
	io.Reader
	grow func(n int) error
}

func (b counted) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 {
		if over := b.grow(n); over != nil {
			return 0, over
		}
	}
	return n, err
}

// newGuard guards an accepted stream, which opens with a label, or the answer on
// a stream that we opened, which has none.
func newGuard(r io.Reader, labeled bool, grow func(int) error) guard {
	return guard{r: bufio.NewReaderSize(counted{r, grow}, guardBuffer), labeled: labeled, grow: grow}
}

// oneStream bounds what a stream of ours brings back.
func oneStream() func(n int) error {
	held := 0
	return func(n int) error {
		if held += n; held > streamMost {
			return errStreamLarge
		}
		return nil
	}
}

func (g *guard) Read(b []byte) (int, error) {
	if !g.looked {
		g.looked = true
		g.err = g.look()
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.r.Read(b)
}

// look checks the header, and leaves it to be read again.
func (g *guard) look() error {
	h := header{r: g.r}
	if g.labeled {
		if b, err := h.next(); err != nil {
			return err
		} else if b != labelByte {
			return fmt.Errorf("%w: it opens with %d, not with a label", errStreamMalformed, b)
		}
		n, err := h.next()
		if err != nil {
			return err
		}
		if _, err := h.take(int(n)); err != nil {
			return err
		}
	}
	kind, err := h.next()
	if err != nil {
		return err
	}
	switch kind {
	case gossipPing, gossipAck, gossipErr:
		return nil
	case gossipEncrypt:
		b, err := h.take(4)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint32(b) > streamMost {
			return errStreamLarge
		}
		return nil // memberlist's memory grows with what comes
	case gossipPushPull:
		return h.announced(g.grow, map[string]uint64{"Nodes": memberCost, "UserStateLen": 1, "Join": 0})
	case gossipUser:
		return h.announced(g.grow, map[string]uint64{"UserMsgLen": 1})
	case gossipCompress:
		return fmt.Errorf("%w: it is compressed, which no agent does", errStreamMalformed)
	}
	return fmt.Errorf("%w: message type %d", errStreamMalformed, kind)
}

// header reads ahead in a stream without consuming it.
type header struct {
	r  *bufio.Reader
	at int
}

func (h *header) take(n int) ([]byte, error) {
	b, err := h.r.Peek(h.at + n)
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = fmt.Errorf("%w: header of more than %d bytes", errStreamMalformed, guardBuffer)
		}
		return nil, err
	}
	b = b[h.at:]
	h.at += n
	return b, nil
}

func (h *header) next() (byte, error) {
	b, err := h.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// announced counts what the fields of a header announce, each by its cost.
func (h *header) announced(grow func(int) error, costs map[string]uint64) error {
	n, err := h.next()
	if err != nil {
		return err
	}
	if n&0xf0 != 0x80 || int(n&0x0f) > len(costs) {
		return fmt.Errorf("%w: header 0x%02x", errStreamMalformed, n)
	}
	for range n & 0x0f {
		name, err := h.name()
		if err != nil {
			return err
		}
		cost, known := costs[name]
		if !known {
			return fmt.Errorf("%w: header field %q", errStreamMalformed, name)
		}
		v, err := h.number()
		if err != nil {
			return err
		}
		if cost == 0 {
			continue
		}
		if v > streamMost/cost {
			return errStreamLarge
		}
		if err := grow(int(v * cost)); err != nil {
			return err
		}
	}
	return nil
}

// name reads a short msgpack string.
func (h *header) name() (string, error) {
	n, err := h.next()
	if err != nil {
		return "", err
	}
	if n&0xe0 != 0xa0 {
		return "", fmt.Errorf("%w: header field's name 0x%02x", errStreamMalformed, n)
	}
	b, err := h.take(int(n & 0x1f))
	return string(b), err
}

// number reads a msgpack integer that is not negative, or a bool.
func (h *header) number() (uint64, error) {
	kind, err := h.next()
	if err != nil {
		return 0, err
	}
	if kind < 0x80 {
		return uint64(kind), nil
	}
	size, ok := map[byte]int{0xc2: 0, 0xc3: 0, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8}[kind]
	if !ok {
		return 0, fmt.Errorf("%w: header value 0x%02x", errStreamMalformed, kind)
	}
	b, err := h.take(size)
	if err != nil {
		return 0, err
	}
	if kind >= 0xd0 && b[0] >= 0x80 {
		return 0, fmt.Errorf("%w: a header's number is negative", errStreamMalformed)
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, nil
}
