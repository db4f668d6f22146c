package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/flock"
	runner "duckduckgoose/cmd/ddgoose/run"
	"duckduckgoose/cmd/ddgoose/top"
)

func newTopCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "top",
		Short: "Show the flock live on a terminal",
		Long: `Shows the flock on the whole terminal, live: who is the goose, for how long, and who was before;
each agent's role, lease, promise, round trip, loss and age; what has changed lately. Keys select,
sort and filter, and look into one agent: its status, why it has its role, its warnings and the
counters that move. On a local flock (ddgoose flock) they also kill an agent, have it step down,
cut it off and heal the network, once you confirm. ? lists the keys, q quits.

It asks the agent at the socket, and the agents of the same flock with sockets in the same folder. For all
other agents it shows what these know. Round trips and losses are those that the goose measures, if its
socket is among them. top waits for an agent that stops, and shows after a second that an agent hangs.

It needs a terminal: elsewhere ddgoose watch prints a line at every change, and ddgoose members
--watch the members. NO_COLOR turns colours off.

Exit codes: 0 quit (q, Ctrl-C, SIGTERM), 1 the terminal failed, 2 wrong usage, no terminal, no
agent, or no answer within --timeout at the start.`,
		Example: `  ddgoose top
  ddgoose top --socket a                       # the agent a of those that run here, and its flock
  ddgoose flock                                # in one terminal, and then in another: ddgoose top`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.top(cmd.Context(), env) },
	}, 5*time.Second)
}

func (o *clientOptions) top(ctx context.Context, env *environment) error {
	if !top.IsTerminal(env.out()) {
		return usage("%s; use `ddgoose watch` in scripts", noTerminal(env))
	}
	path, err := o.findAny()
	if err != nil {
		return cannotTell(err)
	}
	first, cancel := context.WithTimeoutCause(ctx, o.timeout, &lateError{o.timeout})
	s, err := client.New(path).Status(first)
	cancel()
	if err != nil {
		return answered(err)
	}
	ctx, stop := signal.NotifyContext(ctx, runner.StopSignals()...)
	defer stop()
	source := watchNeighbours(ctx, path, s)
	defer source.close()
	screen := top.Options{Source: source, Colour: env.colour(), Status: statusText, Why: whyText}
	if dir := filepath.Dir(path); exists(filepath.Join(dir, client.DriverSocket)) {
		screen.Actions = flock.Actions(dir)
	}
	return top.Run(ctx, screen)
}

// noTerminal returns why there is no terminal to draw on.
func noTerminal(env *environment) string {
	if f, ok := env.out().(*os.File); ok && os.Getenv("TERM") == "dumb" {
		return fmt.Sprintf("the terminal at %s has TERM=dumb and cannot be redrawn", f.Name())
	}
	return "top needs a terminal in the foreground"
}

// findAny finds the agent's socket. Of several agents of one flock, of which the user has named
// none, it takes the first: the screen shows all.
func (o *clientOptions) findAny() (string, error) {
	path, err := o.find()
	var several *client.SeveralError
	if !errors.As(err, &several) {
		return path, err
	}
	first, ok := client.FindSocket(several.Names[0])
	if ok != nil {
		return "", err
	}
	for _, name := range several.Names[1:] {
		if other, ok := client.FindSocket(name); ok != nil || !sameFlock(first, other) {
			return "", err
		}
	}
	return first, nil
}

// sameFlock reports whether the agents at two sockets answer and belong to one flock.
func sameFlock(a, b string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, errS := client.New(a).Status(ctx)
	t, errT := client.New(b).Status(ctx)
	return errS == nil && errT == nil && ofOneFlock(&s, &t)
}

// colour reports whether colours are wanted. An empty NO_COLOR does not count.
func (env *environment) colour() bool {
	plain, _ := env.lookup("NO_COLOR")
	return plain == ""
}

// statusText and whyText return what status and why print.
func statusText(s api.Status) string {
	return text(func(out io.Writer) error { return printStatus(out, s) })
}

func whyText(w *api.Why) string {
	return text(func(out io.Writer) error { return printWhy(out, *w) })
}

func text(print func(io.Writer) error) string {
	var b bytes.Buffer
	_ = print(&b) // a buffer never fails
	return b.String()
}
