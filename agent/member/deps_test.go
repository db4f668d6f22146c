package member

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// importable is all that the package may import: packages that only compute, and the
// rules that it drives. So it has no socket, clock, disk, lock, log or random source.
var importable = []string{
	"cmp", "encoding/binary", "fmt", "hash/fnv", "maps", "math", "math/bits", "net/netip", "reflect", "slices", "time",
	"duckduckgoose/agent/autopilot", "duckduckgoose/agent/election", "duckduckgoose/agent/internal/founding",
	"duckduckgoose/agent/store", "duckduckgoose/wire",
}

// unordered are the functions that range over a map, where the order cannot matter.
var unordered = map[string]string{
	"makeRoom":      "drops all that it may",
	"forgetLeavers": "drops all that are old",
}

// TestMemberIsPure keeps the member a function of its inputs, so that the simulator
// runs the code that ships, and a run can be repeated.
func TestMemberIsPure(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	set := token.NewFileSet()
	var files []*ast.File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			f, err := parser.ParseFile(set, e.Name(), nil, 0)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	check := types.Config{Importer: nothing{}, Error: func(error) {}} // the package's own types are enough to find its maps
	_, _ = check.Check("member", set, files, &info)
	ranges := 0
	for _, f := range files {
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			require.Contains(t, importable, path, "%s", set.Position(i.Pos()))
		}
		for _, d := range f.Decls {
			ast.Inspect(d, func(n ast.Node) bool {
				at := func() string { return set.Position(n.Pos()).String() }
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" {
						require.Contains(t, []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"},
							n.Sel.Name, "%s: the host tells the time", at())
					}
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "maps" {
						require.Equal(t, "Equal", n.Sel.Name, "%s: the order of a map is chance", at())
					}
				case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
					require.Fail(t, "a member is for one goroutine", at())
				case *ast.RangeStmt:
					if kind := info.Types[n.X].Type; kind != nil && isMap(kind) {
						ranges++
						require.Contains(t, unordered, d.(*ast.FuncDecl).Name.Name, "%s: the order of a map is chance", at())
					}
				}
				return true
			})
		}
	}
	require.Equal(t, len(unordered), ranges, "the list above is up to date")
}

func isMap(t types.Type) bool {
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// nothing imports packages without contents.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	p.MarkComplete()
	return p, nil
}
