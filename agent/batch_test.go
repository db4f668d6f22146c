package agent

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// oneByOne keeps what is sent, and refuses what is too long.
type oneByOne struct {
	Transport
	sent []string
}

func (o *oneByOne) WriteTo(b []byte, to netip.AddrPort) error {
	if len(b) > 10 {
		return bytes.ErrTooLarge
	}
	o.sent = append(o.sent, string(b)+" to "+to.String())
	return nil
}

// atOnce is a oneByOne that takes batches.
type atOnce struct{ oneByOne }

func (o *atOnce) WriteAll(b [][]byte, to []netip.AddrPort, failed func(int, error)) {
	for i := range b {
		if err := o.WriteTo(b[i], to[i]); err != nil {
			failed(i, err)
		}
	}
	o.sent = append(o.sent, "at once")
}

func TestBatchSendsInOrderAndUsesItsBuffersAgain(t *testing.T) {
	var notSent []netip.AddrPort
	b := newBatch(func(to netip.AddrPort, _ error) { notSent = append(notSent, to) })
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i)) }
	queue := func() {
		b.add(append(b.room(), "one"...), at(1))
		b.add(append(b.room(), "far too long"...), at(2))
		b.add(append(b.room(), "three"...), at(3))
	}
	queue()
	single, batches := &oneByOne{}, &atOnce{}
	b.flush(single)
	require.Equal(t, []string{"one to 0.0.0.0:1", "three to 0.0.0.0:3"}, single.sent)
	require.Equal(t, []netip.AddrPort{at(2)}, notSent)
	b.flush(single)
	require.Len(t, single.sent, 2, "nothing waits any more")
	queue()
	b.flush(batches)
	require.Equal(t, append(single.sent, "at once"), batches.sent)
	require.Len(t, notSent, 2)
	single.sent = make([]string, 0, 1000)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for range batchSize {
			b.add(append(b.room(), "far too long"...), at(2))
		}
		require.True(t, b.full())
		notSent = notSent[:0]
		b.flush(single)
	}))
}
