package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePagesOfTheStartAreGivenBack(t *testing.T) {
	mapped := func() (sum int) {
		status, err := os.ReadFile("/proc/self/status")
		require.NoError(t, err)
		for _, kind := range []string{"RssFile:", "RssShmem:"} { // the program may lie on a tmpfs
			_, rest, found := strings.Cut(string(status), kind)
			require.True(t, found)
			var kB int
			_, err = fmt.Sscan(rest, &kB)
			require.NoError(t, err)
			sum += kB
		}
		return sum
	}
	before := mapped()
	dropStartPages()
	require.Less(t, mapped(), before*3/4)
}

func TestOnlyPagesThatAreTheFilesAreGivenBack(t *testing.T) {
	const smaps = `00400000-00cb3000 r-xp 00000000 fd:00 42      /opt/my programs/ddgoose
Size:               8908 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
00cb3000-015f3000 r--p 008b3000 fd:00 42      /opt/my programs/ddgoose
Private_Dirty:         4 kB
Anonymous:             4 kB
015f3000-01600000 rw-p 011f3000 fd:00 42      /opt/my programs/ddgoose
Anonymous:             0 kB
01600000-01700000 r--p 00000000 fd:00 42      /opt/my programs/ddgoose
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fd:00 43      /lib/my programs/ddgoose.so
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00000000 00:00 0 
Anonymous:             0 kB
`
	require.Equal(t, []mapping{{0x400000, 0xcb3000}, {0x1600000, 0x1700000}}, pureMappings(strings.NewReader(smaps), "/opt/my programs/ddgoose"))
}
