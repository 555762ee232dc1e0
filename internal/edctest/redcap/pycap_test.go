package redcap

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// PyCap, which many use with real servers, makes its ordinary calls against ours. It
// is found by the Python that PYCAP_PYTHON names, or python3.
func TestPyCap(t *testing.T) {
	python := cmp.Or(os.Getenv("PYCAP_PYTHON"), "python3")
	if err := exec.CommandContext(t.Context(), python, "-c", "import redcap").Run(); err != nil {
		t.Skip("PyCap is not here: pip install pycap, and name the Python that has it in PYCAP_PYTHON")
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/pycap.py", Start(t, NewServer(made(), token)), token).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said, refused, _ := strings.Cut(string(out), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(said), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for key, want := range map[string]any{"longitudinal": true, "version": "14.7.3", "project": 7.0, "records": 3.0, "events": 2.0, "arms": 1.0,
		"mapping": 3.0, "instruments": 2.0, "repeating": 1.0, "next": "11", "log": 2.0} {
		if got[key] != want {
			t.Errorf("%s: %v; want %v", key, got[key], want)
		}
	}
	if !strings.Contains(refused, "Delete Record privileges") {
		t.Errorf("deleting was answered with %q", refused)
	}
}
