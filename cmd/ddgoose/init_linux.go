package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	runner "duckduckgoose/cmd/ddgoose/run"
)

// wardenTime bounds how long a command's children may outlive it.
const wardenTime = time.Second

// reapWarden gives the warden of an agent that has died the time to send a last will: the
// end of the first process ends all others.
func reapWarden() {
	for end := time.Now().Add(wardenTime); time.Now().Before(end); {
		ended, err := syscall.Wait4(-1, nil, syscall.WNOHANG|unix.WALL, nil)
		switch {
		case err != nil && err != syscall.EINTR:
			return // no child is left
		case ended == 0:
			time.Sleep(time.Millisecond)
		}
	}
}

// beInit makes the first process of a container its init: processes that lose their
// parent become its children and must be reaped, or the process table fills up. The
// command itself runs in a child, so that the exit codes of its own children are not
// reaped with the rest. It returns the exit code; false: this is not the first process.
func beInit(stderr io.Writer) (code int, is bool) {
	if os.Getpid() != 1 {
		return 0, false
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, runner.NotIgnored(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)...)
	if os.Getenv("WATCHDOG_PID") == "1" {
		_ = os.Unsetenv("WATCHDOG_PID") // the child feeds the watchdog
	}
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintf(stderr, "ddgoose: start the child of an init process: %v\n", err)
		return exitError, true
	}
	go func() {
		for sig := range signals {
			_ = unix.Kill(pid, sig.(syscall.Signal)) // it may have ended
		}
	}()
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case err == nil && ended == pid && status.Signaled():
			reapWarden()
			return exitSignalled + int(status.Signal()), true
		case err == nil && ended == pid:
			if status.ExitStatus() != 0 {
				reapWarden()
			}
			return status.ExitStatus(), true
		case err != nil && err != syscall.EINTR:
			fmt.Fprintf(stderr, "ddgoose: wait for the child of an init process: %v\n", err)
			return exitError, true
		}
	}
}
