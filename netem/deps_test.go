package netem_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem"
)

var _ rand.Source = (*netem.Random)(nil)

// TestOnlyArithmetic keeps the package what its users count on: the standard
// library only, and of that nothing that reads a clock, draws from elsewhere
// or touches the world.
func TestOnlyArithmetic(t *testing.T) {
	allowed := map[string]bool{
		"fmt": true, "math/bits": true, "net/netip": true, "slices": true, "strconv": true, "strings": true, "time": true,
	}
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		require.NoError(t, err)
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			require.True(t, allowed[path], "%s imports %s", e.Name(), path)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					require.NotContains(t, []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer"}, s.Sel.Name, e.Name())
				}
			}
			return true
		})
	}
}
