package wire

import (
	"fmt"
	"math"
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	idSize    = len(election.ID{})
	voterSize = idSize + 1
)

// DecodeFrame fills f from a body. It reuses f's slices and keeps nothing of body. If
// any entry is malformed or out of range, it drops the whole frame: the error is a
// *DropError, and f's content is then undefined.
func DecodeFrame(body []byte, f *Frame) error {
	if len(body) > MaxBody {
		return outOfSize("frame", len(body), MaxBody)
	}
	if err := checkStructure(body); err != nil {
		return err
	}
	d := decoders.Get().(*decoder)
	d.src.Reset(body)
	d.frame(f)
	err := d.fail
	d.src.Reset(nil) // the pool must not keep the caller's memory
	d.fail = nil
	decoders.Put(d)
	if err != nil {
		return err
	}
	return nil
}

func (d *decoder) frame(f *Frame) {
	*f = Frame{Messages: f.Messages[:0], Founding: Founding{Set: f.Founding.Set[:0]}, batches: f.batches[:0], packed: f.packed[:0]}
	more := d.fields("frame", frameFields)
	d.fixed("flock id", f.FlockID[:])
	d.fixed("sender", f.From[:])
	d.fixed("receiver", f.To[:])
	f.Start = d.uint("start", math.MaxUint64)
	f.Life = d.uint("life", math.MaxUint64)
	f.Seq = d.uint("seq", math.MaxUint64)
	n := d.fields("list of entries", 0)
	if n > MaxMessages {
		d.refuse(outOfRange("number of entries", uint64(n), MaxMessages))
	}
	for i := 0; i < n && d.fail == nil; i++ {
		d.entry(f)
	}
	if !d.nothing() {
		d.founding(f)
	}
	if more > 0 {
		f.ToLife = d.uint("receiver's life", math.MaxUint64)
		for i := range f.Messages {
			f.Messages[i].ToLife = f.ToLife
		}
		more--
	}
	d.skip(more)
	d.refuse(f.check())
	if d.fail == nil && d.src.Len() != 0 {
		d.refuse(drop(DropTrailing, fmt.Sprintf("%d bytes behind the frame", d.src.Len())))
	}
}

func (d *decoder) entry(f *Frame) {
	more := d.fields("entry", 2)
	number := d.uint("election", math.MaxUint64)
	kind := d.uint("kind", math.MaxUint64)
	if kind == probeKind {
		d.probe(f, more)
		return
	}
	if kind == packedBeats || kind == packedAcks {
		d.packed(f, kind, more)
		return
	}
	if kind > math.MaxUint8 || !known(election.Kind(kind)) {
		d.skip(more)
		f.Skipped++
		return
	}
	more -= entryFields + kindFields[kind] - 2
	if more < 0 {
		d.refuse(drop(DropMalformed, fmt.Sprintf("entry of kind %d has too few fields", kind)))
		return
	}
	f.Messages = append(f.Messages, Message{})
	m := &f.Messages[len(f.Messages)-1]
	m.Election, m.Kind = number, election.Kind(kind)
	f.stamp(m)
	m.Generation.Number = d.uint("generation", election.MaxGeneration)
	m.Generation.Tag = d.uint("generation's tag", math.MaxUint64)
	m.Term = d.uint("term", election.MaxTerm)
	m.ConfigID.Term = d.uint("config's term", election.MaxTerm)
	m.ConfigID.Version = d.uint("config's version", maxVersion)
	d.kind(&m.Message)
	d.skip(d.added(&m.Message, more))
	if d.fail == nil {
		d.refuse(m.check())
	}
}

// added reads the fields that earlier versions did not have, if they are present, and
// returns how many fields are left.
func (d *decoder) added(m *election.Message, more int) (left int) {
	next := func() bool {
		more--
		return more >= 0
	}
	switch m.Kind {
	case election.VoteReply:
		if next() {
			m.Mark = d.mark()
		}
	case election.Heartbeat:
		if next() {
			d.fixed("ages", m.Ages[:])
		}
		if next() {
			m.Mark = d.mark()
		}
	case election.HeartbeatAck:
		if next() {
			m.Held = d.duration("held")
		}
		if next() {
			m.Fitness = d.fitness()
		}
		if next() {
			m.Mark = d.mark()
		}
		if next() {
			m.Pause = d.duration("pause")
		}
	}
	return max(more, 0)
}

func (d *decoder) mark() uint64 { return d.uint("mark", election.MaxMark) }

func (d *decoder) probe(f *Frame, more int) {
	p := &f.Probe
	if more < probeFields {
		d.refuse(drop(DropMalformed, fmt.Sprintf("probe has too few fields: want %d", probeFields)))
		return
	}
	word := d.uint("probe's word", math.MaxUint64)
	if word == 0 || word > uint64(ProbeAnswer) || p.Word != 0 {
		d.skip(more - 1)
		f.Skipped++
		return
	}
	p.Word = ProbeWord(word)
	p.Session = d.uint("probe's session", math.MaxUint64)
	p.Number = uint8(d.uint("probe's number", MaxProbes-1))
	p.Heard = d.uint("probes heard", math.MaxUint64)
	p.At = time.Duration(d.uint("probe's clock", math.MaxInt64))
	if p.Padding = d.size("probe's padding"); d.fail == nil {
		d.read(d.padding[:min(p.Padding, len(d.padding))]) // it fits: the structure was checked
	}
	d.skip(more - probeFields)
	if d.fail == nil {
		d.refuse(p.check())
	}
}

// kind reads the fields of m's kind.
func (d *decoder) kind(m *election.Message) {
	switch m.Kind {
	case election.PreVoteRequest:
		m.NextTerm = d.uint("next term", election.MaxTerm)
		m.Nonce = d.uint("nonce", math.MaxUint64)
	case election.PreVoteReply:
		m.Nonce = d.uint("nonce", math.MaxUint64)
		d.verdict(m)
		m.Remaining = d.duration("remaining promise")
		d.config(&m.Config)
	case election.VoteRequest:
		d.optionalID("transfer from", &m.TransferFrom)
		m.TransferTerm = d.uint("transfer term", election.MaxTerm)
	case election.VoteReply:
		d.verdict(m)
		m.Remaining = d.duration("remaining promise")
		d.config(&m.Config)
	case election.Heartbeat:
		m.Round = d.uint("round", math.MaxUint64)
		m.Promise = d.duration("promise")
		d.fixed("ranks", m.Ranks[:])
		m.RTT = d.duration("round trip")
		d.config(&m.Config)
	case election.HeartbeatAck:
		m.Round = d.uint("round", math.MaxUint64)
		m.Promise = d.duration("promise")
	case election.Reject:
		d.config(&m.Config)
	case election.LeaveReply:
		d.verdict(m)
	case election.Announce:
		d.optionalID("goose", &m.Goose)
		m.GooseTerm = d.uint("goose's term", election.MaxTerm)
		m.Round = d.uint("round", math.MaxUint64)
		m.Promise = d.duration("promise")
		m.Held = d.duration("held")
		d.config(&m.Config)
		d.fixed("ages", m.Ages[:])
	}
}

// fitness reads the flags that this version knows.
func (d *decoder) fitness() election.Fitness {
	return election.Fitness(d.uint("fitness", math.MaxUint8)) & election.AllFitness
}

func (d *decoder) verdict(m *election.Message) {
	m.Granted = d.bool("granted")
	m.Reason = election.Reason(d.uint("reason", math.MaxUint8))
}

func (d *decoder) config(c *election.Config) {
	if d.nothing() {
		return
	}
	more := d.fields("config", configFields)
	c.Term = d.uint("config's term", election.MaxTerm)
	c.Version = d.uint("config's version", maxVersion)
	n := d.size("voters")
	if d.fail != nil {
		return
	}
	if n == 0 || n > len(d.voters) || n%voterSize != 0 {
		d.refuse(drop(DropRange, fmt.Sprintf("voters in %d bytes: want 1 to %d of %d bytes each", n, election.MaxVoters, voterSize)))
		return
	}
	d.read(d.voters[:n])
	c.N = uint8(n / voterSize)
	for i := range c.Voters[:c.N] {
		v := d.voters[i*voterSize:]
		c.Voters[i] = election.Voter{ID: election.ID(v[:idSize]), Priority: v[idSize]}
	}
	if more > 0 {
		if !d.nothing() {
			d.fixed("table", c.Table[:])
		}
		more--
	}
	d.skip(more)
}

func (d *decoder) founding(f *Frame) {
	w := &f.Founding
	more := d.fields("founding", 1)
	kind := d.uint("founding kind", math.MaxUint64)
	if kind == 0 || kind > uint64(FoundAbort) {
		d.skip(more)
		f.Skipped++
		return
	}
	more -= foundingFields - 1
	if more < 0 {
		d.refuse(drop(DropMalformed, fmt.Sprintf("founding has too few fields: want %d", foundingFields)))
		return
	}
	w.Kind = FoundingKind(kind)
	d.fixed("founding's flock id", w.FlockID[:])
	w.Attempt = d.uint("attempt", math.MaxUint64)
	w.Expect = int(d.uint("expect", MaxFounders))
	w.Reason = uint8(d.uint("founding's reason", math.MaxUint8))
	n := d.size("founding set")
	if d.fail != nil {
		return
	}
	if n%idSize != 0 || n/idSize > MaxFounders {
		d.refuse(drop(DropRange, fmt.Sprintf("founding set in %d bytes: want at most %d ids of %d", n, MaxFounders, idSize)))
		return
	}
	w.Set = slices.Grow(w.Set, n/idSize)[:n/idSize]
	for i := range w.Set {
		d.read(w.Set[i][:])
	}
	d.skip(more)
	if d.fail == nil {
		d.refuse(w.check())
	}
}
