package wire

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
)

var allKinds = []election.Kind{
	election.PreVoteRequest, election.PreVoteReply, election.VoteRequest, election.VoteReply, election.Heartbeat,
	election.HeartbeatAck, election.Reject, election.TimeoutNow, election.Resign, election.Leave, election.LeaveReply,
	election.Announce,
}

// requireDrop demands a *DropError of one reason.
func requireDrop(t testing.TB, err error, reason string) *DropError {
	t.Helper()
	var drop *DropError
	require.ErrorAs(t, err, &drop)
	require.Equal(t, reason, drop.Reason, "%v", err)
	return drop
}

// generator makes frames that are valid, at random.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 1))} }

// number favours the ends of each encoding's range.
func (g generator) number(limit uint64) uint64 {
	n := g.Uint64() >> g.IntN(64)
	if g.IntN(4) == 0 {
		n = 1<<g.IntN(64) - uint64(g.IntN(2))
	}
	if n > limit {
		return limit
	}
	return n
}

func (g generator) id() (id election.ID) {
	for i := range id {
		id[i] = byte(g.Uint32())
	}
	id[0] |= 1 // never zero
	return id
}

func (g generator) duration() time.Duration { return time.Duration(g.number(uint64(maxDuration))) }

func (g generator) config() (c election.Config) {
	n := g.IntN(election.MaxVoters + 1)
	if n == 0 {
		return c
	}
	c.ConfigID = election.ConfigID{Term: g.number(election.MaxTerm), Version: g.number(maxVersion)}
	for int(c.N) < n {
		c = c.With(election.Voter{ID: g.id(), Priority: uint8(g.IntN(256))})
	}
	return c
}

// message fills every field, then clears those that the kind does not carry.
func (g generator) message(f *Frame, kind election.Kind) (m Message) {
	m.Election = g.number(MaxElection)
	m.Kind = kind
	m.Generation = election.Generation{Number: g.number(election.MaxGeneration), Tag: g.Uint64()}
	m.Term = g.number(election.MaxTerm)
	m.ConfigID = election.ConfigID{Term: g.number(election.MaxTerm), Version: g.number(maxVersion)}
	m.NextTerm, m.Nonce = g.number(election.MaxTerm), g.Uint64()
	m.Held, m.Pause = g.duration(), g.duration()
	m.Mark = g.number(election.MaxMark)
	m.Fitness = election.Fitness(g.IntN(4))
	m.Granted, m.Reason, m.Remaining = g.IntN(2) == 0, election.Reason(g.IntN(256)), g.duration()
	if g.IntN(2) == 0 {
		m.TransferFrom, m.TransferTerm = g.id(), g.number(election.MaxTerm)
	}
	m.Round, m.Promise = g.number(1<<64-1), g.duration()
	m.Goose, m.GooseTerm = g.id(), g.number(election.MaxTerm)
	for i := range m.Ranks {
		m.Ranks[i] = uint8(g.IntN(election.MaxVoters))
		m.Ages[i] = uint8(g.IntN(256) * g.IntN(2))
	}
	m.RTT = g.duration()
	m.Config = g.config()
	f.stamp(&m)
	m.Message = carried(&m.Message)
	return m
}

func (g generator) founding(kind FoundingKind) Founding {
	w := Founding{Kind: kind, Attempt: g.number(1<<64 - 1), Expect: g.IntN(MaxFounders + 1), Reason: uint8(g.IntN(256))}
	for range 1 + g.IntN(MaxFounders) {
		w.Set = append(w.Set, g.id())
	}
	slices.SortFunc(w.Set, election.ID.Compare)
	w.FlockID = FoundingID(w.Set, w.Attempt)
	if kind != FoundPropose && g.IntN(2) == 0 {
		w.Set = nil
	}
	return w
}

func (g generator) probe() Probe {
	p := Probe{
		Word: ProbeQuestion + ProbeWord(g.IntN(2)), Session: g.Uint64(), Number: uint8(g.IntN(MaxProbes)),
		Heard: g.number(1<<64 - 1), At: time.Duration(g.number(1<<63 - 1)), Padding: g.IntN(300),
	}
	if p.Word == ProbeQuestion {
		p.Padding += MinProbePadding
	}
	return p
}

func (g generator) header() *Frame {
	f := &Frame{From: g.id(), To: g.id(), Start: g.number(1<<64 - 1), Life: g.Uint64(), Seq: g.number(1<<64 - 1)}
	if g.IntN(4) > 0 {
		f.FlockID = election.FlockID(g.id())
		f.ToLife = g.Uint64()
	}
	return f
}

// frame makes one of several messages, or of a founding word, or of both.
func (g generator) frame() *Frame {
	f := g.header()
	if g.IntN(4) == 0 {
		f.Founding = g.founding(FoundPropose + FoundingKind(g.IntN(4)))
	}
	if g.IntN(4) == 0 {
		f.Probe = g.probe()
	}
	for range g.IntN(4) {
		f.Messages = append(f.Messages, g.message(f, allKinds[g.IntN(len(allKinds))]))
	}
	return f
}

// requireSame compares frames but for the difference of empty and nil slices.
func requireSame(t testing.TB, want, got *Frame) {
	t.Helper()
	a, b := *want, *got
	require.True(t, slices.Equal(a.Messages, b.Messages), "want %+v\n got %+v", a.Messages, b.Messages)
	require.True(t, slices.Equal(a.Founding.Set, b.Founding.Set))
	a.Messages, b.Messages, a.Founding.Set, b.Founding.Set = nil, nil, nil, nil
	for _, f := range []*Frame{&a, &b} {
		require.Empty(t, f.batches)
		f.batches, f.packed, f.one = nil, nil, Message{}
	}
	require.Equal(t, a, b)
}

func encode(t testing.TB, f *Frame) []byte {
	t.Helper()
	body, err := AppendFrame(nil, f)
	require.NoError(t, err)
	return body
}

func TestEveryKindComesBackWhole(t *testing.T) {
	g := newGenerator(1)
	var got Frame // reused, as the agent does: nothing of the last frame may stay
	for _, kind := range allKinds {
		for range 100 {
			f := g.header()
			f.Messages = []Message{g.message(f, kind)}
			require.NoError(t, DecodeFrame(encode(t, f), &got), "kind %d", kind)
			requireSame(t, f, &got)
		}
	}
	for kind := FoundPropose; kind <= FoundAbort; kind++ {
		for range 100 {
			f := g.header()
			f.Founding = g.founding(kind)
			require.NoError(t, DecodeFrame(encode(t, f), &got), "founding kind %d", kind)
			requireSame(t, f, &got)
		}
	}
}

func TestFramesComeBackWhole(t *testing.T) {
	g := newGenerator(2)
	var got Frame
	for i := range 3000 {
		f := g.frame()
		body, err := AppendFrame(nil, f)
		if err != nil {
			requireDrop(t, err, DropTooLarge)
			continue
		}
		require.NoError(t, DecodeFrame(body, &got), "frame %d", i)
		requireSame(t, f, &got)
	}
}

func TestHeaderOfEveryEntryIsThatOfTheFrame(t *testing.T) {
	g := newGenerator(3)
	f := g.header()
	m := g.message(f, election.Heartbeat)
	m.From, m.Seq = g.id(), 999 // whatever the entry says
	f.Messages = []Message{m, g.message(f, election.Resign)}
	var got Frame
	require.NoError(t, DecodeFrame(encode(t, f), &got))
	require.Len(t, got.Messages, 2)
	for i, m := range got.Messages {
		require.Equal(t, election.Header{
			FlockID: f.FlockID, From: f.From, To: f.To, Start: f.Start, Life: f.Life, Seq: f.Seq, ToLife: f.ToLife,
			Generation: f.Messages[i].Generation, Term: f.Messages[i].Term, ConfigID: f.Messages[i].ConfigID,
		}, m.Header)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	f := newGenerator(4).header()
	body, err := AppendFrame([]byte("before"), f)
	require.NoError(t, err)
	require.Equal(t, "before", string(body[:6]))
	require.Equal(t, encode(t, f), body[6:])
}

func TestLargestProposeFits(t *testing.T) {
	g := newGenerator(5)
	f := g.header()
	f.FlockID = election.FlockID(g.id())
	f.Start, f.Life, f.Seq, f.ToLife = 1<<64-1, 1<<64-1, 1<<64-1, 1<<64-1
	w := Founding{Kind: FoundPropose, Attempt: 1<<64 - 1, Expect: MaxFounders, Reason: 255}
	for range MaxFounders {
		w.Set = append(w.Set, g.id())
	}
	slices.SortFunc(w.Set, election.ID.Compare)
	w.FlockID = FoundingID(w.Set, w.Attempt)
	f.Founding = w
	ring := keyring(t, "default", 1)
	datagram, err := ring.Seal(nil, encode(t, f))
	require.NoError(t, err)
	require.LessOrEqual(t, len(datagram), MaxDatagram)
}

func TestTooLargeFrameIsRefused(t *testing.T) {
	g := newGenerator(6)
	f := g.header()
	for len(f.Messages) < 10 {
		m := g.message(f, election.Reject)
		for m.Config.N < election.MaxVoters {
			m.Config = m.Config.With(election.Voter{ID: g.id()})
		}
		f.Messages = append(f.Messages, m)
	}
	body, err := AppendFrame([]byte("before"), f)
	requireDrop(t, err, DropTooLarge)
	require.Contains(t, err.Error(), "at most 1154")
	require.Equal(t, "before", string(body))

	f.Messages = nil
	for range MaxMessages + 1 {
		f.Messages = append(f.Messages, g.message(f, election.Resign))
	}
	_, err = AppendFrame(nil, f)
	requireDrop(t, err, DropRange)
}

// faults are frames nothing of ours may send, nor believe.
var faults = map[string]func(f *Frame, m *Message){
	"no sender":            func(f *Frame, m *Message) { f.From = election.ID{} },
	"kind 0":               func(f *Frame, m *Message) { m.Kind = 0 },
	"kind above the last":  func(f *Frame, m *Message) { m.Kind = election.Announce + 1 },
	"generation":           func(f *Frame, m *Message) { m.Generation.Number = election.MaxGeneration + 1 },
	"term":                 func(f *Frame, m *Message) { m.Term = election.MaxTerm + 1 },
	"config's term":        func(f *Frame, m *Message) { m.ConfigID.Term = election.MaxTerm + 1 },
	"config's version":     func(f *Frame, m *Message) { m.ConfigID.Version = maxVersion + 1 },
	"carried term":         func(f *Frame, m *Message) { m.Config.Term = election.MaxTerm + 1 },
	"carried version":      func(f *Frame, m *Message) { m.Config.Version = maxVersion + 1 },
	"negative promise":     func(f *Frame, m *Message) { m.Promise = -1 },
	"promise of a day":     func(f *Frame, m *Message) { m.Promise = 24 * time.Hour },
	"rank":                 func(f *Frame, m *Message) { m.Ranks[6] = election.MaxVoters },
	"unsorted voters":      func(f *Frame, m *Message) { slices.Reverse(m.Config.Members()) },
	"voter without id":     func(f *Frame, m *Message) { m.Config.Voters[0].ID = election.ID{} },
	"founding kind":        func(f *Frame, m *Message) { f.Founding.Kind = FoundAbort + 1 },
	"founding's flock":     func(f *Frame, m *Message) { f.Founding.FlockID = election.FlockID{} },
	"founding's attempt":   func(f *Frame, m *Message) { f.Founding.Attempt++ },
	"founding's expect":    func(f *Frame, m *Message) { f.Founding.Expect = MaxFounders + 1 },
	"expect below 0":       func(f *Frame, m *Message) { f.Founding.Expect = -1 },
	"founding without set": func(f *Frame, m *Message) { f.Founding.Set = nil },
	"probe's word":         func(f *Frame, m *Message) { f.Probe.Word = ProbeAnswer + 1 },
	"probe's number":       func(f *Frame, m *Message) { f.Probe.Number = MaxProbes },
	"probe's clock":        func(f *Frame, m *Message) { f.Probe.At = -1 },
	"probe that amplifies": func(f *Frame, m *Message) { f.Probe.Padding = MinProbePadding - 1 },
	"unsorted founders":    func(f *Frame, m *Message) { slices.Reverse(f.Founding.Set) },
}

func faultless(g generator) *Frame {
	f := g.header()
	m := g.message(f, election.Heartbeat)
	m.Config = election.Config{ConfigID: election.ConfigID{Term: 3, Version: 2}}
	for range 3 {
		m.Config = m.Config.With(election.Voter{ID: g.id(), Priority: 100})
	}
	f.Messages = []Message{m}
	f.Founding = Founding{Kind: FoundPropose, Set: []election.ID{{1}, {2}}, Expect: 2}
	f.Founding.FlockID = FoundingID(f.Founding.Set, 0)
	f.Probe = Probe{Word: ProbeQuestion, Padding: MinProbePadding}
	return f
}

func TestWhatIsOutOfRangeIsNotSent(t *testing.T) {
	g := newGenerator(7)
	encode(t, faultless(g))
	for name, spoil := range faults {
		f := faultless(g)
		spoil(f, &f.Messages[0])
		_, err := AppendFrame(nil, f)
		require.Error(t, err, name)
		requireDrop(t, err, DropRange)
		require.Contains(t, err.Error(), "cannot be sent")
	}
}

func TestWhatIsOutOfRangeIsNotBelieved(t *testing.T) {
	g := newGenerator(8)
	for name, spoil := range faults {
		f := faultless(g)
		spoil(f, &f.Messages[0])
		if !known(f.Messages[0].Kind) || f.Founding.Kind > FoundAbort || f.Probe.Word > ProbeAnswer {
			continue // what is unknown is skipped, which has tests of its own
		}
		e := encoders.Get().(*encoder) // encodes without looking
		e.buf = nil
		e.frame(f)
		var got Frame
		err := DecodeFrame(e.buf, &got)
		require.Error(t, err, name)
		requireDrop(t, err, DropRange)
	}
}

func TestFieldOfAnotherKindIsNotLostSilently(t *testing.T) {
	g := newGenerator(9)
	f := g.header()
	m := g.message(f, election.TimeoutNow)
	m.Round = 7
	f.Messages = []Message{m}
	_, err := AppendFrame(nil, f)
	requireDrop(t, err, DropRange)
	require.Contains(t, err.Error(), fmt.Sprintf("kind %d has a field", election.TimeoutNow))
}

// A field that is added to the rules' messages and forgotten here would never
// arrive, or keep its message from leaving.
func TestEveryFieldIsCarriedBySomeKind(t *testing.T) {
	g := newGenerator(11)
	carriedBy := map[string]bool{}
	for _, kind := range allKinds {
		for range 50 {
			m := reflect.ValueOf(g.message(g.header(), kind).Message)
			for i := range m.NumField() {
				if !m.Field(i).IsZero() {
					carriedBy[m.Type().Field(i).Name] = true
				}
			}
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[election.Message]()) {
		if len(field.Index) == 1 {
			require.True(t, carriedBy[field.Name], "no kind carries %s", field.Name)
		}
	}
}

func TestRoundTripEstimateIsBentToItsRange(t *testing.T) {
	g := newGenerator(12)
	var got Frame
	for rtt, want := range map[time.Duration]time.Duration{-1: 0, time.Millisecond: time.Millisecond, 48 * time.Hour: maxDuration} {
		f := g.header()
		f.Messages = []Message{g.message(f, election.Heartbeat)}
		f.Messages[0].RTT = rtt
		require.NoError(t, DecodeFrame(encode(t, f), &got))
		require.Equal(t, want, got.Messages[0].RTT)
	}
}

func TestUnknownReasonStaysARefusal(t *testing.T) {
	f := newGenerator(10).header()
	m := Message{Message: election.Message{Kind: election.VoteReply, Reason: 200}}
	f.stamp(&m)
	f.Messages = []Message{m}
	var got Frame
	require.NoError(t, DecodeFrame(encode(t, f), &got))
	require.Equal(t, election.Reason(200), got.Messages[0].Reason)
	require.False(t, got.Messages[0].Granted)
}

func TestFoundingIDTellsSetsAndAttemptsApart(t *testing.T) {
	a, b, c := election.ID{1}, election.ID{2}, election.ID{3}
	seen := map[election.FlockID]bool{}
	for _, set := range [][]election.ID{{a}, {b}, {a, b}, {b, a}, {a, b, c}} {
		for attempt := range uint64(3) {
			id := FoundingID(set, attempt)
			require.False(t, id.IsZero())
			require.False(t, seen[id])
			seen[id] = true
			require.Equal(t, id, FoundingID(set, attempt))
		}
	}
}
