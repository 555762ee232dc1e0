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

// rotating are keys of which a newer version comes into use meanwhile.
type rotating struct {
	testKeys
	newest *int
}

func (r rotating) Newest(string) (int, error) { return *r.newest, nil }

// What was sealed after the keys were rotated opens for who began before, too; a
// version that never was opens nothing.
func TestOpensWhatIsNewer(t *testing.T) {
	newest := 1
	k := rotating{"k", &newest}
	before, err := newSealer(k, "amd", "", seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	newest = 2
	after, err := newSealer(k, "amd", "", seeded(2))
	if err != nil {
		t.Fatal(err)
	}
	about := after.binding("x")
	box := after.seal([]byte("words"), about)
	if plain, err := before.open(box, about); err != nil || string(plain) != "words" {
		t.Errorf("%q, %v", plain, err)
	}
	for _, version := range []byte{0, 1, 3, 255} {
		box[0] = version
		if _, err := before.open(box, about); code(err) != "deid.box" {
			t.Errorf("version %d: %v", version, err)
		}
	}
}
