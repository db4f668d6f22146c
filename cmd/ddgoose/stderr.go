package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"duckduckgoose/agent/quietlog"
)

// flushTime bounds how long the end of a process waits for who reads its stderr.
const flushTime = 500 * time.Millisecond

// queueStderr makes a command independent of who reads its stderr: one that
// stalls holds nothing up, and one that dies ends nothing. lost is told how many
// lines were dropped.
func (env *environment) queueStderr(lost func(lines uint64)) {
	env.stderr = quietlog.NewQueue(env.stderr, lost)
	// Go ends a process by SIGPIPE unless it is caught. An ignored one would be inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// flushStderr writes what is queued.
func (env *environment) flushStderr() {
	if q, ok := env.stderr.(*quietlog.Queue); ok {
		q.Close(flushTime)
	}
}
