//go:build !386 && !s390x

package port

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiter waits for a socket's datagrams and for an alarm. Go's poller sees only an epoll
// instance with these two in it, so that nothing else about the socket wakes the agent.
//
// The alarm is a timer of the kernel. For one of Go's, which the poller rounds down to
// milliseconds, the agent wakes twice, and the scheduler's monitor thread wakes as well.
type waiter struct {
	events *os.File // the epoll instance
	raw    syscall.RawConn
	rings  chan time.Time // of capacity 1

	timer struct { // guards fd
		sync.Mutex
		fd int // -1: closed
	}
	at atomic.Int64 // when the alarm rings, after began; 0: not set
}

// began is the time from which alarms count.
var began = time.Now()

func (w *waiter) open(socket int) (err error) {
	w.rings = make(chan time.Time, 1)
	if w.timer.fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Close(w.timer.fd))
		}
	}()
	events, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	for _, fd := range []int{socket, w.timer.fd} {
		err = errors.Join(err, unix.EpollCtl(events, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
	}
	if err = errors.Join(err, unix.SetNonblock(events, true)); err != nil { // os.NewFile then gives it to the poller
		return errors.Join(os.NewSyscallError("epoll_ctl", err), unix.Close(events))
	}
	w.events = os.NewFile(uintptr(events), "datagrams")
	if err = w.events.SetReadDeadline(time.Time{}); err != nil { // os.NewFile does not tell that the poller refused it
		return errors.Join(fmt.Errorf("poll datagrams: %w", err), w.events.Close())
	}
	w.raw, err = w.events.SyscallConn()
	return err
}

// fairReads is how many reads in a row find more before other goroutines have their turn. On
// one processor they would otherwise wait for the scheduler's monitor, which sleeps while
// nobody makes a system call that may block.
const fairReads = 16

// wait calls read whenever there are datagrams, again while there are more, and rings the
// alarm. It returns after endReceiving.
func (w *waiter) wait(read func() (more bool)) {
	call := func(uintptr) (more bool) {
		more = read()
		w.ring() // in a flood, too, in which there are always more
		return more
	}
	for reads := 1; ; reads++ {
		// If there are no more, the runtime calls again when something arrives. Nothing is
		// missed in between, because no call of Read begins then.
		if err := w.raw.Read(call); err != nil { // closed
			return
		}
		if reads%fairReads == 0 {
			runtime.Gosched()
		}
	}
}

// ring rings the alarm if it is time.
func (w *waiter) ring() {
	at := w.at.Load()
	if at == 0 || time.Since(began) < time.Duration(at) || !w.at.CompareAndSwap(at, 0) {
		return
	}
	select {
	case w.rings <- time.Time{}:
	default:
	}
}

func (w *waiter) alarm() (rings <-chan time.Time, set func(time.Duration)) { return w.rings, w.set }

// set makes the alarm ring once, after d. A second call replaces the first.
func (w *waiter) set(d time.Duration) {
	w.timer.Lock()
	defer w.timer.Unlock()
	if w.timer.fd < 0 {
		return
	}
	d = max(d, 1)
	w.at.Store(int64(time.Since(began) + d))
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(w.timer.fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		panic("timerfd_settime: " + errno.Error())
	}
}

// endReceiving ends wait.
func (w *waiter) endReceiving() { _ = w.events.Close() }

// close closes the alarm. wait has ended.
func (w *waiter) close() error {
	w.timer.Lock()
	defer w.timer.Unlock()
	fd := w.timer.fd
	w.timer.fd = -1
	return unix.Close(fd)
}
