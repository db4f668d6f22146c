package port

import (
	"errors"
	"net"
	"time"

	"duckduckgoose/agent/quietlog"
)

const (
	// acceptPause is the first pause after a stream could not be accepted, because
	// the process has no file descriptor left for example. It doubles each time.
	acceptPause = 5 * time.Millisecond
	// acceptPauseMost bounds it.
	acceptPauseMost = time.Second
)

// acceptAll hands over streams until ln is closed. closed ends a pause early.
func acceptAll(ln net.Listener, closed <-chan struct{}, quiet *quietlog.Log, stream func(net.Conn)) {
	pause := acceptPause
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			stream(conn)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		quiet.Warn("accept", "streams of other agents wait: they cannot be accepted", "error", err)
		select {
		case <-time.After(pause):
		case <-closed:
		}
		pause = min(2*pause, acceptPauseMost)
	}
}
