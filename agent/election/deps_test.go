package election

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// forbidden are the imports that would make a run unrepeatable or tie the rules to the world.
var forbidden = map[string]string{
	"net":          "messages come in and go out as values",
	"os":           "the record is saved by the caller, BEFORE anything leaves",
	"io":           "nothing is read or written here",
	"sync":         "one goroutine owns a node",
	"sync/atomic":  "one goroutine owns a node",
	"context":      "a step does not wait",
	"log":          "what happened is told by events",
	"log/slog":     "what happened is told by events",
	"math/rand":    "chance comes from the node's own seed, or a run would not repeat",
	"math/rand/v2": "chance comes from the node's own seed, or a run would not repeat",
	"crypto/rand":  "chance comes from the node's own seed, or a run would not repeat",
	"maps":         "the order of a map is chance",
	"unsafe":       "a node is a comparable value",
	"reflect":      "a node is a comparable value",
}

// TestElectionIsPure keeps the rules a function of what they are told: no
// clock, no chance, no map order, no goroutine, and of the standard library
// only what computes.
func TestElectionIsPure(t *testing.T) {
	allowed := map[string]bool{
		"bytes": true, "cmp": true, "crypto/sha256": true, "encoding/binary": true, "encoding/hex": true, "errors": true, "fmt": true, "math/bits": true, "slices": true, "strconv": true, "time": true,
	}
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, e.Name(), nil, 0)
		require.NoError(t, err)
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			require.Empty(t, forbidden[path], "%s imports %s", e.Name(), path)
			require.True(t, allowed[path], "%s imports %s: add it to the list if it only computes", e.Name(), path)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			at := func() string { return set.Position(n.Pos()).String() }
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" {
					require.Contains(t, []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"},
						n.Sel.Name, "%s: the time is an argument", at())
				}
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
				require.Fail(t, "one goroutine owns a node", at())
			case *ast.MapType:
				require.Fail(t, "a node is comparable, and the order of a map is chance", at())
			}
			return true
		})
	}
}

// TestSameInputsGiveTheSameRun steps a whole flock twice, and compares the nodes.
func TestSameInputsGiveTheSameRun(t *testing.T) {
	run := func() (nodes []Node) {
		c := newCluster(t, "a", "b", "c", "d", "e")
		dice := chance(3)
		c.drop = func(*Message) bool { return dice.next()%100 < 20 }
		for range 5 {
			c.run(3e9)
			if g := c.goose(); g != "" {
				c.kill(g)
				c.run(1e9)
				c.restart(g)
			}
		}
		for _, name := range c.order {
			nodes = append(nodes, c.nodes[name].node)
		}
		return nodes
	}
	require.Equal(t, run(), run())
}
