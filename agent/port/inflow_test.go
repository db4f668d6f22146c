package port

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/quietlog"

	"github.com/stretchr/testify/require"
)

// inflowBench is an inflow and streams of it that come from nowhere.
type inflowBench struct {
	*inflow
	t    *testing.T
	port *Port
}

func newInflowBench(t *testing.T) *inflowBench {
	counts, quiet := &meters.Counters{}, &quietlog.Log{Out: slog.New(slog.DiscardHandler)}
	p := newPort(Options{Counts: counts, Quiet: quiet})
	return &inflowBench{p.in, t, p}
}

func (b *inflowBench) stream(host string) *stream {
	ours, theirs := net.Pipe()
	b.t.Cleanup(func() { require.NoError(b.t, theirs.Close()) })
	addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, "7"))
	require.NoError(b.t, err)
	s := &stream{Conn: ours, port: b.port, host: api.HostPrefix(addr)}
	b.take(s)
	return s
}

func (b *inflowBench) closed(s *stream) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.gone
}

func TestTheHostWithTheMostStreamsGivesUpItsOldest(t *testing.T) {
	b := newInflowBench(t)
	honest := []*stream{b.stream("10.0.0.1"), b.stream("10.0.0.2"), b.stream("10.0.0.2")}
	var greedy []*stream
	for range 3 * streamsMost {
		greedy = append(greedy, b.stream("10.0.0.9"))
	}
	for _, s := range honest {
		require.False(t, b.closed(s))
	}
	for i, s := range greedy {
		require.Equal(t, i < len(greedy)-(streamsMost-len(honest)), b.closed(s), "stream %d", i)
	}
	require.Len(t, b.mu.open, streamsMost)
	require.EqualValues(t, 2*streamsMost+len(honest), b.counts.Of("dropped_stream_full").Load())
	late := b.stream("10.0.0.3")
	require.False(t, b.closed(late), "one that comes when all places are taken has one all the same")
	_, err := greedy[0].Conn.Write([]byte{1})
	require.ErrorIs(t, err, io.ErrClosedPipe)

	// A stream that closes frees its place.
	for _, s := range greedy {
		require.NoError(t, s.Close())
	}
	require.Len(t, b.mu.open, len(honest)+1)
}

func TestAHostOfManyIPv6AddressesIsOneHost(t *testing.T) {
	b := newInflowBench(t)
	honest := b.stream("2001:db8:1::1")
	for i := range 2 * streamsMost {
		b.stream(fmt.Sprintf("2001:db8:2::%x", i+1))
	}
	require.False(t, b.closed(honest))
}

func TestTheHostThatHoldsTheMostMemoryGivesUpItsLargestStream(t *testing.T) {
	const part = hostMost / 8
	b := newInflowBench(t)
	honest := b.stream("10.0.0.1")
	require.NoError(t, b.grow(honest, hostMost-1))
	small := b.stream("10.0.0.9")
	require.NoError(t, b.grow(small, 10))
	var large []*stream
	for range 16 {
		s := b.stream("10.0.0.9")
		_ = b.grow(s, part)
		large = append(large, s)
	}
	require.False(t, b.closed(honest))
	require.False(t, b.closed(small))
	for i, s := range large { // 7 of them fit beside the small one
		require.Equal(t, i < 9, b.closed(s), "stream %d", i)
	}
	require.EqualValues(t, 9, b.counts.Of("dropped_stream_memory").Load())
	require.ErrorIs(t, b.grow(large[0], 1), errStreamEvicted)

	// Many hosts together have a bound, too.
	for host := range byte(20) {
		s := b.stream(fmt.Sprintf("10.0.1.%d", host))
		large = append(large, s)
		_ = b.grow(s, part)
		require.LessOrEqual(t, b.mu.held, inflowMost)
	}
	require.True(t, b.closed(honest), "it has the most by now")

	for _, s := range append(large, honest, small) {
		require.NoError(t, s.Close())
		_ = s.Close() // twice
	}
	require.Zero(t, b.mu.held)
	require.Empty(t, b.mu.open)
}

func TestStreamsThatWeOpenedTakeNobodysPlace(t *testing.T) {
	b := newInflowBench(t)
	first := b.stream("10.0.0.1")
	for range 2 * streamsMost {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		b.take(&stream{Conn: ours, port: b.port, host: first.host, to: "10.0.0.1:7"})
	}
	require.False(t, b.closed(first))
}

func TestOfRequestsThatWaitTheNewestOfTheGreediestHostIsClosed(t *testing.T) {
	b := newInflowBench(t)
	honest := b.stream("10.0.0.1")
	b.complete(honest)
	var greedy []*stream
	for range 2 * wholeMost {
		s := b.stream("10.0.0.9")
		b.complete(s)
		greedy = append(greedy, s)
	}
	for i, s := range greedy {
		require.Equal(t, i >= wholeMost-1, b.closed(s), "request %d", i)
	}
	late := b.stream("10.0.0.2")
	b.complete(late)
	require.False(t, b.closed(honest) || b.closed(late))
	require.False(t, b.closed(b.stream("10.0.0.3")), "they take no place of one that is being read")
}
