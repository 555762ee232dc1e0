package transform

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"longitude/study"
)

// The forms of the test study, by index.
const (
	consentForm = iota
	acuityForm
	imagingForm
	eventForm
)

// amd is the worked example of the study model with the forms that test it.
func amd() *study.Study {
	forms := []study.VisitForm{{Form: "acuity", Critical: true}, {Form: "imaging"}, {Form: "events"}}
	visit := func(name string, day, before, after int) study.VisitType {
		return study.VisitType{Name: name, Day: day, Before: before, After: after, HasWindow: true, Required: true, Forms: forms}
	}
	return &study.Study{
		Name: "amd", Days: study.Elapsed,
		Enrolment:  study.Enrolment{Kind: "first_seen"},
		Consent:    study.Consent{Kind: "external"},
		Deviations: study.DeviationPolicy{LateEntryDays: 14, FormGraceDays: 10, VisitOutOfWindow: "accept"},
		Visits:     []study.VisitType{visit("baseline", 0, 0, 0), visit("month_1", 30, 7, 14), visit("month_3", 90, 14, 21), visit("month_6", 180, 21, 30)},
		Forms: []study.Form{
			consentForm: {Name: "consent"},
			acuityForm:  {Name: "acuity", RepeatsBy: "eye", Expect: []string{"R", "L"}},
			imagingForm: {Name: "imaging"},
			eventForm:   {Name: "events", Log: true},
		},
	}
}

// consenting is amd with enrolment and consent by form.
func consenting() *study.Study {
	s := amd()
	s.Enrolment = study.Enrolment{Kind: "form", Form: "consent"}
	s.Consent = study.Consent{Kind: "form", Form: "consent", Field: "consented_on"}
	return s
}

func date(t testing.TB, text string) study.Date {
	t.Helper()
	d, ok := study.ParseDate(text)
	if !ok {
		t.Fatalf("%q is not a date", text)
	}
	return d
}

func partial(t testing.TB, text string) study.PartialDate {
	t.Helper()
	p, ok := study.ParsePartialDate(text)
	if !ok && text != "" {
		t.Fatalf("%q is not a partial date", text)
	}
	return p
}

// row is a record of form on the visit with key, which happened on actual.
func row(key string, form int, actual study.PartialDate) study.Record {
	return study.Record{Form: form, Occurrence: "1", Visit: study.VisitRef{Key: key, Type: -1, Actual: actual},
		Entered: study.NoDate, Withdrawn: study.NoDate, Consented: study.NoDate}
}

// seen is a complete visit: every expected form was filled in.
func seen(t testing.TB, key, actual string) []study.Record {
	t.Helper()
	at := partial(t, actual)
	right, left := row(key, acuityForm, at), row(key, acuityForm, at)
	right.Occurrence, left.Occurrence = "R", "L"
	return []study.Record{right, left, row(key, imagingForm, at)}
}

func consented(t testing.TB, on string) study.Record {
	t.Helper()
	r := row("baseline", consentForm, partial(t, on))
	r.Consented = date(t, on)
	return r
}

// newcomer is the history of a participant of whom nothing is stored.
func newcomer() study.History {
	return study.History{Participant: study.Participant{ID: 1, Consented: study.NoDate, Withdrawn: study.NoDate}}
}

// keep is what is stored of h once the judgement of news is committed.
func keep(h study.History, news []study.Record, j study.Judgement) study.History {
	h.Participant, h.Visits, h.Holds = j.Participant, slices.Clone(j.Visits), slices.Clone(j.Holds)
	stored := map[study.DeviationKey]study.Deviation{}
	for _, d := range slices.Concat(h.Deviations, j.Deviations) {
		stored[d.DeviationKey] = d
	}
	h.Deviations = nil
	for _, d := range stored {
		h.Deviations = append(h.Deviations, d)
	}
	slices.SortFunc(h.Deviations, compareDeviations)
	h.Versions = slices.Clone(h.Versions)
	landed, last, head := int64(1), map[study.RecordKey]int{}, map[study.RecordKey]int{}
	note := func(i int) {
		v := &h.Versions[i]
		if last[v.Key] = i; !v.Late {
			head[v.Key] = i
		}
	}
	for i := range h.Versions {
		landed = max(landed, h.Versions[i].Landed+1)
		note(i)
	}
	for i, n := range news {
		if j.Blocked[i] != "" {
			continue
		}
		v := study.VersionRef{Key: study.RecordKey{Form: n.Form, VisitNo: j.VisitNo[i], Occurrence: n.Occurrence}, Version: 1, Removed: n.Removed,
			Hash: n.Hash, Modified: n.Modified, Entered: n.Entered, Ordinal: int64(i), Landed: landed, BatchID: landed}
		if n.Landed > 0 {
			v.Landed = n.Landed
		}
		if k, stored := last[v.Key]; stored {
			v.Version = h.Versions[k].Version + 1
		}
		if k, stored := head[v.Key]; stored {
			old := &h.Versions[k]
			if n.Hash != [16]byte{} && n.Hash == old.Hash && n.Modified.Equal(old.Modified) && n.Removed == old.Removed {
				continue // nothing new
			}
			v.Late = !v.Order().Replaces(old.Order())
		}
		h.Versions = append(h.Versions, v)
		note(len(h.Versions) - 1)
	}
	slices.SortStableFunc(h.Versions, func(a, b study.VersionRef) int {
		return cmp.Or(cmp.Compare(a.Key.Form, b.Key.Form), cmp.Compare(a.Key.VisitNo, b.Key.VisitNo),
			cmp.Compare(a.Key.Occurrence, b.Key.Occurrence), cmp.Compare(a.Version, b.Version))
	})
	return h
}

// landing is that of the nth object, after every row was modified.
func landing(n int64) study.Landing { return study.Landing{Batch: n, At: time.Unix(5e9+n, 0)} }

// course judges deliveries one after the other, each on the same as-of date. A
// delivery of nothing settles what is absent.
func course(s *study.Study, asOf study.Date, deliveries ...[]study.Record) (study.History, study.Judgement) {
	h, rules := newcomer(), NewRules(s)
	var j study.Judgement
	for i, news := range deliveries {
		h.Landing = landing(int64(i + 1))
		j = rules.Judge(h, news, asOf)
		h = keep(h, news, j)
	}
	return h, j
}

// settled is course with a call without news at the end.
func settled(s *study.Study, asOf study.Date, deliveries ...[]study.Record) (study.History, study.Judgement) {
	return course(s, asOf, append(slices.Clone(deliveries), nil)...)
}

func find(t testing.TB, visits []study.Visit, key string) study.Visit {
	t.Helper()
	for _, v := range visits {
		if v.Key == key {
			return v
		}
	}
	t.Fatalf("no visit %q among %d", key, len(visits))
	return study.Visit{}
}

// open lists the deviations that are not resolved as "code", "code/form".
func open(j study.Judgement) []string {
	var codes []string
	for _, d := range j.Deviations {
		if d.State == study.Resolved {
			continue
		}
		if d.Detail != "" {
			d.Code += ":" + d.Detail
		}
		codes = append(codes, d.Code)
	}
	return codes
}

func expectCodes(t *testing.T, j study.Judgement, want ...string) {
	t.Helper()
	got := open(j)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("deviations %q, want %q\n%+v", got, want, j.Deviations)
	}
}

// lives are the records of many participants with eight visits of three forms.
func lives(s *study.Study, n int) [][]study.Record {
	out := make([][]study.Record, n)
	for i := range out {
		start := study.Date(18000 + i%700)
		for t := range s.Visits {
			at := start + study.Date(s.Visits[t].Day)
			if t > 0 {
				at += study.Date((i+t)%12 - 5) // about a fifth are out of their window
			}
			for form, occurrence := range []string{"1", "R", "1"} {
				r := row(s.Visits[t].Name, form, study.ExactDate(at))
				r.Visit.Type, r.Occurrence, r.Entered, r.Consented = t, occurrence, at+1, start
				out[i] = append(out[i], r)
			}
		}
	}
	return out
}

func BenchmarkJudge(b *testing.B) {
	s := consenting()
	s.Forms[acuityForm].Expect = []string{"R"}
	for i := len(s.Visits); i < 8; i++ {
		s.Visits = append(s.Visits, study.VisitType{Name: "month_" + string(rune('5'+i)), Day: 60 + 60*i, Before: 4, After: 4, HasWindow: true, Required: true,
			Forms: s.Visits[0].Forms})
	}
	rules, all, asOf := NewRules(s), lives(s, 700), study.Date(20500)
	b.Run("first load", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			rules.Judge(newcomer(), all[i%len(all)], asOf)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "participants/s")
	})
	histories := make([]study.History, len(all))
	for i := range all {
		histories[i] = keep(newcomer(), all[i], rules.Judge(newcomer(), all[i], asOf))
	}
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			rules.Judge(histories[i%len(all)], nil, asOf)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "participants/s")
	})
}

func TestParticipantFacts(t *testing.T) {
	asOf := date(t, "2026-01-02")
	at := func(minute int) time.Time {
		if minute < 0 {
			return time.Time{}
		}
		return time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC)
	}
	for name, c := range map[string]struct {
		minutes [2]int // when the first and second row were modified, -1 = not said
		want    string // whose site and withdrawal count
	}{
		"the later row":          {[2]int{1, 2}, "second"},
		"an older row after it":  {[2]int{2, 1}, "first"},
		"the same minute":        {[2]int{1, 1}, "second"},
		"no time is now":         {[2]int{-1, 2}, "first"},
		"no time after a time":   {[2]int{1, -1}, "second"},
		"no times: as they came": {[2]int{-1, -1}, "second"},
	} {
		t.Run(name, func(t *testing.T) {
			news := []study.Record{row("baseline", imagingForm, partial(t, "2026-01-01")), row("month_1", imagingForm, partial(t, "2026-01-31")), row("", eventForm, study.PartialDate{})}
			news[0].Modified, news[0].Site, news[0].Withdrawn = at(c.minutes[0]), "first", date(t, "2026-05-01")
			news[1].Modified, news[1].Site, news[1].Withdrawn = at(c.minutes[1]), "second", date(t, "2026-05-02")
			h, j := course(amd(), asOf, news)
			if want := date(t, map[string]string{"first": "2026-05-01", "second": "2026-05-02"}[c.want]); j.Participant.Site != c.want || j.Participant.Withdrawn != want {
				t.Errorf("site %q, withdrawn %s", j.Participant.Site, j.Participant.Withdrawn)
			}
			j = NewRules(amd()).Judge(h, seen(t, "month_3", "2026-04-01"), asOf)
			if j.Participant != h.Participant {
				t.Errorf("%+v became %+v by rows that say nothing of it", h.Participant, j.Participant)
			}
		})
	}
}

// A visit of which everything was removed happened when the next record says,
// also where that is older than what was removed.
func TestGoneAndThereAgain(t *testing.T) {
	first, older := row("baseline", imagingForm, partial(t, "2026-01-05")), row("baseline", acuityForm, partial(t, "2026-01-02"))
	first.Modified, older.Modified = time.Unix(10, 0), time.Unix(5, 0)
	gone := first
	gone.Removed, gone.Modified = true, time.Unix(12, 0)
	_, j := settled(amd(), date(t, "2026-01-06"), []study.Record{first}, []study.Record{gone}, []study.Record{older})
	if v := find(t, j.Visits, "baseline"); v.Status != study.Completed || v.Actual.String() != "2026-01-02" {
		t.Errorf("%+v", v)
	}
	// The limit that the life of a record tells: never empty, the visit keeps its date.
	_, j = settled(amd(), date(t, "2026-01-06"), []study.Record{first}, []study.Record{older}, []study.Record{gone})
	if v := find(t, j.Visits, "baseline"); v.Status != study.Completed || v.Actual.String() != "2026-01-05" {
		t.Errorf("%+v", v)
	}
	_, j = settled(amd(), date(t, "2026-01-06"), []study.Record{first}, []study.Record{gone}, []study.Record{first})
	if v := find(t, j.Visits, "baseline"); v.Status == study.Completed {
		t.Errorf("an older version of what was removed brought it back: %+v", v)
	}
}

// A removed record is missing; a record of a visit type that has left the
// protocol stays, unscheduled.
func TestWhatIsGone(t *testing.T) {
	asOf := date(t, "2026-02-01")
	h, _ := course(amd(), asOf, seen(t, "baseline", "2026-01-01"), seen(t, "month_1", "2026-01-31"))
	for _, v := range slices.Clone(h.Versions) {
		if v.Key.Form == imagingForm && v.Key.VisitNo == 1 {
			v.Version, v.Removed = v.Version+1, true
			h.Versions = append(h.Versions, v)
		}
	}
	h.Deviations = append(h.Deviations, study.Deviation{DeviationKey: study.DeviationKey{Code: study.LateEntry}, State: study.Open}) // out of order
	j := NewRules(amd()).Judge(h, nil, asOf)
	expectCodes(t, j, study.FormMissing+":imaging")
	the(t, j, study.LateEntry, study.Resolved)
	if back := NewRules(amd()).Judge(h, seen(t, "baseline", "2026-01-01")[2:], asOf); len(open(back)) != 0 {
		t.Errorf("deviations %q once the record is back", open(back))
	}

	h.Visits[1].Key, h.Visits[1].Type = "event/7", 9
	if v := NewRules(amd()).Judge(h, nil, asOf).Visits[1]; v.Type != -1 || v.Status != study.Unscheduled {
		t.Errorf("visit %+v", v)
	}
}
