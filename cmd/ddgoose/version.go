package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

type versionOptions struct{ json bool }

func newVersionCommand(env *environment) *cobra.Command {
	var o versionOptions
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version of this program.

Exit code: 0.`,
		Example: "  ddgoose version --json",
		RunE:    func(*cobra.Command, []string) error { return o.run(env) },
	}
	boolFlag(cmd.Flags(), &o.json, "json", "print JSON, for programs")
	return cmd
}

func (o *versionOptions) run(env *environment) error {
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{env.version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if o.json {
		return printJSON(env, v)
	}
	fmt.Fprintf(env.stdout, "ddgoose %s (%s %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
	return nil
}
