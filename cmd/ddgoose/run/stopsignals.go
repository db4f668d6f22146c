package run

import (
	"os"
	"os/signal"
	"syscall"
)

// StopSignals are the signals that stop a command in order, without those that
// the starter made this process ignore: a hang-up below nohup, an interrupt in
// the background of a script.
func StopSignals() []os.Signal { return NotIgnored(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) }

// NotIgnored leaves out the signals that this process ignores. To catch one would
// end that.
func NotIgnored(all ...os.Signal) (signals []os.Signal) {
	for _, s := range all {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// KeepIgnored ignores a quit signal that the starter ignored. Go's runtime catches
// it before anybody can look, but shells ignore it together with interrupts.
func KeepIgnored() {
	if signal.Ignored(syscall.SIGINT) {
		signal.Ignore(syscall.SIGQUIT)
	}
}
