package member

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// testBook has a clock.
type testBook struct {
	addressBook
	now time.Duration
}

func newTestBook(known ...election.ID) *testBook {
	return &testBook{addressBook: addressBook{
		pages: map[election.ID]*page{}, keeps: func(id election.ID) bool { return slices.Contains(known, id) },
	}}
}

func (b *testBook) Admit(id election.ID, start, life, seq uint64, from netip.AddrPort) (verdict, page) {
	return b.addressBook.Admit(b.now, id, start, life, seq, from)
}

func (b *testBook) Gossiped(id election.ID, start, life uint64, addr netip.AddrPort) {
	b.addressBook.Gossiped(b.now, id, start, life, addr)
}

func whereIs(t *testing.T, b *testBook, id election.ID) netip.AddrPort {
	t.Helper()
	addr, ok := b.Addr(id)
	require.True(t, ok)
	return addr
}

func TestAReplayMovesNobody(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Gossiped(id, 1, 0, at("10.0.0.1:1"))
	require.Equal(t, at("10.0.0.1:1"), whereIs(t, b, id))
	v, _ := b.Admit(id, 1, 7, 5, at("10.0.0.2:1"))
	require.Equal(t, believed, v)
	require.Equal(t, at("10.0.0.2:1"), whereIs(t, b, id))
	v, _ = b.Admit(id, 1, 7, 5, at("6.6.6.6:6"))
	require.Equal(t, believed, v, "the rules bear a replay")
	require.Equal(t, at("10.0.0.2:1"), whereIs(t, b, id))
	v, _ = b.Admit(id, 1, 7, 4, at("6.6.6.6:6"))
	require.Equal(t, believed, v)
	require.Equal(t, at("10.0.0.2:1"), whereIs(t, b, id))
	b.Gossiped(id, 1, 0, at("10.0.0.1:1"))
	require.Equal(t, at("10.0.0.2:1"), whereIs(t, b, id), "gossip says nothing new")
}

func TestGossipThatTellsAnotherAddressCounts(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Gossiped(id, 1, 0, at("10.0.0.1:1"))
	b.Admit(id, 1, 7, 5, at("10.0.0.1:1"))
	b.Gossiped(id, 1, 0, at("10.0.0.9:1"))
	require.Equal(t, at("10.0.0.9:1"), whereIs(t, b, id))
	b.Admit(id, 1, 7, 6, at("10.0.0.10:1"))
	b.Gossiped(id, 1, 0, at("10.0.0.9:1"))
	require.Equal(t, at("10.0.0.10:1"), whereIs(t, b, id))
}

func TestADatagramStillUnderWayFromTheOldAddressMovesNobodyBack(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Gossiped(id, 1, 0, at("10.0.0.1:1"))
	b.Admit(id, 1, 7, 5, at("10.0.0.1:1"))
	b.Gossiped(id, 1, 0, at("10.0.0.9:1"))
	v, _ := b.Admit(id, 1, 7, 6, at("10.0.0.1:1"))
	require.Equal(t, believed, v)
	require.Equal(t, at("10.0.0.9:1"), whereIs(t, b, id))
	b.Admit(id, 1, 7, 7, at("10.0.0.9:1"))
	require.Equal(t, at("10.0.0.9:1"), whereIs(t, b, id))
	b.Gossiped(id, 1, 0, at("10.0.0.1:1")) // it goes back
	b.Admit(id, 1, 7, 8, at("10.0.0.1:1"))
	require.Equal(t, at("10.0.0.1:1"), whereIs(t, b, id))
}

func TestTheFirstGossipAfterADatagramCounts(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Admit(id, 1, 7, 5, at("10.0.0.1:1"))
	b.Gossiped(id, 1, 0, at("10.0.0.9:1"))
	require.Equal(t, at("10.0.0.9:1"), whereIs(t, b, id), "it may have moved since")
	b.Admit(id, 1, 7, 6, at("10.0.0.1:1"))
	require.Equal(t, at("10.0.0.1:1"), whereIs(t, b, id), "it has not")
}

func TestALaterStartCountsAndAnEarlierOneIsReportedOnce(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Admit(id, 3, 7, 100, at("10.0.0.1:1"))
	v, _ := b.Admit(id, 4, 8, 1, at("10.0.0.2:1"))
	require.Equal(t, believed, v)
	require.Equal(t, at("10.0.0.2:1"), whereIs(t, b, id))
	v, before := b.Admit(id, 3, 9, 1, at("10.0.0.3:1"))
	require.Equal(t, isStale, v)
	require.EqualValues(t, 4, before.start)
	v, _ = b.Admit(id, 3, 9, 2, at("10.0.0.3:1"))
	require.Equal(t, ignored, v)
	b.Gossiped(id, 3, 0, at("10.0.0.3:1"))
	require.Equal(t, at("10.0.0.2:1"), whereIs(t, b, id))
}

func TestAProcessThatOutlivesAForgedHigherStartIsBelievedAgain(t *testing.T) {
	for name, forge := range map[string]func(b *testBook, id election.ID){
		"datagram": func(b *testBook, id election.ID) { b.Admit(id, 1<<63, 66, 1, at("6.6.6.6:6")) },
		"datagrams": func(b *testBook, id election.ID) {
			b.Admit(id, 9, 66, 1, at("6.6.6.6:6"))
			b.Admit(id, 10, 67, 1, at("6.6.6.6:6"))
		},
		"two lives": func(b *testBook, id election.ID) {
			b.Admit(id, 9, 66, 1, at("6.6.6.6:6"))
			b.Admit(id, 9, 67, 1, at("6.6.6.6:6"))
		},
		"gossip": func(b *testBook, id election.ID) { b.Gossiped(id, 1<<63, 66, at("6.6.6.6:6")) },
	} {
		t.Run(name, func(t *testing.T) {
			b, id := newTestBook(), election.ID{1}
			b.now = time.Hour
			b.Admit(id, 3, 7, 100, at("10.0.0.1:1"))
			forge(b, id)
			seq := uint64(100)
			for end := b.now + cloneSilence; b.now < end; b.now += time.Second {
				seq++
				v, _ := b.Admit(id, 3, 7, seq, at("10.0.0.1:1"))
				require.NotEqual(t, believed, v, "the higher start may be real")
			}
			v, _ := b.Admit(id, 3, 7, 100, at("6.6.6.6:6"))
			require.NotEqual(t, believed, v, "a replay is no sign of life")
			v, _ = b.Admit(id, 3, 8, seq+1, at("10.0.0.2:1"))
			require.NotEqual(t, believed, v, "a process that began from an old copy of the disk")
			v, _ = b.Admit(id, 3, 7, seq+1, at("10.0.0.1:1"))
			require.Equal(t, believed, v)
			require.Equal(t, at("10.0.0.1:1"), whereIs(t, b, id))
			require.EqualValues(t, 7, b.Life(id))
			v, _ = b.Admit(id, 4, 9, 1, at("10.0.0.1:1"))
			require.Equal(t, believed, v, "its restart counts")
		})
	}
}

func TestAProcessIsNotBelievedWhileTheHigherStartSpeaks(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.now = time.Hour
	b.Admit(id, 3, 7, 100, at("10.0.0.1:1"))
	for i := range uint64(10) {
		v, _ := b.Admit(id, 4, 8, 1+i, at("10.0.0.2:1"))
		require.Equal(t, believed, v)
		v, _ = b.Admit(id, 3, 7, 101+i, at("10.0.0.1:1"))
		require.NotEqual(t, believed, v)
		b.now += cloneSilence - time.Second
	}
	b.Admit(id, 5, 9, 1, at("10.0.0.2:1"))
	b.now += cloneSilence
	v, _ := b.Admit(id, 3, 7, 200, at("10.0.0.1:1"))
	require.NotEqual(t, believed, v, "the start in between was there for long: it was no forgery")
}

func TestOfTwoLivesOfOneStartNeitherIsBelieved(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Admit(id, 3, 7, 100, at("10.0.0.1:1"))
	v, before := b.Admit(id, 3, 8, 1, at("10.0.0.2:1"))
	require.Equal(t, isClone, v)
	require.Equal(t, at("10.0.0.1:1"), before.from)
	for _, life := range []uint64{7, 8} {
		v, _ = b.Admit(id, 3, life, 1000, at("10.0.0.1:1"))
		require.Equal(t, ignored, v)
	}
	_, ok := b.Addr(id)
	require.False(t, ok)
	v, _ = b.Admit(id, 4, 9, 1, at("10.0.0.1:1"))
	require.Equal(t, believed, v, "one was stopped, and the other started anew")
}

func TestOneOfTwoLivesIsBelievedAgainWhenTheOtherIsSilent(t *testing.T) {
	for _, last := range []uint64{7, 8} {
		b, id := newTestBook(), election.ID{1}
		says := func(life, seq uint64) verdict {
			v, _ := b.Admit(id, 3, life, seq, at(fmt.Sprintf("10.0.0.%d:1", life)))
			return v
		}
		require.Equal(t, believed, says(7, 100))
		b.now += time.Hour
		require.Equal(t, isClone, says(8, 1))
		seq := uint64(200)
		for range 60 { // both speak
			b.now += time.Second
			seq++
			require.Equal(t, ignored, says(7, seq))
			require.Equal(t, ignored, says(8, seq))
		}
		replay, quiet := seq, b.now
		for b.now < quiet+cloneSilence-time.Second {
			b.now += time.Second
			seq++
			require.Equal(t, ignored, says(last, seq), "at %v", b.now)
			require.Equal(t, ignored, says(15-last, replay), "a replay is not the other one")
		}
		b.now = quiet + cloneSilence
		require.Equal(t, believed, says(last, seq+1))
		require.Equal(t, at(fmt.Sprintf("10.0.0.%d:1", last)), whereIs(t, b, id))
		require.Equal(t, last, b.Life(id))
		require.Equal(t, isClone, says(15-last, seq+2), "it is back")
	}
}

func TestAnOlderStartIsReportedAtEachOfItsStarts(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	b.Admit(id, 9, 7, 1, at("10.0.0.1:1"))
	for start := uint64(3); start < 9; start++ {
		v, _ := b.Admit(id, start, start, 1, at("10.0.0.2:1"))
		require.Equal(t, isStale, v)
		v, _ = b.Admit(id, start, start, 2, at("10.0.0.2:1"))
		require.Equal(t, ignored, v)
	}
}

func TestStrangersMakeRoomForKnownAgents(t *testing.T) {
	known := election.ID{9, 9, 9}
	b := newTestBook(known)
	b.Admit(known, 1, 1, 1, at("10.0.0.1:1"))
	for i := range uint64(3 * bookSize) {
		var id election.ID
		binary.BigEndian.PutUint64(id[8:], i+1)
		v, _ := b.Admit(id, 1, 1, 1, at("6.6.6.6:6"))
		require.Equal(t, believed, v)
		require.LessOrEqual(t, len(b.pages), bookSize)
	}
	require.Equal(t, at("10.0.0.1:1"), whereIs(t, b, known))
}

func TestRule11LifeIsLearntFromDatagramsAndUntilThenFromGossip(t *testing.T) {
	b, id := newTestBook(), election.ID{1}
	require.Zero(t, b.Life(id))
	b.Gossiped(id, 1, 7, at("10.0.0.1:1"))
	require.EqualValues(t, 7, b.Life(id))
	b.Admit(id, 2, 8, 1, at("10.0.0.1:1"))
	require.EqualValues(t, 8, b.Life(id), "it has restarted")
	b.Gossiped(id, 1, 7, at("10.0.0.1:1"))
	b.Gossiped(id, 2, 9, at("10.0.0.1:1"))
	require.EqualValues(t, 8, b.Life(id), "gossip does not know better")
	b.Admit(id, 1, 7, 5, at("10.0.0.1:1"))
	require.EqualValues(t, 8, b.Life(id), "a recording of a former life")
	b.Gossiped(id, 3, 9, at("10.0.0.1:1"))
	require.EqualValues(t, 9, b.Life(id), "restarted, by gossip")
}
