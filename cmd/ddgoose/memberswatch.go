package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/cmd/ddgoose/top"
)

// membersAgain is how often a terminal gets new round trip times.
const membersAgain = time.Second

// membersView shows the members again and again.
type membersView struct {
	o        *membersOptions
	env      *environment
	terminal *os.File // where they are redrawn in place; nil: they are printed

	mu struct { // held while members are asked for and shown, so that the newest stay
		sync.Mutex
		shown *[]api.Member // without round trip times; nil: nothing yet
	}
}

// watchMembers shows the members at every change of them, until the agent stops.
func (o *membersOptions) watchMembers(ctx context.Context, env *environment) error {
	v := &membersView{o: o, env: env}
	if f, ok := env.out().(*os.File); ok && !o.json && top.IsTerminal(f) {
		v.terminal = f
	}
	var again sync.WaitGroup
	defer again.Wait()
	first := true
	return o.follow(ctx, func(ctx context.Context, c *client.Client, _ api.Status) error {
		if first && v.terminal != nil {
			again.Go(func() { v.refresh(ctx, c) })
		}
		first = false
		return v.look(ctx, c)
	})
}

// refresh looks again while nothing changes.
func (v *membersView) refresh(ctx context.Context, c *client.Client) {
	flock.Every(ctx, membersAgain, func() {
		_ = v.look(ctx, c) // the watch notices if the agent is gone
	})
}

// look asks for the members, and shows them if they have changed.
func (v *membersView) look(ctx context.Context, c *client.Client) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	ms, err := c.Members(ctx)
	if err != nil {
		return err
	}
	ms = v.o.filter.of(ms)
	if v.terminal != nil {
		return v.draw(ms)
	}
	now := lasting(ms)
	if v.mu.shown != nil && reflect.DeepEqual(*v.mu.shown, now) {
		return nil
	}
	if !v.o.json {
		if v.mu.shown != nil {
			fmt.Fprintln(v.env.stdout)
		}
		fmt.Fprintln(v.env.stdout, time.Now().Format("15:04:05.000"))
	}
	v.mu.shown = &now
	if v.o.json {
		return printJSON(v.env, api.Members{Members: ms})
	}
	return v.o.print(v.env.stdout, api.Members{Members: ms})
}

// lasting returns members without the round trip times, which change all the time.
func lasting(ms []api.Member) []api.Member {
	all := make([]api.Member, len(ms))
	for i, m := range ms {
		m.RTTMS = nil
		all[i] = m
	}
	return all
}

// draw redraws the members in place, as many as the terminal has room for.
func (v *membersView) draw(ms []api.Member) error {
	var table bytes.Buffer
	fmt.Fprintf(&table, "%d members at %s (Ctrl-C ends this)\n", len(ms), time.Now().Format("15:04:05"))
	if err := v.o.print(&table, api.Members{Members: ms}); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")
	_, height, err := term.GetSize(int(v.terminal.Fd()))
	if room := height - 1; err == nil && room > 1 && len(lines) > room { // the cursor has a line of its own
		lines = append(lines[:room-1], fmt.Sprintf("... %d more", len(lines)-room+1))
	}
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	text := home
	for _, line := range lines {
		text += line + clearLine + "\n"
	}
	_, err = fmt.Fprint(v.env.stdout, text+clearBelow)
	return err
}
