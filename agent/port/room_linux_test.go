//go:build !386 && !s390x

package port

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestWithoutRoomForLongTheRestIsDropped(t *testing.T) {
	// A TCP socket takes what is sent to any address, until its buffer and that of the other
	// end are full.
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	other, err := ln.Accept()
	require.NoError(t, err)
	defer other.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	d := &datagrams{}
	require.NoError(t, raw.Control(func(fd uintptr) { d.out.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }))
	require.NoError(t, err)
	defer unix.Close(d.out.fd)

	b, to := make([][]byte, 16), make([]netip.AddrPort, 16)
	for i := range b {
		b[i], to[i] = make([]byte, 1<<16), netip.MustParseAddrPort("127.0.0.1:9")
	}
	first, failed := len(b)-1, 0
	for first == len(b)-1 {
		failed = 0
		d.writeAll(b, to, func(i int, err error) {
			require.ErrorIs(t, err, unix.EAGAIN)
			if failed++; failed > 1 || i == len(b)-1 {
				return
			}
			first = i
			go func() { _, _ = io.Copy(io.Discard, other) }() // makes room
			for n := 0; n == 0; n, _ = unix.Poll([]unix.PollFd{{Fd: int32(d.out.fd), Events: unix.POLLOUT}}, -1) {
			}
		})
	}
	require.Equal(t, len(b)-first, failed)
	require.NoError(t, d.writeTo(b[0], to[0]))
}
