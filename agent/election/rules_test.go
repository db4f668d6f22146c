package election

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lastRule is the number of the last rule in README.md.
const lastRule = 30

var (
	ruleHead  = regexp.MustCompile(`(?m)^### Rule (\d+): `)
	ruleLine  = regexp.MustCompile(`(?m)^Code: (.+) · Tests: (.+)$`)
	ruleCited = regexp.MustCompile(`\b[Rr]ules? (\d+(?:(?:, (?:and )?| and | to |-)\d+)*)`)
	testFunc  = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	number    = regexp.MustCompile(`\d+`)
)

// TestRulesAreInTheHouse holds README.md against the repository: every rule from
// 1 on is there, names files and tests that exist, and all tests of its
// number, of which there is one; every rule that is cited anywhere is there.
func TestRulesAreInTheHouse(t *testing.T) {
	root := filepath.Join("..", "..")
	tests, cited := map[string]bool{}, map[int]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && path != root && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range testFunc.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
		}
		for _, m := range ruleCited.FindAllSubmatch(text, -1) {
			for _, n := range number.FindAllString(string(m[1]), -1) {
				k, err := strconv.Atoi(n)
				if err != nil {
					return err
				}
				cited[k] = path
			}
		}
		return nil
	}))

	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	heads := ruleHead.FindAllSubmatchIndex(text, -1)
	require.Len(t, heads, lastRule)
	for i, head := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		rule := i + 1
		require.Equal(t, strconv.Itoa(rule), string(text[head[2]:head[3]]), "rules are in order")
		lines := ruleLine.FindAllSubmatch(text[head[0]:end], -1)
		require.Len(t, lines, 1, "rule %d needs one line of code and tests", rule)
		for _, file := range strings.Split(string(lines[0][1]), ", ") {
			if strings.Contains(file, "/") {
				file = filepath.Join(root, filepath.FromSlash(file))
			}
			require.FileExists(t, file, "rule %d", rule)
		}
		named := strings.Split(string(lines[0][2]), ", ")
		for _, name := range named {
			require.True(t, tests[name], "rule %d names %s, which is no test", rule, name)
		}
		own, prefix := 0, fmt.Sprintf("TestRule%02d", rule)
		for name := range tests {
			if strings.HasPrefix(name, prefix) {
				require.Contains(t, named, name, "rule %d", rule)
				own++
			}
		}
		require.NotZero(t, own, "rule %d has no %s", rule, prefix)
	}
	for n, path := range cited {
		require.True(t, n >= 1 && n <= lastRule, "%s cites rule %d, which README.md does not have", path, n)
	}
	for name := range tests {
		if m := regexp.MustCompile(`^TestRule(\d+)`).FindStringSubmatch(name); m != nil {
			require.Len(t, m[1], 2, name)
		}
	}
	for _, name := range []string{"R1", "R2", "R3", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9"} {
		require.Contains(t, string(text), "| "+name+" | ")
	}
}
