package transform

import (
	"testing"

	"longitude/study"
)

// A visit of no type that is only planned has not happened: it is scheduled until
// participation ends, and unscheduled once it has a date.
func TestPlannedWithoutAType(t *testing.T) {
	s := amd()
	patient(s)
	planned := row("n:3.1/", imagingForm, study.PartialDate{})
	planned.Visit.Planned = partial(t, "2026-04-09")
	undated := row("n:4.1/", imagingForm, study.PartialDate{})
	h, j := settled(s, date(t, "2026-02-01"), seen(t, "baseline", "2026-01-01"), []study.Record{planned, undated})
	if v := find(t, j.Visits, "n:3.1/"); v.Status != study.Scheduled || v.Timing != "" || v.Type != -1 {
		t.Errorf("planned: %+v", v)
	}
	if v := find(t, j.Visits, "n:4.1/"); v.Status != study.Unscheduled {
		t.Errorf("neither planned nor dated: %+v", v)
	}
	event := row("", eventForm, study.PartialDate{})
	for _, status := range []study.ParticipantStatus{study.Finished, study.ScreenFailure} {
		_, j = course(s, date(t, "2026-02-01"), seen(t, "baseline", "2026-01-01"), []study.Record{planned}, standing(event, status, date(t, "2026-01-20")))
		if v := find(t, j.Visits, "n:3.1/"); v.Status != study.Cancelled {
			t.Errorf("%s: %+v", status, v)
		}
	}
	happened := planned
	happened.Visit.Actual = partial(t, "2026-04-09")
	if v := find(t, NewRules(s).Judge(h, []study.Record{happened}, date(t, "2026-04-10")).Visits, "n:3.1/"); v.Status != study.Unscheduled {
		t.Errorf("happened: %+v", v)
	}
}
