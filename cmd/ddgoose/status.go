package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

func newStatusCommand(env *environment) *cobra.Command {
	var o clientOptions
	return o.command(&cobra.Command{
		Use:   "status",
		Short: "Show who is the goose, and what this agent knows",
		Long: `Shows what one agent knows: who is the goose, under which term and token, how much
of its lease is left, who votes, and warnings with what to do about them. Voters count as
alive while they answer; observers until gossip misses them, which takes some seconds.

` + clientCodes,
		Example: "  ddgoose status\n  ddgoose status --socket a --json\n  ddgoose status --election nightly-backup",
		RunE:    func(_ *cobra.Command, _ []string) error { return show(env, &o, (*client.Client).Status, printStatus) },
	}, 5*time.Second, o.electionFlag, o.jsonFlag)
}

// chosen returns why the goose chose this lease; "": it did not choose.
func chosen(auto *api.AutoLease) string {
	if auto == nil || auto.Why == "" {
		return ""
	}
	return " (auto: " + api.Printable(auto.Why) + ")"
}

// printStatus writes a status for a person: the answer first, the warnings last,
// where the eye is.
func printStatus(out io.Writer, s api.Status) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(key, format string, args ...any) { fmt.Fprintf(w, "  %s\t%s\n", key, fmt.Sprintf(format, args...)) }
	fmt.Fprintln(w, headline(s))
	switch {
	case s.Role == api.RoleGoose:
		row("lease", "%s left of %s%s", millis(s.Lease.RemainingMS), millis(s.LeaseMS), chosen(s.AutoLease))
	case s.Goose != nil && s.Role != api.RoleDead:
		row("goose", "%s at %s, heard %s ago", api.Printable(s.Goose.Name), s.Goose.Addr, millis(s.Goose.HeardMS))
	case s.Role != api.RoleDead:
		row("goose", "none heard for a lease (%s)", millis(s.LeaseMS))
	}
	row("term", "%d", s.Term)
	switch {
	case s.Token == 0:
		row("token", "none")
	case s.Generation > 0:
		row("token", "%d (generation %d)", s.Token, s.Generation)
	default:
		row("token", "%d", s.Token)
	}
	row("voters", "%s", voters(s))
	if n := len(s.Config.Voters); n > 0 && s.Alive > n {
		row("agents", "%d alive (observers: by gossip)", s.Alive)
	} else {
		row("agents", "%d alive", s.Alive)
	}
	row("this one", "%s at %s, %s, up %s", api.Printable(s.Name), s.Addr, standing(s), millis(s.Uptime*1000))
	for _, h := range s.Holders {
		row("work", "%s", heldBy(h))
	}
	if len(s.Holders) == 0 && s.Work || s.Well != nil {
		row("work", "%s", work(s.Work, s.Well))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, warning := range s.Warnings {
		if _, err := fmt.Fprintln(out, "warning: "+api.Printable(warning)); err != nil {
			return err
		}
	}
	return nil
}

// heldBy returns what acts for the goose, and what ends it.
func heldBy(h api.WorkHolder) string {
	if h.Ends == "" {
		return api.Printable(h.Kind) + " (it does not say what ends it)"
	}
	return api.Printable(h.Kind + ", ended by " + h.Ends)
}

// headline returns the line that answers "who is the goose?".
func headline(s api.Status) string {
	name, where := api.Printable(s.Name), fmt.Sprintf("flock %q", s.Flock)
	if s.Election != "" {
		where = fmt.Sprintf("election %q in flock %q", s.Election, s.Flock)
	}
	switch {
	case s.Role == api.RoleDead:
		return fmt.Sprintf("%s of %s is dead by simulation (ddgoose simulate revive)", name, where)
	case s.Role == api.RoleGoose:
		return fmt.Sprintf("%s is the goose of %s", name, where)
	case s.Goose != nil:
		return fmt.Sprintf("%s is the goose of %s; %s is a %s", api.Printable(s.Goose.Name), where, name, s.Role)
	case s.FlockID == "":
		return fmt.Sprintf("NO GOOSE: %s waits for its flock, %q", name, s.Flock)
	}
	return fmt.Sprintf("NO GOOSE known in %s; %s is a %s", where, name, s.Role)
}

func voters(s api.Status) string {
	n := len(s.Config.Voters)
	if n == 0 {
		return "none yet"
	}
	names := make([]string, n)
	for i, v := range s.Config.Voters {
		if names[i] = api.Printable(v.Name); names[i] == "" {
			names[i] = v.ID
		}
		if v.Priority == 0 {
			names[i] += " (witness)"
		}
	}
	slices.Sort(names)
	return fmt.Sprintf("%s (%d of %d are a majority)", strings.Join(names, ", "), n/2+1, n)
}

// standing returns what the agent may do in an election.
func standing(s api.Status) string {
	switch {
	case s.FlockID == "":
		return "in no flock yet"
	case !s.Voter:
		return "an observer"
	case s.Priority == 0:
		return "a witness"
	}
	return fmt.Sprintf("a voter of priority %d", s.Priority)
}
