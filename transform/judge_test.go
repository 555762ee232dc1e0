package transform

import (
	"cmp"
	"math/rand/v2"
	"reflect"
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
	for i, n := range news {
		if j.Blocked[i] != "" {
			continue
		}
		v := study.VersionRef{Key: study.RecordKey{Form: n.Form, VisitNo: j.VisitNo[i], Occurrence: n.Occurrence}, Version: 1, Modified: n.Modified, Entered: n.Entered}
		for _, old := range h.Versions {
			if old.Key == v.Key {
				v.Version = old.Version + 1
				if !old.Late {
					v.Late = !newer(v.Modified, old.Modified)
				}
			}
		}
		h.Versions = append(h.Versions, v)
	}
	slices.SortStableFunc(h.Versions, func(a, b study.VersionRef) int {
		return cmp.Or(cmp.Compare(a.Key.Form, b.Key.Form), cmp.Compare(a.Key.VisitNo, b.Key.VisitNo),
			cmp.Compare(a.Key.Occurrence, b.Key.Occurrence), cmp.Compare(a.Version, b.Version))
	})
	return h
}

// course judges deliveries one after the other, each on the same as-of date.
func course(s *study.Study, asOf study.Date, deliveries ...[]study.Record) (study.History, study.Judgement) {
	h, rules := newcomer(), NewRules(s)
	var j study.Judgement
	for _, news := range deliveries {
		j = rules.Judge(h, news, asOf)
		h = keep(h, news, j)
	}
	return h, j
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

// random makes the records of a participant's life: visits early, late, partial,
// undated, unscheduled or by date, with forms missing, corrections, consent, withdrawal.
func random(rng *rand.Rand, s *study.Study) []study.Record {
	start := study.Date(rng.IntN(30000)) // before 2100, which has no leap day
	var records []study.Record
	for i := range s.Visits {
		records = append(records, randomVisit(rng, s, i, start)...)
	}
	for range rng.IntN(3) {
		at := start + study.Date(rng.IntN(250))
		records = append(records, row("u:0a1b/"+at.String(), imagingForm, study.ExactDate(at)))
	}
	for range rng.IntN(3) {
		event := row("", eventForm, study.PartialDate{})
		event.Entered, event.Occurrence = start+study.Date(rng.IntN(200)), string(rune('1'+rng.IntN(3)))
		records = append(records, event)
	}
	if rng.IntN(3) > 0 {
		c := row("baseline", consentForm, study.ExactDate(start))
		c.Consented = start + study.Date(rng.IntN(40)-20)
		records = append(records, c)
	}
	if len(records) > 0 && rng.IntN(5) == 0 {
		records[rng.IntN(len(records))].Withdrawn = start + study.Date(rng.IntN(200))
	}
	return records
}

func randomVisit(rng *rand.Rand, s *study.Study, i int, start study.Date) (records []study.Record) {
	if rng.IntN(6) == 0 {
		return nil
	}
	at := start + study.Date(s.Visits[i].Day)
	if i > 0 {
		at += study.Date(rng.IntN(60) - 30)
	}
	ref := study.VisitRef{Key: s.Visits[i].Name, Type: i, Actual: study.ExactDate(at), Reason: rng.IntN(4) == 0}
	switch rng.IntN(8) {
	case 0:
		ref.Key, ref.Type = "d:"+at.String(), -1
	case 1:
		ref.Actual, ref.Planned = study.PartialDate{}, study.ExactDate(at)
	case 2:
		if month, ok := study.ParsePartialDate(at.String()[:7]); ok && !s.Relative {
			ref.Actual = month
		}
	case 3:
		ref.Declared = study.ExactDate(at + study.Date(rng.IntN(2)))
	}
	for _, form := range []int{acuityForm, acuityForm, imagingForm} {
		if rng.IntN(5) == 0 {
			continue
		}
		r := row(ref.Key, form, ref.Actual)
		r.Visit, r.Entered = ref, at+study.Date(rng.IntN(20))
		if form == acuityForm {
			r.Occurrence = []string{"R", "L"}[rng.IntN(2)]
		}
		if rng.IntN(2) == 0 {
			r.Modified = time.Unix(int64(rng.IntN(5)), 0)
		}
		records = append(records, r)
	}
	return records
}

// eachLife runs check on thousands of random lives, under every policy.
func eachLife(t *testing.T, check func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date)) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := consenting()
		if rng.IntN(2) == 0 {
			s = amd()
		}
		s.Deviations.VisitOutOfWindow = []string{"accept", policyRequireReason, policyBlock}[rng.IntN(3)]
		s.Days = []study.DayConvention{study.Elapsed, study.CDISC}[rng.IntN(2)]
		records := random(rng, s)
		check(t, rng, s, records, study.Date(rng.IntN(30400)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestJudgeIsDeterministic(t *testing.T) {
	eachLife(t, func(t *testing.T, _ *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		before := slices.Clone(records)
		a, b := NewRules(s).Judge(newcomer(), records, asOf), NewRules(s).Judge(newcomer(), records, asOf)
		if !reflect.DeepEqual(a, b) {
			t.Error("two judgements of the same records differ")
		}
		if !reflect.DeepEqual(before, records) {
			t.Error("judging changed its input")
		}
	})
}

func TestJudgingAgainChangesNothing(t *testing.T) {
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		cut := rng.IntN(len(records) + 1)
		h, first := course(s, asOf, records[:cut], records[cut:])
		rules := NewRules(s)
		again := rules.Judge(h, nil, asOf)
		if !reflect.DeepEqual(again.Visits, first.Visits) || !reflect.DeepEqual(again.Holds, first.Holds) || again.Participant != first.Participant {
			t.Errorf("visits, holds or participant changed:\n%+v\n%+v", first, again)
		}
		if got, want := keep(h, nil, again).Deviations, h.Deviations; !slices.Equal(got, want) {
			t.Errorf("deviations changed:\n%+v\n%+v", want, got)
		}
		if slices.ContainsFunc(again.Deviations, func(d study.Deviation) bool { return d.State == study.Resolved }) {
			t.Error("a resolved deviation was resolved again")
		}
	})
}

// Rows of different visits may arrive in any order; rows of one visit keep theirs.
func TestOrderOfVisitsLeavesNoTrace(t *testing.T) {
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		order := map[string]int{}
		for _, r := range records {
			order[r.Visit.Key] = rng.Int()
		}
		shuffled := slices.Clone(records)
		slices.SortStableFunc(shuffled, func(a, b study.Record) int { return cmp.Compare(order[a.Visit.Key], order[b.Visit.Key]) })
		a, b := NewRules(s).Judge(newcomer(), records, asOf), NewRules(s).Judge(newcomer(), shuffled, asOf)
		if !reflect.DeepEqual(a.Visits, b.Visits) || !slices.Equal(a.Deviations, b.Deviations) || !slices.Equal(a.Holds, b.Holds) || a.Participant != b.Participant {
			t.Errorf("judgements differ:\n%+v\n%+v", a, b)
		}
	})
}

// One delivery or two: the same verdicts, holds and deviations, though visits may
// be numbered otherwise, and a slot may have been expected in between.
func TestDeliveriesAddUp(t *testing.T) {
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		if s.Deviations.VisitOutOfWindow == policyBlock {
			return // what is refused depends on what was known by then
		}
		cut := rng.IntN(len(records) + 1)
		_, once := course(s, asOf, records)
		_, twice := course(s, asOf, records[:cut], records[cut:])
		if a, b := outcome(once), outcome(twice); !reflect.DeepEqual(a, b) {
			t.Errorf("cut at %d:\n%v\n%v", cut, a, b)
		}
	})
}

// outcome is a judgement by visit key instead of visit number.
func outcome(j study.Judgement) map[string]any {
	out, keys := map[string]any{"participant": j.Participant}, map[int32]string{}
	for _, v := range j.Visits {
		keys[v.No] = v.Key
		if v.Type >= 0 || v.Actual.Known() {
			out["visit "+v.Key] = v.Verdict
		}
	}
	for _, d := range j.Deviations {
		if d.State != study.Resolved {
			out[d.Code+" "+keys[d.VisitNo]+" "+d.Detail] = d.Evidence
		}
	}
	for _, h := range j.Holds {
		if h.Code != study.VisitOutOfWindow { // waits for a reason, which explains only what it came with
			out["hold "+keys[h.Key.VisitNo]+" "+h.Key.Occurrence+string(rune('a'+h.Key.Form))] = h.Code
		}
	}
	return out
}

// Twenty-eight years later the calendar repeats, leap days included, so that
// partial dates move with the exact ones.
func TestShiftKeepsVerdicts(t *testing.T) {
	const by = 28*365 + 7 // 28 years of days
	move := func(p study.PartialDate) study.PartialDate {
		if p.Known() && !p.Exact() {
			moved, _ := study.ParsePartialDate((p.First() + by).String()[:7])
			return moved
		}
		if !p.Known() {
			return p
		}
		return study.ExactDate(p.First() + by)
	}
	day := func(d study.Date) study.Date {
		if !d.Known() {
			return d
		}
		return d + by
	}
	eachLife(t, func(t *testing.T, _ *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		moved := slices.Clone(records)
		for i := range moved {
			r := &moved[i]
			r.Visit.Actual, r.Visit.Planned, r.Visit.Declared = move(r.Visit.Actual), move(r.Visit.Planned), move(r.Visit.Declared)
			r.Entered, r.Consented, r.Withdrawn = day(r.Entered), day(r.Consented), day(r.Withdrawn)
		}
		a, b := NewRules(s).Judge(newcomer(), records, asOf), NewRules(s).Judge(newcomer(), moved, asOf+by)
		if len(a.Visits) != len(b.Visits) || !slices.Equal(open(a), open(b)) || !slices.Equal(a.Holds, b.Holds) || !slices.Equal(a.Blocked, b.Blocked) {
			t.Fatalf("judgements differ:\n%+v\n%+v", a, b)
		}
		for i := range a.Visits {
			want := a.Visits[i].Verdict
			want.Due, want.WindowStart, want.WindowEnd = day(want.Due), day(want.WindowStart), day(want.WindowEnd)
			if got := b.Visits[i].Verdict; got != want {
				t.Errorf("verdict %+v, want %+v", got, want)
			}
		}
	})
}

// What holds of every judgement, whatever the life.
func TestJudgementIsWellFormed(t *testing.T) {
	eachLife(t, func(t *testing.T, _ *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		j := NewRules(s).Judge(newcomer(), records, asOf)
		types := map[int]bool{}
		for i, v := range j.Visits {
			if v.No != int32(i)+1 {
				t.Errorf("visit %d is numbered %d", i, v.No)
			}
			if v.Type >= 0 && types[v.Type] {
				t.Errorf("two visits of type %d", v.Type)
			}
			types[v.Type] = true
			if (v.Timing != "") != (v.Status == study.Completed || v.Status == study.Unscheduled) {
				t.Errorf("status %s with timing %q", v.Status, v.Timing)
			}
			if v.HasDistance && (v.OutsideWindow == 0) != (v.Timing == study.InWindow) {
				t.Errorf("timing %s, %d days outside", v.Timing, v.OutsideWindow)
			}
		}
		if len(j.VisitNo) != len(records) || len(j.Blocked) != len(records) {
			t.Error("not one answer per record")
		}
		for _, h := range j.Holds {
			named := slices.ContainsFunc(j.Deviations, func(d study.Deviation) bool {
				return d.Code == h.Code && d.VisitNo == h.Key.VisitNo && d.State != study.Resolved
			})
			if !named {
				t.Errorf("held for %s without a deviation that says so", h.Code)
			}
		}
	})
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
