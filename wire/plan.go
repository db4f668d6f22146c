package wire

import (
	"math"

	"duckduckgoose/agent/election"
)

// AppendMost appends the body of a frame with as many of f.Messages, from the first,
// as fit a datagram, and returns their number. It packs steady heartbeats and acks if
// there are several of a kind.
//
// It fails as [AppendFrame] does, and dst is then unchanged. Then taken is how many
// messages to leave out: the first one if that is wrong, all if the rest of the frame
// is.
func AppendMost(dst []byte, f *Frame) (body []byte, taken int, err error) {
	all := f.Messages
	if len(all) < 2 {
		body, err = AppendFrame(dst, f)
		return body, len(all), err
	}
	defer func() { f.Messages = all }()
	f.Messages = nil
	if body, err = AppendFrame(dst, f); err != nil {
		return body, len(all), err
	}
	sound := 0
	for ; sound < len(all); sound++ {
		fault := checkMessage(&all[sound])
		if fault != nil && sound == 0 {
			return dst, 1, fault.ours()
		}
		if fault != nil {
			break // it waits for a later frame
		}
	}
	e := encoders.Get().(*encoder)
	bare := len(body) - len(dst)
	taken = e.plan(f, all[:sound], bare)
	if taken < sound {
		e.plan(f, all[:taken], bare)
	}
	if f.Messages = all[:taken]; taken > 0 {
		e.buf = body[:len(dst)]
		e.frame(f)
		body = e.buf
	}
	e.buf, e.lots = nil, e.lots[:0] // the pool must not keep the caller's memory
	encoders.Put(e)
	if taken == 0 {
		f.Messages = all[:1]
		body, err = AppendFrame(body[:len(dst)], f) // for its error
		return body, 1, err
	}
	return body, taken, nil
}

// lot is a packed entry that is being planned.
type lot struct {
	batch
	count int // of messages; one alone stays plain
	plain int // the bytes of the first one as a plain entry
	head  int // the bytes of the shared values
	own   int // the bytes of the others
}

func (l *lot) size() int {
	switch l.count {
	case 0:
		return 0
	case 1:
		return l.plain
	}
	size := l.head + bytesHead(l.own) + l.own
	if l.fitness != 0 {
		size++ // it is a small number
	}
	return size
}

// arrayHead and bytesHead return the size of msgpack's header for a length.
func arrayHead(n int) int {
	if n < 16 {
		return 1
	}
	return 3
}

func bytesHead(n int) int {
	if n <= math.MaxUint8 {
		return 2
	}
	return 3
}

// plan assigns messages to lots, and returns how many of them, from the first, fit f,
// whose size without messages is given. More messages may fit than fewer: the second of
// a lot can make its entry smaller.
func (e *encoder) plan(f *Frame, messages []Message, size int) (fit int) {
	e.lots, e.lotOf = e.lots[:0], e.lotOf[:0]
	entries := 0
	if f.Probe.Word != 0 {
		entries = 1
	}
	size -= arrayHead(entries)
	for i := range messages {
		m := &messages[i]
		at := e.lotFor(m)
		e.lotOf = append(e.lotOf, int16(at))
		if at < 0 {
			size += e.measure(m)
			entries++
		} else {
			l := &e.lots[at]
			size -= l.size()
			if l.count++; l.count == 1 {
				entries++
				l.plain = e.measure(m)
			}
			e.scratch = appendPacked(e.scratch[:0], m)
			l.own += len(e.scratch)
			size += l.size()
		}
		if entries <= MaxMessages && arrayHead(entries)+size <= MaxBody {
			fit = i + 1
		}
	}
	return fit
}

// lotFor finds or makes the lot of a message; -1: none.
func (e *encoder) lotFor(m *Message) int {
	if !packable(m) {
		return -1
	}
	for at := range e.lots {
		if e.lots[at].takes(m) {
			return at
		}
	}
	l := lot{batch: batch{kind: m.Kind, generation: m.Generation, promise: m.Promise, held: m.Held, fitness: m.Fitness}}
	l.head = e.measureHead(&l.batch)
	e.lots = append(e.lots, l)
	return len(e.lots) - 1
}

// measure returns the size of a plain entry.
func (e *encoder) measure(m *Message) int {
	kept := e.buf
	e.buf = e.scratch[:0]
	e.entry(m)
	e.scratch, e.buf = e.buf, kept
	return len(e.scratch)
}

func (e *encoder) measureHead(b *batch) int {
	kept := e.buf
	e.buf = e.scratch[:0]
	e.packedHead(b)
	e.scratch, e.buf = e.buf, kept
	return len(e.scratch)
}

// entries returns the number of entries for these messages.
func (e *encoder) entries(messages []Message) int {
	if len(e.lots) == 0 {
		return len(messages)
	}
	n := len(e.lots)
	for _, at := range e.lotOf {
		if at < 0 {
			n++
		}
	}
	return n
}

// packs reports whether message i goes into a packed entry.
func (e *encoder) packs(i int) bool {
	return len(e.lots) > 0 && e.lotOf[i] >= 0 && e.lots[e.lotOf[i]].count > 1
}

// packed writes the packed entries.
func (e *encoder) packed(messages []Message) {
	for at := range e.lots {
		l := &e.lots[at]
		if l.count < 2 {
			continue
		}
		e.packedHead(&l.batch)
		_ = e.msgpack.EncodeBytesLen(l.own)
		for i := range messages {
			if e.lotOf[i] == int16(at) {
				e.buf = appendPacked(e.buf, &messages[i])
			}
		}
		if l.fitness != 0 {
			e.uint(uint64(l.fitness))
		}
	}
}

// packedHead writes the values that the messages of a packed entry share.
func (e *encoder) packedHead(b *batch) {
	fields, kind := 2+packedBeatFields, uint64(packedBeats)
	if b.kind == election.HeartbeatAck {
		fields, kind = 2+packedAckFields, packedAcks
	}
	if b.fitness != 0 {
		fields++
	}
	e.array(fields)
	e.uint(0) // it belongs to no one election
	e.uint(kind)
	e.uint(b.generation.Number)
	e.uint(b.generation.Tag)
	e.duration(b.promise)
	if b.kind == election.HeartbeatAck {
		e.duration(b.held)
	}
}
