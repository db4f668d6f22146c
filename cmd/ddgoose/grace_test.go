package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGraceReachesTheAgentAndMayBeReloaded(t *testing.T) {
	for _, c := range []struct {
		line []string
		env  map[string]string
		want time.Duration
	}{
		{nil, nil, 5 * time.Second},
		{nil, map[string]string{"DDGOOSE_GRACE": "7s"}, 7 * time.Second},
		{[]string{"--grace", "8s"}, map[string]string{"DDGOOSE_GRACE": "7s"}, 8 * time.Second},
		{[]string{"--config", writeFile(t, "grace: 1m\n")}, nil, time.Minute},
	} {
		s, err := settingsOf(t, c.line, c.env)
		require.NoError(t, err)
		cfg, err := s.config()
		require.NoError(t, err)
		require.Equal(t, c.want, cfg.Grace)
	}
	old, err := settingsOf(t, nil, nil)
	require.NoError(t, err)
	now, err := settingsOf(t, []string{"--grace", "8s"}, nil)
	require.NoError(t, err)
	require.Empty(t, old.changed(now), "it needs no restart")
}
