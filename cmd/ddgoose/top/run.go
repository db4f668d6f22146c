// Package top is the live screen of a flock, for a terminal.
//
//	Source ── Picture ──> model ── view ──> lines ──> terminal
//	              keys ────^
//
// The model and the view are pure: what is shown follows from the pictures
// taken, the keys pressed and the window's size alone. [Run] is the edge: it
// takes pictures, reads keys, asks the agent that is looked into, and draws.
package top

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/gdamore/tcell/v3"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// Source is where pictures come from.
type Source interface {
	// Take gives the flock as it is now, and a channel that is closed when it
	// changes.
	Take() (p Picture, changed <-chan struct{})
	// Client talks to an agent; nil when its socket is not at hand.
	Client(name string) *client.Client
}

// Options say what the screen shows, and how.
type Options struct {
	Source Source
	Colour bool
	Ends   string                    // what quitting does, in a word or two; "" is "quit"
	Hints  func(goose string) []Hint // commands to try; nil: none
	// Over tells that there is nothing more to see, and why; nil: never.
	Over    func(p *Picture) error
	Actions []Action // what keys do to the flock; nil: nothing
	// Status and Why write what one agent has answered, for a person.
	Status func(s api.Status) string
	Why    func(w *api.Why) string

	tty tcell.Tty // a test's; nil: the process's own
}

const (
	// drawEvery is how often the screen is drawn when nothing urgent happens.
	drawEvery = 250 * time.Millisecond
	// settle is how long changes are gathered: what comes together is shown
	// together.
	settle = 20 * time.Millisecond
	// askEvery is how often the agent that is looked into is asked, and askWait how
	// long it may take to explain itself.
	askEvery = time.Second
	askWait  = 3 * time.Second
)

// Run shows the screen until somebody quits, ctx ends, or it is over. The terminal
// is given back however it ends.
func Run(ctx context.Context, o Options) error {
	t, err := openTerminal(o.tty, o.Colour)
	if err != nil {
		return err
	}
	defer t.Fini()
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()

	m := &model{glyphs: t.glyphs(), ends: cmp.Or(o.Ends, "quit"), hints: o.Hints, actions: o.Actions}
	draw := func() { t.draw(m.view) }
	var changed <-chan struct{}
	var settled <-chan time.Time
	look := func() (urgent bool, err error) {
		var p Picture
		p, changed = o.Source.Take()
		if o.Over != nil {
			err = o.Over(&p)
		}
		return m.see(p), err
	}
	answers := make(chan answer, 1)
	asked, busy := time.Time{}, false
	question := func() {
		a := m.agent(m.looking)
		if busy || m.frozen != nil || a == nil || !a.Local || a.State != StateUp {
			return
		}
		asked, busy = time.Now(), true
		name, c := m.looking, o.Source.Client(m.looking)
		asking.Go(func() {
			defer Rescue()
			answers <- o.question(ctx, name, c)
		})
	}
	type acted struct {
		what *pending
		err  error
	}
	acts := make(chan acted)
	if _, err := look(); err != nil {
		return err
	}
	draw()
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			changed, settled = nil, time.After(settle)
		case <-settled:
			settled = nil
			urgent, err := look()
			if err != nil {
				return err
			}
			if urgent {
				draw()
			}
		case <-tick.C:
			if _, err := look(); err != nil {
				return err
			}
			if m.looking != "" && time.Since(asked) >= askEvery {
				question()
			}
			draw()
		case a := <-answers:
			busy = false
			m.learn(a)
			if a.name != m.looking && m.looking != "" {
				question() // another is looked into by now
			}
			draw()
		case a := <-acts:
			m.done(a.what, a.err, time.Now())
			draw()
		case ev, open := <-t.EventQ():
			if !open {
				return nil
			}
			switch ev := ev.(type) {
			case *tcell.EventKey:
				switch m.key(keyName(ev)) {
				case quit:
					return nil
				case suspend:
					if err := t.suspend(); err != nil {
						return err
					}
				case redraw:
					t.Sync()
				case ask:
					question()
				case perform:
					what := m.pending
					m.pending = nil
					asking.Go(func() {
						defer Rescue()
						select {
						case acts <- acted{what, what.do(ctx)}:
						case <-ctx.Done():
						}
					})
				}
				draw()
			case *tcell.EventResize:
				draw()
			}
		}
	}
}

// question asks an agent about itself.
func (o *Options) question(ctx context.Context, name string, c *client.Client) answer {
	a := answer{name: name}
	if c == nil {
		a.err = client.ErrNotRunning
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	if a.status, a.err = c.Status(ctx); a.err != nil {
		return a
	}
	a.at, a.told = time.Now(), o.Status(a.status)
	if w, err := c.Why(ctx); err == nil {
		a.whyIs = o.Why(&w)
	}
	return a
}

// suspend gives the terminal back until the shell lets us go on.
func (t *terminal) suspend() error {
	if err := t.Suspend(); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	return t.Resume()
}
