package run

import (
	"os"
	"os/signal"
	"syscall"
)

// StopSignals are the signals that stop a command in order. A hang-up that the
// parent made this process ignore, as nohup does, stays ignored.
func StopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
