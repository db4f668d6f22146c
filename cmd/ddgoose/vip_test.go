package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVIPRefusesWhatIsNoAddress(t *testing.T) {
	const want = "ddgoose: vip: name addresses and a device: ddgoose vip ADDR/PREFIX[,...] --dev IF\n"
	for _, args := range [][]string{{}, {"10.0.0.100/32"}, {"--dev", "eth0"}, {"10.0.0.100/32", "10.0.0.101/32", "--dev", "eth0"}} {
		require.Equal(t, outcome{code: 2, stderr: want}, run(t, append([]string{"vip"}, args...)...))
	}
	for _, address := range []string{"", "10.0.0.100", "10.0.0.100/33", "127.0.0.1/8", "224.0.0.1/32", "::/0", "ff02::1/128", "::ffff:10.0.0.1/128", "10.0.0.1/32,", "fe80::1%eth0/64"} {
		got := run(t, "vip", address, "--dev", "eth0")
		require.Equal(t, 2, got.code, address)
		require.Contains(t, got.stderr, "want ADDR/PREFIX of one machine, as 10.0.0.100/32 or 2001:db8::100/128\n")
	}
}
