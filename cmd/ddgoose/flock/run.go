package flock

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/client"
)

// RunOptions say how the driver shows the flock.
type RunOptions struct {
	Options
	// Empty empties Dir at the start; otherwise agents come back with the
	// disks they find there.
	Empty    bool
	Lifetime Lifetime
	Out      io.Writer // a live table when it is a terminal, else a line per change
	Colour   bool
	// Command is how ddgoose is called here, and DirFlag what the other
	// commands need to find this flock (" --dir ./d", or "" for the default folder):
	// for the commands that are named to try.
	Command, DirFlag string
}

// tableEvery is how often the table is redrawn when nothing happens.
const tableEvery = 250 * time.Millisecond

// settle is how long changes are gathered before they are drawn: what comes
// together is shown together.
const settle = 20 * time.Millisecond

// Run runs a flock and shows it until ctx ends; then it stops all agents. It
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
	s, err := serve(f)
	if err != nil {
		return err
	}
	defer s.close()
	if err := f.StartAll(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	if opts.Lifetime.Max > 0 {
		for _, name := range f.names {
			running.Go(func() { f.lives(ctx, name, opts.Lifetime) })
		}
	}
	m := NewMonitor(ctx, f, nil)
	defer m.Close()
	g := newGallery(f, m)
	if out, ok := opts.Out.(*os.File); ok && IsTerminal(out) {
		running.Go(func() { g.leases.follow(ctx, f, m) })
		err = opts.showTable(ctx, g, newScreen(out))
	} else {
		err = opts.showLines(ctx, g)
	}
	fmt.Fprintf(opts.Out, "Stopping the agents; logs and data stay in %s\n", opts.Dir)
	return err
}

// hopeless tells that every agent has ended by itself, and how the first one did.
func hopeless(p *picture) error {
	for i := range p.agents {
		if p.agents[i].state != stateEnded {
			return nil
		}
	}
	return fmt.Errorf("no agent runs any more: %s", p.agents[0].note)
}

// showTable redraws the table until ctx ends.
func (o *RunOptions) showTable(ctx context.Context, g *gallery, s *screen) error {
	t := &table{dir: o.Dir, hints: o.hints, colour: o.Colour}
	n := &news{}
	defer s.restore()
	for {
		p, changed := g.take()
		for _, line := range n.tell(p) {
			t.add(p.at, line)
		}
		s.draw(func(width, height int) []string { return t.draw(&p, width, height) })
		if err := hopeless(&p); err != nil {
			return err
		}
		if !wait(ctx, tableEvery, changed) || !wait(ctx, settle, nil) {
			return nil
		}
	}
}

// showLines writes a line for each change until ctx ends, and, once there is a
// goose to try something with, what to try.
func (o *RunOptions) showLines(ctx context.Context, g *gallery) error {
	n := &news{}
	hinted := false
	for {
		p, changed := g.take()
		for _, line := range n.tell(p) {
			fmt.Fprintln(o.Out, p.at.Format("15:04:05.000"), line)
		}
		if goose := p.goose(); goose != nil && !hinted {
			hinted = true
			fmt.Fprintln(o.Out, "Try, in another terminal:")
			for _, h := range o.hints(goose.name) {
				fmt.Fprintf(o.Out, "  %-18s %s\n", h.what, h.command)
			}
		}
		if err := hopeless(&p); err != nil {
			return err
		}
		if !wait(ctx, tableEvery, changed) {
			return nil
		}
	}
}

// hints are commands to try first.
func (o *RunOptions) hints(goose string) []hint {
	names := make([]string, o.Agents)
	for i := range names {
		names[i] = string(rune('a' + i))
	}
	victim := orElse(goose, names[0])
	hints := []hint{{"kill the goose", fmt.Sprintf("%s flock kill %s%s", o.Command, victim, o.DirFlag)}}
	if n := o.Agents / 2; n > 0 {
		shape := strings.Join(names[:n], ",") + "/" + strings.Join(names[n:], ",")
		hints = append(hints, hint{"cut the network", fmt.Sprintf("%s flock partition %s%s", o.Command, shape, o.DirFlag)})
	} else {
		hints = append(hints, hint{"start it again", fmt.Sprintf("%s flock start %s%s", o.Command, victim, o.DirFlag)})
	}
	return append(hints, hint{"ask one", fmt.Sprintf("%s status --socket %s", o.Command, o.socketFlag(names[len(names)-1]))})
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
