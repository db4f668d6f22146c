//go:build !386 && !s390x

package port

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestWhatLeavesDoesNotWakeTheReader(t *testing.T) {
	open := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		return conn
	}
	other := open()
	defer other.Close()
	d, err := newDatagrams(open())
	require.NoError(t, err)
	var woken atomic.Int64
	var ended sync.WaitGroup
	ended.Go(func() {
		d.wait(func() (more bool) { woken.Add(1); return false })
	})
	for range 100 {
		require.NoError(t, d.writeTo([]byte("x"), other.LocalAddr().(*net.UDPAddr).AddrPort()))
		_, err := other.Read(make([]byte, 1))
		require.NoError(t, err)
	}
	rings, set := d.alarm()
	set(0)
	rang(t, rings)
	require.LessOrEqual(t, woken.Load(), int64(2), "at first, and by the alarm")
	d.endReceiving()
	ended.Wait()
	require.NoError(t, d.close())
}

func TestAFloodLeavesTheProcessorToOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	d, err := newDatagrams(conn)
	require.NoError(t, err)
	flood := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		<-flood
		d.endReceiving()
	})
	reads := 0
	d.wait(func() (more bool) {
		if reads++; reads == 1 {
			close(flood)
		}
		return true
	})
	require.Less(t, reads, 10*fairReads)
	ended.Wait()
	require.NoError(t, d.close())
}

// The kernel bounds how deep epoll instances may lie within each other: one of these depths
// leaves no room for Go's poller.
func TestOpenFailsIfGosPollerDoesNotTakeTheSocket(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	refused := false
	for range 8 {
		require.NoError(t, err)
		defer unix.Close(fd)
		var w waiter
		if failed := w.open(fd); failed == nil {
			require.NoError(t, w.events.SetReadDeadline(time.Time{}), "it can wait")
			w.endReceiving()
			require.NoError(t, w.close())
		} else {
			refused = true
		}
		deeper, failed := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		require.NoError(t, failed)
		err = unix.EpollCtl(deeper, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN})
		if err != nil {
			require.NoError(t, unix.Close(deeper))
			break
		}
		fd = deeper
	}
	require.True(t, refused)
}
