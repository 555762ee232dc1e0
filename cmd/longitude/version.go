package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker at release; a build from a checkout says so.
var version = "devel"

// software names the program and its version, as recorded with every batch and run.
func software() string { return "longitude/" + fullVersion() }

// fullVersion is the version with the revision it was built from.
func fullVersion() string {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				revision = "+" + s.Value[:12]
			}
		}
	}
	return version + revision
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": software(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(v, []string{"software", "go", "platform"}, [][]string{{v["version"], v["go"], v["platform"]}})
		},
	}
}
