package phivet

import (
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"
)

func TestFindsAndPasses(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), Analyzer, "longitude/transform/told", "longitude/internal/told")
}

// No code of the product tells what a record says.
func TestTheModule(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the whole module")
	}
	all, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax | packages.NeedModule, Dir: "../.."}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	graph, err := checker.Analyze([]*analysis.Analyzer{Analyzer}, all, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(graph.Roots) < 40 {
		t.Errorf("only %d packages were checked", len(graph.Roots))
	}
	for _, checked := range graph.Roots {
		if checked.Err != nil {
			t.Errorf("%s: %v", checked.Package.PkgPath, checked.Err)
		}
		for _, d := range checked.Diagnostics {
			t.Errorf("%s: %s", checked.Package.Fset.Position(d.Pos), d.Message)
		}
	}
}
