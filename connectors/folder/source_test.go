package folder_test

import (
	"testing"
	"time"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/folder"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, folder.Spec()) }

// TestBehaviour runs the suite once for each way of being ready.
func TestBehaviour(t *testing.T) {
	for name, ready := range map[string]connectors.Ready{
		"marker": {Marker: ".done"}, "checksum": {Checksum: ".sha256"}, "stable": {StableFor: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			connectortest.Run(t, connectortest.Harness{Spec: folder.Spec(), New: func(t *testing.T) connectortest.Place {
				dir := t.TempDir()
				config := func(after string) *folder.Config {
					return &folder.Config{Path: dir + "/*.csv", Ready: ready, After: after}
				}
				return connectortest.Drop(t, dir, ready, config(connectors.AfterKeep), config(connectors.AfterDelete))
			}})
		})
	}
}
