package port

import (
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestStreamsSendShortSegments looks at both ends: either may be the one whose
// large packets a path loses.
func TestStreamsSendShortSegments(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0"} {
		here, err := ListenUDP(bind, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		accepted := make(chan net.Conn, 1)
		here.Receive(func([]byte, netip.AddrPort) {}, func(c net.Conn) { accepted <- c })
		full, err := here.Dial(withFullPackets(t.Context()), here.LocalAddr())
		require.NoError(t, err)
		require.NoError(t, (<-accepted).Close())
		raw, err := full.(*net.TCPConn).SyscallConn()
		require.NoError(t, err)
		require.Greater(t, sendsAtMost(t, raw), uint32(maxSegment), "it tries the path")
		require.NoError(t, full.Close())

		out, err := here.Dial(t.Context(), here.LocalAddr())
		require.NoError(t, err)
		in := <-accepted
		for end, conn := range map[string]net.Conn{"the one that dials": out, "the one that accepts": in} {
			raw, err := conn.(*net.TCPConn).SyscallConn()
			require.NoError(t, err)
			require.LessOrEqual(t, sendsAtMost(t, raw), uint32(maxSegment), "%s, %s", bind, end)
		}
		require.NoError(t, out.Close())
		require.NoError(t, in.Close())
		require.NoError(t, here.Close())
	}
}

func sendsAtMost(t *testing.T, raw syscall.RawConn) uint32 {
	t.Helper()
	var info *unix.TCPInfo
	var err error
	require.NoError(t, raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
	require.NoError(t, err)
	return info.Snd_mss
}
