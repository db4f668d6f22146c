package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/cmd/ddgoose/soak"
	"duckduckgoose/netem/check"
)

// The exit codes of a soak that found something.
const (
	exitUnsafe  = 3
	exitUnalive = 4
	exitCrashed = 5
	exitLeaking = 6
)

var soakExits = map[string]int{
	soak.Good: exitDone, soak.Unsafe: exitUnsafe, soak.Unalive: exitUnalive, soak.Crashed: exitCrashed, soak.Leaking: exitLeaking,
}

type soakOptions struct {
	soak.Options
	scenario    string // a file
	lease       string
	out         string
	print, json bool
}

func newSoakCommand(env *environment) *cobra.Command {
	var o soakOptions
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Stress a local flock with faults and verify every promise",
		Long: `Runs a flock of real processes on this machine under faults: agents are killed, stopped, made
to leave and to lose their disks, the network is cut and degraded, and the processes that
write for the goose are stopped between check and act. Everything that agents say, and every
deadline that they hand out, is checked against the promises:

  P1 one goose a term   P2 one goose at a time   P3 tokens only grow   P6 nothing shown is forgotten
  P4 a goose in time whenever a voter reaches a majority   P5 the flock heals   P9 no committed mark is lost

The report is one page (report.html) and JSON (report.json), with the agents' logs
beside them. The same seed plans the same faults; which agents they hit depends on who is the
goose then. Time in which this machine itself stands still is noted and does not count as time
without a goose.

Exit codes: 0 every promise kept, 1 it could not run, 2 wrong usage, 3 safety broken (P1, P2, P3, P6, P9),
4 liveness missed (P4, P5), 5 an agent crashed, 6 a process grew. If several: the gravest, in the order 3, 5, 4, 6.`,
		Example: `  ddgoose soak --agents 7 --for 10m --seed 1
  ddgoose soak --print-scenario > mine.yaml && ddgoose soak --scenario mine.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	flags := cmd.Flags()
	agentsFlag(flags, &o.Agents, "7", 3, flock.MaxAgents, "") // fewer have no failover
	durationFlag(flags, &o.For, "for", "10m", "how long faults are injected; the time to heal comes on top")
	numberFlag(flags, &o.Seed, "seed", "", 1<<63, "seed of the plan of faults (default: random, and printed)")
	wardenFlag(flags, &o.Warden)
	choiceFlag(flags, &o.lease, "lease", "profile", "the scenario's profile's lease; auto: each goose chooses it", "profile", "auto")
	stringFlag(flags, &o.scenario, "scenario", "", "FILE", "which faults, how often and for how long (default: built in)")
	boolFlag(flags, &o.print, "print-scenario", "print the scenario and exit")
	stringFlag(flags, &o.out, "out", "", "DIR", "where the report goes (default: ddgoose-soak-SEED)")
	jsonFlag(flags, &o.json)
	cmd.AddCommand(newSoakWriterCommand(env))
	return cmd
}

func (o *soakOptions) run(ctx context.Context, env *environment) error {
	var err error
	text := soak.DefaultScenario
	if o.scenario != "" {
		if text, err = os.ReadFile(o.scenario); err != nil {
			return usage("scenario: %w", err)
		}
	}
	if o.Scenario, err = soak.ParseScenario(text); err != nil {
		return usage("%w", err)
	}
	if o.print {
		_, err := env.stdout.Write(text)
		return err
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1_000_000) + 1
	}
	if o.out == "" {
		o.out = fmt.Sprintf("ddgoose-soak-%d", o.Seed)
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	report, err := o.soak(ctx, env)
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(env, report)
	} else {
		fmt.Fprint(env.stdout, report.Summary())
		fmt.Fprintf(env.stdout, "report     %s\n", filepath.Join(o.out, "report.html"))
	}
	if code := soakExits[report.Verdict]; err == nil && code != exitDone {
		return quietly(code)
	}
	return err
}

// soak runs the soak and writes its report.
func (o *soakOptions) soak(ctx context.Context, env *environment) (report *soak.Report, err error) {
	if o.Binary, o.Dir, err = flockPlace("ddgoose-soak-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(o.Dir)
	o.Version, o.AutoLease = env.version, o.lease == "auto"
	o.Writer = func(w soak.WriterOptions) *exec.Cmd {
		return exec.Command(o.Binary, "soak", "writer", "--name", w.Name, "--socket", w.Socket, "--fence", w.Fence, "--flock", w.Flock, "--every", w.Every.String())
	}
	bar := newProgress(env)
	o.Progress = func(p soak.Progress) { showSoak(bar, o.Seed, &p) }
	report, err = soak.Run(ctx, o.Options)
	bar.clear()
	logs := filepath.Join(o.out, "logs")
	saved := soak.SaveLogs(o.Dir, logs)
	switch {
	case err != nil: // tells more than saved
		return nil, fmt.Errorf("%w (logs: %s)", err, logs)
	case saved != nil:
		return nil, saved
	}
	return report, writeReport(report, o.out)
}

func writeReport(report *soak.Report, out string) error {
	var page bytes.Buffer
	text, err := json.MarshalIndent(report, "", " ")
	err = errors.Join(err, report.HTML(&page),
		os.WriteFile(filepath.Join(out, "report.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(out, "report.html"), page.Bytes(), 0o644))
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// showSoak shows the progress.
func showSoak(bar *progress, seed uint64, p *soak.Progress) {
	goose := "no goose"
	if p.Goose != "" {
		goose = fmt.Sprintf("%s is the goose (token %d)", p.Goose, p.Token)
	}
	state := fmt.Sprintf("seed %d  %s  %s  %s", seed, goose, check.Count(p.Struck, "fault"), check.Count(p.Periods, "goose period"))
	if p.Broken > 0 {
		state += fmt.Sprintf("  %d BROKEN", p.Broken)
	}
	if p.Crashes > 0 {
		state += fmt.Sprintf("  %d CRASHES", p.Crashes)
	}
	for _, text := range p.News {
		bar.clear()
		fmt.Fprintln(bar.out, text)
	}
	left := ""
	if p.Done < p.For { // else it heals, for as long as that takes
		left = timeLeft(p.For-p.Done, 0)
	}
	bar.show(float64(p.Done)/float64(p.For), p.Phase, left, state)
}

// newSoakWriterCommand makes the command that soak starts for each agent.
func newSoakWriterCommand(env *environment) *cobra.Command {
	var o soak.WriterOptions
	cmd := &cobra.Command{
		Use:    "writer",
		Hidden: true,
		Short:  "Write for the goose to the fenced file",
		Long: `Writes to the fenced file whenever the agent is the goose, and prints each deadline that it was handed,
one JSON document a line. It stops at the end of its standard input.

Exit codes: 0 its input ended, 1 it could not write, 2 wrong usage.`,
		Example: "  ddgoose soak writer --name a --socket a.sock --fence fenced",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Socket == "" || o.Fence == "" {
				return usage("soak writer needs --socket and --fence")
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				defer cancel()
				_, _ = io.Copy(io.Discard, env.stdin) // an error ends the input too
			}()
			return soak.Write(ctx, o, env.stdout)
		},
	}
	flags := cmd.Flags()
	stringFlag(flags, &o.Name, "name", "", "NAME", "the agent's")
	stringFlag(flags, &o.Socket, "socket", "", "PATH", "the agent's socket")
	stringFlag(flags, &o.Fence, "fence", "", "FILE", "the fenced file")
	stringFlag(flags, &o.Flock, "flock", "", "ID", "the flock's id")
	durationFlag(flags, &o.Every, "every", "20ms", "how often it writes")
	return cmd
}
