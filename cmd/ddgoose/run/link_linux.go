package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
)

// hello is what run tells a new guard: see [Work].
type hello struct {
	Work
	Cgroup string `json:"cgroup,omitempty"` // run's; the guard is in one below it
}

// order is what run says to the guard.
type order struct {
	Hello *hello    `json:"hello,omitempty"`
	Echo  *deadline `json:"echo,omitempty"`
	Stop  bool      `json:"stop,omitempty"` // stop CMD, step down, end
	Now   bool      `json:"now,omitempty"`  // with Stop: without grace
}

// report is what the guard says to run.
type report struct {
	Deadline *deadline `json:"deadline,omitempty"` // to be echoed
	Working  *bool     `json:"working,omitempty"`  // whether anything runs
	Traces   *traces   `json:"traces,omitempty"`   // of what a manager runs
	Killing  bool      `json:"killing,omitempty"`  // the guard is alive, and something is not dead yet
	Code     *int      `json:"code,omitempty"`     // CMD has ended by itself: the end
	NotGoose string    `json:"notGoose,omitempty"` // not within Try, and why: the end
	Failed   string    `json:"failed,omitempty"`   // the agent refuses: the end
	Refusal  string    `json:"refusal,omitempty"`  // the code of that error
}

// failure reports an error.
func failure(err error) report { return report{Failed: err.Error(), Refusal: api.CodeOf(err)} }

// deadline is a renewal of a lease on its way through run.
type deadline struct {
	Token  uint64        `json:"token"`
	Until  time.Duration `json:"until"` // by the boot clock
	Length time.Duration `json:"length"`
	Sooner time.Duration `json:"sooner,omitempty"` // how much sooner than usual work must end
}

// maxPacket bounds one message.
const maxPacket = 16 << 10

// link is one end of the socket pair between run and guard. Messages are packets,
// so that one is sent as a whole or not at all.
type link struct{ conn *net.UnixConn }

// newPair makes a link: run's end, and the guard's end as a file to inherit.
func newPair() (*link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the link to the guard: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "guard's link")
	l, err := newLink(os.NewFile(uintptr(fds[0]), "run's link"))
	if err != nil {
		_ = theirs.Close() // unused
		return nil, nil, err
	}
	return l, theirs, nil
}

// newLink makes a link of an inherited file.
func newLink(f *os.File) (*link, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open the link between run and guard: %w", err)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close() // of no use
		return nil, errors.New("the link between run and guard is no unix socket")
	}
	return &link{u}, nil
}

// say sends a message and does not wait. If the other end is stopped and its queue is
// full, the message is dropped: the other end asks again for what it must know, or its
// silence is noticed. A write with a deadline would not do: on a busy machine the deadline
// may pass before the write begins.
func (l *link) say(m any) {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Write(func(fd uintptr) bool {
		_ = unix.Send(int(fd), pack(m), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) // hear notices if the other process is gone
		return true
	})
}

// beat sends a sign of life, unless the other end has not read earlier messages: it may be
// stopped, and important messages need the room.
func (l *link) beat(m any) {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return // closed
	}
	unread := 0
	if raw.Control(func(fd uintptr) { unread, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) == nil && err == nil && unread == 0 {
		l.say(m)
	}
}

// sayLast sends the last message, and waits until the other end has taken it or is gone.
func (l *link) sayLast(m any) { _, _ = l.conn.Write(pack(m)) }

func pack(m any) []byte {
	packet, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("run: message %+v: %v", m, err))
	}
	return packet
}

// hear waits for the next message; io.EOF: the other process is gone.
func (l *link) hear(m any) error {
	buf := make([]byte, maxPacket)
	n, err := l.conn.Read(buf)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(buf[:n], m); err != nil {
		return fmt.Errorf("message %.80q between run and guard: %w", buf[:n], err)
	}
	return nil
}

func (l *link) close() { _ = l.conn.Close() } // everything was sent
