package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// TestProcessesOfTheReadmesScreen holds the README's picture against what top shows of a flock whose goose was killed: the
// same words at the same places, whatever the names and numbers. `make screen` takes it anew.
func TestProcessesOfTheReadmesScreen(t *testing.T) {
	const begin, end, width, height = "```screen\n", "```\n", 100, 15
	dir := shortDir(t)
	driver := startConsole(t, width, height, nil, binary(t), "flock", "--dir", dir)
	head := regexp.MustCompile(`^ ([a-e]) is the goose  for (\d+)s`)
	leads := func(not string, seconds int) (goose string) {
		t.Helper()
		apitest.Eventually(t, func() bool {
			m := head.FindStringSubmatch(driver.text())
			if m == nil || m[1] == not {
				return false
			}
			n, err := strconv.Atoi(m[2])
			require.NoError(t, err)
			goose = m[1]
			return n >= seconds
		}, "a goose for %d s", seconds)
		return goose
	}
	driver.shows("5 voters, 3 are a majority")
	before, after := 0, 0
	if *rewrite {
		before, after = 15, 1 // a history is worth looking at
	}
	goose := leads("", before)
	require.Zero(t, call(t, "flock", "kill", goose, "--dir", dir).code)
	leads(goose, after)
	driver.shows("  LOSS ")
	var picture strings.Builder
	for _, line := range lines(driver.text()) {
		picture.WriteString(strings.TrimRight(strings.ReplaceAll(line, dir, "./tour"), " ") + "\n")
	}
	driver.press("q")
	require.Zero(t, driver.exit())

	path := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	top, rest, found := strings.Cut(string(text), begin)
	require.True(t, found, "README.md has no screen")
	was, tail, found := strings.Cut(rest, end)
	require.True(t, found, "README.md has no end of its screen")
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(top+begin+picture.String()+end+tail), 0o644))
		return
	}
	require.Equal(t, wordsOf(was), wordsOf(picture.String()), "run make screen and read the diff\n%s", &picture)
}

// wordsOf returns the words of a screen that no flock changes. The last column is of addresses, or of warnings.
func wordsOf(screen string) []string {
	words := regexp.MustCompile(`[A-Z]{4,}|is the goose|agents, |a majority|heartbeat|Who was the goose`).FindAllString(screen, -1)
	return slices.DeleteFunc(words, func(word string) bool { return word == "ADDRESS" })
}
