package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressTellsTheTimeLeft(t *testing.T) {
	var out bytes.Buffer
	p := progress{out: &out, terminal: true}
	p.show(0.5, "", timeLeft(90*time.Second, 2*time.Second), "kill 2 of 4")
	p.show(0.6, "", "", "too soon for another")
	p.clear()
	require.Equal(t, "\r\x1b[K[============            ] 1m30s left  kill 2 of 4\r\x1b[K", out.String())
	out.Reset()
	p = progress{out: &out}
	p.show(0.5, "", timeLeft(90*time.Second, 2*time.Second), "kill 2 of 4")
	require.Equal(t, "50 %, 1m30s left: kill 2 of 4\n", out.String())
	out.Reset()
	p = progress{out: &out}
	p.show(0.5, "", timeLeft(12*time.Second, 75*time.Second), "200 agents: join")
	require.Equal(t, "50 %, 1m15s longer than expected: 200 agents: join\n", out.String(), "an estimate that has run out does not stand still")
	out.Reset()
	p = progress{out: &out}
	p.show(1, "healing", "", "a is the goose")
	require.Equal(t, "healing: a is the goose\n", out.String())
}
