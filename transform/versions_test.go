package transform

import (
	"testing"

	"longitude/study"
)

// amended is amd with an amendment of 1 March 2026, adopted at site north on
// 1 April and never at site south: month_1 has 10 days after, month_3 moves to day
// 100, month_6 is retired and month_9 is new.
func amended(t *testing.T) *study.Study {
	s := amd()
	patient(s)
	first := append([]study.VisitType(nil), s.Visits...)
	month9 := study.VisitType{Name: "month_9", Day: 270, Before: 10, After: 10, HasWindow: true, Required: true}
	absent := month9
	absent.Absent = true
	second := append([]study.VisitType(nil), s.Visits...)
	second[1].After, second[2].Day, second[3].Absent = 10, 100, true
	s.Visits = append(append([]study.VisitType(nil), second[:3]...), first[3], month9)
	s.Versions = []study.ProtocolVersion{
		{Version: "1", Effective: study.NoDate, Visits: append(first, absent)},
		{Version: "2", Effective: date(t, "2026-03-01"), Visits: append(second, month9),
			Sites: map[string]study.Date{"north": date(t, "2026-04-01"), "south": study.NoDate}},
	}
	return s
}

func at(site string, records []study.Record) []study.Record {
	for i := range records {
		records[i].Site = site
	}
	return records
}

func TestVersionInForce(t *testing.T) {
	for name, c := range map[string]struct {
		site, visit, actual string
		due                 string
		protocol            int
		status              study.VisitStatus
		timing              study.Timing
	}{
		"the day before adoption":             {"", "month_1", "2026-02-28", "2026-01-31", 0, study.Completed, study.Late},
		"the day of adoption":                 {"", "month_3", "2026-03-01", "2026-04-11", 1, study.Completed, study.Early},
		"adopted later at the site":           {"north", "month_3", "2026-03-31", "2026-04-01", 0, study.Completed, study.InWindow},
		"on the day the site adopted it":      {"north", "month_3", "2026-04-01", "2026-04-11", 1, study.Completed, study.InWindow},
		"never adopted at the site":           {"south", "month_3", "2027-01-01", "2026-04-01", 0, study.Completed, study.Late},
		"a partial date is its first day":     {"", "month_3", "2026-03", "2026-04-11", 1, study.Completed, study.Indeterminate},
		"a year begins before the amendment":  {"", "month_3", "2026", "2026-04-01", 0, study.Completed, study.Indeterminate},
		"pending, due after adoption":         {"", "month_3", "", "2026-04-11", 1, study.Scheduled, ""},
		"pending, due before adoption":        {"", "month_1", "", "2026-01-31", 0, study.Scheduled, ""},
		"pending, due before the site adopts": {"south", "month_3", "", "2026-04-01", 0, study.Scheduled, ""},
		"retired when it is due":              {"south", "month_6", "", "2026-06-30", 0, study.Scheduled, ""},
		"retired where it never was":          {"south", "month_6", "2026-06-30", "2026-06-30", 0, study.Completed, study.InWindow},
		"new where it is adopted":             {"", "month_9", "", "2026-09-28", 1, study.Scheduled, ""},
		"happened though retired":             {"", "month_6", "2026-06-30", "", 1, study.Unscheduled, study.NoWindow},
	} {
		t.Run(name, func(t *testing.T) {
			news := seen(t, "baseline", "2026-01-01")
			if c.actual != "" {
				news = append(news, seen(t, c.visit, c.actual)...)
			}
			_, j := settled(amended(t), date(t, "2026-01-02"), at(c.site, news))
			v := find(t, j.Visits, c.visit)
			if v.Due.String() != c.due || v.Protocol != c.protocol || v.Status != c.status || v.Timing != c.timing {
				t.Errorf("due %s under version %d, %s %s", v.Due, v.Protocol, v.Status, v.Timing)
			}
		})
	}
	_, j := settled(amended(t), date(t, "2026-01-02"), at("", seen(t, "baseline", "2026-01-01")))
	if got := keys(j); got != "baseline month_1 month_3 month_9" {
		t.Errorf("expected %s where the amendment is adopted", got)
	}
	_, j = settled(amended(t), date(t, "2026-01-02"), at("south", seen(t, "baseline", "2026-01-01")))
	if got := keys(j); got != "baseline month_1 month_3 month_6" {
		t.Errorf("expected %s where it never was", got)
	}
}

// keys lists the visits in order.
func keys(j study.Judgement) (list string) {
	for i, v := range j.Visits {
		if i > 0 {
			list += " "
		}
		list += v.Key
	}
	return list
}

// A transfer to a site that has adopted the amendment re-judges what is to come,
// not what has happened.
func TestTransferChangesTheVersion(t *testing.T) {
	s, asOf := amended(t), date(t, "2026-02-20")
	h, before := settled(s, asOf, at("south", append(seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-01-31")...)))
	if v := find(t, before.Visits, "month_6"); v.Status != study.Scheduled {
		t.Fatalf("month_6 %+v", v)
	}
	after := NewRules(s).Judge(h, at("east", []study.Record{row("", eventForm, study.PartialDate{})}), asOf)
	if v := find(t, after.Visits, "month_6"); v.Status != study.Cancelled || v.Type != 3 || v.Protocol != 1 {
		t.Errorf("the retired visit: %+v", v)
	}
	if v := find(t, after.Visits, "month_1"); v.Protocol != 0 {
		t.Errorf("what happened before the amendment is judged by version %d", v.Protocol)
	}
	if v := find(t, after.Visits, "month_9"); v.Status != study.Scheduled {
		t.Errorf("the new visit: %+v", v)
	}
}

// A visit that is known by its date alone goes to a type of the version in force.
func TestPlaceByDateInTheVersionInForce(t *testing.T) {
	s := amended(t)
	for site, want := range map[string]int{"": -1, "south": 3} {
		_, j := settled(s, date(t, "2026-01-02"), at(site, append(seen(t, "baseline", "2026-01-01"), dated(t, "2026-06-30"))))
		if v := find(t, j.Visits, "d:2026-06-30"); v.Type != want {
			t.Errorf("site %q: type %d, want %d", site, v.Type, want)
		}
	}
}

// A visit of a type that its site adopts only later is unscheduled, and not owed
// beside itself.
func TestVisitBeforeItsTypeIsAdopted(t *testing.T) {
	s := amended(t)
	_, j := settled(s, date(t, "2026-01-02"), append(seen(t, "baseline", "2026-01-01"), seen(t, "month_9", "2026-02-01")...))
	if v := find(t, j.Visits, "month_9"); v.Status != study.Unscheduled || len(j.Visits) != 4 {
		t.Errorf("%+v among %s", v.Verdict, keys(j))
	}
}

// Without a due date the version in force on the as-of date judges; the days of a
// relative calendar do not compare with adoption.
func TestVersionOfTheDay(t *testing.T) {
	s := amended(t)
	h, _ := course(s, date(t, "2026-02-28"), seen(t, "month_1", "2026-01-31"))
	plan := row("month_3", imagingForm, study.PartialDate{})
	plan.Visit.Planned = partial(t, "2026-04-02")
	for on, want := range map[string]int{"2026-02-28": 0, "2026-03-01": 1} {
		j := NewRules(s).Judge(h, []study.Record{plan}, date(t, on))
		if v := find(t, j.Visits, "month_3"); v.Protocol != want || v.Due.Known() {
			t.Errorf("on %s judged by version %d, due %s", on, v.Protocol, v.Due)
		}
	}
	s.Relative = true
	_, j := course(s, date(t, "2026-03-01"), []study.Record{row("month_3", imagingForm, study.ExactDate(99))})
	if v := find(t, j.Visits, "month_3"); v.Protocol != 1 || v.FromTarget != -1 {
		t.Errorf("%+v", v.Verdict)
	}
}

func TestEventAnchors(t *testing.T) {
	s := amd()
	patient(s)
	s.Facts = []study.FactSource{{Name: "events.surgery", Kind: study.EventFact, Form: eventForm}}
	s.Visits[2].Anchor, s.Visits[2].Day, s.Visits[2].Before = "events.surgery", 10, 3
	asOf := date(t, "2026-01-02")
	surgery := func(occurrence, on string) study.Record {
		r := row("", eventForm, study.PartialDate{})
		r.Occurrence = occurrence
		return telling(r, 0, on)[0]
	}
	h, j := settled(s, asOf, seen(t, "baseline", "2026-01-01"))
	if got := keys(j); got != "baseline month_1 month_6" {
		t.Errorf("%s: month_3 has no anchor before the event", got)
	}
	step := func(what, due string, news ...study.Record) {
		t.Helper()
		j = NewRules(s).Judge(h, news, asOf)
		h = keep(h, news, j)
		got := "none"
		for _, v := range j.Visits {
			if v.Key == "month_3" {
				got = v.Due.String()
			}
		}
		if got != due {
			t.Errorf("%s: due %q, want %q (facts %q)", what, got, due, j.Participant.Facts)
		}
		if again := NewRules(s).Judge(h, nil, asOf); again.Participant != j.Participant || find(t, again.Visits, "month_3") != find(t, j.Visits, "month_3") {
			t.Errorf("%s: judged again it differs", what)
		}
	}
	step("told", "2026-02-11", surgery("1", "2026-02-01"))
	step("corrected", "2026-02-15", surgery("1", "2026-02-05"))
	step("told by another record", "2026-03-11", surgery("2", "2026-03-01"))
	step("that record removed", "2026-02-15", removal(surgery("2", "2026-03-01"))...)
	step("removed too", "", removal(surgery("1", "2026-02-05"))...)
	step("known in part", "", surgery("1", "2026-02"))
	step("its slot taken by date in the same call", "", surgery("1", "2026-02-01"), dated(t, "2026-02-10"))
	if v := find(t, j.Visits, "d:2026-02-10"); v.Type != 2 || v.FromTarget != -1 {
		t.Errorf("%+v", v)
	}
}
