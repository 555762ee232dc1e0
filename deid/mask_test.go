package deid_test

import (
	"testing"

	"longitude/deid"
)

func TestMask(t *testing.T) {
	for value, want := range map[string]string{
		"":                       "",
		"31/02/2026":             "99/99/9999",
		"-12.5":                  "-99.9",
		"2026-02-03":             "9999-99-99",
		"Müller, Ann":            "AAAAAA, AAA",
		"a@b.example":            "A?A.AAAAAAA",
		"٣4":                     "99",
		"Margaret Thompson-Webb": "AAAAAAAA AAA…",
		"\x00\xff":               "??",
	} {
		if got := deid.Mask(value); got != want {
			t.Errorf("Mask(%q) = %q, want %q", value, got, want)
		}
	}
}
