//go:build linux

package warden

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ownerEnv makes the test's program an agent's end, which lines on its stdin drive.
const ownerEnv = "WARDEN_TEST_OWNER"

func TestMain(m *testing.M) {
	if socket, is := os.LookupEnv(ownerEnv); is {
		own(socket)
		return
	}
	os.Exit(m.Run())
}

// own runs lines, and answers each.
func own(socket string) {
	k, err := Start(Options{Socket: socket, Wait: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	slots := map[string]Slot{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var election, addr, text string
		var proof uint64
		line := lines.Text()
		word, _, _ := strings.Cut(line, " ")
		switch word {
		case "write":
			fmt.Sscan(line, &word, &election, &addr, &text)
			k.Write(election, []Message{{netip.MustParseAddrPort(addr), []byte(text)}})
		case "erase":
			fmt.Sscan(line, &word, &election)
			k.Write(election, nil)
		case "hush":
			k.Hush(true)
		case "speak":
			k.Hush(false)
		case "hold":
			fmt.Sscan(line, &word, &election, &proof)
			slots[election] = k.Hold(election, proof)
		case "drop":
			fmt.Sscan(line, &word, &election)
			k.Drop(slots[election])
		case "wait":
			k.word(waitAt).Store(uint64(50 * time.Millisecond))
		case "problem":
			fmt.Println(k.Problem() != "")
			continue
		case "close":
			k.Close()
		case "panic":
			go panic("as asked")
		}
		fmt.Println("ok")
	}
}

// owner is an agent's process, as a test sees it.
type owner struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Scanner
	voter  *net.UDPConn
	socket string
}

func newOwner(t *testing.T) *owner { return newOwnerOf(t, net.IPv4(127, 0, 0, 1)) }

func newOwnerOf(t *testing.T, ip net.IP) *owner {
	voter, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	if err != nil && ip.To4() == nil {
		t.Skip("no IPv6: ", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { voter.Close() })
	o := &owner{t: t, voter: voter, socket: filepath.Join(t.TempDir(), "w")}
	self, err := os.Executable()
	require.NoError(t, err)
	o.cmd = exec.Command(self)
	o.cmd.Env = append(os.Environ(), ownerEnv+"="+o.socket)
	in, err := o.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := o.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, o.cmd.Start())
	o.in, o.out = in, bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
	})
	return o
}

// do has the owner run lines.
func (o *owner) do(lines ...string) (answer string) {
	o.t.Helper()
	for _, line := range lines {
		_, err := fmt.Fprintln(o.in, line)
		require.NoError(o.t, err)
		require.True(o.t, o.out.Scan(), "%s: %v", line, o.out.Err())
		answer = o.out.Text()
	}
	return answer
}

func (o *owner) write(election, text string) {
	o.do(fmt.Sprintf("write %s %s %s", election, o.voter.LocalAddr(), text))
}

func (o *owner) kill() {
	require.NoError(o.t, o.cmd.Process.Kill())
	_ = o.cmd.Wait() // killed
}

// hears waits for a datagram; each will is sent a few times.
func (o *owner) hears(want string) {
	o.t.Helper()
	b := make([]byte, 100)
	require.NoError(o.t, o.voter.SetReadDeadline(time.Now().Add(time.Minute)))
	for {
		n, _, err := o.voter.ReadFrom(b)
		require.NoError(o.t, err)
		if string(b[:n]) == want {
			return
		}
	}
}

// wardens gives the pids of the owner's wardens.
func (o *owner) wardens() (pids []int) {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", o.cmd.Process.Pid))
	require.NoError(o.t, err)
	for _, name := range names {
		b, _ := os.ReadFile(name)
		for _, word := range strings.Fields(string(b)) {
			var pid int
			fmt.Sscan(word, &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// warden waits until one has begun: it ignores SIGTERM then.
func (o *owner) warden() int {
	for {
		for _, pid := range o.wardens() {
			var ignored uint64
			for line := range strings.Lines(ofProcess(pid, "status")) {
				fmt.Sscanf(line, "SigIgn: %x", &ignored)
			}
			if strings.HasPrefix(ofProcess(pid, "cmdline"), processName) && ignored>>(unix.SIGTERM-1)&1 == 1 {
				return pid
			}
		}
	}
}

func ofProcess(pid int, name string) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)) // "": it has ended
	return string(b)
}

// silence proves that a warden has ended and sent nothing: what is heard next comes from the test.
func (o *owner) silence(warden int) {
	o.t.Helper()
	fd, err := unix.PidfdOpen(warden, 0)
	if err == nil {
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		require.NoError(o.t, err)
		unix.Close(fd)
	}
	_, err = o.voter.WriteTo([]byte("nothing"), o.voter.LocalAddr())
	require.NoError(o.t, err)
	b := make([]byte, 100)
	require.NoError(o.t, o.voter.SetReadDeadline(time.Now().Add(time.Minute)))
	n, _, err := o.voter.ReadFrom(b)
	require.NoError(o.t, err)
	require.Equal(o.t, "nothing", string(b[:n]))
}

func TestAWillIsSentWhenTheProcessIsGone(t *testing.T) {
	for _, how := range []string{"kill", "panic"} {
		o := newOwner(t)
		o.write("x", "old")
		o.do("speak")
		o.write("x", "will")
		if how == "panic" {
			fmt.Fprintln(o.in, "panic")
			_ = o.cmd.Wait()
		} else {
			o.kill()
		}
		for range 1 + len(repeats) { // some may be lost
			o.hears("will")
		}
	}
}

func TestAWillIsSentToIPv6(t *testing.T) {
	o := newOwnerOf(t, net.IPv6loopback)
	o.do("speak")
	o.write("x", "will")
	o.kill()
	o.hears("will")
}

func TestAStoppedProcessLeavesNoWill(t *testing.T) {
	o := newOwner(t)
	o.do("speak")
	o.write("x", "will")
	warden := o.warden()
	require.NoError(t, o.cmd.Process.Signal(syscall.SIGSTOP))
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} { // a service manager's, to all
		require.NoError(t, syscall.Kill(warden, sig))
	}
	require.NoError(t, o.cmd.Process.Signal(syscall.SIGCONT))
	o.do("problem")
	require.Equal(t, warden, o.warden())
	o.do("erase x")
	o.kill()
	o.silence(warden)
}

func TestNoWillStands(t *testing.T) {
	for name, lines := range map[string][]string{
		"before the first word": nil,
		"while hushed":          {"speak", "hush"},
		"once it was erased":    {"speak", "erase x"},
		"for a silent holder":   {"speak", "hold x 1"},
		"for work that goes on": {"speak", "wait", "hold x 71"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOwner(t)
			warden := o.warden()
			o.write("x", "will")
			o.do(lines...)
			o.kill()
			o.silence(warden)
		})
	}
}

func TestAPeacefulEndEndsTheWarden(t *testing.T) {
	o := newOwner(t)
	warden := o.warden()
	o.do("speak")
	o.write("x", "will")
	o.do("close")
	require.Empty(t, o.wardens())
	require.NoFileExists(t, o.socket)
	o.kill()
	o.silence(warden)
}

func TestAWillWaitsForTheProofOfEachHolder(t *testing.T) {
	o := newOwner(t)
	o.do("speak", "hold x 71", "hold y 72", "drop y", "hold y 73")
	o.write("x", "of-x")
	o.write("y", "of-y")
	ReportGone(o.socket, 73) // before the death it is as true
	o.kill()
	o.hears("of-y")
	require.NoError(t, o.voter.SetReadDeadline(time.Time{}))
	ReportGone(o.socket, 74)
	ReportGone(o.socket, 71)
	o.hears("of-x")
}

// A guard's word alone ends no promise: its agent may live.
func TestAProofSendsNoWillWhileTheProcessLives(t *testing.T) {
	o := newOwner(t)
	o.do("speak")
	o.write("x", "will")
	warden := o.warden()
	pauses := func() (n int) { // of its first thread, which does all
		for line := range strings.Lines(ofProcess(warden, "status")) {
			fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &n)
		}
		return n
	}
	for !strings.Contains(ofProcess(warden, "status"), "State:\tS") {
	}
	was := pauses()
	ReportGone(o.socket, 71)
	for pauses() == was { // it has heard that, and waits again
	}
	o.do("erase x")
	o.kill()
	o.silence(warden)
}

func TestAWardenThatIsKilledIsReplaced(t *testing.T) {
	o := newOwner(t)
	o.do("speak")
	o.write("x", "will")
	first := o.warden()
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	for o.do("problem") != "true" {
	}
	for o.do("problem") != "false" {
	}
	require.NotEqual(t, first, o.warden())
	o.kill()
	o.hears("will")
}

// A warden is there for years: it must be small and do nothing.
func TestAWardenIsSmallAndIdle(t *testing.T) {
	o := newOwner(t)
	o.do("speak")
	pid := o.warden()
	for !strings.Contains(ofProcess(pid, "status"), "State:\tS") { // it has begun to wait
	}
	var anon int
	for line := range strings.Lines(ofProcess(pid, "status")) {
		fmt.Sscanf(line, "RssAnon: %d kB", &anon)
	}
	t.Logf("RssAnon %d kB", anon)
	require.Less(t, anon, raceFactor*5<<10)
}
