package flock

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/top"
)

// Actions returns the actions of the live screen's keys on the flock in a folder.
func Actions(dir string) []top.Action {
	d := Connect(dir)
	runs := func(a top.Agent) bool { return a.State != top.StateKilled && a.State != top.StateEnded }
	return []top.Action{
		{
			Key: "K", Word: "kill",
			Says: func(a top.Agent) string {
				if runs(a) {
					return "kill " + a.Name
				}
				return "start " + a.Name
			},
			Do: func(ctx context.Context, a top.Agent) error {
				if runs(a) {
					return d.Kill(ctx, a.Name)
				}
				return d.Start(ctx, a.Name)
			},
		},
		{
			Key: "D", Word: "step down",
			Says: func(a top.Agent) string { return fmt.Sprintf("have %s step down", a.Name) },
			Do: func(ctx context.Context, a top.Agent) error {
				_, err := client.New(filepath.Join(dir, a.Name+".sock")).StepDown(ctx, "")
				return err
			},
		},
		{
			Key: "C", Word: "cut off",
			Says: func(a top.Agent) string { return fmt.Sprintf("cut %s off", a.Name) },
			Do:   func(ctx context.Context, a top.Agent) error { return d.cutOff(ctx, a.Name) },
		},
		{
			Key: "H", Word: "heal",
			Says: func(top.Agent) string { return "heal the network" },
			Do:   func(ctx context.Context, _ top.Agent) error { return d.Heal(ctx) },
		},
	}
}

// cutOff returns the shape that separates one agent from all others.
func (d *Driver) cutOff(ctx context.Context, name string) error {
	i, err := d.Info(ctx)
	if err != nil {
		return err
	}
	var others []string
	for _, a := range i.Agents {
		if a.Name != name {
			others = append(others, a.Name)
		}
	}
	return d.Partition(ctx, name+"/"+strings.Join(others, ","))
}
