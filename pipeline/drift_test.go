package pipeline

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform"
	"longitude/transform/formats/csv"
	"longitude/transform/formats/json"
)

func driftSource(p study.DriftPolicy) *study.Source {
	src := testSource(true)
	src.Drift = p
	return src
}

const (
	someRow   = "1,va,baseline,2026-01-01,2026-01-01,R,40,,2026-01-01T00:00:00Z"
	shortHead = "PID,FORM,VISIT,DATE,ENTERED,OCC,VALUE,MODIFIED\n" // without the notes
	shortRow  = "1,va,month_1,2026-01-31,2026-01-31,R,41,2026-02-01T00:00:00Z\n"
)

// kinds names what has drifted.
func (m *memory) driftKinds() (out []string) {
	for _, d := range m.drifts {
		out = append(out, string(d.Kind)+" "+d.Column+" "+string(d.Action))
	}
	return out
}

// Each kind of change does what its policy says, is told by name, and never
// passes silently.
func TestDriftPolicies(t *testing.T) {
	enough := strings.Repeat(someRow+"\n", 3) // to say what values look like
	first := file{"1.csv", header + enough}
	more := file{"2.csv", strings.TrimSuffix(header, "\n") + ",EXTRA_1\n" + someRow + ",x\n"}
	less := file{"2.csv", shortHead + shortRow}
	typed := file{"2.csv", header + strings.ReplaceAll(enough, ",40,,", ",forty,,")}
	after := file{"3.csv", header + strings.Replace(someRow, ",40,", ",42,", 1) + "\n"}
	for _, c := range []struct {
		what          string
		policy        study.DriftPolicy
		second        file
		drift         string
		objects, away int
		code          string
	}{
		{"a new column goes on", study.DriftPolicy{NewColumn: study.Evolve}, more, "new_column EXTRA_1 evolve", 3, 0, ""},
		{"a new column puts aside", study.DriftPolicy{NewColumn: study.QuarantineDrift}, more, "new_column EXTRA_1 quarantine", 3, 1, ""},
		{"a new column freezes", study.DriftPolicy{NewColumn: study.Freeze}, more, "new_column EXTRA_1 freeze", 1, 0, "drift.frozen"},
		{"a missing column goes on", study.DriftPolicy{MissingColumn: study.Evolve}, less, "missing_column NOTES evolve", 3, 0, ""},
		{"a missing column puts aside", study.DriftPolicy{MissingColumn: study.QuarantineDrift}, less, "missing_column NOTES quarantine", 3, 1, ""},
		{"a missing column freezes", study.DriftPolicy{MissingColumn: study.Freeze}, less, "missing_column NOTES freeze", 1, 0, "drift.frozen"},
		{"another type goes on", study.DriftPolicy{TypeChange: study.Evolve}, typed, "type_change VALUE evolve", 3, 0, ""},
		{"another type puts aside", study.DriftPolicy{TypeChange: study.QuarantineDrift}, typed, "type_change VALUE quarantine", 3, 1, ""},
		{"another type freezes", study.DriftPolicy{TypeChange: study.Freeze}, typed, "type_change VALUE freeze", 1, 0, "drift.frozen"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := newBench(t, testStudy(), driftSource(c.policy))
			b.drop.files = []file{first, c.second, after}
			out, err := b.ingester.Sync(t.Context(), b.feed, "test")
			if out.Objects != c.objects || out.Aside != c.away || err == nil != (c.code == "") || c.code != "" && codeOf(err) != c.code {
				t.Fatalf("%+v, %v", out, err)
			}
			kinds := b.store.m.driftKinds()
			if c.drift == "" && len(kinds) > 0 || c.drift != "" && !slices.Contains(kinds, c.drift) {
				t.Errorf("events %q", kinds)
			}
			if c.away == 1 {
				if aside := b.store.m.numbered[b.store.m.landed()[1].Batch]; !aside.Aside || aside.Counts != (study.Counts{}) || len(out.Reasons) != 1 || aside.Leaves != 1 {
					t.Errorf("put aside as %+v, because %v", aside, out.Reasons)
				}
			}
			for _, reason := range append(out.Reasons, err) {
				if reason != nil && strings.Contains(reason.Error(), "forty") {
					t.Error("a value is told")
				}
			}
		})
	}
}

// What stops a source is told once per version of the object, however often the
// run is tried again; the source stands still until a person lets the shape in.
func TestAFreezeIsToldOnce(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{NewColumn: study.Freeze}))
	b.sync(file{"1.csv", header + someRow + "\n"})
	wider := func(text string) file {
		return file{"2.csv", strings.TrimSuffix(header, "\n") + ",EXTRA_1\n" + someRow + "," + text + "\n"}
	}
	for i, second := range []file{wider("x"), wider("x"), wider("y")} {
		b.drop.files = []file{second}
		if _, err := b.ingester.Sync(t.Context(), b.feed, "test"); codeOf(err) != "drift.frozen" {
			t.Fatalf("sync %d: %v", i, err)
		}
		if want := []int{1, 1, 2}[i]; len(b.store.froze) != want || len(b.store.m.batches) != 1 || len(b.drop.acks) != 1 {
			t.Errorf("sync %d: %d freezes, %d batches, %d acknowledged", i, len(b.store.froze), len(b.store.m.batches), len(b.drop.acks))
		}
	}
	want := study.Drift{Kind: study.NewColumn, Column: "EXTRA_1", Action: study.Freeze}
	if f := b.store.froze[0]; f.Source != b.feed.Config.Name || f.RunID == 0 || f.Item == "" || len(f.Drifts) != 1 || f.Drifts[0] != want {
		t.Errorf("recorded %+v", f)
	}
}

// A heading that may be somebody's name is told by its digest and place, and is the same
// column wherever it stands.
func TestANameAsHeadingIsNotTold(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{NewColumn: study.Evolve}))
	named, row := strings.TrimSuffix(header, "\n")+",Jane Zzcanary\n", someRow+",x\n"
	b.sync(file{"1.csv", header + someRow + "\n"})
	b.sync(file{"2.csv", named + row})
	b.sync(file{"3.csv", "Jane Zzcanary," + header + "x," + someRow + "\n"})
	kinds := b.store.m.driftKinds()
	if len(kinds) != 1 || !regexp.MustCompile(`^new_column untold_[a-p]{8} \(column 10\) evolve$`).MatchString(kinds[0]) {
		t.Errorf("events %q", kinds)
	}
	for source, shape := range b.store.m.shapes {
		if told := fmt.Sprint(shape); strings.Contains(told, "Zzcanary") || !strings.Contains(told, "untold_") {
			t.Errorf("shape of %s: %s", source, told)
		}
	}
}

// The whole object counts, not its first batch: the kinds of its values are known
// after the first rows at the latest.
func TestDriftBehindTheFirstBatch(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{TypeChange: study.QuarantineDrift}))
	b.sync(file{"1.csv", header + strings.Repeat(someRow+"\n", 3)})
	text := strings.Repeat(strings.Replace(someRow, ",40,,", ",,,", 1)+"\n", 1500) + strings.Repeat(strings.Replace(someRow, ",40,,", ",forty,,", 1)+"\n", 3)
	if out := b.sync(file{"2.csv", header + text}); out.Aside != 1 || b.store.m.live() != 1 {
		t.Errorf("%+v", out)
	}
}

// A file of a row or two is of no other type, and takes nothing back of what is
// known of the values: the next that differs is told.
func TestTooFewValuesToBeOfAnotherType(t *testing.T) {
	b := newBench(t, testStudy(), driftSource(study.DriftPolicy{TypeChange: study.QuarantineDrift}))
	row := someRow + "\n"
	other := strings.Replace(row, ",40,,", ",forty,,", 1)
	b.sync(file{"1.csv", header + strings.Repeat(row, 3)})
	if out := b.sync(file{"2.csv", header + other + other}); out.Aside != 0 || out.Counts.Quarantined != 2 {
		t.Errorf("two rows: %+v", out)
	}
	if out := b.sync(file{"3.csv", header + strings.Repeat(other, 3)}); out.Aside != 1 {
		t.Errorf("three rows: %+v", out)
	}
}

// Codes outside their list are events, once an object.
func TestNewChoices(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	bad := strings.Replace(someRow, ",R,", ",X,", 1) + "\n"
	b.sync(file{"1.csv", header + bad + bad})
	if got := b.store.m.driftKinds(); !slices.Equal(got, []string{"new_choice va.eye evolve"}) {
		t.Errorf("events %q", got)
	}
}

// Rows without a header that hold nothing the mapping asks for are of another object,
// as is a file under another header. One value of it, or a row of nothing, is enough
// not to say so.
func TestRowsOfAnotherObject(t *testing.T) {
	const row = `{"PID": "1", "FORM": "va", "VISIT": "baseline", "DATE": "2026-01-01", "OCC": "R", "VALUE": "40"}`
	for _, c := range []struct {
		what, text string
		lines      bool
		aside      int
	}{
		{"nothing asked for", `{"lot": "7", "dose": "2"}` + "\n" + `{"lot": "8"}`, true, 1},
		{"in a document", `[{"lot": "7", "dose": {"mg": 2}}]`, false, 1},
		{"asked for, but null", `{"PID": null, "lot": "7"}`, true, 1},
		{"behind many of another kind", strings.Repeat(`{"lot": "7"}`+"\n", 1200) + row, true, 0},
		{"a row of the source among others", `{"lot": "7"}` + "\n" + row, true, 0},
		{"no rows", `[]`, false, 0},
		{"rows of nothing", `{}` + "\n{}", true, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := newBench(t, testStudy(), driftSource(study.DriftPolicy{MissingColumn: study.Evolve}))
			b.feed.Format = json.Format{Lines: c.lines}
			out := b.sync(file{"1.json", c.text})
			if kinds := b.store.m.driftKinds(); out.Aside != c.aside || c.aside == 1 && !slices.Equal(kinds, []string{"header_unknown  quarantine"}) {
				t.Errorf("%+v, events %q", out, kinds)
			}
		})
	}
}

// What cannot be read at all is put aside, and the source goes on; an object whose
// bytes cannot be had is not to blame.
func TestUnreadableObjects(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	out := b.sync(file{"1.csv", ""}, file{"2.csv", "no,header,here\n"}, file{"3.csv", header + someRow + "\n"})
	if out.Objects != 3 || out.Aside != 2 || b.store.m.live() != 1 || len(b.drop.acks) != 3 {
		t.Errorf("%+v", out)
	}
	if codeOf(out.Reasons[0]) != "csv.empty" || codeOf(out.Reasons[1]) != "drift.put_aside" {
		t.Errorf("because %v", out.Reasons)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	b.drop.files = []file{{"4.csv", header + someRow + "\n"}}
	if out, err := b.ingester.Sync(stopped, b.feed, "test"); err == nil || out.Aside != 0 {
		t.Errorf("stopped: %+v, %v", out, err)
	}
}

// Too much that is refused stops the run before anything of the object is recorded.
func TestMaxRejected(t *testing.T) {
	bad, good := strings.Replace(someRow, ",R,", ",X,", 1)+"\n", someRow+"\n"
	late := "1,va,baseline,2026-02-31,,R,40,,\n"
	for _, c := range []struct {
		what, text string
		limit      study.Limit
		stops      bool
	}{
		{"none", bad + bad, study.Limit{}, false},
		{"the count itself", bad + bad + good, study.Limit{Count: 2}, false},
		{"one more", bad + late + bad + good, study.Limit{Count: 2}, true},
		{"the share itself", bad + good, study.Limit{Share: 0.25}, false}, // 1 of 2 rows and 2 records
		{"more than the share", bad + bad + good, study.Limit{Share: 0.25}, true},
		{"more than the share at first", bad + good + good + good, study.Limit{Share: 0.2}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			src := testSource(true)
			src.MaxRejected = c.limit
			b := newBench(t, testStudy(), src)
			b.drop.files = []file{{"1.csv", header + c.text}}
			out, err := b.ingester.Sync(t.Context(), b.feed, "test")
			if stops := codeOf(err) == "ingest.too_many_rejected"; stops != c.stops || stops != (len(b.store.m.batches) == 0) {
				t.Fatalf("%+v, %v", out, err)
			}
			if c.what == "one more" && !strings.Contains(err.Error(), "choice_unknown 2, date_invalid 1") {
				t.Errorf("says %v", err)
			}
		})
	}
}

// An object that is not the source's may have data where names of columns are
// expected. None of it is recorded or told, however often the object is read.
func TestDataAsNames(t *testing.T) {
	const planted = "MRN12345"
	for _, c := range []struct {
		what, text string
		format     transform.Format
		policy     study.DriftAction
	}{
		{"without its first line", planted + ",va,baseline,2026-01-01,,R,40,,\n2,va,baseline,2026-01-01,,R,41,,\n", csv.Format{}, study.Evolve},
		{"and frozen", planted + ",va,baseline,2026-01-01,,R,40,,\n", csv.Format{}, study.Freeze},
		{"of participants by name", `{"` + planted + `": {"born": "1950-01-01"}}` + "\n", json.Format{Lines: true}, study.Evolve},
		{"and put aside", `{"` + planted + `": {"born": "1950-01-01"}}` + "\n", json.Format{Lines: true}, study.QuarantineDrift},
	} {
		for _, before := range []bool{false, true} {
			t.Run(c.what, func(t *testing.T) {
				b := newBench(t, testStudy(), driftSource(study.DriftPolicy{NewColumn: c.policy, MissingColumn: c.policy}))
				if before {
					b.sync(file{"1.csv", header + someRow + "\n"})
				}
				b.feed.Format = c.format
				b.drop.files = []file{{"2.csv", c.text}}
				out, err := b.ingester.Sync(t.Context(), b.feed, "test")
				again := b.replay(b.store.m.landed()...)
				m := b.store.m
				said := fmt.Sprintf("%+v %v %+v %+v %+v %+v", out, err, again, m.shapes, m.drifts, m.batches)
				if strings.Contains(said, planted) {
					t.Errorf("recorded or told: %s", said)
				}
				if b.store.m.live() > 1 {
					t.Error("a record came of it")
				}
			})
		}
	}
}
