package deid

import (
	"strings"
	"testing"

	"longitude/study"
)

func randomStudy() *study.Study {
	s := testStudy()
	s.Deid.Pseudonym = Random
	return s
}

// A random code follows from what the vault keeps for an identity and from the key,
// and from nothing else: not from the identifier.
func TestRandomCodes(t *testing.T) {
	in := testIntake(t, randomStudy(), testKeys("k"))
	id, rule := in.Identify(" p-001")
	if rule != "" || id.Code != "" || !in.Drawn() {
		t.Fatalf("%+v, %q", id, rule)
	}
	derived, _ := testIntake(t, testStudy(), testKeys("k")).Identify("p-001")
	if derived.Blind != id.Blind {
		t.Error("the blind index depends on how codes are made")
	}
	box := in.Draw(id.Blind)
	code1, err := in.CodeOf(id.Blind, box)
	if err != nil || len(code1) != len(derived.Code) || !strings.HasPrefix(code1, "AMD-") || code1 == derived.Code {
		t.Fatalf("code %q, %v", code1, err)
	}
	again, err := testIntake(t, randomStudy(), testKeys("k")).CodeOf(id.Blind, box)
	if err != nil || again != code1 {
		t.Errorf("another process makes code %q of the same number, %v", again, err)
	}
	seen := map[string]bool{code1: true}
	for range 1000 {
		other, err := in.CodeOf(id.Blind, in.Draw(id.Blind))
		if err != nil || seen[other] {
			t.Fatalf("drawn anew: %q, %v", other, err)
		}
		seen[other] = true
	}
}

// The number of an identity opens for that identity, that study and that key only.
func TestDrawnNumbersCannotBeSwapped(t *testing.T) {
	in := testIntake(t, randomStudy(), testKeys("k"))
	a, _ := in.Identify("p-001")
	b, _ := in.Identify("p-002")
	box := in.Draw(a.Blind)
	other := randomStudy()
	other.Name = "other-01"
	for name, err := range map[string]error{
		"another identity": second(in.CodeOf(b.Blind, box)),
		"another study":    second(testIntake(t, other, testKeys("k")).CodeOf(a.Blind, box)),
		"another key":      second(testIntake(t, randomStudy(), testKeys("x")).CodeOf(a.Blind, box)),
		"its identity":     second(in.CodeOf(a.Blind, a.Box)),
		"nothing":          second(in.CodeOf(a.Blind, nil)),
	} {
		if code(err) != "deid.box" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range box {
		broken := append([]byte(nil), box...)
		broken[i] ^= 1
		if _, err := in.CodeOf(a.Blind, broken); code(err) != "deid.box" {
			t.Fatalf("byte %d flipped and the box opens: %v", i, err)
		}
	}
}

// Rows that could not be split are searched for identifiers between separators.
func TestNames(t *testing.T) {
	in := testIntake(t, testStudy(), testKeys("k"))
	id, _ := in.Identify("P-001 b")
	erased := map[study.Digest]bool{id.Blind: true}
	for raw, want := range map[string]bool{
		"P-001 b,BL,12":             true,
		`"p-001  B";BL`:             true,
		`{"id":"P-001 b","x":1}`:    true,
		"BL\tP-001 b":               true,
		"P-001 b":                   true,
		"P-001 bc,BL":               false,
		"P-001,b":                   false,
		"":                          false,
		"\x00\xff\xfe,P-001 b,\x01": true,
	} {
		if got := in.Names([]byte(raw), erased); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
	if in.Names([]byte("P-001 b"), nil) {
		t.Error("found although nobody was erased")
	}
}

// Codes that are drawn do not bound the claim; derived ones do.
func TestRandomCodesAllowSafeHarbor(t *testing.T) {
	for mode, want := range map[string]string{Derived: "expert", Random: "safe_harbor", "": "expert"} {
		s := testStudy()
		s.Deid.Pseudonym = mode
		r, err := NewRecipient(s, "main", testKeys("k"))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.limits()) > 0 != (want == "expert") {
			t.Errorf("mode %q: limits %v", mode, r.limits())
		}
	}
}
