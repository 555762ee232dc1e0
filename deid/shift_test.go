package deid

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// keysOf is testRecipient under another root key.
func keysOf(t testing.TB, policy study.DeidPolicy, root string) *Recipient {
	t.Helper()
	s := testStudy()
	s.Deid = policy
	r, err := NewRecipient(s, "main", testKeys(root))
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(day(t, "2026-06-30"), study.NoDate, study.NoDate)
	return r
}

// The shift of a well-known tool is linear in its key: offsets of participants
// relative to each other are the same under every key, and one known date unmasks
// everybody. Ours differ, and are uniform.
func TestRelativeOffsetsChangeWithTheKey(t *testing.T) {
	a, b := keysOf(t, study.DeidPolicy{Dates: "shift"}, "one"), keysOf(t, study.DeidPolicy{Dates: "shift"}, "two")
	const people = 1000
	same, pairs := 0, 0
	for i := range people {
		for _, j := range []int{(i + 1) % people, (i + 7) % people, (i + 100) % people} {
			x, y := fmt.Sprint("AMD-", i), fmt.Sprint("AMD-", j)
			if pairs++; a.shift(x)-a.shift(y) == b.shift(x)-b.shift(y) {
				same++
			}
		}
	}
	if same*100 > pairs {
		t.Errorf("%d of %d relative offsets are the same under both keys", same, pairs)
	}
	for _, test := range []struct {
		policy study.DeidPolicy
		cells  int
		unit   study.Date
		limit  float64 // χ² of as many degrees of freedom less one exceeds it with probability 0.01
	}{{study.DeidPolicy{}, 364, 1, 429.4}, {study.DeidPolicy{WholeWeeks: true}, 52, 7, 77.4}} {
		r, seen := keysOf(t, test.policy, "one"), map[study.Date]int{}
		const n = 100_000
		for i := range n {
			seen[r.shift(fmt.Sprint("AMD-", i))]++
		}
		chi, expected := 0.0, float64(n)/float64(test.cells)
		for step := 1; step <= test.cells; step++ {
			off := float64(seen[study.Date(step)*test.unit]) - expected
			chi += off * off / expected
		}
		if len(seen) != test.cells || chi > test.limit {
			t.Errorf("%d shifts of %d possible ones, χ² %.1f", len(seen), test.cells, chi)
		}
	}
}

// datesTable has two dates and an instant of a participant.
func datesTable() *study.Table {
	return &study.Table{Name: "v", Columns: []study.Column{
		{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey},
		{Name: "a", Kind: study.DateKind, Class: study.DateClass}, {Name: "b", Kind: study.DateKind, Class: study.DateClass},
		{Name: "at", Kind: study.TimestampKind, Class: study.DateClass},
	}}
}

// Intervals are the same before and after, whatever lies between: leap days, ends
// of years, both changes of the clock.
func TestEveryIntervalIsPreserved(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	const rows = 1_000_000
	r, rnd := testRecipient(t, study.DeidPolicy{Profile: "expert", Dates: "shift"}, "main"), rand.New(rand.NewPCG(5, 6))
	b := &study.Batch{Table: datesTable(), Rows: rows, Vectors: make([]study.Vector, 4)}
	special := []study.Date{day(t, "2024-02-29"), day(t, "2024-12-31"), day(t, "2025-01-01"), day(t, "2026-03-29"), day(t, "2026-10-25"), day(t, "2000-02-29"), day(t, "1900-02-28")}
	noon := map[study.Date]int64{} // at the study
	codes := make([]string, 500)
	for i := range codes {
		codes[i] = fmt.Sprint("AMD-", i)
	}
	for i := range rows {
		x, y := study.Date(rnd.IntN(60_000)-20_000), study.Date(rnd.IntN(60_000)-20_000)
		if i%4 == 0 {
			x = special[rnd.IntN(len(special))]
		}
		b.Vectors[0].Texts = append(b.Vectors[0].Texts, codes[i/2000])
		b.Vectors[1].Ints = append(b.Vectors[1].Ints, int64(x))
		b.Vectors[2].Ints = append(b.Vectors[2].Ints, int64(y))
		if i%4 == 0 && noon[x] == 0 {
			year, month, dayOf := x.Time().Date()
			noon[x] = time.Date(year, month, dayOf, 12, 0, 0, 0, london).UnixMicro()
		}
		b.Vectors[3].Ints, b.Vectors[3].Valid = append(b.Vectors[3].Ints, noon[x]), append(b.Vectors[3].Valid, i%4 == 0)
	}
	out, err := r.Apply(b)
	if err != nil {
		t.Fatal(err)
	}
	v := out.b.Vectors
	for i := range rows {
		if v[2].Ints[i]-v[1].Ints[i] != b.Vectors[2].Ints[i]-b.Vectors[1].Ints[i] || i%4 == 0 && v[3].Ints[i] != v[1].Ints[i] || v[1].Ints[i] >= b.Vectors[1].Ints[i] {
			t.Fatalf("row %d: %d days became %d", i, b.Vectors[2].Ints[i]-b.Vectors[1].Ints[i], v[2].Ints[i]-v[1].Ints[i])
		}
	}
}

// An instant belongs to the civil day at the study, on either side of midnight and
// of a change of the clock.
func TestCivilDaysAtTheChangeOfTheClock(t *testing.T) {
	r := testRecipient(t, study.DeidPolicy{Profile: "expert"}, "main")
	civil := r.civil(study.TimestampKind)
	for instant, want := range map[string]string{
		"2026-03-28T23:59:59Z": "2026-03-28", "2026-03-29T00:00:00Z": "2026-03-29", "2026-03-29T22:59:59Z": "2026-03-29", "2026-03-29T23:00:00Z": "2026-03-30",
		"2026-10-24T22:59:59Z": "2026-10-24", "2026-10-24T23:00:00Z": "2026-10-25", "2026-10-25T23:59:59Z": "2026-10-25", "2026-10-26T00:00:00Z": "2026-10-26",
		"2024-02-28T23:59:59Z": "2024-02-28", "2024-02-29T23:59:59Z": "2024-02-29", "2024-12-31T23:59:59Z": "2024-12-31",
	} {
		at, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			t.Fatal(err)
		}
		if got := civil(&study.Vector{Ints: []int64{at.UnixMicro()}}, 0); got.First().String() != want || !got.Exact() {
			t.Errorf("%s is %s at the study, want %s", instant, got.First(), want)
		}
	}
}

// With truncation, the shifted dates of somebody who is seen every day of the study
// begin and end on the same days whatever the shift; without, they tell the shift.
func TestTruncationHidesTheShift(t *testing.T) {
	first, cutoff := day(t, "2022-01-01"), day(t, "2026-06-30")
	spans := func(truncate bool) (spans []string) {
		r := testRecipient(t, study.DeidPolicy{Profile: "expert", Dates: "shift", Truncate: truncate}, "main")
		r.Begin(cutoff, first, cutoff)
		for n := range 60 {
			code := fmt.Sprint("AMD-", n)
			from, to, err := r.Window(code)
			if err != nil {
				t.Fatal(err)
			}
			if !truncate && (from.Known() || to.Known()) {
				t.Fatal("there is a window without truncation")
			}
			b := &study.Batch{Table: datesTable(), Vectors: make([]study.Vector, 4)}
			for d := first; d <= cutoff; d++ {
				b.Vectors[0].AppendText(code)
				for i := 1; i < 4; i++ {
					b.Vectors[i].AppendInt(int64(d))
				}
				b.Rows++
			}
			out, err := r.Apply(b)
			if err != nil {
				t.Fatal(err)
			}
			v, least, most := out.b.Vectors[1], study.Date(1<<30), study.NoDate
			for i := range b.Rows {
				if v.Null(i) != (truncate && (first+study.Date(i) < from || first+study.Date(i) > to)) {
					t.Fatalf("day %d of %s: released %v, and the window says otherwise", i, code, !v.Null(i))
				}
				if !v.Null(i) {
					least, most = min(least, study.Date(v.Ints[i])), max(most, study.Date(v.Ints[i]))
				}
			}
			if span := least.String() + " " + most.String(); !slices.Contains(spans, span) {
				spans = append(spans, span)
			}
		}
		return spans
	}
	if got := spans(true); len(got) != 1 || got[0] != "2022-01-01 2025-07-01" {
		t.Errorf("truncated dates span %v", got)
	}
	if got := spans(false); len(got) < 40 {
		t.Errorf("dates span only %d intervals: the test shows nothing", len(got))
	}
}

func TestTruncationNeedsItsDays(t *testing.T) {
	r := testRecipient(t, study.DeidPolicy{Profile: "expert", Dates: "shift", Truncate: true}, "main")
	b := &study.Batch{Table: datesTable(), Rows: 1, Vectors: []study.Vector{{Texts: []string{"AMD-1"}}, {Ints: []int64{1}}, {Ints: []int64{1}}, {Ints: []int64{1}}}}
	if _, err := r.Apply(b); code(err) != "deid.no_window" {
		t.Errorf("without the days of the data: %v", err)
	}
	if _, _, err := r.Window("AMD-1"); code(err) != "deid.no_window" {
		t.Errorf("a window without the days of the data: %v", err)
	}
	r.Begin(day(t, "2026-06-30"), day(t, "2022-01-01"), study.NoDate)
	if _, err := r.Apply(b); code(err) != "deid.no_window" {
		t.Errorf("visits were not asked about: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	warnings := func(p study.DeidPolicy) string {
		return strings.Join(testRecipient(t, p, "main").Warnings(), "\n")
	}
	if w := warnings(study.DeidPolicy{Dates: "study_day"}); w != "" {
		t.Errorf("study days warn of %s", w)
	}
	if w := warnings(study.DeidPolicy{Dates: "shift"}); !strings.Contains(w, "modulo seven") || !strings.Contains(w, "without truncate") {
		t.Errorf("a plain shift warns of %q", w)
	}
	if w := warnings(study.DeidPolicy{Dates: "shift", WholeWeeks: true, Truncate: true}); !strings.Contains(w, "weekdays remain") || strings.Contains(w, "truncate") {
		t.Errorf("a shift by weeks warns of %q", w)
	}
	expired := study.Determination{SHA256: "x", Date: day(t, "2025-01-01"), Expires: day(t, "2026-01-01")}
	if w := warnings(study.DeidPolicy{Dates: "year", Expert: expired}); !strings.Contains(w, "not in force") {
		t.Errorf("an expired determination warns of %q", w)
	}
}

// The time of day leaves only where the field says so, and never with an offset.
func TestTimeOfDay(t *testing.T) {
	s := testStudy()
	s.Deid = study.DeidPolicy{Profile: "expert", Dates: "shift"}
	s.Forms[0].Fields = append(s.Forms[0].Fields, study.Field{Name: "seen_at", Type: study.DateTime, Class: study.DateClass, Release: study.Treatment{Action: study.Keep}},
		study.Field{Name: "clock", Type: study.TimeType, Class: study.DateClass}, study.Field{Name: "taken", Type: study.TimeType, Class: study.DateClass, Release: study.Treatment{Action: study.Keep}})
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	form := s.Forms[0].Name
	column := func(name string, kind study.Kind) study.Column {
		return study.Column{Name: name, Kind: kind, Class: study.DateClass, Form: form, Field: name}
	}
	table := &study.Table{Name: form, Columns: []study.Column{{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey},
		column("seen_at", study.TimestampKind), column("clock", study.TextKind), column("taken", study.TextKind)}}
	noon := time.Date(2026, 7, 1, 22, 30, 59, 0, time.UTC).UnixMicro()
	out, err := r.Apply(&study.Batch{Table: table, Rows: 1, Vectors: []study.Vector{{Texts: []string{"AMD-1"}}, {Ints: []int64{noon}}, {Texts: []string{"10:00"}}, {Texts: []string{"10:00"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(out.b.Table); got != "participant_id seen_at seen_at_time taken" {
		t.Fatalf("released columns %s", got)
	}
	if _, v := out.column("seen_at_time"); v.Texts[0] != "23:30" {
		t.Errorf("the time of day is %s", v.Texts[0])
	}
	if c, _ := out.column("seen_at"); c.Kind != study.DateKind {
		t.Error("the instant leaves with its time")
	}
}

// The same participant has the same ids and the same shift on every machine: they
// are recorded here.
func TestReleasedIdsAreTheSameEverywhere(t *testing.T) {
	r := testRecipient(t, study.DeidPolicy{Dates: "shift"}, "main")
	for code, want := range map[string]string{
		"AMD-1": "P23YFK8YWEYGXRKTQSXFJ VHWJ788M50ZCAA96SVGN11995D 208",
		"AMD-2": "PFAKEJQM7GC7YKGWWS2Y3 VY4006CZVCB9HZECKNCRQ7EMYE 41",
	} {
		got := fmt.Sprint(r.Participant(code), " ", r.other('V', code+"/1"), " ", int(r.shift(code)))
		if got != want {
			t.Errorf("%s leaves as %q, want %q", code, got, want)
		}
	}
}

// A million participants of two recipients and two studies share no id.
func TestNoIdIsShared(t *testing.T) {
	other := testStudy()
	other.Name = "other-study"
	elsewhere, err := NewRecipient(other, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	const people = 1_000_000
	views := []*Recipient{testRecipient(t, study.DeidPolicy{}, "main"), testRecipient(t, study.DeidPolicy{}, "second"), elsewhere}
	ids := make([]uint64, 0, people)
	for i := range people {
		sum := views[i%3].ids.of("participant", fmt.Sprint("AMD-", i/3)) // what Participant prints
		ids = append(ids, binary.BigEndian.Uint64(sum[:]))
	}
	slices.Sort(ids)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			t.Fatal("two ids begin with the same 64 bits")
		}
	}
}
