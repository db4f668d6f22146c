package run

import (
	"os"
	"os/signal"
	"syscall"
)

// StopSignals returns the signals that stop a command in order, without those that this process
// was started to ignore: SIGHUP under nohup, SIGINT in the background of a script.
func StopSignals() []os.Signal { return NotIgnored(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) }

// NotIgnored leaves out the signals that this process ignores: catching one would end that.
func NotIgnored(all ...os.Signal) (signals []os.Signal) {
	for _, s := range all {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// KeepIgnored ignores SIGQUIT if this process was started to ignore it. Go's runtime catches SIGQUIT
// before the program can see that, but shells ignore it together with SIGINT.
func KeepIgnored() {
	if signal.Ignored(syscall.SIGINT) {
		signal.Ignore(syscall.SIGQUIT)
	}
}
