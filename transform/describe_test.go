package transform

import (
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	taken := Names{}
	var got []string
	for _, name := range []string{"Vital Signs", "vital signs", "6-Minute Walk", strings.Repeat("x", 60), strings.Repeat("x", 60), "血圧"} {
		got = append(got, taken.Give(name, "F.BP"))
	}
	want := []string{"vital_signs", "vital_signs_2", "minute_walk", strings.Repeat("x", 40), strings.Repeat("x", 38) + "_2", "f_bp"}
	if !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestProposeClass(t *testing.T) {
	for _, c := range []struct {
		kind   string
		direct bool
		words  string
		want   string
	}{
		{"file", true, "scan", "attachment"},
		{"date", true, "visit_date", "direct_identifier"},
		{"date", false, "date_of_birth", "direct_identifier"},
		{"date", false, "visit_date", "date"},
		{"datetime", false, "race start", "date"},
		{"text", false, "sex", "free_text"},
		{"choice", false, "sex_at_baseline", "quasi"},
		{"integer", false, "nameplate", "clinical"},
	} {
		if got := ProposeClass(c.kind, c.direct, c.words); got != c.want {
			t.Errorf("%s %v %q: %s; want %s", c.kind, c.direct, c.words, got, c.want)
		}
	}
}
