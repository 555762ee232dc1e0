package deid

import (
	"bytes"
	"testing"
)

func TestNoteOpensOnlyForItsDecision(t *testing.T) {
	const words = "Mrs Quincey's ferry did not run"
	box, err := SealNote(testKeys("k"), "amd-obs-01", "quarantine/4", words, seeded(1))
	if err != nil || bytes.Contains(box, []byte("Quincey")) {
		t.Fatalf("sealing the note: %v", err)
	}
	if got, err := OpenNote(testKeys("k"), "amd-obs-01", "quarantine/4", box); err != nil || got != words {
		t.Errorf("opening the note gives %q, %v", got, err)
	}
	for what, err := range map[string]error{
		"another decision": second(OpenNote(testKeys("k"), "amd-obs-01", "quarantine/5", box)),
		"another study":    second(OpenNote(testKeys("k"), "other-01", "quarantine/4", box)),
		"another key":      second(OpenNote(testKeys("x"), "amd-obs-01", "quarantine/4", box)),
	} {
		if code(err) != "deid.box" {
			t.Errorf("it opens for %s: %v", what, err)
		}
	}
	if _, err := SealNote(testKeys(""), "amd-obs-01", "quarantine/4", words, seeded(1)); err == nil {
		t.Error("a note is sealed without a key")
	}
}

func second(_ string, err error) error { return err }
