// Package openlineagetest checks OpenLineage events against a schema of the part
// of OpenLineage that Longitude writes. It is stricter than the published one:
// there, every facet and every further key is allowed.
package openlineagetest

import (
	"bytes"
	_ "embed"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed event.schema.json
var schema []byte

// Check fails t unless event is a RunEvent.
func Check(t testing.TB, event []byte) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(event))
	if err != nil {
		t.Fatal("an event is not JSON")
	}
	if err := compiled.Validate(value); err != nil {
		t.Errorf("an event is not of the schema: %v\n%s", err, event)
	}
}
