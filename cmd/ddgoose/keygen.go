package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"duckduckgoose/wire"
)

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
	var key [wire.KeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	line := base64.StdEncoding.EncodeToString(key[:]) + "\n"
	if o.out == "" {
		_, err := env.stdout.Write([]byte(line))
		return err
	}
	f, err := os.OpenFile(o.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: a key that is overwritten is lost; name another file, or remove that one first", o.out)
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
