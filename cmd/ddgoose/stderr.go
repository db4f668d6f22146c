package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"duckduckgoose/agent/quietlog"
)

// flushTime bounds how long an ending process waits for the reader of its stderr.
const flushTime = 500 * time.Millisecond

// queueStderr makes a command independent of the reader of its stderr: it goes on when that
// stalls or dies. lost gets the number of dropped lines.
func (env *environment) queueStderr(lost func(lines uint64)) {
	env.stderr = quietlog.NewQueue(env.stderr, lost)
	// Go ends a process by SIGPIPE unless it is caught. Children would inherit an ignored one.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// flushStderr writes what is queued.
func (env *environment) flushStderr() {
	if q, ok := env.stderr.(*quietlog.Queue); ok {
		q.Close(flushTime)
	}
}
