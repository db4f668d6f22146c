//go:build linux

package run

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"duckduckgoose/agent/api/apitest"
)

// childEnv makes this test program what `run` runs, in a folder that it names.
const childEnv = "DDGOOSE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(child(dir, os.Args[1:]))
	}
	// What a test starts gets the defaults, even below nohup and in the background of a script: only ignored signals are inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if signal.Ignored(os.Interrupt) {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	code := m.Run()
	for _, b := range []*apitest.Binary{&built, &shifted} {
		if err := b.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// built is the real binary, and shifted one whose clock SHIFT_CLOCK moves.
var (
	built   apitest.Binary
	shifted = apitest.Binary{Tags: "shiftclock"}
)

// binaryEnv names a ddgoose that another test program has built.
const binaryEnv = "DDGOOSE_TEST_BINARY"

func binary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(binaryEnv); path != "" {
		return path
	}
	return built.Path(t)
}

// shortDir gives a folder whose path fits a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ddr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// cleanEnviron is the environment without settings of ours.
func cleanEnviron(add ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DDGOOSE_") {
			env = append(env, kv)
		}
	}
	return append(env, add...)
}

// self is this test program, which is a child when childEnv is set.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
