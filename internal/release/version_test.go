package release

import (
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

func beforeIn(t *testing.T, dir string) *Before {
	t.Helper()
	before, err := ReadBefore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return before
}

// after builds the release that follows the one in dir.
func after(t *testing.T, dir string, s *study.Study, people ...person) *Manifest {
	t.Helper()
	p := plan(2)
	p.Previous, p.Before = "amd_obs_01_r001", beforeIn(t, dir)
	return build(t, s, p, people...).manifest
}

// The version of a release follows from what differs in content, whatever its files.
func TestVersion(t *testing.T) {
	first := build(t, trial(), plan(1), people()...)
	if m := first.manifest; m.Version != "1.0.0" || m.Longitude.Participants.Version != 1 {
		t.Fatalf("the first release is version %s of set %d", m.Version, m.Longitude.Participants.Version)
	}
	edited := func(edit func(s *study.Study, people []person) []person) *Manifest {
		s, who := trial(), people()
		return after(t, first.dir, s, edit(s, who)...)
	}
	for _, c := range []struct {
		name    string
		edit    func(s *study.Study, people []person) []person
		version string
		set     int
	}{
		{"nothing", func(_ *study.Study, p []person) []person { return p }, "1.0.1", 1},
		{"a value", func(_ *study.Study, p []person) []person {
			p[3].records[2].Answers = strings.Replace(p[3].records[2].Answers, "16.5", "16.6", 1)
			return p
		}, "1.1.0", 1},
		{"a participant more", func(_ *study.Study, p []person) []person { return append(p, someone(101)) }, "1.1.0", 2},
		{"a participant less", func(_ *study.Study, p []person) []person { return p[1:] }, "2.0.0", 2},
		{"a code more", func(s *study.Study, p []person) []person {
			f := &s.Forms[1].Fields[0]
			f.Choices = append(slices.Clone(f.Choices), study.ChoiceItem{Code: "B", Label: "Both"})
			return p
		}, "1.1.0", 1},
		{"a code that means something else", func(s *study.Study, p []person) []person {
			f := &s.Forms[1].Fields[0]
			f.Choices = slices.Clone(f.Choices)
			f.Choices[0].Label = "Other"
			return p
		}, "2.0.0", 1},
		{"a window", func(s *study.Study, p []person) []person { s.Visits[1].After++; return p }, "2.0.0", 1},
	} {
		m := edited(c.edit)
		if m.Version != c.version || m.Longitude.Participants.Version != c.set {
			t.Errorf("%s: version %s of set %d, want %s of set %d", c.name, m.Version, m.Longitude.Participants.Version, c.version, c.set)
		}
	}
}

func TestVersionArithmetic(t *testing.T) {
	for _, c := range []struct {
		before string
		change change
		want   string
	}{
		{"", major, "1.0.0"}, {"1.0.0", patch, "1.0.1"}, {"1.9.12", minor, "1.10.0"}, {"9.1.1", major, "10.0.0"}, {"not one", minor, "1.0.0"},
	} {
		d := differences{change: c.change}
		if got := d.version(c.before); got != c.want {
			t.Errorf("%s after %q is %s, want %s", c.change, c.before, got, c.want)
		}
	}
}
