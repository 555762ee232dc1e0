package transform

import (
	"bytes"
	"testing"
)

func TestAppendZip(t *testing.T) {
	for _, test := range []struct {
		text           string
		asText, number string // "" = refused
	}{
		{"10013", "10013", "10013"}, {"02139", "02139", "02139"}, {"10013-1234", "10013-1234", "10013-1234"}, {"100131234", "10013-1234", "10013-1234"},
		{"2139", "", "02139"}, {"501", "", "00501"}, {"50", "", ""}, {"", "", ""}, {"21391234", "", ""}, {"1234567890", "", ""}, {"-2139", "", ""}, {"2139.0", "", ""},
		{"K1A 0B1", "", ""}, {"SW1A 1AA", "", ""}, {"75008 ", "", ""}, {"10013 1234", "", ""}, {"10013-123", "", ""}, {"1001\u0663", "", ""},
	} {
		for numeric, want := range map[bool]string{false: test.asText, true: test.number} {
			got, rule := appendZip([]byte("|"), []byte(test.text), numeric)
			if string(got) != "|"+want || (rule == "") != (want != "") {
				t.Errorf("%q (numeric %v) reads as %q, %q", test.text, numeric, got, rule)
			}
		}
	}
}

// Whatever comes, what is read is a ZIP code, and reads again as itself.
func FuzzAppendZip(f *testing.F) {
	for _, seed := range []string{"10013", "10013-1234", "501", "K1A 0B1", ""} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, numeric bool) {
		got, rule := appendZip(nil, text, numeric)
		if rule != "" {
			return
		}
		again, rule := appendZip(nil, got, false)
		if rule != "" || !bytes.Equal(again, got) || len(got) != 5 && len(got) != 10 {
			t.Errorf("%d bytes read as something of %d bytes that does not read again", len(text), len(got))
		}
	})
}
