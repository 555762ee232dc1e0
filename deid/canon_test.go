package deid

import (
	"strings"
	"testing"
	"unicode"
)

func TestCanonical(t *testing.T) {
	tests := map[string]struct{ id, rule string }{
		"P-001":                     {"P-001", ""},
		"  p-001 ":                  {"P-001", ""},
		"p  001\u00a0x":             {"P 001 X", ""},
		"Jose\u0301":                {"JOSÉ", ""},
		"José":                      {"JOSÉ", ""},
		"0":                         {"0", ""},
		"":                          {"", IdentityEmpty},
		"   ":                       {"", IdentityEmpty},
		"a\tb":                      {"", IdentityInvalid},
		"a\x00":                     {"", IdentityInvalid},
		"a\u200b1":                  {"", IdentityInvalid},
		"\ufeff1":                   {"", IdentityInvalid},
		"a\xff":                     {"", IdentityInvalid},
		strings.Repeat("x", 256):    {strings.Repeat("X", 256), ""},
		strings.Repeat("x", 257):    {"", IdentityInvalid},
		strings.Repeat(" ", 300):    {"", IdentityInvalid},
		"\u0130stanbul":             {"\u0130STANBUL", ""},
		"\u2028line\u2029separator": {"LINE SEPARATOR", ""},
	}
	for source, want := range tests {
		if id, rule := canonical(source); id != want.id || rule != want.rule {
			t.Errorf("canonical(%q) = %q, %q; want %q, %q", source, id, rule, want.id, want.rule)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"P-001", " jose\u0301 ", "ŉ", "ΐ", "\u0345\u0301", "ǆ", "", "\x00", "ß"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		id, rule := canonical(source)
		if (id == "") == (rule == "") {
			t.Fatalf("%q: id %q and rule %q", source, id, rule)
		}
		if rule != "" || len(id) > maxIdentity {
			return // growth past the limit cannot be fed back
		}
		if again, rule := canonical(id); rule != "" || again != id {
			t.Fatalf("%q: canonical %q is not its own canonical form: %q %q", source, id, again, rule)
		}
		if padded, _ := canonical(" " + id + "  "); len(id)+3 <= maxIdentity && padded != id {
			t.Fatalf("%q: padding changes %q to %q", source, id, padded)
		}
		if strings.ContainsFunc(id, unicode.IsControl) || strings.Contains(id, "  ") || strings.TrimSpace(id) != id {
			t.Fatalf("%q: %q is not clean", source, id)
		}
	})
}
