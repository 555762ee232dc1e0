package study

import (
	"slices"
	"testing"
)

func TestFactsPackAndUnpack(t *testing.T) {
	s := &Study{Forms: []Form{{Name: "demographics"}, {Name: "events"}}}
	facts := []KnownFact{
		{"events.onset", "2026-01-05", RecordKey{1, 0, "a/b@c=%40"}},
		{"demographics.sex", "F@home\x1f=%", RecordKey{0, 1, ""}},
		{"demographics.sex", "F", RecordKey{0, 12, "1"}},
	}
	packed := s.PackFacts(facts)
	slices.Reverse(facts)
	if again := s.PackFacts(facts); again != packed {
		t.Errorf("order matters:\n%q\n%q", packed, again)
	}
	got, want := s.UnpackFacts(packed), slices.SortedFunc(slices.Values(facts), CompareFacts)
	if !slices.Equal(got, want) {
		t.Errorf("unpacked %+v, want %+v", got, want)
	}
	s.Forms = s.Forms[1:]
	if got := s.UnpackFacts(packed); len(got) != 1 || got[0].Name != "events.onset" || got[0].From.Form != 0 {
		t.Errorf("after a form left the study: %+v", got)
	}
	if got := s.UnpackFacts("no fact\x1fname=value\x1fname=value@events/x/1"); got != nil {
		t.Errorf("unpacked %+v from nonsense", got)
	}
}

func TestOffset(t *testing.T) {
	for _, c := range []struct {
		study, own DayConvention
		day, want  int
	}{{Elapsed, "", 30, 30}, {CDISC, "", 30, 29}, {Elapsed, CDISC, 30, 29}, {CDISC, Elapsed, 30, 30}, {CDISC, "", -7, -7}} {
		s := Study{Days: c.study}
		if got := s.Offset(&VisitType{Day: c.day, Days: c.own}); got != c.want {
			t.Errorf("day %d, %s in a study of %s: %d, want %d", c.day, c.own, c.study, got, c.want)
		}
	}
	s := Study{Days: CDISC, Visits: []VisitType{{Name: "day_0", HasWindow: true, Day: 1, Days: Elapsed}, {Name: "start", HasWindow: true, Day: 0, Days: Elapsed}}}
	if s.Baseline() != 1 {
		t.Errorf("baseline %d: day 1 elapsed is the day after", s.Baseline())
	}
}
