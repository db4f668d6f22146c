package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gdamore/tcell/v3/vt"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

// console is a process on a terminal of its own: a pty, and an emulator that draws
// and answers as a terminal does.
type console struct {
	t        *testing.T
	fd       int      // the master's side
	keyboard *os.File // the same
	line     *os.File // the process's side
	before   unix.Termios
	screen   vt.MockTerm
	wrote    *lockedBuffer
	cmd      *exec.Cmd
	gone     chan struct{}
}

// startConsole runs a command line on a terminal of this size.
func startConsole(t *testing.T, width, height int, env []string, args ...string) *console {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	master := os.NewFile(uintptr(fd), "/dev/ptmx") // one whose Read ends by Close, unless Fd is called
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	c := &console{
		t: t, fd: fd, keyboard: master, line: line, before: lineState(t, line), wrote: &lockedBuffer{}, gone: make(chan struct{}),
		screen: vt.NewMockTerm(vt.MockOptSize{X: vt.Col(width), Y: vt.Row(height)}),
	}
	require.NoError(t, c.screen.Start())
	c.resize(width, height)
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = line, line, line
	c.cmd.Env = append(os.Environ(), append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR="}, env...)...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait() // its code is read from its state
		close(c.gone)
	}()
	var wires sync.WaitGroup
	wires.Go(func() { carry(master.Read, func(b []byte) { _, _ = c.wrote.Write(b); _, _ = c.screen.Write(b) }) })
	wires.Go(func() { carry(c.screen.Read, func(b []byte) { _, _ = master.Write(b) }) })
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.text())
		}
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		<-c.gone
		_ = line.Close()
		_ = master.Close() // ends its Read
		_ = c.screen.Close()
		wires.Wait()
	})
	return c
}

// carry brings what is read to somebody, until there is no more.
func carry(read func([]byte) (int, error), to func([]byte)) {
	b := make([]byte, 4096)
	for {
		n, err := read(b)
		if n > 0 {
			to(b[:n])
		}
		if err != nil {
			return
		}
	}
}

func lineState(t *testing.T, line *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return *s
}

// resize changes the window, and the kernel tells the process.
func (c *console) resize(width, height int) {
	c.t.Helper()
	c.screen.SetSize(vt.Coord{X: vt.Col(width), Y: vt.Row(height)})
	require.NoError(c.t, unix.IoctlSetWinsize(c.fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)}))
}

func (c *console) press(keys string) {
	c.t.Helper()
	_, err := c.keyboard.WriteString(keys)
	require.NoError(c.t, err)
}

// text is what stands on the screen.
func (c *console) text() string {
	size := c.screen.Backend().GetSize()
	var b strings.Builder
	for y := range size.Y {
		for x := range size.X {
			b.WriteString(cmp.Or(c.screen.GetCell(vt.Coord{X: x, Y: y}).C, " "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// shows waits until a text stands on the screen.
func (c *console) shows(text string) {
	c.t.Helper()
	apitest.Eventually(c.t, func() bool { return strings.Contains(c.text(), text) }, "%q on the screen", text)
}

// goose is the goose that the first line names, "" if it names none.
func (c *console) goose() string {
	first, _, _ := strings.Cut(c.text(), "\n")
	name, _, found := strings.Cut(first, " is the goose")
	if !found {
		return ""
	}
	return strings.TrimSpace(name)
}

// takes is what a program writes that takes the whole terminal.
const takes = "\x1b[?1049h"

// exit waits for the end, and for the terminal to be as it was; it gives the exit
// code.
func (c *console) exit() int {
	c.t.Helper()
	apitest.Eventually(c.t, func() bool { return closed(c.gone) }, "the end")
	require.Equal(c.t, c.before, lineState(c.t, c.line), "the line's modes are as they were")
	const left, cursor = "\x1b[?1049l", "\x1b[?25h"
	apitest.Eventually(c.t, func() bool {
		all := c.wrote.String()
		return strings.LastIndex(all, left) >= strings.LastIndex(all, takes) && strings.LastIndex(all, cursor) >= strings.LastIndex(all, "\x1b[?25l")
	}, "the screen that was there before, and the cursor")
	return c.cmd.ProcessState.ExitCode()
}
