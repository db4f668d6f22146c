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

// RunOptions are the options of [Run].
type RunOptions struct {
	Options
	// Empty empties Dir at the start; otherwise agents come back with the
	// disks they find there.
	Empty    bool
	Lifetime Lifetime
	Out      io.Writer // a live screen when it is a terminal, else a line per change
	Colour   bool
	// Status and Why write the answers of the agent that is looked into.
	Status func(s api.Status) string
	Why    func(w *api.Why) string
	// Command is the name of the program, and DirFlag the flag by which other commands
	// find this flock (" --dir ./d", or "" for the default folder). Hints have both.
	Command, DirFlag string
}

// lookEvery is how often Run checks the flock if nothing is reported.
const lookEvery = 250 * time.Millisecond

// Run runs a flock and shows it until ctx ends or [Driver.Stop]; then it stops all
// agents. It fails if none of them could start.
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
	g := newPictures(f, m)
	if top.IsTerminal(opts.Out) {
		g.follow()
		err = opts.showScreen(ctx, g)
	} else {
		err = opts.showLines(ctx, g)
	}
	fmt.Fprintf(opts.Out, "Stopping the agents; logs and data stay in %s\n", opts.Dir)
	return err
}

// hopeless returns an error if every agent has ended by itself. It says how the first one ended.
func hopeless(p *top.Picture) error {
	for i := range p.Agents {
		if p.Agents[i].State != top.StateEnded {
			return nil
		}
	}
	return fmt.Errorf("all agents have ended: %s", p.Agents[0].Note)
}

// showScreen shows the live screen until somebody quits it, or ctx ends.
func (o *RunOptions) showScreen(ctx context.Context, g *pictures) error {
	return top.Run(ctx, top.Options{
		Source: g, Colour: o.Colour, Ends: "stop all", Hints: o.hints, Over: hopeless, Status: o.Status, Why: o.Why, Actions: Actions(o.Dir),
	})
}

// showLines writes a line for each change until ctx ends, and hints once there is a
// goose.
func (o *RunOptions) showLines(ctx context.Context, g *pictures) error {
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

// socketFlag returns what --socket takes for an agent: its name if that is enough.
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
