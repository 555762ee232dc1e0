// Command phivet runs the check over packages, as make lint does.
package main

import (
	"golang.org/x/tools/go/analysis/singlechecker"

	"longitude/internal/phivet"
)

func main() { singlechecker.Main(phivet.Analyzer) }
