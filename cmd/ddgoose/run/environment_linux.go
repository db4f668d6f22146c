package run

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"duckduckgoose/agent/api"
)

// termBits is the width of the term in a token.
const termBits = 40

// variables describe a goose period to CMD.
func (g *guard) variables(s api.Status, token uint64) map[string]string {
	return map[string]string{
		"DDGOOSE_TOKEN":    strconv.FormatUint(token, 10),
		"DDGOOSE_TERM":     strconv.FormatUint(token&(1<<termBits-1), 10),
		"DDGOOSE_FLOCK_ID": s.FlockID,
		"DDGOOSE_NAME":     s.Name,
		"DDGOOSE_SOCKET":   g.Socket,
		"DDGOOSE_ELECTION": g.Election,
	}
}

// environment returns this process's environment, with these variables replaced.
func environment(ours map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, set := ours[name]
		return set
	})
	return append(env, lines(ours)...)
}

// lines leaves out the name of the default election, which is empty.
func lines(vars map[string]string) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if vars[name] != "" {
			all = append(all, name+"="+vars[name])
		}
	}
	return all
}

// writeEnvironment replaces the file at path in one step: a reader finds the variables of
// one goose period, never a mixture. It needs no sync, because the next start after a
// crash writes the file again.
func writeEnvironment(path string, vars map[string]string) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	_, err = f.WriteString(strings.Join(lines(vars), "\n") + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("env file: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
