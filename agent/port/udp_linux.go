//go:build !386 && !s390x

package port

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams sends and receives on a non-blocking socket that Go's network poller does not
// know. The poller would wake the agent whenever a datagram has left, and package net
// would wake the scheduler's monitor thread at each call after a pause. An idle agent
// pauses between datagrams, and each of these two took a tenth or more of all its CPU.
type datagrams struct {
	waiter
	v6 bool // the socket's family

	out struct { // guards what one system call sends, and fd
		sync.Mutex
		fd int // -1: closed
		batch
		to     [batchSize]unix.RawSockaddrInet6 // each large enough for both families
		queued int
	}
	in struct { // used by the reading goroutine only
		fd int
		batch
		from [batchSize]unix.RawSockaddrInet6
		buf  [batchSize][]byte
	}
}

// batchSize bounds what one system call sends or receives.
const batchSize = 4

// batch is the arguments of sendmmsg and recvmmsg.
type batch struct {
	messages [batchSize]message
	parts    [batchSize]unix.Iovec // one of each message
}

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// set makes message i carry b, to or from an address of addrLen bytes.
func (c *batch) set(i int, b []byte, addr *unix.RawSockaddrInet6, addrLen uint32) {
	c.parts[i].Base = unsafe.SliceData(b)
	c.parts[i].SetLen(len(b))
	h := &c.messages[i].header
	h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(addr)), addrLen, &c.parts[i]
	h.SetIovlen(1)
}

// newDatagrams takes the socket out of conn, which it closes.
func newDatagrams(conn *net.UDPConn) (*datagrams, error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &datagrams{}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		family, _ := unix.Getsockname(int(fd))
		_, d.v6 = family.(*unix.SockaddrInet6)
		d.in.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, os.NewSyscallError("fcntl", failed)
	}
	d.out.fd = d.in.fd
	if err := d.open(d.in.fd); err != nil {
		return nil, errors.Join(err, unix.Close(d.in.fd))
	}
	return d, nil
}

// close closes the socket. receive has ended.
func (d *datagrams) close() error {
	d.out.Lock()
	defer d.out.Unlock()
	if d.out.fd < 0 {
		return nil
	}
	fd := d.out.fd
	d.out.fd = -1
	return errors.Join(d.waiter.close(), unix.Close(fd))
}

// writeTo sends one datagram.
func (d *datagrams) writeTo(b []byte, to netip.AddrPort) (err error) {
	d.writeAll([][]byte{b}, []netip.AddrPort{to}, func(_ int, failed error) { err = failed })
	return err
}

// writeAll sends datagrams, as many as possible by each system call. It calls failed
// for each that could not be sent.
func (d *datagrams) writeAll(b [][]byte, to []netip.AddrPort, failed func(i int, err error)) {
	for i := 0; i < len(b); {
		done, err := d.writeSome(b[i:], to[i:])
		if err != nil {
			done = 1
			if errors.Is(err, errNoRoom) {
				done = len(b) - i // the others would wait as long
			}
			for at := range done {
				failed(i+at, err)
			}
		}
		i += done
	}
}

// writeSome makes one system call and returns how many datagrams it sent, from the
// first on. An error is about the first.
func (d *datagrams) writeSome(b [][]byte, to []netip.AddrPort) (sent int, err error) {
	out := &d.out
	out.Lock()
	defer out.Unlock()
	if out.fd < 0 {
		return 0, net.ErrClosed
	}
	for out.queued = 0; out.queued < min(len(b), batchSize); out.queued++ {
		i := out.queued
		length, err := d.address(&out.to[i], to[i])
		if err != nil && i == 0 {
			return 0, err
		}
		if err != nil {
			break
		}
		out.set(i, b[i], &out.to[i], length)
	}
	n, errno := d.send()
	room := true
	if errno == unix.EAGAIN {
		room = d.awaitRoom()
		n, errno = d.send()
	}
	for i := range out.queued {
		out.parts[i].Base = nil
	}
	switch {
	case errno == unix.EAGAIN && !room:
		return 0, errNoRoom
	case errno != 0:
		return 0, os.NewSyscallError("sendmmsg", errno)
	}
	return n, nil
}

// send makes the system call; out is locked.
func (d *datagrams) send() (n int, errno syscall.Errno) {
	out := &d.out
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(out.fd), uintptr(unsafe.Pointer(&out.messages)), uintptr(out.queued), 0, 0, 0)
	return int(sent), errno
}

// roomWait bounds how long datagrams wait for room in the socket's buffer.
const roomWait = 100 // ms

var errNoRoom = fmt.Errorf("sendmmsg: no room for %d ms: %w", roomWait, unix.EAGAIN)

// awaitRoom waits until half of the buffer, which the network card empties, is free, and
// reports whether it is; out is locked.
func (d *datagrams) awaitRoom() bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(d.out.fd), Events: unix.POLLOUT}}, roomWait)
	return n != 0
}

// address writes an address in the kernel's form and returns its length.
func (d *datagrams) address(at *unix.RawSockaddrInet6, to netip.AddrPort) (length uint32, err error) {
	*at = unix.RawSockaddrInet6{}
	if d.v6 {
		at.Family, at.Addr = unix.AF_INET6, to.Addr().As16()
		bigEndian(&at.Port, to.Port())
		if zone := to.Addr().Zone(); zone != "" {
			in, err := net.InterfaceByName(zone)
			if err != nil {
				return 0, err
			}
			at.Scope_id = uint32(in.Index)
		}
		return unix.SizeofSockaddrInet6, nil
	}
	addr := to.Addr().Unmap()
	if !addr.Is4() {
		return 0, &net.AddrError{Err: "an IPv4 socket reaches no IPv6 address", Addr: to.String()}
	}
	v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(at))
	v4.Family, v4.Addr = unix.AF_INET, addr.As4()
	bigEndian(&v4.Port, to.Port())
	return unix.SizeofSockaddrInet4, nil
}

// receive hands over datagrams until endReceiving, in the one goroutine that reads.
func (d *datagrams) receive(packet func(b []byte, from netip.AddrPort)) {
	in := &d.in
	for i := range in.buf {
		in.buf[i] = make([]byte, maxPacket)
	}
	d.wait(func() (more bool) { return d.receiveSome(packet) })
}

// receiveSome makes one system call and reports whether there may be more datagrams.
func (d *datagrams) receiveSome(packet func([]byte, netip.AddrPort)) (more bool) {
	in := &d.in
	for i, buf := range in.buf {
		in.set(i, buf, &in.from[i], unix.SizeofSockaddrInet6)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(in.fd), uintptr(unsafe.Pointer(&in.messages)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno != unix.EAGAIN // else an ICMP error about somebody else's datagram
	}
	for i := range int(n) {
		packet(in.buf[i][:in.messages[i].length], sender(&in.from[i]))
	}
	return n == batchSize
}

// sender reads an address in the kernel's form.
func sender(from *unix.RawSockaddrInet6) netip.AddrPort {
	if from.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), fromBigEndian(&v4.Port))
	}
	addr := netip.AddrFrom16(from.Addr).Unmap()
	if addr.Is6() && from.Scope_id != 0 {
		addr = addr.WithZone(zoneName(from.Scope_id))
	}
	return netip.AddrPortFrom(addr, fromBigEndian(&from.Port))
}

// zoneName names a link by its interface, as addresses are written.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return ""
}

// bigEndian puts a port into a field that the kernel reads byte by byte.
func bigEndian(field *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(field))[:], port)
}

func fromBigEndian(field *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(field))[:])
}
