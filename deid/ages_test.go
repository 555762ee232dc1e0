package deid

import (
	"fmt"
	"slices"
	"testing"

	"longitude/study"
)

// column finds a released vector and its column, or nil.
func (b Batch) column(name string) (*study.Column, *study.Vector) {
	for i := range b.b.Table.Columns {
		if b.b.Table.Columns[i].Name == name {
			return &b.b.Table.Columns[i], &b.b.Vectors[i]
		}
	}
	return nil, nil
}

func quasi(name string, kind study.Kind, unit string) study.Column {
	return study.Column{Name: name, Kind: kind, Unit: unit, Class: study.Quasi, Nullable: true}
}

// lives are participants with everything that tells an age, in two tables: those
// of Safe Harbor's threshold and around it, each with several years since an event.
func lives(t testing.TB) (tables []*study.Batch, ages []int64) {
	key := study.Column{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey}
	demography := &study.Table{Name: "demography", Columns: []study.Column{key, quasi("age_years", study.Int64Kind, "years"), quasi("birth_year", study.Int64Kind, ""),
		quasi("age_exact", study.FloatKind, ""), quasi("birth_date", study.DateKind, "")}}
	demography.Columns[4].Class = study.DateClass
	history := &study.Table{Name: "history", Columns: []study.Column{key, quasi("age_at_diagnosis", study.Int64Kind, "years"),
		quasi("years_since_diagnosis", study.Int64Kind, "years"), quasi("age_months", study.Int64Kind, "months")}}
	a := &study.Batch{Table: demography, Vectors: make([]study.Vector, 5)}
	b := &study.Batch{Table: history, Vectors: make([]study.Vector, 4)}
	reference := day(t, "2026-06-30")
	for _, age := range []int64{0, 1, 17, 89, 90, 91, 117} {
		for _, since := range []int64{0, 1, 40, 89, 90} {
			if since > age {
				continue
			}
			for told := range 4 { // the age, the year of birth, both, or neither: then only the history tells
				p := int64(len(a.Participants) + 1)
				code := fmt.Sprint("AMD-", p)
				for _, batch := range []*study.Batch{a, b} {
					batch.Rows++
					batch.Participants = append(batch.Participants, p)
					batch.Anchors = append(batch.Anchors, reference)
					batch.Vectors[0].AppendText(code)
				}
				put := func(v *study.Vector, n int64, there bool) {
					if !there {
						v.AppendNull(study.Int64Kind)
						return
					}
					v.AppendInt(n)
				}
				put(&a.Vectors[1], age, told == 0 || told == 2)
				put(&a.Vectors[2], 2026-age-1, told == 1 || told == 2)
				a.Vectors[3].Floats, a.Vectors[3].Valid = append(a.Vectors[3].Floats, float64(age)+0.5), append(a.Vectors[3].Valid, told == 0)
				born, _ := study.NewDate(int(2026-age-1), 12, 31)
				put(&a.Vectors[4], int64(born), told == 1)
				put(&b.Vectors[1], age-since, true)
				put(&b.Vectors[2], since, true)
				put(&b.Vectors[3], age*12, told == 0)
				ages = append(ages, age)
			}
		}
	}
	return []*study.Batch{a, b}, ages
}

// Nothing that leaves says of anybody that they are 91 or older, nor that one is
// exactly 90: no age, no year of birth, no age at an event with the time since it.
func TestNoAgeOfNinetyIsDisclosed(t *testing.T) {
	for _, profile := range []string{"expert", "safe_harbor"} {
		for _, dates := range []string{"study_day", "year", "shift"} {
			t.Run(profile+" "+dates, func(t *testing.T) {
				batches, ages := lives(t)
				r := surveyed(t, testRecipient(t, study.DeidPolicy{Profile: profile, Pseudonym: Random, Dates: dates}, "main"), batches...)
				demography, err := r.Apply(batches[0])
				if err != nil {
					t.Fatal(err)
				}
				history, err := r.Apply(batches[1])
				if err != nil {
					t.Fatal(err)
				}
				number := func(b Batch, name string, i int) (int64, bool) {
					_, v := b.column(name)
					if v == nil || v.Null(i) {
						return 0, false
					}
					if v.Floats != nil {
						return int64(v.Floats[i]), true
					}
					return v.Ints[i], true
				}
				for i, age := range ages {
					var told []int64
					for _, name := range []string{"age_years", "age_exact"} {
						if n, ok := number(demography, name, i); ok {
							told = append(told, n)
							if top, ok := number(demography, name+"_topcoded", i); !ok || (top == 1) != (n >= 90) {
								t.Errorf("age %d: %s is %d with flag %d", age, name, n, top)
							}
						}
					}
					for _, name := range []string{"birth_year", "birth_date_year"} {
						if n, ok := number(demography, name, i); ok {
							told = append(told, 2026-n)
							if age >= 89 {
								t.Errorf("age %d: %s leaves", age, name)
							}
						}
					}
					at, atKnown := number(history, "age_at_diagnosis", i)
					since, sinceKnown := number(history, "years_since_diagnosis", i)
					if atKnown && sinceKnown {
						told = append(told, at+since)
					}
					if n, ok := number(history, "age_months", i); ok {
						told = append(told, n/12)
					}
					if len(told) > 0 && slices.Max(told) > 90 {
						t.Errorf("age %d: what leaves tells an age of %d", age, slices.Max(told))
					}
					if sum := at + since; atKnown && sinceKnown && at < 90 && since < 90 && sum >= 90 {
						t.Errorf("age %d: an age of %d at an event and %d years since leave together", age, at, since)
					}
					if age < 89 && dates != "shift" && len(told) == 0 {
						t.Errorf("age %d: nothing of the young leaves", age)
					}
				}
				if c, _ := demography.column("birth_date_day"); c != nil {
					t.Error("a date of birth leaves as a number of days")
				}
			})
		}
	}
}

func TestAgesNeedADayAndASurvey(t *testing.T) {
	batches, _ := lives(t)
	r := testRecipient(t, study.DeidPolicy{Profile: "expert"}, "main")
	if _, err := r.Apply(batches[0]); code(err) != "deid.no_survey" {
		t.Errorf("without a survey: %v", err)
	}
	r.Begin(study.NoDate, study.NoDate, study.NoDate)
	if err := r.Survey(batches); code(err) != "deid.no_reference" {
		t.Errorf("without a day: %v", err)
	}
	r.Begin(day(t, "2026-06-30"), study.NoDate, study.NoDate)
	batches[0].Participants = nil
	if err := r.Survey(batches[1:]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(batches[0]); code(err) != "deid.no_participant" {
		t.Errorf("without participants: %v", err)
	}
}

func TestTimeOfOneYearInUnits(t *testing.T) {
	for unit, want := range map[string]int64{"": 90, "years": 90, "months": 1080, "weeks": 4680, "days": 32850, "mmHg": 0} {
		if got := ageLimit(quasi("age", study.Int64Kind, unit)); got != want {
			t.Errorf("90 years are %d %s, want %d", got, unit, want)
		}
	}
	if ageLimit(quasi("stage", study.Int64Kind, "")) != 0 || ageLimit(quasi("dosage", study.Int64Kind, "mg")) != 0 {
		t.Error("a stage or a dosage counts as an age")
	}
}
