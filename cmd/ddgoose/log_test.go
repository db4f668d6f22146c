package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestNoLogFormatLetsHostileTextReachATerminal(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out lockedBuffer
		c := agentCommand{env: &environment{stderr: &out}, settings: &agentSettings{logFormat: format, logLevel: "info"}}
		c.openLog()
		hostile := "x\u202e\u009b2J\x1b[2J"
		c.log.Info(hostile, "name", hostile, hostile, 1, "error", errors.New(hostile), "any", []string{hostile})
		c.env.flushStderr()
		require.Contains(t, out.String(), `x\u202e\u009b2J`)
		require.Equal(t, out.String()[:len(out.String())-1], api.Printable(out.String()[:len(out.String())-1]), format)
	}
}
