package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/cmd/ddgoose/flock"
	runner "duckduckgoose/cmd/ddgoose/run"
	"duckduckgoose/cmd/ddgoose/soak"
	"duckduckgoose/cmd/ddgoose/top"
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
	agents   int
	lasts    time.Duration
	seed     uint64
	scenario string
	print    bool
	out      string
	json     bool
}

func newSoakCommand(env *environment) *cobra.Command {
	var o soakOptions
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Torment a local flock, and check every promise",
		Long: `Runs a flock of real processes on this machine and torments it: agents are killed, stopped,
made to leave and to lose their disks, the network is cut and made bad, and the processes that
write for the goose are stopped between check and act. All that agents say and all deadlines
that are handed out are held against the promises:

  P1 one goose a term   P2 one goose at a time   P3 tokens only grow   P6 nothing shown is forgotten
  P4 a goose in time whenever a voter reaches a majority   P5 the flock heals

The report is a page of its own (report.html) and JSON (report.json), with the agents' logs
beside them. The same seed plans the same faults; whom they strike depends on who is the goose
then. When this machine itself stands still, that is noted, and no goose is owed for that time.

Exit codes: 0 every promise kept, 1 it could not run, 2 wrong usage, 3 safety broken (P1, P2, P3, P6),
4 liveness missed (P4, P5), 5 an agent crashed, 6 a process grew. Of several the gravest: 3, 5, 4, 6.`,
		Example: `  ddgoose soak --agents 7 --for 10m --seed 1
  ddgoose soak --print-scenario > mine.yaml && ddgoose soak --scenario mine.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	flags := cmd.Flags()
	flags.IntVarP(&o.agents, "agents", "n", 7, fmt.Sprintf("how many agents, 3 to %d", flock.MaxAgents))
	durationFlag(flags, &o.lasts, "for", "10m", "how long faults strike; healing comes on top")
	numberFlag(flags, &o.seed, "seed", "", 1<<63, "of the plan of faults (default: drawn, and printed)")
	stringFlag(flags, &o.scenario, "scenario", "", "FILE", "which faults, how often and for how long (default: built in)")
	boolFlag(flags, &o.print, "print-scenario", "print the scenario, and do nothing")
	stringFlag(flags, &o.out, "out", "", "DIR", "where the report goes (default: ddgoose-soak-SEED)")
	boolFlag(flags, &o.json, "json", "print the whole report as JSON, for programs")
	cmd.AddCommand(newSoakWriterCommand(env))
	return cmd
}

func (o *soakOptions) run(ctx context.Context, env *environment) error {
	text := soak.DefaultScenario
	if o.scenario != "" {
		var err error
		if text, err = os.ReadFile(o.scenario); err != nil {
			return usage("scenario: %w", err)
		}
	}
	scenario, err := soak.ParseScenario(text)
	if err != nil {
		return usage("%w", err)
	}
	if o.print {
		_, err := env.stdout.Write(text)
		return err
	}
	if o.agents < 3 || o.agents > flock.MaxAgents {
		return usage("agents %d: want 3 to %d: fewer have no failover", o.agents, flock.MaxAgents)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	if o.out == "" {
		o.out = fmt.Sprintf("ddgoose-soak-%d", o.seed)
	}
	ctx, stop := signal.NotifyContext(ctx, runner.StopSignals()...)
	defer stop()
	context.AfterFunc(ctx, stop) // the second one ends it at once
	report, err := o.soak(ctx, env, scenario)
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

// soak runs it, and writes the report.
func (o *soakOptions) soak(ctx context.Context, env *environment, scenario *soak.Scenario) (*soak.Report, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program for the agents: %w", err)
	}
	dir, err := os.MkdirTemp("", "ddgoose-soak-") // a path short enough for sockets
	if err != nil {
		return nil, fmt.Errorf("make a folder for the flock: %w", err)
	}
	defer os.RemoveAll(dir)
	opts := soak.Options{
		Binary: binary, Agents: o.agents, For: o.lasts, Seed: o.seed, Scenario: scenario, Dir: dir, Version: env.version,
		Writer: func(w soak.WriterOptions) *exec.Cmd {
			return exec.Command(binary, "soak", "writer", "--name", w.Name, "--socket", w.Socket, "--fence", w.Fence, "--flock", w.Flock, "--every", w.Every.String())
		},
		Progress: soakProgress(env, o.seed),
	}
	report, err := soak.Run(ctx, opts)
	fmt.Fprint(env.stderr, clearLine(top.IsTerminal(env.stderr)))
	if err != nil {
		_ = soak.SaveLogs(dir, filepath.Join(o.out, "logs")) // the error says more
		return nil, fmt.Errorf("%w (logs: %s)", err, filepath.Join(o.out, "logs"))
	}
	if err := soak.SaveLogs(dir, filepath.Join(o.out, "logs")); err != nil {
		return nil, err
	}
	return report, writeReport(report, o.out)
}

func writeReport(report *soak.Report, out string) error {
	text, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, "report.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	page, err := os.Create(filepath.Join(out, "report.html"))
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := report.HTML(page); err != nil {
		_ = page.Close() // the first error counts
		return fmt.Errorf("write the report: %w", err)
	}
	return page.Close()
}

// soakProgress tells how it goes: a bar on a terminal, a line every half minute elsewhere.
func soakProgress(env *environment, seed uint64) func(soak.Progress) {
	terminal := top.IsTerminal(env.stderr)
	var last time.Time
	return func(p soak.Progress) {
		state := fmt.Sprintf("seed %d  %s  %d faults  %d periods", seed, gooseText(p), p.Struck, p.Periods)
		if p.Broken > 0 {
			state += fmt.Sprintf("  %d BROKEN", p.Broken)
		}
		if p.Crashes > 0 {
			state += fmt.Sprintf("  %d CRASHES", p.Crashes)
		}
		for _, text := range p.News {
			fmt.Fprintf(env.stderr, "%s%s\n", clearLine(terminal), text)
		}
		left := (p.For - p.Done).Round(time.Second)
		switch {
		case terminal:
			const width = 24
			done := int(width * p.Done / p.For)
			fmt.Fprintf(env.stderr, "%s[%s%s] %s %v left  %s", clearLine(terminal), strings.Repeat("=", done), strings.Repeat(" ", width-done), p.Phase, left, state)
		case time.Since(last) >= 30*time.Second:
			last = time.Now()
			fmt.Fprintf(env.stderr, "%s, %v left: %s\n", p.Phase, left, state)
		}
	}
}

func gooseText(p soak.Progress) string {
	if p.Goose == "" {
		return "no goose"
	}
	return fmt.Sprintf("%s is the goose (token %d)", p.Goose, p.Token)
}

// clearLine takes the bar away.
func clearLine(terminal bool) string {
	if terminal {
		return "\r\x1b[K"
	}
	return ""
}

// newSoakWriterCommand is what soak starts for each agent.
func newSoakWriterCommand(env *environment) *cobra.Command {
	var o soak.WriterOptions
	cmd := &cobra.Command{
		Use:    "writer",
		Hidden: true,
		Short:  "Write for the goose to the fenced file",
		Long: `Writes to the fenced file whenever the agent is the goose, and tells on standard output, a JSON
document a line, what it was handed. It ends with its standard input.

Exit codes: 0 its input ended, 1 it could not write, 2 wrong usage.`,
		Example: "  ddgoose soak writer --name a --socket a.sock --fence fenced",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Socket == "" || o.Fence == "" {
				return usage("soak writer needs --socket and --fence")
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				defer cancel()
				_, _ = io.Copy(io.Discard, env.stdin) // any end is the sign to end
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
