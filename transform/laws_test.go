package transform

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

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

// vary gives visit types of s conventions of their own, reach, freedom and chains
// of anchors, and half of the time an amendment.
func vary(rng *rand.Rand, s *study.Study) {
	change := func(v *study.VisitType, days int) {
		v.Days = []study.DayConvention{"", study.Elapsed, study.CDISC}[rng.IntN(3)]
		v.MaxDays, v.Required, v.Day = rng.IntN(2)*rng.IntN(40), rng.IntN(4) > 0, v.Day+days
	}
	for i := 1; i < len(s.Visits); i++ {
		change(&s.Visits[i], 0)
	}
	if rng.IntN(3) == 0 {
		s.Visits[3].Anchor, s.Visits[3].Day = "month_1", 150
	}
	if rng.IntN(2) == 0 {
		return
	}
	amendment := study.ProtocolVersion{Version: "2", Effective: study.Date(rng.IntN(30000)), Visits: slices.Clone(s.Visits)}
	if rng.IntN(2) == 0 {
		amendment.Sites = map[string]study.Date{"": study.NoDate, "north": amendment.Effective + 30}
	}
	for i := 1; i < len(s.Visits); i++ {
		change(&amendment.Visits[i], rng.IntN(20)-10)
		amendment.Visits[i].Absent = rng.IntN(6) == 0
	}
	s.Versions = []study.ProtocolVersion{{Version: "1", Effective: study.NoDate, Visits: slices.Clone(s.Visits)}, amendment}
}

// eachLife runs check on thousands of random lives, under every policy.
func eachLife(t *testing.T, check func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date)) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := consenting()
		if rng.IntN(2) == 0 {
			s = amd()
		}
		s.Deviations.VisitOutOfWindow = []string{"accept", policyRequireReason, policyBlock}[rng.IntN(3)]
		s.Days = []study.DayConvention{study.Elapsed, study.CDISC}[rng.IntN(2)]
		vary(rng, s)
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
		h, first := settled(s, asOf, records[:cut], records[cut:])
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

// Rows that say when they were modified may stand in any order, whatever they say.
func TestOrderOfModifiedRowsLeavesNoTrace(t *testing.T) {
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		if len(records) == 0 || s.Deviations.VisitOutOfWindow == policyBlock {
			return
		}
		identifying(s)
		for range rng.IntN(4) {
			again := records[rng.IntN(len(records))]
			again.Hash, again.Removed = [16]byte{byte(rng.IntN(4))}, rng.IntN(6) == 0
			records = append(records, again)
		}
		for i := range records {
			r := &records[i]
			r.Modified, r.Site = time.Unix(int64(1000+i), 0), []string{"", "north", "south"}[rng.IntN(3)]
			r.Status = []study.ParticipantStatus{"", "", study.Enrolled, study.Withdrew, study.Lost}[rng.IntN(5)]
			r.StatusOn = study.Date(rng.IntN(30000))
			if r.Form == imagingForm {
				r.Facts = []study.Fact{{Index: 0, Value: []string{"F", "M"}[rng.IntN(2)]}}
			}
		}
		shuffled := slices.Clone(records)
		rng.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		_, a := settled(s, asOf, records)
		_, b := settled(s, asOf, shuffled)
		if x, y := outcome(a), outcome(b); !reflect.DeepEqual(x, y) {
			t.Errorf("judgements differ:\n%+v\n%+v", x, y)
		}
	})
}

// What is known of a participant and when visits were does not depend on the order
// in which rows that say when they were modified are delivered.
func TestOrderOfDeliveriesLeavesNoTrace(t *testing.T) {
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		if s.Deviations.VisitOutOfWindow == policyBlock {
			return
		}
		identifying(s)
		s.Facts = append(s.Facts, study.FactSource{Name: "treated", Kind: study.EventFact, Form: eventForm})
		for range rng.IntN(4) {
			if len(records) == 0 {
				break
			}
			again := records[rng.IntN(len(records))]
			again.Consented, again.Visit.Actual = moved(rng, again.Consented), study.ExactDate(study.Date(rng.IntN(30000)))
			records = append(records, again)
		}
		for i := range records {
			r := &records[i]
			if r.Form == consentForm { // a visit that is gone for a time has forgotten when it was
				r.Visit.Actual, r.Visit.Unsaid = study.PartialDate{}, study.UnsaidActual
			}
			r.Modified, r.Hash, r.Site = time.Unix(int64(1000+i), 0), [16]byte{byte(i), 1}, []string{"", "north", "south"}[rng.IntN(3)]
			r.Status = []study.ParticipantStatus{"", "", study.Enrolled, study.Withdrew, study.Lost}[rng.IntN(5)]
			r.StatusOn = study.Date(rng.IntN(30000))
			r.Removed = rng.IntN(6) == 0 && (r.Form == consentForm || r.Form == eventForm)
			if r.Form == eventForm {
				r.Facts = []study.Fact{{Index: len(s.Facts) - 1, Value: study.Date(rng.IntN(30000)).String()}}
			}
		}
		_, a := settled(s, asOf, records)
		rng.Shuffle(len(records), func(a, b int) { records[a], records[b] = records[b], records[a] })
		_, b := settled(s, asOf, slices.Collect(slices.Chunk(records, 1+rng.IntN(3)))...)
		if x, y := facts(a), facts(b); !reflect.DeepEqual(x, y) {
			t.Errorf("facts differ:\n%+v\n%+v", x, y)
		}
	})
}

// moved is another day, where there is one.
func moved(rng *rand.Rand, d study.Date) study.Date {
	if !d.Known() {
		return d
	}
	return d + study.Date(rng.IntN(40)-20)
}

// facts are what a judgement rests on: of the participant, and the dates of visits.
func facts(j study.Judgement) map[string]any {
	out := map[string]any{"participant": outcome(j)["participant"]}
	for _, v := range j.Visits {
		if v.Actual.Known() || v.Planned.Known() || v.Declared.Known() {
			out[v.Key] = [...]study.PartialDate{v.Actual, v.Planned, v.Declared}
		}
	}
	return out
}

// One delivery or two: the same verdicts, holds and deviations, though visits may
// be numbered otherwise, and a slot may have been expected in between.
func TestDeliveriesAddUp(t *testing.T) {
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		if s.Deviations.VisitOutOfWindow == policyBlock {
			return // what is refused depends on what was known by then
		}
		enteredOnce(records)
		cut := rng.IntN(len(records) + 1)
		_, once := settled(s, asOf, records)
		_, twice := settled(s, asOf, records[:cut], records[cut:])
		_, singly := settled(s, asOf, slices.Collect(slices.Chunk(records, 1))...)
		if a, b, c := outcome(once), outcome(twice), outcome(singly); !reflect.DeepEqual(a, b) || !reflect.DeepEqual(a, c) {
			t.Errorf("at once, cut at %d, one by one:\n%v\n%v\n%v", cut, a, b, c)
		}
	})
}

// enteredOnce lets all versions of a record say when it was first entered alike:
// where they do not, the first to be seen counts.
func enteredOnce(records []study.Record) {
	type key struct{ visit, form, occurrence any }
	entered := map[key]study.Date{}
	for i := range records {
		r := &records[i]
		k := key{r.Visit.Key, r.Form, r.Occurrence}
		if _, seen := entered[k]; !seen {
			entered[k] = r.Entered
		}
		r.Entered = entered[k]
	}
}

// factAt is the visit's number in a packed fact.
var factAt = regexp.MustCompile(`/[0-9]+/`)

// outcome is a judgement by visit key instead of visit number.
func outcome(j study.Judgement) map[string]any {
	j.Participant.Told = "" // names the deliveries
	out, keys := map[string]any{"participant": j.Participant}, map[int32]string{}
	for _, v := range j.Visits {
		keys[v.No] = v.Key
		if v.Type >= 0 || v.Actual.Known() {
			out["visit "+v.Key] = v.Verdict
		}
	}
	p := out["participant"].(study.Participant)
	p.Facts = factAt.ReplaceAllStringFunc(p.Facts, func(at string) string {
		no, _ := strconv.Atoi(strings.Trim(at, "/"))
		return "/" + keys[int32(no)] + "/"
	})
	out["participant"] = p
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
		if len(s.Versions) > 0 {
			return // an amendment has its day
		}
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

// eventful makes a life in which everything else happens too: removals, rows read
// again, changes without reasons, transfers, statuses, contradictions of identity.
func eventful(rng *rand.Rand, s *study.Study, records []study.Record) [][]study.Record {
	statuses := []study.ParticipantStatus{study.Screening, study.ScreenFailure, study.Enrolled, study.Finished, study.Withdrew, study.Lost, study.Died}
	for range rng.IntN(4) {
		key := "injection/" + string(rune('1'+rng.IntN(3)))
		records = append(records, row(key, imagingForm, study.ExactDate(study.Date(rng.IntN(30000)))))
	}
	var out [][]study.Record
	for range 3 + rng.IntN(5) {
		var news []study.Record
		for _, r := range records {
			if rng.IntN(2) == 0 {
				continue
			}
			r.Hash, r.Change, r.Removed = [16]byte{byte(rng.IntN(3))}, study.ChangeReason(rng.IntN(3)), rng.IntN(5) == 0
			r.Landed, r.StatusOn = int64(rng.IntN(2)*rng.IntN(4)), study.NoDate
			r.Site = []string{"", "", "north", "south"}[rng.IntN(4)]
			if rng.IntN(10) == 0 {
				r.Status = statuses[rng.IntN(len(statuses))]
				if at := r.Visit.Actual; at.Known() && rng.IntN(2) == 0 {
					r.StatusOn = at.First()
				}
			}
			if (r.Form == imagingForm || r.Form == eventForm) && rng.IntN(2) == 0 {
				fact := rng.IntN(2) * 2
				if r.Form == eventForm {
					fact++
				}
				r.Facts = []study.Fact{{Index: fact, Value: [...]string{"F", "f", "1950", "2001-03", "M"}[rng.IntN(4)+rng.IntN(2)]}}
			}
			news = append(news, r)
		}
		rng.Shuffle(len(news), func(i, k int) { news[i], news[k] = news[k], news[i] })
		out = append(out, news)
	}
	return out
}

// Whatever is delivered, nothing panics, every visit has one status and every
// record one answer, and judging the outcome again changes nothing.
func TestEventfulLives(t *testing.T) {
	statuses := []study.VisitStatus{study.Scheduled, study.Completed, study.Missed, study.NotDone, study.Unscheduled, study.Cancelled}
	total := 0
	eachLife(t, func(t *testing.T, rng *rand.Rand, s *study.Study, records []study.Record, asOf study.Date) {
		identifying(s)
		repeating := study.VisitType{Name: "injection", Repeats: true}
		s.Visits = append(s.Visits, repeating)
		for k := range s.Versions {
			s.Versions[k].Visits = append(s.Versions[k].Visits, repeating)
		}
		rules, h := NewRules(s), newcomer()
		for _, news := range append(eventful(rng, s, records), nil) {
			h.Locks = nil
			if rng.IntN(4) == 0 {
				h.Locks = []study.Lock{{ID: 1, Visit: []string{"", "baseline", "month_1", "injection"}[rng.IntN(4)]}}
			}
			j := rules.Judge(h, news, asOf)
			h = keep(h, news, j)
			total++
			for i, v := range j.Visits {
				if !slices.Contains(statuses, v.Status) || v.No != int32(i)+1 {
					t.Errorf("visit %d: %+v", i, v)
				}
			}
			if len(j.VisitNo) != len(news) || len(j.Blocked) != len(news) {
				t.Error("not one answer per record")
			}
			if !slices.IsSortedFunc(j.Deviations, compareDeviations) || len(slices.CompactFunc(slices.Clone(j.Deviations), func(a, b study.Deviation) bool { return a.DeviationKey == b.DeviationKey })) != len(j.Deviations) {
				t.Errorf("deviations %+v", j.Deviations)
			}
		}
		again := rules.Judge(h, nil, asOf)
		if !reflect.DeepEqual(again.Visits, h.Visits) || !slices.Equal(again.Holds, h.Holds) || again.Participant != h.Participant {
			t.Errorf("judged again it differs:\n%+v\n%+v", h, again)
		}
		if got := keep(h, nil, again).Deviations; !slices.Equal(got, h.Deviations) {
			t.Errorf("deviations changed:\n%+v\n%+v", h.Deviations, got)
		}
	})
	if total < 10_000 && !t.Failed() {
		t.Errorf("only %d deliveries", total)
	}
}
