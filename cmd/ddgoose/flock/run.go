package flock

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/top"
)

// RunOptions say how the driver shows the flock.
type RunOptions struct {
	Options
	// Empty empties Dir at the start; otherwise agents come back with the
	// disks they find there.
	Empty    bool
	Lifetime Lifetime
	Out      io.Writer // a live screen when it is a terminal, else a line per change
	Colour   bool
	// Status and Why write what an agent that is looked into answers.
	Status func(s api.Status) string
	Why    func(w *api.Why) string
	// Command is how ddgoose is called here, and DirFlag what the other
	// commands need to find this flock (" --dir ./d", or "" for the default folder):
	// for the commands that are named to try.
	Command, DirFlag string
}

// lookEvery is how often the flock is looked at when nothing is heard of it.
const lookEvery = 250 * time.Millisecond

// Run runs a flock and shows it until ctx ends or [Driver.Stop]; then it stops all agents. It
// gives an error when none of them could start.
func Run(ctx context.Context, opts RunOptions) error {
	if err := opts.Check(); err != nil {
		return err
	}
	lock, err := claim(opts.Dir, opts.Empty)
	if err != nil {
		return err
	}
	defer lock.Close()
	f, err := Prepare(opts.Options)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s, err := serve(f, stop)
	if err != nil {
		return err
	}
	defer s.close()
	if err := f.StartAll(); err != nil {
		return err
	}
	m := NewMonitor(ctx, f, nil)
	defer m.Close()
	if opts.Lifetime.Max > 0 {
		for _, name := range f.names {
			m.Go(func(ctx context.Context) { f.lives(ctx, name, opts.Lifetime) })
		}
	}
	g := newGallery(f, m)
	if top.IsTerminal(opts.Out) {
		g.follow()
		err = opts.showScreen(ctx, g)
	} else {
		err = opts.showLines(ctx, g)
	}
	fmt.Fprintf(opts.Out, "Stopping the agents; logs and data stay in %s\n", opts.Dir)
	return err
}

// hopeless tells that every agent has ended by itself, and how the first one did.
func hopeless(p *top.Picture) error {
	for i := range p.Agents {
		if p.Agents[i].State != top.StateEnded {
			return nil
		}
	}
	return fmt.Errorf("no agent runs any more: %s", p.Agents[0].Note)
}

// showScreen shows the live screen until somebody quits it, or ctx ends.
func (o *RunOptions) showScreen(ctx context.Context, g *gallery) error {
	return top.Run(ctx, top.Options{
		Source: g, Colour: o.Colour, Ends: "stop all", Hints: o.hints, Over: hopeless, Status: o.Status, Why: o.Why, Actions: Actions(o.Dir),
	})
}

// showLines writes a line for each change until ctx ends, and, once there is a
// goose to try something with, what to try.
func (o *RunOptions) showLines(ctx context.Context, g *gallery) error {
	n := &top.News{}
	hinted := false
	for {
		p, changed := g.Take()
		for _, line := range n.Tell(p) {
			fmt.Fprintln(o.Out, p.At.Format("15:04:05.000"), line)
		}
		if goose := p.Goose(); goose.Token != 0 && !hinted {
			hinted = true
			fmt.Fprintln(o.Out, "Try, in another terminal:")
			for _, h := range o.hints(goose.Name) {
				fmt.Fprintf(o.Out, "  %-18s %s\n", h.What, h.Command)
			}
		}
		if err := hopeless(&p); err != nil {
			return err
		}
		if !wait(ctx, lookEvery, changed) {
			return nil
		}
	}
}

// hints are commands to try first.
func (o *RunOptions) hints(goose string) []top.Hint {
	names := make([]string, o.Agents)
	for i := range names {
		names[i] = string(rune('a' + i))
	}
	victim := cmp.Or(goose, names[0])
	hint := func(what, format string, args ...any) top.Hint {
		return top.Hint{What: what, Command: o.Command + " " + fmt.Sprintf(format, args...)}
	}
	second := hint("start it again", "flock start %s%s", victim, o.DirFlag)
	if n := o.Agents / 2; n > 0 {
		second = hint("cut the network", "flock partition %s/%s%s", strings.Join(names[:n], ","), strings.Join(names[n:], ","), o.DirFlag)
	}
	return []top.Hint{
		hint("kill the goose", "flock kill %s%s", victim, o.DirFlag), second,
		hint("ask one", "status --socket %s", o.socketFlag(names[len(names)-1])),
	}
}

// socketFlag is what --socket takes for an agent: its name where that finds it.
func (o *RunOptions) socketFlag(name string) string {
	_, err := os.Lstat(filepath.Join(client.RuntimeDir(), name+".sock"))
	if o.DirFlag == "" && err != nil {
		return name
	}
	path := filepath.Join(o.Dir, name+".sock")
	if !strings.Contains(path, "/") {
		path = "./" + path
	}
	return path
}
