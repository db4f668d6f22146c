//go:build !386 && !s390x

package port

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
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
