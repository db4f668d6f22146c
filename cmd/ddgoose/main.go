// Command ddgoose runs an agent of DuckDuckGoose, and asks and controls the agents on this
// machine.
//
// One file holds one command, or a few of one subject: constructor newXCommand
// and, where it needs them, options and run. A command gets the [environment] and
// touches nothing else of the process: no package-level flags, no init, no
// os.Exit, no os.Stdout. It returns its errors, and [environment.exit] alone
// prints them and chooses the exit code; see exit.go.
package main

import (
	"context"
	"io"
	"os"

	runner "duckduckgoose/cmd/ddgoose/run"
)

// These are set by the linker: the version, and the commit it was built from, with its date. "": make did not build it.
var version, commit, date string

func main() {
	runner.KeepIgnored()
	if code, is := beInit(os.Stderr); is {
		os.Exit(code)
	}
	os.Exit(ddgoose(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// ddgoose runs one command line and returns its exit code.
func ddgoose(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := &environment{stdin: stdin, stdout: &checkedWriter{w: stdout}, stderr: stderr, lookup: os.LookupEnv}
	env.version, env.commit, env.date = origin()
	root := newRootCommand(env)
	root.SetArgs(args)
	return env.exit(root.ExecuteContext(ctx))
}
