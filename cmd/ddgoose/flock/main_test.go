package flock

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// TestMain makes this binary an agent, or a driver, when it is started as one:
// the driver's tests need processes, and not what agents do.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "agent":
			os.Exit(fakeAgent(os.Args[2:]))
		case "drive":
			os.Exit(drive(os.Args[2]))
		}
	}
	code := apitest.Main(m)
	_ = realBinary.Remove()
	os.Exit(code)
}

// fakeAgent answers at its socket until it is stopped. The first one is the goose.
func fakeAgent(args []string) int {
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	name := flags.String("name", "", "")
	socket := flags.String("socket", "", "")
	rules := flags.String("netem", "", "")
	fail := flags.Bool("fail", false, "")
	elections := flags.String("election", "", "")
	for _, ignored := range []string{"bind", "data-dir", "join", "flock", "log-level", "profile", "expect", "http"} {
		flags.String(ignored, "", "")
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *fail {
		fmt.Println("ddgoose: no luck today")
		return 3
	}
	a := apitest.New()
	a.Change(func(s *api.Status) {
		s.Name, s.Netem, s.Warnings = *name, *rules, nil
		if *name != "a" {
			s.Role = api.RoleDuck
		}
	})
	if *elections != "" {
		for _, e := range strings.Split(*elections, ",") {
			a.Found(e)
		}
	}
	if *rules != "" {
		if err := a.Faults().Set(*rules, 0); err != nil {
			return 2
		}
	}
	ln, err := api.ListenSocket(*socket, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	server := api.NewServer(a, api.Local, nil)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if server.Serve(ln) != nil {
		return 1
	}
	return 0
}

// drive runs a flock of fake agents for ever.
func drive(dir string) int {
	err := Run(context.Background(), RunOptions{Options: fakes(dir), Out: os.Stdout, Command: "ddgoose"})
	fmt.Println(err)
	return 1
}

func fakes(dir string) Options { return Options{Binary: os.Args[0], Dir: dir, Agents: 3} }

// shortDir is a folder whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fl")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// running is a driver in this process, and what it shows.
type running struct {
	*Driver
	dir  string
	out  *transcript
	stop func() error
}

func startDriver(t *testing.T, opts RunOptions) *running {
	t.Helper()
	r := &running{Driver: Connect(opts.Dir), dir: opts.Dir, out: &transcript{}}
	opts.Out, opts.Command = r.out, "ddgoose"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, opts) }()
	r.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		_ = r.stop() // a test that cares has looked
		if t.Failed() {
			t.Log(r.out.String())
		}
	})
	require.Eventually(t, func() bool {
		i, err := r.Info(t.Context())
		for _, a := range i.Agents {
			if a.PID == 0 {
				return false
			}
		}
		return err == nil
	}, soon, 10*time.Millisecond)
	if opts.Lifetime != (Lifetime{}) { // on a busy machine that may be over before an agent answers
		return r
	}
	for name := range r.pids(t) { // the driver itself waits for no more than startupWait
		c := client.New(filepath.Join(r.dir, name+".sock"))
		c.Wait = soon
		_, err := c.Status(t.Context())
		require.NoError(t, err, name)
	}
	return r
}

// pids returns the agents' process ids by name; 0: it does not run.
func (r *running) pids(t *testing.T) map[string]int {
	t.Helper()
	i, err := r.Info(t.Context())
	require.NoError(t, err)
	pids := map[string]int{}
	for _, a := range i.Agents {
		pids[a.Name] = a.PID
	}
	return pids
}

// said waits until the driver has shown a text.
func (r *running) said(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return r.out.contains(text) }, soon, 10*time.Millisecond, text)
}
