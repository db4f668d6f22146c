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
	p.show(0.5, "", 90*time.Second, "kill 2 of 4")
	p.show(0.6, "", 80*time.Second, "too soon for another")
	p.clear()
	require.Equal(t, "\r\x1b[K[============            ] 1m30s left  kill 2 of 4\r\x1b[K", out.String())
	out.Reset()
	p = progress{out: &out}
	p.show(0.5, "", 90*time.Second, "kill 2 of 4")
	require.Equal(t, "50 %, 1m30s left: kill 2 of 4\n", out.String())
}
