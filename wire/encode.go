package wire

import (
	"fmt"

	"duckduckgoose/agent/election"
)

const (
	frameFields    = 8
	entryFields    = 7 // of every kind
	configFields   = 3
	foundingFields = 6
)

// AppendFrame appends the body of f to dst. It fails with a *DropError and returns dst
// unchanged if f is too large for a datagram (DropTooLarge), or has values that every
// receiver would refuse.
func AppendFrame(dst []byte, f *Frame) ([]byte, error) {
	if err := f.checkOutgoing(); err != nil {
		return dst, err.ours()
	}
	e := encoders.Get().(*encoder)
	e.buf = dst
	e.frame(f)
	out := e.buf
	e.buf = nil // the pool must not keep the caller's memory
	encoders.Put(e)
	if n := len(out) - len(dst); n > MaxBody {
		return out[:len(dst)], outOfSize("frame", n, MaxBody).ours()
	}
	return out, nil
}

// checkOutgoing also refuses fields that the entry's kind does not carry: nobody would
// notice that they are lost.
func (f *Frame) checkOutgoing() *DropError {
	if err := f.check(); err != nil {
		return err
	}
	for i := range f.Messages {
		if err := checkMessage(&f.Messages[i]); err != nil {
			return err
		}
	}
	if f.Founding.Kind != 0 {
		if err := f.Founding.check(); err != nil {
			return err
		}
	}
	if f.Probe.Word != 0 {
		return f.Probe.check()
	}
	return nil
}

func checkMessage(m *Message) *DropError {
	if err := m.check(); err != nil {
		return err
	}
	if !isCarried(&m.Message) {
		return drop(DropRange, fmt.Sprintf("message of kind %d has a field that this kind does not carry", m.Kind))
	}
	return nil
}

// isCarried reports whether the kind of m carries all its fields. Of steady heartbeats and
// acks there are hundreds in each round.
func isCarried(m *election.Message) bool {
	steady := (m.Kind == election.Heartbeat || m.Kind == election.HeartbeatAck && m.Config.N == 0) &&
		m.NextTerm|m.Nonce|m.TransferTerm|m.GooseTerm == 0 && !m.Granted && m.Reason == 0 && m.Remaining == 0 && m.TransferFrom.IsZero() && m.Goose.IsZero()
	switch {
	case steady && m.Kind == election.Heartbeat:
		return m.Held|m.Pause == 0 && m.Fitness == 0
	case steady && m.Config == election.Config{}:
		return m.RTT == 0 && m.Fitness&^election.AllFitness == 0 && m.Ranks == [election.MaxVoters]uint8{} && m.Ages == [election.MaxVoters]uint8{}
	}
	return carried(m) == *m
}

// carried returns the part of m that its kind carries. The cases here, in
// encoder.fields and in decoder.kind must agree.
func carried(m *election.Message) election.Message {
	out := election.Message{Kind: m.Kind, Header: m.Header}
	switch m.Kind {
	case election.PreVoteRequest:
		out.NextTerm, out.Nonce = m.NextTerm, m.Nonce
	case election.PreVoteReply:
		out.Nonce, out.Granted, out.Reason, out.Remaining, out.Config = m.Nonce, m.Granted, m.Reason, m.Remaining, m.Config
	case election.VoteRequest:
		out.TransferFrom, out.TransferTerm = m.TransferFrom, m.TransferTerm
	case election.VoteReply:
		out.Granted, out.Reason, out.Remaining, out.Config = m.Granted, m.Reason, m.Remaining, m.Config
		out.Mark = m.Mark
	case election.Heartbeat:
		out.Round, out.Promise, out.Ranks, out.RTT, out.Config = m.Round, m.Promise, m.Ranks, m.RTT, m.Config
		out.Ages, out.Mark = m.Ages, m.Mark
	case election.HeartbeatAck:
		out.Round, out.Promise, out.Held, out.Fitness, out.Mark = m.Round, m.Promise, m.Held, m.Fitness&election.AllFitness, m.Mark
		out.Pause = m.Pause
	case election.Reject:
		out.Config = m.Config
	case election.LeaveReply:
		out.Granted, out.Reason = m.Granted, m.Reason
	case election.Announce:
		out.Goose, out.GooseTerm, out.Round, out.Promise = m.Goose, m.GooseTerm, m.Round, m.Promise
		out.Held, out.Ages, out.Config = m.Held, m.Ages, m.Config
	}
	return out
}

func (e *encoder) frame(f *Frame) {
	if f.ToLife == 0 {
		e.array(frameFields)
	} else {
		e.array(frameFields + 1)
	}
	e.bytes(f.FlockID[:])
	e.bytes(f.From[:])
	e.bytes(f.To[:])
	e.uint(f.Start)
	e.uint(f.Life)
	e.uint(f.Seq)
	entries := e.entries(f.Messages)
	if f.Probe.Word == 0 {
		e.array(entries)
	} else {
		e.array(entries + 1)
		e.probe(&f.Probe)
	}
	for i := range f.Messages {
		if !e.packs(i) {
			e.entry(&f.Messages[i])
		}
	}
	e.packed(f.Messages)
	if f.Founding.Kind == 0 {
		e.none()
	} else {
		e.founding(&f.Founding)
	}
	if f.ToLife != 0 {
		e.uint(f.ToLife)
	}
}

func (e *encoder) entry(m *Message) {
	e.array(entryFields + kindFields[m.Kind] + addedFields(&m.Message))
	e.uint(m.Election)
	e.uint(uint64(m.Kind))
	e.uint(m.Generation.Number)
	e.uint(m.Generation.Tag)
	e.uint(m.Term)
	e.uint(m.ConfigID.Term)
	e.uint(m.ConfigID.Version)
	e.fields(&m.Message)
}

// addedFields counts the optional fields after those that a kind always has. It is the
// smallest number that includes all set fields, so that older agents get bytes they know.
func addedFields(m *election.Message) int {
	switch m.Kind {
	case election.VoteReply:
		if m.Mark != 0 {
			return 1
		}
	case election.Heartbeat:
		switch {
		case m.Mark != 0:
			return 2
		case hasAges(m):
			return 1
		}
	case election.HeartbeatAck:
		switch {
		case m.Pause != 0:
			return 4
		case m.Mark != 0:
			return 3
		case m.Fitness != 0:
			return 2
		case m.Held != 0:
			return 1
		}
	}
	return 0
}

// hasAges reports whether a heartbeat has ages: some of its voters do not answer. That
// is rare.
func hasAges(m *election.Message) bool {
	return m.Kind == election.Heartbeat && m.Ages != [election.MaxVoters]uint8{}
}

// kindFields has the number of fields that encoder.fields appends for each kind.
var kindFields = [...]int{
	election.PreVoteRequest: 2,
	election.PreVoteReply:   5,
	election.VoteRequest:    2,
	election.VoteReply:      4,
	election.Heartbeat:      5,
	election.HeartbeatAck:   2,
	election.Reject:         1,
	election.TimeoutNow:     0,
	election.Resign:         0,
	election.Leave:          0,
	election.LeaveReply:     2,
	election.Announce:       7,
}

func (e *encoder) fields(m *election.Message) {
	switch m.Kind {
	case election.PreVoteRequest:
		e.uint(m.NextTerm)
		e.uint(m.Nonce)
	case election.PreVoteReply:
		e.uint(m.Nonce)
		e.verdict(m)
		e.duration(m.Remaining)
		e.config(&m.Config)
	case election.VoteRequest:
		e.optionalID(&m.TransferFrom)
		e.uint(m.TransferTerm)
	case election.VoteReply:
		e.verdict(m)
		e.duration(m.Remaining)
		e.config(&m.Config)
		if m.Mark != 0 {
			e.uint(m.Mark)
		}
	case election.Heartbeat:
		e.uint(m.Round)
		e.duration(m.Promise)
		e.bytes(m.Ranks[:])
		e.duration(min(max(m.RTT, 0), maxDuration)) // an estimate: a bounded one is better than a lost heartbeat
		e.config(&m.Config)
		if added := addedFields(m); added > 0 {
			e.bytes(m.Ages[:])
			if added > 1 {
				e.uint(m.Mark)
			}
		}
	case election.HeartbeatAck:
		e.uint(m.Round)
		e.duration(m.Promise)
		added := addedFields(m)
		if added > 0 {
			e.duration(m.Held)
		}
		if added > 1 {
			e.uint(uint64(m.Fitness))
		}
		if added > 2 {
			e.uint(m.Mark)
		}
		if added > 3 {
			e.duration(m.Pause)
		}
	case election.Reject:
		e.config(&m.Config)
	case election.LeaveReply:
		e.verdict(m)
	case election.Announce:
		e.optionalID(&m.Goose)
		e.uint(m.GooseTerm)
		e.uint(m.Round)
		e.duration(m.Promise)
		e.duration(m.Held)
		e.config(&m.Config)
		e.bytes(m.Ages[:])
	}
}

func (e *encoder) verdict(m *election.Message) {
	e.bool(m.Granted)
	e.uint(uint64(m.Reason))
}

func (e *encoder) config(c *election.Config) {
	if c.N == 0 {
		e.none()
		return
	}
	if c.Table.IsZero() {
		e.array(configFields)
	} else {
		e.array(configFields + 1)
	}
	e.uint(c.Term)
	e.uint(c.Version)
	_ = e.msgpack.EncodeBytesLen(int(c.N) * voterSize)
	for i := range c.Voters[:c.N] {
		e.buf = append(e.buf, c.Voters[i].ID[:]...)
		e.buf = append(e.buf, c.Voters[i].Priority)
	}
	if !c.Table.IsZero() {
		e.bytes(c.Table[:])
	}
}

func (e *encoder) probe(p *Probe) {
	e.array(2 + probeFields)
	e.uint(0) // it belongs to no election
	e.uint(probeKind)
	e.uint(uint64(p.Word))
	e.uint(p.Session)
	e.uint(uint64(p.Number))
	e.uint(p.Heard)
	e.duration(p.At)
	_ = e.msgpack.EncodeBytesLen(p.Padding)
	e.buf = append(e.buf, padding[:p.Padding]...)
}

func (e *encoder) founding(w *Founding) {
	e.array(foundingFields)
	e.uint(uint64(w.Kind))
	e.bytes(w.FlockID[:])
	e.uint(w.Attempt)
	e.uint(uint64(w.Expect))
	e.uint(uint64(w.Reason))
	_ = e.msgpack.EncodeBytesLen(len(w.Set) * idSize)
	for i := range w.Set {
		e.buf = append(e.buf, w.Set[i][:]...)
	}
}
