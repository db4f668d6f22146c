package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
)

func TestALeaseRaisesTheMarkOfItsAgent(t *testing.T) {
	a, c := running(t)
	l := startLead(t, c, nil)
	h := next(t, a.Holders)
	l.works(h, 7, time.Hour)
	ctx := timely(t)
	require.NoError(t, l.lease.Advance(ctx, 4))
	require.EqualValues(t, 4, l.lease.Mark())
	require.ErrorIs(t, l.lease.Advance(ctx, 4), lead.ErrTaken)
	require.Equal(t, []string{"advance to 4, token 7, slot 0s", "advance to 4, token 7, slot 0s"}, a.Heard())
	m, err := c.Mark(ctx)
	require.NoError(t, err)
	require.Equal(t, api.Mark{Mark: 4, Committed: true}, m)
	m, err = c.Advance(ctx, api.MarkRequest{Advance: 5, Slot: "1m"})
	require.NoError(t, err)
	require.Equal(t, api.Mark{Mark: 5, Committed: true}, m)
	l.end()
	next(t, l.result)
}
