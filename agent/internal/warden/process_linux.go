package warden

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// processName is argv[0] of a warden.
const processName = "ddgoose-warden"

// The files that the agent passes to its warden.
const (
	memoryFD = 3 + iota
	agentFD
	goneFD
)

// init turns a process with that name into a warden, before most packages of the program
// have allocated memory.
func init() {
	if len(os.Args) == 1 && os.Args[0] == processName {
		os.Exit(serve())
	}
}

// repeats are the pauses before a will is sent again: datagrams can be lost.
var repeats = []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 75 * time.Millisecond}

// serve is the process: it sleeps until the agent is gone.
func serve() (code int) {
	// Signals from a terminal or a service manager are for the agent. The warden ends after it.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGUSR1, unix.SIGUSR2)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20) // if permitted: it works once, for a moment
	mem, err := unix.Mmap(memoryFD, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 1
	}
	w := &warden{gone: map[uint64]bool{}, udp4: -1, udp6: -1}
	for !w.poll() {
	}
	t, err := parse(mem)
	if err != nil {
		return 1
	}
	w.send(t)
	return 0
}

// warden is the process's state.
type warden struct {
	gone       map[uint64]bool // proofs of holders whose work is gone
	udp4, udp6 int             // -1: not opened
}

// goneMost bounds gone, which also has proofs that are no longer needed.
const goneMost = 4096

// poll waits until something happens, and reports whether the agent is gone.
func (w *warden) poll() (died bool) {
	fds := []unix.PollFd{{Fd: goneFD, Events: unix.POLLIN}, {Fd: agentFD, Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, -1); err != nil {
		return false // interrupted
	}
	w.hear()
	return fds[1].Revents != 0
}

// hear reads the proofs that wait.
func (w *warden) hear() {
	var b [proofSize + 1]byte
	for {
		n, _, err := unix.Recvfrom(goneFD, b[:], unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		if proof, ok := parseProof(b[:n]); ok {
			if len(w.gone) >= goneMost {
				clear(w.gone)
			}
			w.gone[proof] = true
		}
	}
}

// send sends the messages of each election once its holders are gone. It waits for them for
// as long as the memory says.
func (w *warden) send(t lastWill) {
	t.hopeless()
	until := time.Now().Add(time.Duration(t.wait))
	var sent []kept
	for {
		w.hear()
		now := t.ready(w.gone)
		w.deliver(now)
		sent = append(sent, now...)
		left := time.Until(until)
		if len(t.messages) == 0 || left <= 0 {
			break
		}
		w.wait(left)
	}
	if len(sent) == 0 {
		return
	}
	for _, pause := range repeats {
		time.Sleep(pause)
		w.deliver(sent)
	}
}

// wait waits for a proof.
func (w *warden) wait(most time.Duration) {
	fds := []unix.PollFd{{Fd: goneFD, Events: unix.POLLIN}}
	_, _ = unix.Poll(fds, int((most+time.Millisecond-1)/time.Millisecond)) // interrupted: the caller looks again
}

// deliver sends messages. One that fails is sent again by a repeat.
func (w *warden) deliver(messages []kept) {
	for i := range messages {
		l := &messages[i]
		if addr := l.To.Addr(); addr.Is4() {
			_ = unix.Sendto(socket(&w.udp4, unix.AF_INET), l.Datagram, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrInet4{Port: int(l.To.Port()), Addr: addr.As4()})
		} else {
			_ = unix.Sendto(socket(&w.udp6, unix.AF_INET6), l.Datagram, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrInet6{Port: int(l.To.Port()), Addr: addr.As16()})
		}
	}
}

// socket opens a socket when it is first needed.
func socket(fd *int, family int) int {
	if *fd < 0 {
		if s, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			*fd = s
		}
	}
	return *fd
}
