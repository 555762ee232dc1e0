package transform

import (
	"fmt"
	"testing"
	"time"

	"longitude/study"
)

func TestRepeatingVisits(t *testing.T) {
	s := amd()
	patient(s)
	s.Visits = append(s.Visits, study.VisitType{Name: "injection", Repeats: true, Required: true, HasWindow: true, Forms: []study.VisitForm{{Form: "imaging"}, {Form: "consent"}}})
	s.Deviations.FormGraceDays = 10
	injection := func(key, on string) study.Record { return row("injection/"+key, imagingForm, partial(t, on)) }
	h, j := settled(s, date(t, "2026-01-20"), append(seen(t, "baseline", "2026-01-01"), injection("1", "2026-01-05"), injection("2", "2026-01-05"), injection("2026-01-15", "2026-01-15")))
	for _, key := range []string{"injection/1", "injection/2", "injection/2026-01-15"} {
		if v := find(t, j.Visits, key); v.Type != 4 || v.Status != study.Completed || v.Timing != study.NoWindow || v.Due.Known() {
			t.Errorf("%s: %+v", key, v)
		}
	}
	expectCodes(t, j, study.FormMissing+":consent", study.FormMissing+":consent")
	planned := row("injection/3", imagingForm, study.PartialDate{})
	planned.Visit.Planned = partial(t, "2026-03-01")
	j = NewRules(s).Judge(h, []study.Record{planned, row("month_2/1", imagingForm, partial(t, "2026-02-01"))}, date(t, "2026-01-20"))
	if v := find(t, j.Visits, "injection/3"); v.Status != study.Scheduled || v.Type != 4 {
		t.Errorf("planned: %+v", v)
	}
	if v := find(t, j.Visits, "month_2/1"); v.Type != -1 {
		t.Errorf("%+v is of a type that no protocol has", v)
	}
	_, j = settled(s, date(t, "2026-01-20"), seen(t, "baseline", "2026-01-01"))
	if got := keys(j); got != "baseline month_1 month_3 month_6" {
		t.Errorf("expected %s: a repeating type owes no visit", got)
	}
	if v := find(t, NewRules(amd()).Judge(newcomer(), []study.Record{row("month_1/2", imagingForm, partial(t, "2026-01-31"))}, 0).Visits, "month_1/2"); v.Type != -1 {
		t.Errorf("%+v: month_1 takes one visit", v)
	}
}

// Chains of anchors are followed as far as visits have happened, and a circle of
// anchors has no dates.
func TestAnchorsInChains(t *testing.T) {
	s := amd()
	patient(s)
	s.Visits[2].Anchor, s.Visits[2].Day = "month_1", 60
	s.Visits[3].Anchor, s.Visits[3].Day = "month_3", 90
	asOf := date(t, "2026-01-02")
	h, _ := settled(s, asOf, append(seen(t, "baseline", "2026-01-01"), append(seen(t, "month_1", "2026-01-31"), seen(t, "month_3", "2026-04-01")...)...))
	if v := find(t, h.Visits, "month_6"); v.Due.String() != "2026-06-30" {
		t.Errorf("due %s, want 90 days after month_3", v.Due)
	}
	j := NewRules(s).Judge(h, seen(t, "month_3", "2026-04-03"), asOf)
	if v := find(t, j.Visits, "month_6"); v.Due.String() != "2026-07-02" {
		t.Errorf("due %s after its anchor was corrected", v.Due)
	}
	s.Visits[2].Anchor, s.Visits[3].Anchor = "month_6", "month_3"
	_, j = settled(s, asOf, seen(t, "baseline", "2026-01-01"))
	if got := keys(j); got != "baseline month_1" {
		t.Errorf("expected %s of a circle", got)
	}
}

// What was to come when participation ended, nobody knows when, stays cancelled.
func TestEndOnAnUnknownDay(t *testing.T) {
	s := amd()
	patient(s)
	event := row("", eventForm, study.PartialDate{})
	h, _ := settled(s, date(t, "2026-03-01"), seen(t, "baseline", "2026-01-01"), standing(event, study.Lost, study.NoDate))
	j := NewRules(s).Judge(h, nil, date(t, "2027-01-01"))
	for key, want := range map[string]study.VisitStatus{"month_1": study.Missed, "month_3": study.Cancelled, "month_6": study.Cancelled} {
		if v := find(t, j.Visits, key); v.Status != want {
			t.Errorf("%s: %s, want %s", key, v.Status, want)
		}
	}
	s.Relative = true
	_, j = settled(s, date(t, "2027-01-01"), []study.Record{row("baseline", imagingForm, study.ExactDate(0))}, standing(event, study.Finished, date(t, "2026-05-01")))
	if v := find(t, j.Visits, "month_1"); v.Status != study.Cancelled {
		t.Errorf("in a relative calendar: %+v", v.Verdict)
	}
}

// A screen failure owes nothing; enrolled after re-screening, everything again.
func TestScreenFailure(t *testing.T) {
	s, asOf := amd(), date(t, "2026-02-20")
	event := row("", eventForm, study.PartialDate{})
	h, j := settled(s, asOf, seen(t, "baseline", "2026-01-01"))
	the(t, j, study.VisitMissed, study.Open)
	news := standing(event, study.ScreenFailure, date(t, "2026-01-02"))
	j = NewRules(s).Judge(h, news, asOf)
	h = keep(h, news, j)
	the(t, j, study.VisitMissed, study.Resolved)
	for _, v := range j.Visits[1:] {
		if v.Status != study.Cancelled {
			t.Errorf("%s: %s", v.Key, v.Status)
		}
	}
	news = standing(event, study.Enrolled, date(t, "2026-02-01"))
	h = keep(h, news, NewRules(s).Judge(h, news, asOf))
	j = NewRules(s).Judge(h, nil, asOf)
	the(t, j, study.VisitMissed, study.Open)
	if j.Participant.Status != study.Enrolled || j.Participant.StatusOn != date(t, "2026-02-01") {
		t.Errorf("%+v", j.Participant)
	}
}

func TestStatusAndWithdrawal(t *testing.T) {
	asOf, on := date(t, "2026-01-02"), date(t, "2026-02-01")
	of := func(occurrence string, second int64, status study.ParticipantStatus, withdrawn study.Date) study.Record {
		r := row("", eventForm, study.PartialDate{})
		r.Occurrence, r.Status, r.StatusOn, r.Withdrawn = occurrence, status, study.NoDate, withdrawn
		r.Hash = [16]byte{occurrence[0], byte(second)}
		if second > 0 {
			r.Modified = time.Unix(second, 0)
		}
		return r
	}
	none := study.NoDate
	for name, c := range map[string]struct {
		given     [][]study.Record
		status    study.ParticipantStatus
		withdrawn study.Date
	}{
		"enrolled takes a withdrawal back":              {[][]study.Record{{of("1", 0, "", on)}, {of("2", 0, study.Enrolled, none)}}, study.Enrolled, none},
		"in one delivery":                               {[][]study.Record{{of("1", 1, "", on), of("2", 2, study.Enrolled, none)}}, study.Enrolled, none},
		"but not where it was said before":              {[][]study.Record{{of("1", 2, "", on), of("2", 1, study.Enrolled, none)}}, study.Enrolled, on},
		"nor by a row that says both":                   {[][]study.Record{{of("1", 0, study.Enrolled, on)}}, study.Enrolled, on},
		"nor by one delivered again":                    {[][]study.Record{{of("2", 0, study.Enrolled, none)}, {of("1", 0, "", on)}, {of("2", 0, study.Enrolled, none)}}, study.Enrolled, on},
		"an older row does not move status back":        {[][]study.Record{{of("1", 5, study.Withdrew, none)}, {of("2", 4, study.Enrolled, none)}}, study.Withdrew, none},
		"a later one does":                              {[][]study.Record{{of("1", 5, study.Withdrew, none)}, {of("2", 6, study.Enrolled, none)}}, study.Enrolled, none},
		"a removed row says nothing":                    {[][]study.Record{{of("1", 0, study.Screening, none)}, removal(of("2", 0, study.Died, none))}, study.Screening, none},
		"silence takes nothing back":                    {[][]study.Record{{of("1", 0, study.Lost, none)}, {of("2", 0, "", none)}}, study.Lost, none},
		"an older withdrawal does not move a later one": {[][]study.Record{{of("1", 5, "", on)}, {of("2", 4, "", on-20)}}, "", on},
		"a later one does move it":                      {[][]study.Record{{of("1", 5, "", on)}, {of("2", 6, "", on-20)}}, "", on - 20},
		"an older one is better than none":              {[][]study.Record{{of("1", 5, "", none)}, {of("2", 4, "", on)}}, "", on},
		"of two rows the later":                         {[][]study.Record{{of("1", 2, study.Lost, none), of("2", 1, study.Finished, none)}}, study.Lost, none},
		"a correction of the row that said it":          {[][]study.Record{{of("1", 5, study.Lost, none)}, {of("1", 7, study.Finished, none)}}, study.Finished, none},
		"an older version of the row that did it":       {[][]study.Record{{of("1", 7, study.Lost, none)}, {of("1", 6, study.Finished, none)}}, study.Lost, none},
	} {
		_, j := settled(amd(), asOf, c.given...)
		if p := j.Participant; p.Status != c.status || p.Withdrawn != c.withdrawn {
			t.Errorf("%s: %s, withdrawn %q", name, p.Status, p.Withdrawn)
		}
	}
	// The day of the status withdrawn is one of withdrawal, and stays so after it.
	since := func(second int64, on study.Date) study.Record {
		r := of("1", second, study.Withdrew, none)
		r.StatusOn = on
		return r
	}
	for name, c := range map[string]struct {
		given [][]study.Record
		want  study.Date
	}{
		"by status alone":      {[][]study.Record{{since(1, on)}}, on},
		"and then died":        {[][]study.Record{{since(1, on)}, {of("2", 2, study.Died, none)}}, on},
		"a corrected day":      {[][]study.Record{{since(1, on)}, {since(2, on+9)}}, on + 9},
		"told earlier as well": {[][]study.Record{{of("2", 1, "", on-5)}, {since(2, on)}}, on - 5},
		"told later as well":   {[][]study.Record{{of("2", 1, "", on+5)}, {since(2, on)}}, on},
		"and enrolled again":   {[][]study.Record{{since(1, on)}, {of("2", 3, study.Enrolled, none)}}, none},
		"since an unknown day": {[][]study.Record{{since(1, none)}}, none},
	} {
		if _, j := settled(amd(), asOf, c.given...); j.Participant.Withdrawn != c.want {
			t.Errorf("withdrawn %s: on %s, want %s", name, j.Participant.Withdrawn, c.want)
		}
	}
	dated := of("1", 0, study.Lost, none)
	dated.StatusOn = on
	_, j := settled(amd(), asOf, []study.Record{dated}, []study.Record{of("2", 0, study.Lost, none)})
	if got := fmt.Sprint(j.Participant.StatusOn); got != "2026-02-01" {
		t.Errorf("lost since %s: a row that does not know when takes nothing back", got)
	}
}

// The day of consent follows from the consent records that are there.
func TestConsentOfTheRecordsThatAreThere(t *testing.T) {
	s, asOf := consenting(), date(t, "2026-03-01")
	consent := func(occurrence, on string, second int64) study.Record {
		r := row("", consentForm, study.PartialDate{})
		r.Occurrence, r.Hash, r.Modified = occurrence, [16]byte{occurrence[0], byte(second)}, time.Unix(second, 0)
		if on != "" {
			r.Consented = date(t, on)
		}
		return r
	}
	first, second := consent("1", "2026-01-01", 1), consent("2", "2026-02-01", 2)
	gone := first
	gone.Removed, gone.Consented, gone.Modified = true, study.NoDate, time.Unix(3, 0)
	for name, c := range map[string]struct {
		given [][]study.Record
		want  string
	}{
		"the first of two":            {[][]study.Record{{second}, {first}}, "2026-01-01"},
		"the first is removed":        {[][]study.Record{{first}, {second}, {gone}}, "2026-02-01"},
		"in another order":            {[][]study.Record{{second}, {gone}, {first}}, "2026-02-01"},
		"the first loses its date":    {[][]study.Record{{first}, {second}, {consent("1", "", 4)}}, "2026-02-01"},
		"the first is corrected":      {[][]study.Record{{first}, {second}, {consent("1", "2026-01-09", 4)}}, "2026-01-09"},
		"both are removed":            {[][]study.Record{{first}, {gone}}, ""},
		"an older version comes late": {[][]study.Record{{consent("1", "2026-01-09", 4)}, {first}}, "2026-01-09"},
	} {
		if _, j := settled(s, asOf, c.given...); j.Participant.Consented.String() != c.want {
			t.Errorf("%s: %s, want %s", name, j.Participant.Consented, c.want)
		}
	}
	h, _ := settled(s, asOf, []study.Record{first})
	h.Participant.Facts = "" // stored before consents were kept one by one
	j := NewRules(s).Judge(h, []study.Record{second}, asOf)
	if j.Participant.Consented.String() != "2026-01-01" {
		t.Errorf("consent %s of records stored before", j.Participant.Consented)
	}
	if j = NewRules(s).Judge(h, []study.Record{gone, second}, asOf); j.Participant.Consented.String() != "2026-02-01" {
		t.Errorf("consent %s once they are gone", j.Participant.Consented)
	}
}

// What is known of participants stored before it was kept when it was told counts
// until anything else is told.
func TestFactsOfUnknownTime(t *testing.T) {
	asOf, on := date(t, "2026-01-02"), date(t, "2026-02-01")
	event := row("", eventForm, study.PartialDate{})
	h, _ := settled(amd(), asOf, standing(event, study.Withdrew, on))
	h.Participant.Told, h.Participant.Site = "", "north"
	if p := NewRules(amd()).Judge(h, nil, asOf).Participant; p.Site != "north" || p.Status != study.Withdrew || p.StatusOn != on || p.Withdrawn != on {
		t.Errorf("%+v", p)
	}
	news := standing(event, study.Enrolled, study.NoDate)
	news[0].Site, news[0].Modified = "south", time.Unix(1, 0)
	if p := NewRules(amd()).Judge(h, news, asOf).Participant; p.Site != "south" || p.Status != study.Enrolled || p.StatusOn.Known() || p.Withdrawn.Known() {
		t.Errorf("%+v", p)
	}
}

// An export that repeats a day of an event does not make it the latest: another
// export has corrected it since.
func TestRepeatedEventIsNotTheLatest(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	s.Facts = []study.FactSource{{Name: "treated", Kind: study.EventFact, Form: eventForm}}
	s.Visits[1].Anchor = "treated"
	told := func(occurrence, on string) study.Record {
		r := row("", eventForm, study.PartialDate{})
		r.Occurrence, r.Hash, r.Facts = occurrence, [16]byte{occurrence[0]}, []study.Fact{{Index: 0, Value: on}}
		return r
	}
	first, second := told("1", "2026-01-01"), told("2", "2026-01-05")
	h, j := settled(s, asOf, []study.Record{first}, []study.Record{second})
	due := find(t, j.Visits, "month_1").Due
	h.Landing = landing(9)
	if again := find(t, NewRules(s).Judge(h, []study.Record{first}, asOf).Visits, "month_1").Due; again != due || due.String() != "2026-02-04" {
		t.Errorf("due %s, and %s when the first is repeated", due, again)
	}
}
