package wire

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"duckduckgoose/agent/election"
)

// everything returns all messages of a decoded frame.
func everything(t testing.TB, f *Frame) (all []Message) {
	require.NoError(t, f.Each(func(m *Message) error {
		all = append(all, *m)
		return nil
	}))
	return all
}

// steadyFrame is what an agent that leads n elections sends to another that
// leads as many, after some weeks.
func steadyFrame(n int) *Frame {
	f := &Frame{FlockID: flockID, From: fromID, To: toID, Start: 3, Life: 0x0123456789ABCDEF, Seq: 1 << 24, ToLife: 0x1122334455667788}
	for i := range n {
		h := election.Header{Term: uint64(30 + i), ConfigID: election.ConfigID{Term: uint64(30 + i), Version: 12}}
		beat := Message{Election: uint64(1 + 2*i), Message: election.Message{
			Kind: election.Heartbeat, Header: h, Round: 1<<20 + uint64(i), Promise: 500 * time.Millisecond,
			Ranks: [7]uint8{4, 0, 3, 1, 2, 6, 5}, RTT: 750 * time.Microsecond,
		}}
		ack := Message{Election: uint64(2 + 2*i), Message: election.Message{
			Kind: election.HeartbeatAck, Header: h, Round: 1<<20 + uint64(i), Promise: 500 * time.Millisecond, Held: 20 * time.Millisecond,
		}}
		f.Messages = append(f.Messages, beat, ack)
	}
	for i := range f.Messages {
		f.stamp(&f.Messages[i])
	}
	return f
}

func TestAheadNamesTheElectionsOfPackedMessages(t *testing.T) {
	f := steadyFrame(20)
	body, _, err := AppendMost(nil, f)
	require.NoError(t, err)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	var want, ahead []uint64
	for _, m := range everything(t, &got) {
		want = append(want, m.Election)
	}
	got.Ahead(func(election uint64) { ahead = append(ahead, election) })
	require.Len(t, ahead, 40)
	require.Equal(t, want, ahead)
}

func TestPackedMessagesComeBackAsTheyWere(t *testing.T) {
	f := steadyFrame(20)
	odd := f.Messages[0] // with a config, so it cannot be packed
	odd.Election = 100
	odd.Config = election.Config{ConfigID: odd.ConfigID}.With(election.Voter{ID: toID, Priority: 1})
	late := f.Messages[1]
	late.Election, late.ConfigID.Term = 101, late.Term-1
	f.Messages = append(f.Messages, odd, late)
	for i := 1; i < 8; i += 2 { // acks of elections with work here are a sort of their own
		f.Messages[i].Fitness = election.HasWork
	}
	body, taken, err := AppendMost(nil, f)
	require.NoError(t, err)
	require.Equal(t, len(f.Messages), taken)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	require.True(t, got.Packed())
	require.Len(t, got.Messages, 2, "those that cannot be packed")
	require.ElementsMatch(t, f.Messages, everything(t, &got))

	again, _, err := AppendMost(nil, f)
	require.NoError(t, err)
	require.Equal(t, body, again)
}

// A lone message is on the wire as it was before others could be packed.
func TestOneOfASortStaysPlain(t *testing.T) {
	f := steadyFrame(1)
	f.Messages[1].Held = 0
	body, taken, err := AppendMost(nil, f)
	require.NoError(t, err)
	require.Equal(t, 2, taken)
	plain, err := AppendFrame(nil, f)
	require.NoError(t, err)
	require.Equal(t, plain, body)
}

func TestWhatDoesNotFitIsLeftForTheNext(t *testing.T) {
	f := steadyFrame(300 / 2)
	for i := range f.Messages {
		f.Messages[i].Election = uint64(i % (MaxElection + 1))
	}
	all := f.Messages
	var came []Message
	datagrams := 0
	for rest := all; len(rest) > 0; datagrams++ {
		f.Messages = rest
		body, taken, err := AppendMost([]byte("before"), f)
		require.NoError(t, err)
		require.LessOrEqual(t, len(body), MaxBody+len("before"))
		require.Len(t, f.Messages, len(rest), "given back as it was")
		var got Frame
		require.NoError(t, DecodeFrame(body[len("before"):], &got))
		came = append(came, everything(t, &got)...)
		rest = rest[taken:]
	}
	require.ElementsMatch(t, all, came)
	require.LessOrEqual(t, datagrams, 4)

	// So do plain ones, whose number is bounded.
	f = steadyFrame(1)
	f.Messages = f.Messages[:1]
	for i := range 40 {
		m := f.Messages[0]
		m.Generation.Tag = uint64(i + 1) // each its own sort
		f.Messages = append(f.Messages, m)
	}
	_, taken, err := AppendMost(nil, f)
	require.NoError(t, err)
	require.LessOrEqual(t, taken, MaxMessages)
	require.Greater(t, taken, 10)
}

func TestBadPackedEntriesAreDropped(t *testing.T) {
	own := func(change func(*Message)) []byte {
		m := steadyFrame(1).Messages[0]
		change(&m)
		return appendPacked(nil, &m)
	}
	good := own(func(*Message) {})
	for name, entry := range map[string][]any{
		"too few fields":      {0, packedBeats, 0, 0, 5},
		"no bytes":            {0, packedBeats, 0, 0, 5, 6},
		"cut short":           {0, packedBeats, 0, 0, 5, good[:len(good)-1]},
		"a number too long":   {0, packedBeats, 0, 0, 5, []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}},
		"an election too far": {0, packedBeats, 0, 0, 5, own(func(m *Message) { m.Election = 112 })},
		"a term too high":     {0, packedBeats, 0, 0, 5, own(func(m *Message) { m.Term = election.MaxTerm + 1 })},
		"a rank of 7":         {0, packedBeats, 0, 0, 5, own(func(m *Message) { m.Ranks[2] = 7 })},
		"acks without held":   {0, packedAcks, 0, 0, 5, good},
		"a day's promise":     {0, packedBeats, 0, 0, uint64(24 * time.Hour), good},
	} {
		body := pack(t, flockID[:], fromID[:], toID[:], 1, 2, 3, []any{entry}, nil)
		var got Frame
		err := DecodeFrame(body, &got)
		var drop *DropError
		require.ErrorAs(t, err, &drop, name)
		require.Contains(t, []string{DropMalformed, DropRange}, drop.Reason, name)
	}
	body := pack(t, flockID[:], fromID[:], toID[:], 1, 2, 3, []any{[]any{0, packedBeats, 0, 0, 5, good, "later"}}, nil)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	require.Len(t, everything(t, &got), 1)
}

func TestConfigsCarryTheirTable(t *testing.T) {
	f := steadyFrame(1)
	f.Messages = f.Messages[:1]
	m := &f.Messages[0]
	m.Config = election.Config{ConfigID: m.ConfigID, Table: election.Digest{1, 2, 3}}.With(election.Voter{ID: toID, Priority: 1})
	body, err := AppendFrame(nil, f)
	require.NoError(t, err)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	require.Equal(t, f.Messages, got.Messages)
}

func TestPackedMessagesAreSmallAndAllocateNothing(t *testing.T) {
	f := steadyFrame(20)
	size := func(kind election.Kind) float64 {
		n, bytes := 0, 0
		for i := range f.Messages {
			if f.Messages[i].Kind == kind {
				n++
				bytes += len(appendPacked(nil, &f.Messages[i]))
			}
		}
		return float64(bytes) / float64(n)
	}
	require.LessOrEqual(t, size(election.Heartbeat), 11.0)
	require.LessOrEqual(t, size(election.HeartbeatAck), 8.0)
	if raceDetector {
		t.Skip("under the race detector sync.Pool forgets at random")
	}
	var in Frame
	body := make([]byte, 0, MaxDatagram)
	n := 0
	count := func(*Message) error { n++; return nil }
	require.Zero(t, testing.AllocsPerRun(200, func() {
		body, _, _ = AppendMost(body[:0], f)
		if err := DecodeFrame(body, &in); err != nil {
			t.Fatal(err)
		}
		_ = in.Each(count)
	}))
	require.NotZero(t, n)
}

// The longest run that fits is sent, found by trying all.
func TestAppendMostTakesAsManyAsFit(t *testing.T) {
	g := newGenerator(30)
	dice := g.Rand
	for range 80 {
		f := g.header()
		if dice.IntN(4) == 0 {
			f.Probe = g.probe()
		}
		sorts := 1 + dice.IntN(40)
		for range dice.IntN(200) {
			m := Message{Election: uint64(dice.IntN(MaxElection + 1))}
			m.Kind = []election.Kind{election.Heartbeat, election.HeartbeatAck, election.Resign}[dice.IntN(40)%3]
			m.Term, m.Generation.Tag = g.number(election.MaxTerm), uint64(dice.IntN(sorts))
			m.ConfigID.Term = m.Term
			if m.Kind != election.Resign {
				m.Round, m.Promise = g.number(1<<64-1), time.Duration(dice.IntN(1+sorts/10))*time.Second
			}
			if m.Kind == election.Heartbeat && dice.IntN(30) == 0 {
				m.Config = g.config()
			}
			f.stamp(&m)
			f.Messages = append(f.Messages, m)
		}
		body, taken, err := AppendMost(nil, f)
		require.NoError(t, err)
		require.LessOrEqual(t, len(body), MaxBody)
		var got Frame
		require.NoError(t, DecodeFrame(body, &got))
		require.ElementsMatch(t, f.Messages[:taken], everything(t, &got))
		for n := taken + 1; n <= len(f.Messages); n++ {
			e := new(encoder)
			e.msgpack = msgpack.NewEncoder(e)
			part := *f
			part.Messages = f.Messages[:n]
			e.plan(&part, part.Messages, 0)
			e.frame(&part) // as it is, whatever fits
			entries := e.entries(part.Messages)
			if f.Probe.Word != 0 {
				entries++
			}
			require.True(t, len(e.buf) > MaxBody || entries > MaxMessages, "%d fit too, of which %d were taken", n, taken)
		}
	}
}

// What cannot be sent keeps nothing else from leaving, and nobody waiting.
func TestAppendMostLeavesOutWhatIsAtFault(t *testing.T) {
	f := steadyFrame(3)
	f.Messages[4].Election = MaxElection + 1
	body, taken, err := AppendMost(nil, f)
	require.NoError(t, err)
	require.Equal(t, 4, taken)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	require.Equal(t, 4, len(everything(t, &got)))
	f.Messages = f.Messages[4:]
	body, taken, err = AppendMost([]byte("before"), f)
	requireDrop(t, err, DropRange)
	require.Equal(t, 1, taken)
	require.Equal(t, "before", string(body))

	g := newGenerator(31)
	large := g.message(f, election.Reject)
	for large.Config.N < election.MaxVoters {
		large.Config = large.Config.With(election.Voter{ID: g.id()})
	}
	for name, spoil := range map[string]func(f *Frame){
		"no sender":          func(f *Frame) { f.From = election.ID{} },
		"unknown word":       func(f *Frame) { f.Probe.Word = ProbeAnswer + 1 },
		"a bare one too big": func(f *Frame) { f.Probe = Probe{Word: ProbeQuestion, Padding: MaxBody} },
	} {
		for n := range 4 {
			f := steadyFrame(2)
			f.Messages = f.Messages[:n]
			spoil(f)
			body, taken, err := AppendMost([]byte("before"), f)
			require.Error(t, err, name)
			require.Contains(t, err.Error(), "cannot be sent", name)
			require.Equal(t, n, taken, name)
			require.Len(t, f.Messages, n)
			require.Equal(t, "before", string(body), name)
		}
	}
	f = steadyFrame(2)
	f.Probe = Probe{Word: ProbeQuestion, Padding: 990}
	f.Messages = append([]Message{large}, f.Messages...)
	_, taken, err = AppendMost(nil, f)
	requireDrop(t, err, DropTooLarge)
	require.Equal(t, 1, taken)
}

// With a probe there is room for one entry less.
func TestAProbeIsAnEntryToo(t *testing.T) {
	f := newGenerator(32).header()
	f.Probe = Probe{Word: ProbeAnswer}
	for i := range 2 * MaxMessages {
		m := Message{Election: uint64(i), Message: election.Message{Kind: election.Resign}}
		f.stamp(&m)
		f.Messages = append(f.Messages, m)
	}
	body, taken, err := AppendMost(nil, f)
	require.NoError(t, err)
	require.Equal(t, MaxMessages-1, taken)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
}

// The bytes of packed entries. A change here breaks running flocks.
func TestPackedBytesNeverChange(t *testing.T) {
	body, _, err := AppendMost(nil, steadyFrame(2))
	require.NoError(t, err)
	head := "99" + "c410" + "f1" + strings.Repeat("00", 15) + "c410" + "a1" + strings.Repeat("00", 15) + "c410" + "b1" + strings.Repeat("00", 15) +
		"03" + "cf0123456789abcdef" + "ce01000000"
	require.Equal(t, head+"92"+
		"96"+"00"+"ccc9"+"00"+"00"+"ce1dcd6500"+"c414"+
		"01"+"1e"+"0c"+"808040"+"c42217"+"03"+
		"03"+"1f"+"0c"+"818040"+"c42217"+"03"+
		"97"+"00"+"ccca"+"00"+"00"+"ce1dcd6500"+"ce01312d00"+"c40c"+
		"02"+"1e"+"0c"+"808040"+
		"04"+"1f"+"0c"+"818040"+
		"c0"+"cf1122334455667788", hex.EncodeToString(body))
}

func BenchmarkPacked(b *testing.B) {
	f := steadyFrame(20)
	var in Frame
	body, _, err := AppendMost(nil, f)
	require.NoError(b, err)
	b.ReportMetric(float64(len(body)), "bytes")
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body, _, _ = AppendMost(body[:0], f)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = DecodeFrame(body, &in)
			_ = in.Each(func(*Message) error { return nil })
		}
	})
}
