package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
)

// TestStreamsPassWhereLargePacketsAreLost has the router drop packets above
// 1,280 bytes without a word. An agent that starts again then meets the others,
// whose answers to doctor take several packets, and doctor names the MTU.
func TestStreamsPassWhereLargePacketsAreLost(t *testing.T) {
	t.Parallel()
	l := open(t, 3, inKernel)
	goose := l.settled()
	require.NoError(t, l.net.filter.mute())
	router, err := netlink.NewHandleAt(l.net.router.fd)
	require.NoError(t, err)
	defer router.Close()
	for _, h := range l.net.hosts {
		link, err := router.LinkByName(h.veth())
		require.NoError(t, err)
		require.NoError(t, router.LinkSetMTU(link, 1280))
	}
	back := l.other(goose)
	require.Error(t, l.member(back).end(unix.SIGKILL))
	l.watch.until("its end is seen", func(all map[string]api.Status) bool { return all[back].Role == api.RoleDead })
	require.NoError(t, l.member(back).start())
	l.settled()

	d, err := l.member(back).client().Doctor(t.Context(), 2*time.Second)
	require.NoError(t, err)
	for _, a := range d.Agents {
		require.True(t, a.Answered, "%s: %s", a.Name, a.Error)
	}
	var notes []string
	for _, f := range d.Findings {
		if f.Kind == api.FindingNote {
			notes = append(notes, f.Text)
		}
	}
	require.Contains(t, strings.Join(notes, "\n"), "packets of full size from "+back+" to ")
}
