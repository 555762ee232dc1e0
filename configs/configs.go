// Package configs embeds the worked example, so that the demo runs from the
// binary alone.
package configs

import "embed"

// AMD is the example study with its sources: amd/….
//
//go:embed amd
var AMD embed.FS
