// Package all is the list of sinks: one line each.
package all

import (
	"longitude/sinks"
	"longitude/sinks/gcs"
	"longitude/sinks/local"
)

// Specs lists every sink of this program.
func Specs() []sinks.Spec {
	return []sinks.Spec{
		gcs.Spec(),
		local.Spec(),
	}
}
