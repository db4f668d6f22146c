package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// origin returns the version of this program, its commit and its date.
func origin() (string, string, string) {
	if version != "" {
		return version, commit, date
	}
	info, _ := debug.ReadBuildInfo()
	return stamped(info)
}

// stamped returns what Go records in a binary that go install made. info may be nil.
func stamped(info *debug.BuildInfo) (version, commit, date string) {
	version = "unknown"
	if info == nil {
		return version, "", ""
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.time":
			date, _, _ = strings.Cut(s.Value, "T")
		}
	}
	return version, commit, date
}

func newVersionCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		Long: `Prints the version of this program, the commit it was built from and its date (where they
are known), and the version of Go.

Exit code: 0.`,
		Example: "  ddgoose version --json",
		RunE:    func(*cobra.Command, []string) error { return printVersion(env, asJSON) },
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

func printVersion(env *environment, asJSON bool) error {
	v := struct {
		Version string `json:"version"`
		Commit  string `json:"commit,omitempty"`
		Date    string `json:"date,omitempty"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{env.version, env.commit, env.date, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if asJSON {
		return printJSON(env, v)
	}
	_, err := fmt.Fprint(env.stdout, versionLine(env))
	return err
}

// versionLine returns what version and --version print.
func versionLine(env *environment) string {
	from := ""
	if env.commit != "" {
		from = fmt.Sprintf("commit %s of %s, ", env.commit, env.date)
	}
	return fmt.Sprintf("ddgoose %s (%s%s %s/%s)\n", env.version, from, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
