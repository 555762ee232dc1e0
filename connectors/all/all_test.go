package all

import (
	"regexp"
	"testing"
)

// Types are names that can stand in a config file, each once; every config can be
// made, and an empty one is told what it lacks.
func TestSpecs(t *testing.T) {
	seen := map[string]bool{}
	for _, spec := range Specs() {
		if seen[spec.Type] || !regexp.MustCompile(`^[a-z]+$`).MatchString(spec.Type) || spec.Doc == "" {
			t.Errorf("connector %q", spec.Type)
		}
		seen[spec.Type] = true
		if found := spec.Validate(spec.Config()); len(found) == 0 {
			t.Errorf("%s: an empty config has no findings", spec.Type)
		}
	}
}
