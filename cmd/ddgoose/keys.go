package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/wire"
)

func newKeysCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Change the flock's key while it runs",
		Long: `Shows and changes the keys of all agents of the flock while it runs. To change the key: make
one (ddgoose keygen --out new.key), install it everywhere, use it, and remove the old one. A change that
could lock out a live agent is refused. Absent agents are listed, with what they will see when they return.
Each agent first writes the change to its own --key-file. This user's other flocks on loopback share
RUNTIME/loopback.key: send their agents SIGHUP after install and after use.

Keys are shown by their ids only. Every user can see a KEY on a command line in the list of processes: use
--file, or the standard input.

` + clientCodes,
		Example: `  ddgoose keygen --out new.key
  ddgoose keys install --file new.key
  ddgoose keys use --file new.key
  ddgoose keys list
  ddgoose keys remove 9c0a41f2`,
	}
	cmd.AddCommand(
		newKeysListCommand(env),
		newKeysChangeCommand(env, keysChange{
			use: "install [KEY]", short: "Give every live agent a key to open with",
			long: "Gives every live agent a key, behind those that it has: all open with it, none seals with it yet.",
			do: func(ctx context.Context, c *client.Client, k namedKey) (api.Keys, error) {
				return c.InstallKey(ctx, k.key)
			},
			full: true,
		}),
		newKeysChangeCommand(env, keysChange{
			use: "use [KEY|ID]", short: "Make every live agent seal with a key that all hold",
			long: "Makes every live agent seal with a key. It is refused unless all of them hold it; those that do\nnot are named.",
			do:   func(ctx context.Context, c *client.Client, k namedKey) (api.Keys, error) { return c.UseKey(ctx, k.id) },
		}),
		newKeysChangeCommand(env, keysChange{
			use: "remove [KEY|ID]", short: "Take away a key that nobody seals with",
			long: "Takes a key away from every live agent. It is refused while any of them seals with it.",
			do: func(ctx context.Context, c *client.Client, k namedKey) (api.Keys, error) {
				return c.RemoveKey(ctx, k.id)
			},
		}),
	)
	return cmd
}

func newKeysListCommand(env *environment) *cobra.Command {
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show which agents hold which keys",
		Long: `Asks every live agent for the ids of its keys.

` + clientCodes,
		Example: "  ddgoose keys list",
		RunE:    func(*cobra.Command, []string) error { return show(env, &o, (*client.Client).Keys, printKeys) },
	}
	o.flags(cmd, 30*time.Second)
	o.jsonFlag(cmd)
	return cmd
}

// keysChange is a command that changes keys.
type keysChange struct {
	use, short, long string
	do               func(context.Context, *client.Client, namedKey) (api.Keys, error)
	full             bool // the key itself is needed, not only its id
}

// namedKey is a key that the command line names.
type namedKey struct {
	key []byte // nil: only its id was given
	id  string
}

type keysChangeOptions struct {
	clientOptions
	file string
}

func newKeysChangeCommand(env *environment, change keysChange) *cobra.Command {
	var o keysChangeOptions
	name, _, _ := strings.Cut(change.use, " ")
	cmd := &cobra.Command{
		Use:   change.use,
		Short: change.short,
		Long: change.long + ` Without KEY
and --file, the key is read from the standard input. It prints who holds which key afterwards.

` + clientCodes,
		Example: fmt.Sprintf("  ddgoose keys %s --file new.key\n  ddgoose keys %s < new.key", name, name),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && o.file != "" {
				return usage("%s takes one key: as an argument, by --file, or from the standard input", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := o.key(env.stdin, args, change.full)
			if err != nil {
				return err
			}
			return show(env, &o.clientOptions, func(c *client.Client, ctx context.Context) (api.Keys, error) {
				return change.do(ctx, c, key)
			}, printKeys)
		},
	}
	stringFlag(cmd.Flags(), &o.file, "file", "", "FILE", "read the key from a file that holds it alone")
	o.flags(cmd, time.Minute)
	o.jsonFlag(cmd)
	return cmd
}

var keyIDPattern = regexp.MustCompile(`^[0-9a-f]{8}$`)

// maxKeyText bounds what is read of a file or the standard input for one key.
const maxKeyText = 64 << 10

// key reads the key from the argument, the file or the standard input. Errors never contain
// the key.
func (o *keysChangeOptions) key(stdin io.Reader, args []string, full bool) (namedKey, error) {
	from := "the standard input"
	switch {
	case len(args) == 1 && args[0] != "-":
		stdin, from = strings.NewReader(args[0]), "KEY"
	case o.file != "":
		f, err := os.Open(o.file)
		if err != nil {
			return namedKey{}, fmt.Errorf("read the key: %w", err)
		}
		defer f.Close()
		stdin, from = f, o.file
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxKeyText))
	if err != nil {
		return namedKey{}, fmt.Errorf("read the key from %s: %w", from, err)
	}
	if id := strings.TrimSpace(string(text)); keyIDPattern.MatchString(id) {
		if full {
			return namedKey{}, usage("%s is the id of a key: want the key itself, one line of base64 (ddgoose keygen)", id)
		}
		return namedKey{id: id}, nil
	}
	keys, err := wire.ParseKeys(text)
	switch {
	case err != nil:
		return namedKey{}, usage("%s: %w", from, err)
	case len(keys) != 1:
		return namedKey{}, usage("%s holds %d keys: want a single key", from, len(keys))
	}
	return namedKey{keys[0], wire.KeyID(keys[0])}, nil
}

func printKeys(out io.Writer, k api.Keys) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Key\tSeals at\tHeld by\tMissing at")
	for _, key := range k.Keys {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", api.Printable(key.ID), nameList(key.Sealing), nameList(key.Holding), nameList(key.Missing))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, a := range k.Agents {
		if a.Error != "" {
			fmt.Fprintf(out, "warning: %s did not answer: %s\n", api.Printable(a.Name), api.Printable(a.Error))
		}
	}
	for _, text := range k.Warnings {
		fmt.Fprintf(out, "warning: %s\n", api.Printable(text))
	}
	for _, a := range k.Absent {
		fmt.Fprintf(out, "warning: %s is absent: %s\n", api.Printable(a.Name), api.Printable(a.Sees))
	}
	return nil
}

func nameList(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return api.Printable(strings.Join(names, " "))
}

type keygenOptions struct{ out string }

func newKeygenCommand(env *environment) *cobra.Command {
	var o keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key that seals the flock's traffic",
		Long: fmt.Sprintf(`Makes a key of %d random bytes and prints it as one line of base64, or writes it to a new
file that only its owner can read. Every agent of a flock gets the same file by --key-file. A key
file holds one key a line and # comments; the first key seals, all open, so that keys can be changed.

Exit codes: 0 done, 1 the file exists or cannot be written, 2 wrong usage.`, wire.KeySize),
		Example: "  ddgoose keygen --out ddgoose.key",
		RunE:    func(*cobra.Command, []string) error { return o.run(env) },
	}
	stringFlag(cmd.Flags(), &o.out, "out", "", "FILE", "write a new file, mode 0600, and print nothing")
	return cmd
}

func (o *keygenOptions) run(env *environment) error {
	line := wire.NewKey()
	if o.out == "" {
		_, err := env.stdout.Write([]byte(line))
		return err
	}
	f, err := os.OpenFile(o.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: an overwritten key is lost; name another file, or remove this one first", o.out)
	}
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the key: %w", err), os.Remove(o.out))
	}
	return nil
}
