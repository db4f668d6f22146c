package gossip

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolveTakesAddressesAndNames(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:3825", "10.0.0.1:7": "10.0.0.1:7", "[::1]:7": "[::1]:7", "::1": "[::1]:3825",
	} {
		got, err := resolve(context.Background(), in)
		require.NoError(t, err)
		require.Equal(t, []netip.AddrPort{netip.MustParseAddrPort(want)}, got, in)
	}
	got, err := resolve(context.Background(), "localhost:7")
	require.NoError(t, err)
	require.NotEmpty(t, got)
	_, err = resolve(context.Background(), "10.0.0.1:x")
	require.ErrorContains(t, err, `address "10.0.0.1:x": port "x": want 1 to 65535`)
}
