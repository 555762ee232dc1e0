package transform

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"longitude/study"
)

// What is absent is raised when records have settled; while records arrive it
// stays only as long as its cause.
func TestAbsenceWaits(t *testing.T) {
	asOf := date(t, "2026-03-01")
	h, j := course(amd(), asOf, append(seen(t, "baseline", "2026-01-01")[:2], seen(t, "month_3", "2026-02-20")...))
	expectCodes(t, j, study.VisitOutOfWindow)
	if v := find(t, j.Visits, "month_1"); v.Status != study.Missed {
		t.Errorf("the verdict waits for nothing: %+v", v)
	}
	step := func(news []study.Record, want ...string) {
		t.Helper()
		j = NewRules(amd()).Judge(h, news, asOf)
		h = keep(h, news, j)
		expectCodes(t, j, want...)
	}
	step(nil, study.VisitOutOfWindow, study.FormMissing+":imaging", study.VisitMissed)
	event := row("", eventForm, study.PartialDate{})
	step([]study.Record{event}, study.VisitOutOfWindow, study.FormMissing+":imaging", study.VisitMissed)
	step(seen(t, "baseline", "2026-01-02")[:2], study.VisitOutOfWindow, study.FormMissing+":imaging", study.VisitMissed)
	if d := the(t, j, study.VisitMissed, study.Open); d.Evidence != "no visit in 2026-01-25..2026-02-15" {
		t.Errorf("evidence %q after its cause moved", d.Evidence)
	}
	step(seen(t, "baseline", "2026-01-02")[2:], study.VisitOutOfWindow, study.VisitMissed)
	step(removal(row("baseline", imagingForm, partial(t, "2026-01-02"))), study.VisitOutOfWindow, study.VisitMissed)
	step(nil, study.VisitOutOfWindow, study.VisitMissed, study.FormMissing+":imaging")
}

// A visit whose records are all removed has not happened, until one comes back.
func TestRemoval(t *testing.T) {
	s, asOf := amd(), date(t, "2026-03-01")
	patient(s)
	month1, noted := seen(t, "month_1", "2026-01-31"), row("u:00ff/2026-02-01", imagingForm, partial(t, "2026-02-01"))
	h, _ := settled(s, asOf, append(seen(t, "baseline", "2026-01-01"), month1...), []study.Record{noted, dated(t, "2026-03-20")})
	step := func(what string, news []study.Record, want string) {
		t.Helper()
		j := NewRules(s).Judge(h, news, asOf)
		h = keep(h, news, j)
		got := ""
		for _, key := range []string{"month_1", noted.Visit.Key, "d:2026-03-20"} {
			v := find(t, j.Visits, key)
			got += fmt.Sprint(v.Status, " ", v.Actual, "; ")
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
		if again := NewRules(s).Judge(h, nil, asOf); !slices.Equal(again.Visits, j.Visits) {
			t.Errorf("%s: judged again the visits differ", what)
		}
	}
	step("one of three", removal(month1[0]), "completed 2026-01-31; unscheduled 2026-02-01; completed 2026-03-20; ")
	step("the rest", removals(month1[1:]), "missed ; unscheduled 2026-02-01; completed 2026-03-20; ")
	step("those of no type and of a date", removals([]study.Record{noted, dated(t, "2026-03-20")}), "missed ; cancelled ; cancelled ; ")
	step("one comes back", month1[1:2], "completed 2026-01-31; cancelled ; cancelled ; ")
	step("all are back", []study.Record{noted, dated(t, "2026-03-20")}, "completed 2026-01-31; unscheduled 2026-02-01; completed 2026-03-20; ")
	older := removal(month1[1])
	older[0].Landed = 1
	step("a removal read again from an older object", older, "completed 2026-01-31; unscheduled 2026-02-01; completed 2026-03-20; ")
}

// A removed baseline leaves no anchor; that of a repeating visit leaves nothing owed.
func TestRemovedBaseline(t *testing.T) {
	s := amd()
	s.Visits = append(s.Visits, study.VisitType{Name: "injection", Repeats: true})
	injection := row("injection/2", imagingForm, partial(t, "2026-01-10"))
	h, _ := settled(s, date(t, "2026-01-02"), append(seen(t, "baseline", "2026-01-01"), injection))
	j := NewRules(s).Judge(h, append(removals(seen(t, "baseline", "2026-01-01")), removal(injection)...), date(t, "2026-01-02"))
	for key, want := range map[string]study.VisitStatus{"baseline": study.Scheduled, "month_1": study.Scheduled, "injection/2": study.Cancelled} {
		if v := find(t, j.Visits, key); v.Status != want || v.Due.Known() {
			t.Errorf("%s: %+v", key, v.Verdict)
		}
	}
}

// An object that is read again keeps its place in order of landing.
func TestReplay(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	on := func(day string, landed int64) study.Record {
		r := row("month_1", imagingForm, partial(t, day))
		r.Landed, r.Site, r.Hash = landed, day, [16]byte{day[9]}
		return r
	}
	h, _ := course(s, asOf, []study.Record{on("2026-02-01", 1)}, []study.Record{on("2026-02-02", 2)})
	again := func(r study.Record) study.Judgement {
		h.Landing = landing(r.Landed)
		return NewRules(s).Judge(h, []study.Record{r}, asOf)
	}
	j := again(on("2026-02-03", 1))
	if v := find(t, j.Visits, "month_1"); v.Actual.String() != "2026-02-02" || j.Participant.Site != "2026-02-02" {
		t.Errorf("actual %s, site %s from an older object", v.Actual, j.Participant.Site)
	}
	j = again(on("2026-02-03", 2))
	if v := find(t, j.Visits, "month_1"); v.Actual.String() != "2026-02-03" || j.Participant.Site != "2026-02-03" {
		t.Errorf("actual %s, site %s from the object that counts, read anew", v.Actual, j.Participant.Site)
	}
	other := row("month_3", imagingForm, partial(t, "2026-04-01"))
	other.Landed, other.Site = 1, "first"
	if j = again(other); j.Participant.Site != "2026-02-02" {
		t.Errorf("site %s: an older row of the form moved it back", j.Participant.Site)
	}
	other.Landed, other.Modified = 3, time.Unix(5, 0)
	if j = again(other); j.Participant.Site != "2026-02-02" {
		t.Errorf("site %s: a row modified before the object landed that told it moved it back", j.Participant.Site)
	}
}

// The day of first entry is that of first sight, whatever is said of it later.
func TestFirstEntryIsKept(t *testing.T) {
	s, asOf := amd(), date(t, "2026-03-01")
	patient(s)
	entered := func(on string, hash byte) []study.Record {
		r := row("baseline", imagingForm, partial(t, "2026-01-01"))
		r.Hash = [16]byte{hash}
		if on != "" {
			r.Entered = date(t, on)
		}
		return []study.Record{r}
	}
	const late, early = "2026-01-20", "2026-01-02"
	for name, c := range map[string]struct {
		given [][]study.Record
		late  bool
	}{
		"late, and again":                       {[][]study.Record{entered(late, 1), entered(early, 1)}, true},
		"late, and corrected":                   {[][]study.Record{entered(late, 1), entered(early, 2)}, true},
		"in time, and corrected":                {[][]study.Record{entered(early, 1), entered(late, 2)}, false},
		"twice in one object":                   {[][]study.Record{append(entered(late, 1), entered(early, 2)...)}, false},
		"nobody knew, and again":                {[][]study.Record{entered("", 1), entered(late, 1)}, false},
		"nobody knew, and corrected":            {[][]study.Record{entered("", 1), entered(late, 2), entered(early, 3)}, true},
		"nobody knew, then corrected, in time":  {[][]study.Record{entered("", 1), entered(early, 2), entered(late, 3)}, false},
		"removed, and there again, with a date": {[][]study.Record{entered(late, 1), removal(entered("", 2)[0]), entered(early, 3)}, true},
	} {
		h, j := settled(s, asOf, c.given...)
		if _, again := settled(s, asOf, c.given...); !slices.Equal(open(again), open(j)) {
			t.Errorf("%s: not the same twice", name)
		}
		if got := slices.Contains(open(j), study.LateEntry+":imaging"); got != c.late {
			t.Errorf("%s: late %t", name, got)
		}
		h.Landing = landing(9)
		last := c.given[len(c.given)-1]
		if got := slices.Contains(open(NewRules(s).Judge(h, last, asOf)), study.LateEntry+":imaging"); got != c.late {
			t.Errorf("%s: late %t when its snapshot comes again", name, got)
		}
	}
}

func TestLocks(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	patient(s)
	month1 := seen(t, "month_1", "2026-01-31")
	h, before := settled(s, asOf, append(seen(t, "baseline", "2026-01-01"), month1...))
	h.Locks = []study.Lock{{ID: 9}, {ID: 8, Visit: "month_1"}}
	moved := slices.Clone(seen(t, "month_1", "2026-02-20"))
	moved[1].Hash, moved[1].Withdrawn = [16]byte{5}, date(t, "2026-01-05")
	unlocked := row("", eventForm, study.PartialDate{})
	j := NewRules(s).Judge(h, append(moved, unlocked), asOf)
	if got := fmt.Sprint(j.Blocked); got != fmt.Sprint([]string{study.EditedAfterLock, study.EditedAfterLock, study.EditedAfterLock, study.EditedAfterLock}) {
		t.Errorf("blocked %s", got)
	}
	if !slices.Equal(j.Visits, before.Visits) || j.Participant != before.Participant {
		t.Errorf("what is refused told something: %+v", j)
	}
	expectCodes(t, j, study.EditedAfterLock+":events", study.EditedAfterLock+":acuity/R", study.EditedAfterLock+":acuity/L", study.EditedAfterLock+":imaging")
	for _, d := range j.Deviations {
		if want := map[bool]string{true: "arrived under lock 8", false: "arrived under lock 9"}[d.VisitNo > 0]; d.Evidence != want {
			t.Errorf("evidence %q, want %q", d.Evidence, want)
		}
	}
	h = keep(h, append(moved, unlocked), j)
	h.Locks = h.Locks[1:]
	if j = NewRules(s).Judge(h, nil, asOf); len(open(j)) != 3 {
		t.Errorf("%q are open under the lock of the visit", open(j))
	}
	h.Locks = nil
	j = NewRules(s).Judge(h, moved, asOf)
	if v := find(t, j.Visits, "month_1"); v.Actual.String() != "2026-02-20" || j.Blocked[0] != "" {
		t.Errorf("after unlocking: %+v", v)
	}
	the(t, j, study.EditedAfterLock, study.Resolved)
}

// A version that its source dated is known wherever in the history it stands; a
// visit that a lock keeps from being does not come to be.
func TestLockedHistory(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	patient(s)
	dated := func(content byte, second int64) study.Record {
		r := row("baseline", imagingForm, partial(t, "2026-01-01"))
		r.Hash, r.Modified = [16]byte{content}, time.Unix(second, 0)
		return r
	}
	log := []study.Record{dated(1, 1), dated(2, 2)}
	h, _ := settled(s, asOf, log)
	h.Locks = []study.Lock{{ID: 3}}
	if j := NewRules(s).Judge(h, log, asOf); slices.Contains(j.Blocked, study.EditedAfterLock) {
		t.Errorf("blocked %q: both versions are known", j.Blocked)
	}
	news := []study.Record{dated(1, 3), row("month_1", imagingForm, partial(t, "2026-01-31"))}
	j := NewRules(s).Judge(h, news, asOf)
	if j.Blocked[0] != study.EditedAfterLock || j.Blocked[1] != study.EditedAfterLock || j.VisitNo[1] == 0 {
		t.Errorf("blocked %q, visits %d: month_1 is expected, so it has its number", j.Blocked, j.VisitNo)
	}
	j = NewRules(s).Judge(h, []study.Record{row("u:00ff/2026-01-31", imagingForm, partial(t, "2026-01-31"))}, asOf)
	if j.VisitNo[0] != 0 || len(j.Visits) != 4 || the(t, j, study.EditedAfterLock, study.Open).VisitNo != 0 {
		t.Errorf("visit %d of %d", j.VisitNo[0], len(j.Visits))
	}
}

// A person's explanation holds for the evidence it was given for.
func TestExplanations(t *testing.T) {
	s, asOf := amd(), date(t, "2026-02-20")
	patient(s)
	s.Deviations.VisitOutOfWindow = policyRequireReason
	h, j := settled(s, asOf, append(seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-02-15")...))
	d := the(t, j, study.VisitOutOfWindow, study.Open)
	if len(j.Holds) != 3 {
		t.Errorf("holds %+v", j.Holds)
	}
	h.Explained = []study.Explanation{{DeviationKey: d.DeviationKey, Evidence: d.Evidence}}
	j = NewRules(s).Judge(h, nil, asOf)
	the(t, j, study.VisitOutOfWindow, study.Explained)
	if len(j.Holds) != 0 {
		t.Errorf("holds %+v though it is explained", j.Holds)
	}
	h = keep(h, nil, j)
	j = NewRules(s).Judge(h, seen(t, "month_1", "2026-02-16"), asOf)
	the(t, j, study.VisitOutOfWindow, study.Open)
	if len(j.Holds) != 3 {
		t.Errorf("holds %+v: the explanation was for another date", j.Holds)
	}
}

func TestIdentityConflict(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	patient(s)
	identifying(s)
	first, second := row("month_1", imagingForm, partial(t, "2026-01-31")), row("baseline", imagingForm, partial(t, "2026-01-01"))
	h := newcomer()
	step := func(what string, news []study.Record, held ...int32) {
		t.Helper()
		var j study.Judgement
		for _, news := range [][]study.Record{news, nil} { // what is held stays so
			j = NewRules(s).Judge(h, news, asOf)
			h = keep(h, news, j)
			var got []int32
			for _, hold := range j.Holds {
				if hold.Code != study.IdentityConflict {
					t.Errorf("%s: held for %s", what, hold.Code)
				}
				got = append(got, hold.Key.VisitNo)
			}
			if !slices.Equal(got, held) {
				t.Errorf("%s: visits %d are held, want %d (facts %q)", what, got, held, j.Participant.Facts)
			}
		}
		if len(held) > 0 {
			if d := the(t, j, study.IdentityConflict, study.Open); d.Evidence != "sex in imaging differs from imaging" || d.VisitNo != held[0] {
				t.Errorf("%s: %+v", what, d)
			}
		}
	}
	step("one record", telling(first, 0, "F")) // visit 1
	no := find(t, NewRules(s).Judge(h, telling(second, 0, "M"), asOf).Visits, "baseline").No
	step("another contradicts it", telling(second, 0, "M"), no)
	step("delivered again", telling(second, 0, "M"), no)
	step("the first delivered again", telling(first, 0, "F"), no)
	step("the first was wrong", telling(first, 0, "M"))
	step("and is changed back: now it contradicts", telling(first, 0, "F"), 1)
	step("the other is removed", removal(second))
	step("and comes back", telling(second, 0, "M"), no)
	step("corrected", telling(second, 0, "F"))
}

// The number in the evidence is that of the version that was changed, and a
// delivery that ends where it began changes nothing.
func TestChangesAreNumbered(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	patient(s)
	is := func(content byte) study.Record {
		return saying(row("baseline", imagingForm, partial(t, "2026-01-01")), content, study.ChangeUnexplained)[0]
	}
	h, _ := settled(s, asOf, []study.Record{is(1)})
	news := []study.Record{is(1), is(2)}
	j := NewRules(s).Judge(h, news, asOf)
	d := the(t, j, study.ChangeWithoutReason, study.Open)
	if d.Evidence != "version 1 changed without a reason" {
		t.Errorf("evidence %q", d.Evidence)
	}
	h = keep(h, news[1:], NewRules(s).Judge(h, news[1:], asOf))
	h.Explained = []study.Explanation{{DeviationKey: d.DeviationKey, Evidence: d.Evidence}}
	the(t, NewRules(s).Judge(h, news, asOf), study.ChangeWithoutReason, study.Explained)
	d = the(t, NewRules(s).Judge(h, []study.Record{is(3)}, asOf), study.ChangeWithoutReason, study.Open)
	if d.Evidence != "version 2 changed without a reason" {
		t.Errorf("evidence %q of the next change", d.Evidence)
	}
}

// A refused change stays an open matter while any lock covers it.
func TestAnotherLockTakesOver(t *testing.T) {
	s, asOf := amd(), date(t, "2026-01-02")
	patient(s)
	first := row("baseline", imagingForm, partial(t, "2026-01-01"))
	h, _ := settled(s, asOf, []study.Record{first})
	h.Locks = []study.Lock{{ID: 4}}
	news := saying(first, 2, study.ChangeUnasked)
	h = keep(h, news, NewRules(s).Judge(h, news, asOf))
	h.Locks = []study.Lock{{ID: 5, Visit: "baseline"}}
	if d := the(t, NewRules(s).Judge(h, nil, asOf), study.EditedAfterLock, study.Open); d.Evidence != "arrived under lock 4" {
		t.Errorf("evidence %q", d.Evidence)
	}
	h.Locks = []study.Lock{{ID: 5, Visit: "month_1"}}
	the(t, NewRules(s).Judge(h, nil, asOf), study.EditedAfterLock, study.Resolved)
}

// The source's reason for a missed visit explains it whenever the absence is raised.
func TestReasonForAbsence(t *testing.T) {
	s, asOf := amd(), date(t, "2026-03-01")
	patient(s)
	month1 := func(second int64, on string, reason bool) []study.Record {
		r := row("month_1", imagingForm, partial(t, on))
		r.Modified, r.Visit.Reason = time.Unix(second, 0), reason
		return []study.Record{r}
	}
	h, j := settled(s, asOf, seen(t, "baseline", "2026-01-01"), month1(1, "", true))
	the(t, j, study.VisitMissed, study.Explained)
	news := month1(2, "2026-01-31", false)
	j = NewRules(s).Judge(h, news, asOf)
	the(t, j, study.VisitMissed, study.Resolved)
	h = keep(h, news, j)
	news = month1(3, "", true)
	h = keep(h, news, NewRules(s).Judge(h, news, asOf))
	the(t, NewRules(s).Judge(h, nil, asOf), study.VisitMissed, study.Explained)
}
