package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

func TestElectionIsAskedByItsName(t *testing.T) {
	a, c := running(t)
	backup := a.Found("backup")
	backup.Change(func(s *api.Status) { s.Role, s.Term, s.Lease = api.RoleDuck, 9, api.Lease{} })
	e, ctx := c.Election("backup"), timely(t)
	require.Equal(t, c.Socket(), e.Socket())

	s, err := e.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, backup.Status(), s)
	require.Equal(t, "backup", s.Election)
	s, err = c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, a.Status(), s, "c stays the default election's")
	s, err = e.Election("").Status(ctx)
	require.NoError(t, err)
	require.Equal(t, a.Status(), s)

	goose, err := e.StepDown(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, "c", goose)
	_, err = e.ForceStepDown(ctx, "")
	require.NoError(t, err)
	w, err := e.Why(ctx)
	require.NoError(t, err)
	require.Equal(t, "backup", w.Election)
	require.Equal(t, []string{`step down to "c"`, `step down to "", though frozen`, "why"}, backup.Heard())

	for s, err := range e.Watch(ctx) {
		require.NoError(t, err)
		require.Equal(t, backup.Status(), s)
		break
	}
	p, err := e.Probe(ctx, ProbeGoose)
	require.NoError(t, err)
	require.Equal(t, api.Probe{Role: "duck", Goose: "a", Token: 7, Error: "not the goose"}, p)
	p, err = e.Probe(ctx, ProbeHealth)
	require.NoError(t, err)
	require.Equal(t, api.RoleGoose, p.Role, "this one is the agent's")
	require.Empty(t, a.Heard())
}

func TestElectionsAreListed(t *testing.T) {
	a, c := running(t)
	a.Found("backup")
	all, err := c.Elections(timely(t))
	require.NoError(t, err)
	require.Equal(t, a.Elections(), all)
	require.Len(t, all, 2)
}

func TestElectionThatIsNotThereIsNotFound(t *testing.T) {
	_, c := running(t)
	for name, call := range map[string]func(*Client) error{
		"Status":   func(c *Client) error { _, err := c.Status(timely(t)); return err },
		"StepDown": func(c *Client) error { _, err := c.StepDown(timely(t), ""); return err },
		"Probe":    func(c *Client) error { _, err := c.Probe(timely(t), ProbeDuck); return err },
		"Lead":     func(c *Client) error { return c.Lead(timely(t), nil) },
		"Watch": func(c *Client) (err error) {
			for _, err = range c.Watch(timely(t)) {
			}
			return err
		},
	} {
		err := call(c.Election("backup"))
		require.ErrorIs(t, err, api.ErrNotFound, name)
		require.EqualError(t, err, `no election "backup" in this flock`, name)
		for _, bad := range []string{"a/b", "..", "a?b", "a b", "%"} {
			err := call(c.Election(bad))
			require.ErrorIs(t, err, api.ErrInput, "%s of %s", name, bad)
			require.ErrorContains(t, err, "want 1 to 32 of a-z", bad)
		}
	}
}

func TestLeadWorksForItsElection(t *testing.T) {
	a, c := running(t)
	backup := a.Found("backup")
	ctx, cancel := context.WithCancel(timely(t))
	began := make(chan uint64, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Election("backup").Lead(ctx, func(ctx context.Context, l lead.Lease) error {
			began <- l.Token()
			<-ctx.Done()
			return nil
		})
	}()
	h := next(t, backup.Holders)
	h.Renew(9, boottime.Now(), time.Minute)
	require.EqualValues(t, 9, next(t, began))
	cancel()
	err := next(t, ended)
	require.True(t, errors.Is(err, context.Canceled), err)
	hears(t, h, "drained 9, step down")
	require.Empty(t, a.Holders)
}
