package agent

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write the drawing of the packages into README.md")

const module = "duckduckgoose/"

// importsBelow returns, for every package of the module, the packages of the module
// that it imports outside its tests.
func importsBelow(t *testing.T, root string) map[string][]string { return importsOf(t, root, module) }

// importsOf returns, for every package of the module, which packages it imports outside
// its tests whose paths begin with prefix; the prefix is cut off.
func importsOf(t *testing.T, root, prefix string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		imports := all[pkg]
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if below, ok := strings.CutPrefix(name, prefix); ok && !slices.Contains(imports, below) {
				imports = append(imports, below)
			}
		}
		slices.Sort(imports)
		all[pkg] = imports
		return nil
	}))
	return all
}

// draw returns a line for every package. A package stands below all that it imports.
func draw(imports map[string][]string) string {
	height := map[string]int{}
	var heightOf func(pkg string) int
	heightOf = func(pkg string) int {
		if h, ok := height[pkg]; ok {
			return h
		}
		h := 0
		for _, below := range imports[pkg] {
			h = max(h, heightOf(below)+1)
		}
		height[pkg] = h
		return h
	}
	var names []string
	for pkg := range imports {
		heightOf(pkg)
		names = append(names, pkg)
	}
	slices.SortFunc(names, func(a, b string) int {
		if height[a] != height[b] {
			return height[a] - height[b]
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	last := -1
	for _, pkg := range names {
		if height[pkg] != last {
			last = height[pkg]
			fmt.Fprintf(&b, "%d\n", last)
		}
		line := "  " + pkg
		if below := imports[pkg]; len(below) > 0 {
			line = fmt.Sprintf("  %-22s -> %s", pkg, strings.Join(below, " "))
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// The drawing in README.md is the packages as they are. Renew it with
// go test ./agent -run Drawn -rewrite.
func TestThePackagesAreAsDrawn(t *testing.T) {
	const begin, end = "<!-- packages -->\n```\n", "```\n<!-- end -->\n"
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "README.md has no drawing of the packages")
	drawn, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "the drawing of the packages has no end")
	is := draw(importsBelow(t, ".."))
	if *rewrite {
		require.NoError(t, os.WriteFile("README.md", []byte(before+begin+is+end+after), 0o644))
		return
	}
	require.Equal(t, is, drawn)
}

// A program of another module cannot name types below internal, so exported functions
// use aliases of them.
func TestExportedNamesNeedNothingInternal(t *testing.T) {
	for _, pkg := range []string{".", "api", "client", "config", "fence", "lead"} {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		require.NoError(t, err)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			internal := map[string]bool{}
			for _, i := range f.Imports {
				if name := strings.Trim(i.Path.Value, `"`); strings.Contains(name, "/internal/") {
					internal[name[strings.LastIndex(name, "/")+1:]] = true
				}
			}
			ast.FileExports(f)
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BlockStmt:
					return false
				case *ast.FuncDecl:
					return n.Recv == nil || exportedReceiver(n)
				case *ast.TypeSpec:
					return !n.Assign.IsValid() // an alias is another name
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && internal[x.Name] {
						t.Errorf("%s: an exported name needs %s.%s", path, x.Name, n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

func exportedReceiver(f *ast.FuncDecl) bool {
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	name, ok := t.(*ast.Ident)
	return !ok || name.IsExported() // a generic type is checked itself
}

// Arrows point inwards: packages that decide know none that act.
func TestArrowsPointInwards(t *testing.T) {
	imports := importsBelow(t, "..")
	for pkg, below := range imports {
		for _, to := range below {
			switch {
			case strings.HasPrefix(to, "cmd/"):
				require.True(t, strings.HasPrefix(pkg, "cmd/"), "%s imports %s", pkg, to)
			case to == "agent":
				require.True(t, strings.HasPrefix(pkg, "cmd/"), "%s imports %s: parts of an agent do not know the whole", pkg, to)
			case strings.HasPrefix(to, "netem"):
				require.False(t, pkg == "wire" || pkg == "agent" || strings.HasPrefix(pkg, "agent/"), "%s imports %s", pkg, to)
			}
		}
	}
	require.Empty(t, imports["agent/election"])
}

// Each library at the edge is known to few packages, so that it can be replaced.
func TestLibrariesAreKnownToTheirOwnPackagesOnly(t *testing.T) {
	for library, known := range map[string][]string{
		"github.com/hashicorp/memberlist":      {"agent/internal/gossip", "agent/port"},
		"github.com/prometheus/client_golang/": {"agent/internal/meters"},
	} {
		var found []string
		for pkg, imports := range importsOf(t, "..", library) {
			if len(imports) > 0 {
				found = append(found, pkg)
			}
		}
		require.ElementsMatch(t, known, found, library)
	}
}
