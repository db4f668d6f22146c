package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"duckduckgoose/agent"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/recovery"
	"duckduckgoose/agent/store"
)

type recoverOptions struct {
	keep    []string
	mark    *uint64 // nil: as it is
	name    string
	dataDir string
	yes     bool
	json    bool
}

// recovered is what --json prints.
type recovered struct {
	DataDir    string   `json:"data_dir"`
	Generation uint64   `json:"generation"`
	Voters     []string `json:"voters"` // as --keep names them
	Mark       uint64   `json:"mark"`
	Changed    bool     `json:"changed"` // false: this list and mark were in force already
}

func newRecoverCommand(env *environment) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover --keep NAME[:PRIORITY],...",
		Short: "Start again with the remaining voters when a majority is lost forever",
		Long: `Begins a new generation of the flock with only the voters named by --keep, when a majority
of the old voters is lost for good. Stop the surviving agents, run this with the SAME list on
each of them, and start them again.

The list decides everything: who votes, and with which priority. That is 100 unless it is given
behind the name, as in w:0 for a witness.

It is dangerous if the others are not really gone: they could still elect a goose of the old
generation among themselves, and for as long as they run there may be two geese. The new
generation's tokens are higher than all before, so receivers that compare tokens are safe.

The mark stays as it is unless --mark sets it, to the same number on each of them. A smaller mark
lets what it guards happen again, as a slot of run --slot: set it only if somebody who has the key
used it up, and no lower than the highest number that was really used.

Running it again with the same list and mark changes nothing, unless the mark is used up again.

Exit codes: 0 done, 1 refused or not confirmed, 2 wrong usage.`,
		Example: `  ddgoose recover --keep a,b --data-dir /var/lib/ddgoose/a
  ddgoose recover --keep a,w:0 --data-dir /var/lib/ddgoose/a
  ddgoose recover --keep a,b --mark 1200 --data-dir /var/lib/ddgoose/a`,
		RunE: func(*cobra.Command, []string) error { return o.run(env) },
	}
	cmd.Flags().Var(&listFlag{kind: "NAME[:PRIORITY],...", add: func(s string) error {
		o.keep = append(o.keep, splitList(s)...)
		return nil
	}}, "keep", "the remaining voters, by name or id, this agent among them; priority 100, else as given (0: a witness)")
	flagVar(cmd.Flags(), &o.mark, "mark", "", "N", "set the default election's mark (default: keep it)", func(s string) (*uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n > election.MaxMark {
			return nil, fmt.Errorf("want a number from 0 to %d", uint64(election.MaxMark))
		}
		return &n, nil
	})
	stringFlag(cmd.Flags(), &o.name, "name", "", "NAME", "the agent's name, for the default of --data-dir (default DDGOOSE_NAME, else the host name)")
	stringFlag(cmd.Flags(), &o.dataDir, "data-dir", "", "DIR", "the stopped agent's data directory (default DDGOOSE_DATA_DIR, else as ddgoose agent has it)")
	boolFlag(cmd.Flags(), &o.yes, "yes", "do not ask")
	jsonFlag(cmd.Flags(), &o.json)
	return cmd
}

func (o *recoverOptions) run(env *environment) (err error) {
	if len(o.keep) == 0 {
		return usage("recover: name the remaining voters, as --keep a,b")
	}
	for name, to := range map[string]*string{"DDGOOSE_NAME": &o.name, "DDGOOSE_DATA_DIR": &o.dataDir} {
		if *to == "" {
			*to, _ = env.lookup(name)
		}
	}
	dir := agent.Config{Name: o.name, DataDir: o.dataDir}.Default().DataDir
	plan, err := recovery.Open(dir, o.keep, o.mark)
	if spent := (*recovery.MarkSpent)(nil); errors.As(err, &spent) {
		return fmt.Errorf("%w: if your programs raised it so far, keep it with --mark %d; else somebody who has the key used it up: set it back with --mark N, to the highest number that was really used, and change the key",
			err, spent.Mark)
	}
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("an agent runs on data directory %s: stop it first, then recover", dir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	keep := strings.Join(plan.Keep, ", ")
	answer := recovered{DataDir: dir, Generation: plan.Generation, Voters: plan.Keep, Mark: plan.NextMark, Changed: !plan.Done}
	switch {
	case plan.Done && o.json:
		return printJSON(env, answer)
	case plan.Done:
		_, err := fmt.Fprintf(env.stdout, "nothing to do: %s has been recovered with these voters already: %s (generation %d)\n", dir, keep, plan.Generation)
		return err
	}
	if !o.yes {
		if err := o.confirm(env, plan, dir); err != nil {
			return err
		}
	}
	if err := plan.Commit(); err != nil {
		return err
	}
	if o.json {
		return printJSON(env, answer)
	}
	_, err = fmt.Fprintf(env.stdout, "recovered %s: generation %d with voters %s; do the same, with the same list, on each of them, then start them\n", dir, plan.Generation, keep)
	return err
}

// confirm explains the danger and reads a yes.
func (o *recoverOptions) confirm(env *environment, plan *recovery.Recovery, dir string) error {
	mark := ""
	if plan.NextMark != plan.Mark {
		mark = fmt.Sprintf("  mark now:      %d\n  mark after:    %d\n", plan.Mark, plan.NextMark)
	}
	fmt.Fprintf(env.stderr, `This begins generation %d of the flock on %s:
  voters now:    %s
  voters after:  %s
%sDANGER: if agents that are not kept still run, or come back while a majority of the voters
now is theirs, they can elect a goose of the old generation: two geese at one time, told apart
only by their tokens. Go on only if a majority of the old voters is lost for good.
Type yes to go on: `, plan.Generation, dir, strings.Join(plan.Voters, ", "), strings.Join(plan.Keep, ", "), mark)
	answer, err := bufio.NewReader(io.LimitReader(env.stdin, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the confirmation: %w", err)
	}
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(env.stderr)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("not confirmed: nothing was changed (type yes, or give --yes)")
	}
	return nil
}

// splitList splits a comma list and drops empty words.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
